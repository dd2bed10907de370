"""After how many steps a faster device has earned its start."""

import pytest

from breakeven.render.report_tables import repay_table
from support.reports import box, only, report
from support.run_files import benchmark, run

INIT = {"device_init_s": {"cpu": 0.0, "cuda": 6.0}}


def record_of(tmp_path, cuda=None, cpu=None, state=INIT, phases=("train",), **more):
    """A cell that takes 3 s a step on the cpu and 1 s on the GPU, with these facts of each device."""
    machine = box("box", state=state)
    rows = []
    for device, step_s, facts in (("cpu", 3.0, cpu), ("cuda", 1.0, cuda)):
        known = {"first_call_s": step_s, "model_transfer_s": 0.0, **(facts or {})}
        rows += [benchmark([step_s] * 9, phase=phase, device=device, **known) for phase in phases]
    return report(tmp_path, run(rows, machine=machine), **more)


def test_the_start_is_initialization_moving_the_model_and_the_first_calls_excess(tmp_path):
    found = record_of(tmp_path, cuda={"first_call_s": 4.0, "model_transfer_s": 1.0})
    payback = only(found.paybacks)
    # 6 s of initialization, 1 s of moving and 3 s beyond a steady call, against nothing; 2 s saved a step.
    assert (payback.start_s, payback.steps, payback.low, payback.high) == (10.0, 5.0, 5.0, 5.0)
    assert (
        "The longer start of the GPU (cuda), 10.0 s, is repaid after 5 [5–5] steps at batch 64"
        in found.verdict
    )


def test_the_baselines_own_start_is_taken_off(tmp_path):
    payback = only(record_of(tmp_path, cpu={"first_call_s": 7.0, "model_transfer_s": 1.0}).paybacks)
    assert payback.start_s == 6.0 - 5.0


def test_first_calls_of_the_phases_and_of_the_step_are_not_counted_twice(tmp_path):
    found = record_of(
        tmp_path, cuda={"first_call_s": 2.0}, phases=("forward", "backward", "step", "train"), state=INIT
    )
    # Each phase's first call took 1 s too long, and so did train's: three phases outweigh one step.
    assert only([r for r in found.paybacks if r.row.phase == "train"]).start_s == 6.0 + 3.0


def test_compiling_counts_as_start(tmp_path):
    payback = only(record_of(tmp_path, cuda={"first_call_s": 4.0, "compile_s": 20.0}).paybacks)
    assert payback.start_s == 6.0 + 20.0


def test_capturing_counts_as_start_beside_compiling(tmp_path):
    """A recorded graph's first call is a replay, so it holds neither."""
    found = record_of(tmp_path, cuda={"first_call_s": 1.0, "compile_s": 20.0, "capture_s": 2.0})
    assert only(found.paybacks).start_s == 6.0 + 20.0 + 2.0


def test_a_graph_that_every_phase_captured_anew_counts_once(tmp_path):
    phases = ("forward", "backward", "step", "train")
    found = record_of(tmp_path, cuda={"first_call_s": 1.0, "capture_s": 2.0}, phases=phases)
    assert only(found.paybacks).start_s == 6.0 + 2.0


def test_a_start_that_is_no_longer_has_nothing_to_repay(tmp_path):
    found = record_of(tmp_path, cpu={"first_call_s": 100.0})
    assert (only(found.paybacks).steps, only(found.paybacks).start_s < 0) == (0.0, True)
    assert "The GPU (cuda) costs no longer start." in found.verdict
    assert repay_table(found).rows[0][-2:] == ("no longer", "none")


def test_a_start_of_less_than_a_step_is_said_so_and_never_as_zero_steps(tmp_path):
    found = record_of(tmp_path, state={"device_init_s": {"cuda": 0.5}})
    assert "500 ms, is repaid in the first step." in found.verdict


def test_an_accelerator_that_is_not_shown_to_be_faster_repays_nothing(tmp_path):
    machine = box("box", state=INIT)
    rows = [
        benchmark([t] * 9, device=d, first_call_s=t, model_transfer_s=0.0)
        for d, t in (("cpu", 1.0), ("cuda", 3.0))
    ]
    assert report(tmp_path, run(rows, machine=machine)).paybacks == ()


@pytest.mark.parametrize("state", [{}, {"device_init_s": {"cuda": "soon"}}, {"device_init_s": [6.0]}])
def test_an_accelerator_whose_initialization_is_not_known_has_no_known_start(tmp_path, state):
    found = record_of(tmp_path, state=state)
    assert found.paybacks == ()
    assert "repaid" not in found.verdict
    assert repay_table(found) is None


@pytest.mark.parametrize("value", [None, -1.0, "1", True, float("inf")])
def test_a_first_call_that_cannot_be_is_not_used(tmp_path, value):
    if value == float("inf"):
        value = 10**400
    assert record_of(tmp_path, cuda={"first_call_s": value}).paybacks == ()


def test_two_cpu_devices_have_no_start_of_their_own(tmp_path):
    rows = [
        benchmark([t] * 9, device=d, first_call_s=t, model_transfer_s=0.0)
        for d, t in (("cpu@1", 3.0), ("cpu", 1.0))
    ]
    assert report(tmp_path, run(rows, machine=box("box", state=INIT))).paybacks == ()


def test_the_table_has_each_model_once_at_its_best_batch(tmp_path):
    machine = box("box", state=INIT)
    rows = [
        benchmark([t] * 9, device=d, batch_size=b, first_call_s=t, model_transfer_s=0.0)
        for b, cpu, cuda in ((1, 3.0, 2.0), (64, 9.0, 1.0))
        for d, t in (("cpu", cpu), ("cuda", cuda))
    ]
    table = repay_table(report(tmp_path, run(rows, machine=machine)))
    assert table.rows == (("box", "cuda", "mlp width=128", "64", "6.00 s", "1 [1–1]"),)


def test_the_steps_interval_is_that_of_the_time_saved(tmp_path):
    machine = box("box", state=INIT)
    cpu, cuda = [3.0, 3.2] * 10, [1.0, 1.2] * 10
    rows = [
        benchmark(times, device=d, first_call_s=1.0, model_transfer_s=0.0)
        for d, times in (("cpu", cpu), ("cuda", cuda))
    ]
    payback = only(report(tmp_path, run(rows, machine=machine)).paybacks)
    assert payback.steps == pytest.approx(6 / 2.0)
    assert 6 / 2.2 - 1e-9 <= payback.low < payback.steps < payback.high <= 6 / 1.8 + 1e-9
