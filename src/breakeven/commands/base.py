"""What all subcommands share: their type, the exit codes, the argument parser, and printing.

Imports nothing heavy: a command loads what it needs when it runs.
"""

from __future__ import annotations

import argparse
import difflib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from breakeven.commands.arguments import directory_path
from breakeven.errors import UsageError
from breakeven.files import discard_unread_output
from breakeven.format import printable, without_commands

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.status import Status

    from breakeven.experiment.run_command import CommandRunner

OK, REGRESSED, UNUSABLE, NOT_JUDGED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes: no regression; a regression, or a failed self-test; bad usage or input; nothing could be
judged, or a machine that is not fit for timing; stopped by Ctrl-C or a signal."""


@dataclass(frozen=True)
class Command:
    """A subcommand; `module` has its `EPILOG`, `add_arguments(parser)` and `run(arguments)`."""

    name: str
    summary: str
    module: Any


class Parser(argparse.ArgumentParser):
    """An argument parser that raises its errors instead of printing them with the usage.

    Descriptions and epilogs are printed as they are written, for 80 columns. `rest` is the name of the list
    of arguments after ``--``, empty for a command that takes none: argparse loses those after an option.
    """

    rest = ""

    def __init__(self, **settings: Any) -> None:
        # Longer lines are hard to read; the 2 is argparse's.
        width = min(shutil.get_terminal_size().columns, 100) - 2
        raw = partial(argparse.RawDescriptionHelpFormatter, width=width)
        super().__init__(**{"formatter_class": raw, **settings})

    def parse_known_args(  # type: ignore[override]  # which declares an overload for every type of namespace
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Reject unknown arguments here: argparse leaves them to the outermost parser, whose help lacks them.

        Raises:
            UsageError: naming the first such argument.
        """
        given = list(sys.argv[1:] if args is None else args)
        end = given.index("--") if self.rest and "--" in given else len(given)
        if lost := [word for word in given[:end] if word.startswith("--") and word.endswith("=--")]:
            self.error(f"{lost[0]!r}: '--' is not a value")  # argparse would give the option an empty list
        known, unknown = super().parse_known_args(given[:end], namespace)
        if self.rest:
            setattr(known, self.rest, given[end + 1 :])
        if unknown:
            kind = "option" if unknown[0].startswith("-") else "argument"
            hint = f"; options of {self.rest} follow --" if self.rest and kind == "option" else ""
            self.error(f"unknown {kind} {unknown[0]!r}{hint}")
        return known, unknown

    def error(self, message: str) -> NoReturn:
        """Raise the message as a `UsageError`.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message}; see `{self.prog} --help`")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Suggest a subcommand for a mistyped one; only subcommands have a mapping as their choices."""
        if isinstance(action.choices, Mapping) and value not in action.choices:
            unknown = f"unknown {str(action.metavar).lower()} {value!r}"
            similar = difflib.get_close_matches(value, action.choices, n=1)
            if similar:
                raise UsageError(f"{unknown}; did you mean {similar[0]!r}?")
            self.error(f"{unknown}; choose from {', '.join(action.choices)}")
        super()._check_value(action, value)


def status(text: str) -> Status:
    """Show a spinner on standard error during a slow task, if it is a terminal."""
    from rich.console import Console

    return Console(stderr=True, highlight=False).status(text)


def show(items: Iterable[RenderableType]) -> None:
    """Print renderables, at most as wide as breakeven's tables."""
    from rich.console import Console

    from breakeven.render.terminal import WIDTH

    # A pipe has no width, and a wide terminal does not make tables easier to read.
    width = min(Console().width, WIDTH) if sys.stdout.isatty() else WIDTH
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        for item in items:
            console.print(item)
    sys.stdout.write(without_commands(captured.get()))  # a wrapped name may begin a line


def add_format(
    parser: argparse.ArgumentParser, formats: Sequence[str], text: str = "the format of standard output"
) -> None:
    """Add ``--format``, which is ``terminal`` by default; `text` is what its help says."""
    parser.add_argument("--format", choices=formats, default="terminal", help=f"{text} (default: terminal)")


def version() -> str:
    """Return the version of this breakeven."""
    from importlib.metadata import version  # slow to load

    return version("breakeven")


def print_line(text: object, stream: TextIO | None = None) -> None:
    """Print one line on standard output, or another stream, whatever characters names and paths have."""
    print(printable(text), file=stream, flush=stream is not None)


def notify(line: str) -> None:
    """Print a line on standard error, for the waiting user and the log of a CI job."""
    if sys.stderr is None:  # closed; print would use standard output instead
        return
    try:
        print_line(f"breakeven: {line}", sys.stderr)
    except OSError:  # nobody reads it, which must not end what the command does
        discard_unread_output()


def add_workspace_options(parser: argparse.ArgumentParser, output: str) -> None:
    """Add the options of commands that run commands: where runs are stored, and whether they are reused."""
    parser.add_argument(
        "-o", "--output", type=directory_path, default=Path(output), metavar="DIR",
        help="directory of run files and logs; an interrupted experiment resumes from it "
        f"(default: {output})",
    )  # fmt: skip
    parser.add_argument(
        "--fresh", action="store_true", help="start over; earlier runs in DIR move to DIR/previous"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="also show the output of the commands, which is in their logs"
    )


def in_workspace(
    arguments: argparse.Namespace,
    asked: Mapping[str, Any],
    act: Callable[[CommandRunner], int],
    *,
    keeps_finished: bool = False,
    check: Callable[[Path], object] | None = None,
) -> int:
    """Open the workspace of an experiment, call `act`, and return its exit code, also when interrupted.

    Args:
        arguments: with those of `add_workspace_options`.
        asked: plain JSON that identifies the experiment; it must be the same to resume.
        act: runs what is missing, shows the result and returns an exit code.
        keeps_finished: whether a finished experiment is shown again, or else starts over.
        check: raises a RunFileError for a run file that cannot be reused; by default the file is read.
    """
    from breakeven.experiment.run_command import CommandRunner
    from breakeven.experiment.shell import run_in_shell, stopping_on_signals
    from breakeven.experiment.workspace import open_workspace
    from breakeven.format import plural
    from breakeven.runs.reader import read_run

    kept = 0
    started = datetime.now().astimezone().isoformat(" ", "seconds")
    asked = {**asked, "working directory": os.getcwd()}  # noqa: PTH109 - a string, as in the plan
    try:
        with (
            stopping_on_signals(),
            open_workspace(
                arguments.output,
                asked,
                started,
                fresh=arguments.fresh,
                keeps_finished=keeps_finished,
                check=check or read_run,
            ) as workspace,
        ):
            try:
                for line in workspace.messages:
                    notify(line)
                shell = partial(run_in_shell, is_live=arguments.verbose, notify=notify)
                code = act(CommandRunner(workspace, shell, monotonic))
                sys.stdout.flush()  # where this fails, the next call shows the result without measuring
                workspace.finish()
                return code
            finally:
                kept = len(workspace.runs)
    except KeyboardInterrupt:
        runs = f"{plural(kept, 'completed run')} {'is' if kept == 1 else 'are'}"
        notify(f"interrupted; {runs} kept in {arguments.output}; run the same command to resume")
        return INTERRUPTED
