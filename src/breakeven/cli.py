"""The `breakeven` command: parses arguments, runs a subcommand, prints errors as one line.

Everything heavy is imported by the subcommand that needs it, so ``breakeven --help`` loads only argparse.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from functools import partial

from breakeven.commands import COMMANDS
from breakeven.commands.base import INTERRUPTED, OK, UNUSABLE, Parser, notify, version
from breakeven.errors import UNFORESEEN, BreakevenError, unforeseen_text
from breakeven.format import capital

BROKEN_PIPE = 141

_EPILOG = """\
examples:
  pytest bench --benchmark-json=run.json    measure every phase on every device
  breakeven report run.json                 print tables and the verdict; write
                                            run.json.report/index.html
  breakeven report                          report the newest run in results/
  breakeven report a.json b.json            report runs of one machine together,
                                            or compare machines
  breakeven report run.json --format json   print JSON for programs
  breakeven compare base.json head.json     find what became slower
  breakeven ab --base CMD --candidate CMD   run both in turn, and compare them
  breakeven calibrate CMD                   measure this machine's noise, to
                                            compare single runs
  breakeven predict run.json --on h100-16core
                                            predict a GPU that is not here
  breakeven history add run.json            store a run
  breakeven history check                   find what became slower, and when
  breakeven merge run-*.json -o run.json    join the shards of a sweep
  breakeven fleet bench                     measure on all machines of a cluster
  breakeven recover run.json.journal        keep what a run that died measured
  breakeven doctor                          check that this machine can be timed
  breakeven doctor --against                check that it is as fast as others
                                            of its class
  breakeven doctor --selftest               check breakeven on known results
  python -m pydoc breakeven                 turn your training script into a
                                            Workload: nine loops, line by line

exit codes:
  0    no regression; undecided cells too
  1    a regression, or a failed self-test
  2    bad usage, unreadable input, or a command that failed
  3    nothing could be judged (nothing was timed, too few runs, machines that
       differ), what --fail-on lists, or a machine that is not fit for timing
  70   an error of breakeven itself; please report it
  130  interrupted

`breakeven COMMAND --help` explains each command.
"""


class _Version(argparse.Action):
    """Prints the version, looked up only then: the metadata of packages is slow to load."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"breakeven {version()}")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; an error is one line on standard error."""
    if sys.stdout is None:  # closed by the calling process; rich and print would raise
        _print_error("standard output is closed; open it, or send it to a file")
        return UNUSABLE
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # an ASCII pipe gets \xb5, not a traceback
    arguments: argparse.Namespace | None = None
    try:
        arguments = _arguments(argv)
        code: int = OK if arguments is None else arguments.run(arguments)
        sys.stdout.flush()
    except BreakevenError as error:
        _print_traceback(arguments)
        _print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        notify("interrupted")
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):  # rich turns the first into the second
        _discard_output()
        return BROKEN_PIPE
    except OSError as error:
        _print_traceback(arguments)
        _discard_output()
        what = "the output" if error.filename is None else error.filename
        _print_error(f"{what} cannot be written ({error.strerror or error}); free some space")
        return UNUSABLE
    except MemoryError:
        _print_traceback(arguments)
        _print_error("out of memory; give fewer or smaller files, or use a machine with more memory")
        return UNUSABLE
    except Exception as error:  # a traceback would exit with 1, which means a regression
        _print_traceback(arguments)
        _print_error(f"{unforeseen_text(error)}, with the command and its input (--traceback shows more)")
        return UNFORESEEN
    return code


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace | None:
    """Return the parsed arguments; None where argparse has printed the help or the version.

    Raises:
        UsageError: an argument is invalid, or there is none.
    """
    parser = _parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit:
        return None
    if arguments.run is None:
        arguments.run = partial(_print_help, parser)
    return arguments


def _print_help(parser: argparse.ArgumentParser, _: argparse.Namespace) -> int:
    parser.print_help(sys.stderr)
    return UNUSABLE


def _print_traceback(arguments: argparse.Namespace | None) -> None:
    if arguments is not None and arguments.traceback:
        traceback.print_exc()


def _print_error(problem: object) -> None:
    """Print one line on standard error, even if the user's input has line breaks or escape sequences."""
    notify(f"error: {problem}")


def _discard_output() -> None:
    """Discard the rest of standard output: Python would print another error when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="breakeven",
        description="From which batch size, and by how much, does an accelerator beat the CPU?",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    parser.set_defaults(run=None)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        name, summary, module = command.name, command.summary, command.module
        text = f"{capital(summary)}."
        sub = subparsers.add_parser(name, help=summary, description=text, epilog=module.EPILOG)
        module.add_arguments(sub)
        sub.add_argument("--traceback", action="store_true", help="show the traceback of an error")
        sub.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
