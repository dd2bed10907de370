"""The flags on a timing: what each means, what to do, and whether it means a disturbed timing.

A new flag is one entry in `Flag`: tables, warnings and the page follow. `breakeven.measure.monitor` finds
evidence in the machine's state, `breakeven.runs.flags` in the rounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Self

_MORE_TIME = "give --benchmark-max-time more seconds"
_SETTLE = "let the machine settle and measure again"


class Flag(StrEnum):
    """Why a timing deserves a second look.

    `meaning` is a clause, `remedy` what to do. `disturbed` is a verb phrase for cases whose ratios need care
    ("ran throttled"), empty if the interval already includes the effect. `factor` is by how much the time may
    be wrong; other programs beside threads that spin can slow them down a hundred times.
    """

    meaning: str
    remedy: str
    disturbed: str
    factor: float

    def __new__(
        cls, name: str, meaning: str, remedy: str, disturbed: str = "", factor: float = math.inf
    ) -> Self:
        """Create a flag from its name and its texts."""
        flag = str.__new__(cls, name)
        flag._value_ = name
        flag.meaning, flag.remedy, flag.disturbed = meaning, remedy, disturbed
        flag.factor = factor if disturbed else 1.0
        return flag

    NOISY = ("noisy", "the target precision was not reached", f"close other programs, or {_MORE_TIME}")
    DRIFT = "drift", "the times changed level during the rounds", _SETTLE, "drifted", 2.0
    UNSTEADY = (
        "unsteady",
        "the times were still changing when the warm-up ended",
        f"let the machine settle, or {_MORE_TIME}",
        "had not settled",
        2.0,
    )
    THROTTLED = (
        "throttled",
        "the device lowered its clocks",
        "cool it, or reduce its load",
        "ran throttled",
    )
    CLOCK = "clock", "the clocks moved while measuring", _SETTLE, "ran at changing clocks"
    CONTENDED = (
        "contended",
        "other programs or machines took CPU time that the case needed",
        "close them, or leave them a core (--breakeven-devices=cpu@N)",
        "lost CPU time to other work",
    )
    SUBNORMAL = (
        "subnormal",
        "many weights, gradients or optimizer averages are subnormal numbers, which slow a CPU but not a GPU",
        "train on targets that cannot be fitted exactly, or call torch.set_flush_denormal(True)",
        "computed with subnormal numbers",
        2.0,
    )
    LOST = (
        "lost",
        "rounds were lost in some processes of the run, so the interval rests on the others",
        "look at the reason, and measure again",
    )
    FEW_ROUNDS = ("few_rounds", "too few rounds for a 95% interval, so nothing is judged", _MORE_TIME)
    SHARED_GPU = (
        "shared_gpu",
        "other processes used the GPU",
        "free it and measure again",
        "shared the GPU with other processes",
    )
    ZERO_TIME = (
        "zero_time",
        "the median is zero, below the clock's resolution, and has no ratio",
        "time more work a round",
    )
    NOT_COMPARABLE = (
        "not_comparable",
        "--force computed the ratio although the machines or models differ",
        "do not quote it",
    )


UNKNOWN = "this version of breakeven does not know the flag; use the version that measured"


def find_flag(name: str) -> Flag | None:
    """Return the flag of that name, None for a flag of another version of breakeven."""
    return Flag._value2member_map_.get(name)  # type: ignore[return-value]


def disturbance(flags: Iterable[str]) -> float:
    """Return by which factor something other than the work may have changed the time; 1.0 if nothing did.

    A wide or missing interval counts as nothing: it is shown, and the verdict includes it.
    """
    return max((flag.factor for flag in map(find_flag, flags) if flag is not None), default=1.0)
