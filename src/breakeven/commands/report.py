"""`breakeven report`: run files -> tables, figures, a page and the verdict."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.commands.arguments import directory_path, file_path
from breakeven.commands.base import NOT_JUDGED, OK, UNUSABLE, Command, show, status, version

if TYPE_CHECKING:
    from breakeven.report.report import Report

RESULTS = "results"
"""The directory in which the newest run is found, if no run is named."""


_EPILOG = """\
examples:
  breakeven report run.json -o out            page, tables and figures in out/
  breakeven report                            the newest run under results/
  breakeven report run.json --baseline cpu@1  compare every device with one CPU
                                              thread
  breakeven report laptop.json server.json --baseline EPYC/cpu
                                              compare the devices of all
                                              machines with the cpu of one
  breakeven report run.json --format markdown >> "$GITHUB_STEP_SUMMARY"

Runs of one machine class are replicates of each other; other classes are shown
side by side. All intervals are 95%.

If numeric modes (TF32, determinism) differ, or cells of the same name are
different models, the comparison is red: no speedups are reported, except with
--force, which marks everything based on them.

exit codes:
  0  written, also when cells are undecided
  2  bad usage, or a run file that cannot be read
  3  nothing was timed, or the comparison is red
"""


def _show_terminal(report: Report, _page: Path) -> None:
    from breakeven.render.report_terminal import renderables

    show(renderables(report))


def _write_html(_report: Report, page: Path) -> None:
    sys.stdout.write(page.read_text("utf-8"))


def _write_markdown(report: Report, _page: Path) -> None:
    from breakeven.render.report_markdown import to_markdown

    sys.stdout.write(to_markdown(report, version()))


def _write_json(report: Report, _page: Path) -> None:
    from breakeven.render.report_data import to_json

    sys.stdout.write(to_json(report))


def _write_csv(report: Report, _page: Path) -> None:
    from breakeven.render.report_data import to_csv

    sys.stdout.write(to_csv(report))


FORMATS: dict[str, Callable[[Report, Path], None]] = {
    "terminal": _show_terminal,
    "html": _write_html,
    "markdown": _write_markdown,
    "json": _write_json,
    "csv": _write_csv,
}
"""The values of ``--format``, each with the function that writes a report to standard output."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="*",
        type=file_path,
        metavar="RUN",
        help=f"run files that --benchmark-json wrote (default: the newest run under {RESULTS}/)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=directory_path,
        metavar="DIR",
        help="directory of the files (default: RUN.report/ next to the first run); --format json writes none",
    )
    parser.add_argument(
        "--baseline",
        metavar="[MACHINE/]DEVICE",
        help="the device that the others are compared with; MACHINE is a label or class id, or a part of one "
        "(default: each machine's own cpu, or cpu@1 without an accelerator)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="report ratios although the comparison is red; everything based on them is marked",
    )
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="terminal",
        help="format of standard output (default: terminal)",
    )


def _run(arguments: argparse.Namespace) -> int:
    from breakeven.report.report import analyze
    from breakeven.runs import reader

    paths = arguments.runs or [str(reader.newest(RESULTS))]
    report = analyze(reader.read(paths), arguments.baseline, force=arguments.force)
    home = arguments.output or Path(f"{paths[0]}.report")
    written = [] if arguments.format == "json" else _write_files(report, home)
    FORMATS[arguments.format](report, written[-1] if written else home)
    if written:
        # Standard output contains only the requested format, so that it can be piped.
        stream = sys.stdout if arguments.format == "terminal" else sys.stderr
        *others, page = written
        print(f"written to {home}{os.sep}: {', '.join(path.name for path in others)}", file=stream)
        print(f"the page: {page}", file=stream)
    return _code_of(report)


def _write_files(report: Report, home: Path) -> list[Path]:
    from breakeven.render.report_files import write_report

    with status("drawing the report"):
        return write_report(report, home, version())


def _code_of(report: Report) -> int:
    """Return the exit code of a report that was shown; print an error for each file that was left out."""
    for reason in report.left_out:
        print(f"breakeven: error: {reason}", file=sys.stderr)
    if report.left_out:
        return UNUSABLE
    return OK if report.judged else NOT_JUDGED


REPORT = Command(
    "report",
    "read run files, print a summary and the verdict, write tables and plots",
    _EPILOG,
    _add_arguments,
    _run,
)
