"""The answer of a prediction, as sentences that need no manual; each of them is marked as predicted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from breakeven import format as fmt
from breakeven.device_names import device_name
from breakeven.predict.break_even import PredictedBreakEven
from breakeven.predict.cards import Card
from breakeven.predict.cells import PredictedCell
from breakeven.predict.rent import SHORT
from breakeven.report.answer import Choice, compose
from breakeven.report.speedup import DeviceVerdict
from breakeven.report.text import times_text
from breakeven.runs.machine import gpus_of
from breakeven.stats.crossing import CrossingStatus, CrossingWarning

if TYPE_CHECKING:
    from breakeven.predict.prediction import Predictions

MAX_NAME = 30
"""Longer names of machines are shortened in the answer."""

_VENDOR = re.compile(r"^(NVIDIA|AMD|Intel(\(R\))?)\s+|\b(GeForce|Tesla|Instinct)\s+", re.IGNORECASE)
_MEMORY = re.compile(r"[\s-]+\d+\s*GB\b.*", re.IGNORECASE)


def accelerator_name(card: Card) -> str:
    """Return the name of a card's accelerator as people say it; its own name where no GPU is recorded.

    >>> from types import SimpleNamespace
    >>> facts = [{"gpu": "NVIDIA H100 80GB HBM3"}, {"gpu": "NVIDIA GeForce RTX 4090"}, {}]
    >>> [accelerator_name(SimpleNamespace(name="mine", machine=one)) for one in facts]
    ['the H100', 'the RTX 4090', 'mine']
    """
    gpus = gpus_of(card.machine)
    if len(gpus) != 1:
        return fmt.shortened(card.name, MAX_NAME)
    return f"the {fmt.shortened(_MEMORY.sub('', _VENDOR.sub('', gpus[0])), MAX_NAME)}"


def machine_names(cards: Sequence[Card]) -> dict[str, str]:
    """Return the name of each machine in a sentence; the cards' own where two accelerators are alike."""
    names = [accelerator_name(card) for card in cards]
    return {
        card.name: name if names.count(name) == 1 else fmt.shortened(card.name, MAX_NAME)
        for card, name in zip(cards, names, strict=True)
    }


def verdict_text(found: Predictions) -> str:
    """Return the answer: at most two lines and 220 characters."""
    if found.distrust:
        return "\n".join(compose([Choice(0, (f"Predicted, but not to be relied on: {found.distrust}",))]))
    if not found.cells:
        return "\n".join(compose([Choice(0, (_nothing(found),))]))
    if len({line.model for line in found.break_evens}) == 1:
        forms = list(_of_one_model(found))
    else:
        forms = list(_of_models(found))
    return "\n".join(compose([Choice(0, tuple(forms)), Choice(1, (*_advice(found), ""))]))


def rent_sentences(found: Predictions) -> Iterator[str]:
    """Yield what to rent to settle what is open, and what to run there and here."""
    for one in found.rents:
        minutes, count = fmt.plural(one.minutes, "minute"), fmt.plural(len(one.cells), "cell")
        yield (
            f"rent {one.machine} for about {minutes} (an estimate, without setting it up), which times the "
            f"{count} in question there: {one.command}"
        )
    if found.rents:
        yield (
            f"then compare: breakeven report RUN {found.rents[0].machine}.json --baseline RUN/"
            f"{found.baseline.device}; for a first look at the extremes alone use {SHORT}"
        )


def not_predicted_sentences(found: Predictions) -> Iterator[str]:
    """Yield which cells are not predicted, and why."""
    for one in found.not_predicted:
        models = fmt.joined([found.names[model] for model in one.models], separator="; ")
        yield f"{models}, batch {fmt.joined([*map(fmt.batch_size, one.batches)], 6)}: {one.reason}"


def widened_warnings(cells: Sequence[PredictedCell]) -> Iterator[str]:
    """Yield why bands are wider than usual, each reason once."""
    reasons = Counter(reason for one in cells for reason in one.widened)
    for reason, count in reasons.items():
        yield f"the band of {fmt.plural(count, 'cell')} is wider than usual: {reason}"


def _nothing(found: Predictions) -> str:
    reasons = list(dict.fromkeys(one.reason for one in found.not_predicted))
    more = f" (and {fmt.plural(len(reasons) - 1, 'other reason')})" if len(reasons) > 1 else ""
    return f"Nothing could be predicted: {reasons[0] if reasons else 'no cell was timed'}{more}"


def _of_one_model(found: Predictions) -> Iterator[str]:
    """Yield sentences on one model, from the longest to the shortest."""
    model = found.names[found.break_evens[0].model]
    machines = machine_names(found.cards)
    clauses = [_clause(line, machines[line.machine], found.baseline_name) for line in found.break_evens]
    best = _best(found.break_evens) if len(clauses) == 1 else ""
    text = "; ".join(clauses)
    yield f"Predicted: {text} for {model}{best}."
    yield f"Predicted: {text} for {model}."
    yield f"Predicted: {text}."
    yield f"Predicted: {fmt.plural(len(clauses), 'machine')}, each in the table."


