"""Flags that the rounds themselves give reason for, each with its evidence.

Owns ``few_rounds``, ``noisy``, ``budget``, ``unsteady`` and ``drift``. What the machine shows around the
rounds is the measuring wing's. Pure: an array and what was planned in, plain values out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from breakeven.errors import MeasurementError
from breakeven.stats.drift import find_drift
from breakeven.stats.intervals import MedianInterval


def refuse_impossible(times: ArrayLike) -> None:
    """Refuse rounds that no honest clock can give.

    Raises:
        MeasurementError: a time is negative, NaN or infinite; one line with the round and its time.
    """
    values = np.asarray(times, dtype=float)
    wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(wrong):
        raise MeasurementError(
            f"round {wrong[0]} took {values[wrong[0]]} s: the clock stepped back or stopped counting, and no "
            "round of this case can be trusted; leave out --benchmark-timer, or mend the machine's clock"
        )


def evidence_in(
    times: ArrayLike, interval: MedianInterval, wished: float, *, steady: bool, cut_by_budget: bool
) -> dict[str, dict[str, Any]]:
    """Return the flags of a case and what speaks for each; an empty object when nothing is doubtful.

    Args:
        times: the rounds, in seconds, in the order they ran.
        interval: their median's.
        wished: the relative half-width that the rounds were planned for.
        steady: whether the warm-up ended because the times were steady.
        cut_by_budget: whether time ended the rounds before the wish could be reached.
    """
    found: dict[str, dict[str, Any]] = {}
    if interval.half_width is None:
        found["few_rounds" if interval.low is None else "zero_time"] = {"rounds": interval.n}
    elif interval.half_width > wished:
        found["noisy"] = {"half_width": interval.half_width, "wished": wished, "tau": interval.tau}
        if cut_by_budget:
            found["budget"] = {"rounds": interval.n}
    if not steady:
        found["unsteady"] = {"warm_up": "the times were still changing when it ended"}
    drift = find_drift(times)
    if drift is not None:
        found["drift"] = {
            "round": drift.round,
            "before_s": drift.before_s,
            "after_s": drift.after_s,
            "p": drift.p,
        }
    return found
