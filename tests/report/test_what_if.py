"""What would change the verdict: resident data, another CPU baseline, another dtype."""

import numpy as np
import pytest

from breakeven.case import CaseKey
from breakeven.report.changes import is_moved
from breakeven.report.estimates import Estimate
from breakeven.report.what_if import resident_of
from support.reports import box, only, report, what_ifs
from support.run_files import affine_run, benchmark, outcome, run

# At noise 0.1% the crossings are those of the formulas.
QUIET = {"noise": 0.001}


def phases(times, batches=(1, 8, 64, 512), **kwargs):
    """A run with `train` and `transfer`: `times` maps a device to two (floor, slope) pairs."""
    parts = [
        affine_run({device: pair[i] for device, pair in times.items()}, batches, i, phases=(phase,), **kwargs)
        for i, phase in enumerate(("train", "transfer"))
    ]
    return {**parts[0], "benchmarks": parts[0]["benchmarks"] + parts[1]["benchmarks"]}


def ifs_of(found, scenario):
    """The break-evens in one scenario."""
    return [row for row in what_ifs(found) if row.scenario == scenario]


GPU = {"cpu": ((1, 1), (1e-6, 0)), "cuda": ((33, 0.2), (8, 0.05))}


def test_resident(tmp_path):
    """With the data on the device, the transfer is taken from the step."""
    found = report(tmp_path, phases(GPU, **QUIET))
    row = only(ifs_of(found, "data already on the device"))
    assert row.line.crossing.batch_size == pytest.approx(40, rel=0.01)  # 1 + b = 33 + b / 5
    # 1 + b = 25 + 0.15 b
    assert row.other.crossing.batch_size == pytest.approx(24 / 0.85, rel=0.02)
    assert row.other.crossing.low <= 24 / 0.85 <= row.other.crossing.high


def test_cpu_without_transfer(tmp_path):
    """On a CPU the data is already there."""
    content = phases(GPU, **QUIET)
    content["benchmarks"] = [
        item
        for item in content["benchmarks"]
        if (item["extra_info"]["device"], item["extra_info"]["phase"]) != ("cpu", "transfer")
    ]
    assert only(ifs_of(report(tmp_path, content), "data already on the device"))


@pytest.mark.parametrize(
    "content",
    [
        affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}),
        phases({"cpu@1": ((1, 1), (1e-6, 0)), "cpu": ((10, 0.5), (1e-6, 0))}),
        run([benchmark([t] * 9, device=d, axes={}) for d, t in (("cpu", 1.0), ("cuda", 2.0))]),
    ],
    ids=["no transfer", "two CPU devices", "no axes"],
)
def test_no_what_if(tmp_path, content):
    found = report(tmp_path, content)
    assert found.changes == ()


def test_transfer_longer_than_the_step(tmp_path):
    times = {"cpu": ((1, 1), (1e-6, 0)), "cuda": ((2, 0.1), (3, 0.2))}
    row = only(ifs_of(report(tmp_path, phases(times)), "data already on the device"))
    assert row.other.crossing.status == "undecided"


def test_hole_with_the_data_resident(tmp_path):
    content = phases(GPU, **QUIET)
    content["breakeven"] = {"schema": 1, "outcomes": [outcome("oom", device="cuda", batch_size=100)]}
    row = only(ifs_of(report(tmp_path, content), "data already on the device"))
    assert row.other.holes == (100,)


def test_other_baselines(tmp_path):
    content = affine_run({"cpu": (1, 1), "cpu@1": (1, 4), "cpu@2": (1, 2), "cuda": (33, 0.2)}, **QUIET)
    found = report(tmp_path, content)
    scenarios = ["each device at its fastest variant", "against cpu@1", "against cpu@2"]
    assert [row.scenario for row in what_ifs(found)] == scenarios
    one = what_ifs(found)[1]
    devices = (one.line.baseline.device, one.other.baseline.device, one.other.candidate.device)
    assert devices == ("cpu", "cpu@1", "cuda")
    assert one.other.crossing.batch_size == pytest.approx(32 / 3.8, rel=0.02)  # 1 + 4b = 33 + b / 5


def dtypes(cuda_float32, cuda_bfloat16, **more):
    """A run of one model in two dtypes on two devices."""
    content = run()
    for i, (dtype, cuda) in enumerate((("bfloat16", cuda_bfloat16), ("float32", cuda_float32))):
        content["benchmarks"] += affine_run(
            {"cpu": (1, 1), "cuda": cuda}, axes={"dtype": dtype, "width": 8, **more}, seed=i, **QUIET
        )["benchmarks"]
    return content


