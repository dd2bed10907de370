"""Which device is the baseline, and what a speedup's interval lets one say."""

import re

import numpy as np
import pandas as pd
import pytest

from breakeven.errors import UsageError
from breakeven.report.break_even import break_evens
from breakeven.report.estimates import KEY, estimates
from breakeven.report.speedup import speedups, verdict_of
from breakeven.stats.intervals import RatioInterval
from support.ar1 import correlated
from support.reports import only, report
from support.run_files import affine_run, benchmark, outcome, run


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.03, 1.05, "faster"),
        (1.001, 1.03, "faster"),
        (0.9, 0.97, "slower"),
        (0.97, 0.999, "slower"),
        (0.99, 1.01, "same"),
        (1.005, 1.015, "same"),
        (0.985, 0.995, "same"),
        (1 / 1.02, 1.02, "same"),
        (0.99, 1.03, "undecided"),
        (1.0, 1.05, "undecided"),
        (0.95, 1.0, "undecided"),
        (None, None, "undecided"),
    ],
)
def test_the_verdict_follows_from_the_interval(low, high, verdict):
    assert verdict_of(RatioInterval(low, 1.0, high)) == verdict


def test_a_speedup_is_baseline_time_over_candidate_time(tmp_path):
    found = report(tmp_path, run([benchmark([4.0] * 9), benchmark([2.0] * 9, device="cuda")]))
    row = only(found.speedups)
    assert (row.baseline, row.candidate, row.speedup, row.low, row.high) == ("cpu", "cuda", 2.0, 2.0, 2.0)
    assert row.verdict == "faster"


def test_a_chosen_baseline_turns_the_speedup_around(tmp_path):
    content = run([benchmark([4.0] * 9), benchmark([2.0] * 9, device="cuda")])
    row = only(report(tmp_path, content, baseline="cuda").speedups)
    assert (row.baseline, row.candidate, row.speedup) == ("cuda", "cpu", 0.5)


def test_an_unknown_baseline_is_refused_with_the_devices_there_are(tmp_path):
    content = run([benchmark([4.0] * 9), benchmark([2.0] * 9, device="cuda")])
    with pytest.raises(UsageError, match=r"--baseline tpu.*present: cpu, cuda"):
        report(tmp_path, content, baseline="tpu")


def test_every_other_device_is_a_candidate_also_another_number_of_threads(tmp_path):
    found = report(tmp_path, affine_run({"cpu": (1, 1), "cpu@1": (1, 2), "cuda": (3, 0.1)}, batches=[1]))
    assert {(row.baseline, row.candidate) for row in found.speedups} == {("cpu", "cpu@1"), ("cpu", "cuda")}


def test_transfer_is_never_compared_but_its_medians_are_kept(tmp_path):
    devices = {"cpu": (1, 1), "cuda": (2, 0.1)}
    found = report(tmp_path, affine_run(devices, phases=("transfer", "train")))
    assert {row.phase for row in found.speedups} == {row.phase for row in found.break_evens} == {"train"}
    assert set(found.cases["phase"]) == {"transfer", "train"}


def test_too_few_rounds_leave_the_verdict_undecided_and_flagged(tmp_path):
    row = only(report(tmp_path, run([benchmark([4.0] * 5), benchmark([2.0] * 9, device="cuda")])).speedups)
    assert (row.speedup, row.low, row.high, row.verdict) == (2.0, None, None, "undecided")
    assert row.flags == ("few_rounds",)


def test_a_zero_median_has_no_speedup_and_says_so(tmp_path):
    found = report(tmp_path, run([benchmark([4.0] * 9), benchmark([0.0] * 9, device="cuda")]))
    row = only(found.speedups)
    assert (row.speedup, row.low, row.high, row.verdict) == (None, None, None, "undecided")
    assert "zero_time" in row.flags
    assert any("zero_time" in warning for warning in found.warnings)
    assert only(found.break_evens).crossing.status == "undecided"


