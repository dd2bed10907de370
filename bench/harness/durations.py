"""How long a sweep takes in several processes: a recorded run, replayed by the runner on a virtual clock.

Steps take the recorded times of their parts, with the recorded noise; from process to process they differ.
What a runner does not time is a constant of the recorded run: building, and starting a process.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from shared import options, write
from torch import nn

from breakeven.case import Budget, CaseKey, Cell
from breakeven.device_names import is_cpu
from breakeven.measure.earlier import Earlier
from breakeven.measure.outcomes import CaseSkipped
from breakeven.measure.round_plan import RoundPlan
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice
from breakeven.measure.timing import Round, time_round
from breakeven.measure.workload import Workload
from breakeven.phases import HEADLINE, STEP_PARTS, parse_phase, parse_phases
from breakeven.plugin.order import run_order
from breakeven.plugin.step_times import StepLine
from breakeven.plugin.sweeps import SHORT, Choice, select_sweep

RUNS = Path(__file__).parents[2] / "results"

STARTUP_S = 4.0
"""The seconds of a process before its first case: the interpreter, torch, collecting."""

PREPARING_NOW = 0.34
"""The part of the time that 0.1.0 took to prepare a case: 3.0 s now, 9.0 s then, for the 360 cases of the
default sweep on 2 cores (one run each)."""

BUILDING_SHARE = 0.5
"""The part of the recorded time for preparing that a later process needs too; the rest was counting,
and the reference losses."""

BETWEEN = {"cpu": 0.05, "cuda": 0.2}
"""The standard deviation of the logarithm of a case's level from process to process, by device."""

PHASES = sorted(parse_phases(()), key=lambda phase: phase is not HEADLINE)  # as a run takes them


@dataclass(frozen=True)
class Recorded:
    """One cell on one device: the seconds of each part, those of first calls by phase, and the noise."""

    parts: Mapping[str, float]
    first_call_s: Mapping[str, float]
    noise: Sequence[float] = (1.0,)


@dataclass(frozen=True)
class Recording:
    """A recorded run; `preparing_s` is what its runner did for a case apart from warm-up and rounds."""

    cells: Mapping[tuple[Cell, str], Recorded]
    preparing_s: float

    @classmethod
    def read(cls, *paths: Path) -> Self:
        """Read a run, and further runs of steps that were too slow for it.

        Steps that no run has continue the smaller batches of their model; their parts take the shares that
        they have there.
        """
        runs = [json.loads(path.read_text()) for path in paths]
        found: dict[tuple[Cell, str], dict[str, Any]] = defaultdict(dict)
        for item in [item for run in reversed(runs) for item in run["benchmarks"]]:
            info = item["extra_info"]
            case = CaseKey.of(*(info[key] for key in ("workload", "batch_size", "phase", "device", "axes")))
            found[case.cell, case.device][case.phase] = item
        whole = {key: _recorded(items) for key, items in found.items() if set(map(str, PHASES)) <= set(items)}
        for cell, device in found.keys() - whole.keys():
            whole[cell, device] = _continued(cell, device, found[cell, device], whole)
        preparing_s = runs[0]["breakeven"]["spent_s"]["preparing"] / len(runs[0]["benchmarks"])
        preparing_s *= PREPARING_NOW if is_of_version_1(runs[0]) else 1.0
        return cls(dict(sorted(whole.items(), key=lambda item: _place(item[0][0]))), preparing_s)

    def sweep(self, name: str) -> list[Cell]:
        """Return the cells of a sweep: all of them, or those of `SHORT`."""
        cells = list(dict.fromkeys(cell for cell, _ in self.cells))
        if name != SHORT:
            return cells
        values: dict[str, dict[str, dict[Any, None]]] = defaultdict(lambda: defaultdict(dict))
        for cell in cells:
            for axis, value in _arguments(cell).items():
                values[cell.workload][axis][value] = None
        short = {
            workload: select_sweep(
                {None: {axis: tuple(found) for axis, found in axes.items()}}, Choice(SHORT)
            )
            for workload, axes in values.items()
        }
        return [
            cell
            for cell in cells
            if all(value in (short[cell.workload] or {})[axis] for axis, value in _arguments(cell).items())
        ]


