"""The answer of whole run files; `test_answer` has the words of each kind."""

import pytest

from breakeven.fitness import Load, Look
from breakeven.render.report_data import to_json
from breakeven.report.answer import Trust
from support.reports import box, only, report
from support.run_files import affine_run, benchmark, outcome, run

CPU = (1, 1)
ONE = "\nOnly one process: another run may differ."


@pytest.mark.parametrize(
    ("cuda", "status", "start"),
    [
        ((0.1, 0.1), "always", "The GPU wins at every measured batch size (1–512); up to 10"),
        ((2, 2), "never", "The GPU never wins (up to batch 512)."),
        ((900, 0.2), "beyond_range", "The GPU never wins (up to batch 512); the trend points to "),
        ((1.1, 1), "undecided", "The GPU and the CPU are the same within 2% at batch 512, the largest "),
    ],
)
def test_statuses(tmp_path, cuda, status, start):
    found = report(tmp_path, affine_run({"cpu": CPU, "cuda": cuda}))
    assert only(found.break_evens).crossing.status == status
    assert found.verdict.startswith(start)


def test_same_at_every_batch(tmp_path):
    content = affine_run({"cpu": (1, 1), "cuda": (1.01, 1.01)}, n=400, noise=0.005)
    assert report(tmp_path, content).verdict.startswith(
        "The GPU and the CPU are the same within 2% (up to batch 512)."
    )


def test_trend_above_undecided_cells(tmp_path):
    """Beyond the range the candidate never wins only where every cell is slower."""
    lead = {1: 1.0, 64: -100.0, 256: -80.0, 512: -20.0}
    timed = [
        benchmark([time, time * 1.0001] * 9, device=device, batch_size=batch)
        for batch, more in lead.items()
        for device, time in (("cpu", 1000.0), ("cuda", 1000.0 - more))
    ]
    found = report(tmp_path, run(timed))
    assert found.verdict.startswith("The GPU is not shown to win (up to batch 512); the trend points to ")


def test_hole(tmp_path):
    content = affine_run({"cpu": CPU, "cuda": (33, 0.2)}, batches=[1, 64])
    content["breakeven"] = {"schema": 1, "outcomes": [outcome(device="cuda", batch_size=8)]}
    assert report(tmp_path, content).verdict.startswith("The GPU wins from a batch size between 1 and 64; ")


def test_no_usable_timing_in_common(tmp_path):
    content = run([benchmark([2.0] * 3), benchmark([1.0] * 3, device="cuda")])
    assert report(tmp_path, content).verdict == f"The GPU and the CPU have no usable timing in common.{ONE}"


def test_equal_at_small_batches(tmp_path):
    """The candidate wins at the latest from the first batch size that is sure."""
    times = {1: 1.0, 8: 4.0, 64: 4.0}
    content = run(
        [
            benchmark([1.0, 1.0001] * 9 if d == "cuda" else [t, t * 1.0001] * 9, device=d, batch_size=b)
            for b, t in times.items()
            for d in ("cpu", "cuda")
        ]
    )
    found = report(tmp_path, content)
    assert found.verdict == f"The GPU wins from batch 8 at the latest; up to 4.00x faster (batch 8).{ONE}"
    assert found.answer.notes[0] == "The GPU is faster in 2 of 3 cells, slower in 0; 1 is the same within 2%."


def test_accelerators_come_first(tmp_path):
    laptop = affine_run({"cpu": CPU}, machine=box("laptop"))
    desk = affine_run({"cpu": (0.5, 0.5)}, machine=box("desk"), seed=1)
    server = affine_run({"cpu": (0.6, 0.5), "cuda": (33, 0.2)}, machine=box("server"), seed=2)
    found = report(tmp_path, laptop, desk, server, baseline="laptop/cpu")
    assert [note.partition(" beats ")[0] for note in found.answer.notes[:3]] == [
        "The GPU of server",
        "The CPU of desk",
        "The CPU of server",
    ]


@pytest.mark.parametrize("timed", [{"cuda": CPU}, {"cpu": CPU, "cuda": CPU}])
def test_nothing_compared(tmp_path, timed):
    found = report(tmp_path, affine_run(timed, phases=("transfer",)))
    assert (found.headline, found.speedups, found.judged) == (None, (), True)
    assert found.answer.trust == Trust.LIMITED


def test_busy_machine(tmp_path):
    """The remedies of each problem are warnings; the JSON has the same answer."""
    look = Look(Load(2, 0.9, 0.0, 0.9), 2, 1e-4, 103e-4, spins=True)
    machine = box("box", state={"look": look.as_dict()})
    found = report(tmp_path, affine_run({"cpu": CPU, "cuda": (0.1, 0.1)}, machine=machine))
    assert found.answer.trust == Trust.UNFIT
    assert found.verdict in to_json(found)
    assert [line for line in found.warnings if "busy machine" in line] == [
        f"{tmp_path / 'run0.json'}: measured on a busy machine: {problem}" for problem in look.found
    ]


def test_canary_of_a_process(tmp_path):
    """The state of a run is that of the process in the middle, so each process counts."""

    def sample(seconds):
        return {"median_s": seconds, "low_s": seconds, "high_s": seconds}

    content = affine_run({"cpu": CPU, "cuda": (0.1, 0.1)})
    steady, moved = ({"cpu": {"start": sample(1.0), "end": sample(end)}} for end in (1.0, 4.0))
    content["breakeven"] = {"schema": 1, "processes": [{"canary": steady}, {"canary": moved}]}
    found = report(tmp_path, content)
    assert found.verdict.startswith(
        "This run cannot be trusted: the same work took 4 times as long at its end"
    )
    content["breakeven"]["processes"] = [{"canary": steady}, "soon"]
    assert report(tmp_path, content).answer.trust == Trust.LIMITED
