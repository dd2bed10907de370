"""Inference in the answer: where a candidate wins it, beside where it wins training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from breakeven.phases import Phase
from breakeven.report.break_even import BreakEven
from breakeven.report.candidates import Candidate, best_row, candidates, wins
from breakeven.report.text import times_text
from breakeven.report.wins import clauses, is_cut, wins_from
from breakeven.runs.machine import Machine


def in_inference(
    one: Candidate, machines: Sequence[Machine], break_evens: Sequence[BreakEven]
) -> Candidate | None:
    """Return a candidate with its break-evens in inference, those of the same models; None without any."""
    found = candidates(machines, break_evens, Phase.INFER, {})
    models = {line.model for line in one.lines}
    of_place = (other for other in found if other.place == one.place)
    lines = [line for other in of_place for line in other.lines if line.model in models]
    return replace(one, lines=tuple(lines)) if lines else None


def joint_summaries(one: Candidate, other: Candidate) -> list[str]:
    """Return sentences on one model where a candidate wins training and inference, else nothing.

    The longest is first.
    """
    lines = (*one.lines, *other.lines)
    is_simple = len(lines) == 2 and all(wins(line) and len(line.batches) > 1 for line in lines)
    if not is_simple or any(map(is_cut, lines)):
        return []
    within = "" if one.is_obvious else "in "
    training, inference = map(wins_from, lines)
    if training.startswith("from batch ") and inference.startswith("from batch "):
        inference = inference.replace(" batch", "", 1)
    text = f"{one.name} {one.wins} {within}training {training}, {within}inference {inference}"
    best = [times_text(row.speedup) for line in lines if (row := best_row([line])) is not None]
    return [one.sentence(f"{text}; up to {' and '.join(best)} faster"), one.sentence(text)]


def inference_sentences(other: Candidate) -> Iterator[str]:
    """Yield sentences on inference that follow those on training, from the longest to the shortest."""
    for clause in clauses(other):
        comma = "," if clause.startswith("whether") else ""
        yield f"In inference{comma} {clause.replace(other.name, other.pronoun, 1)}."
