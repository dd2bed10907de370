"""How good the predictions of the committed runs are, and that no change makes them worse."""

import json

import pytest
from prediction_tables import page
from predictions import ALTERNATIVES, GPU, Measured, Predicted, all_figures, figures
from recount import recount, store, stored
from shared import RESULTS

from breakeven.case import Axes, Cell
from breakeven.predict.cards import read_card, shipped_cards, write_card
from breakeven.predict.cells import PredictedCell
from breakeven.predict.fit import fit_card, samples_of
from breakeven.predict.formula import Step
from breakeven.report.speedup import verdict_of
from breakeven.stats.intervals import RatioInterval

MAX_MEDIAN_ERROR = 1.17
MIN_COVERAGE = 0.88

STORED = json.loads((RESULTS / "prediction.json").read_text())


@pytest.fixture(scope="module")
def measured():
    return Measured(stored(RESULTS))


def is_good(found):
    """Whether most of the band's steps are in it, and no firm verdict is wrong."""
    return found["coverage"] >= MIN_COVERAGE and not found["wrong"]


def is_as_stored(found, name):
    """Whether the figures are the committed ones, as far as other versions of numpy and scipy leave them."""
    known = STORED["figures"][name]
    factors = ("median_error", "error_of_90", "band", "coverage")
    counts = ("cells", "with_cpu", "right_side", "firm")
    return (
        all(found[key] == pytest.approx(known[key], rel=0.02) for key in factors)
        and all(abs(found[key] - known[key]) <= 1 for key in counts)
        and found["wrong"] == known["wrong"]
    )


def test_left_out_models_of_the_h100(measured):
    """Half of the cells have a firm verdict, and none of those is wrong."""
    found = figures(measured.left_out(("h100",), lambda cell: cell.model))
    assert is_good(found)
    assert found["median_error"] <= MAX_MEDIAN_ERROR
    assert found["firm"] >= found["with_cpu"] / 2
    assert found["right_side"] >= 50
    assert is_as_stored(found, "H100, each model left out")


def test_another_run_of_the_h100(measured):
    """In another process, with other optimizers, formats and CUDA graphs."""
    found = figures(measured.others(("h100",), ("variants",)))
    assert is_good(found)
    assert is_as_stored(found, "H100, another run of it (variants)")


@pytest.mark.slow
def test_every_way_to_predict(measured):
    found = all_figures(measured)
    assert all(map(is_good, found.values()))
    assert found["H200, each model left out"]["median_error"] <= MAX_MEDIAN_ERROR
    assert found.keys() == STORED["figures"].keys()
    assert all(is_as_stored(one, name) for name, one in found.items())


@pytest.mark.parametrize(
    ("name", "runs"), [("h100-16core", ("h100", "variants")), ("h200-16core", ("h200", "wide"))]
)
def test_shipped_cards_are_those_of_the_runs(measured, tmp_path, name, runs):
    """Within a percent, as other versions of numpy and scipy may round."""
    write_card(fit_card(measured.runs(*runs), measured.counts, name, GPU), tmp_path / "card.json")
    made, shipped = (vars(read_card(str(path))) for path in (tmp_path / "card.json", shipped_cards()[name]))
    for field, value in shipped.items():
        is_number = isinstance(value, float) or field in ("flops_per_s", "log_sds")
        assert made[field] == (pytest.approx(value, rel=0.01) if is_number else value), field


def test_counts_are_those_of_the_benchmarks(measured, tmp_path):
    """Of the smallest cells of every kind; the slow test counts all."""
    cells = {cell.workload: cell for cell in reversed(measured.cells)}.values()
    store(recount(cells), tmp_path)
    assert stored(tmp_path) == {cell: measured.counts[cell] for cell in cells}


@pytest.mark.slow
def test_all_counts_are_those_of_the_benchmarks(measured, tmp_path):
    store(recount(measured.cells), tmp_path)
    assert stored(tmp_path) == measured.counts


def test_only_compiled_models_are_not_counted(measured):
    unknown = {cell for cell in measured.cells if measured.counts[cell].operators_unknown}
    assert unknown == {cell for cell in measured.cells if cell.axes.get("compile")}


def test_every_counted_step_is_used(measured):
    assert len(samples_of(measured.runs("h100"), measured.counts, GPU)) == 57
    assert len(measured.cpu("h100")) == 55  # of which five are in `large.json`


def predicted(seconds, cpu_s, low_s=0.5, high_s=2.0):
    """A step that is predicted to take 1 s."""
    cell, step = Cell("mlp", Axes(), 8), Step(1.0, low_s, high_s)
    if cpu_s is None:
        return Predicted(cell, seconds, step, None)
    low, high = 0.8 * cpu_s / high_s, cpu_s / low_s / 0.8  # with the CPU's own interval
    verdict = verdict_of(RatioInterval(low, cpu_s, high))
    compared = PredictedCell(cell, "card", "cpu", cpu_s, cpu_s, cpu_s, step, cpu_s, low, high, verdict)
    return Predicted(cell, seconds, step, compared)


def test_firm_with_the_interval_of_the_cpu():
    """The step's band alone would be on one side of the CPU's."""
    assert [predicted(1.0, cpu_s).is_firm for cpu_s in (2.1, 2.6, None)] == [False, True, False]


def test_figures():
    """Right and firm, right and not firm, wrong and firm, and without a CPU and outside of the band."""
    found = figures([predicted(1.1, 4.0), predicted(1.3, 1.4), predicted(5.0, 4.0), predicted(4.0, None)])
    assert found == {
        "cells": 4,
        "median_error": pytest.approx((1.3 * 4) ** 0.5, abs=1e-3),
        "error_of_90": pytest.approx(5**0.7 * 4**0.3, abs=1e-3),
        "band": 2.0,
        "coverage": 0.5,
        "with_cpu": 3,
        "right_side": 2,
        "firm": 2,
        "wrong": ["mlp batch=8"],
    }


def test_processes_differ(measured):
    errors = measured.process_errors("h200", "wide")
    assert len(errors) == 36 * 5 + 8 * 3
    assert measured.process_errors("h100") == []


def test_page():
    """The committed page is that of the committed figures."""
    assert page(STORED) == (RESULTS / "prediction.md").read_text()
    assert STORED["alternatives"].keys() == ALTERNATIVES.keys()
