"""The report as sentences, the same in terminal, page, markdown and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from breakeven import format as fmt
from breakeven.case import Model, distinct_axes
from breakeven.device_names import is_cpu
from breakeven.format import one_line
from breakeven.phases import COMPARED, HEADLINE
from breakeven.report.break_even import BreakEven
from breakeven.report.comparability import Comparability, ComparabilityLevel
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import DeviceVerdict, Speedup
from breakeven.report.startup_cost import Payback
from breakeven.runs.look import problems_of
from breakeven.runs.machine import Machine
from breakeven.runs.schema import Run
from breakeven.stats.crossing import CrossingStatus as Status

SKEWED = 0.5
"""An interval with a larger relative half-width is shown by its ends, because ± would be misleading."""

TWO = 2
"""The medians of this many processes are shown one by one, where they give no interval."""

ModelNames = Mapping[Model, str]
"""The name of each model in a sentence."""


@dataclass(frozen=True)
class Conclusion:
    """The result for one candidate: the most important sentence, then the others."""

    headline: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.headline, *self.details))


@dataclass(frozen=True)
class DisplayNames:
    """The names of machines (by class id) and models in sentences."""

    machines: Mapping[str, str]
    models: ModelNames

    def baseline(self, row: BreakEven, *, short: bool = False) -> str:
        """Return the baseline's name, with its machine if it is not the candidate's."""
        device = row.baseline.device if short else fmt.device_name(row.baseline.device)
        is_away = row.baseline.machine != row.candidate.machine
        return f"{device} of {self.machines[row.baseline.machine]}" if is_away else device

    def device(self, device: str, machine: str) -> str:
        """Return a device's name, with its machine where there are several."""
        return f"{fmt.device_name(device)}{f' of {self.machines[machine]}' if len(self.machines) > 1 else ''}"


def model_names(models: Iterable[Model]) -> dict[Model, str]:
    """Return the name of each model in a sentence.

    Axes that are the same in all models of a workload are omitted, unless there is only one model.

    >>> from breakeven.case import Axes
    >>> models = [Model("mlp", Axes({"depth": 2, "width": width})) for width in (8, 64)]
    >>> list(model_names(models).values())
    ['mlp at width=8', 'mlp at width=64']
    """
    return {
        model: one_line(f"{model.workload} at {axes}" if axes else model.workload)
        for model, axes in distinct_axes(models).items()
    }


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
    """Return the verdict on everything that was compared, one conclusion per candidate, accelerators first.

    Args:
        machines: in the order of the report.
        speedups: all rows; the headline phase is chosen among them.
        break_evens: likewise.
        paybacks: when candidates have paid back their start-up time.
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

    On a machine with an accelerator, other thread counts are only other baselines, which
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


def headline_lines(
    machines: Sequence[Machine], break_evens: Sequence[BreakEven], phase: str | None
) -> list[BreakEven]:
    """Return the break-evens that the verdict is about, by machine and candidate."""
    found = []
    for machine in machines:
        lines = [
            row for row in break_evens if row.candidate.machine == machine.class_id and row.phase == phase
        ]
        for device in headline_devices(lines):
            found += [row for row in lines if row.candidate.device == device]
    return found


def time_text(case: Estimate) -> str:
    """Return a median with the half-width of its interval, in percent of the median."""
    if case.low_s is None or case.high_s is None or case.median_s == 0:
        return f"{fmt.seconds(case.median_s)} {_both(time_between(case))}".strip()
    half = (case.high_s - case.low_s) / 2 / case.median_s
    if half > SKEWED:
        return f"{fmt.seconds(case.median_s)} [{fmt.seconds(case.low_s)}–{fmt.seconds(case.high_s)}]"
    return f"{fmt.seconds(case.median_s)} ±{fmt.percent(half)}"


def speedup_text(row: Speedup | None) -> str:
    """Return a speedup with its interval, empty for None."""
    if row is None:
        return ""
    if row.low is None:
        return f"{fmt.ratio(row.speedup)} {_both(speedup_between(row))}".strip()
    return fmt.ratio_with_interval(row.speedup, row.low, row.high)


def time_between(case: Estimate) -> str:
    """Return the ends of a median's interval; without one, what several processes measured."""
    if case.low_s is not None and case.high_s is not None:
        return f"{fmt.seconds(case.low_s)} – {fmt.seconds(case.high_s)}"
    known = case.process_medians_s[~np.isnan(case.process_medians_s)]
    return _readings([fmt.seconds(median_s) for median_s in sorted(known.tolist())])


def speedup_between(row: Speedup) -> str:
    """Return a speedup's interval; without one, what several processes measured."""
    if row.speedup is None:
        return ""
    readings = [fmt.ratio(reading) for reading in sorted(row.readings)]
    return fmt.ratio_between(row.low, row.high, row.speedup) or _readings(readings)


def _readings(texts: Sequence[str]) -> str:
    """Return the ascending readings of several processes that give no interval; empty for one."""
    if len(texts) <= TWO:
        return " and ".join(texts) if len(texts) == TWO else ""
    return f"unknown: {texts[0]} to {texts[-1]} in {len(texts)} processes"


def _both(readings: str) -> str:
    return f"({readings})" if readings else ""


def refusal(comparable: Comparability) -> Conclusion:
    """Return the conclusion where the comparison is red."""
    red = [
        one_line(reason.text, 300) for reason in comparable.reasons if reason.level is ComparabilityLevel.RED
    ]
    return Conclusion(
        "These numbers are not comparable, so no speedup is reported.",
        (
            *(f"{text}." for text in red),
            "--force reports the ratios anyway, and marks everything based on them.",
        ),
    )


