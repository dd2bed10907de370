"""The details of a report in sentences: what would change the verdict, what bounds a step, what pays."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from breakeven import format as fmt
from breakeven.case import Model
from breakeven.device_names import is_cpu
from breakeven.format import one_line
from breakeven.grouping import grouped
from breakeven.report.bottleneck import Bottleneck
from breakeven.report.bound import Bound
from breakeven.report.break_even import BreakEven
from breakeven.report.speedup import DeviceVerdict
from breakeven.report.text import DisplayNames, ModelNames, headline_devices, steps_to_pay_back
from breakeven.report.variants import Variant
from breakeven.report.waiting import WaitingCost
from breakeven.report.what_if import WhatIf
from breakeven.runs.machine import Machine
from breakeven.stats.crossing import CrossingStatus as Status


def what_if_sentences(
    what_ifs: Sequence[WhatIf], lines: Sequence[BreakEven], machines: Sequence[Machine], models: ModelNames
) -> list[str]:
    """Return a sentence for each scenario of each candidate that the verdict is about.

    Args:
        what_ifs: as `breakeven.report.what_if.what_ifs` returns them.
        lines: all break-evens of the report.
        machines: in the order of the report.
        models: the names of all models.
    """
    groups = grouped(
        ((row.line.candidate.machine, row.line.candidate.device, row.scenario), row) for row in what_ifs
    )
    places = [
        (machine, device)
        for machine in machines
        for device in headline_devices([row for row in lines if row.candidate.machine == machine.class_id])
    ]
    found, unmoved = [], dict[str, None]()
    for machine, device in places:
        where = f"{one_line(device, 40)} on {machine.label}: " if len(places) > 1 else ""
        for (class_id, name, scenario), group in groups.items():
            if (class_id, name) != (machine.class_id, device):
                continue
            if where and not any(map(_moves, group)):
                unmoved[scenario] = None
                continue
            sentence = _what_if(group, models)
            found.append(f"{where}{sentence if where else fmt.capital(sentence)}.")
    if unmoved:  # once for all: on many machines these would hide what does change
        found.append(f"No other break-even is shown to move {', '.join(unmoved)}.")
    return found


def bottleneck_sentences(
    found: Iterable[Bottleneck], machines: Iterable[Machine], models: ModelNames
) -> list[str]:
    """Return a sentence for each kind of bound on each accelerator: where it applies, and what helps."""
    names = DisplayNames({machine.class_id: machine.label for machine in machines}, models)
    places = grouped(
        (row.place, (kind, f"{models[row.line.model]}, batch {low if low == high else f'{low} to {high}'}"))
        for row in found
        for kind, low, high in row.stretches()
    )
    return [
        f"On {names.device(*place)}, {kind} ({fmt.joined(kinds[kind], separator='; ')}): {kind.advice}."
        for place, stretches in places.items()
        for kinds in [grouped(stretches)]
        for kind in Bound
        if kind in kinds and kind.advice
    ]


def waiting_sentences(
    found: Iterable[WaitingCost], machines: Iterable[Machine], models: ModelNames
) -> list[str]:
    """Return a sentence for each device: what waiting costs each model, where it costs most."""
    names = DisplayNames({machine.class_id: machine.label for machine in machines}, models)
    places = grouped(((row.key.device, row.key.machine), (row.key.model, row)) for row in found)
    return [
        f"On {names.device(*place)}, "
        + (_no_waiting([row for _, row in pairs]) if is_cpu(place[0]) else _waiting_of_all(pairs, models))
        for place, pairs in places.items()
    ]


def _no_waiting(rows: Sequence[WaitingCost]) -> str:
    """Return the ratio over all cells: that of a single one is noise, because nothing waits on a CPU."""
    ratios = [row.ratio.ratio for row in rows if row.ratio.ratio is not None]
    cells = fmt.plural(len(ratios), "cell")
    return (
        f"nothing waits: train_sync takes {fmt.ratio(median(ratios))} as long as train "
        f"({'median of ' if len(ratios) > 1 else ''}{cells})."
    )


def _waiting_of_all(pairs: Iterable[tuple[Model, WaitingCost]], models: ModelNames) -> str:
    listed = fmt.joined([_waiting(rows, models) for rows in grouped(pairs).values()], separator="; ")
    return f"waiting for the device in every step, as for loss.item(), takes {listed}."


def _waiting(rows: Sequence[WaitingCost], models: ModelNames) -> str:
    row = max(rows, key=lambda row: row.ratio.ratio or 0.0)
    ratio = f"{fmt.ratio(row.ratio.ratio)} {fmt.ratio_between(row.ratio.low, row.ratio.high)}".strip()
    most = " at most" if len(rows) > 1 else ""
    return f"{ratio} as long{most} ({models[row.key.model]}, batch {row.key.batch_size})"


def variant_sentences(found: Iterable[Variant], machines: Iterable[Machine]) -> list[str]:
    """Return a sentence for each change on each device: where it pays, the best cell, the one-time cost."""
    names = DisplayNames({machine.class_id: machine.label for machine in machines}, {})
    groups = grouped(((*variant.place, variant.name), variant) for variant in found)
    return [
        f"On {names.device(device, machine)}, {name} {_variant(rows)}{_variant_once(_best(rows))}"
        f"{'; it computes at lower precision' if rows[0].is_less_precise else ''}."
        for (device, machine, name), rows in groups.items()
    ]


def reach(row: Bottleneck) -> str:
    """Return what bounds a model at which batch sizes.

    >>> from breakeven.case import Line, Model
    >>> from breakeven.report.bottleneck import BoundCell
    >>> from breakeven.runs.schema import CaseFacts
    >>> kinds = ((1, Bound.LAUNCH), (64, Bound.LAUNCH), (512, Bound.MIXED), (4096, Bound.COMPUTE))
    >>> cells = tuple(BoundCell(batch, kind, 1.0, None, None, None, CaseFacts()) for batch, kind in kinds)
    >>> line = Line(Model("mlp"), "train", "cuda")
    >>> reach(Bottleneck(line, cells, 64, True))
    'launch-bound up to batch 64, mixed at 512, compute-bound at 4096'
    >>> reach(Bottleneck(line, cells[:2], 64, False))
    'launch-bound at every measured batch size (1 to 64)'
    """
    stretches = list(row.stretches())
    if len(stretches) == 1:
        kind, smallest, largest = stretches[0]
        if kind is Bound.UNMEASURED:
            return str(kind)
        if smallest == largest:
            return f"{kind} at batch {largest}, the only one measured"
        return f"{kind} at every measured batch size ({smallest} to {largest})"
    first, *middle, last = stretches
    between = [
        f"{kind} at {low}" if low == high else f"{kind} from {low} to {high}" for kind, low, high in middle
    ]
    begin = "at" if first[1] == first[2] else "up to"
    end = "at" if last[1] == last[2] else "from"
    return ", ".join([f"{first[0]} {begin} batch {first[2]}", *between, f"{last[0]} {end} {last[1]}"])


def flat(row: Bottleneck) -> str:
    """Return up to which batch size a step takes no longer than at the smallest.

    >>> from breakeven.case import Line, Model
    >>> from breakeven.report.bottleneck import BoundCell
    >>> from breakeven.runs.schema import CaseFacts
    >>> facts = CaseFacts()
    >>> cells = tuple(BoundCell(batch, Bound.LAUNCH, 1.0, None, None, None, facts) for batch in (1, 8, 64))
    >>> ends = (8, True), (8, False), (64, False), (None, True), (None, False)
    >>> [flat(Bottleneck(Line(Model("mlp"), "train", "cuda"), cells, *end)) for end in ends]
    ['8', '8, undecided above', '64, the largest', 'grows from 1 on', 'undecided']
    """
    if len(row.cells) == 1:
        return "one batch size only"
    if row.flat_to is None:
        return f"grows from {row.batches[0]} on" if row.grows else "undecided"
    if row.flat_to == row.batches[-1]:
        return f"{row.flat_to}, the largest"
    return f"{row.flat_to}" if row.grows else f"{row.flat_to}, undecided above"


def once(variant: Variant) -> str:
    """Return the one-time costs, such as ``compiling 7.50 s, capturing 250 ms``; empty if there are none."""
    costs = (("compiling", variant.compile_s), ("capturing", variant.capture_s))
    return ", ".join(f"{name} {fmt.seconds(cost)}" for name, cost in costs if cost is not None)


def _what_if(group: Sequence[WhatIf], models: ModelNames) -> str:
    scenario = group[0].scenario
    moved = [row for row in group if _moves(row)]
    if not moved:
        where = f" ({group[0].other.describe()})" if len(group) == 1 else f" for any of {len(group)} models"
        return f"{scenario}, the break-even is not shown to move{where}"
    farthest = max(moved, key=lambda row: abs(_position(row.line) - _position(row.other)))
    text = (
        f"{scenario}, {farthest.other.describe()} instead of {farthest.line.describe().removeprefix('from ')}"
    )
    if len(group) == 1:
        return text
    verb = "changes" if len(moved) == 1 else "change"
    return f"{text} for {models[farthest.line.model]}; {len(moved)} of {len(group)} models {verb}"


def _moves(row: WhatIf) -> bool:
    """Return whether the two break-evens are shown to differ: another status, or intervals apart."""
    one, other = row.line.crossing, row.other.crossing
    if Status.UNDECIDED in (one.status, other.status):
        return False
    if one.status is not Status.CROSSES or other.status is not Status.CROSSES:
        same = {one.status, other.status} == {Status.NEVER, Status.BEYOND_RANGE}
        return one.status is not other.status and not same
    return (one.high or math.inf) < (other.low or 0) or (other.high or math.inf) < (one.low or 0)


def _position(line: BreakEven) -> float:
    """Return a break-even in powers of two; another status is farther away than any batch size."""
    found = line.crossing
    if found.status is Status.CROSSES and found.batch_size is not None:
        return math.log2(found.batch_size)
    return -1000.0 if found.status is Status.ALWAYS else 1000.0


def _variant(rows: Sequence[Variant]) -> str:
    counts = Counter(variant.row.verdict for variant in rows)
    cells = fmt.plural(len(rows), "cell")
    best = _best(rows)
    ratio = f"{fmt.ratio(best.row.speedup)} {fmt.ratio_between(best.row.low, best.row.high)}".strip()
    place = f"({best.sizes.label()}, batch {best.row.batch_size})"
    if len(rows) == 1:
        return f"is {best.row.verdict}, {ratio} {place}"
    if not counts[DeviceVerdict.FASTER]:
        kinds = [f"{counts[kind]} {kind}" for kind in DeviceVerdict if counts[kind]]
        return f"pays in none of {cells} ({', '.join(kinds)})"
    return f"is faster in {counts[DeviceVerdict.FASTER]} of {cells}, {ratio} at best {place}"


def _variant_once(best: Variant) -> str:
    if best.row.verdict is not DeviceVerdict.FASTER or not once(best) or best.paid_back is None:
        return ""
    steps = steps_to_pay_back(best.paid_back)
    return f"; what happens once ({once(best)}) is paid back after {steps} steps"


def _best(rows: Sequence[Variant]) -> Variant:
    return max(
        rows, key=lambda variant: (variant.row.verdict is DeviceVerdict.FASTER, variant.row.speedup or 0.0)
    )
