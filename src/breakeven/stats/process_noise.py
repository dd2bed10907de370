"""How wide an interval over processes would be if there were more of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from breakeven.stats.significance import student_quantile

MAX_SUGGESTED = 100
"""More processes than this are not suggested."""

_MAX_DF = 1e6  # Student's t distribution is normal beyond, and scipy does not accept infinity


@dataclass(frozen=True)
class ProcessNoise:
    """The noise of a log time, or of a log ratio, from process to process, as `processes` of them show it.

    `log_sd` has `df` degrees of freedom. `within_share` of its square is the noise of the rounds within a
    process. The processes of a run share the time of a case, so more of them average the rest of the noise
    and not this part.
    """

    log_sd: float
    df: float
    processes: int
    within_share: float = 0.0

    def half_width(self, processes: int) -> float:
        """Return half the width of the 95% interval (Student's) of the mean log over that many processes.

        >>> noise = ProcessNoise(log_sd=0.2, df=4, processes=5)
        >>> [round(noise.half_width(processes), 3) for processes in (5, 20, 80)]
        [0.248, 0.094, 0.045]
        >>> round(ProcessNoise(0.2, 4, 5, within_share=1.0).half_width(80), 3)
        0.178
        """
        share = self.within_share
        variance = self.log_sd**2 * ((1 - share) / processes + share / self.processes)
        df = min(_MAX_DF, max(1.0, self.df + processes - self.processes))
        return student_quantile(df) * math.sqrt(variance)


def processes_needed(decides: Callable[[int], bool], known: int) -> int | None:
    """Return the smallest number of processes above `known` that decides, None where up to 100 do not.

    >>> noise = ProcessNoise(log_sd=0.2, df=4, processes=5)
    >>> [processes_needed(lambda n: noise.half_width(n) < effect, 5) for effect in (0.1, 0.05, 0.03)]
    [18, 64, None]
    """
    return next((number for number in range(known + 1, MAX_SUGGESTED + 1) if decides(number)), None)