def test_single_rounds_of_zero_do_no_harm(tmp_path):
    row = only(
        report(tmp_path, run([benchmark([0.0] + [4.0] * 30), benchmark([2.0] * 30, device="cuda")])).speedups
    )
    assert (row.speedup, row.verdict) == (2.0, "faster")


def test_a_cell_that_only_one_device_has_gives_no_speedup(tmp_path):
    found = report(tmp_path, run([benchmark([4.0] * 9), benchmark([2.0] * 9, device="cuda", batch_size=1)]))
    assert found.speedups == ()
    assert found.headline is None


def test_axes_of_another_value_are_another_model(tmp_path):
    content = run([benchmark([4.0] * 9, axes={"w": 1}), benchmark([2.0] * 9, device="cuda", axes={"w": "1"})])
    assert report(tmp_path, content).speedups == ()


def test_runs_of_one_machine_are_replicates_and_the_interval_spans_them(tmp_path):
    levels = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5)
    contents = [run([benchmark([2.0] * 9), benchmark([level] * 9, device="cuda")]) for level in levels]
    row = only(report(tmp_path, *contents).speedups)
    assert row.speedup == pytest.approx(2 / 1.25)
    assert row.low <= 2 / 1.4
    assert row.high >= 2 / 1.1


def test_few_runs_are_warned_about(tmp_path):
    contents = [affine_run({"cpu": (1, 1), "cuda": (2, 0.1)}, seed=seed) for seed in range(3)]
    found = report(tmp_path, *contents)
    note = only([warning for warning in found.warnings if "3 runs are replicates" in warning])
    assert note.endswith("are wide; add runs until there are 6")
    assert {row.verdict for row in found.speedups} == {"faster", "slower"}
    assert not any("replicates" in warning for warning in report(tmp_path, contents[0]).warnings)


def replicated(runs, models, devices, noise, batches=(64,), seed=0):
    """A frame of rounds: each run takes each device's time times a noise of its own."""
    rng = np.random.default_rng([runs, seed])
    rows = [
        ("id", f"mlp{model}", "", batch, "train", device, number, level * (1 + 0.001 * at), ())
        for number in range(runs)
        for model in range(models)
        for batch in batches
        for device, (floor, slope) in devices.items()
        for level in [(floor + slope * batch) * np.exp(noise * rng.standard_normal())]
        for at in range(-3, 4)
    ]
    return pd.DataFrame(rows, columns=[*KEY, "run", "latency_s", "flags"])


@pytest.mark.parametrize("runs", [2, 3, 4, 5])
def test_a_few_runs_of_equal_devices_are_hardly_ever_called_faster_or_slower(runs):
    frame = replicated(runs, models=400, devices={"cpu": (1, 0), "cuda": (1, 0)}, noise=0.05)
    rows = speedups(estimates(frame, frame.drop_duplicates(KEY)))
    wrong = sum(row.verdict in ("faster", "slower") for row in rows)
    print(f"called different over {runs} runs: {wrong / 400:.3f}")
    assert len(rows) == 400
    assert wrong / 400 <= 0.08


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_the_break_even_of_a_few_runs_holds_the_truth(runs):
    devices = {"cpu": (20, 1), "cuda": (100, 0.2)}  # equal at 100
    frame = replicated(runs, 200, devices, noise=0.02, batches=(1, 4, 16, 64, 256, 1024))
    cases = estimates(frame, frame.drop_duplicates(KEY))
    lines = break_evens(cases, speedups(cases), pd.DataFrame(columns=[*KEY, "outcome"]))
    found = [line.crossing for line in lines if line.crossing.status == "crosses"]
    hits = sum((one.low or 0) <= 100 <= (one.high or np.inf) for one in found)
    print(f"break-even over {runs} runs: {hits} of {len(found)} hold the truth")
    assert len(found) >= 150
    assert hits / len(found) >= 0.91


