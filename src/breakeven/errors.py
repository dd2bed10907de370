"""The exceptions that breakeven raises.

::

    BreakevenError              one line: the value, what was expected, the remedy
    ├── UsageError              an option, a mark or an argument cannot be used
    ├── RecipeError             a workload's recipe raised, or did not return a workload
    ├── MeasurementError        a case has no valid timing: its loss is NaN, or differs from the CPU's
    ├── StoreError              a store of runs, or a file in it, cannot be written or read
    │   └── StorageError        ... because of its disk, its object store or the network
    ├── RunFileError            a run file cannot be read
    │   └── NewerSchemaError    ... because a newer breakeven wrote it
    ├── DifferentMachinesError  runs of different machines cannot be compared (exit code 3)
    ├── SeparateRunsError       run files are not parts of one run, and cannot be merged (exit code 3)
    └── UnforeseenError         a process that breakeven started failed by an error of breakeven itself (70)

``exit_code`` is the exit code of the ``breakeven`` command when the error reaches it. Any other exception is
an error of breakeven itself, which `unforeseen_text` reports.
"""

from __future__ import annotations

import traceback
from pathlib import Path

UNFORESEEN = 70
"""The exit code of an error of breakeven itself (sysexits.h's "internal software error")."""

_REPORT = "please report it to breakeven's issue tracker"

_PACKAGE = Path(__file__).parent
_CALLERS = ("pluggy", "_pytest")


def unforeseen_text(error: BaseException) -> str:
    """Return one line about an error of breakeven itself: what it is, where it is, and where to report it."""
    text = " ".join(str(error).split()) or "no message"
    place = _place(error)
    where = "" if place is None else f" ({place})"
    return f"an error of breakeven itself: {type(error).__name__}: {text[:120]}{where}; {_REPORT}"


def report_text(error: BaseException) -> str:
    """Return where to report an error that a line of breakeven raised; nothing for other errors.

    Python raises the error of a call with wrong arguments in the line of the call, so that it may be that of
    a function of the user's.
    """
    frames = traceback.extract_tb(error.__traceback__)
    is_ours = bool(frames) and Path(frames[-1].filename).is_relative_to(_PACKAGE)
    is_explained = error.__cause__ is not None  # breakeven knows the error, and its remedy
    if not is_ours or is_explained or isinstance(error, BreakevenError | RuntimeError):  # the last is torch's
        return ""
    return f" ({_place(error)}); if your benchmark is right, {_REPORT}"


def is_own(error: BaseException) -> bool:
    """Return whether breakeven, or a library that it called, raised an error: not what pytest has called."""
    return _place(error) is not None


def _place(error: BaseException) -> str | None:
    """Return the innermost line of breakeven before any of pytest's."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.is_relative_to(_PACKAGE):
            return f"{file.relative_to(_PACKAGE.parent).as_posix()}:{frame.lineno}"
        if any(name in file.parts for name in _CALLERS):
            return None
    return None


class BreakevenError(Exception):
    """Base class. The message is one line with the value, what was expected and the remedy."""

    exit_code = 2


class UsageError(BreakevenError):
    """An option, a mark or an argument cannot be used."""


class RecipeError(BreakevenError):
    """A workload's recipe raised, or did not return a workload."""


class MeasurementError(BreakevenError):
    """A case ran, but has no valid timing."""


class RunFileError(BreakevenError):
    """A run file is missing, incomplete, of another format, or newer than this breakeven."""


class NewerSchemaError(RunFileError):
    """A run file has a newer schema: it may be valid, but this breakeven cannot read it."""


class DifferentMachinesError(BreakevenError):
    """Runs are of different machine classes, so their differences may not be due to the code."""

    exit_code = 3


class SeparateRunsError(BreakevenError):
    """Run files are not parts of one run: of another machine class, commit or sweep, or with other rounds."""

    exit_code = 3


class UnforeseenError(BreakevenError):
    """A process that breakeven started failed by an error of breakeven itself; the message is its line."""

    exit_code = UNFORESEEN


class StoreError(BreakevenError):
    """A store of runs cannot be written or read, or a file in it is damaged."""


class StorageError(StoreError):
    """The disk, the object store or the network refuses; `problem` is the reason, `remedy` what to do."""

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        super().__init__(f"{where}: {problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy
