"""Simulated devices without a queue: work is done when its call returns."""

from breakeven.measure.simulated import SimulatedDevice


class Prompt(SimulatedDevice):
    """An accelerator whose every launch waits."""

    def enqueue(self, seconds):
        if self._dry_run is None:
            self.clock.advance(seconds)
        else:
            super().enqueue(seconds)


class Host(Prompt):
    """A device that is measured as a CPU is."""

    is_accelerator = False
