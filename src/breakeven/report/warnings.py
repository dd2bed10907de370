"""Warnings as lines: "where: cause; remedy". Places with the same cause share a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from breakeven.case import CaseKey, Cell, Line, Outcome
from breakeven.device_names import is_cpu
from breakeven.flags import UNKNOWN, Flag, disturbance, find_flag
from breakeven.format import joined, one_line, plural, shortened
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.report.break_even import BreakEven, has_own_batches
from breakeven.report.estimates import Estimate
from breakeven.report.phase_sums import MAX_RESIDUAL, Residual
from breakeven.report.speedup import TWO, Baselines, is_compared
from breakeven.report.trust import PASSIVE, spins
from breakeven.runs.machine import Machine
from breakeven.runs.schema import Run
from breakeven.stats.crossing import CrossingWarning
from breakeven.stats.intervals import MIN_ROUNDS

CROSSINGS = {
    CrossingWarning.SEVERAL: "the faster device changes more than once, and the break-even is the last "
    "crossing; look at the plot before trusting it",
    CrossingWarning.LOSES_LARGE: "the candidate wins at a smaller batch size and loses at the largest; "
    "choose the device by batch size",
    CrossingWarning.HOLE: "a batch size beside the crossing has no interval on both devices, so nothing is "
    "interpolated; see the outcomes, and measure it again",
    CrossingWarning.CUT_SHORT: "larger batch sizes have no usable timing on both devices, so the break-even "
    "holds up to the largest that has; see the outcomes, and measure the others",
    CrossingWarning.NO_INTERVAL: "larger batch sizes were timed in two processes, which are too few for an "
    "interval, so the break-even holds up to the largest that has one; measure with --breakeven-processes=5",
    CrossingWarning.ONE_BATCH: "only one batch size was measured; measure more, such as "
    "--breakeven-sweep='batch_size=1,64,512'",
}
"""What limits a break-even and what to do, the most damaging first."""

MAX_PLACE = 70
"""Longer names of cases are shortened."""


def warnings_of(
    machines: Sequence[Machine],
    runs: Sequence[Run],
    cases: Sequence[Estimate],
    break_evens: Iterable[BreakEven],
    residuals: Iterable[Residual],
) -> list[str]:
    """Return an analysis's warnings, the most damaging first: a line for each cause."""
    labels = {machine.class_id: machine.label for machine in machines} if len(machines) > 1 else {}
    flagged = _flags(cases, runs, labels)
    return [
        *(text for factor, text in flagged if factor > 1),
        *_crossings(break_evens, labels),
        *_two_processes(cases, labels),
        *_too_far_apart(cases, labels),
        *(text for factor, text in flagged if factor == 1),
        *_residuals(residuals, labels),
    ]


def pairing_warnings(
    machines: Sequence[Machine], cases: Sequence[Estimate], against: Baselines, outcomes: Iterable[Outcome]
) -> list[str]:
    """Return warnings about missing counterparts: a machine without its baseline, a cell on one side only.

    Args:
        machines: all that were read.
        cases: all estimates.
        against: as `breakeven.report.speedup.baselines` returns them.
        outcomes: the cases that ended without a timing, which are listed elsewhere.
    """
    labels = {machine.class_id: machine.label for machine in machines}
    timed: dict[tuple[str, str], dict[tuple[Cell, str], CaseKey]] = {}
    ended: dict[tuple[str, str], set[tuple[Cell, str]]] = {}
    for case in cases:
        key = case.key
        if is_compared(key.phase):
            timed.setdefault((key.machine, key.device), {})[key.cell, key.phase] = key
    for key in (outcome.key for outcome in outcomes if outcome.key is not None):
        ended.setdefault((key.machine, key.device), set()).add((key.cell, key.phase))
    found = []
    for machine, baseline in against.items():
        if baseline is None or baseline.machine is None:
            found.append(
                f"{labels[machine]}: the baseline device was not measured there, so its devices are not "
                "compared; measure it there, or name one of another machine: --baseline MACHINE/cpu"
            )
            continue
        home = (baseline.machine, baseline.device)
        places = [place for place in dict.fromkeys((*timed, *ended)) if place[0] == machine and place != home]
        for place in places:
            here, there = timed.get(home, {}), timed.get(place, {})
            alone = [here[pair] for pair in here if pair not in there and pair not in ended.get(place, ())]
            alone += [there[pair] for pair in there if pair not in here and pair not in ended.get(home, ())]
            alone = [key for key in alone if not has_own_batches(*_sides(key, home, place))]
            if alone:
                where = f" on {labels[machine]}" if len(machines) > 1 else ""
                count = f"{plural(len(alone), 'case')} {'was' if len(alone) == 1 else 'were'}"
                found.append(
                    f"{count} timed on only one of {baseline.device} and {place[1]}{where} "
                    f"({_such_as(_without_device(key) for key in alone)}), so they have no speedup; measure "
                    "them on both"
                )
    return found


def uncounted_warnings(runs: Iterable[Run]) -> list[str]:
    """Return a warning for each reason why a model's operations could not be counted."""
    models = grouped(
        (case.facts.flops_unknown, one_line(case.key.model.label()))
        for run in runs
        for case in run.cases.values()
        if case.key is not None and case.facts.flops_unknown is not None
    )
    return [
        f"{_such_as(names)}: the floating point operations could not be counted ({one_line(reason)}), so no "
        "FLOP/s is reported; let the model run on torch's meta device, if you need it"
        for reason, names in models.items()
    ]


