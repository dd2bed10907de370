"""Self-tests: breakeven measures or computes something with a known result.

A self-test is a function that returns `suite.Check`s, and an entry in `SELF_TESTS`. `real_clock` times known
waits through pytest-benchmark (`probe` is the test file that pytest runs there); `phase_sum` compares the sum
of the phases with whole training steps; `simulated_device` needs no real time; `coverage` applies the
statistics to seeded noise. Tests run the same code, and break breakeven on purpose to see the checks fail.
"""

from breakeven.doctor.selftests import coverage, phase_sum, real_clock, simulated_device
from breakeven.doctor.selftests.suite import SelfTest

SELF_TESTS: tuple[SelfTest, ...] = (
    real_clock.real_time,
    phase_sum.additivity,
    simulated_device.synchronization,
    simulated_device.slow_first_call,
    simulated_device.planned_rounds,
    simulated_device.one_thread,
    coverage.coverage,
    coverage.drift,
    coverage.break_even,
)
"""All self-tests, in the order in which they run and are shown."""
