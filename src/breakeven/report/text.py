"""The verdict: what a reader should take home, as plain sentences made from the numbers.

Owns the wording. Says always, never, beyond the measured range and undecided aloud, names the baseline, and
never shows a zero or a NaN. Computes nothing but counts and extremes of what it is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from breakeven import format as fmt
from breakeven.device_names import is_cpu
from breakeven.format import one_line
from breakeven.report.break_even import BreakEven
from breakeven.report.comparability import RED, Comparability
from breakeven.report.speedup import PHASES, Speedup
from breakeven.report.startup_cost import Payback
from breakeven.runs.machine import Machine, Names


@dataclass(frozen=True)
class Conclusion:
    """What to take home about one candidate: the sentence that matters most, then the others."""

    headline: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.headline, *self.details))


def headline_phase(speedups: Iterable[Speedup]) -> str | None:
    """Return the phase that the verdict speaks of: the first of `PHASES` that was compared."""
    present = list(dict.fromkeys(row.phase for row in speedups))
    return next((phase for phase in (*PHASES, *present) if phase in present), None)


def conclusions(
    machines: Sequence[Machine],
    speedups: Sequence[Speedup],
    break_evens: Sequence[BreakEven],
    paybacks: Sequence[Payback],
    devices: Mapping[str, Sequence[str]],
    endings: Mapping[str, int],
    names: Names,
) -> list[Conclusion]:
    """Return the verdict on everything that was compared, one conclusion a candidate.

    Args:
        machines: in the order to speak of them.
        speedups: all rows; the headline phase is chosen among them.
        break_evens: likewise.
        paybacks: when candidates have earned their start.
        devices: the timed devices of each class id.
        endings: how many cases ended in each way without a timing.
        names: of all models.
    """
    phase = headline_phase(speedups)
    if phase is None:
        return [Conclusion(_nothing_compared(devices, endings))]
    named = _Names({machine.class_id: machine.label for machine in machines}, names)
    found = []
    for machine in machines:
        lines = [row for row in break_evens if row.class_id == machine.class_id and row.phase == phase]
        for name in spoken_of(lines):
            about = _candidate([row for row in lines if row.candidate == name], paybacks, named)
            found.append((is_cpu(name), _on(machine, machines, about)))
        for name in _unpaired(devices.get(machine.class_id, ()), break_evens, machine.class_id):
            text = f"{fmt.device_name(name)} shares no timed cell with what it could be held against."
            found.append((False, _on(machine, machines, Conclusion(fmt.capital(text)))))
    # What most readers came for comes first: accelerators, on whichever machine.
    ordered = [about for _, about in sorted(found, key=lambda item: item[0])]
    last = ordered[-1]
    return [*ordered[:-1], Conclusion(last.headline, (*last.details, _about_phase(phase, speedups)))]


def _on(machine: Machine, machines: Sequence[Machine], about: Conclusion) -> Conclusion:
    """Return the conclusion with its machine's name, where there are several."""
    if len(machines) < 2:
        return about
    return Conclusion(f"On {machine.label}: {about.headline[:1].lower()}{about.headline[1:]}", about.details)


def _unpaired(devices: Iterable[str], break_evens: Iterable[BreakEven], class_id: str) -> list[str]:
    """Return the accelerators of a machine that were timed and stand in no line at all."""
    paired = set()
    for line in break_evens:
        paired |= {(line.class_id, line.candidate), (line.baseline_class_id, line.baseline)}
    return [name for name in devices if not is_cpu(name) and (class_id, name) not in paired]


def spoken_of(lines: Sequence[BreakEven]) -> list[str]:
    """Return the candidates among the lines of one machine that a conclusion speaks of.

    Beside an accelerator a machine's own other thread counts are only other baselines to hold it against,
    and `breakeven.report.what_if` does.
    """
    names = dict.fromkeys(row.candidate for row in lines)
    accelerated = any(not is_cpu(name) for name in names)
    at_home = {
        row.candidate for row in lines if is_cpu(row.baseline) and row.baseline_class_id == row.class_id
    }
    return [name for name in names if not (accelerated and is_cpu(name) and name in at_home)]


@dataclass(frozen=True)
class _Names:
    """How machines (by class id) and models (by workload and axes) are called."""

    machines: Mapping[str, str]
    models: Names

    def place(self, row: BreakEven | Speedup) -> str:
        return self.models[row.workload, row.axes]

    def baseline(self, line: BreakEven, short: bool = False) -> str:
        """The baseline's name, with its machine's where that is another than the candidate's."""
        name = line.baseline if short else fmt.device_name(line.baseline)
        elsewhere = line.baseline_class_id != line.class_id
        return f"{name} of {self.machines[line.baseline_class_id]}" if elsewhere else name