def is_of_version_1(run: Mapping[str, Any]) -> bool:
    """Return whether a run timed steps with a wait after each: then it prepared cases as slowly, too."""
    trains = (item["extra_info"] for item in run["benchmarks"] if item["extra_info"]["phase"] == HEADLINE)
    return not any("steps" in info for info in trains)


def _arguments(cell: Cell) -> dict[str, Any]:
    return {"batch_size": cell.batch_size, **cell.axes}


def _place(cell: Cell) -> tuple[str, Any, int]:
    return cell.workload, cell.axes.sort_key, cell.batch_size


def _recorded(items: Mapping[str, Any]) -> Recorded:
    medians = {phase: item["stats"]["median"] for phase, item in items.items()}
    parts = {part: medians.get(part, 0.0) for part in STEP_PARTS}
    parts["zero_grad"] = max(0.0, medians[HEADLINE] - sum(parts.values()))
    train = items[HEADLINE]["stats"]
    first = {phase: item["extra_info"]["first_call_s"] for phase, item in items.items()}
    return Recorded(parts, first, [one / train["median"] for one in train["data"]])


def _continued(
    cell: Cell, device: str, items: Mapping[str, Any], whole: Mapping[tuple[Cell, str], Recorded]
) -> Recorded:
    smaller = {
        other.batch_size: recorded
        for (other, where), recorded in whole.items()
        if other.model == cell.model and where == device
    }
    largest = smaller[max(smaller)]
    step_s = StepLine({batch: sum(one.parts.values()) for batch, one in smaller.items()}).at(cell.batch_size)
    if HEADLINE in items:
        step_s = items[HEADLINE]["stats"]["median"]
    scale = step_s / sum(largest.parts.values())
    return Recorded({part: scale * seconds for part, seconds in largest.parts.items()}, {}, largest.noise)


@dataclass
class Timeline:
    """Lets the recorded times of the current cell pass; the part that transfers begins a step."""

    clock: SimulatedClock
    by_device: dict[int | None, tuple[Recorded, float]] = field(default_factory=dict)
    first_call_s: float = 0.0
    current: int | None = None
    factor: float = 1.0
    random: random.Random = field(default_factory=lambda: random.Random(0))
    step: int = 0

    def __post_init__(self) -> None:
        self.loss = torch.zeros(1, requires_grad=True).as_subclass(_Loss)
        self.loss.timeline = self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def begin(self, device: int | None) -> None:
        """Begin a step on a device: its noise is the next of the recorded one."""
        self.current, self.step = device, self.step + 1
        recorded, level = self.by_device[device]
        self.factor = level * recorded.noise[self.step % len(recorded.noise)]
        if device is not None:
            self.clock.advance(self.first_call_s)
            self.first_call_s = 0.0

    def do(self, part: str) -> None:
        """Let the time of a part pass."""
        self.clock.advance(self.factor * self.by_device[self.current][0].parts[part])


class _Loss(torch.Tensor):
    timeline: Timeline

    def backward(self, *_: Any, **__: Any) -> None:  # type: ignore[override]
        self.timeline.do("backward")


class _Batch(torch.Tensor):
    timeline: Timeline

    def to(self, device: torch.device, *_: Any, **__: Any) -> torch.Tensor:  # type: ignore[override]
        self.timeline.begin(device.index)
        self.timeline.do("transfer")
        return self.as_subclass(torch.Tensor)


