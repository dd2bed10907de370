"""May runs be held against each other at all? Their machine classes, field by field.

Owns the refusal of `compare`: times of two machine classes differ for reasons that are no regression. Says
which fields differ; what the user names may vary, and is said. Reports, which hold machine against machine on
purpose, have `breakeven.report.comparability` instead.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from breakeven import format as fmt
from breakeven.errors import DifferentMachinesError
from breakeven.format import one_line
from breakeven.runs.readings import Run

CLASS_ID = "class_id"
"""What differs where the files tell no field that does."""

_NOT_RECORDED = "not told"


def check_classes(runs: Sequence[Run], vary: Collection[str] = ()) -> list[str]:
    """Return what is to be said of the runs' classes, a line each.

    Args:
        runs: those of both sides; two of one side must not differ either.
        vary: the fields that may.

    Raises:
        DifferentMachinesError: two runs are of different classes in a field that may not vary.
    """
    unknown = [one_line(run.path, 100) for run in runs if run.class_id is None]
    warnings = []
    if unknown:
        warnings.append(
            f"{fmt.joined(unknown)}: nothing tells the machine class, so nobody can say whether the "
            "machines are the same; measure with breakeven's plugin on both sides"
        )
    unlike = differences([run for run in runs if run.class_id is not None])
    refused = {name: values for name, values in unlike.items() if name not in vary}
    if refused:
        raise DifferentMachinesError(_refusal(refused, [name for name in vary if name not in unlike]))
    return warnings + [
        f"{name} is not the same ({values}), as --vary allows: the ratios hold that difference too"
        for name, values in unlike.items()
    ]


def differences(runs: Sequence[Run]) -> dict[str, str]:
    """Return the fields that are not the same in all runs, each with its values as text."""
    if len({run.class_id for run in runs}) < 2:
        return {}
    # Of equal class ids the facts are equal: one run of each tells, and is named by the values alone.
    facts = list({run.class_id: run.facts for run in runs}.values())
    names = dict.fromkeys(name for fact in facts for name in fact)
    unlike = {
        name: values
        for name in names
        if len(values := _values(fact.get(name, _NOT_RECORDED) for fact in facts)) > 1
    }
    ids = _values(run.class_id for run in runs)
    return {name: " and ".join(values) for name, values in (unlike or {CLASS_ID: ids}).items()}


def _values(values: Iterable[Any]) -> list[str]:
    """Return the different values as text; 1 and True are not the same, nor are None and a missing one."""
    texts = [value if isinstance(value, str) else json.dumps(value, default=str) for value in values]
    return [one_line(text, 60) for text in dict.fromkeys(texts)]  # told apart before they are cut


def _refusal(refused: Mapping[str, str], idle: Sequence[str]) -> str:
    fields = "; ".join(f"{one_line(name, 40)} ({values})" for name, values in refused.items())
    names = ",".join(one_line(name, 40) for name in refused)
    beside = f"; --vary names {', '.join(idle)} in vain, which does not differ" if idle else ""
    return (
        f"the runs come from different machine classes: {fields}{beside}; measure both sides on one machine, "
        f"or allow it with --vary {names}"
    )
