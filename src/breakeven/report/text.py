"""The report in sentences, made once for terminal, page, markdown and JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from breakeven import format as fmt
from breakeven.case import Model
from breakeven.device_names import is_cpu
from breakeven.format import one_line
from breakeven.phases import COMPARED, HEADLINE
from breakeven.report.bottleneck import Bottleneck, Bound
from breakeven.report.break_even import BreakEven
from breakeven.report.comparability import Comparability, ComparabilityLevel
from breakeven.report.speedup import DeviceVerdict, Speedup
from breakeven.report.startup_cost import Payback
from breakeven.report.variants import Variant
from breakeven.report.what_if import WhatIf
from breakeven.runs.machine import Machine
from breakeven.stats.crossing import CrossingStatus as Status

LESS_PRECISE = {"tf32": True, "dtype": "bfloat16"}
"""Changes after which a step computes something slightly different, which its time does not show."""

ModelNames = Mapping[Model, str]
"""The name of each model in a sentence."""


@dataclass(frozen=True)
class Conclusion:
    """The result for one candidate: the sentence that matters most, then the others."""

    headline: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.headline, *self.details))


@dataclass(frozen=True)
class DisplayNames:
    """The names of machines (by class id) and models in sentences."""

    machines: Mapping[str, str]
    models: ModelNames

    def baseline(self, row: BreakEven) -> str:
        """Return the baseline's name, with its machine where that is not the candidate's."""
        return self._elsewhere(row, fmt.device_name(row.baseline.device))

    def baseline_id(self, row: BreakEven) -> str:
        """Return the baseline as it was asked for, such as ``cpu``, with its machine where needed."""
        return self._elsewhere(row, row.baseline.device)

    def device(self, device: str, machine: str) -> str:
        """Return a device's name, with its machine where there are several."""
        return f"{fmt.device_name(device)}{f' of {self.machines[machine]}' if len(self.machines) > 1 else ''}"

    def _elsewhere(self, row: BreakEven, name: str) -> str:
        is_away = row.baseline.machine != row.candidate.machine
        return f"{name} of {self.machines[row.baseline.machine]}" if is_away else name


def model_names(models: Iterable[Model]) -> dict[Model, str]:
    """Return the name of each model in a sentence.

    Axes that all models of a workload share are left out, since they distinguish nothing; a model that is
    alone keeps them.

    >>> from breakeven.case import Axes
    >>> models = [Model("mlp", Axes({"depth": 2, "width": width})) for width in (8, 64)]
    >>> list(model_names(models).values())
    ['mlp at width=8', 'mlp at width=64']
    """
    known = list(dict.fromkeys(models))
    names = {}
    for model in known:
        others = [other.axes for other in known if other.workload == model.workload]
        shared = {
            name
            for name, value in model.axes.items()
            if len(known) > 1 and all(name in axes and axes[name] == value for axes in others)
        }
        axes = model.axes.without(shared)
        names[model] = one_line(f"{model.workload} at {axes}" if axes else model.workload)
    return names


def headline_phase(speedups: Iterable[Speedup]) -> str | None:
    """Return the phase of the verdict: the first of `COMPARED` that was compared, None without any."""
    present = list(dict.fromkeys(row.phase for row in speedups))
    return next((str(phase) for phase in (*COMPARED, *present) if phase in present), None)


