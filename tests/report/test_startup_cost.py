"""After how many steps a faster device has paid back its start."""

import pytest

from breakeven.render.report_tables import payback_table
from support.reports import box, only, report
from support.run_files import benchmark, run

INIT = {"device_init_s": {"cpu": 0.0, "cuda": 6.0}}


def report_on(tmp_path, cuda=None, cpu=None, state=INIT, phases=("train",), batch_size=64, **more):
    """A cell that takes 3 s a step on the cpu and 1 s on the GPU, with these facts of each device."""
    machine = box("box", state=state)
    rows = []
    for device, step_s, facts in (("cpu", 3.0, cpu), ("cuda", 1.0, cuda)):
        known = {"first_call_s": step_s, "model_transfer_s": 0.0, **(facts or {})}
        rows += [
            benchmark([step_s] * 9, phase=phase, device=device, batch_size=batch_size, **known)
            for phase in phases
        ]
    return report(tmp_path, run(rows, machine=machine), **more)


def test_start(tmp_path):
    """Initialization, moving the model, and what the first call takes beyond a steady one."""
    found = report_on(tmp_path, cuda={"first_call_s": 4.0, "model_transfer_s": 1.0})
    payback = only(found.paybacks)
    # 6 s of initialization, 1 s of moving and 3 s beyond a steady call; each step saves 2 s.
    assert (payback.start_s, payback.steps, payback.low, payback.high) == (10.0, 5.0, 5.0, 5.0)
    sentence = only([text for text in found.answer.notes if "start-up" in text])
    assert "10.0 s" in sentence
    assert "5 [5–5] training steps at batch 64" in sentence


STEP = ("forward", "backward", "step", "train")


@pytest.mark.parametrize(
    ("options", "start_s"),
    [
        ({"cpu": {"first_call_s": 7.0, "model_transfer_s": 1.0}}, 6.0 - 5.0),
        # Each phase's first call took 1 s too long, and so did train's; the larger sum counts.
        ({"cuda": {"first_call_s": 2.0}, "phases": STEP}, 6.0 + 3.0),
        ({"cuda": {"first_call_s": 2.0}, "phases": (*STEP, "train_sync")}, 6.0 + 3.0),
        ({"cuda": {"first_call_s": 4.0, "compile_s": 20.0}}, 6.0 + 20.0),
        # The first call of a captured graph is a replay: it has neither compiling nor capturing.
        ({"cuda": {"first_call_s": 1.0, "compile_s": 20.0, "capture_s": 2.0}}, 6.0 + 20.0 + 2.0),
        ({"cuda": {"first_call_s": 1.0, "capture_s": 2.0}, "phases": STEP}, 6.0 + 2.0),
    ],
    ids=[
        "baseline",
        "first calls",
        "and a step that waits",
        "compiling",
        "capturing",
        "a capture in every phase",
    ],
)
def test_parts_of_the_start(tmp_path, options, start_s):
    assert only(report_on(tmp_path, **options).paybacks).start_s == start_s


@pytest.mark.parametrize("steps", [{"cpu": 1.0, "cuda": 3.0}, {"cpu@1": 3.0, "cpu": 1.0}])
def test_no_payback(tmp_path, steps):
    """A slower accelerator and a CPU have none."""
    rows = [benchmark([t] * 9, device=d, first_call_s=t, model_transfer_s=0.0) for d, t in steps.items()]
    assert report(tmp_path, run(rows, machine=box(state=INIT))).paybacks == ()


def test_a_shorter_start(tmp_path):
    found = report_on(tmp_path, cpu={"first_call_s": 100.0})
    assert (only(found.paybacks).steps, only(found.paybacks).start_s < 0) == (0.0, True)
    assert payback_table(found).rows[0][-1] == "none"
    assert not any("paid back" in text for text in found.answer.notes)


def test_table(tmp_path):
    assert payback_table(report_on(tmp_path, batch_size=1024)).rows == (
        ("box", "cuda", "mlp width=128", "1,024", "6.00 s", "3 [3–3]"),
    )


def test_less_than_a_step(tmp_path):
    """It is paid back in the first step, and never shown as zero steps."""
    found = report_on(tmp_path, state={"device_init_s": {"cuda": 0.5}})
    assert only(found.paybacks).steps == 0.25
    assert any("500 ms, is paid back in the first training step" in note for note in found.answer.notes)


@pytest.mark.parametrize("state", [{}, {"device_init_s": {"cuda": "soon"}}, {"device_init_s": [6.0]}])
def test_unknown_initialization(tmp_path, state):
    found = report_on(tmp_path, state=state)
    assert found.paybacks == ()
    assert payback_table(found) is None


@pytest.mark.parametrize("value", [None, -1.0, "1", True, 10**400])
def test_impossible_first_call(tmp_path, value):
    assert report_on(tmp_path, cuda={"first_call_s": value}).paybacks == ()


def test_interval(tmp_path):
    machine = box("box", state=INIT)
    cpu, cuda = [3.0, 3.2] * 10, [1.0, 1.2] * 10
    rows = [
        benchmark(times, device=d, first_call_s=1.0, model_transfer_s=0.0)
        for d, times in (("cpu", cpu), ("cuda", cuda))
    ]
    payback = only(report(tmp_path, run(rows, machine=machine)).paybacks)
    assert payback.steps == pytest.approx(6 / 2.0)
    assert 6 / 2.2 - 1e-9 <= payback.low < payback.steps < payback.high <= 6 / 1.8 + 1e-9
