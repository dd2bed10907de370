"""What the verdict is about, and the numbers in it; the golden files hold its words."""

import re

import pytest

from breakeven.case import Axes, Model
from breakeven.fitness import Load, Look
from breakeven.report.text import model_names
from support.reports import box, only, report
from support.run_files import affine_run, benchmark, outcome, run

CPU, THREADS = (1, 1), {"cpu@1": (1, 1), "cpu": (10, 0.5)}


def conclusions(tmp_path, *contents, **options):
    """The conclusions on run files with these contents; none shows a NaN, an infinity or None."""
    found = report(tmp_path, *contents, **options)
    assert not re.search(r"\bnan\b|\binf\b|NaN|None|\b0x|batch 0\b", found.verdict)
    assert found.verdict.isprintable()
    return found.conclusions


@pytest.mark.parametrize(
    ("cuda", "status", "keyword"),
    [
        ((0.1, 0.1), "always", "at every measured batch size (1–512)"),
        ((2, 2), "never", "slower than the CPU (cpu) for mlp at width=128 at the largest"),
        ((900, 0.2), "beyond_range", "at every measured batch size (up to 512); the trend"),
        (CPU, "undecided", "undecided"),
    ],
)
def test_statuses(tmp_path, cuda, status, keyword):
    found = report(tmp_path, affine_run({"cpu": CPU, "cuda": cuda}))
    assert only(found.break_evens).crossing.status == status
    assert keyword in only(found.conclusions).headline


def test_same_at_the_largest_batch(tmp_path):
    """A verdict that is undecided because the devices are the same says so."""
    content = affine_run({"cpu": (1, 1), "cuda": (1.01, 1.01)}, n=400, noise=0.005)
    assert "(512) they are the same within 2%" in only(conclusions(tmp_path, content)).headline


def test_trend_above_undecided_cells(tmp_path):
    """Beyond the range the candidate is called slower only where every cell is slower."""

    def timed(workload):
        lead = {1: 1.0, 64: -100.0, 256: -80.0, 512: -20.0}
        return [
            benchmark([time, time * 1.0001] * 9, device=device, batch_size=batch, workload=workload)
            for batch, more in lead.items()
            for device, time in (("cpu", 1000.0), ("cuda", 1000.0 - more))
        ]

    one = only(conclusions(tmp_path / "one", run(timed("mlp"))))
    assert "at the largest measured batch size (up to 512); the trend" in one.headline
    two = only(conclusions(tmp_path / "two", run(timed("mlp") + timed("cnn"))))
    assert two.details[0].startswith("In 2 models cuda never wins")


def test_hole(tmp_path):
    content = affine_run({"cpu": CPU, "cuda": (33, 0.2)}, batches=[1, 64])
    content["breakeven"] = {"schema": 1, "outcomes": [outcome(device="cuda", batch_size=8)]}
    headline = only(conclusions(tmp_path, content)).headline
    assert "between 1 and 64" in headline
    assert "undecided" in headline


def test_no_usable_timing_in_common(tmp_path):
    content = run([benchmark([2.0] * 3), benchmark([1.0] * 3, device="cuda")])
    assert "no usable timing" in only(conclusions(tmp_path, content)).headline


def test_equal_at_small_batches(tmp_path):
    """The candidate is faster at the latest from the first batch size that is sure."""
    times = {1: 1.0, 8: 4.0, 64: 4.0}
    content = run(
        [
            benchmark([1.0, 1.0001] * 9 if d == "cuda" else [t, t * 1.0001] * 9, device=d, batch_size=b)
            for b, t in times.items()
            for d in ("cpu", "cuda")
        ]
    )
    found = only(conclusions(tmp_path, content))
    assert "from batch 8 at the latest" in found.headline
    assert found.details[0] == "cuda wins 2 of 3 cells, cpu 0, 1 is the same within 2%."


def test_no_model_wins(tmp_path):
    content = run()
    for width in (1, 2):
        content["benchmarks"] += affine_run({"cpu": CPU, "cuda": (9, 9)}, axes={"width": width})["benchmarks"]
    found = only(conclusions(tmp_path, content))
    assert found.headline.startswith("In none of 2 models ")
    assert found.details[0].startswith("In 2 models cuda is slower ")


