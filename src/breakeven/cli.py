"""Door 2: the `breakeven` command. The only place that prints or exits.

Owns arguments, exit codes and which stream gets what. Everything heavy is imported by the command that needs
it, so that ``breakeven --help`` costs no more than argparse.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.errors import BreakevenError

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.status import Status

    from breakeven.analysing.record import Report

OK, OBJECTION, UNUSABLE, NOT_JUDGED = 0, 1, 2, 3
"""Exit codes: nothing to object; a confirmed regression, or a failed self-test; bad usage or input; nothing
could be judged, or a machine that is not fit for it."""

INTERRUPTED = 130
BROKEN_PIPE = 141

RESULTS = "results"
"""Where the newest run is looked for when none is named."""

_EPILOG = """\
examples:
  pytest bench --benchmark-json=run.json     measure every phase on every device
  breakeven report run.json                  tables and verdict; the page is run.json.report/index.html
  breakeven report                           the newest run under results/
  breakeven report a.json b.json c.json      several runs: replicates of one machine, or machines compared
  breakeven report run.json --format json    for machines
  breakeven doctor                           is this machine fit for timing, and what to mend
  breakeven doctor --selftest                does the harness read truths that it knows

exit codes: 0 nothing to object, undecided cells too; 1 a failed self-test; 2 bad usage or unreadable input;
3 nothing could be judged (nothing was timed, or the comparison is red), or this machine is not fit for timing
"""

_REPORT_EPILOG = """\
examples:
  breakeven report run.json -o out              write the page, tables and figures to out/
  breakeven report run.json --baseline cpu@1    hold every other device against one CPU thread
  breakeven report laptop.json server.json --baseline EPYC/cpu
                                                hold the devices of all machines against the cpu of one
  breakeven report run.json --format markdown >> "$GITHUB_STEP_SUMMARY"

Runs of one machine class are replicates of each other; other classes stand side by side. The baseline is each
machine's cpu, or cpu@1 where no accelerator was measured. All intervals are 95%.

Where numeric modes (TF32, determinism) are not the same, or cells of one name are other models, the
comparison is red: no speedup is given and the exit code is 3, unless --force, which marks whatever it gives.
"""

_DOCTOR_EPILOG = """\
Not fit is what makes numbers wrong: another process that takes more than 10% of a core, or that is on the
GPU; throttling; a quota that splits a CPU; one thread where there are more CPUs; a governor that pins the
lowest clock; OpenMP threads that spin while somebody else needs the cores; a debug build; tracing;
synchronous launches; a device that does not start. Anything else is noted, and what cannot be read is listed
as such; neither makes a machine unfit. No setting is ever changed.

--selftest times a spin and an empty phase through pytest-benchmark, reads a simulated asynchronous device,
and puts seeded noise through the statistics: every figure stands beside what it must be.

exit codes: 0 fit, or every figure as it must be; 1 a figure of the self-test is not; 2 bad usage; 3 not fit
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
    except (BrokenPipeError, SystemExit):  # rich makes the second of the first
        _write_no_more()
        return BROKEN_PIPE
    except OSError as error:
        _write_no_more()
        print(f"breakeven: error: the output cannot be written ({error}); give it room", file=sys.stderr)
        return UNUSABLE
    return code


def _write_no_more() -> None:
    """Throw the rest of standard output away: Python would complain once more while it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
    parser.add_argument(
        "--baseline",
        metavar="[MACHINE/]DEVICE",
        help="the device that the others are held against; MACHINE is a label or class id, or a part of one "
        "(default: each machine's own cpu, or cpu@1 without an accelerator)",
    )
    parser.add_argument(
        "--force", action="store_true", help="give ratios although the comparison is red; all is marked so"
    )
    parser.add_argument(
        "--format",
        choices=("terminal", "html", "markdown", "json", "csv"),
        default="terminal",
        help="what standard output gets (default: terminal)",
    )


def _report(arguments: argparse.Namespace) -> int:
    from breakeven.analysing import record, runs

    paths = arguments.runs or [str(runs.newest(RESULTS))]
    report = record.analyse(runs.read(paths), arguments.baseline, force=arguments.force)
    if arguments.format == "json":
        from breakeven.reporting.exports import to_json

        sys.stdout.write(to_json(report))
        return _code_of(report)
    from breakeven.reporting.files import write_report

    directory = Path(arguments.output) if arguments.output else Path(f"{paths[0]}.report")
    with _status("drawing the report"):
        written = write_report(report, directory, _version())
    _show(report, arguments.format, directory)
    # Standard output holds the asked-for format and nothing else, so that it can be piped.
    stream = sys.stdout if arguments.format == "terminal" else sys.stderr
    *others, page = written
    print(f"written to {directory}{os.sep}: {', '.join(path.name for path in others)}", file=stream)
    print(f"the page: {page}", file=stream)
    return _code_of(report)


def _code_of(report: Report) -> int:
    """Return the exit code of a report that was shown; say what of the input could not be used."""
    for reason in report.left_out:
        print(f"breakeven: error: {reason}", file=sys.stderr)
    if report.left_out:
        return UNUSABLE
    return OK if report.judged else NOT_JUDGED


def _show(report: Report, form: str, directory: Path) -> None:
    if form == "csv":
        from breakeven.reporting.exports import to_csv

        sys.stdout.write(to_csv(report))
    elif form == "html":
        sys.stdout.write((directory / "index.html").read_text("utf-8"))
    elif form == "markdown":
        from breakeven.reporting.markdown import to_markdown

        sys.stdout.write(to_markdown(report, _version()))
    else:
        from breakeven.reporting.terminal import renderables

        _print(renderables(report))


def _status(text: str) -> Status:
    """Say on standard error what takes a while, and only where somebody is watching."""
    from rich.console import Console

    return Console(stderr=True, highlight=False).status(text)


def _print(items: Iterable[RenderableType]) -> None:
    from rich.console import Console

    from breakeven.reporting.terminal import WIDTH

    # A pipe has no width of its own, and a wide terminal makes no table easier to read.
    width = min(Console().width, WIDTH) if sys.stdout.isatty() else WIDTH
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    for item in items:
        console.print(item)


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--selftest",
        action="store_true",
        help="hold the harness against truths it knows, on this machine, in under a minute",
    )
    parser.add_argument(
        "--format",
        choices=("terminal", "json"),
        default="terminal",
        help="what standard output gets (default: terminal)",
    )


def _doctor(arguments: argparse.Namespace) -> int:
    if arguments.selftest:
        return _selftest(arguments)
    from breakeven.doctor import checkup, faces, facts

    found = checkup.examine(facts.read_facts())
    if arguments.format == "json":
        sys.stdout.write(faces.checkup_json(found))
    else:
        _print(faces.checkup_renderables(found))
    return OK if found.fit else NOT_JUDGED


def _selftest(arguments: argparse.Namespace) -> int:
    from breakeven.doctor import faces, selftest

    with _status("self-test") as status:
        result = selftest.run_selftest(starting=lambda name: status.update(f"self-test: {name}"))
    if arguments.format == "json":
        sys.stdout.write(faces.selftest_json(result))
    else:
        _print(faces.selftest_renderables(result))
    return OK if result.passed else OBJECTION


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
    Command(
        "doctor",
        "tell whether this machine is fit for timing, and how to mend what is not",
        _DOCTOR_EPILOG,
        _doctor_arguments,
        _doctor,
    ),
)
"""Every subcommand; a new one is added here."""


if __name__ == "__main__":
    sys.exit(main())
