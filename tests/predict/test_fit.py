"""A card is fitted to steps whose true rates are known here."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from breakeven.case import Axes, Cell
from breakeven.errors import DifferentMachinesError, UsageError
from breakeven.predict.fit import (
    MIN_BAND_LOG,
    MIN_BAND_OF_FEW_LOG,
    RUN_LOG_SD,
    Fit,
    Sample,
    fit_card,
    left_out,
    samples_of,
)
from breakeven.predict.formula import UNSEEN_FLOPS_PER_S, UNSEEN_LOG_SD, predict_step
from breakeven.predict.work import Work
from breakeven.runs.reader import read_run
from support.predictions import card
from support.run_files import benchmark, run, write

TRUE = card(flops_per_s={"float32": 4e13}, log_sds={"launches": 0, "float32": 0, "memory": 0, "copy": 0})
KINDS = {"mlp": 21, "cnn": 90, "wide": 300}
"""Kinds of models, with the operators of their steps."""


def work(kind, width, batch_size):
    """What a step does: its products grow with the batch and with the square of the width."""
    flops = 6e3 * width**2 * batch_size
    return Work(
        KINDS[kind], KINDS[kind], {"float32": flops}, 8e3 * width * batch_size, 4.0 * width * batch_size
    )


def benchmarks(noise=0.0, slower=1.0, seed=0, device="cuda", of=TRUE):
    """The training steps of a run, whose host is `slower` than the card's."""
    rng = np.random.default_rng(seed)
    of_run = replace(of, launch_s=of.launch_s * slower)
    found = []
    for kind in KINDS:
        for width in (64, 1024):
            for batch_size in (1, 64, 4096):
                done = work(kind, width, batch_size)
                seconds = predict_step(of_run, done, batch_size).seconds * math.exp(noise * rng.normal())
                counted = {
                    "operators": done.operators,
                    "flops_by_format": dict(done.flops),
                    "moved_bytes": done.moved_bytes,
                    "batch_bytes": done.copied_bytes,
                }
                found.append(
                    benchmark([seconds] * 3, kind, "train", device, batch_size, {"width": width}, **counted)
                )
    return found


@pytest.fixture
def fitted(tmp_path):
    """Fits a card to run files with the given benchmarks, and with the counts in them."""

    def fit(*runs, device=None, counted=lambda _: True):
        read = [read_run(write(tmp_path / f"{n}.json", run(one))) for n, one in enumerate(runs)]
        counts = {
            case.key.cell: case.facts
            for one in read
            for case in one.cases.values()
            if case.key is not None and counted(case.key.cell)
        }
        return fit_card(read, counts, "box", device)

    return fit


def test_the_rates_are_found(fitted):
    found = fitted(benchmarks())
    assert found.launch_s == pytest.approx(TRUE.launch_s, rel=0.02)
    assert found.flops_per_s["float32"] == pytest.approx(4e13, rel=0.1)
    assert found.bytes_per_s == pytest.approx(TRUE.bytes_per_s, rel=0.2)
    assert found.copied_bytes_per_s == pytest.approx(TRUE.copied_bytes_per_s, rel=0.1)
    assert (found.cells, found.models, found.runs, found.processes) == (18, 6, 1, 1)
    assert found.batch_sizes == (1, 4096)
    assert found.low_log == -found.high_log == -MIN_BAND_LOG


def test_few_kinds_of_models_show_little_of_others(fitted):
    two = [one for one in benchmarks() if one["extra_info"]["workload"] != "wide"]
    assert fitted(two).high_log == MIN_BAND_OF_FEW_LOG > MIN_BAND_LOG


@pytest.mark.parametrize("speed", [0.02, 10])
def test_the_rates_of_slow_and_fast_accelerators_are_found(fitted, speed):
    """The fit starts from a data center's rates; a laptop's are 50 times smaller."""
    rates = {"flops_per_s": {"float32": 4e13 * speed}, "bytes_per_s": 2e12 * speed}
    found = fitted(benchmarks(of=replace(TRUE, **rates)))
    assert found.launch_s == pytest.approx(TRUE.launch_s, rel=0.03)
    assert found.flops_per_s["float32"] == pytest.approx(4e13 * speed, rel=0.3)
    assert found.copied_bytes_per_s == pytest.approx(TRUE.copied_bytes_per_s, rel=0.2)


