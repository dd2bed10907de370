"""Loaders on a virtual clock, whose batches take a known time to load."""

import dataclasses

import torch

from breakeven.measure.simulated import simulated_workload


class SimulatedLoader:
    """A loader that, like torch's, has `workers` at work while the host does something else.

    Each batch takes a worker `load_s`. A worker holds up to two batches ready. Without workers the host loads
    when it is asked. `passes` counts the passes that were started, each in `start_s`.
    """

    prefetch_factor = 2

    def __init__(self, clock, load_s, workers=0, batches=1_000_000, start_s=0.0, batch=None):
        self.clock, self.load_s, self.num_workers = clock, load_s, workers
        self.batches, self.start_s, self.batch = batches, start_s, batch
        self.passes = 0

    def __len__(self):
        return self.batches

    def __iter__(self):
        self.passes += 1
        self.clock.advance(self.start_s)
        return self._loaded() if self.num_workers else self._serial()

    def _item(self):
        return torch.ones(1, 2) if self.batch is None else self.batch, torch.zeros(1, 1)

    def _serial(self):
        for _ in range(self.batches):
            self.clock.advance(self.load_s)
            yield self._item()

    def _loaded(self):
        """Each worker begins its next batch when it has one fewer than two ready."""
        done = [
            self.clock.now + self.load_s * (1 + i // self.num_workers) for i in range(2 * self.num_workers)
        ]
        for index in range(self.batches):
            ready = done[index]
            self.clock.now = max(self.clock.now, ready)
            # The worker that loaded this batch is asked for another one, after those it still has to load.
            done.append(max(self.clock.now, done[index + self.num_workers]) + self.load_s)
            yield self._item()


def loaded_workload(device, costs, loader):
    """The simulated workload, whose copy to the device is known, with that loader."""
    workload = simulated_workload(device, costs)
    loader.batch = workload.inputs
    return dataclasses.replace(workload, loader=lambda: loader)
