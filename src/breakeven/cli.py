"""Door 2: the `breakeven` command. Turns arguments into a command, errors into a line and an exit code.

Owns the streams and the exit. What a command does stands in `breakeven.commands`; everything heavy is
imported by the command that needs it, so that ``breakeven --help`` costs no more than argparse.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from breakeven.commands import COMMANDS
from breakeven.commands.base import INTERRUPTED, OK, UNUSABLE, version
from breakeven.commands.parser import Parser
from breakeven.errors import BreakevenError, UsageError
from breakeven.format import one_line

BROKEN_PIPE = 141

_EPILOG = """\
examples:
  pytest bench --benchmark-json=run.json    measure every phase on every device
  breakeven report run.json                 tables, the verdict, and a page:
                                            run.json.report/index.html
  breakeven report                          the newest run under results/
  breakeven report a.json b.json            several runs: replicates of one
                                            machine, or machines compared
  breakeven report run.json --format json   for programs
  breakeven compare base.json head.json     did anything get slower
  breakeven ab --base CMD --candidate CMD   measure both by turns, and compare
  breakeven calibrate CMD                   learn the noise of this machine, for
                                            comparing single runs
  breakeven history add run.json            keep a run
  breakeven history check                   did anything become worse, and when
  breakeven doctor                          is this machine fit for timing
  breakeven doctor --selftest               does breakeven read known truths

exit codes:
  0    nothing to object to; undecided cells too
  1    a regression, or a failed self-test
  2    bad usage, unreadable input, or a command that failed
  3    nothing could be judged (nothing was timed, too few runs, the comparison
       is red), what --fail-on names, or a machine that is not fit for timing
  130  interrupted

`breakeven COMMAND --help` tells more of each.
"""


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: the metadata of packages is slow to load."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"breakeven {version()}")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; what the user could mend is one line on stderr."""
    if sys.stdout is None:  # closed by who started us; rich and print would fall over it
        _complain("standard output is closed; open it, or send it to a file")
        return UNUSABLE
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # an ASCII pipe gets \xb5, not a traceback
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit:  # argparse has printed help or the version
        return OK
    except UsageError as error:
        _complain(error)
        return error.exit_code
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BreakevenError as error:
        if arguments.traceback:
            traceback.print_exc()
        _complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        print("breakeven: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):  # rich makes the second of the first
        _write_no_more()
        return BROKEN_PIPE
    except OSError as error:
        _write_no_more()
        _complain(f"the output cannot be written ({error}); give it room")
        return UNUSABLE
    return code


def _complain(problem: object) -> None:
    """Say on one line what the user could mend, also where what they typed holds line breaks or escapes."""
    if sys.stderr is None:  # closed; print would take standard output instead
        return
    text = str(problem)
    print(f"breakeven: error: {one_line(text, len(text))}", file=sys.stderr)


def _write_no_more() -> None:
    """Throw the rest of standard output away: Python would complain once more while it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="breakeven",
        description="From which batch size, and by how much, does an accelerator beat the CPU?",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        sub = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[:1].upper()}{command.summary[1:]}.",
            epilog=command.epilog,
        )
        command.add_arguments(sub)
        sub.add_argument("--traceback", action="store_true", help="show where an error came from")
        sub.set_defaults(run=command.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