def test_resident_of():
    """The rounds are those of the shorter one, the flags those of both, the draws their difference."""
    train, transfer = (
        Estimate(CaseKey.of("mlp", 8, phase, "cuda"), n, 1, median, 0.9 * median, 1.1 * median, draws, flags)
        for phase, n, median, draws, flags in (
            ("train", 30, 5.0, np.array([4.0, 5.0, 6.0]), ("noisy",)),
            ("transfer", 20, 1.0, np.array([1.0, 1.0, 2.0]), ("drift", "noisy")),
        )
    )
    found = resident_of(train, transfer)
    assert (found.key.phase, found.n, found.median_s, found.flags) == (
        "resident",
        20,
        4.0,
        ("noisy", "drift"),
    )
    assert found.draws.tolist() == [3.0, 4.0, 4.0]
    assert resident_of(train, None) is None


@pytest.mark.parametrize(
    ("float32", "bfloat16", "statuses", "is_changed"),
    [
        ((33, 0.2), (33, 0.6), ("crosses", "crosses"), True),
        ((33, 0.2), (0.1, 0.1), ("crosses", "always"), True),
        ((33, 0.2), (9, 9), ("crosses", "never"), True),
        ((33, 0.2), (900, 0.2), ("crosses", "beyond_range"), True),
        ((33, 0.2), (33, 0.2), ("crosses", "crosses"), False),
        # Whether a trend is seen above the range is not a change of the break-even.
        ((900, 0.2), (9, 9), ("beyond_range", "never"), False),
    ],
)
def test_dtype(tmp_path, float32, bfloat16, statuses, is_changed):
    """A change that the intervals do not show is not claimed."""
    found = report(tmp_path, dtypes(float32, bfloat16))
    row = only(ifs_of(found, "in bfloat16"))
    assert (row.line.model.axes["dtype"], row.other.model.axes["dtype"]) == ("float32", "bfloat16")
    assert (row.line.crossing.status, row.other.crossing.status) == statuses
    assert is_moved(row) == is_changed


@pytest.mark.parametrize("phase", ["train", "transfer"])
def test_few_rounds(tmp_path, phase):
    """A step or a transfer of too few rounds leaves the resident step undecided."""
    content = phases(GPU)
    for item in content["benchmarks"]:
        if item["extra_info"]["phase"] == phase:
            item["stats"]["data"] = item["stats"]["data"][:4]
    found = report(tmp_path, content)
    assert only(ifs_of(found, "data already on the device")).other.crossing.status == "undecided"


def test_other_baseline_of_a_named_machine(tmp_path):
    laptop = affine_run({"cpu": (1, 1), "cpu@1": (1, 4)}, machine=box("laptop"), **QUIET)
    server = affine_run({"cuda": (33, 0.2)}, machine=box("server"), seed=1, **QUIET)
    found = report(tmp_path, laptop, server, baseline="laptop/cpu")
    row = only(ifs_of(found, "against cpu@1"))
    assert (row.other.baseline.machine, row.other.candidate.machine) == ("id-laptop", "id-server")
    assert row.other.crossing.batch_size == pytest.approx(32 / 3.8, rel=0.02)


def with_phase(name, cpu, cuda):
    """A run of `train` and of another phase, each device with a floor and a slope."""
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, **QUIET)
    content["benchmarks"] += affine_run({"cpu": cpu, "cuda": cuda}, phases=(name,), seed=1, **QUIET)[
        "benchmarks"
    ]
    return content


@pytest.mark.parametrize(
    ("phase", "scenario"),
    [
        ("train_sync", "loss.item() in every step"),
        ("infer", "inference"),
        ("epoch", "epoch (with loader)"),
    ],
)
def test_other_phase(tmp_path, phase, scenario):
    row = only(ifs_of(report(tmp_path, with_phase(phase, (1, 1), (9, 0.2))), scenario))
    assert row.line.crossing.batch_size == pytest.approx(40, rel=0.01)
    assert row.other.crossing.batch_size == pytest.approx(10, rel=0.02)  # 1 + b = 9 + b / 5


def test_phase_that_is_a_part(tmp_path):
    """A forward pass is a part of the step that it would be compared with."""
    assert report(tmp_path, with_phase("forward", (1, 1), (9, 0.2))).changes == ()


def test_waiting_on_two_cpu_devices(tmp_path):
    """Nothing waits on a CPU."""
    content = affine_run({"cpu@1": (1, 1), "cpu": (9, 0.5)}, phases=("train", "train_sync"), **QUIET)
    assert report(tmp_path, content).changes == ()
