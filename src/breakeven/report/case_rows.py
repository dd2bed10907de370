"""The rows of a report: a case with its estimate and its speedup."""

from __future__ import annotations

from dataclasses import dataclass

from breakeven.case import CaseKey
from breakeven.device_names import device_order
from breakeven.flags import Flag
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import Speedup
from breakeven.report.throughput import Rate, efficiency, throughput


@dataclass(frozen=True)
class CaseRow:
    """One case of a report; `speedup` is None for a baseline and for cases that were not compared."""

    estimate: Estimate
    speedup: Speedup | None

    @property
    def key(self) -> CaseKey:
        """The identity of the case."""
        return self.estimate.key

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of the case; a forced ratio is flagged, so that no row can be taken out of context."""
        forced = self.speedup is not None and Flag.NOT_COMPARABLE in self.speedup.flags
        return (*self.estimate.flags, Flag.NOT_COMPARABLE) if forced else self.estimate.flags

    @property
    def rate(self) -> Rate | None:
        """FLOP/s or B/s."""
        return efficiency(self.estimate)

    @property
    def samples(self) -> Rate | None:
        """Samples/s of training, inference or loading."""
        return throughput(self.estimate)


def row_order(case: Estimate) -> tuple[object, ...]:
    """Return the sort key of a case: by line and ascending batch size, with devices in the usual order."""
    key = case.key
    return (key.machine, key.workload, key.axes.sort_key, key.phase, key.batch_size, device_order(key.device))
