"""Hold breakeven against a GPU's other timers: `python bench/harness/gpu.py --device cuda`.

What each of them reads for the same training step, beside what device events say it took; on one GPU, in one
run, in turns. Writes ``gpu.json`` and ``gpu.md`` into the folder of ``-o``. Refuses to run without a GPU.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import json
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from gpu_tables import gpu_section
from torch.utils.benchmark import Timer

from breakeven.case import Budget
from breakeven.errors import UsageError
from breakeven.hardware.devices import Device, parse_device
from breakeven.hardware.machine import class_facts
from breakeven.measure.phases import PHASES
from breakeven.measure.timing import (
    CLOCK,
    Clock,
    Round,
    collection_off,
    floor_for,
    part_seconds,
    plan_rounds,
    time_round,
    warm_up,
)
from breakeven.measure.trainer import Placed
from breakeven.measure.workload import Workload, build, mlp, one_line
from breakeven.stats.intervals import median_interval
from compare import at_least_two, progress, shape

SHAPES = ((64, 16), (64, 1024), (512, 64), (512, 4096), (4096, 4096))
TRUTH_ROUNDS = 25
BARE_ROUNDS = 200


@dataclass(frozen=True)
class Stage:
    """One placed training step: what every timer is given."""

    placed: Placed
    clock: Clock

    @property
    def device(self) -> Device:
        """Where it runs."""
        return self.placed.device

    def step(self) -> None:
        """Queue a whole training step."""
        self.placed.release()
        PHASES["train"].run(self.placed)

    def waiting_clock(self) -> float:
        """Read the clock once the device is idle."""
        self.device.synchronise()
        return self.clock()


def by_events(stage: Stage) -> float:
    """Return the median seconds that device events give the step."""
    events = stage.device.event_api()
    if events is None:
        raise UsageError(f"{stage.device.name} has no events, so nobody knows what a step truly takes there")
    return part_seconds(PHASES["train"], stage.placed, events, TRUTH_ROUNDS)["all"]


def by_breakeven(stage: Stage) -> float:
    """Measure as `breakeven.measure.runner` does: first call apart, warm up, plan, median of rounds."""
    round_, budget = Round(PHASES["train"], stage.placed), Budget()
    time_round(round_, stage.clock)
    second = time_round(round_, stage.clock)
    with collection_off():
        warmup = warm_up(round_, floor_for(stage.device), budget.max_time_s, (second,), stage.clock)
        rounds = plan_rounds(warmup, budget).rounds
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
    """Read the clock before and after each call and wait for nobody."""
    seconds = []
    for _ in range(BARE_ROUNDS):
        start = stage.clock()
        stage.step()
        seconds.append(stage.clock() - start)
    stage.device.synchronise()
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
    """Return the peers that can be used, and why each of the others cannot.

    Installed is not enough: triton compiles its driver's C when it first asks for the GPU.
    """
    try:
        load("triton.testing").do_bench(lambda: None, return_mode="median")
    except Exception as error:  # whatever a missing compiler, header or driver makes of it
        missing = {"triton do_bench": one_line(error)}
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

    An interval is null where there are fewer than six repetitions.
    """
    placed = Placed(workload, device)
    placed.move_model()
    placed.reset()
    stage = Stage(placed, clock)
    for _ in range(10):  # what comes once in a process is no timer's to pay
        stage.step()
    device.synchronise()
    timers = [("truth", by_events), *peers.items()]
    every: dict[str, list[float]] = {name: [] for name, _ in timers}
    for repetition in range(repetitions):
        first = repetition % len(timers)
        for name, timer in timers[first:] + timers[:first]:
            placed.reset()
            device.synchronise()
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
    options = parser().parse_args(arguments)
    try:
        device = parse_device(options.device)
        if not device.is_accelerator:
            raise UsageError(f"{device.name!r} is no accelerator; compare.py holds the timers of a CPU")
    except UsageError as error:
        print(f"gpu.py: error: --device: {error}", file=sys.stderr)
        return 2
    say = progress(options.quiet)
    cells = []
    with device.active():
        device.initialise()
        peers, missing = present(PEERS)
        for width, batch_size in options.shapes or SHAPES:
            say(f"{width}x{batch_size}")
            workload = build(lambda w=width, b=batch_size: mlp(b, w))
            found = readings_of(workload, device, peers, options.repetitions)
            cells.append(
                {"name": f"{width} x {batch_size}", "width": width, "batch_size": batch_size, **found}
            )
            device.release_memory()
        name = device.describe()["device_name"]
    result = {
        "schema": 1,
        "device": device.name,
        "device_name": name,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": class_facts(),
        "versions": versions(missing),
        "repetitions": options.repetitions,
        "missing": missing,
        "cells": cells,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "gpu.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.output / "gpu.md").write_text(gpu_section(result), encoding="utf-8")
    say(f"wrote {options.output / 'gpu.json'} and {options.output / 'gpu.md'}")
    return 0


def versions(missing: Mapping[str, str]) -> dict[str, str]:
    """Return the versions that the readings depend on."""
    named = {name: importlib.metadata.version(name) for name in ("breakeven", "torch")}
    if not missing:
        named["triton"] = str(load("triton").__version__)
    return named | {"python": platform.python_version()}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        description="What torch.utils.benchmark, triton's do_bench, a bare loop and breakeven read for a "
        "training step on a GPU, beside its device events.",
        epilog="example:\n  python bench/harness/gpu.py --device cuda -o results/harness",
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
        help="readings a cell and timer (%(default)s; fewer than 6 give no interval)",
    )
    made.add_argument("-o", "--output", type=Path, default=Path("results/harness"), metavar="FOLDER")
    made.add_argument("-q", "--quiet", action="store_true", help="no progress")
    return made


if __name__ == "__main__":
    sys.exit(main())