def test_a_run_that_lacks_a_case_leaves_the_others_paired_with_themselves(tmp_path):
    """What the runs shared cancels in the runs that have both, wherever the gap is."""
    levels = (1.0, 1.3, 0.8)
    contents = [
        run([benchmark([2 * x] * 9), benchmark([x] * 9, device="cuda"), benchmark([x] * 9, batch_size=1)])
        for x in levels
    ]
    for gap in range(3):
        cut = [{**c, "benchmarks": c["benchmarks"][2 * (i == gap) :]} for i, c in enumerate(contents)]
        row = only(report(tmp_path / str(gap), *cut).speedups)
        assert (row.low, row.high) == (pytest.approx(2.0), pytest.approx(2.0))


def test_a_run_that_timed_zero_leaves_no_interval_of_student(tmp_path):
    contents = [run([benchmark([2.0] * 9), benchmark([x] * 9, device="cuda")]) for x in (1.0, 0.0, 1.1)]
    row = only(report(tmp_path, *contents).speedups)
    assert (row.speedup, row.low, row.verdict) == (2.0, None, "undecided")


def test_six_runs_of_few_rounds_each_have_an_interval_and_five_have_none(tmp_path):
    contents = [run([benchmark([2.0 + i / 100] * 3), benchmark([1.0] * 3, device="cuda")]) for i in range(6)]
    assert only(report(tmp_path, *contents).speedups).verdict == "faster"
    assert only(report(tmp_path, *contents[:5]).speedups).verdict == "undecided"


def test_machines_of_different_classes_are_never_held_against_each_other(tmp_path):
    boxes = [{"node": name, "breakeven": {"class_id": name}} for name in ("one", "two")]
    contents = [
        affine_run({"cpu": (1, 1)}, machine=boxes[0]),
        affine_run({"cuda": (1, 1)}, machine=boxes[1]),
    ]
    assert report(tmp_path, *contents).speedups == ()
    both = [affine_run({"cpu": (1, 1), "cuda": (2, 0.1)}, machine=box, seed=i) for i, box in enumerate(boxes)]
    found = report(tmp_path, *both)
    assert {row.class_id for row in found.speedups} == {"one", "two"}
    assert found.verdict.count("On one: ") == found.verdict.count("On two: ") == 1


def test_affine_devices_break_even_where_algebra_says(tmp_path):
    # 1 + b = 33 + b / 5 at b = 40
    line = only(report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, noise=0.001)).break_evens)
    assert line.crossing.status == "crosses"
    assert line.crossing.batch_size == pytest.approx(40, rel=0.01)
    assert line.crossing.low <= 40 <= line.crossing.high
    assert line.batches == (1, 8, 64, 512)


def test_a_case_that_ran_out_of_memory_is_a_hole_that_no_line_crosses(tmp_path):
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, batches=[1, 8, 64])
    gone = content["benchmarks"][3]
    assert (gone["extra_info"]["device"], gone["extra_info"]["batch_size"]) == ("cuda", 8)
    ended = outcome("oom", device="cuda", batch_size=8)
    for outcomes in ([ended], None):
        without = {**content, "benchmarks": [b for b in content["benchmarks"] if b is not gone]}
        if outcomes:
            without["breakeven"] = {"schema": 1, "outcomes": outcomes}
        found = report(tmp_path, without)
        line = only(found.break_evens)
        assert (line.holes, line.crossing.status, line.crossing.bracket) == ((8,), "undecided", (1, 64))
        assert any("not interpolated" in warning for warning in found.warnings)


def test_a_case_of_too_few_rounds_is_a_hole(tmp_path):
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, batches=[1, 64])
    content["benchmarks"] += [
        benchmark([9.0] * 9, batch_size=8),
        benchmark([34.6] * 3, device="cuda", batch_size=8),
    ]
    line = only(report(tmp_path, content).break_evens)
    assert (line.batches, line.holes, line.crossing.status) == ((1, 64), (8,), "undecided")


def test_a_batch_that_neither_device_survived_is_a_hole_too(tmp_path):
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, batches=[1, 64])
    content["breakeven"] = {
        "schema": 1,
        "outcomes": [outcome("skipped", device=d, batch_size=8) for d in ("cpu", "cuda")],
    }
    assert only(report(tmp_path, content).break_evens).crossing.status == "undecided"


