"""Times and speedups as text: with an interval, and of two processes without one."""

from dataclasses import replace

import numpy as np
import pytest

from breakeven.case import Axes, CaseKey, Model
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import DeviceVerdict, Speedup
from breakeven.report.text import model_names, speedup_between, speedup_text, time_between, time_text

KEY = CaseKey.of("mlp", 8, "train", "cpu")


def case(low_s, high_s, *medians_s):
    known = np.array(medians_s)
    count = int(np.isfinite(known).sum())
    return Estimate(KEY, 9, 1, 2.0, low_s, high_s, np.empty(0), processes=count, process_medians_s=known)


@pytest.mark.parametrize(
    ("estimate", "text", "between"),
    [
        (case(1.9, 2.1, 2.0), "2.00 s ±5%", "1.90 s – 2.10 s"),
        (case(1.0, 4.0, 1.5, 2.0, 2.5), "2.00 s [1.00 s–4.00 s]", "1.00 s – 4.00 s"),
        (case(None, None, 2.5, np.nan, 1.5), "2.00 s (1.50 s and 2.50 s)", "1.50 s and 2.50 s"),
        (case(None, None, 2.0), "2.00 s", ""),
        (
            case(None, None, 1.5, 2.0, 2500.0),
            "2.00 s (unknown: 1.50 s to 41.7 min in 3 processes)",
            "unknown: 1.50 s to 41.7 min in 3 processes",
        ),
        (case(1.9, 2.1, 1.5, 2.5), "2.00 s ±5%", "1.90 s – 2.10 s"),
    ],
)
def test_times(estimate, text, between):
    assert (time_text(estimate), time_between(estimate)) == (text, between)


@pytest.mark.parametrize(
    ("ends", "readings", "text", "between"),
    [
        ((1.2, 1.5), (1.25, 1.45), "1.35x [1.20–1.50]", "[1.20–1.50]"),
        ((None, None), (1.25, 1.45), "1.35x (1.25x and 1.45x)", "1.25x and 1.45x"),
        ((None, None), (0.0971, 1.9), "1.35x (0.0971x and 1.90x)", "0.0971x and 1.90x"),
        ((None, None), (1.45, 1.25), "1.35x (1.25x and 1.45x)", "1.25x and 1.45x"),
        (
            (None, None),
            (1.35, 0.004, 1.45),
            "1.35x (unknown: 250x slower to 1.45x in 3 processes)",
            "unknown: 250x slower to 1.45x in 3 processes",
        ),
        ((None, None), (1.35,), "1.35x", ""),
        ((None, None), (), "1.35x", ""),
    ],
)
def test_speedups(ends, readings, text, between):
    row = Speedup(KEY, replace(KEY, device="cpu@1"), 1.35, *ends, DeviceVerdict.UNDECIDED, readings=readings)
    assert (speedup_text(row), speedup_between(row)) == (text, between)


def test_no_speedup():
    assert speedup_text(None) == ""


def test_model_names():
    """Axes that all models of a workload share are left out; a model that is alone keeps them."""
    one, two, cnn = (Model(name, Axes(axes)) for name, axes in (
        ("mlp", {"width": 1, "depth": 2}), ("mlp", {"width": 2, "depth": 2}), ("cnn", {"width": 1})
    ))  # fmt: skip
    assert model_names([one]) == {one: "mlp, depth 2, width 1"}
    assert model_names([one, two, one, cnn]) == {one: "mlp, width 1", two: "mlp, width 2", cnn: "cnn"}
