"""How long the cases of a run take: a range before the first one, then what the ended ones imply."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from breakeven.case import Budget, CaseKey, Model
from breakeven.device_names import is_cpu, processes_of
from breakeven.measure.earlier import AGREEING
from breakeven.measure.parts import PART_ROUNDS
from breakeven.measure.round_plan import RoundNoise, plan_rounds
from breakeven.measure.runner import MAX_CALLS, MIN_CALLS
from breakeven.measure.skips import CONFIRMING_S, max_rounds_s, why_over_budget
from breakeven.measure.timing import Timed
from breakeven.measure.warmup import (
    ACCELERATOR_WARMUP,
    CPU_WARMUP,
    MAD_TO_SIGMA,
    Warmup,
    block_steps,
    loop_steps,
)
from breakeven.phases import HEADLINE, Phase, parse_phase
from breakeven.plugin.step_times import StepTimes

OVERHEAD_S = 0.02
"""The seconds of a case apart from its rounds: building, collecting garbage, counting."""

NOISE, LOOP_NOISE = 0.05, 0.02
"""The relative standard deviation of a step's time, and of a loop's, on machines that were measured."""

PRIOR_S = 1.0
"""The weight of the usual noise, in seconds of rounds, against that of the ended cases."""

QUICK_S = 1e-4
"""The seconds of a step that is assumed before any is known."""

NOISY_S = 1.0
"""Before any case has ended, it is assumed that noise adds at most this many seconds of rounds to one."""

PREFETCHED = 4
"""The batches that are assumed to be used before each round with a loader: two workers hold two each."""

INFERENCE = 1 / 3
"""The share of a training step that inference is assumed to take before it is known."""

CANARIES = 3
"""How often the canary runs in a process: at the start, in the middle and at the end."""

STARTUP_S = 4.0
"""The seconds of a process before its first case."""

TRAINING = "training"
"""The work of phases with whole steps."""

Part = tuple[str, int]
"""A case in one process: the id of the case, and the index of the process."""


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


@lru_cache(maxsize=4096)
def case_s(
    step_s: float,
    phase: str,
    device: str,
    budget: Budget,
    noise: float,
    is_first: bool = True,
    is_later: bool = False,
    is_known: bool = True,
) -> float:
    """Return the seconds of a case: calls, warm-up and rounds.

    Args:
        step_s: a whole step, in seconds.
        phase: what is timed.
        device: where.
        budget: what may be spent.
        noise: the relative standard deviation of a step's time; a loop averages it down to `LOOP_NOISE`.
        is_first: whether it is its cell's first case with whole steps on the device. That one computes the
            loss check's reference; others that are too slow need one call where `CONFIRMING_S` are over.
        is_later: whether an earlier process of the run has timed the case, or found that it takes too long.
        is_known: whether a case of its own model has ended. Else the step is that of a larger model, because
            those come first, and whether it is too long implies little: no calls are expected then.
    """
    known, limit_s = parse_phase(phase), max_rounds_s(budget)
    if not known.is_always_timed and why_over_budget(step_s, budget) is not None:
        if is_later:
            return 0.0
        calls = 1 + max(MIN_CALLS, min(MAX_CALLS, math.ceil(limit_s / step_s)))
        needs_all = is_first or calls * step_s < CONFIRMING_S / 2  # later phases of the cell need one
        return OVERHEAD_S + ((calls if needs_all else 1) * step_s if is_known else 0.0)
    calls = 1 + MIN_CALLS
    calls += 2 if is_first and not is_later and 2 * step_s <= limit_s else 0
    if len(known.parts) > 1 and not known.needs_loader and not is_later:
        calls += min(PART_ROUNDS, int(budget.max_time_s / step_s)) * (1 if is_cpu(device) else 2)
    minimum_s = CPU_WARMUP.seconds if is_cpu(device) else ACCELERATOR_WARMUP.seconds
    warmup_s = max(minimum_s, min(CPU_WARMUP.rounds * step_s, budget.max_time_s) - MIN_CALLS * step_s)
    steps = loop_steps(step_s, budget) if known.is_loop else 1
    if is_later:
        warmup_s = min(AGREEING * block_steps(steps) * step_s, budget.max_time_s)
    spread_s = max(noise / math.sqrt(steps), min(noise, LOOP_NOISE)) * step_s / MAD_TO_SIGMA
    rounds = tuple(Timed(0.0, step_s + sign * spread_s, steps) for sign in (-1, 1) * 4)
    warmup = Warmup(rounds, steady=True)
    plan = plan_rounds(warmup, budget, steps, noise=RoundNoise.of(warmup, steps) if is_later else None)
    untimed = PREFETCHED if known.needs_loader else 0
    return OVERHEAD_S + calls * step_s + warmup_s + plan.rounds * (steps + untimed) * step_s


@dataclass(frozen=True)
class Usual:
    """The seconds of a case without noise, and what usual noise adds."""

    quiet_s: float
    noise_s: float

    def seconds(self, noise: float) -> float:
        """Return the seconds with noise of that share of the usual one."""
        return self.quiet_s + noise * self.noise_s


class DurationEstimate:
    """The seconds that the cases of a run still take, in all its processes.

    A case takes what calls, warm-up and rounds of its step need, and what noise adds. The step is that of
    ended cases at other batch sizes. How noisy the machine is follows from all ended cases of a kind of
    device; what its workload needs beyond that (building, slow first calls) from its own.

    Args:
        cases: what is timed, by id.
        budget: what may be spent on a case in all processes.
        processes: how many are started; 0 for none, where the process that asks times the cases.
    """

    def __init__(self, cases: Mapping[str, CaseKey], budget: Budget, processes: int = 0) -> None:
        self._cases = dict(cases)
        self._starts = processes > 0
        self._processes = max(1, processes)
        self._budget = budget.shared_by(self._processes)
        self._parts = [
            (nodeid, process)
            for process in range(self._processes)
            for nodeid, case in self._cases.items()
            if process < parse_phase(case.phase).processes(self._processes)
        ]
        self._spent_s: dict[Part, float] = {}
        self._canary_s: list[float] = []
        self._steps = StepTimes()
        used = {case.phase for case in cases.values()}
        phases = (HEADLINE, *Phase)  # in the order in which they are timed
        self._first_phase = next((phase for phase in phases if phase in used and phase.takes_steps), None)
        self._stale: set[tuple[str, str]] = set()
        self._known: set[tuple[Model, str]] = set()
        self._usual: dict[tuple[str, bool], Usual] = {}
        for nodeid in self._cases:
            self._update(nodeid)

    def __contains__(self, nodeid: str) -> bool:
        return nodeid in self._cases

    def __len__(self) -> int:
        return len(self._cases)

    def end(
        self,
        nodeid: str,
        seconds: float,
        step_s: float | None = None,
        canary_s: float = 0.0,
        process: int = 0,
    ) -> None:
        """Remember how long a case took in a process; the time of a rerun is added.

        Args:
            nodeid: the case.
            seconds: how long it took.
            step_s: a whole step of it, None if it is unknown.
            canary_s: the part of `seconds` that the canary took.
            process: the index of the process.
        """
        case, part = self._cases[nodeid], (nodeid, process)
        self._canary_s += [canary_s] if canary_s else []
        self._spent_s[part] = self._spent_s.get(part, 0.0) + seconds - canary_s
        if step_s is not None:
            self._steps.add(case, *_work_of(case), step_s)
            self._stale.add((case.workload, case.device))
            self._known.add((case.model, case.device))

    def only(self, parts: Collection[Part]) -> None:
        """Expect no other parts than these: a case that the first process could not time has no others."""
        self._parts = [part for part in self._parts if part in parts]

    def left(self) -> Range:
        """Return how long the remaining cases take: a range until one has ended."""
        for nodeid, case in self._cases.items():
            if (case.workload, case.device) in self._stale:
                self._update(nodeid)
        self._stale.clear()
        left = [part for part in self._parts if part not in self._spent_s]
        starts_s = 0.0
        if self._starts:
            begun = set(map(self._share_of, self._spent_s))
            starts_s = STARTUP_S * len({*map(self._share_of, left)} - begun)
        if not self._spent_s:
            noise_s = min(NOISY_S, self._budget.max_time_s)
            usual = [self._usual_of(part) for part in left]
            high_s = sum(2 * one.seconds(1.0) + noise_s for one in usual)
            return Range(starts_s + sum(one.quiet_s for one in usual), starts_s + high_s)
        noise = self._noise()
        ratios = self._ratios(noise)
        canaries = max(0, CANARIES * len({*map(self._share_of, self._parts)}) - len(self._canary_s))
        seconds = starts_s + canaries * max(self._canary_s, default=0.0)
        for part in left:
            ratio = next((ratios[group] for group in self._groups_of(part) if group in ratios), 1.0)
            seconds += ratio * self._usual_of(part).seconds(noise.get(self._noise_group(part), 1.0))
        return Range(seconds, seconds)

    def _share_of(self, part: Part) -> tuple[int, str]:
        """Return the process, or the group of them, that times a case."""
        device = self._cases[part[0]].device
        return part[1], "" if processes_of(device) is None else device

    def _usual_of(self, part: Part) -> Usual:
        nodeid, process = part
        return self._usual[nodeid, process > 0]

    def _update(self, nodeid: str) -> None:
        case = self._cases[nodeid]
        step_s, is_first = self._step_s(case), case.phase == self._first_phase
        is_known = (case.model, case.device) in self._known
        for is_later in (False, True)[: self._processes]:
            quiet_s, noisy_s = (
                case_s(step_s, case.phase, case.device, self._budget, noise, is_first, is_later, is_known)
                for noise in (0.0, NOISE)
            )
            self._usual[nodeid, is_later] = Usual(quiet_s, noisy_s - quiet_s)

    def _step_s(self, case: CaseKey) -> float:
        """Return the step of a case; where its phase is not known yet, it follows from a training step."""
        phase = parse_phase(case.phase)
        step_s = self._steps.of(case, *_work_of(case))
        if step_s is not None:
            return step_s
        training_s = self._steps.of(case, case.device, TRAINING) if phase is not Phase.LOAD else None
        if training_s is None:
            return QUICK_S
        load_s = self._steps.of(case, "", Phase.LOAD) if phase is Phase.EPOCH else None
        return max(training_s, load_s or 0.0) * (INFERENCE if phase is Phase.INFER else 1.0)

    def _noise(self) -> dict[tuple[object, ...], float]:
        """Return the share of the usual noise that the ended cases had, by kind of device and of round."""
        sums: dict[tuple[object, ...], tuple[float, float]] = {}
        for part, seconds in self._spent_s.items():
            usual, group = self._usual_of(part), self._noise_group(part)
            extra_s = min(max(0.0, seconds - usual.quiet_s), 3 * usual.noise_s)
            found_s, usual_s = sums.get(group, (PRIOR_S, PRIOR_S))
            sums[group] = found_s + extra_s, usual_s + usual.noise_s
        return {group: found_s / usual_s for group, (found_s, usual_s) in sums.items()}

    def _ratios(self, noise: Mapping[tuple[object, ...], float]) -> dict[tuple[object, ...], float]:
        """Return how much longer the ended cases took than that noise explains, by group.

        In a later process the first case of a device also warms it up, which implies little for the others.
        """
        sums: dict[tuple[object, ...], tuple[float, float]] = {}
        for part, seconds in self._spent_s.items():
            usual_s = self._usual_of(part).seconds(noise[self._noise_group(part)])
            for group in self._groups_of(part):
                prior_s = PRIOR_S if part[1] else 0.0
                took_s, all_s = sums.get(group, (prior_s, prior_s))
                sums[group] = took_s + seconds, all_s + usual_s
        return {group: took_s / all_s for group, (took_s, all_s) in sums.items() if all_s}

    def _noise_group(self, part: Part) -> tuple[object, ...]:
        case = self._cases[part[0]]
        return _kind_of(case), parse_phase(case.phase).is_loop, part[1] > 0

    def _groups_of(self, part: Part) -> Iterator[tuple[object, ...]]:
        """Return the groups of a case in a process, the most specific first."""
        case, is_later = self._cases[part[0]], part[1] > 0
        kind = _kind_of(case)
        yield is_later, case.workload, kind
        yield is_later, kind
        yield (is_later,)


def _work_of(case: CaseKey) -> tuple[str, str]:
    """Return the device and the name of what a case repeats: those of whole steps share theirs.

    Loading needs no device.
    """
    phase = parse_phase(case.phase)
    is_training = phase.takes_steps and not phase.needs_loader
    return "" if phase is Phase.LOAD else case.device, TRAINING if is_training else str(phase)


def _kind_of(case: CaseKey) -> str:
    return "cpu" if is_cpu(case.device) else "accelerator"
