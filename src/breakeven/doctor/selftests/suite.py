"""The result of a self-test, and the function that runs all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from breakeven.format import duration


@dataclass(frozen=True)
class Check:
    """A figure and its bounds (inclusive, at least one of them not None).

    `reached` is None if the figure could not be obtained (`note` has the reason); the check then failed.
    `unit` is ``s``, ``rounds`` or ``threads``, or ``""`` for a share between 0 and 1.
    """

    name: str
    reached: float | None
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the figure is within its bounds; NaN never is."""
        if self.reached is None:
            return False
        above = self.at_least is None or self.reached >= self.at_least
        below = self.at_most is None or self.reached <= self.at_most
        return above and below

    @property
    def bounds_text(self) -> str:
        """The bounds as text.

        >>> Check("x", 0.95, 0.93, 0.98).bounds_text, Check("x", 1e-7, at_most=1e-6, unit="s").bounds_text
        ('93% to 98%', 'at most 1 us')
        """
        low, high = (None if end is None else _shown(end, self.unit) for end in (self.at_least, self.at_most))
        if low is None or high is None:
            return f"at least {low}" if high is None else f"at most {high}"
        return low if low == high else f"{low} to {high}"

    @property
    def reached_text(self) -> str:
        """The figure as text."""
        return "nothing" if self.reached is None else _shown(self.reached, self.unit)


SelfTest = Callable[[], list[Check]]
"""Measures or computes something with a known result."""


@dataclass(frozen=True)
class SelfTestResult:
    """The checks of all self-tests, and the seconds they took."""

    checks: tuple[Check, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def summary(self) -> str:
        """The verdict in one line."""
        failed = [check.name for check in self.checks if not check.passed]
        if failed:
            return f"Self-test failed: {len(failed)} of {len(self.checks)} figures: {'; '.join(failed)}."
        passed = f"{len(self.checks)} of {len(self.checks)} figures"
        return f"Self-test passed: {passed}, in {duration(self.seconds)}."


def run_selftests(selftests: Sequence[SelfTest], starting: Callable[[str], None]) -> SelfTestResult:
    """Run the self-tests, calling `starting` with the name of each; one that raises has failed."""
    begin = time.perf_counter()
    checks: list[Check] = []
    for selftest in selftests:
        name = selftest.__name__.replace("_", " ")
        starting(name)
        try:
            checks += selftest()
        except Exception as error:  # any error is a failure of this self-test; the others still run
            checks.append(Check(name, None, note=f"{type(error).__name__}: {error}"))
    return SelfTestResult(tuple(checks), time.perf_counter() - begin)


def _shown(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value * 1e6:.3g} us"
    if unit:
        return f"{value:g} {unit[:-1] if value == 1 else unit}"
    return "below 0.001%" if 0 < value < 1e-5 else f"{100 * value:.3g}%"
