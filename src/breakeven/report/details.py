"""The details of a report in sentences: what bounds a step, what waiting costs, what pays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from breakeven import format as fmt
from breakeven.case import Model
from breakeven.device_names import is_cpu
from breakeven.grouping import grouped
from breakeven.report.bottleneck import Bottleneck
from breakeven.report.bound import Bound
from breakeven.report.speedup import DeviceVerdict
from breakeven.report.text import ModelNames, place_name, steps_to_pay_back
from breakeven.report.variants import Variant
from breakeven.report.waiting import WaitingCost
from breakeven.runs.machine import Machine


def bottleneck_sentences(
    found: Iterable[Bottleneck], machines: Sequence[Machine], models: ModelNames
) -> list[str]:
    """Return a sentence for each kind of bound on each accelerator: where it applies, and what helps."""
    places = grouped(
        (row.place, (kind, f"{models[row.line.model]}, batch {_batches(low, high)}"))
        for row in found
        for kind, low, high in row.stretches()
    )
    return [
        f"On {place_name(*place, machines)}, {kind} ({fmt.joined(kinds[kind], separator='; ')}): "
        f"{kind.advice}."
        for place, stretches in places.items()
        for kinds in [grouped(stretches)]
        for kind in Bound
        if kind in kinds and kind.advice
    ]


def _batches(low: int, high: int) -> str:
    return fmt.batch_size(low) if low == high else f"{fmt.batch_size(low)} to {fmt.batch_size(high)}"


def waiting_sentences(
    found: Iterable[WaitingCost], machines: Sequence[Machine], models: ModelNames
) -> list[str]:
    """Return a sentence for each device: what waiting costs each model, where it costs most."""
    places = grouped(((row.key.device, row.key.machine), (row.key.model, row)) for row in found)
    return [
        f"On {place_name(*place, machines)}, "
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
    ratio = fmt.ratio_with_interval(row.ratio.ratio, row.ratio.low, row.ratio.high)
    most = " at most" if len(rows) > 1 else ""
    return f"{ratio} as long{most} ({models[row.key.model]}, batch {fmt.batch_size(row.key.batch_size)})"


def variant_sentences(found: Iterable[Variant], machines: Sequence[Machine]) -> list[str]:
    """Return a sentence for each change on each device: where it pays, the best cell, the one-time cost."""
    groups = grouped(((*variant.place, variant.name), variant) for variant in found)
    return [
        f"On {place_name(device, machine, machines)}, {name} {_variant(rows)}{_variant_once(_best(rows))}"
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
    'launch-bound up to batch 64, mixed at 512, compute-bound at 4,096'
    >>> reach(Bottleneck(line, cells[:2], 64, False))
    'launch-bound at every measured batch size (1 to 64)'
    """
    stretches = list(row.stretches())
    if len(stretches) == 1:
        kind, smallest, largest = stretches[0]
        if kind is Bound.UNMEASURED:
            return str(kind)
        if smallest == largest:
            return f"{kind} at batch {fmt.batch_size(largest)}, the only one measured"
        return f"{kind} at every measured batch size ({_batches(smallest, largest)})"
    first, *middle, last = stretches
    between = [
        f"{kind} {'at' if low == high else 'from'} {_batches(low, high)}" for kind, low, high in middle
    ]
    begin = "at" if first[1] == first[2] else "up to"
    end = "at" if last[1] == last[2] else "from"
    first_text = f"{first[0]} {begin} batch {fmt.batch_size(first[2])}"
    return ", ".join([first_text, *between, f"{last[0]} {end} {fmt.batch_size(last[1])}"])


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
        return f"grows from {fmt.batch_size(row.batches[0])} on" if row.grows else "undecided"
    flat_to = fmt.batch_size(row.flat_to)
    if row.flat_to == row.batches[-1]:
        return f"{flat_to}, the largest"
    return flat_to if row.grows else f"{flat_to}, undecided above"


def once(variant: Variant) -> str:
    """Return the one-time costs, such as ``compiling 7.50 s, capturing 250 ms``; empty if there are none."""
    costs = (("compiling", variant.compile_s), ("capturing", variant.capture_s))
    return ", ".join(f"{name} {fmt.seconds(cost)}" for name, cost in costs if cost is not None)


def _variant(rows: Sequence[Variant]) -> str:
    counts = Counter(variant.row.verdict for variant in rows)
    cells = fmt.plural(len(rows), "cell")
    best = _best(rows)
    ratio = fmt.ratio_with_interval(best.row.speedup, best.row.low, best.row.high)
    place = f"({best.sizes.label()}, batch {fmt.batch_size(best.row.batch_size)})"
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
