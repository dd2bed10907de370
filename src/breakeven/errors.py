"""Every error that breakeven raises on purpose, as one tree.

::

    BreakevenError              one line: the value, what was expected, the remedy
    ├── UsageError              what the user typed cannot be used: an option, a mark, an argument
    ├── RecipeError             a workload's recipe raised, or returned something else
    ├── MeasurementError        a case gave no honest timing: NaN loss, other result than the CPU's
    ├── StoreError              a store of runs, or a file in it, that cannot be written or read
    ├── RunFileError            a run file that cannot be read
    │   └── NewerSchemaError    ... because a newer breakeven wrote it
    └── DifferentMachinesError  runs that must not be held against each other (exit code 3)

``exit_code`` is what the ``breakeven`` command exits with when the error reaches it.
"""

from __future__ import annotations


class BreakevenError(Exception):
    """Base of all. The message is one line that names the value, what was expected and the remedy."""

    exit_code = 2


class UsageError(BreakevenError):
    """An option, a mark or an argument that cannot be used."""


class RecipeError(BreakevenError):
    """A workload's recipe raised, or returned something that is no workload."""


class MeasurementError(BreakevenError):
    """A case ran, but what it gave is no honest timing."""


class RunFileError(BreakevenError):
    """A run file that is missing, cut, foreign or newer than this breakeven."""


class NewerSchemaError(RunFileError):
    """A run file of a newer schema: nothing is wrong with it, but this breakeven cannot read it."""


class DifferentMachinesError(BreakevenError):
    """Runs of different machine classes: whatever differs between them need not be the code."""

    exit_code = 3


class StoreError(BreakevenError):
    """A store of runs that cannot be written or read, or a file in it that is damaged."""
