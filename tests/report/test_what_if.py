"""What would change the verdict: resident data, another CPU baseline, another dtype."""

import numpy as np
import pytest

from breakeven.case import CaseKey
from breakeven.report.estimates import Estimate
from breakeven.report.what_if import resident_of
from support.reports import box, only, report
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
    return [row for row in found.what_ifs if row.scenario == scenario]


GPU = {"cpu": ((1, 1), (1e-6, 0)), "cuda": ((33, 0.2), (8, 0.05))}


def test_resident(tmp_path):
    """With the data resident, the transfer is taken from the step."""
    found = report(tmp_path, phases(GPU, **QUIET))
    row = only(ifs_of(found, "with the data resident"))
    assert row.line.crossing.batch_size == pytest.approx(40, rel=0.01)  # 1 + b = 33 + b / 5
    # 1 + b = 25 + 0.15 b
    assert row.other.crossing.batch_size == pytest.approx(24 / 0.85, rel=0.02)
    assert row.other.crossing.low <= 24 / 0.85 <= row.other.crossing.high
    other, line = (each.crossing.describe(each.batches) for each in (row.other, row.line))
    assert other in found.what_if_sentences[0]
    assert line.removeprefix("from ") in found.what_if_sentences[0]


def test_cpu_without_transfer(tmp_path):
    """On a CPU the data is already there."""
    content = phases(GPU, **QUIET)
    content["benchmarks"] = [
        item
        for item in content["benchmarks"]
        if (item["extra_info"]["device"], item["extra_info"]["phase"]) != ("cpu", "transfer")
    ]
    assert only(ifs_of(report(tmp_path, content), "with the data resident"))


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
    assert (found.what_ifs, found.what_if_sentences) == ((), ())


def test_transfer_longer_than_the_step(tmp_path):
    times = {"cpu": ((1, 1), (1e-6, 0)), "cuda": ((2, 0.1), (3, 0.2))}
    row = only(ifs_of(report(tmp_path, phases(times)), "with the data resident"))
    assert row.other.crossing.status == "undecided"


def test_hole_with_the_data_resident(tmp_path):
    content = phases(GPU, **QUIET)
    content["breakeven"] = {"schema": 1, "outcomes": [outcome("oom", device="cuda", batch_size=100)]}
    row = only(ifs_of(report(tmp_path, content), "with the data resident"))
    assert row.other.holes == (100,)


def test_other_baselines(tmp_path):
    content = affine_run({"cpu": (1, 1), "cpu@1": (1, 4), "cpu@2": (1, 2), "cuda": (33, 0.2)}, **QUIET)
    found = report(tmp_path, content)
    assert [row.scenario for row in found.what_ifs] == ["against cpu@1", "against cpu@2"]
    one = found.what_ifs[0]
    devices = (one.line.baseline.device, one.other.baseline.device, one.other.candidate.device)
    assert devices == ("cpu", "cpu@1", "cuda")
    assert one.other.crossing.batch_size == pytest.approx(32 / 3.8, rel=0.02)  # 1 + 4b = 33 + b / 5
    assert found.what_if_sentences[0].startswith("Against cpu@1, ")


def dtypes(cuda_float32, cuda_bfloat16, **more):
    """A run of one model in two dtypes on two devices."""
    content = run()
    for i, (dtype, cuda) in enumerate((("bfloat16", cuda_bfloat16), ("float32", cuda_float32))):
        content["benchmarks"] += affine_run(
            {"cpu": (1, 1), "cuda": cuda}, axes={"dtype": dtype, "width": 8, **more}, seed=i, **QUIET
        )["benchmarks"]
    return content


def test_several_models(tmp_path):
    """The model that moves farthest is named, with the number of models that change."""
    content = run()
    for width, gain in ((1, 0.4), (2, 0.6), (3, 0.2)):
        content["benchmarks"] += dtypes((33, 0.2), (33, gain), width=width)["benchmarks"]
    sentence = only(report(tmp_path, content).what_if_sentences)
    assert "from batch 80 [" in sentence
    assert "mlp, dtype float32, width 2; 2 of 3 models" in sentence


def test_several_machines(tmp_path):
    contents = [phases(GPU, machine=box(name)) for name in ("one", "two")]
    contents[1]["benchmarks"][0]["stats"]["data"][0] *= 1.001
    found = report(tmp_path, *contents)
    assert [sentence.split(":")[0] for sentence in found.what_if_sentences] == ["cuda on one", "cuda on two"]


def test_no_change_on_any_machine(tmp_path):
    """It is reported once for all machines."""
    contents = [
        {**dtypes((33, 0.2), (33, 0.2)), "machine_info": box(name), "datetime": name}
        for name in ("one", "two")
    ]
    contents[1]["benchmarks"][0]["stats"]["data"][0] *= 1.001
    assert "in bfloat16" in only(report(tmp_path, *contents).what_if_sentences)


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
    """A change that the intervals do not show is not claimed, and the break-even is given."""
    found = report(tmp_path, dtypes(float32, bfloat16))
    row, sentence = only(ifs_of(found, "in bfloat16")), only(found.what_if_sentences)
    assert (row.line.model.axes["dtype"], row.other.model.axes["dtype"]) == ("float32", "bfloat16")
    assert (row.line.crossing.status, row.other.crossing.status) == statuses
    assert row.other.crossing.describe(row.other.batches) in sentence
    assert ("not shown to move" in sentence) != is_changed


@pytest.mark.parametrize("phase", ["train", "transfer"])
def test_few_rounds(tmp_path, phase):
    """A step or a transfer of too few rounds leaves the resident step undecided."""
    content = phases(GPU)
    for item in content["benchmarks"]:
        if item["extra_info"]["phase"] == phase:
            item["stats"]["data"] = item["stats"]["data"][:4]
    found = report(tmp_path, content)
    assert only(ifs_of(found, "with the data resident")).other.crossing.status == "undecided"


def test_other_baseline_of_a_named_machine(tmp_path):
    laptop = affine_run({"cpu": (1, 1), "cpu@1": (1, 4)}, machine=box("laptop"), **QUIET)
    server = affine_run({"cuda": (33, 0.2)}, machine=box("server"), seed=1, **QUIET)
    found = report(tmp_path, laptop, server, baseline="laptop/cpu")
    row = only(ifs_of(found, "against cpu@1"))
    assert (row.other.baseline.machine, row.other.candidate.machine) == ("id-laptop", "id-server")
    assert row.other.crossing.batch_size == pytest.approx(32 / 3.8, rel=0.02)