def test_devices_that_are_the_same_everywhere_have_no_break_even(tmp_path):
    found = report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (1.01, 1.01)}, n=400, noise=0.005))
    assert {row.verdict for row in found.speedups} == {"same"}
    assert only(found.break_evens).crossing.status == "undecided"


@pytest.mark.parametrize(("rho", "least"), [(0.0, 0.93), (0.5, 0.90)])
def test_a_speedup_of_one_run_covers_a_true_ratio_of_two(rho, least):
    noise = {
        (seed, side): correlated(rho, 100, 0.05, [8, seed, side]) for seed in range(400) for side in (1, 2)
    }
    rows = [
        ("id", f"mlp{seed}", "", 64, "train", {1: "cuda", 2: "cpu"}[side], 0, side * np.exp(step), ())
        for (seed, side), steps in noise.items()
        for step in steps
    ]
    frame = pd.DataFrame(rows, columns=[*KEY, "run", "latency_s", "flags"])
    found = speedups(estimates(frame, frame.drop_duplicates(KEY)))
    hits = sum(row.low <= 2 <= row.high for row in found)
    print(f"coverage of the speedup, AR({rho}): {hits / 400:.3f}")
    assert len(found) == 400
    assert hits / 400 >= least


def lines_of(tmp_path, speedups):
    """The record of one model whose candidate is so many times as fast as the baseline, for certain."""
    rows = [
        benchmark([time] * 9, device=device, batch_size=batch)
        for batch, speedup in zip((1, 64, 512), speedups, strict=True)
        for device, time in (("cpu", float(batch)), ("cuda", batch / speedup))
    ]
    return report(tmp_path, run(rows))


@pytest.mark.parametrize(
    ("speedups", "status", "bracket"),
    [
        ((0.5, 1.01, 1.005), "undecided", (1, None)),
        ((0.5, 0.99, 0.995), "undecided", (1, None)),
        ((2.0, 2.0, 0.995), "undecided", (None, None)),
        ((2.0, 1.01, 1.005), "undecided", (None, None)),
        ((0.5, 2.0, 1.01), "undecided", (1, None)),
        ((0.99, 1.005, 1.01), "undecided", (None, None)),
        ((2.0, 1.005, 2.0), "undecided", (None, 512)),
        ((0.99, 1.01, 2.0), "undecided", (None, 512)),
        ((0.5, 1.01, 2.0), "crosses", (1, 64)),
        ((0.5, 0.99, 2.0), "crosses", (64, 512)),
        ((2.0, 0.99, 0.5), "never", (512, None)),
        ((1.01, 0.5, 0.5), "never", (512, None)),
        ((2.0, 2.0, 2.0), "always", (None, 1)),
        ((0.5, 0.5, 0.5), "never", (512, None)),
    ],
)
def test_no_break_even_rests_on_a_difference_of_less_than_2_percent(tmp_path, speedups, status, bracket):
    found = lines_of(tmp_path, speedups)
    line = only(found.break_evens)
    assert (line.crossing.status, line.crossing.bracket) == (status, bracket)
    if status == "undecided":
        assert "undecided" in found.conclusions[0].headline
        is_same = abs(speedups[-1] - 1) < 0.02
        assert is_same == ("at the largest measured (512) they are the same within 2%" in found.verdict)
        assert not re.search(r"is slower|at every measured|\bnan\b|batch 0\b", found.verdict, re.IGNORECASE)


def test_the_order_of_benchmarks_in_a_file_changes_no_number(tmp_path):
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, phases=("train", "forward"))
    backwards = {**content, "benchmarks": content["benchmarks"][::-1]}
    one, other = report(tmp_path / "a", content), report(tmp_path / "b", backwards)
    assert (one.speedups, one.break_evens, one.verdict) == (other.speedups, other.break_evens, other.verdict)
    assert one.cases.equals(other.cases)


