"""What would flip the verdict, in words: one sentence a circumstance, one cell a model.

Owns the wording. Computes nothing but which of two break-evens comes first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from breakeven import format as fmt
from breakeven.format import one_line
from breakeven.report.break_even import BreakEven
from breakeven.report.text import spoken_of
from breakeven.report.what_if import WhatIf
from breakeven.runs.machine import Machine, Names


def flip_sentences(
    what_ifs: Sequence[WhatIf],
    lines: Sequence[BreakEven],
    machines: Sequence[Machine],
    names: Names,
) -> list[str]:
    """Return a sentence for each circumstance of each candidate that the verdict speaks of.

    Args:
        flips: as `breakeven.report.what_if.flips` returns them.
        lines: all break-evens of the report.
        machines: in the order to speak of them.
        names: of all models.
    """
    spoken = {
        (machine.class_id, candidate): machine.label
        for machine in machines
        for candidate in spoken_of([line for line in lines if line.class_id == machine.class_id])
    }
    groups: dict[tuple[tuple[str, str], str], list[WhatIf]] = {}
    for flip in what_ifs:
        groups.setdefault(((flip.line.class_id, flip.line.candidate), flip.scenario), []).append(flip)
    found, unmoved = [], dict[str, None]()
    for place, label in spoken.items():
        where = f"{one_line(place[1], 40)} on {label}: " if len(spoken) > 1 else ""
        for (candidate, scenario), group in groups.items():
            if candidate != place:
                continue
            if where and not any(map(_moved, group)):
                unmoved[scenario] = None
                continue
            sentence = _sentence(group, names)
            found.append(f"{where}{sentence if where else fmt.capital(sentence)}.")
    if unmoved:  # once for all: on many machines it would drown what does change
        found.append(f"No other break-even is shown to move {', '.join(unmoved)}.")
    return found


def from_where(line: BreakEven) -> str:
    """Return from which batch size on the candidate of `line` wins, as a phrase."""
    found = line.crossing
    if found.status == "crosses" and found.batch_size is not None:
        between = fmt.batch_between(found.low, found.high, line.batches[0], line.batches[-1])
        return f"from batch {fmt.batch(found.batch_size)} {between}"
    if found.status == "always":
        return f"at every measured batch size (from {line.batches[0]})"
    if found.status == "beyond_range":
        return f"beyond batch {line.batches[-1]} only"
    if found.status == "never":
        return f"never (to batch {line.batches[-1]})"
    return fmt.undecided_range(*found.bracket)


def _sentence(group: Sequence[WhatIf], names: Names) -> str:
    scenario = group[0].scenario
    moved = [flip for flip in group if _moved(flip)]
    models = fmt.plural(len(group), "model")
    if not moved:
        where = f" ({from_where(group[0].other)})" if len(group) == 1 else f" for any of {models}"
        return f"{scenario}, the break-even is not shown to move{where}"
    most = max(moved, key=_distance)
    text = f"{scenario}, {from_where(most.other)} instead of {from_where(most.line).removeprefix('from ')}"
    if len(group) == 1:
        return text
    place = names[most.line.workload, most.line.axes]
    return f"{text} for {place}; {len(moved)} of {models} change"


def _moved(flip: WhatIf) -> bool:
    """Return whether the two break-evens are shown to differ: another status, or intervals apart."""
    one, other = flip.line.crossing, flip.other.crossing
    if "undecided" in (one.status, other.status):
        return False
    if one.status != "crosses" or other.status != "crosses":
        return one.status != other.status and {one.status, other.status} != {"never", "beyond_range"}
    return (one.high or math.inf) < (other.low or 0) or (other.high or math.inf) < (one.low or 0)


def _distance(flip: WhatIf) -> float:
    """How far apart two break-evens are, in powers of two; another status is farther than any shift."""
    return abs(_position(flip.line) - _position(flip.other))


def _position(line: BreakEven) -> float:
    found = line.crossing
    if found.status == "crosses" and found.batch_size is not None:
        return math.log2(found.batch_size)
    return -1000.0 if found.status == "always" else 1000.0