class _Model(nn.Module):
    def __init__(self, timeline: Timeline) -> None:
        super().__init__()
        self.timeline, self.weight = timeline, nn.Parameter(torch.zeros(1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if not inputs.is_meta:
            self.timeline.do("forward")
        return self.timeline.loss


class _Optimizer(torch.optim.SGD):
    timeline: Timeline

    def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: ARG002 - the base's signature
        self.timeline.do("zero_grad")

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
        self.timeline.do("step")


class Replayed(SimulatedDevice):
    """A device of a recording. Work is done when its call returns; the index tells devices apart."""

    def __init__(self, clock: SimulatedClock, name: str, index: int) -> None:
        super().__init__(clock, name=name)
        self.torch_device = torch.device("cpu", index)
        self.is_accelerator = not is_cpu(name)  # type: ignore[misc]


def workload_of(timeline: Timeline) -> Workload:
    """Return a workload whose parts let recorded times pass."""

    def optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        made = _Optimizer(parameters, lr=0.01)
        made.timeline = timeline
        return made

    batch = torch.ones(1).as_subclass(_Batch)
    batch.timeline = timeline
    return Workload(_Model(timeline), lambda output, _: output, optimizer, batch, None)


def replay(
    recording: Recording,
    cells: Sequence[Cell],
    processes: int,
    budget: Budget,
    between: Mapping[str, float] = BETWEEN,
) -> list[float]:
    """Return the seconds that each process takes, its start included.

    Args:
        recording: the times.
        cells: the sweep.
        processes: how many measure it, one after another.
        budget: of a case, over all processes.
        between: the standard deviation of the logarithm of a case's level, by kind of device.
    """
    handed_on: dict[CaseKey, list[dict[str, Any]]] = defaultdict(list)
    lost: set[CaseKey] = set()
    return [
        _process(index, recording, cells, processes, budget, between, handed_on, lost)
        for index in range(processes)
    ]


def _process(
    index: int,
    recording: Recording,
    cells: Sequence[Cell],
    processes: int,
    budget: Budget,
    between: Mapping[str, float],
    handed_on: dict[CaseKey, list[dict[str, Any]]],
    lost: set[CaseKey],
) -> float:
    clock = SimulatedClock()
    timeline, runner = Timeline(clock), Runner(budget.shared_by(processes), clock)
    names = sorted({name for _, name in recording.cells})
    devices = [Replayed(clock, name, place) for place, name in enumerate(names)]
    levels = random.Random(index)
    clock.advance(STARTUP_S)

    def time_rounds(round_: Round, plan: RoundPlan) -> None:
        for _ in range(plan.lead_in + plan.rounds):
            time_round(round_, clock)

    for cell in run_order(cells, seed=index):
        recorded = [recording.cells[cell, device.name] for device in devices]
        found = [
            (one, math.exp(levels.gauss(0, between["cpu" if is_cpu(device.name) else "cuda"])))
            for one, device in zip(recorded, devices, strict=True)
        ]
        timeline.by_device = {None: found[0], **dict(enumerate(found))}
        workload = workload_of(timeline)
        for device, one in zip(devices, recorded, strict=True):
            if index:
                clock.advance(BUILDING_SHARE * len(PHASES) * recording.preparing_s)
            for phase in PHASES:
                case = CaseKey(cell, phase, device.name)
                if index >= parse_phase(phase).processes(processes) or case in lost:
                    continue
                if not index:
                    clock.advance(recording.preparing_s)
                timeline.first_call_s = max(0.0, one.first_call_s.get(phase, 0.0) - sum(one.parts.values()))
                earlier = Earlier.of(handed_on[case])
                try:
                    facts = runner.measure(case, device, lambda: workload, time_rounds, earlier)  # noqa: B023
                    handed_on[case].append(facts["hand_on"])
                except CaseSkipped as error:
                    runner.note_failure(case, error)
                    lost.add(case)
    return clock.now


def main(arguments: list[str]) -> int:
    """Replay the recorded runs, print the durations, and write ``durations.json``."""
    parser = options(__doc__)
    parser.add_argument("--processes", type=int, default=5, help="default: 5")
    args = parser.parse_args(arguments)
    h100 = Recording.read(RUNS / "h100-16core" / "run.json", RUNS / "h100-16core" / "large.json")
    cpu = Recording.read(RUNS / "cpu-2core" / "run.json")
    found = {}
    for name, recording, sweep in (
        ("H100, full", h100, "full"),
        ("H100, short", h100, SHORT),
        ("2 cores, default", cpu, "default"),
    ):
        cells = recording.sweep(sweep)
        seconds = replay(recording, cells, args.processes, Budget())
        found[name] = {"cells": len(cells), "processes_s": seconds, "total_s": sum(seconds)}
        shown = ", ".join(f"{one:.0f}" for one in seconds)
        print(f"{name}: {len(cells)} cells, {sum(seconds):.0f} s in all ({shown})", flush=True)
    write(args.output / "durations.json", {"startup_s": STARTUP_S, "between": BETWEEN, "sweeps": found})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