def conclusions(
    machines: Sequence[Machine],
    speedups: Sequence[Speedup],
    break_evens: Sequence[BreakEven],
    paybacks: Sequence[Payback],
    devices: Mapping[str, Sequence[str]],
    outcome_counts: Mapping[str, int],
    models: ModelNames,
) -> list[Conclusion]:
    """Return the verdict on everything that was compared, one conclusion a candidate, accelerators first.

    Args:
        machines: in the order of the report.
        speedups: all rows; the headline phase is chosen among them.
        break_evens: likewise.
        paybacks: when candidates have paid back their start.
        devices: the timed devices of each class id.
        outcome_counts: the number of cases with each outcome.
        models: the names of all models.
    """
    phase = headline_phase(speedups)
    if phase is None:
        return [Conclusion(_nothing_compared(devices, outcome_counts))]
    names = DisplayNames({machine.class_id: machine.label for machine in machines}, models)
    found = []
    for machine in machines:
        lines = [
            row for row in break_evens if row.candidate.machine == machine.class_id and row.phase == phase
        ]
        for device in headline_devices(lines):
            of_device = [row for row in lines if row.candidate.device == device]
            found.append((is_cpu(device), _on(machine, machines, _candidate(of_device, paybacks, names))))
        for device in _unpaired(devices.get(machine.class_id, ()), break_evens, machine.class_id):
            text = f"{fmt.capital(fmt.device_name(device))} shares no timed cell with a baseline."
            found.append((False, _on(machine, machines, Conclusion(text))))
    ordered = [conclusion for _, conclusion in sorted(found, key=lambda item: item[0])]
    last = ordered[-1]
    return [*ordered[:-1], Conclusion(last.headline, (*last.details, _about_phase(phase, speedups)))]


def headline_devices(lines: Sequence[BreakEven]) -> list[str]:
    """Return the candidates among the lines of one machine that the verdict is about.

    Beside an accelerator a machine's other thread counts are only other baselines, which
    `breakeven.report.what_if` covers.
    """
    names = dict.fromkeys(row.candidate.device for row in lines)
    accelerated = any(not is_cpu(name) for name in names)
    at_home = {
        row.candidate.device
        for row in lines
        if is_cpu(row.baseline.device) and row.baseline.machine == row.candidate.machine
    }
    return [name for name in names if not (accelerated and is_cpu(name) and name in at_home)]


def refusal(comparable: Comparability) -> Conclusion:
    """Return the conclusion where the comparison is red."""
    red = [reason for reason in comparable.reasons if reason.level is ComparabilityLevel.RED]
    return Conclusion(
        "These numbers do not compare, so no speedup is given.",
        (
            *(f"{one_line(reason.text, 300)}." for reason in red),
            "--force gives the ratios anyway, and marks all that is based on them.",
        ),
    )


