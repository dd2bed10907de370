"""The verdict: what a reader should take home, as plain sentences made from the numbers.

Owns the wording. Says always, never, beyond the measured range and undecided aloud, names the baseline, and
never shows a zero or a NaN. Computes nothing but counts and extremes of what it is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from breakeven.analysing import words
from breakeven.analysing.break_even import BreakEven
from breakeven.analysing.naming import Machine, one_line
from breakeven.analysing.speedup import PHASES, Speedup, is_cpu


def headline_phase(speedups: Iterable[Speedup]) -> str | None:
    """Return the phase that the verdict speaks of: the first of `PHASES` that was compared."""
    present = list(dict.fromkeys(row.phase for row in speedups))
    return next((phase for phase in (*PHASES, *present) if phase in present), None)


def verdict_sentence(
    machines: Sequence[Machine],
    speedups: Sequence[Speedup],
    break_evens: Sequence[BreakEven],
    devices: Mapping[str, Sequence[str]],
    endings: Mapping[str, int],
) -> str:
    """Return the verdict on everything that was compared.

    Args:
        machines: in the order to speak of them.
        speedups: all rows; the headline phase is chosen among them.
        break_evens: likewise.
        devices: the timed devices of each class id.
        endings: how many cases ended in each way without a timing.
    """
    phase = headline_phase(speedups)
    if phase is None:
        return _nothing_compared(devices, endings)
    sentences = []
    for machine in machines:
        rows = [row for row in speedups if row.class_id == machine.class_id and row.phase == phase]
        lines = [row for row in break_evens if row.class_id == machine.class_id and row.phase == phase]
        # An accelerator is what most readers came for: it is spoken of before a CPU's other thread counts.
        names = sorted(dict.fromkeys(row.candidate for row in lines), key=is_cpu)
        about = [
            _candidate([r for r in rows if r.candidate == name], [r for r in lines if r.candidate == name])
            for name in names
        ]
        if about and len(machines) > 1:
            about[0] = f"On {machine.label}: {about[0]}"
        sentences += about
    return " ".join([*sentences, _about_phase(phase, speedups)])


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


def _candidate(rows: Sequence[Speedup], lines: Sequence[BreakEven]) -> str:
    """Return the sentences about one candidate against its baseline on one machine."""
    candidate, baseline = lines[0].candidate, lines[0].baseline
    main = _one_line(lines[0]) if len(lines) == 1 else _several_lines(lines)
    best = max(
        (row for row in rows if row.verdict == "faster"), key=lambda row: row.speedup or 0, default=None
    )
    if best is not None:
        where = f"batch {best.batch_size}" + (f", {_place(best)}" if len(lines) > 1 else "")
        main += f"; {words.ratio(best.speedup)} at best ({where})"
    return f"{_capital(main)}. {_counts(Counter(row.verdict for row in rows), candidate, baseline)}"


def _one_line(line: BreakEven) -> str:
    beats, slower = _beats(line), _is_slower(line)
    where, found = _place(line), line.crossing
    if not line.batches:
        return f"{_pair(line)} share no usable timing for {where}, so the break-even is undecided"
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
        return (
            f"{slower} for {where} at every measured batch size ({smallest} to {largest}), but the trend "
            f"points to a break-even beyond {largest}; larger batches would tell"
        )
    low, high = found.bracket
    if low is not None and high is not None:
        return (
            f"{beats} for {where} from a batch size between {low} and {high} on; where exactly is undecided"
        )
    if high is not None:
        return f"{beats} for {where} from batch {high} at the latest; below, it is undecided"
    return f"from which batch size on {beats} for {where} is undecided"


def _several_lines(lines: Sequence[BreakEven]) -> str:
    crossing = sorted(
        (line for line in lines if line.crossing.status == "crosses"),
        key=lambda line: line.crossing.batch_size or 0,
    )
    rest = _statuses(lines)
    if not crossing:
        return f"over {len(lines)} models, {_pair(lines[0])} compare so: {', '.join(rest)}"
    first, last = crossing[0], crossing[-1]
    main = f"{_beats(first)} {_from(first)} for {_place(first)}"
    if len(crossing) > 1:
        main += f" at the earliest and {_from(last)} for {_place(last)} at the latest"
    if len(crossing) == len(lines):
        return f"{main} (all {len(lines)} models have a break-even)"
    have = "has" if len(crossing) == 1 else "have"
    return f"{main} ({len(crossing)} of {len(lines)} models {have} a break-even; {', '.join(rest)})"


def _statuses(lines: Sequence[BreakEven]) -> list[str]:
    """Return a phrase for each way, other than a crossing, in which lines came out, with how many."""
    count = Counter(line.crossing.status for line in lines)
    latest = sorted(line.crossing.bracket[1] or 0 for line in lines if _is_at_the_latest(line))
    name = lines[0].candidate
    phrases = {
        f"{name} is faster at every measured batch size in": count["always"],
        f"{name} is faster from batch {'' if not latest else _range(latest)} at the latest in": len(latest),
        f"{name} is slower throughout, with a trend to a break-even beyond, in": count["beyond_range"],
        f"{name} is slower at the largest batch size in": count["never"],
        "undecided in": count["undecided"] - len(latest),
    }
    return [f"{phrase} {number}" for phrase, number in phrases.items() if number]


def _is_at_the_latest(line: BreakEven) -> bool:
    return line.crossing.status == "undecided" and line.crossing.bracket[1] is not None


def _beats(line: BreakEven) -> str:
    verb = "beat" if words.is_plural(line.candidate) else "beats"
    return f"{words.device_name(line.candidate)} {verb} {words.device_name(line.baseline)}"


def _is_slower(line: BreakEven) -> str:
    verb = "are" if words.is_plural(line.candidate) else "is"
    return f"{words.device_name(line.candidate)} {verb} slower than {words.device_name(line.baseline)}"


def _pair(line: BreakEven) -> str:
    return f"{words.device_name(line.candidate)} and {words.device_name(line.baseline)}"


def _range(batches: Sequence[int]) -> str:
    return f"{batches[0]}" if batches[0] == batches[-1] else f"{batches[0]} to {batches[-1]}"


def _from(line: BreakEven) -> str:
    found = line.crossing
    between = words.batch_between(found.low, found.high, line.batches[0], line.batches[-1])
    return f"from batch {words.batch(found.batch_size or 0)} {between}"


def _counts(count: Counter[str], candidate: str, baseline: str) -> str:
    total = sum(count.values())
    parts = [f"{candidate} wins {count['faster']} of {words.plural(total, 'cell')}"]
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


def _place(row: BreakEven | Speedup) -> str:
    return one_line(f"{row.workload} at {row.axes}" if row.axes else row.workload)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
