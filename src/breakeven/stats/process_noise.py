"""How wide an interval over processes would be if there were more of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from breakeven.stats.regression import MAX_DF
from breakeven.stats.significance import student_quantile

MAX_SUGGESTED = 100
"""More processes than this are not suggested."""

NORMAL = student_quantile(MAX_DF)
"""The half-width of the 95% interval of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class ProcessNoise:
    """The noise of a log time, or of a log ratio, from process to process, as `processes` of them show it.

    `log_sd` has `df` degrees of freedom. `rounds_half_width` is that of the interval that the rounds of all
    processes alone allow. The processes of a run share the time of a case: more of them average the rest of
    the noise, and not that of the rounds.
    """

    log_sd: float
    df: float
    processes: int
    rounds_half_width: float = 0.0

    @classmethod
    def of_interval(
        cls, half_width: float, df: float, processes: int, rounds_half_width: float = 0.0
    ) -> ProcessNoise:
        """Return the noise of which that many processes gave an interval of this half-width.

        >>> round(ProcessNoise.of_interval(0.248, df=4, processes=5).log_sd, 3)
        0.2
        """
        log_sd = half_width * math.sqrt(processes) / _quantile(df)
        return cls(log_sd, df, processes, rounds_half_width)

    def half_width(self, processes: int) -> float:
        """Return half the width of the 95% interval (Student's) of the mean log over that many processes.

        >>> noise = ProcessNoise(log_sd=0.2, df=4, processes=5)
        >>> [round(noise.half_width(processes), 3) for processes in (5, 20, 80)]
        [0.248, 0.094, 0.045]
        >>> round(ProcessNoise(0.2, 4, 5, rounds_half_width=0.1).half_width(80), 3)
        0.108
        """
        own = min(self.log_sd**2 / self.processes, (self.rounds_half_width / NORMAL) ** 2)
        variance = (self.log_sd**2 - own * self.processes) / processes + own
        return _quantile(self.df + processes - self.processes) * math.sqrt(variance)


def processes_needed(decides: Callable[[int], bool], known: int) -> int | None:
    """Return the smallest number of processes above `known` that decides, None where up to 100 do not.

    >>> noise = ProcessNoise(log_sd=0.2, df=4, processes=5)
    >>> [processes_needed(lambda n: noise.half_width(n) < effect, 5) for effect in (0.1, 0.05, 0.03)]
    [18, 64, None]
    """
    return next((number for number in range(known + 1, MAX_SUGGESTED + 1) if decides(number)), None)


def _quantile(df: float) -> float:
    return student_quantile(min(MAX_DF, max(1.0, df)))