def what_if_sentences(
    what_ifs: Sequence[WhatIf], lines: Sequence[BreakEven], machines: Sequence[Machine], models: ModelNames
) -> list[str]:
    """Return a sentence for each circumstance of each candidate that the verdict is about.

    Args:
        what_ifs: as `breakeven.report.what_if.what_ifs` returns them.
        lines: all break-evens of the report.
        machines: in the order of the report.
        models: the names of all models.
    """
    groups: dict[tuple[str, str, str], list[WhatIf]] = {}
    for row in what_ifs:
        groups.setdefault((row.line.candidate.machine, row.line.candidate.device, row.scenario), []).append(
            row
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
    """Return a sentence for each kind of bound on each accelerator: where it holds, and what helps."""
    names = DisplayNames({machine.class_id: machine.label for machine in machines}, models)
    places: dict[tuple[str, str], dict[Bound, list[str]]] = {}
    for row in found:
        kinds = places.setdefault((row.line.device, row.line.machine), {})
        for kind, smallest, largest in row.stretches():
            where = f"{smallest}" if smallest == largest else f"{smallest} to {largest}"
            kinds.setdefault(kind, []).append(f"{models[row.line.model]}, batch {where}")
    return [
        f"On {names.device(*place)}, {kind} ({fmt.joined(kinds[kind], separator='; ')}): {kind.advice}."
        for place, kinds in places.items()
        for kind in Bound
        if kind in kinds and kind.advice
    ]


def variant_sentences(found: Iterable[Variant], machines: Iterable[Machine]) -> list[str]:
    """Return a sentence for each change on each device: where it pays, the best cell, what it costs once."""
    names = DisplayNames({machine.class_id: machine.label for machine in machines}, {})
    groups: dict[tuple[str, str, str], list[Variant]] = {}
    for variant in found:
        key = variant.row.candidate
        groups.setdefault((key.device, key.machine, variant.name), []).append(variant)
    return [
        f"On {names.device(device, machine)}, {name} {_variant(rows)}{_variant_once(_best(rows))}"
        f"{'; it computes at lower precision' if _is_less_precise(rows[0]) else ''}."
        for (device, machine, name), rows in groups.items()
    ]


def reach(row: Bottleneck) -> str:
    """Return what bounds a model at which batch sizes.

    >>> from breakeven.case import Line
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

    >>> from breakeven.case import Line
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
    """Return what a variant costs once, such as ``compiling 7.50 s, capturing 250 ms``; empty without any."""
    costs = (("compiling", variant.compile_s), ("capturing", variant.capture_s))
    return ", ".join(f"{name} {fmt.seconds(cost)}" for name, cost in costs if cost is not None)


def steps_to_pay_back(payback: Payback | None) -> str:
    """Return the steps of a payback with their interval, empty without one."""
    if payback is None:
        return ""
    return f"{fmt.count(payback.steps)} {fmt.count_between(payback.low, payback.high)}".strip()


def _on(machine: Machine, machines: Sequence[Machine], conclusion: Conclusion) -> Conclusion:
    """Return the conclusion with its machine's name, where there are several."""
    if len(machines) < 2:
        return conclusion
    headline = conclusion.headline
    return Conclusion(f"On {machine.label}: {headline[:1].lower()}{headline[1:]}", conclusion.details)


def _unpaired(devices: Iterable[str], break_evens: Iterable[BreakEven], machine: str) -> list[str]:
    """Return the accelerators of a machine that were timed and are in no break-even."""
    lines = [line for row in break_evens for line in (row.candidate, row.baseline)]
    paired = {(line.machine, line.device) for line in lines}
    return [name for name in devices if not is_cpu(name) and (machine, name) not in paired]


def _nothing_compared(devices: Mapping[str, Sequence[str]], outcome_counts: Mapping[str, int]) -> str:
    timed = sorted({device for names in devices.values() for device in names})
    if not timed:
        ended = ", ".join(f"{count} {one_line(word, 40)}" for word, count in outcome_counts.items())
        return f"Nothing was timed ({ended}), so nothing can be judged; see the outcomes."
    if all(len(names) < 2 for names in devices.values()):
        return (
            f"Only {one_line(', '.join(timed))} was timed, so there is nothing to compare it with; measure a "
            "second device on the same machine, such as --breakeven-devices=cpu@1,cpu."
        )
    return (
        f"{one_line(', '.join(timed))} were timed, but in no common case of a phase that can be compared "
        "(transfer cannot: on a CPU it does nothing), or without a CPU; measure the same cases on both, or "
        "choose another --baseline."
    )


def _candidate(lines: Sequence[BreakEven], paybacks: Sequence[Payback], names: DisplayNames) -> Conclusion:
    """Return the conclusion on one candidate on one machine against its baseline."""
    first = lines[0]
    rows = [row for line in lines for row in line.rows]
    main, details = (_one_model(first, names), []) if len(lines) == 1 else _several_models(lines, names)
    faster = [row for row in rows if row.verdict is DeviceVerdict.FASTER]
    best = max(faster, key=lambda row: row.speedup or 0, default=None)
    details.append(
        _counts(Counter(row.verdict for row in rows), first.candidate.device, names.baseline_id(first))
    )
    if best is not None:
        where = f"batch {best.batch_size}" + (f", {names.models[best.model]}" if len(lines) > 1 else "")
        main += f"; {fmt.ratio(best.speedup)} at best ({where})"
        details += [_payback(payback, names) for payback in paybacks if payback.row == best]
    return Conclusion(f"{fmt.capital(main)}.", tuple(details))


def _one_model(line: BreakEven, names: DisplayNames) -> str:
    beats, model, found = _beats(line, names), names.models[line.model], line.crossing
    if not line.batches:
        pair = f"{fmt.device_name(line.candidate.device)} and {names.baseline(line)}"
        return f"{pair} share no usable timing for {model}, so the break-even is undecided"
    largest = line.batches[-1]
    where = found.describe(line.batches)
    if found.status in (Status.CROSSES, Status.ALWAYS):
        return f"{beats} {where} for {model}"
    if found.status is Status.NEVER and len(line.batches) == 1:
        return f"{_is_slower(line, names)} for {model} at batch {largest}, the only one measured"
    if found.status is Status.NEVER:
        return f"{_is_slower(line, names)} for {model} at the largest measured batch size ({largest})"
    if found.status is Status.BEYOND_RANGE:
        at = "every measured batch size" if _is_slower_throughout(line) else "the largest measured batch size"
        return (
            f"{_is_slower(line, names)} for {model} at {at} (up to {largest}); the trend points to a "
            "break-even above it; measure larger batches"
        )
    if found.bracket[1] is not None:
        return f"{beats} for {model} {where}; the exact break-even is undecided"
    is_same = any(row.batch_size == largest and row.verdict is DeviceVerdict.SAME for row in line.rows)
    why = f"; at the largest measured ({largest}) they are the same within 2%" if is_same else ""
    return f"the batch size from which {beats} for {model} is undecided{why}"


def _several_models(lines: Sequence[BreakEven], names: DisplayNames) -> tuple[str, list[str]]:
    """Return the sentence that matters most, and those on the models that it is not about."""
    wins = [line for line in lines if _wins(line)]
    losses = _losses(lines)
    if not wins:
        return f"in none of {len(lines)} models is it shown that {_beats(lines[0], names)}", losses
    among = f"all {len(lines)}" if len(wins) == len(lines) else f"{len(wins)} of {len(lines)}"
    where = ", ".join(_where_it_wins(wins, names))
    return f"in {among} models {_beats(lines[0], names)} from some batch size on: {where}", losses


def _where_it_wins(wins: Sequence[BreakEven], names: DisplayNames) -> list[str]:
    """Return from which batch sizes on a candidate wins in several models, as phrases."""
    crossing = sorted(
        (line for line in wins if line.crossing.status is Status.CROSSES),
        key=lambda line: line.crossing.batch_size or 0,
    )
    latest = max((line.crossing.bracket[1] or 0 for line in wins if _is_at_the_latest(line)), default=None)
    late = sum(map(_is_at_the_latest, wins))
    always = len(wins) - len(crossing) - late
    found = [f"in {always} from the smallest measured"] if always else []
    if len(crossing) == 1:
        found.append(f"in 1 {_from(crossing[0])} ({names.models[crossing[0].model]})")
    elif crossing:
        first, last = crossing[0], crossing[-1]
        found.append(
            f"in {len(crossing)} {_from(first)} ({names.models[first.model]}) to "
            f"{_from(last).removeprefix('from ')} ({names.models[last.model]})"
        )
    if latest is not None:
        found.append(f"in {late} {fmt.undecided_range(None, latest)}")
    return found


def _losses(lines: Sequence[BreakEven]) -> list[str]:
    """Return a sentence for each way in which the candidate does not win in some models."""
    count = Counter(line.crossing.status for line in lines if not _is_at_the_latest(line))
    name = lines[0].candidate.device
    beyond = [line for line in lines if line.crossing.status is Status.BEYOND_RANGE]
    slower = "is slower" if all(map(_is_slower_throughout, beyond)) else "never wins"
    sentences = {
        f"{name} {slower} at the measured batch sizes; the trend points to a break-even above them": len(
            beyond
        ),
        f"{name} is slower at the largest batch size": count[Status.NEVER],
        "the break-even is undecided": count[Status.UNDECIDED],
    }
    return [f"In {fmt.plural(number, 'model')} {text}." for text, number in sentences.items() if number]


def _wins(line: BreakEven) -> bool:
    return line.crossing.status in (Status.CROSSES, Status.ALWAYS) or _is_at_the_latest(line)


def _is_at_the_latest(line: BreakEven) -> bool:
    return line.crossing.status is Status.UNDECIDED and line.crossing.bracket[1] is not None


def _is_slower_throughout(line: BreakEven) -> bool:
    return all(row.verdict is DeviceVerdict.SLOWER for row in line.rows)


def _beats(line: BreakEven, names: DisplayNames) -> str:
    verb = "beat" if fmt.is_plural(line.candidate.device) else "beats"
    return f"{fmt.device_name(line.candidate.device)} {verb} {names.baseline(line)}"


def _is_slower(line: BreakEven, names: DisplayNames) -> str:
    verb = "are" if fmt.is_plural(line.candidate.device) else "is"
    return f"{fmt.device_name(line.candidate.device)} {verb} slower than {names.baseline(line)}"


def _from(line: BreakEven) -> str:
    return line.crossing.describe(line.batches)


def _counts(count: Counter[DeviceVerdict], candidate: str, baseline: str) -> str:
    total = sum(count.values())
    parts = [f"{candidate} wins {count[DeviceVerdict.FASTER]} of {fmt.plural(total, 'cell')}"]
    parts.append(f"{baseline} {count[DeviceVerdict.SLOWER]}")
    for verdict, text in ((DeviceVerdict.SAME, "the same within 2%"), (DeviceVerdict.UNDECIDED, "undecided")):
        if count[verdict]:
            parts.append(f"{count[verdict]} {'is' if count[verdict] == 1 else 'are'} {text}")
    return one_line(", ".join(parts), 300) + "."


def _payback(payback: Payback, names: DisplayNames) -> str:
    name = fmt.device_name(payback.row.candidate.device)
    if payback.start_s <= 0:
        return f"{fmt.capital(name)} adds no start-up time."
    if payback.steps < 1:
        return f"The start-up time of {name}, {fmt.seconds(payback.start_s)}, is paid back in the first step."
    return (
        f"The start-up time of {name}, {fmt.seconds(payback.start_s)}, is paid back after "
        f"{steps_to_pay_back(payback)} steps at batch {payback.row.batch_size}, "
        f"{names.models[payback.row.model]}."
    )


def _about_phase(phase: str, speedups: Sequence[Speedup]) -> str:
    keys = [key for row in speedups for key in (row.candidate, row.baseline)]
    if phase == HEADLINE:
        accelerated = any(not is_cpu(key.device) for key in keys)
        transfer = ", transfer to the device included" if accelerated else ""
        return f"Times are of the whole training step{transfer}."
    return f"train was not compared: this is about {one_line(phase, 40)} alone."


def _what_if(group: Sequence[WhatIf], models: ModelNames) -> str:
    scenario = group[0].scenario
    moved = [row for row in group if _moves(row)]
    if not moved:
        where = f" ({_from(group[0].other)})" if len(group) == 1 else f" for any of {len(group)} models"
        return f"{scenario}, the break-even is not shown to move{where}"
    farthest = max(moved, key=lambda row: abs(_position(row.line) - _position(row.other)))
    text = f"{scenario}, {_from(farthest.other)} instead of {_from(farthest.line).removeprefix('from ')}"
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
    """Return a break-even in powers of two; another status is farther than any shift."""
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


def _is_less_precise(variant: Variant) -> bool:
    return any(variant.change.get(axis) == value for axis, value in LESS_PRECISE.items())


def _best(rows: Sequence[Variant]) -> Variant:
    return max(rows, key=lambda item: (item.row.verdict is DeviceVerdict.FASTER, item.row.speedup or 0.0))
