"""Whether the machine classes of runs are the same, field by field.

Times of two machine classes differ for reasons that are not regressions, so `compare` rejects them unless the
user allows a field to vary. A report compares machines on purpose: see `breakeven.report.comparability`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from breakeven import format as fmt
from breakeven.errors import DifferentMachinesError
from breakeven.format import one_line
from breakeven.runs.schema import Run

CLASS_ID = "class_id"
"""The field that is reported as different if the files record no other."""

_NOT_RECORDED = "not recorded"


def recorded_class(run: Run) -> str | None:
    """Return the class id that the run file records, None where it records none."""
    return run.machine.class_id if run.machine.is_recorded else None


def check_classes(runs: Sequence[Run], vary: Collection[str] = ()) -> list[str]:
    """Return the warnings about the runs' machine classes.

    Args:
        runs: those of both sides; two runs of one side must not differ either.
        vary: the fields that may differ.

    Raises:
        DifferentMachinesError: two runs are of different classes in a field that may not vary.
    """
    unknown = [one_line(run.path, 100) for run in runs if recorded_class(run) is None]
    warnings = []
    if unknown:
        warnings.append(
            f"{fmt.joined(unknown)}: the file does not record the machine class, so different machines would "
            "not be noticed; measure both sides with breakeven's plugin"
        )
    different = differences([run for run in runs if recorded_class(run) is not None])
    refused = {name: values for name, values in different.items() if name not in vary}
    if refused:
        raise DifferentMachinesError(_refusal(refused, [name for name in vary if name not in different]))
    return warnings + [
        f"{name} differs ({values}), as --vary allows: the ratios include the effect of that difference"
        for name, values in different.items()
    ]


def differences(runs: Sequence[Run]) -> dict[str, str]:
    """Return the fields that differ between runs, each with its values as text."""
    # Runs of one class id have the same facts, so one run of each class is enough.
    classes = {recorded_class(run): run.machine.facts for run in runs}
    if len(classes) < 2:
        return {}
    names = dict.fromkeys(name for facts in classes.values() for name in facts)
    different = {
        name: values
        for name in names
        if len(values := _distinct(facts.get(name, _NOT_RECORDED) for facts in classes.values())) > 1
    }
    ids = _distinct(class_id or _NOT_RECORDED for class_id in classes)
    return {name: " and ".join(values) for name, values in (different or {CLASS_ID: ids}).items()}


def difference_text(different: Mapping[str, str]) -> str:
    """Return the fields that differ, with their values."""
    return "; ".join(f"{one_line(name, 40)} ({values})" for name, values in different.items())


def _distinct(values: Iterable[Any]) -> list[str]:
    """Return the distinct values as text; 1 and True are distinct, as are None and a missing one."""
    texts = [value if isinstance(value, str) else json.dumps(value, default=str) for value in values]
    return [one_line(text, 60) for text in dict.fromkeys(texts)]  # distinguished before they are shortened


def _refusal(refused: Mapping[str, str], unused: Sequence[str]) -> str:
    names = ",".join(one_line(name, 40) for name in refused)
    beside = (
        f"; --vary {','.join(unused)} has no effect, because the runs do not differ in it" if unused else ""
    )
    return (
        f"the runs come from different machine classes: {difference_text(refused)}{beside}; measure both "
        f"sides on one machine, or allow the difference with --vary {names}"
    )
