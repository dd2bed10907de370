"""Device against device at one batch size: the speedup and its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from breakeven.case import CaseKey, Model
from breakeven.device_names import choose_baseline
from breakeven.flags import disturbance
from breakeven.grouping import grouped
from breakeven.phases import find_phase
from breakeven.report.baseline import Baseline
from breakeven.report.estimates import Estimate
from breakeven.report.ratios import log_ratios, ratios
from breakeven.stats.intervals import RatioInterval

SAME_WITHIN = 1.02
"""Up to this ratio, in either direction, two devices are the same."""

TWO = 2
"""The medians of this many processes are shown one by one, where they give no interval."""


class DeviceVerdict(StrEnum):
    """How a candidate compares with its baseline in one cell."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"
    UNDECIDED = "undecided"

    @property
    def sign(self) -> int:
        """1 if the candidate is shown to be faster, -1 if slower, 0 otherwise.

        The same within 2% is 0: no status is based on cells that are the same within 2%.
        """
        return {DeviceVerdict.FASTER: 1, DeviceVerdict.SLOWER: -1}.get(self, 0)


@dataclass(frozen=True)
class Speedup:
    """Baseline time / candidate time of one cell and phase, with its 95% interval; above 1 is faster.

    `processes`, `log_sd`, `df` and `draws` are as in `breakeven.report.ratios.Ratio`. `readings` are the
    speedups of the processes that timed both.
    """

    candidate: CaseKey
    baseline: CaseKey
    speedup: float | None
    low: float | None
    high: float | None
    verdict: DeviceVerdict
    flags: tuple[str, ...] = ()
    processes: int = 1
    log_sd: float | None = None
    df: float | None = None
    draws: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)
    readings: tuple[float, ...] = ()

    @property
    def model(self) -> Model:
        """The candidate's model."""
        return self.candidate.model

    @property
    def batch_size(self) -> int:
        """The number of samples in a batch."""
        return self.candidate.batch_size

    @property
    def phase(self) -> str:
        """The timed phase."""
        return self.candidate.phase

    @property
    def has_two_readings(self) -> bool:
        """Whether two processes timed both, which are too few for an interval."""
        return self.low is None and len(self.readings) == TWO

    @property
    def is_doubtful(self) -> bool:
        """Whether the disturbance of one of its times may have changed the verdict."""
        factor = disturbance(self.flags)
        if self.verdict is DeviceVerdict.FASTER and self.low is not None:
            return self.low <= factor
        if self.verdict is DeviceVerdict.SLOWER and self.high is not None:
            return self.high >= 1 / factor
        return factor > 1


def verdict_of(ratio: RatioInterval) -> DeviceVerdict:
    """Return the verdict on a speedup's interval.

    ``same`` takes precedence: an interval within 2% of 1 is not a relevant difference, however certain.

    >>> str(verdict_of(RatioInterval(1.001, 1.002, 1.003))), str(verdict_of(RatioInterval(1.1, 1.2, 1.3)))
    ('same', 'faster')
    """
    if ratio.low is None or ratio.high is None:
        return DeviceVerdict.UNDECIDED
    if ratio.low >= 1 / SAME_WITHIN and ratio.high <= SAME_WITHIN:
        return DeviceVerdict.SAME
    if ratio.low > 1:
        return DeviceVerdict.FASTER
    return DeviceVerdict.SLOWER if ratio.high < 1 else DeviceVerdict.UNDECIDED


def devices_of(cases: Sequence[Estimate]) -> dict[str, list[str]]:
    """Return the timed devices of each class id, in the order of `cases`."""
    devices = grouped((case.key.machine, case.key.device) for case in cases)
    return {machine: list(dict.fromkeys(names)) for machine, names in devices.items()}


Baselines = Mapping[str, Baseline | None]
"""The baseline of each class id, with its machine; None where a machine has none."""


def baselines(cases: Sequence[Estimate], asked: Baseline | None = None) -> Baselines:
    """Return the baseline of each machine class."""
    found: dict[str, Baseline | None] = {}
    for machine, names in devices_of(cases).items():
        if asked is not None and asked.machine is not None:
            found[machine] = asked
            continue
        name = choose_baseline(names) if asked is None else asked.device
        found[machine] = Baseline(name, machine) if name is not None and name in names else None
    return found


def is_compared(phase: str) -> bool:
    """Return whether a speedup of this phase is meaningful; that of an unknown one may be."""
    known = find_phase(phase)
    return known is None or known.is_compared


def speedups(cases: Sequence[Estimate], against: Baselines) -> list[Speedup]:
    """Return a row for every case of a compared phase whose cell was also timed on its baseline.

    Every device but the baseline is a candidate. Rows are in the order of `cases`.
    """
    table = {case.key: case for case in cases}
    pairs = []
    for case in cases:
        baseline = against.get(case.key.machine)
        if baseline is None or baseline.machine is None or not is_compared(case.key.phase):
            continue
        base = table.get(replace(case.key, device=baseline.device, machine=baseline.machine))
        if base is not None and base is not case:
            pairs.append((base, case))
    return speedups_of(pairs)


def speedups_of(pairs: Sequence[tuple[Estimate, Estimate]]) -> list[Speedup]:
    """Return the speedup of each (base, candidate), two estimates of the same work."""
    return [
        Speedup(
            candidate=candidate.key,
            baseline=base.key,
            speedup=ratio.ratio,
            low=ratio.low,
            high=ratio.high,
            verdict=verdict_of(ratio),
            flags=tuple(dict.fromkeys((*base.flags, *candidate.flags))),
            processes=ratio.processes,
            log_sd=ratio.log_sd,
            df=ratio.df,
            draws=ratio.draws,
            readings=readings_of(base, candidate),
        )
        for (base, candidate), ratio in zip(pairs, ratios(pairs), strict=True)
    ]


def readings_of(base: Estimate, candidate: Estimate) -> tuple[float, ...]:
    """Return the speedup in each process that timed both; empty for two machines, or where a time is zero."""
    logs = log_ratios((base, candidate))
    return tuple(np.exp(logs[np.isfinite(logs)]).tolist())