def _clause(line: PredictedBreakEven, machine: str, baseline: str) -> str:
    """Return where a machine beats the baseline, as a clause."""
    last = line.batches[-1]
    if CrossingWarning.ONE_BATCH in line.warnings:
        return _of_one_batch(line.cells[0], machine, baseline)
    up_to = f"up to batch {fmt.batch_size(last)}"
    if line.status is CrossingStatus.CROSSES:
        return f"{machine} beats {baseline} {line.describe()} on"
    if line.status is CrossingStatus.NEVER and CrossingWarning.LOSES_LARGE not in line.warnings:
        return f"{machine} does not beat {baseline} {up_to}"
    if line.status is CrossingStatus.UNDECIDED and line.high is None and line.low is None:
        return f"{machine} may or may not beat {baseline} {up_to}"
    if line.status is CrossingStatus.UNDECIDED and line.high is None:
        low = fmt.batch_size(max(1, int(line.low or 1)))
        return f"{machine} does not beat {baseline} below batch {low}, and may from there on"
    return f"{machine} beats {baseline} {line.describe()}"


def _of_one_batch(one: PredictedCell, machine: str, baseline: str) -> str:
    verbs = {DeviceVerdict.FASTER: "beats", DeviceVerdict.SLOWER: "does not beat"}
    verb = verbs.get(one.verdict, "may or may not beat")
    return f"{machine} {verb} {baseline} at batch {fmt.batch_size(one.batch_size)}, the only one measured"


def _best(lines: Sequence[PredictedBreakEven]) -> str:
    """Return the largest speedup that is shown, with its band."""
    shown = [one for line in lines for one in line.cells if one.verdict is DeviceVerdict.FASTER]
    if not shown:
        return ""
    best = max(shown, key=lambda one: one.low)
    ends = f"{times_text(best.low)} to {times_text(best.high)}"
    return f" (at batch {fmt.batch_size(best.batch_size)}, {ends} as fast)"


def _of_models(found: Predictions) -> Iterator[str]:
    """Yield sentences on several models, from the longest to the shortest."""
    machines = machine_names(found.cards)
    total = len({line.model for line in found.break_evens})
    groups = [
        (machines[card.name], [line for line in found.break_evens if line.machine == card.name])
        for card in found.cards
    ]
    groups = [(name, lines) for name, lines in groups if lines]
    models = fmt.plural(total, "model")
    for is_long in (True, False) if len(groups) < 3 else (False,):
        clauses = [_of_group(name, lines, found.baseline_name, is_long) for name, lines in groups]
        yield f"Predicted: {'; '.join(clauses)}."
    brief = ", ".join(f"{name} for {sum(line.wins for line in lines)}" for name, lines in groups)
    yield f"Predicted to beat {found.baseline_name}, of {models}: {brief}."
    yield f"Predicted: {fmt.plural(len(groups), 'machine')}, {models}, each in the table."


def _of_group(name: str, lines: Sequence[PredictedBreakEven], baseline: str, is_long: bool) -> str:
    won = [line for line in lines if line.wins]
    total = fmt.plural(len(lines), "model")
    if not won:
        never = sum(line.status in (CrossingStatus.NEVER, CrossingStatus.BEYOND_RANGE) for line in lines)
        if never == len(lines):
            return f"{name} beats {baseline} for none of {total}"
        return f"{name} is not shown to beat {baseline} for any of {total} ({len(lines) - never} undecided)"
    among = f"all {total}" if len(won) == len(lines) else f"{len(won)} of {total}"
    text = f"{name} beats {baseline} for {among}"
    if not is_long:
        return text
    ordered = sorted(lines, key=_position)
    middle = ordered[len(ordered) // 2]
    if middle.status is CrossingStatus.ALWAYS:
        return f"{text}, for the median one {middle.describe()}"
    on = " on" if middle.status is CrossingStatus.CROSSES else ""
    return f"{text}, for the median one {middle.describe()}{on}" if middle.wins else text


def _position(line: PredictedBreakEven) -> tuple[int, float]:
    """Return the sort key of a break-even by the end from which it is shown."""
    if line.status is CrossingStatus.ALWAYS:
        return 0, 0.0
    return (1, line.high) if line.high is not None else (2, 0.0)


def _advice(found: Predictions) -> Iterator[str]:
    """Yield what to do about what the prediction leaves open, from long to short."""
    if not found.rents:
        return
    count = sum(one.verdict is DeviceVerdict.UNDECIDED for one in found.cells)
    undecided = (
        f"{count:,} of {fmt.plural(len(found.cells), 'cell')} {'is' if count == 1 else 'are'} undecided"
    )
    minutes = ", ".join(f"about {one.minutes} min on {one.machine}" for one in found.rents)
    if count:
        yield f"To know, measure there: {minutes} ({undecided})."
    yield f"To know, measure there: {minutes}."
    yield "To know, measure there."


def baseline_name(device: str) -> str:
    """Return the name of the measured device in a sentence."""
    return "the CPU" if device == "cpu" else device_name(device).partition(" (")[0]