def test_phases_that_miss_train_are_a_warning_on_a_cpu_and_a_cost_on_an_accelerator(tmp_path):
    times = {"transfer": 1.0, "forward": 2.0, "backward": 3.0, "step": 2.0, "train": 5.0}
    content = run([benchmark([t] * 9, phase=p, device=d) for p, t in times.items() for d in ("cpu", "cuda")])
    found = report(tmp_path, content)
    assert [(row.device, row.beyond) for row in found.closures] == [("cpu", 1), ("cuda", 1)]
    assert [row.excess for row in found.closures] == pytest.approx([0.6, 0.6])
    warnings = [warning for warning in found.warnings if "phases' sum" in warning]
    assert only(warnings).startswith("cpu: in 1 of 1 cells")
    assert "+60%" in only(warnings)


def test_phases_that_add_up_are_no_warning_and_a_cpu_needs_no_transfer(tmp_path):
    times = {"forward": 2.0, "backward": 2.0, "step": 0.9, "train": 5.0}
    found = report(tmp_path, run([benchmark([t] * 9, phase=p) for p, t in times.items()]))
    assert only(found.closures).excess == pytest.approx(-0.02)
    assert found.warnings == ()


def test_zeroing_the_gradients_is_part_of_the_step_and_no_phase(tmp_path):
    times = {"forward": 2.0, "backward": 1.5, "step": 0.5, "train": 5.0}
    parts = {"train": {"parts_s": {"zero_grad": 1.0}}}
    content = run([benchmark([t] * 9, phase=p, **parts.get(p, {})) for p, t in times.items()])
    assert only(report(tmp_path, content).closures).excess == pytest.approx(0.0)


@pytest.mark.parametrize("parts", ["text", {}, {"zero_grad": -1.0}, {"zero_grad": "1"}, None])
def test_parts_that_cannot_be_are_left_out_of_the_sum(tmp_path, parts):
    times = {"forward": 2.0, "backward": 1.5, "step": 0.5, "train": 5.0}
    content = run([benchmark([t] * 9, phase=p, parts_s=parts) for p, t in times.items()])
    assert only(report(tmp_path, content).closures).excess == pytest.approx(-0.2)


def test_flags_are_counted_with_a_remedy(tmp_path):
    content = run([benchmark([4.0] * 9, flags=["noisy", "own<flag>"]), benchmark([2.0] * 9, device="cuda")])
    found = report(tmp_path, content)
    noisy = only([warning for warning in found.warnings if "flagged noisy" in warning])
    assert noisy.startswith("1 of 2 cases")
    assert "--benchmark-max-time" in noisy
    assert any("does not know" in warning for warning in found.warnings)
    assert only(found.speedups).flags == ("noisy", "own<flag>")


def test_a_never_that_larger_batches_might_overturn_says_how_far_it_speaks(tmp_path):
    content = affine_run({"cpu": (1.0, 0.1), "cuda": (5.0, 0.2)}, batches=(1, 8))
    content["breakeven"] = {
        "schema": 1,
        "outcomes": [
            outcome("oom", device="cuda", batch_size=64, axes=content["benchmarks"][0]["extra_info"]["axes"])
        ],
    }
    found = report(tmp_path, content)
    assert only(found.break_evens).crossing.status == "never"
    assert any("larger batch sizes gave no timing on both devices" in warning for warning in found.warnings)


def test_between_measured_batches_the_times_are_straight_lines_and_never_across_a_hole(tmp_path):
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, batches=[1, 64, 512], noise=0)
    line = only(report(tmp_path / "a", content).break_evens)
    assert line.between
    for batch, speedup in line.between:
        assert speedup == pytest.approx((1 + batch) / (33 + 0.2 * batch))
    content["breakeven"] = {"schema": 1, "outcomes": [outcome("oom", device="cuda", batch_size=100)]}
    cut = only(report(tmp_path / "b", content).break_evens)
    assert all(batch < 64 for batch, _ in cut.between)
    assert cut.between == line.between[: len(cut.between)]
