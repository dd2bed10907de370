"""One known truth held against what the harness made of it: a number and its bounds.

Owns the words of a figure. Measures nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """A figure that was reached, and the bounds within which it must lie (inclusive, None where open).

    `reached` is None when the figure could not be had, and `note` then says why; such a check has failed.
    `unit` is ``""`` for a share between 0 and 1, else ``s``, ``rounds`` or ``threads``.
    """

    name: str
    reached: float | None
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the figure lies within its bounds; a NaN lies nowhere."""
        if self.reached is None:
            return False
        above = self.at_least is None or self.reached >= self.at_least
        below = self.at_most is None or self.reached <= self.at_most
        return above and below and self.reached == self.reached

    @property
    def must(self) -> str:
        """What the figure must be, in words.

        >>> Check("x", 0.95, 0.93, 0.98).must, Check("x", 1e-7, at_most=1e-6, unit="s").must
        ('93% to 98%', 'at most 1 us')
        """
        low, high = (None if end is None else _shown(end, self.unit) for end in (self.at_least, self.at_most))
        if low is None or high is None:
            return f"at least {low}" if high is None else f"at most {high}"
        return low if low == high else f"{low} to {high}"

    @property
    def got(self) -> str:
        """The figure that was reached, in words."""
        return "nothing" if self.reached is None else _shown(self.reached, self.unit)


Truth = Callable[[], list[Check]]
"""Measures something whose truth is known."""


def _shown(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value * 1e6:.3g} us"
    if unit:
        return f"{value:g} {unit[:-1] if value == 1 else unit}"
    return "below 0.001%" if 0 < value < 1e-5 else f"{100 * value:.3g}%"
