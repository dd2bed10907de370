"""A process that times probe steps: which, and at which sizes, its argument lists, as JSON.

It prints the seconds of each step, or one line that states why there are none. The time of launches differs
from process to process, so each of several processes times all probes.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from functools import partial
from statistics import median

import breakeven.hardware.cpus  # noqa: F401 - reads the affinity before torch is loaded
from breakeven.collector import collection_off
from breakeven.doctor.probes import PROBES
from breakeven.hardware.device import Device
from breakeven.hardware.devices import Accelerator
from breakeven.measure.cells import in_effect
from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.timing import CLOCK, Clock, Round, time_round
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Recipe, Workload, error_line
from breakeven.phases import Phase

WARM_S, TIMED_S = 0.3, 0.5
"""How long a probe's steps run before they are timed, and how long they are timed, in seconds."""

ROUND_S = 0.02
"""A round of a probe has as many steps as take this long, so that one synchronization does not matter."""

MIN_ROUNDS = 3
MAX_STEPS = 100


def time_probes(sizes: Mapping[str, int], device: Device, clock: Clock = CLOCK) -> dict[str, float | str]:
    """Return the seconds of a step of each probe, by its name, or one line that states why there are none."""
    with device.active():
        device.initialize()
    wanted = [probe for probe in PROBES if probe.name in sizes]
    return {probe.name: _timed(partial(probe.recipe, sizes[probe.name]), device, clock) for probe in wanted}


def _timed(recipe: Recipe, device: Device, clock: Clock) -> float | str:
    try:
        return time_step(recipe(), device, clock)
    except (RuntimeError, MemoryError, UnsupportedError) as error:  # the other probes may still run
        return error_line(error)
    finally:
        device.release_memory()


def time_step(workload: Workload, device: Device, clock: Clock = CLOCK) -> float:
    """Return the seconds of a training step on a device, the median of its rounds.

    Raises:
        RuntimeError: the step cannot run there, as where its memory is full.
    """
    if workload.tf32 and (reason := device.why_no_tf32()) is not None:
        raise UnsupportedError(reason)
    trainer = Trainer(workload, device)
    with device.active(), in_effect(workload, device), collection_off(collect_first=True):
        trainer.move_model()
        trainer.start()
        once = Round(Phase.TRAIN, trainer, clock=clock)
        warm = _times(once, WARM_S, clock)
        steps = min(MAX_STEPS, math.ceil(ROUND_S / min(warm)))
        return median(_times(once.of(steps), TIMED_S, clock))


def _times(round_: Round, until_s: float, clock: Clock) -> list[float]:
    """Return the seconds of a step in each round, for this long."""
    end = clock() + until_s
    times: list[float] = []
    while len(times) < MIN_ROUNDS or clock() < end:
        times.append(time_round(round_, clock).latency_s)
    return times


def _main() -> None:
    device = Accelerator.default()
    if device is None:
        raise SystemExit("no accelerator")
    json.dump(time_probes(json.loads(sys.argv[1]), device), sys.stdout)


if __name__ == "__main__":
    _main()
