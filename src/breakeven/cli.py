"""Door 2: the `breakeven` command. The only place that prints or exits.

Owns arguments, exit codes and which stream gets what. Everything heavy is imported by the command that needs
it, so that ``breakeven --help`` costs no more than argparse.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.errors import BreakevenError

if TYPE_CHECKING:
    from breakeven.analysing.record import Report

OK, OBJECTION, UNUSABLE, NOT_JUDGED = 0, 1, 2, 3
"""Exit codes: nothing to object; a confirmed regression; bad usage or input; nothing could be judged."""

INTERRUPTED = 130
BROKEN_PIPE = 141

RESULTS = "results"
"""Where the newest run is looked for when none is named."""

_EPILOG = """\
examples:
  pytest bench --benchmark-json=run.json     measure every phase on every device
  breakeven report run.json                  tables and verdict; files in run.json.report/
  breakeven report                           the newest run under results/
  breakeven report a.json b.json c.json      several runs of one machine, as replicates
  breakeven report run.json --format json    for machines

exit codes: 0 written; 2 bad usage or unreadable input; 3 nothing could be judged
"""

_REPORT_EPILOG = """\
examples:
  breakeven report run.json -o out           write summary.csv, summary.md, speedup.svg and .png to out/
  breakeven report run.json --baseline cpu@1 hold every other device against one CPU thread
  breakeven report run.json --format markdown >> "$GITHUB_STEP_SUMMARY"

The baseline is cpu, or cpu@1 where no accelerator was measured. All intervals are 95%.
"""


@dataclass(frozen=True)
class Command:
    """A subcommand: its name, what it is for in a line, its arguments, and what runs it to an exit code."""

    name: str
    summary: str
    epilog: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: the metadata of packages is slow to load."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"breakeven {_version()}")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; what the user could mend is one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # an ASCII pipe gets \xb5, not a traceback
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as done:  # argparse has printed help, the version or what was wrong
        return done.code if isinstance(done.code, int) else UNUSABLE
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BreakevenError as error:
        if arguments.traceback:
            traceback.print_exc()
        print(f"breakeven: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("breakeven: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does; Python would complain once more while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="breakeven",
        description="From which batch size, and by how much, does an accelerator beat the CPU for a model?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        sub = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[:1].upper()}{command.summary[1:]}.",
            epilog=command.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(sub)
        sub.add_argument("--traceback", action="store_true", help="show where an error came from")
        sub.set_defaults(run=command.run)
    return parser


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help=f"run files that --benchmark-json wrote (default: the newest run under {RESULTS}/)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help="where the files go (default: RUN.report/ beside the first run); --format json writes none",
    )
    parser.add_argument("--baseline", metavar="DEVICE", help="the device that the others are held against")
    parser.add_argument(
        "--format",
        choices=("terminal", "markdown", "json", "csv"),
        default="terminal",
        help="what standard output gets (default: terminal)",
    )


def _report(arguments: argparse.Namespace) -> int:
    from breakeven.analysing import record, runs

    paths = arguments.runs or [str(runs.newest(RESULTS))]
    report = record.analyse(runs.read(paths), arguments.baseline)
    code = OK if report.judged else NOT_JUDGED
    if arguments.format == "json":
        from breakeven.reporting.exports import to_json

        sys.stdout.write(to_json(report))
        return code
    from breakeven.reporting.files import write_report

    directory = Path(arguments.output) if arguments.output else Path(f"{paths[0]}.report")
    written = write_report(report, directory, _version())
    _show(report, arguments.format)
    # Standard output holds the asked-for format and nothing else, so that it can be piped.
    stream = sys.stdout if arguments.format == "terminal" else sys.stderr
    print(f"written to {directory}{os.sep}: {', '.join(path.name for path in written)}", file=stream)
    return code


def _show(report: Report, form: str) -> None:
    if form == "csv":
        from breakeven.reporting.exports import to_csv

        sys.stdout.write(to_csv(report))
    elif form == "markdown":
        from breakeven.reporting.markdown import to_markdown

        sys.stdout.write(to_markdown(report, _version()))
    else:
        from rich.console import Console

        from breakeven.reporting.terminal import WIDTH, renderables

        # A pipe has no width of its own, and a wide terminal makes no table easier to read.
        width = min(Console().width, WIDTH) if sys.stdout.isatty() else WIDTH
        console = Console(width=width, highlight=False, markup=False, emoji=False)
        for item in renderables(report):
            console.print(item)


def _version() -> str:
    from importlib.metadata import version

    return version("breakeven")


COMMANDS = (
    Command(
        "report",
        "read run files, print a summary and the verdict, write tables and plots",
        _REPORT_EPILOG,
        _report_arguments,
        _report,
    ),
)
"""Every subcommand; a new one is added here."""


if __name__ == "__main__":
    sys.exit(main())