def refusal(comparable: Comparability) -> Conclusion:
    """Return what stands in the verdict's place where the comparison is red."""
    red = [one_line(reason.text, 300) for reason in comparable.reasons if reason.level == RED]
    return Conclusion(
        "These numbers do not compare, so no speedup is given.",
        (
            *(f"{text}." for text in red),
            "--force shows the ratios all the same, and marks everything made of them.",
        ),
    )


def _nothing_compared(devices: Mapping[str, Sequence[str]], endings: Mapping[str, int]) -> str:
    timed = sorted({device for names in devices.values() for device in names})
    if not timed:
        ended = ", ".join(f"{count} {one_line(word, 40)}" for word, count in endings.items())
        return f"Nothing was timed ({ended}), so nothing can be judged; the outcomes say why."
    if all(len(names) < 2 for names in devices.values()):
        return (
            f"Only {one_line(', '.join(timed))} was timed, so there is nothing to hold it against; measure a "
            "second device on the same machine, such as --breakeven-devices=cpu@1,cpu."
        )
    return (
        f"{one_line(', '.join(timed))} were timed, but in no common case of a phase that can be compared "
        "(transfer cannot: on a CPU it does nothing), or without a CPU; measure the same cases on both, or "
        "choose another --baseline."
    )


def _candidate(lines: Sequence[BreakEven], paybacks: Sequence[Payback], names: _Names) -> Conclusion:
    """Return what is to be said of one candidate on one machine against its baseline."""
    first = lines[0]
    rows = [row for line in lines for row in line.rows]
    main, details = (_one_line(first, names), []) if len(lines) == 1 else _several_lines(lines, names)
    best = max(
        (row for row in rows if row.verdict == "faster"), key=lambda row: row.speedup or 0, default=None
    )
    verdicts = Counter(row.verdict for row in rows)
    details.append(_counts(verdicts, first.candidate, names.baseline(first, short=True)))
    if best is not None:
        where = f"batch {best.batch_size}" + (f", {names.place(best)}" if len(lines) > 1 else "")
        main += f"; {fmt.ratio(best.speedup)} at best ({where})"
        details += [_repaid(payback, names) for payback in paybacks if payback.row == best]
    return Conclusion(f"{fmt.capital(main)}.", tuple(details))


def _repaid(payback: Payback, names: _Names) -> str:
    name = fmt.device_name(payback.row.candidate)
    if payback.start_s <= 0:
        return f"{fmt.capital(name)} costs no longer start."
    if payback.steps < 1:
        return f"The longer start of {name}, {fmt.seconds(payback.start_s)}, is repaid in the first step."
    steps = f"{fmt.count(payback.steps)} {fmt.count_between(payback.low, payback.high)}"
    return (
        f"The longer start of {name}, {fmt.seconds(payback.start_s)}, is repaid after {steps} steps at "
        f"batch {payback.row.batch_size}, {names.place(payback.row)}."
    )


def _one_line(line: BreakEven, names: _Names) -> str:
    beats, slower = _beats(line, names), _is_slower(line, names)
    where, found = names.place(line), line.crossing
    if not line.batches:
        return f"{_pair(line, names)} share no usable timing for {where}, so the break-even is undecided"
    smallest, largest = line.batches[0], line.batches[-1]
    if found.status == "crosses":
        return f"{beats} {_from(line)} for {where}"
    if found.status in ("always", "never") and smallest == largest:
        fact = beats if found.status == "always" else slower
        return f"{fact} for {where} at batch {largest}, the only one measured"
    if found.status == "always":
        return f"{beats} for {where} at every measured batch size ({smallest} to {largest})"
    if found.status == "never":
        return f"{slower} for {where} at the largest measured batch size ({largest})"
    if found.status == "beyond_range":
        at = (
            f"at every measured batch size ({smallest} to {largest})"
            if _is_slower_throughout(line)
            else f"at the largest measured batch size ({largest}) and shown to be faster at none"
        )
        return (
            f"{slower} for {where} {at}, but the trend points to a break-even beyond {largest}; larger "
            "batches would tell"
        )
    low, high = found.bracket
    if high is not None:
        rest = "; below, it is undecided" if low is None else " on; where exactly is undecided"
        return f"{beats} for {where} {fmt.undecided_range(low, high)}{rest}"
    is_same = any(row.batch_size == largest and row.verdict == "same" for row in line.rows)
    why = f"; at the largest measured ({largest}) they are the same within 2%" if is_same else ""
    return f"from which batch size on {beats} for {where} is undecided{why}"


