"""Further sentences of the answer: counts, what a start-up costs, and each caveat in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from breakeven import format as fmt
from breakeven.case import Line
from breakeven.device_names import is_cpu
from breakeven.format import one_line
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.report.best_against_best import BetterBaseline
from breakeven.report.break_even import BreakEven
from breakeven.report.candidates import Candidate, best_row, is_at_the_latest, is_slower_throughout
from breakeven.report.comparability import ComparabilityLevel, Reason
from breakeven.report.speedup import DeviceVerdict, Speedup
from breakeven.report.startup_cost import Payback
from breakeven.report.text import ModelNames, models_text, phase_name, steps_to_pay_back
from breakeven.stats.crossing import CrossingStatus as Status

UNSTEADY = "Treat these numbers with care: the machine changed while they were measured."

FORCE = "--force reports the ratios anyway, and marks everything based on them."


def candidate_notes(one: Candidate, paybacks: Iterable[Payback], models: ModelNames) -> Iterator[str]:
    """Yield sentences on a candidate: where it does not win, its cells by verdict, its start-up time."""
    if not one.lines:
        return
    if len(one.lines) > 1:
        yield from _losses(one)
    yield _counts(one)
    best = best_row(one.lines)
    for payback in paybacks:
        if payback.row == best:
            yield _payback(one, payback, models)


def left_out_notes(found: Iterable[Candidate], better: Mapping[Line, BetterBaseline]) -> Iterator[str]:
    """Yield how many models the answer is not about, because their baseline is faster in another variant."""
    counted = {line.candidate for one in found for line in one.lines}
    slow = [one for line, one in better.items() if line not in counted]
    for (own, why), group in grouped(((one.own, one.variant_text), one) for one in slow).items():
        count = len({one.line.model for one in group})
        models = " ".join(filter(None, (fmt.plural(count, "more model"), own)))
        yield f"{models} {'is' if count == 1 else 'are'} left out: {why}."


def refused_text(reasons: Iterable[Reason]) -> tuple[str, list[str]]:
    """Return the answer where the comparison is red, and the other reasons."""
    first, *others = [one_line(one.text, 300) for one in reasons if one.level is ComparabilityLevel.RED]
    return f"These numbers are not comparable: {first}.", [*(f"{text}." for text in others), FORCE]


def nothing_compared(timed: Mapping[str, Sequence[str]], outcome_counts: Mapping[str, int]) -> str:
    """Return why there is no speedup.

    Args:
        timed: the timed devices of each class id.
        outcome_counts: the number of cases with each outcome.
    """
    devices = sorted({device for names in timed.values() for device in names})
    names = fmt.joined([fmt.shortened(name, 20) for name in devices])
    if not devices:
        ended = fmt.joined([f"{count} {one_line(word, 20)}" for word, count in outcome_counts.items()])
        return f"Nothing was timed ({ended}), so nothing can be judged; see the outcomes."
    if all(len(of) < 2 for of in timed.values()):
        return (
            f"Only {names} was timed, so there is nothing to compare it with; measure a second device on the "
            "same machine, such as --breakeven-devices=cpu@1,cpu."
        )
    return (
        f"No case was timed on two devices that can be compared ({names}; transfer is not compared); measure "
        "the same cases on both, or choose another --baseline."
    )


def about_phase(phase: str, speedups: Sequence[Speedup]) -> str:
    """Return what the times of a whole training step include."""
    accelerated = any(not is_cpu(key.device) for row in speedups for key in (row.candidate, row.baseline))
    transfer = ", transfer to the device included" if accelerated else ""
    return f"Times are of the whole training step{transfer}." if phase == HEADLINE else only_phase(phase)


def only_phase(phase: str) -> str:
    """Return that the answer is not about training steps."""
    return f"This is about {phase_name(phase)} alone."


def _losses(one: Candidate) -> Iterator[str]:
    """Yield a sentence for each way in which the candidate does not win in some models."""
    known: dict[Status, list[BreakEven]] = {status: [] for status in Status}
    for line in one.lines:
        if not is_at_the_latest(line):
            known[line.crossing.status].append(line)
    beyond = known[Status.BEYOND_RANGE]
    slower = one.does("are") + " slower" if all(map(is_slower_throughout, beyond)) else f"never {one.wins}"
    trend = f"{one.name} {slower} at the measured batch sizes; the trend points to a break-even above them"
    sentences = {
        trend: beyond,
        f"{one.name} {one.does('are')} slower at the largest batch size": known[Status.NEVER],
        f"the break-even of {one.name} is undecided": known[Status.UNDECIDED],
    }
    for text, lines in sentences.items():
        if lines:
            yield f"In {models_text(line.model for line in lines)} {text}."


def _counts(one: Candidate) -> str:
    count = Counter(row.verdict for line in one.lines for row in line.rows)
    parts = [
        f"{one.name} {one.does('are')} faster in {count[DeviceVerdict.FASTER]} of "
        f"{fmt.plural(count.total(), 'cell')}, slower in {count[DeviceVerdict.SLOWER]}"
    ]
    for verdict, text in ((DeviceVerdict.SAME, "the same within 2%"), (DeviceVerdict.UNDECIDED, "undecided")):
        if count[verdict]:
            parts.append(f"{count[verdict]} {'is' if count[verdict] == 1 else 'are'} {text}")
    return one.sentence(one_line("; ".join(parts), 300))


def _payback(one: Candidate, payback: Payback, models: ModelNames) -> str:
    if payback.start_s <= 0:
        return f"{fmt.capital(one.name)} {one.does('add')} no start-up time."
    start = f"The start-up time of {one.name}, {fmt.seconds(payback.start_s)}, is paid back"
    if payback.steps < 1:
        return f"{start} in the first training step."
    return (
        f"{start} after {steps_to_pay_back(payback)} training steps at batch "
        f"{fmt.batch_size(payback.row.batch_size)}, {models[payback.row.model]}."
    )