def waiting_warnings(machines: Sequence[Machine], runs: Iterable[Run]) -> list[str]:
    """Return warnings about training steps that waited for an accelerator, as version 1 timed them."""
    labels = {machine.class_id: machine.label for machine in machines} if len(machines) > 1 else {}
    timed = [(run, case) for run in runs for case in run.cases.values() if case.key is not None]
    looped = {case.key for _, case in timed if not case.waits}
    waited = [(run, case.key) for run, case in timed if case.waits and case.key is not None]
    alone = [_where(key.device, key.machine, labels) for _, key in waited if key not in looped]
    beside = [run.path for run, key in waited if key in looped]
    found = []
    if alone:
        found.append(
            f"{HEADLINE} on {_such_as(alone)} waited for the device after each training step, as breakeven "
            "0.1 timed it; a training loop does not wait, and can be faster; measure it again"
        )
    if beside:
        found.append(
            f"{_such_as(beside)}: {HEADLINE} on accelerators waited for the device after each training step, "
            "as breakeven 0.1 timed it; where another run of the same class did not, only that one is used"
        )
    return found


def _crossings(break_evens: Iterable[BreakEven], labels: Mapping[str, str]) -> list[str]:
    headline_first = sorted(break_evens, key=lambda row: row.phase != HEADLINE)
    places = grouped(
        (kind, _line(row, labels))
        for row in headline_first
        for kind in row.crossing.warnings
        if kind is not CrossingWarning.NO_INTERVAL or not row.needs_processes
    )
    return [f"{_such_as(places[kind])}: {text}" for kind, text in CROSSINGS.items() if kind in places]


def _line(row: BreakEven, labels: Mapping[str, str]) -> str:
    pair = f"({row.candidate.device} against {row.baseline.device})"
    return _where(f"{row.model.label()} {row.phase} {pair}", row.candidate.machine, labels)


def _sides(key: CaseKey, *places: tuple[str, str]) -> list[Line]:
    return [replace(key.line, machine=machine, device=device) for machine, device in places]


def _flags(
    cases: Sequence[Estimate], runs: Sequence[Run], labels: Mapping[str, str]
) -> list[tuple[float, str]]:
    """Return how far each flag's times may be wrong and its warning, the farthest first."""
    places = grouped(
        (flag, _where(f"{_without_device(case.key)} {case.key.device}", case.key.machine, labels))
        for case in sorted(cases, key=lambda case: case.key.phase != HEADLINE)
        for flag in case.flags
    )
    losses = list(dict.fromkeys(text for case in cases for text in case.facts.lost))
    passive = f", or set {PASSIVE}" if any(map(spins, runs)) else ""
    more: dict[str, str] = {Flag.LOST: f" ({joined(losses)})", Flag.CONTENDED: passive}
    found = [
        (
            disturbance([name]),
            f"{len(of)} of {plural(len(cases), 'case')} {'is' if len(of) == 1 else 'are'} flagged "
            f"{one_line(name, 40)} ({_such_as(of)}): {_flag_text(name, more)}",
        )
        for name, of in sorted(places.items(), key=lambda item: -len(item[1]))
    ]
    return sorted(found, key=lambda one: -one[0])


def _flag_text(name: str, more: Mapping[str, str]) -> str:
    flag = find_flag(name)
    if flag is None:
        return UNKNOWN
    evidence, remedy = ("", more.get(flag, "")) if flag is Flag.CONTENDED else (more.get(flag, ""), "")
    return f"{flag.meaning}{evidence}; {flag.remedy}{remedy}"


def _such_as(places: Iterable[str]) -> str:
    """Return two places, or the first and how many more there are."""
    unique = [shortened(place, MAX_PLACE) for place in dict.fromkeys(places)]
    return " and ".join(unique) if len(unique) <= TWO else f"{unique[0]} and {len(unique) - 1} more"


def _too_far_apart(cases: Sequence[Estimate], labels: Mapping[str, str]) -> list[str]:
    without = [
        case for case in cases if case.processes != TWO and case.low_s is None and case.n >= MIN_ROUNDS
    ]
    wide = [case for case in without if not (case.process_medians_s == 0).any()]
    return [
        f"{_where(plural(len(found), 'case'), machine, labels)} with times that are too far apart: the "
        "ends of an interval would differ by more than a factor of 1,000, so there is none; measure again on "
        "a quiet machine"
        for machine, found in grouped((case.key.machine, case) for case in wide).items()
    ]


def _two_processes(cases: Sequence[Estimate], labels: Mapping[str, str]) -> list[str]:
    shown = [case for case in cases if case.processes == TWO and case.low_s is None]
    return [
        f"{_where(plural(len(found), 'case'), machine, labels)} with two processes: they cannot show how far "
        "they vary, so both readings are shown, without an interval; measure with --breakeven-processes=5"
        for machine, found in grouped((case.key.machine, case) for case in shown).items()
    ]


def _residuals(residuals: Iterable[Residual], labels: Mapping[str, str]) -> list[str]:
    return [
        f"{_where(row.device, row.machine, labels)}: in {row.beyond} of {row.cells} cells the "
        f"phase sum differs from train by more than {MAX_RESIDUAL:.0%} (worst: "
        f"{one_line(row.worst[0].label())}, {row.worst[1]:+.0%}); trust train, and read the phases as shares "
        "only"
        for row in residuals
        if is_cpu(row.device) and row.beyond
    ]


def _without_device(key: CaseKey) -> str:
    return one_line(f"{key.cell.label()} {key.phase}")


def _where(text: str, machine: str, labels: Mapping[str, str]) -> str:
    return one_line(f"{text} on {labels[machine]}" if machine in labels else text)