def _several_lines(lines: Sequence[BreakEven], names: _Names) -> tuple[str, list[str]]:
    """Return the sentence that matters most, and what is to be said of the models it does not speak of."""
    wins = [
        line for line in lines if line.crossing.status in ("crosses", "always") or _is_at_the_latest(line)
    ]
    losses = _losses(lines)
    if not wins:
        return (
            f"in none of {len(lines)} models is it shown that {_beats(lines[0], names)}: {', '.join(losses)}",
            [],
        )
    among = f"all {len(lines)}" if len(wins) == len(lines) else f"{len(wins)} of {len(lines)}"
    where = ", ".join(_where_it_wins(wins, names))
    main = f"in {among} models {_beats(lines[0], names)} from some batch size on: {where}"
    return main, [f"Of the others: {', '.join(losses)}."] if losses else []


def _where_it_wins(wins: Sequence[BreakEven], names: _Names) -> list[str]:
    """Return from which batch sizes on a candidate wins in several models, as phrases."""
    crossing = sorted(
        (line for line in wins if line.crossing.status == "crosses"),
        key=lambda line: line.crossing.batch_size or 0,
    )
    latest = sorted(line.crossing.bracket[1] or 0 for line in wins if _is_at_the_latest(line))
    always = len(wins) - len(crossing) - len(latest)
    found = [f"in {always} from the smallest measured"] if always else []
    if len(crossing) == 1:
        found.append(f"in 1 {_from(crossing[0])} ({names.place(crossing[0])})")
    elif crossing:
        first, last = crossing[0], crossing[-1]
        to = _from(last).removeprefix("from ")
        found.append(
            f"in {len(crossing)} {_from(first)} ({names.place(first)}) to {to} ({names.place(last)})"
        )
    if latest:
        found.append(f"in {len(latest)} {fmt.undecided_range(None, latest[-1])}")
    return found


def _losses(lines: Sequence[BreakEven]) -> list[str]:
    """Return a phrase for each way in which lines came out without the candidate's winning."""
    count: Counter[str] = Counter(line.crossing.status for line in lines if not _is_at_the_latest(line))
    name = lines[0].candidate
    beyond = [line for line in lines if line.crossing.status == "beyond_range"]
    throughout = "slower throughout" if all(map(_is_slower_throughout, beyond)) else "faster nowhere"
    phrases = {
        f"{name} is {throughout}, with a trend to a break-even beyond, in": len(beyond),
        f"{name} is slower at the largest batch size in": count["never"],
        "undecided in": count["undecided"],
    }
    return [f"{phrase} {number}" for phrase, number in phrases.items() if number]


def _is_at_the_latest(line: BreakEven) -> bool:
    return line.crossing.status == "undecided" and line.crossing.bracket[1] is not None


def _is_slower_throughout(line: BreakEven) -> bool:
    return all(row.verdict == "slower" for row in line.rows)


def _beats(line: BreakEven, names: _Names) -> str:
    verb = "beat" if fmt.is_plural(line.candidate) else "beats"
    return f"{fmt.device_name(line.candidate)} {verb} {names.baseline(line)}"


def _is_slower(line: BreakEven, names: _Names) -> str:
    verb = "are" if fmt.is_plural(line.candidate) else "is"
    return f"{fmt.device_name(line.candidate)} {verb} slower than {names.baseline(line)}"


def _pair(line: BreakEven, names: _Names) -> str:
    return f"{fmt.device_name(line.candidate)} and {names.baseline(line)}"


def _from(line: BreakEven) -> str:
    found = line.crossing
    between = fmt.batch_between(found.low, found.high, line.batches[0], line.batches[-1])
    return f"from batch {fmt.batch(found.batch_size or 0)} {between}"


def _counts(count: Counter[str], candidate: str, baseline: str) -> str:
    total = sum(count.values())
    parts = [f"{candidate} wins {count['faster']} of {fmt.plural(total, 'cell')}"]
    parts.append(f"{baseline} {count['slower']}")
    if count["same"]:
        parts.append(f"{count['same']} {'is' if count['same'] == 1 else 'are'} the same within 2%")
    if count["undecided"]:
        parts.append(f"{count['undecided']} {'is' if count['undecided'] == 1 else 'are'} undecided")
    return one_line(", ".join(parts), 300) + "."


def _about_phase(phase: str, speedups: Sequence[Speedup]) -> str:
    accelerated = any(not is_cpu(row.candidate) or not is_cpu(row.baseline) for row in speedups)
    if phase == "train":
        return "Times are of the whole training step" + (
            ", host-to-device transfer included." if accelerated else "."
        )
    return f"train was not compared: this speaks of {one_line(phase, 40)} alone."
