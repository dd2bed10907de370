"""The two grids on which the tools are held against each other: synthetic truths, and real training steps.

Each gives `Cell`s: every tool's readings in one cell. In both, all tools time the same function in the same
run. Synthetic: the same seeds for every tool. Real: the tools take turns, the order rotating, with stretches
of reference rounds between them, whose pooled median and mean are the truth.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median, stdev

from metrics import Observation
from tools import TOOLS, VIRTUAL_TOOLS, Call, Reading, Tool
from truths import NOISY, TRUTHS, VirtualClock, VirtualFunction

from breakeven.hardware.devices import parse_device
from breakeven.measure.phases import PHASES
from breakeven.measure.trainer import Placed
from breakeven.measure.workload import build, mlp

Say = Callable[[str], None]

DEAR = "pyperf's method"
"""Takes ten seconds a reading, so the real grid uses it only now and then."""

NOISE = 0.05
"""From this stddev of its reference rounds on, relative to their mean, a real cell counts as noisy."""


@dataclass
class Cell:
    """What was timed, its true median and mean in seconds, and each tool's readings with their cost.

    `noisy` tells whether the aim for noisy cells is about it.
    """

    name: str
    what: str
    truth_s: Mapping[str, float]
    noisy: bool
    readings: dict[str, list[tuple[Reading, float]]] = field(default_factory=dict)

    def observations(self, tool: str) -> list[Observation]:
        """Return a tool's readings, each beside the truth of its estimand."""
        return [
            Observation(reading, self.truth_s[reading.estimand], wall_s)
            for reading, wall_s in self.readings[tool]
        ]


def virtual_cells(names: Sequence[str], repetitions: int, say: Say) -> Iterator[Cell]:
    """Measure each truth `repetitions` times with each tool, on virtual clocks."""
    gc.freeze()  # what is loaded need not be walked by the collections that breakeven asks for
    for name in names:
        truth = TRUTHS[name]
        what = f"{truth.what}; the best estimator that knew this law would need {truth.least_s:.2g} s"
        cell = Cell(name, what, {"median": truth.median_s, "mean": truth.mean_s}, name in NOISY)
        for tool in VIRTUAL_TOOLS.values():
            say(f"{name}: {tool.name}, {repetitions} readings")
            cell.readings[tool.name] = [
                _virtual_reading(tool, name, repetition) for repetition in range(repetitions)
            ]
        yield cell
    gc.unfreeze()


def _virtual_reading(tool: Tool, name: str, repetition: int) -> tuple[Reading, float]:
    clock = VirtualClock()
    function = VirtualFunction(TRUTHS[name], clock, repetition)
    reading = tool.measure(function, clock)
    return reading, clock.now


@dataclass(frozen=True)
class RealPlan:
    """What the real grid times: ``(width, batch size)`` of the mlp's train step, on each device.

    A cell gets `repetitions` of them, or as many (at least two) as begin within `cell_s` seconds. The dear
    tool joins every `dear_every`-th. `reference_s` seconds of reference rounds follow each.
    """

    shapes: tuple[tuple[int, int], ...] = ((64, 16), (512, 64))
    devices: tuple[str, ...] = ("cpu@1", "cpu")
    repetitions: int = 100
    cell_s: float = 70.0
    dear_every: int = 15
    reference_s: float = 0.2


def real_cells(plan: RealPlan, say: Say) -> Iterator[Cell]:
    """Measure each training step with each tool, in turns."""
    for width, batch_size in plan.shapes:
        for name in plan.devices:
            device = parse_device(name)
            with device.active():
                placed = Placed(build(lambda b=batch_size, w=width: mlp(b, w)), device)
                placed.move_model()
                cell = Cell(f"{width}x{batch_size} {name}", f"CPU threads: {device.threads}", {}, noisy=False)
                yield _real_cell(plan, cell, placed, say)


def _real_cell(plan: RealPlan, cell: Cell, placed: Placed, say: Say) -> Cell:
    train = PHASES["train"]

    def step() -> None:
        placed.release()
        train.run(placed)

    pooled: list[float] = []
    gc.collect()
    gc.freeze()
    placed.reset()
    reference_rounds(step, plan.reference_s)  # what comes once in a process is no tool's to pay
    start = time.perf_counter()
    for repetition in range(plan.repetitions):
        if repetition >= 2 and time.perf_counter() - start >= plan.cell_s:
            break
        say(f"{cell.name}: repetition {repetition + 1}")
        for tool in rotated(repetition, plan.dear_every):
            placed.reset()
            begin = time.perf_counter()
            reading = tool.measure(step, time.perf_counter)
            wall_s = time.perf_counter() - begin
            cell.readings.setdefault(tool.name, []).append((reading, wall_s))
        pooled += reference_rounds(step, plan.reference_s)
    gc.unfreeze()
    cell.truth_s = {"median": median(pooled), "mean": fmean(pooled)}
    noise = stdev(pooled) / fmean(pooled)
    cell.noisy = noise >= NOISE
    median_s = cell.truth_s["median"]
    cell.what += (
        f"; {len(pooled):,} reference rounds: median {1e3 * median_s:.3g} ms, stddev {noise:.1%} of the mean"
    )
    return cell


def rotated(repetition: int, dear_every: int) -> list[Tool]:
    """Return the tools of a repetition, each time another one first."""
    tools = [tool for tool in TOOLS.values() if tool.name != DEAR or repetition % dear_every == 0]
    first = repetition % len(tools)
    return tools[first:] + tools[:first]


def reference_rounds(step: Call, seconds: float) -> list[float]:
    """Return the seconds of steps timed one by one for that long, at least ten, after ten untimed ones."""
    for _ in range(10):
        step()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 10 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return times
