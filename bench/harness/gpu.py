"""Compares breakeven with other timers of a GPU: `python bench/harness/gpu.py --device cuda`.

Each timer and device events measure the same training step, on one GPU, in one run, alternately. Writes
``gpu.json`` and ``gpu.md`` into the folder of ``-o``, again after each shape. Exits with 2 without a GPU, and
with 130 after Ctrl-C or SIGTERM: the files then hold the shapes that were finished.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from gpu_tables import gpu_section
from shared import options, rotated, versions, write
from tools import planned
from torch.utils.benchmark import Timer

from breakeven.collector import collection_off
from breakeven.errors import UsageError
from breakeven.files import write_whole
from breakeven.hardware.device import Device
from breakeven.hardware.devices import parse_device
from breakeven.measure.parts import part_seconds
from breakeven.measure.timing import CLOCK, Clock, Round, time_round
from breakeven.measure.trainer import Trainer
from breakeven.measure.warmup import min_warmup
from breakeven.measure.workload import Workload, build, error_line, mlp
from breakeven.phases import Phase
from breakeven.plugin.session import signals_as_ctrl_c
from breakeven.stats.intervals import median_interval
from compare import at_least_two, progress, shape

SHAPES = ((64, 16), (64, 1024), (512, 64), (512, 4096), (4096, 4096))
EVENT_ROUNDS = 25
BARE_S, MIN_BARE_ROUNDS = 0.5, 20


@dataclass(frozen=True)
class Stage:
    """The training step that every timer measures."""

    trainer: Trainer
    clock: Clock

    @property
    def device(self) -> Device:
        """The device it runs on."""
        return self.trainer.device

    def step(self) -> None:
        """Queue a whole training step."""
        self.trainer.release()
        self.trainer.run(Phase.TRAIN)

    def waiting_clock(self) -> float:
        """Wait until the device is idle, then read the clock."""
        self.device.synchronize()
        return self.clock()


def by_events(stage: Stage) -> float:
    """Return the median seconds of the step by device events."""
    events = stage.device.event_api()
    if events is None:
        raise UsageError(f"{stage.device.name} has no events to compare the timers with")
    return part_seconds(Phase.TRAIN, stage.trainer, events, EVENT_ROUNDS)["all"]


def by_breakeven(stage: Stage) -> float:
    """Measure as `breakeven.measure.runner` does: separate first call, warm-up, plan, median of rounds."""
    round_ = Round(Phase.TRAIN, stage.trainer)
    with collection_off(collect_first=True):
        rounds = planned(round_, min_warmup(stage.device), stage.clock).rounds
        return median(time_round(round_, stage.clock).latency_s for _ in range(rounds))


def by_torch(stage: Stage) -> float:
    """Measure with ``Timer(...).blocked_autorange()``, whose own timer waits for CUDA."""
    timer: dict[str, Any] = {} if stage.clock is CLOCK else {"timer": stage.waiting_clock}
    made = Timer("step()", globals={"step": stage.step}, num_threads=torch.get_num_threads(), **timer)
    return float(made.blocked_autorange().median)


def by_triton(stage: Stage) -> float:
    """Measure with ``triton.testing.do_bench``, which counts milliseconds."""
    testing = load("triton.testing")
    return float(testing.do_bench(stage.step, return_mode="median")) / 1e3


def by_bare_loop(stage: Stage) -> float:
    """Read the clock before and after each call, without synchronizing, for half a second."""
    seconds: list[float] = []
    until = stage.clock() + BARE_S
    while len(seconds) < MIN_BARE_ROUNDS or stage.clock() < until:
        start = stage.clock()
        stage.step()
        seconds.append(stage.clock() - start)
    stage.device.synchronize()
    return median(seconds)


load = importlib.import_module
"""Imports what may be missing."""

PEERS: dict[str, Callable[[Stage], float]] = {
    "breakeven": by_breakeven,
    "torch.utils.benchmark": by_torch,
    "triton do_bench": by_triton,
    "bare loop": by_bare_loop,
}
"""Each returns the seconds that it reads for one step."""


def present(peers: Mapping[str, Callable[[Stage], float]]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the peers that can be used, and why others cannot.

    Being installed is not enough: triton compiles its driver when it first uses the GPU.
    """
    try:
        load("triton.testing").do_bench(lambda: None, return_mode="median")
    except Exception as error:  # a missing compiler, header or driver may raise anything
        missing = {"triton do_bench": error_line(error)}
        return {name: peer for name, peer in peers.items() if name not in missing}, missing
    return dict(peers), {}