def test_a_few_wild_steps_do_not_move_the_rates(fitted):
    steps = benchmarks()
    for one in steps[::7]:
        one["stats"]["data"] = [5 * time for time in one["stats"]["data"]]
    assert fitted(steps).launch_s == pytest.approx(TRUE.launch_s, rel=0.1)


def test_the_band_holds_90_of_100_left_out_steps(fitted):
    """With noise beyond the least band, on seeds that the fit has not seen."""
    found = fitted(benchmarks(noise=0.4))
    held = []
    for seed in range(1, 40):
        for one in benchmarks(noise=0.4, seed=seed):
            info = one["extra_info"]
            step = predict_step(
                replace(found, process_log_sd=0.0),
                work(info["workload"], info["axes"]["width"], info["batch_size"]),
                info["batch_size"],
            )
            held.append(step.low_s <= one["stats"]["data"][0] <= step.high_s)
    assert 0.88 < np.mean(held) < 0.99


def test_a_rate_that_no_step_depends_on_stays_unknown(fitted):
    """Small steps have nothing to show of the arithmetic: the fit keeps its start, and its uncertainty."""
    small = [one for one in benchmarks() if one["extra_info"]["batch_size"] == 1]
    more = [one for one in benchmarks() if one["extra_info"]["batch_size"] == 64]
    found = fitted(small + [one for one in more if one["extra_info"]["axes"]["width"] == 64])
    assert found.flops_per_s["float32"] == pytest.approx(UNSEEN_FLOPS_PER_S, rel=0.2)
    assert found.log_sds["float32"] == pytest.approx(UNSEEN_LOG_SD, rel=0.1)
    assert found.log_sds["launches"] < 0.1


def test_of_one_run_the_spread_is_assumed(fitted):
    assert fitted(benchmarks()).process_log_sd == pytest.approx(RUN_LOG_SD)


ASSUMED = 2 * 0.18**2
"""What the assumed spread of two runs adds."""


@pytest.mark.parametrize(
    ("slower", "sd"), [(1.0, math.sqrt(ASSUMED / 3)), (2.0, math.sqrt((ASSUMED + 0.24) / 3))]
)
def test_several_runs_show_their_spread(fitted, slower, sd):
    """The assumed spread weighs as much as two runs; hosts twice as slow differ by log(2)."""
    found = fitted(benchmarks(), benchmarks(slower=slower))
    assert found.process_log_sd == pytest.approx(sd, rel=0.03)
    assert found.runs == 2


def test_the_spread_is_the_hosts(fitted):
    """Steps that wait for the device do not count, though they are most of the second run, and slower."""
    slow = benchmarks(
        of=replace(TRUE, flops_per_s={"float32": 2e13}, bytes_per_s=1e12, copied_bytes_per_s=5e9)
    )
    large = [one for one in slow if one["extra_info"]["batch_size"] == 4096]
    wide = [one for one in large if one["extra_info"]["axes"]["width"] == 1024]
    assert fitted(benchmarks(), [slow[0], *wide]).process_log_sd == pytest.approx(
        math.sqrt(ASSUMED / 3), rel=0.05
    )


def test_processes_are_counted(tmp_path):
    content = run(benchmarks())
    content["breakeven"] = {"schema": 1, "outcomes": [], "processes": [{}, {}, {}], "complete": True}
    read = read_run(write(tmp_path / "r.json", content))
    counts = {case.key.cell: case.facts for case in read.cases.values()}
    assert fit_card([read, read], counts, "box").processes == 6


def samples(*cells):
    return [Sample(Cell(*cell), Work(1, 1, {}, 1, 1), 1.0) for cell in cells]


def left(found):
    return [[one.cell.label() for one in some] for _, some in left_out(found)]


