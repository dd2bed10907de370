"""The answer of a prediction, as sentences that need no manual; each of them is marked as predicted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from breakeven import format as fmt
from breakeven.device_names import device_name
from breakeven.grouping import grouped
from breakeven.predict.break_even import PredictedBreakEven
from breakeven.predict.cards import Card
from breakeven.predict.cells import PredictedCell
from breakeven.predict.rent import SHORT, Rent
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
        why = f"{found.distrust[0].lower()}{found.distrust[1:]}"
        return "\n".join(compose([Choice(0, (f"Predicted, but not to be relied on: {why}",))]))
    if not found.cells:
        return "\n".join(compose([Choice(0, (_nothing(found),))]))
    if len({line.model for line in found.break_evens}) == 1:
        forms = list(_of_one_model(found))
    else:
        forms = list(_of_models(found))
    lost = len({model for one in found.not_predicted for model in one.models})
    missing = f"Not predicted, all or in part: {fmt.plural(lost, 'model')}." if lost else ""
    choices = [Choice(0, tuple(forms)), Choice(1, (missing, "")), Choice(1, (*_advice(found), ""))]
    return "\n".join(compose(choices))


def rent_sentences(found: Predictions) -> Iterator[str]:
    """Yield what to rent to settle what is open, and what to run there and here."""
    for one in found.rents:
        yield f"{rent_text(one)}, which -o DIR lists in DIR/{one.file}: {one.command}"
    if found.rents:
        yield afterwards(found)


def rent_text(one: Rent) -> str:
    """Return what to rent for which cells."""
    minutes, count = fmt.plural(one.minutes, "minute"), fmt.plural(len(one.cells), "cell")
    return (
        f"rent {one.machine} for about {minutes} (an estimate, without setting it up) for {count}: those to "
        "measure, and those beside a break-even"
    )


def afterwards(found: Predictions) -> str:
    """Return what to run once the cells in question are measured; empty without any."""
    if not found.rents:
        return ""
    return (
        f"then compare with `breakeven report RUN.json {found.rents[0].json} --baseline RUN/"
        f"{found.baseline.device}`, where RUN.json is the run file of this CPU; {SHORT} "
        "instead of the list takes a first look at the extremes"
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
    yield f"Predicted for {model}: {text}{best}."
    yield f"Predicted for {model}: {text}."
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
    return f"; {ends} as fast at batch {fmt.batch_size(best.batch_size)}"


def _of_models(found: Predictions) -> Iterator[str]:
    """Yield sentences on several models, from the longest to the shortest."""
    machines, baseline = machine_names(found.cards), found.baseline_name
    groups = grouped((line.machine, line) for line in found.break_evens)
    (first, lines), *others = ((machines[machine], lines) for machine, lines in groups.items())
    if not others:
        yield f"Predicted: {_of_machine(first, lines, baseline)}."
    for is_long in (True, False):
        clauses = [f"{first} beats {baseline} for {_among(lines, is_long)}"]
        clauses += [f"{name} for {_among(of, is_long)}" for name, of in others]
        yield f"Predicted: {', '.join(clauses)}."
    counts = f"{fmt.plural(len(groups), 'machine')}, {fmt.plural(len(lines), 'model')}"
    yield f"Predicted: {counts}, each in the table."


def _of_machine(name: str, lines: Sequence[PredictedBreakEven], baseline: str) -> str:
    """Return in how many models the only machine wins, and from where in the median one."""
    if not any(line.wins for line in lines):
        lost = sum(line.status in (CrossingStatus.NEVER, CrossingStatus.BEYOND_RANGE) for line in lines)
        total = fmt.plural(len(lines), "model")
        if lost < len(lines):
            return (
                f"{name} is not shown to beat {baseline} for any of {total} ({len(lines) - lost} undecided)"
            )
        return f"{name} beats {baseline} for none of {total}"
    text = f"{name} beats {baseline} for {_among(lines, is_long=False)}"
    middle = _middle(lines)
    if not middle.wins:
        return text
    on = " on" if middle.status is CrossingStatus.CROSSES else ""
    return f"{text}, for the median one {middle.describe()}{on}"


def _among(lines: Sequence[PredictedBreakEven], is_long: bool) -> str:
    """Return in how many models a machine wins, and briefly from where in the median one."""
    won, total = sum(line.wins for line in lines), fmt.plural(len(lines), "model")
    text = f"all {total}" if won == len(lines) else f"{won or 'none'} of {total}"
    middle = _middle(lines)
    if not is_long or not middle.wins or middle.status is CrossingStatus.ALWAYS:
        return text
    return f"{text} (median: batch {middle.describe_briefly()})"


def _middle(lines: Sequence[PredictedBreakEven]) -> PredictedBreakEven:
    """Return the median model's break-even, by the end from which it is shown."""
    return sorted(lines, key=_position)[len(lines) // 2]


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
