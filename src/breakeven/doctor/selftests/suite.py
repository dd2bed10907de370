"""The harness against truths it knows: runs every truth and gathers the figures.

Owns the order and the verdict; the truths are in `realtime`, `additivity`, `timing` and `noise`. The
test-suite runs the same code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from breakeven.doctor.selftests import coverage, phase_sum, real_clock, simulated_device
from breakeven.doctor.selftests.checks import Check, Truth

TRUTHS: tuple[Truth, ...] = (
    *real_clock.TRUTHS,
    *phase_sum.TRUTHS,
    *simulated_device.TRUTHS,
    *coverage.TRUTHS,
)
"""Every truth, in the order in which they are shown."""


@dataclass(frozen=True)
class SelfTest:
    """All figures of one self-test, and the seconds it took."""

    checks: tuple[Check, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every figure is what it must be."""
        return all(check.passed for check in self.checks)

    @property
    def summary(self) -> str:
        """The verdict in one line."""
        failed = [check.name for check in self.checks if not check.passed]
        if failed:
            return f"Self-test failed: {len(failed)} of {len(self.checks)} figures: {'; '.join(failed)}."
        return f"Self-test passed: {len(self.checks)} of {len(self.checks)} figures, in {self.seconds:.0f} s."


def run_selftest(
    truths: Sequence[Truth] = TRUTHS, starting: Callable[[str], None] = lambda _: None
) -> SelfTest:
    """Run every truth; one that raises has failed, and the others still run.

    Args:
        truths: what to run.
        starting: told the name of each truth before it runs.
    """
    begin = time.perf_counter()
    checks: list[Check] = []
    for truth in truths:
        name = truth.__name__.replace("_", " ")
        starting(name)
        try:
            checks += truth()
        except Exception as error:  # a harness that raises has failed, whatever it raised
            checks.append(Check(name, None, note=f"{type(error).__name__}: {error}"))
    return SelfTest(tuple(checks), time.perf_counter() - begin)
