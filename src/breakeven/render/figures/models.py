"""Which models a figure shows, in what order, and what they are called.

Owns the choice where there are too many, and short names: of the axes only those that tell models of one
workload apart. Draws nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from breakeven.case import axes_text
from breakeven.format import one_line
from breakeven.report.report import Report
from breakeven.report.speedup import PHASES

MAX_PANELS = 12
"""More models than this make a picture nobody reads; the rest is said to be in the table."""


class Model(NamedTuple):
    """What one panel shows: a workload with its axes, on one machine class."""

    class_id: str
    workload: str
    axes: str


def model_of(row: Any) -> Model:
    """Return the model that a row of the record is about."""
    return Model(row.class_id, row.workload, row.axes)


def main_phase(report: Report) -> str | None:
    """Return the phase that a figure of one phase shows: the headline, else the first that was timed."""
    if report.headline is not None:
        return report.headline
    timed = list(dict.fromkeys(report.cases["phase"]))
    return next((phase for phase in (*PHASES, *timed) if phase in timed), None)


def cases_by_model(report: Report, phase: str | None) -> dict[Model, list[Any]]:
    """Return the cases of that phase of each model, in the order of the record."""
    found: dict[Model, list[Any]] = {}
    for row in report.cases[report.cases["phase"] == phase].itertuples(index=False):
        found.setdefault(model_of(row), []).append(row)
    return found


def known_outcomes(report: Report) -> Iterator[Any]:
    """Yield the cases without a timing of which the file tells everything that identifies one."""
    named = report.outcomes.dropna(subset=["workload", "axes", "batch_size", "phase", "device"])
    yield from named.itertuples(index=False)


def chosen(models: Iterable[Model], limit: int) -> list[Model]:
    """Return at most `limit` models in their order: the same of every machine, and of many workloads.

    >>> models = [Model("box", work, axes) for work in ("cnn", "mlp") for axes in ("w=1", "w=2")]
    >>> [model.workload for model in chosen(models, 2)]
    ['cnn', 'mlp']
    """
    rest = list(dict.fromkeys(models))
    if len(rest) <= limit:
        return rest
    machines = len({model.class_id for model in rest})
    picked = _picked_models(rest, max(1, limit // machines))
    return [model for model in rest if (model.workload, model.axes) in picked][:limit]


def _picked_models(models: Sequence[Model], count: int) -> set[tuple[str, str]]:
    """Return so many workloads with axes, those on most machines first, and each workload in its turn.

    The same ones for every machine: panels that stand side by side are there to be compared.
    """
    spread = Counter((model.workload, model.axes) for model in models)
    order = {key: place for place, key in enumerate(spread)}
    workloads: Counter[str] = Counter()
    picked: set[tuple[str, str]] = set()
    while len(picked) < min(count, len(spread)):
        best = min(spread.keys() - picked, key=lambda key: (workloads[key[0]], -spread[key], order[key]))
        picked.add(best)
        workloads[best[0]] += 1
    return picked


class Names:
    """Short names of the models of one record."""

    def __init__(self, report: Report) -> None:
        self._label = {machine.class_id: machine.label for machine in report.machines}
        self._several = len(set(report.cases["class_id"])) > 1
        self._axes = report.axes
        self._varying = _varying(report)

    def varying(self, model: Model) -> str:
        """Return the axes that tell this model from others of its workload; empty where it has no other."""
        return self._picked(model, wanted=True)

    def values(self, model: Model) -> str:
        """Return what `varying` does, without the names of the axes, which `keys` gives."""
        axes = self._axes[model.axes]
        return ", ".join(axes_text({key: axes[key]}).partition("=")[2] for key in self._keys(model))

    def keys(self, model: Model) -> str:
        """Return the names of the axes that tell this model from others of its workload."""
        return ", ".join(self._keys(model))

    def constant(self, model: Model) -> str:
        """Return the axes that all models of this workload share."""
        return self._picked(model, wanted=False)

    def machine(self, model: Model) -> str:
        """Return the machine's label where there are several."""
        return self._label[model.class_id] if self._several else ""

    def lines(self, model: Model) -> list[str]:
        """Return the title of a panel, line by line."""
        return [model.workload, *filter(None, (self.varying(model) or model.axes, self.machine(model)))]

    def place(self, model: Model) -> str:
        """Return the model as a sentence names it."""
        where = f"{model.workload} at {model.axes}" if model.axes else model.workload
        machine = self.machine(model)
        return one_line(f"{where} on {machine}" if machine else where)

    def _keys(self, model: Model) -> list[str]:
        varying = self._varying[model.workload]
        return sorted(key for key in self._axes[model.axes] if key in varying)

    def _picked(self, model: Model, *, wanted: bool) -> str:
        varying = self._varying[model.workload]
        return axes_text(
            {key: value for key, value in self._axes[model.axes].items() if (key in varying) is wanted}
        )


def _varying(report: Report) -> dict[str, set[str]]:
    texts: dict[str, list[str]] = {}
    pairs = report.cases[["workload", "axes"]].drop_duplicates()
    for workload, axes in pairs.itertuples(index=False, name=None):
        texts.setdefault(workload, []).append(axes)
    return {
        workload: _differences([report.axes[axes] for axes in found]) for workload, found in texts.items()
    }


def _differences(several: Sequence[Mapping[str, Any]]) -> set[str]:
    keys = {key for axes in several for key in axes}
    return {
        key
        for key in keys
        if len({axes_text({key: axes[key]}) if key in axes else "" for axes in several}) > 1
    }
