"""The two grids on which the tools are compared: synthetic functions, and real training steps.

Each consists of `Cell`s: every tool's readings in one cell. In both, all tools time the same function in the
same run. Synthetic: the same seeds for every tool. Real: the tools take turns, the order rotating, with
stretches of reference rounds between them, whose pooled median and mean count as the true values.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median, stdev

from metrics import Observation
from shared import rotated
from synthetic import DISTRIBUTIONS, NOISY, Law, SyntheticFunction, TickingClock
from tools import SYNTHETIC_TOOLS, TOOLS, Call, Measurement, Tool

from breakeven.hardware.devices import parse_device
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import build, mlp
from breakeven.phases import Phase

Log = Callable[[str], None]

SLOW_TOOL = "pyperf's method"
"""Takes ten seconds a reading, so the real grid uses it only now and then."""

NOISE = 0.05
"""From this stddev of its reference rounds on, relative to their mean, a real cell counts as noisy."""


@dataclass
class Cell:
    """The timed function, its true median and mean in seconds, and each tool's readings with their cost.

    `noisy` is whether the goal for noisy cells applies to it.
    """

    name: str
    what: str
    true_s: Mapping[str, float]
    noisy: bool
    measurements: dict[str, list[tuple[Measurement, float]]] = field(default_factory=dict)

    def observations(self, tool: str) -> list[Observation]:
        """Return a tool's readings, each with the true value of its estimand."""
        return [
            Observation(measurement, self.true_s[measurement.estimand], wall_s)
            for measurement, wall_s in self.measurements[tool]
        ]


def synthetic_cells(names: Sequence[str], repetitions: int, log: Log) -> Iterator[Cell]:
    """Measure each distribution `repetitions` times with each tool, on simulated clocks."""
    gc.freeze()  # breakeven's garbage collections need not walk loaded modules
    for name in names:
        distribution = DISTRIBUTIONS[name]
        what = f"{distribution.what}; the best estimator would need {distribution.min_s:.2g} s"
        cell = Cell(name, what, {"median": distribution.median_s, "mean": distribution.mean_s}, name in NOISY)
        for tool in SYNTHETIC_TOOLS.values():
            log(f"{name}: {tool.name}, {repetitions} readings")
            cell.measurements[tool.name] = [_measured(tool, distribution, i) for i in range(repetitions)]
        yield cell
    gc.unfreeze()


def _measured(tool: Tool, distribution: Law, repetition: int) -> tuple[Measurement, float]:
    clock = TickingClock()
    measurement = tool.measure(SyntheticFunction(distribution, clock, repetition), clock)
    return measurement, clock.now


@dataclass(frozen=True)
class RealPlan:
    """The real grid: ``(width, batch size)`` of the mlp's training step, on each device.

    A cell has `repetitions`, or as many (at least two) as begin within `cell_s` seconds. The slow tool runs
    in every `slow_every`-th. `reference_s` seconds of reference rounds follow each.
    """

    shapes: tuple[tuple[int, int], ...] = ((64, 16), (512, 64))
    devices: tuple[str, ...] = ("cpu@1", "cpu")
    repetitions: int = 100
    cell_s: float = 70.0
    slow_every: int = 15
    reference_s: float = 0.2


def real_cells(plan: RealPlan, log: Log) -> Iterator[Cell]:
    """Measure each training step with each tool, alternately."""
    for width, batch_size in plan.shapes:
        for name in plan.devices:
            device = parse_device(name)
            with device.active():
                trainer = Trainer(build(lambda b=batch_size, w=width: mlp(b, w)), device)
                trainer.move_model()
                cell = Cell(f"{width}x{batch_size} {name}", f"CPU threads: {device.threads}", {}, noisy=False)
                yield _real_cell(plan, cell, trainer, log)


def _real_cell(plan: RealPlan, cell: Cell, trainer: Trainer, log: Log) -> Cell:
    def step() -> None:
        trainer.release()
        trainer.run(Phase.TRAIN)

    pooled: list[float] = []
    gc.collect()
    gc.freeze()
    trainer.start()
    reference_rounds(step, plan.reference_s)  # one-time costs of the process are charged to no tool
    start = time.perf_counter()
    for repetition in range(plan.repetitions):
        if repetition >= 2 and time.perf_counter() - start >= plan.cell_s:
            break
        log(f"{cell.name}: repetition {repetition + 1}")
        for tool in tools_of(repetition, plan.slow_every):
            trainer.start()
            begin = time.perf_counter()
            measurement = tool.measure(step, time.perf_counter)
            wall_s = time.perf_counter() - begin
            cell.measurements.setdefault(tool.name, []).append((measurement, wall_s))
        pooled += reference_rounds(step, plan.reference_s)
    gc.unfreeze()
    cell.true_s = {"median": median(pooled), "mean": fmean(pooled)}
    noise = stdev(pooled) / fmean(pooled)
    cell.noisy = noise >= NOISE
    median_s = cell.true_s["median"]
    cell.what += (
        f"; {len(pooled):,} reference rounds: median {1e3 * median_s:.3g} ms, stddev {noise:.1%} of the mean"
    )
    return cell


def tools_of(repetition: int, slow_every: int) -> list[Tool]:
    """Return the tools of a repetition in their order."""
    return rotated(
        [tool for tool in TOOLS.values() if tool.name != SLOW_TOOL or repetition % slow_every == 0],
        repetition,
    )


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
