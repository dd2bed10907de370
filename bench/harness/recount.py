"""Counts the steps of the committed benchmarks, and stores them, so that predictions need not count again."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from breakeven.case import Axes, Cell
from breakeven.files import write_whole
from breakeven.measure.counts import CountedModels
from breakeven.measure.workload import Workload, batch_facts, build
from breakeven.phases import Phase
from breakeven.runs.schema import CaseFacts

BENCH = Path(__file__).parents[1]
FILE = "prediction-counts.json"
KEPT = ("operators", "kernels", "flops_by_format", "moved_bytes", "batch_bytes", "operators_unknown")


def recount(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """Return the counts of each cell's training step, as its benchmark is now."""
    functions = _functions()
    models = CountedModels()
    return [_item(cell, _facts(cell, functions[f"bench_{cell.workload}"], models)) for cell in cells]


def stored(folder: Path) -> dict[Cell, CaseFacts]:
    """Return the stored counts."""
    items = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return counts_of(items)


def counts_of(items: Iterable[Mapping[str, Any]]) -> dict[Cell, CaseFacts]:
    """Return the counts by cell."""
    return {
        Cell(item["workload"], Axes(item["axes"]), item["batch_size"]): CaseFacts.of(item) for item in items
    }


def store(items: Iterable[Mapping[str, Any]], folder: Path) -> None:
    """Write the counts, a line each."""
    lines = ",\n".join(json.dumps(item) for item in items)
    write_whole(folder / FILE, f"[\n{lines}\n]\n".encode())


def _item(cell: Cell, facts: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: facts[key] for key in KEPT if key in facts}
    return {"workload": cell.workload, "axes": dict(cell.axes), "batch_size": cell.batch_size, **kept}


def _facts(cell: Cell, function: Any, models: CountedModels) -> dict[str, Any]:
    found: list[Workload] = []
    function(lambda recipe: found.append(build(recipe)), batch_size=cell.batch_size, **cell.axes)
    return {**models.facts(cell, Phase.TRAIN, found[0]), **batch_facts(found[0])}


def _functions() -> dict[str, Any]:
    modules = map(_loaded, sorted(BENCH.glob("bench_*.py")))
    return {name: value for module in modules for name, value in vars(module).items()}


def _loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