def test_kinds_are_left_out():
    of = samples(("a", Axes({"w": 1}), 1), ("b", Axes(), 1), ("a", Axes({"w": 2}), 1), ("c", Axes(), 1))
    assert left(of) == [["a batch=1 w=1", "a batch=1 w=2"], ["b batch=1"], ["c batch=1"]]
    assert all(len(others) + len(some) == 4 for others, some in left_out(of))


def test_models_are_left_out_of_fewer_than_three_kinds():
    of = samples(("a", Axes({"w": 1}), 1), ("a", Axes({"w": 2}), 1), ("b", Axes(), 1), ("b", Axes(), 2))
    assert left(of) == [["a batch=1 w=1"], ["a batch=1 w=2"], ["b batch=1", "b batch=2"]]


def test_only_counted_training_steps_of_the_device_are_used(tmp_path):
    others = [
        benchmark([1.0], phase="forward", device="cuda", operators=5, moved_bytes=1, batch_bytes=1),
        benchmark([1.0], device="cpu", operators=5, moved_bytes=1, batch_bytes=1),
        benchmark([1.0], device="cuda", batch_size=2, operators_unknown="a compiled model"),
        benchmark([0.0], device="cuda", batch_size=3, operators=5, moved_bytes=1, batch_bytes=1),
        benchmark([2.0], device="cuda", operators=5, moved_bytes=1, batch_bytes=1),
    ]
    read = read_run(write(tmp_path / "r.json", run(others)))
    counts = {case.key.cell: case.facts for case in read.cases.values()}
    assert [(one.cell.batch_size, one.seconds) for one in samples_of([read], counts, "cuda")] == [(64, 2.0)]


@pytest.mark.parametrize(
    ("steps", "device", "line"),
    [
        (benchmarks(device="cpu"), None, "no training step of an accelerator in these runs"),
        (benchmarks(), "cuda:1", "training steps on cuda: --device cuda:1 is not among them"),
        (
            benchmarks()[:7],
            None,
            "7 of 7 timed training steps on cuda were counted, of 3 models: a card needs at least 8 of 2",
        ),
        (
            [*benchmarks(), *benchmarks(device="cuda:1")],
            None,
            "training steps on cuda, cuda:1: give one with --device",
        ),
        (benchmarks(slower=1e4), None, "s for a launch, where any host needs 1e-06 to 0.0005 s"),
    ],
)
def test_unusable_runs(fitted, steps, device, line):
    with pytest.raises(UsageError, match=line.replace("(", "\\(")) as caught:
        fitted(steps, device=device)
    assert "\n" not in str(caught.value)


def test_uncounted_steps(fitted):
    """Their remedy is to count them."""
    with pytest.raises(UsageError, match=r"7 of 18 timed .* count more of them \(--bench DIR\), or measure"):
        fitted(
            benchmarks(),
            counted=lambda cell: cell.workload == "cnn" or cell.label() == "mlp batch=1 width=64",
        )


def test_runs_of_two_machine_classes(tmp_path):
    paths = [
        write(
            tmp_path / f"{gpu}.json",
            run(benchmarks(), machine={"breakeven": {"class": {"gpu": gpu}, "class_id": gpu}}),
        )
        for gpu in ("H100", "H200")
    ]
    read = [read_run(path) for path in paths]
    line = "different machine classes: gpu (H100 and H200); a card predicts one machine"
    with pytest.raises(DifferentMachinesError, match=re.escape(line)):
        fit_card(read, {}, "box")


def test_slopes_are_those_of_the_fit():
    """The slopes that the fit goes down are the change of its distances."""
    of = [Sample(Cell("mlp", Axes(), 64), work("mlp", width, 64), 1e-3) for width in (64, 1024, 16384)]
    fit = Fit(of)
    at = np.log([4e-5, 4e13, 2e12, 1e10])
    slopes = fit._slopes(at)
    for place in range(len(at)):
        step = np.eye(len(at))[place] * 1e-6
        assert slopes[:, place] == pytest.approx(
            (fit._distances(at + step) - fit._distances(at - step)) / 2e-6, abs=1e-4
        )
