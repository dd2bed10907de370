"""`breakeven report`: run files -> tables, figures, a page and the verdict."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from importlib import import_module
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breakeven.commands.arguments import directory_path, file_path, label, price, worth
from breakeven.commands.base import (
    NOT_JUDGED,
    OK,
    UNUSABLE,
    add_format,
    notify,
    print_line,
    show,
    status,
    version,
)
from breakeven.commands.browser import Opener, open_page
from breakeven.commands.compare import NOISE, append_to_summary, existing_directory
from breakeven.errors import UsageError

if TYPE_CHECKING:
    from breakeven.case import CaseKey
    from breakeven.report.report import Report
    from breakeven.runs.reader import Runs

RESULTS = "results"
"""The directory in which the newest run is found, if no run is named."""

EPILOG = """\
examples:
  breakeven report run.json -o out            page, tables and figures in out/
  breakeven report                            the newest run under results/
  breakeven report run.json --baseline cpu@1  compare every device with one CPU
                                              thread
  breakeven report run.json --open            show the page in the browser
  breakeven report laptop.json server.json --baseline laptop/cpu
                                              compare the devices of all
                                              machines with the cpu of one
  breakeven report a.json b.json --label a.json=laptop --label b.json=server
                                              name the machines; without a
                                              label by their files
  breakeven report run.json --price cpu=0.20/h --price cuda=2.00/h
                                              also from which batch size the GPU
                                              is cheaper
  breakeven report run.json --worth 10x       also from which batch size the GPU
                                              is ten times faster
  breakeven report run.json --format markdown for a pull request; also appended
                                              to $GITHUB_STEP_SUMMARY

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


def _renderer(name: str) -> Any:
    return import_module(f"breakeven.render.report_{name}")


def _show_markdown(text: str) -> None:
    sys.stdout.write(text)
    append_to_summary(f"{text}\n")  # a blank line, to separate it from the next step's text


FORMATS: dict[str, Callable[[Report, Path], object]] = {
    "terminal": lambda report, _: show(_renderer("terminal").renderables(report)),
    "html": lambda _, page: sys.stdout.write(page.read_text("utf-8")),
    "markdown": lambda report, _: _show_markdown(_renderer("markdown").to_markdown(report, version())),
    "json": lambda report, _: sys.stdout.write(_renderer("data").to_json(report)),
    "csv": lambda report, _: sys.stdout.write(_renderer("data").to_csv(report)),
}
"""The values of ``--format``, each with the function that writes a report to standard output."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "runs", nargs="*", type=file_path, metavar="RUN",
        help=f"run files that --benchmark-json wrote (default: the newest run under {RESULTS}/)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=directory_path, metavar="DIR",
        help="directory of the files (default: RUN.report/ next to the first run); --format json writes none",
    )  # fmt: skip
    parser.add_argument(
        "--baseline",
        metavar="[MACHINE/]DEVICE",
        help="the device that the others are compared with; MACHINE is a label, class id or "
        "hardware, or a part of one (default: each machine's own cpu, or cpu@1 without an accelerator)",
    )
    parser.add_argument(
        "--label", type=label, action="append", default=[], metavar="FILE=NAME",
        help="the name of the machine that measured a run; repeatable (default: with several machines the "
        "names of their files, or of their folders where these are equal)",
    )  # fmt: skip
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument(
        "--force", action="store_true",
        help="report ratios although the comparison is red; everything based on them is marked",
    )  # fmt: skip
    parser.add_argument(
        "--noise", type=existing_directory, default=Path(NOISE), metavar="DIR",
        help="where `breakeven calibrate` stored noise floors, which widen the intervals of one process "
        f"(default: {NOISE})",
    )  # fmt: skip
    parser.add_argument(
        "--price", type=price, action="append", default=[], metavar="[MACHINE/]DEVICE=USD/h",
        help="what a device costs, such as cuda=2.00/h (repeatable): adds costs and the break-even in "
        "dollars; cpu prices every number of threads, and cuda=2.00/h makes 2xcuda cost 4.00/h; a price "
        "with a machine or of the very device wins over others (default: no prices)",
    )  # fmt: skip
    parser.add_argument(
        "--worth", type=worth, metavar="FACTOR",
        help="also report from which batch size a device is this many times faster, such as 10x "
        "(default: none)",
    )  # fmt: skip
    add_format(parser, tuple(FORMATS), "format of standard output")


def run(arguments: argparse.Namespace, opener: Opener | None = None) -> int:
    """Run the command and return its exit code.

    Raises:
        UsageError: ``--open`` with ``--format json``, which writes no page; and as the functions it calls.
    """
    from breakeven.report.money import Money, Price
    from breakeven.report.report import analyze
    from breakeven.runs import reader

    if arguments.open and arguments.format == "json":
        raise UsageError("--open needs the page, and --format json writes none; leave one of them out")
    paths = arguments.runs or [str(reader.newest(RESULTS))]
    runs = reader.read(paths, arguments.label)
    floor_sd = _floor_sd(runs, arguments.noise)
    money = Money(tuple(starmap(Price, arguments.price)), arguments.worth)
    report = analyze(runs, arguments.baseline, force=arguments.force, floor_sd=floor_sd, money=money)
    home = arguments.output or Path(f"{paths[0]}.report")
    written: list[Path] = []
    if arguments.format != "json":
        from breakeven.render.report_files import write_report

        with status("drawing the report"):
            written = write_report(report, home, version())
    FORMATS[arguments.format](report, written[-1] if written else home)
    if written:
        # Standard output contains only the requested format, so that it can be piped.
        stream = sys.stdout if arguments.format == "terminal" else sys.stderr
        *others, page = written
        print_line(f"written to {home}{os.sep}: {', '.join(path.name for path in others)}", stream)
        print_line(f"the page: {page}", stream)
        if arguments.open:
            open_page(page, opener)
    for reason in report.left_out:
        notify(f"error: {reason}")
    if report.left_out:
        return UNUSABLE
    return OK if report.judged else NOT_JUDGED


def _floor_sd(runs: Runs, directory: Path) -> dict[CaseKey, float]:
    """Return how far each log median varies from process to process, as `breakeven calibrate` found."""
    from breakeven.compare.noise_floor import log_sds, read_floor

    found: dict[CaseKey, float] = {}
    for machine in runs.machines:
        floor = read_floor(directory, machine)
        if floor is not None:
            here = [run for run in runs.runs if run.machine.class_id == machine.class_id]
            keys = [case.key for run in here for case in run.cases.values() if case.key is not None]
            found |= dict(zip(keys, log_sds(floor, [key.label() for key in keys]), strict=True))
    return found
