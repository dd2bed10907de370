"""Why a run was measured on a busy machine: by the look before its first case, and by those after it.

A state of an unknown form is ignored.
"""

from __future__ import annotations

from breakeven.fitness import Load, Look, Problem
from breakeven.runs.json_files import mapping
from breakeven.runs.schema import Run


def problems_of(state: object) -> list[Problem]:
    """Return what was wrong with the machine, the worst first.

    Args:
        state: the object under ``machine_info.breakeven.state`` in a run file. ``look`` is what was found
            before the first case. ``loads``, read between its processes, count if most of them are busy.
    """
    look = Look.from_dict(mapping(state).get("look"))
    if look is not None and look.found:
        return look.found
    listed = mapping(state).get("loads")
    loads = [load for item in (listed if isinstance(listed, list) else []) if (load := Load.from_dict(item))]
    busy = [load.problem for load in loads if load.problem is not None]
    return busy[:1] if 2 * len(busy) > len(loads) else []


def busy_lines(run: Run) -> list[str]:
    """Return a warning for each problem of the machine on which a run was measured."""
    return [f"{run.path}: measured on a busy machine: {problem}" for problem in problems_of(run.state)]