def distrust(runs: Sequence[Run]) -> list[Conclusion]:
    """Return the conclusion that comes first where runs were measured on a busy machine, else none."""
    busy = {run.name: problems[0] for run in runs if (problems := problems_of(run.state))}
    if not busy:
        return []
    names = fmt.joined([one_line(name, 40) for name in busy])
    which = "they were" if len(runs) == 1 else f"{names} {'was' if len(busy) == 1 else 'were'}"
    reason = next(iter(busy.values())).seen
    return [Conclusion(f"Do not trust these numbers: {which} measured on a busy machine ({reason}).")]


def steps_to_pay_back(payback: Payback | None) -> str:
    """Return the steps of a payback with their interval, empty without one."""
    if payback is None:
        return ""
    return f"{fmt.count(payback.steps)} {fmt.count_between(payback.low, payback.high)}".strip()


def _on(machine: Machine, machines: Sequence[Machine], conclusion: Conclusion) -> Conclusion:
    """Return the conclusion, with the machine's name if there are several."""
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
    count = Counter(row.verdict for row in rows)
    details.append(_counts(count, first.candidate.device, names.baseline(first, short=True)))
    if best is not None:
        where = f"batch {best.batch_size}" + (f", {names.models[best.model]}" if len(lines) > 1 else "")
        main += f"; {fmt.ratio(best.speedup)} at best ({where})"
        details += [_payback(payback, names) for payback in paybacks if payback.row == best]
    return Conclusion(f"{fmt.capital(main)}.", tuple(details))


def _one_model(line: BreakEven, names: DisplayNames) -> str:
    beats, model, found = _beats(line, names), names.models[line.model], line.crossing
    slower = _pair(line, names, "is slower than", "are slower than")
    if not line.batches:
        pair = _pair(line, names, "and", "and")
        return f"{pair} share no usable timing for {model}, so the break-even is undecided"
    largest = line.batches[-1]
    where = line.describe()
    if found.status in (Status.CROSSES, Status.ALWAYS):
        return f"{beats} {where} for {model}"
    if found.status is Status.NEVER and len(line.batches) == 1:
        return f"{slower} for {model} at batch {largest}, the only one measured"
    if found.status is Status.NEVER:
        return f"{slower} for {model} at the largest measured batch size ({largest})"
    if found.status is Status.BEYOND_RANGE:
        at = "every measured batch size" if _is_slower_throughout(line) else "the largest measured batch size"
        return (
            f"{slower} for {model} at {at} (up to {largest}); the trend points to a "
            "break-even above it; measure larger batches"
        )
    if found.bracket[1] is not None:
        return f"{beats} for {model} {where}; the exact break-even is undecided"
    is_same = any(row.batch_size == largest and row.verdict is DeviceVerdict.SAME for row in line.rows)
    why = f"; at the largest measured ({largest}) they are the same within 2%" if is_same else ""
    return f"the batch size from which {beats} for {model} is undecided{why}"


def _several_models(lines: Sequence[BreakEven], names: DisplayNames) -> tuple[str, list[str]]:
    """Return the main sentence, and sentences about the models that it does not cover."""
    sure = (Status.CROSSES, Status.ALWAYS)
    wins = [line for line in lines if line.crossing.status in sure or _is_at_the_latest(line)]
    losses = _losses(lines)
    if not wins:
        return f"in none of {len(lines)} models is it shown that {_beats(lines[0], names)}", losses
    among = f"all {len(lines)}" if len(wins) == len(lines) else f"{len(wins)} of {len(lines)}"
    where = ", ".join(_where_it_wins(wins, names))
    return f"in {among} models {_beats(lines[0], names)} from some batch size on: {where}", losses


def _where_it_wins(wins: Sequence[BreakEven], names: DisplayNames) -> list[str]:
    """Return the batch sizes from which a candidate wins in several models, as phrases."""
    crossing = sorted(
        (line for line in wins if line.crossing.status is Status.CROSSES),
        key=lambda line: line.crossing.batch_size or 0,
    )
    latest = max((line.crossing.bracket[1] or 0 for line in wins if _is_at_the_latest(line)), default=None)
    late = sum(map(_is_at_the_latest, wins))
    always = len(wins) - len(crossing) - late
    found = [f"in {always} from the smallest measured"] if always else []
    if len(crossing) == 1:
        found.append(f"in 1 {crossing[0].describe()} ({names.models[crossing[0].model]})")
    elif crossing:
        first, last = crossing[0], crossing[-1]
        found.append(
            f"in {len(crossing)} {first.describe()} ({names.models[first.model]}) to "
            f"{last.describe().removeprefix('from ')} ({names.models[last.model]})"
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
    trend = f"{name} {slower} at the measured batch sizes; the trend points to a break-even above them"
    sentences = {
        trend: len(beyond),
        f"{name} is slower at the largest batch size": count[Status.NEVER],
        "the break-even is undecided": count[Status.UNDECIDED],
    }
    return [f"In {fmt.plural(number, 'model')} {text}." for text, number in sentences.items() if number]


def _is_at_the_latest(line: BreakEven) -> bool:
    return line.crossing.status is Status.UNDECIDED and line.crossing.bracket[1] is not None


def _is_slower_throughout(line: BreakEven) -> bool:
    return all(row.verdict is DeviceVerdict.SLOWER for row in line.rows)


def _beats(line: BreakEven, names: DisplayNames) -> str:
    return _pair(line, names, "beats", "beat")


def _pair(line: BreakEven, names: DisplayNames, verb: str, plural: str) -> str:
    device = line.candidate.device
    verb = plural if fmt.is_plural(device) else verb
    return f"{fmt.device_name(device)} {verb} {names.baseline(line)}"


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