def readings_of(
    workload: Workload,
    device: Device,
    peers: Mapping[str, Callable[[Stage], float]],
    repetitions: int,
    clock: Clock = CLOCK,
) -> dict[str, Any]:
    """Return ``truth_s``, ``readings`` (medians of the repetitions), ``intervals``, and ``all`` of them.

    An interval is null if there are fewer than six repetitions.
    """
    trainer = Trainer(workload, device)
    trainer.move_model()
    trainer.start()
    stage = Stage(trainer, clock)
    for _ in range(10):  # one-time costs of the process are charged to no timer
        stage.step()
    device.synchronize()
    timers = [("truth", by_events), *peers.items()]
    every: dict[str, list[float]] = {name: [] for name, _ in timers}
    for repetition in range(repetitions):
        for name, timer in rotated(timers, repetition):
            trainer.start()
            device.synchronize()
            every[name].append(timer(stage))
    found = {name: median_interval(seconds) for name, seconds in every.items()}
    medians = {name: interval.median for name, interval in found.items()}
    intervals = {
        name: None if interval.low is None else [interval.low, interval.high]
        for name, interval in found.items()
    }
    return {"truth_s": medians.pop("truth"), "readings": medians, "intervals": intervals, "all": every}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every shape and write the results."""
    given = parser().parse_args(arguments)
    try:
        device = parse_device(given.device)
        if not device.is_accelerator:
            raise UsageError(
                f"{device.name!r} is not an accelerator; compare.py compares the timers of a CPU"
            )
    except UsageError as error:
        print(f"gpu.py: error: --device: {error}", file=sys.stderr)
        return 2
    log = progress(given.quiet)
    shapes, finished = given.shapes or SHAPES, 0
    try:
        with signals_as_ctrl_c(), device.active():
            device.initialize()
            for content in measured(device, shapes, given.repetitions, log):
                whole = write(given.output / "gpu.json", content)
                write_whole(given.output / "gpu.md", gpu_section(whole).encode())
                finished = len(whole["cells"])
    except KeyboardInterrupt:
        print(f"gpu.py: interrupted; {finished} of {len(shapes)} shapes were written", file=sys.stderr)
        return 130
    log(f"wrote {given.output / 'gpu.json'} and {given.output / 'gpu.md'}")
    return 0


def measured(
    device: Device, shapes: Sequence[tuple[int, int]], repetitions: int, log: Callable[[str], object]
) -> Iterator[dict[str, Any]]:
    """Measure each shape, and yield all results so far."""
    peers, missing = present(PEERS)
    result = {
        "device": device.name,
        "device_name": device.describe()["device_name"],
        "versions": versions("breakeven", "torch", *(() if missing else ("triton",))),
        "repetitions": repetitions,
        "missing": missing,
    }
    cells: list[dict[str, Any]] = []
    for width, batch_size in shapes:
        log(f"{width}x{batch_size}")
        workload = build(lambda w=width, b=batch_size: mlp(b, w))
        found = readings_of(workload, device, peers, repetitions)
        cells.append({"name": f"{width} x {batch_size}", "width": width, "batch_size": batch_size, **found})
        yield {**result, "complete": len(cells) == len(shapes), "cells": cells}
        device.release_memory()


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = options(
        "What torch.utils.benchmark, triton's do_bench, a bare loop and breakeven read for a training step "
        "on a GPU, and what its device events read.",
        epilog="example:\n  python bench/harness/gpu.py --device cuda",
    )
    made.add_argument("--device", default="cuda", metavar="DEVICE", help="the accelerator (%(default)s)")
    made.add_argument(
        "--shapes", nargs="+", type=shape, metavar="WIDTHxBATCH", help="training steps (64x16 ... 4096x4096)"
    )
    made.add_argument(
        "--repetitions",
        type=at_least_two,
        default=6,
        metavar="N",
        help="readings per cell and timer (%(default)s; fewer than 6 give no interval)",
    )
    made.add_argument("-q", "--quiet", action="store_true", help="no progress")
    return made


if __name__ == "__main__":
    sys.exit(main())
