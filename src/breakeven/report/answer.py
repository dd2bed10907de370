"""The answer: what a person would say after reading the report, in at most two lines and 220 characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from breakeven import format as fmt
from breakeven.case import CaseKey
from breakeven.device_names import processes_of
from breakeven.format import MAX_CHARACTERS
from breakeven.phases import HEADLINE
from breakeven.report.candidates import Candidate, candidates
from breakeven.report.inference import in_inference, inference_sentences, joint_summaries
from breakeven.report.launches import launch_advice, launch_sentence, launch_texts, varying_launches
from breakeven.report.loading import EpochBound, worst_of
from breakeven.report.loading_text import amdahl_texts
from breakeven.report.notes import (
    UNSTEADY,
    about_phase,
    candidate_notes,
    left_out_notes,
    nothing_compared,
    only_phase,
    refused_text,
)
from breakeven.report.processes import (
    instance_sentences,
    interrupted_sentences,
    interrupted_text,
    one_process_sentences,
    one_process_text,
    only_machine,
)
from breakeven.report.processes_needed import needed_sentence
from breakeven.report.scaling_text import scaling_sentences
from breakeven.report.speedup import devices_of
from breakeven.report.text import headline_lines
from breakeven.report.trust import distrust, disturbances, disturbed_sentence, evidence_of
from breakeven.report.wins import extremes, summaries, with_place, without_best
from breakeven.runs.canary import moves

if TYPE_CHECKING:
    from breakeven.report.report import Report

MAX_LINES = 2


class Trust(StrEnum):
    """How far the answer can be trusted.

    - FIT: nothing speaks against it
    - LIMITED: one process, an interrupted run, some disturbed cells, a comparison that was forced or refused,
      or none at all; the answer mentions it
    - UNFIT: the machine was disturbed, so that the answer is that there is none
    """

    FIT = "fit"
    LIMITED = "limited"
    UNFIT = "unfit"


@dataclass(frozen=True)
class Answer:
    """One or two `lines`, how far to trust them, and `notes`: further sentences, in the order of need."""

    lines: tuple[str, ...]
    trust: Trust = Trust.FIT
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


@dataclass(frozen=True)
class Choice:
    """A sentence of one of the two lines, in several forms from the longest to the shortest.

    A form that is empty leaves the sentence out. The `extended` form is for space that all others leave.
    """

    line: int
    forms: tuple[str, ...]
    extended: str = ""


def answer(report: Report) -> Answer:
    """Return the answer of a report."""
    timed = devices_of([row.estimate for row in report.rows])
    disturbed = disturbances(report.runs, report.headline or HEADLINE) if report.rows else []
    if disturbed:
        return Answer(
            compose([Choice(0, (distrust(disturbed, report.runs),))]),
            Trust.UNFIT,
            tuple(evidence_of(disturbed)),
        )
    if report.refused:
        text, notes = refused_text(report.comparability.reasons)
        return Answer(compose([Choice(0, (text,))]), Trust.LIMITED, tuple(notes))
    caveats = list(_caveats(report))
    if report.headline is None or not report.break_evens:
        return _without_break_evens(report, timed, caveats)
    slow = [line for line, better in report.better_baselines.items() if better.is_variant]
    every = candidates(
        report.machines, report.break_evens, report.headline, _with_common_batches(report), slow
    )
    several = candidates(report.machines, report.scaling.break_evens, report.headline, {})
    # Those that are compared with one of their devices are not compared with the CPU in the same breath.
    found = [one for one in every if one.place not in {other.place for other in several}] or every
    summary = [f"{_forced(report)}{form}" for form in summaries(found, report.names)]
    phase = [] if report.headline == HEADLINE else [Choice(1, (only_phase(report.headline),))]
    details = list(_launches(report, found))
    extended = ""
    if len(found) == 1:
        inference = None if several else _inference(report, found[0])
        together = joint_summaries(found[0], inference) if inference else []
        if inference and not together:
            details.insert(0, Choice(0, (*inference_sentences(inference), "")))
        summary = [*(f"{_forced(report)}{form}" for form in together), *summary]
        left_out = [f"{note.partition(':')[0]}." for note in left_out_notes(found, report.better_baselines)]
        details += [Choice(0, (text, "")) for text in left_out]
        more = () if several else extremes(found[0], report.names)
        details += [Choice(0, (text, "")) for text in more]
        extended = with_place(summary[0], found[0], report.names)
    main = [Choice(0, tuple(summary), extended)]
    if several:
        beside = summaries(several, report.names)
        # From where is said before by how much, for all of them.
        main = [
            Choice(line, tuple(without_best(forms)), forms[0]) for line, forms in enumerate((summary, beside))
        ]
    lines = compose([*main, *phase, *_loading(report, found), *caveats, *details])
    trust = Trust.LIMITED if caveats or report.forced else Trust.FIT
    return Answer(lines, trust, tuple(_notes(report, every, several)))


def _forced(report: Report) -> str:
    return "NOT COMPARABLE, forced: " if report.forced else ""


def _with_common_batches(report: Report) -> dict[str, list[str]]:
    """Return the timed devices of each class id that others can be compared with at the same batch sizes.

    In a weak sweep a device of several processes has its own. A group of one is not a device to choose.
    """

    def is_apart(key: CaseKey) -> bool:
        processes = processes_of(key.device)
        return processes == 1 or (processes is not None and key.model.is_weak)

    return devices_of([row.estimate for row in report.rows if not is_apart(row.estimate.key)])


def _without_break_evens(
    report: Report, timed: Mapping[str, Sequence[str]], caveats: Sequence[Choice]
) -> Answer:
    """Return the answer without any break-even: what a group of one costs, or why nothing was compared."""
    if report.speedups:
        costs = scaling_sentences(report.scaling.rows, report.machines, report.names, is_brief=True)
        main = [
            Choice(line, (_forced(report) + " ".join(texts),))
            for line, texts in enumerate((costs[:1], costs[1:]))
            if texts
        ]
    else:
        ended = Counter(outcome.outcome for outcome in report.outcomes)
        main = [Choice(0, (nothing_compared(timed, ended),))]
    trust = Trust.FIT if report.speedups and not (caveats or report.forced) else Trust.LIMITED
    return Answer(compose([*main, *caveats]), trust, tuple(_notes(report, (), ())))


def compose(sentences: Sequence[Choice]) -> tuple[str, ...]:
    """Return the lines: of each sentence, in their order, the longest form for which there is space.

    >>> compose([Choice(0, ("It wins.",)), Choice(1, ("b" * 300, "Short.")), Choice(0, ("84x.", ""))])
    ('It wins. 84x.', 'Short.')
    """
    chosen = [replace(sentence, forms=sentence.forms[-1:]) for sentence in sentences]
    over = _length(chosen) - MAX_CHARACTERS
    if over > 0:
        first = chosen[0].forms[0]
        chosen[0] = replace(chosen[0], forms=(fmt.one_line(first, len(first) - over),))
    longer = [(i, one.forms) for i, one in enumerate(sentences)]
    longer += [(i, (one.extended,)) for i, one in enumerate(sentences) if one.extended]
    for i, forms in longer:
        tries = ([*chosen[:i], replace(chosen[i], forms=(form,)), *chosen[i + 1 :]] for form in forms)
        chosen = next((tried for tried in tries if _length(tried) <= MAX_CHARACTERS), chosen)
    return _lines(chosen)


def _lines(chosen: Sequence[Choice]) -> tuple[str, ...]:
    lines = [[one.forms[0] for one in chosen if one.line == number] for number in range(MAX_LINES)]
    return tuple(filter(None, (" ".join(filter(None, of)) for of in lines)))


def _length(chosen: Sequence[Choice]) -> int:
    return len("\n".join(_lines(chosen)))


def _caveats(report: Report) -> Iterator[Choice]:
    """Yield what limits the trust in the answer."""
    cases = [row.estimate for row in report.rows]
    headline = [row for row in report.speedups if row.phase == report.headline]
    texts = [
        interrupted_text(report.runs),
        one_process_text(report.machines, cases, report.widened) if headline else None,
        disturbed_sentence(headline),
    ]
    yield from (Choice(1, (text,)) for text in texts if text is not None)


def _inference(report: Report, one: Candidate) -> Candidate | None:
    """Return a candidate of the training step in inference, None where that was not timed."""
    if report.headline != HEADLINE:
        return None
    return in_inference(one, report.machines, report.break_evens)


def _loading(report: Report, found: Sequence[Candidate]) -> Iterator[Choice]:
    """Yield that the loader bounds the epoch of the only candidate."""
    rows = [
        row for row in report.loadings if [(row.key.device, row.key.machine)] == [one.place for one in found]
    ]
    models = {row.key.model for row in rows}
    slowed = {row.key.model for row in rows if row.bound is EpochBound.LOADER}
    if len(models) > 1 and slowed:
        yield Choice(1, (f"The loader bounds epochs of {len(slowed)} of {len(models)} models.", ""))
    elif slowed:
        speedups = {row.candidate: row for row in report.speedups}
        texts = amdahl_texts(worst_of(rows), speedups, found[0].name)
        yield Choice(1, (*(f"{fmt.capital(text)}." for text in texts), ""))


def _launches(report: Report, found: Sequence[Candidate]) -> Iterator[Choice]:
    """Yield that launches limit the first candidate that they limit, and what helps."""
    for one in found:
        texts = launch_texts(one, report.bottlenecks, report.variants, report.names)
        if texts:
            is_measured = len(texts) > 1
            advice = "" if is_measured else f"{texts[0].removesuffix('.')}: {launch_advice(one)}."
            yield Choice(1, (*texts, ""), advice)
            return


def _notes(report: Report, found: Sequence[Candidate], several: Sequence[Candidate]) -> Iterator[str]:
    cases = [row.estimate for row in report.rows]
    if len(found) > 1:
        yield from (summaries([one], report.names)[0] for one in (*found, *several))
    yield from left_out_notes(found, report.better_baselines)
    for one in found:
        yield from candidate_notes(one, report.paybacks, report.names)
    for inference in filter(None, (_inference(report, one) for one in (*found, *several))):
        yield f"Inference: {summaries([inference], report.names)[0]}"
    if report.headline is not None:
        yield about_phase(report.headline, report.speedups)
    yield from interrupted_sentences(report.runs)
    yield from one_process_sentences(report.machines, cases, report.widened)
    if only_machine(report.runs) is None:
        yield from instance_sentences(report.machines, cases)
    lines = headline_lines(report.machines, report.break_evens, report.headline)
    needed = needed_sentence(report.processes_needed, lines)
    yield from filter(None, [needed])
    for varying in varying_launches(cases, report.variants):
        yield launch_sentence(varying, report.machines, report.names)
    if report.speedups and any(moves(run.state) for run in report.runs):
        yield UNSTEADY