def test_model_names():
    """Axes that all models of a workload share are left out; a model that is alone keeps them."""
    one, two, cnn = (Model(name, Axes(axes)) for name, axes in (
        ("mlp", {"width": 1, "depth": 2}), ("mlp", {"width": 2, "depth": 2}), ("cnn", {"width": 1})
    ))  # fmt: skip
    assert model_names([one]) == {one: "mlp at depth=2 width=1"}
    assert model_names([one, two, one, cnn]) == {one: "mlp at width=1", two: "mlp at width=2", cnn: "cnn"}


def test_an_accelerator_without_a_shared_cell(tmp_path):
    """It is named before the CPUs."""
    content = affine_run(THREADS)
    content["benchmarks"] += affine_run({"cuda": CPU}, batches=[9999])["benchmarks"]
    first, second = conclusions(tmp_path, content, baseline="cpu@1")
    assert first.headline.startswith("The GPU (cuda) shares no timed cell")
    assert second.headline.startswith("The CPU (cpu)")


@pytest.mark.parametrize(
    ("content", "keyword"),
    [
        (affine_run({"cuda": CPU}), "Only cuda "),
        (affine_run({"cpu": CPU, "cuda": CPU}, phases=("transfer",)), "transfer cannot"),
        (
            run([], [outcome("skipped"), outcome("skipped", batch_size=1), outcome("oom", device="cuda")]),
            "(2 skipped, 1 oom)",
        ),
    ],
)
def test_nothing_compared(tmp_path, content, keyword):
    found = report(tmp_path, content)
    assert keyword in only(found.conclusions).headline
    assert (found.headline, found.speedups) == (None, ())
    assert found.judged == (len(found.rows) > 0)


def test_accelerators_come_first(tmp_path):
    laptop = affine_run({"cpu": CPU}, machine=box("laptop"))
    desk = affine_run({"cpu": (0.5, 0.5)}, machine=box("desk"), seed=1)
    server = affine_run({"cpu": (0.6, 0.5), "cuda": (33, 0.2)}, machine=box("server"), seed=2)
    found = conclusions(tmp_path, laptop, desk, server, baseline="laptop/cpu")
    assert [one.headline.partition(" beat")[0] for one in found] == [
        "On server: the GPU (cuda)",
        "On desk: the CPU (cpu)",
        "On server: the CPU (cpu)",
    ]


SLOW = Look(Load(2, 0.9, 0.0, 0.9), 2, 1e-4, 103e-4, spins=True)


def at(look=None, name="box"):
    """A machine that looked like this before the first case."""
    return box(name, state={} if look is None else {"look": look.as_dict()})


def test_busy_machine(tmp_path):
    """That its numbers cannot be trusted comes first, with the reason; the remedies are warnings."""
    found = report(tmp_path, affine_run({"cpu": CPU, "cuda": (0.1, 0.1)}, machine=at(SLOW)))
    first, second = found.conclusions
    assert f"they were measured on a busy machine ({SLOW.found[0].seen})" in first.headline
    assert "cuda" in second.headline
    assert found.verdict.startswith(first.headline)
    assert [line for line in found.warnings if "busy machine" in line] == [
        f"{tmp_path / 'run0.json'}: measured on a busy machine: {problem}" for problem in SLOW.problems()
    ]


@pytest.mark.parametrize("look", [None, Look(Load(2, 0.1, 0.0, 0.1), 2, 1e-4, 1e-4, spins=True)])
def test_fit_machine(tmp_path, look):
    found = report(tmp_path, affine_run({"cpu": CPU, "cuda": (0.1, 0.1)}, machine=at(look)))
    assert len(found.conclusions) == 1
    assert not any("busy" in line for line in found.warnings)


def test_one_of_two_machines_was_busy(tmp_path):
    contents = [
        affine_run({"cpu": CPU, "cuda": (cuda, 0.1)}, machine=at(look, name))
        for look, name, cuda in ((None, "a", 0.1), (SLOW, "b", 0.2))
    ]
    first, *_ = report(tmp_path, *contents).conclusions
    assert "b.json was measured on a busy machine" in first.headline


def test_busy_machine_without_a_comparison(tmp_path):
    """There is nothing to distrust."""
    found = report(tmp_path, run([benchmark([1.0] * 9, device="cpu")], machine=at(SLOW)))
    assert "busy" not in found.verdict
