"""Machine cards: the recorded facts of a machine as named lines; missing facts are omitted.

Facts come from a file and may be of any type, so each is checked before it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from breakeven import format as fmt
from breakeven.format import one_line
from breakeven.report.report import Report
from breakeven.runs.json_files import mapping
from breakeven.runs.machine import Machine, gpus_of
from breakeven.runs.schema import Run


@dataclass(frozen=True)
class Card:
    """A machine's label and its facts, as (name, value) lines."""

    title: str
    facts: tuple[tuple[str, str], ...]


def cards(report: Report) -> list[Card]:
    """Return a card for each machine class."""
    return [_card(report, machine) for machine in report.machines]


def facts_of(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is recorded of a machine's hardware and software, as lines."""
    return [*_hardware(facts), *_software(facts)]


def card_of(title: str, lines: Iterable[tuple[str, str]]) -> Card:
    """Return a card of those lines that have a value."""
    return Card(title, tuple((name, one_line(value, 200)) for name, value in lines if value))


def _card(report: Report, machine: Machine) -> Card:
    runs = [run for run in report.runs if run.machine.class_id == machine.class_id]
    lines = [*facts_of(machine.facts), ("precision", _precisions(report, machine))]
    return card_of(machine.label, [*lines, *_states(runs), *_runs(machine, runs)])


def _hardware(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "CPU", _text(facts.get("cpu"))
    yield "cores", _text(facts.get("cores"))
    yield "CPU quota", _text(facts.get("quota"))
    yield "torch threads", _text(facts.get("threads"))
    yield "GPU", ", ".join(gpus_of(facts))
    yield "GPU memory", _of_each(facts.get("gpu_memory_bytes"), lambda value: _scaled(value, "B"))
    yield "compute capability", _of_each(facts.get("compute_capability"), _text)
    yield "power limit", _of_each(facts.get("power_limit_w"), lambda value: _with_unit(value, "W"))
    yield "driver", _text(facts.get("driver"))


def _software(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "torch", _text(facts.get("torch"))
    yield "CUDA, cuDNN", ", ".join(filter(None, (_text(facts.get("cuda")), _text(facts.get("cudnn")))))
    yield "Python", _text(facts.get("python"))
    modes = {
        "tf32": "TF32",
        "amp": "autocast",
        "deterministic": "deterministic",
        "cudnn_benchmark": "cuDNN autotuning",
    }
    known = [f"{name} {_switch(facts[key])}" for key, name in modes.items() if key in facts]
    yield "numeric modes", ", ".join(known)
    yield "OMP_WAIT_POLICY", _text(facts.get("omp_wait_policy"))


def _states(runs: Sequence[Run]) -> Iterator[tuple[str, str]]:
    """Yield the changing facts of a machine, before and after all runs."""
    for when in ("start", "end"):
        name = "before" if when == "start" else "after"
        states = [mapping(run.state.get(when)) for run in runs]
        gpus = [mapping(state.get("gpu")) for state in states]
        yield f"clocks {name}", _seen(gpus, _clocks)
        yield f"temperature {name}", _seen(gpus, lambda gpu: _with_unit(gpu.get("temperature_c"), "°C"))
        yield f"on the GPU {name}", _seen(gpus, _others)
        yield f"load {name}", _seen(states, _load)
    gpus = [mapping(mapping(run.state.get("end")).get("gpu")) for run in runs]
    yield "PCIe", _seen(gpus, _pcie)


def _runs(machine: Machine, runs: Sequence[Run]) -> Iterator[tuple[str, str]]:
    yield "runs", fmt.plural(len(runs), "file")
    processes = sum(max((len(case.samples) for case in run.cases.values()), default=1) for run in runs)
    if processes > len(runs):
        yield "processes", str(processes)
    yield "measured", fmt.joined(sorted(run.datetime[:16].replace("T", " ") for run in runs))
    yield "commit", fmt.joined([run.commit[:12] for run in runs if run.commit])
    yield "class", machine.class_id


def _precisions(report: Report, machine: Machine) -> str:
    dtypes = [row.key.axes.get("dtype") for row in report.rows if row.key.machine == machine.class_id]
    return ", ".join(sorted({_text(dtype) for dtype in dtypes if dtype is not None}))


def _seen(states: Iterable[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], str]) -> str:
    return fmt.joined([text for text in map(read, states) if text])


def _clocks(gpu: Mapping[str, Any]) -> str:
    known = [
        f"{name} {_with_unit(gpu.get(key), 'MHz')}"
        for key, name in (("sm_clock_mhz", "SM"), ("memory_clock_mhz", "memory"))
        if _is_number(gpu.get(key))
    ]
    return ", ".join(known)


def _others(gpu: Mapping[str, Any]) -> str:
    count = gpu.get("other_processes")
    return f"{count:g} other process{'' if count == 1 else 'es'}" if _is_number(count) else ""


def _pcie(gpu: Mapping[str, Any]) -> str:
    generation, width = gpu.get("pcie_generation"), gpu.get("pcie_width")
    return f"generation {generation} x{width}" if _is_number(generation) and _is_number(width) else ""


def _load(state: Mapping[str, Any]) -> str:
    load = state.get("load_average")
    return f"{load[0]:.2f}" if isinstance(load, list) and load and _is_number(load[0]) else ""


def _of_each(value: object, shown: Callable[[object], str]) -> str:
    """Return a fact that is a list, in order, if the machine's GPUs differ in it."""
    return ", ".join(shown(one) or "unknown" for one in value) if isinstance(value, list) else shown(value)


def _switch(value: object) -> str:
    return {True: "on", False: "off"}.get(value, "unknown") if isinstance(value, bool) else _text(value)


def _text(value: object) -> str:
    return "" if value is None else one_line(value)


def _with_unit(value: object, unit: str) -> str:
    return f"{value:g} {unit}" if _is_number(value) else ""


def _scaled(value: object, unit: str) -> str:
    return fmt.scaled(float(value), unit) if _is_number(value) and value > 0 else ""


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
