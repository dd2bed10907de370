"""How long the cases of a run take: a range before the first one, then what the ended ones imply."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from breakeven.case import Budget, CaseKey, Model
from breakeven.device_names import is_cpu
from breakeven.measure.parts import PART_ROUNDS
from breakeven.measure.runner import MAX_CALLS, MIN_CALLS
from breakeven.measure.skips import MAX_OVERRUN, why_over_budget
from breakeven.measure.timing import (
    ACCELERATOR_WARMUP,
    CPU_WARMUP,
    MAD_TO_SIGMA,
    Timed,
    Warmup,
    loop_steps,
    plan_rounds,
)
from breakeven.phases import HEADLINE, Phase, parse_phase

OVERHEAD_S = 0.02
"""The seconds of a case apart from its rounds: building, collecting garbage, counting."""

NOISE, LOOP_NOISE = 0.05, 0.02
"""The relative standard deviation of a step's time, and of a loop's, on machines that were measured."""

BELOW = 0.8
"""The power of the batch size by which a step is assumed to be shorter below the known ones."""

PRIOR_S = 1.0
"""The weight of the usual noise, in seconds of rounds, against that of the ended cases."""

QUICK_S = 1e-4
"""The seconds of a step that is assumed before any is known."""

NOISY_S = 1.0
"""Before any case has ended, it is assumed that noise adds at most this many seconds of rounds to one."""

CANARIES = 3
"""How often the canary runs: at the start, in the middle and at the end."""


@dataclass(frozen=True)
class Range:
    """A range of seconds."""

    low_s: float
    high_s: float

    def __str__(self) -> str:
        """Return the range in the unit of its end.

        >>> str(Range(52.0, 171.0)), str(Range(3.2, 8.1)), str(Range(4000.0, 9000.0))
        ('about 1 to 3 min', 'about 3 to 9 s', 'about 1 to 3 h')
        """
        units = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
        unit_s, unit = next((item for item in units if self.high_s > 1.5 * item[0]), units[-1])
        low, high = max(1, math.floor(self.low_s / unit_s + 0.2)), math.ceil(self.high_s / unit_s)
        return f"about {low} to {high} {unit}" if low < high else f"about {high} {unit}"


@cache
def case_s(
    step_s: float, phase: str, device: str, budget: Budget, noise: float, is_first: bool = True
) -> float:
    """Return the seconds of a case: calls, warm-up and rounds.

    Args:
        step_s: a whole step, in seconds.
        phase: what is timed.
        device: where.
        budget: what may be spent.
        noise: the relative standard deviation of a step's time; a loop averages it down to `LOOP_NOISE`.
        is_first: whether it is its cell's first case with whole steps on the device. That one computes the
            loss check's reference, and decides whether the others take too long to be tried.
    """
    known, limit_s = parse_phase(phase), MAX_OVERRUN * budget.max_time_s
    calls = 1 + MIN_CALLS
    if known is not HEADLINE and why_over_budget(step_s, budget) is not None:
        calls = 1 + max(MIN_CALLS, min(MAX_CALLS, math.ceil(limit_s / step_s)))
        return OVERHEAD_S + (calls * step_s if is_first else 0.0)
    calls += 2 if is_first and 2 * step_s <= limit_s else 0
    if len(known.parts) > 1:
        calls += min(PART_ROUNDS, int(budget.max_time_s / step_s)) * (1 if is_cpu(device) else 2)
    minimum_s = CPU_WARMUP.seconds if is_cpu(device) else ACCELERATOR_WARMUP.seconds
    warmup_s = max(minimum_s, min(CPU_WARMUP.rounds * step_s, budget.max_time_s) - MIN_CALLS * step_s)
    steps = loop_steps(step_s, budget) if known.is_loop else 1
    spread_s = max(noise / math.sqrt(steps), min(noise, LOOP_NOISE)) * step_s / MAD_TO_SIGMA
    rounds = tuple(Timed(0.0, step_s + sign * spread_s, steps) for sign in (-1, 1) * 4)
    plan = plan_rounds(Warmup(rounds, steady=True), budget, steps)
    return OVERHEAD_S + calls * step_s + warmup_s + plan.rounds * steps * step_s


def step_at(batch_size: int, known: Mapping[int, float]) -> float:
    """Return the seconds of a step at a batch size, from those at others.

    Between two batch sizes it is linear, above them on the line through the last two. Below them it falls
    with the power `BELOW`, a bit slower than the batch size, because a step has fixed costs.

    >>> step_at(32, {16: 2.0, 64: 5.0}), step_at(8, {4: 1.0, 6: 2.0}), round(step_at(32, {64: 4.0}), 3)
    (3.0, 3.0, 2.297)
    """
    if batch_size in known:
        return known[batch_size]
    points = sorted(known.items())
    if batch_size < points[0][0]:
        return points[0][1] * math.pow(batch_size / points[0][0], BELOW)
    if len(points) == 1:
        return points[0][1] * batch_size / points[0][0]
    upper = next((index for index, (batch, _) in enumerate(points) if batch > batch_size), len(points) - 1)
    (low_batch, low_s), (high_batch, high_s) = points[upper - 1 : upper + 1]
    slope = max(0.0, (high_s - low_s) / (high_batch - low_batch))
    return low_s + slope * (batch_size - low_batch)


@dataclass(frozen=True)
class Usual:
    """The seconds of a case without noise, and what usual noise adds."""

    quiet_s: float
    noise_s: float

    def seconds(self, noise: float) -> float:
        """Return the seconds with noise of that share of the usual one."""
        return self.quiet_s + noise * self.noise_s


class DurationEstimate:
    """The seconds that the cases of a run still take.

    A case takes what calls, warm-up and rounds of its step need, and what noise adds. The step is that of
    ended cases at other batch sizes. How noisy the machine is follows from all ended cases of a kind of
    device; what its workload needs beyond that (building, slow first calls) from its own.
    """

    def __init__(self, cases: Mapping[str, CaseKey], budget: Budget) -> None:
        self._cases = dict(cases)
        self._budget = budget
        self._spent_s: dict[str, float] = {}
        self._canary_s: list[float] = []
        self._steps: dict[tuple[Model, str, bool], dict[int, float]] = defaultdict(dict)
        used = {case.phase for case in cases.values()}
        self._first_phase = next((phase for phase in Phase if phase in used and takes_steps(phase)), None)
        self._usual = {nodeid: self._usual_of(case) for nodeid, case in self._cases.items()}

    def __contains__(self, nodeid: str) -> bool:
        return nodeid in self._cases

    def __len__(self) -> int:
        return len(self._cases)

    def end(self, nodeid: str, seconds: float, step_s: float | None = None, canary_s: float = 0.0) -> None:
        """Remember how long a case took; the time of a rerun is added.

        Args:
            nodeid: the case.
            seconds: how long it took.
            step_s: a whole step of it, None if it is unknown.
            canary_s: the part of `seconds` that the canary took.
        """
        case = self._cases[nodeid]
        self._canary_s += [canary_s] if canary_s else []
        self._spent_s[nodeid] = self._spent_s.get(nodeid, 0.0) + seconds - canary_s
        if step_s is not None:
            self._steps[_points_of(case)][case.batch_size] = step_s
            for other, item in self._cases.items():
                if item.workload == case.workload and item.device == case.device:
                    self._usual[other] = self._usual_of(item)

    def left(self) -> Range:
        """Return how long the remaining cases take: a range until one has ended."""
        left = {nodeid: case for nodeid, case in self._cases.items() if nodeid not in self._spent_s}
        if not self._spent_s:
            noise_s = min(NOISY_S, self._budget.max_time_s)
            high_s = sum(2 * usual.seconds(1.0) + noise_s for usual in self._usual.values())
            return Range(sum(usual.quiet_s for usual in self._usual.values()), high_s)
        noise = self._noise()
        ratios = self._ratios(noise)
        canaries = max(0, CANARIES - len(self._canary_s))
        seconds = canaries * max(self._canary_s, default=0.0)
        for nodeid, case in left.items():
            ratio = next((ratios[group] for group in _groups_of(case) if group in ratios), 1.0)
            seconds += ratio * self._usual[nodeid].seconds(noise.get(_noise_group(case), 1.0))
        return Range(seconds, seconds)

    def _usual_of(self, case: CaseKey) -> Usual:
        step_s = self._step_s(case)
        quiet_s, noisy_s = (
            case_s(step_s, case.phase, case.device, self._budget, noise, case.phase == self._first_phase)
            for noise in (0.0, NOISE)
        )
        return Usual(quiet_s, noisy_s - quiet_s)

    def _step_s(self, case: CaseKey) -> float:
        """Return the step of a case: from its own model, else the mean over its workload's models.

        A model is not extrapolated to a larger batch at which others of the workload are known.
        """
        _, device, is_whole = _points_of(case)
        known = {
            model: points
            for (model, *rest), points in self._steps.items()
            if model.workload == case.workload and rest == [device, is_whole]
        }
        reaching = {model: points for model, points in known.items() if case.batch_size <= max(points)}
        usable = reaching or known
        if case.model in usable:
            usable = {case.model: usable[case.model]}
        steps = [step_at(case.batch_size, points) for points in usable.values()]
        return sum(steps) / len(steps) if steps else QUICK_S

    def _noise(self) -> dict[tuple[str, bool], float]:
        """Return the share of the usual noise that the ended cases had, by kind of device and of round."""
        sums: dict[tuple[str, bool], tuple[float, float]] = {}
        for nodeid, seconds in self._spent_s.items():
            usual, group = self._usual[nodeid], _noise_group(self._cases[nodeid])
            extra_s = min(max(0.0, seconds - usual.quiet_s), 3 * usual.noise_s)
            found_s, usual_s = sums.get(group, (PRIOR_S, PRIOR_S))
            sums[group] = found_s + extra_s, usual_s + usual.noise_s
        return {group: found_s / usual_s for group, (found_s, usual_s) in sums.items()}

    def _ratios(self, noise: Mapping[tuple[str, bool], float]) -> dict[tuple[str, ...], float]:
        """Return how much longer the ended cases took than that noise explains, by group."""
        sums: dict[tuple[str, ...], tuple[float, float]] = {}
        for nodeid, seconds in self._spent_s.items():
            case = self._cases[nodeid]
            usual_s = self._usual[nodeid].seconds(noise[_noise_group(case)])
            for group in _groups_of(case):
                took_s, all_s = sums.get(group, (0.0, 0.0))
                sums[group] = took_s + seconds, all_s + usual_s
        return {group: took_s / all_s for group, (took_s, all_s) in sums.items()}


def _points_of(case: CaseKey) -> tuple[Model, str, bool]:
    """Return what shares its steps with a case."""
    return case.model, case.device, takes_steps(parse_phase(case.phase))


def takes_steps(phase: Phase) -> bool:
    """Return whether the rounds of a phase are whole steps: all but those of a copy alone."""
    return bool(phase.before) or len(phase.parts) > 1


def _kind_of(case: CaseKey) -> str:
    return "cpu" if is_cpu(case.device) else "accelerator"


def _noise_group(case: CaseKey) -> tuple[str, bool]:
    return _kind_of(case), parse_phase(case.phase).is_loop


def _groups_of(case: CaseKey) -> Iterator[tuple[str, ...]]:
    """Return the groups of a case, the most specific first."""
    kind = _kind_of(case)
    yield case.workload, kind
    yield (kind,)
    yield ()
