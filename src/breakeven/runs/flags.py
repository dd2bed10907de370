"""Flags from the rounds, each with its evidence; `breakeven.measure.monitor` has those of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from breakeven.errors import MeasurementError
from breakeven.flags import Flag
from breakeven.format import one_line
from breakeven.runs.json_files import mapping
from breakeven.stats.drift import find_drift
from breakeven.stats.intervals import MedianInterval

_FORMER_NAMES = {"budget": Flag.NOISY.value}
_FORMER_EVIDENCE = {"involuntary_switches_per_s"}
"""Of `contended`: threads of one process interrupt each other too, so it does not show other programs."""


def recorded_flags(info: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the flags in `info`, an ``extra_info`` of any version, without those that meant nothing.

    >>> recorded_flags({"flags": ["budget", "noisy", "own"]})
    ('noisy', 'own')
    """
    flags, evidence = info.get("flags"), info.get("evidence")
    if not isinstance(flags, list):
        return ()
    names = [_FORMER_NAMES.get(name, name) for name in flags if isinstance(name, str) and name]
    reasons = evidence.get(Flag.CONTENDED) if isinstance(evidence, dict) else None
    if isinstance(reasons, dict) and reasons.keys() == _FORMER_EVIDENCE:
        names = [name for name in names if name != Flag.CONTENDED]
    return tuple(dict.fromkeys(names))


def recorded_losses(info: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a phrase for each process that lost the rounds of a case, from its ``extra_info``.

    >>> recorded_losses({"evidence": {"lost": {"processes": {"3": "crashed: SIGSEGV"}}}})
    ('process 3 crashed: SIGSEGV',)
    """
    reasons = mapping(mapping(mapping(info.get("evidence")).get(Flag.LOST)).get("processes"))
    return tuple(f"process {number} {one_line(reason)}" for number, reason in reasons.items())


def refuse_impossible(times: ArrayLike) -> None:
    """Reject rounds that a working clock cannot measure.

    Raises:
        MeasurementError: a time is negative, NaN or infinite; one line with the round and its time.
    """
    values = np.asarray(times, dtype=float)
    wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(wrong):
        raise MeasurementError(
            f"round {wrong[0]} took {values[wrong[0]]} s: the clock stepped back or stopped counting, and no "
            "round of this case can be trusted; remove --benchmark-timer, or repair the machine's clock"
        )


def evidence_in(
    times: ArrayLike, interval: MedianInterval, target: float, *, steady: bool
) -> dict[str, dict[str, Any]]:
    """Return the flags of a case with the evidence for each.

    Args:
        times: the rounds, in seconds, in the order they ran.
        interval: that of their median.
        target: the target relative half-width.
        steady: whether the warm-up ended because the times were steady.
    """
    found: dict[str, dict[str, Any]] = {}
    if interval.half_width is None:
        found[(Flag.FEW_ROUNDS if interval.low is None else Flag.ZERO_TIME).value] = {"rounds": interval.n}
    elif interval.half_width > target:
        found[Flag.NOISY.value] = {"half_width": interval.half_width, "wished": target, "tau": interval.tau}
    if not steady:
        found[Flag.UNSTEADY.value] = {"warm_up": "the times were still changing when it ended"}
    drift = find_drift(times)
    if drift is not None:
        found[Flag.DRIFT.value] = {
            "round": drift.round,
            "before_s": drift.before_s,
            "after_s": drift.after_s,
            "p": drift.p,
        }
    return found
