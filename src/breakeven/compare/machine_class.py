"""Whether the machine classes of runs are the same, field by field.

Times of two machine classes differ for reasons that are not regressions, so `compare` rejects them unless the
user allows a field to vary. A report compares machines on purpose: see `breakeven.report.comparability`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from breakeven import format as fmt
from breakeven.errors import DifferentMachinesError
from breakeven.format import one_line
from breakeven.runs.machine import Machine, classes_of, differences, partly_recorded
from breakeven.runs.schema import Run


def class_of(runs: Sequence[Run]) -> Machine | None:
    """Return the machine class of runs, None where they are of several."""
    classes = {machine.class_id: machine for machine in classes_of(run.machine for run in runs)}
    return classes.popitem()[1] if len(classes) == 1 else None


def check_classes(runs: Sequence[Run], vary: Collection[str] = ()) -> list[str]:
    """Return the warnings about the runs' machine classes.

    Args:
        runs: those of both sides; two runs of one side must not differ either.
        vary: the fields that may differ.

    Raises:
        DifferentMachinesError: two runs are of different classes in a field that may not vary.
    """
    known = [run.machine for run in runs if run.machine.is_recorded or run.machine.facts]
    different = differences(known)
    refused = {name: values for name, values in different.items() if name not in vary}
    if refused:
        raise DifferentMachinesError(_refusal(refused, [name for name in vary if name not in different]))
    return [
        *unrecorded_warnings(runs),
        *(
            f"{one_line(name, 40)} differs ({fmt.listed(values)}), as --vary allows: the ratios include the "
            "effect of that difference"
            for name, values in different.items()
        ),
    ]


def unrecorded_warnings(runs: Sequence[Run]) -> list[str]:
    """Return a warning for the runs that do not record their machine, and one for fields that some lack."""
    unknown = [one_line(run.path, 100) for run in runs if not run.machine.is_recorded]
    warnings = []
    if unknown:
        warnings.append(
            f"{fmt.joined(unknown)}: the file does not record the machine class, so different machines would "
            "not be noticed; measure both sides with breakeven's plugin"
        )
    partly = partly_recorded(run.machine for run in runs)
    if partly:
        warnings.append(
            f"only some of the files record {fmt.joined([one_line(name, 40) for name in partly], 6)}, so a "
            "difference there would not be noticed; measure both sides with one version of breakeven"
        )
    return warnings


def difference_text(different: Mapping[str, Sequence[str]]) -> str:
    """Return the fields that differ, with their values."""
    return "; ".join(f"{one_line(name, 40)} ({fmt.listed(values)})" for name, values in different.items())


def _refusal(refused: Mapping[str, Sequence[str]], unused: Sequence[str]) -> str:
    names = ",".join(one_line(name, 40) for name in refused)
    beside = (
        f"; --vary {','.join(unused)} has no effect, because the runs do not differ in it" if unused else ""
    )
    return (
        f"the runs come from different machine classes: {difference_text(refused)}{beside}; measure both "
        f"sides on one machine, or allow the difference with --vary {names}"
    )
