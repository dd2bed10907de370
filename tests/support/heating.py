"""A simulated accelerator that slows down under load."""

from breakeven.measure.simulated import Costs, SimulatedClock, SimulatedDevice

STEP_S = 1 / 32
COSTS = Costs(*[STEP_S / 32 * cost for cost in (1, 1, 8, 16, 6, 1)])
"""The parts of a step take 1/32 s together."""


class Heating(SimulatedDevice):
    """After two seconds of work, all work takes half as much time again at two thirds of the clock."""

    def __init__(self, launch_s=0.0):
        super().__init__(SimulatedClock(), launch_s)
        self.worked_s = 0.0

    @property
    def is_hot(self):
        """Whether the clock is lowered."""
        return self.worked_s > 2.0

    def initialize(self):
        """Take no time, so that no load comes before the first step."""

    def enqueue(self, seconds):
        """Queue work."""
        self.worked_s += seconds
        super().enqueue(seconds * (1.5 if self.is_hot else 1.0))

    def sample(self):
        """Return the clock."""
        return {"sm_clock_mhz": 1320 if self.is_hot else 1980}
