"""What a training step does, where that is not one pass over one batch."""

import math

import pytest

from breakeven.report.estimates import estimates
from breakeven.report.what_if import resident_of
from support.reports import box, only, report
from support.run_files import affine_run, benchmark, run
from support.training_loops import loop_run


def test_accumulation(tmp_path):
    """A step of several passes has that many times the samples; equal models share a sentence."""
    content = loop_run(accumulate=4, batches=(8,), axes={"width": 8})
    for width, passes in ((64, 4), (512, 2), (4096, 1)):
        more = loop_run(accumulate=passes, batches=(8,), axes={"width": width})
        content["benchmarks"] += more["benchmarks"]
    found = report(tmp_path, content)
    assert found.step_sentences == (
        "Each step of mlp, width 8 and mlp, width 64 accumulates the gradients of 4 batches: it takes 4 x "
        "the batch size in samples.",
        "Each step of mlp, width 512 accumulates the gradients of 2 batches: it takes 2 x the batch size in "
        "samples.",
    )
    rates = {
        row.key.axes["width"]: row.samples.value
        for row in found.rows
        if (row.key.phase, row.key.device) == ("train", "cpu")
    }
    pass_s = 1e-3 + 1e-3 * 8
    assert rates[8] == pytest.approx(4 * 8 / (3.7 * pass_s), rel=0.01)
    assert rates[4096] == pytest.approx(8 / pass_s, rel=0.01)


def test_phase_sum_of_several_passes(tmp_path):
    """The phases of a pass count once for each of them, the optimizer's step once."""
    found = report(tmp_path, loop_run(accumulate=4, batches=(8,)))
    assert [row.residual for row in found.phase_sums] == pytest.approx([0, 0], abs=0.002)
    assert not [warning for warning in found.warnings if "phase sum" in warning]


@pytest.mark.parametrize("processes", [1, 2])
def test_data_resident(tmp_path, processes):
    """Each pass has a transfer: a step of 3.7 times one pass has four, of 10% each on the GPU."""
    content = loop_run(accumulate=4, processes=processes)
    for item in content["benchmarks"]:
        if (item["extra_info"]["device"], item["extra_info"]["phase"]) == ("cuda", "transfer"):
            item["stats"]["data"] = [2 * t for t in item["stats"]["data"]]
    found = report(tmp_path, content)
    change = only(row for row in found.changes if row.scenario == "data already on the device")
    line = only(change.models).other
    base, candidate = 65e-3 * (3.7 - 4 * 0.05), (33e-3 + 64 * 0.2e-3) * (3.7 - 4 * 0.1)
    speedup = only(row for row in line.rows if row.batch_size == 64)
    assert speedup.speedup == pytest.approx(base / candidate, rel=0.01)
    if processes == 1:
        assert speedup.low < base / candidate < speedup.high


def test_precision_of_resident_data(tmp_path):
    """The rounds of the transfer count as often as a step transfers."""
    found = report(tmp_path, loop_run(accumulate=4, noise=0.1))
    cases = {
        case.key.phase: case
        for case in estimates(found.runs)
        if (case.key.device, case.key.batch_size) == ("cuda", 64)
    }
    train, transfer = cases["train"], cases["transfer"]
    halves_s = (train.rounds_half_width * train.median_s, 4 * transfer.rounds_half_width * transfer.median_s)
    rest = resident_of(train, transfer)
    assert rest.rounds_half_width == pytest.approx(math.hypot(*halves_s) / rest.median_s)


def test_batches_in_turn(tmp_path):
    """Phases of batches of different shapes are not compared with the step."""
    times = {"forward": 3.0, "backward": 3.0, "step": 2.0, "train": 5.0}
    rows = [benchmark([t] * 9, phase=p, batches=3, batch_shapes=2, axes={}) for p, t in times.items()]
    found = report(tmp_path, run(rows))
    assert found.step_sentences == (
        "The steps of mlp take 3 batches in turn of 2 shapes, so the phases are not compared with the step.",
    )
    assert (found.residuals, [text for text in found.warnings if "phase sum" in text]) == ((), [])
    for item in rows:
        del item["extra_info"]["batch_shapes"]
    same = report(tmp_path / "same", run(rows))
    assert same.step_sentences == ("The steps of mlp take 3 batches in turn.",)
    assert len(same.residuals) == 1


def evaluating(tmp_path, cpu, cuda, phases=("train",)):
    """The report on steps that evaluate the model this often."""
    content = affine_run({"cpu": (1, 1), "cuda": (2, 2)}, (1, 8), phases=phases, axes={}, workload="lbfgs")
    for item in content["benchmarks"]:
        item["extra_info"]["closure_calls"] = cpu if item["extra_info"]["device"] == "cpu" else cuda
    return report(tmp_path, content)


def test_evaluations(tmp_path):
    found = evaluating(tmp_path, 20.0, 20.5)
    assert found.step_sentences == (
        "The CPU (cpu), lbfgs: 20.0 evaluations per step.",
        "The GPU (cuda), lbfgs: 20.5 evaluations per step.",
    )
    assert not [text for text in found.warnings if "evaluations" in text]


@pytest.mark.parametrize("calls", [(20.0, 12.3), (12.3, 20.0)])
def test_unequal_evaluations(tmp_path, calls):
    """Steps whose evaluations differ by more than 5% do different work."""
    found = evaluating(tmp_path, *calls, phases=("train", "transfer", "forward"))
    cpu, cuda = (
        f"{count:.1f} evaluations per step on {device}"
        for count, device in zip(calls, ("cpu", "cuda"), strict=True)
    )
    assert [text for text in found.warnings if "evaluations" in text] == [
        f"lbfgs batch=1 train and 1 more: {cpu} and {cuda}: their steps do different work, which the speedup "
        "includes; limit the evaluations of a step, such as by max_eval of LBFGS"
    ]


def test_start_up_time(tmp_path):
    """Inference and loading are not parts of the first training step."""
    rows = [
        benchmark([step_s] * 9, phase=phase, device=device, axes={}, model_transfer_s=0.0, first_call_s=4.0)
        for phase in ("train", "infer", "load", "epoch")
        for device, step_s in (("cpu", 3.0), ("cuda", 1.0))
    ]
    machine = box(state={"device_init_s": {"cpu": 0.0, "cuda": 6.0}})
    train = only(row for row in report(tmp_path, run(rows, machine=machine)).paybacks)
    assert train.start_s == 6.0 + 3.0 - 1.0
