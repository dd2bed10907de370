"""Two sides of runs: which cases are judged, what becomes of the others, and the verdict on the whole."""

import math

import numpy as np
import pytest
from breakeven.runs.readings import read_side

from breakeven.compare.comparison import VERDICTS
from breakeven.compare.noise_floor import floor_of
from breakeven.compare.phase_attribution import attribution_sentences, blames
from breakeven.compare.text import coverage, headline, warnings
from breakeven.stats.regression import runs_needed
from support.comparisons import PHASES, a_run, compared, levels, machine, side
from support.run_files import CPU_BOX, benchmark, outcome, run, write


def verdicts(found):
    """The verdict of each case, by its name."""
    return {change.case: change.verdict for change in found.changes}


def test_a_floor_with_a_disturbed_run_judges_no_single_runs_and_that_is_said(tmp_path):
    paths = side(tmp_path, "floor", levels(), runs=7, first=20)
    paths += side(tmp_path, "loud", levels(slower=PHASES, by=3.0), runs=1, first=50)
    slower = levels(slower=PHASES, by=1.3)
    found = compared(
        side(tmp_path, "a", levels(), runs=1),
        side(tmp_path, "b", slower, runs=1, first=1),
        floor=floor_of(read_side(paths)),
    )
    assert found.verdict == "inconclusive"
    assert "it would call too many of its own runs changed" in warnings(found)[0]


def test_cases_that_moved_together_but_not_one_by_one_are_told_with_the_verdict(tmp_path):
    rng = np.random.default_rng(5)
    sides = []
    for name, by in (("a", 1.0), ("b", 1.05)):
        contents = [
            a_run({("train", b): by * np.exp(0.06 * rng.standard_normal()) for b in range(1, 30)}, hour=i)
            for i in range(5)
        ]
        sides.append([write(tmp_path / f"{name}{i}.json", c) for i, c in enumerate(contents)])
    found = compared(*sides)
    assert found.verdict == "unchanged"
    assert "but all together moved by +" in headline(found)
    assert "no case alone is called slower or faster, but all together moved by +" in warnings(found)[0]


def test_the_same_code_twice_is_unchanged(tmp_path):
    found = compared(side(tmp_path, "a", levels()), side(tmp_path, "b", levels(), first=1))
    assert found.verdict == "unchanged"
    assert found.counts == dict.fromkeys(VERDICTS, 0) | {"unchanged": 10}
    assert all(change.low < change.ratio < change.high for change in found.changes)
    assert all((change.n_baseline, change.n_candidate) == (5, 5) for change in found.changes)
    assert headline(found).startswith(
        "Unchanged: 10 cases, none slower or faster by more than 2% at a false discovery rate"
    )
    assert warnings(found) == []


def test_a_slower_phase_is_named_with_the_step_that_it_slows(tmp_path):
    slower = levels(slower=["transfer"], by=2.0)
    found = compared(side(tmp_path, "a", levels()), side(tmp_path, "b", slower, first=1))
    assert found.verdict == "regressed"
    assert verdicts(found)["mlp transfer cpu batch=64 width=128"] == "regressed"
    assert verdicts(found)["mlp forward cpu batch=64 width=128"] == "unchanged"
    (sentence,) = attribution_sentences(found.changes)
    assert sentence.startswith("mlp on cpu: train +")
    assert sentence.endswith(" in 2 cells, all of it transfer")


@pytest.mark.parametrize(
    ("slower", "cause"),
    [
        (("forward", "step"), ", most of it forward"),  # 3 to 1
        (("forward", "backward", "transfer"), ", most of it backward"),  # 5 of 9
        (("forward", "transfer", "step"), ", most of it forward"),  # 3 of 5
        (("backward",), ", all of it backward"),
    ],
)
def test_the_cause_is_all_or_most_of_it_by_the_phases_share_of_the_steps_seconds(tmp_path, slower, cause):
    after = levels(batches=(64,), slower=slower, by=1.5)
    found = compared(
        side(tmp_path, "a", levels(batches=(64,)), noise=0.001),
        side(tmp_path, "b", after, first=1, noise=0.001),
    )
    (sentence,) = attribution_sentences(found.changes)
    assert sentence.endswith(f" at batch 64 width=128{cause}")


def test_phases_of_which_none_took_half_share_the_blame(tmp_path):
    after = levels(batches=(1,)) | {("transfer", 1): 0.002, ("step", 1): 0.0019, ("train", 1): 0.0122}
    found = compared(
        side(tmp_path, "a", levels(batches=(1,)), noise=0.001),
        side(tmp_path, "b", after | {("forward", 1): 0.0031}, first=1, noise=0.001),
    )
    (sentence,) = attribution_sentences(found.changes)
    assert sentence.endswith(", in transfer, step and forward")


def test_a_phase_that_became_faster_is_not_blamed_for_a_slower_step(tmp_path):
    after = levels(batches=(1,)) | {("backward", 1): 0.0082, ("forward", 1): 0.002, ("train", 1): 0.018}
    found = compared(
        side(tmp_path, "a", levels(batches=(1,)), noise=0.001),
        side(tmp_path, "b", after | {("step", 1): 0.004}, first=1, noise=0.001),
    )
    assert attribution_sentences(found.changes)[0].endswith(", in backward and step")


def test_a_step_whose_phases_all_stand_still_moved_in_no_single_one(tmp_path):
    after = levels(batches=(1,)) | {("train", 1): 0.02}
    found = compared(side(tmp_path, "a", levels(batches=(1,))), side(tmp_path, "b", after, first=1))
    assert attribution_sentences(found.changes)[0].endswith(", in no single phase")


def test_a_step_that_was_timed_alone_is_not_said_to_have_moved_in_no_phase(tmp_path):
    before, after = ({("train", 1): seconds} for seconds in (0.01, 0.02))
    found = compared(side(tmp_path, "a", before), side(tmp_path, "b", after, first=1))
    assert attribution_sentences(found.changes)[0].endswith(" at batch 1 width=128")


def test_the_largest_change_is_told_first_to_whichever_side(tmp_path):
    before = {("train", 1): 0.01, ("train", 64): 0.01}
    after = {("train", 1): 0.0115, ("train", 64): 0.002}
    found = compared(side(tmp_path, "a", before), side(tmp_path, "b", after, first=1))
    assert [blame.change.sample.batch_size for blame in blames(found.changes)] == [64, 1]


def test_a_phase_that_moved_alone_is_told_though_the_step_did_not(tmp_path):
    after = levels(batches=(1,)) | {("transfer", 1): 0.002}
    found = compared(side(tmp_path, "a", levels(batches=(1,))), side(tmp_path, "b", after, first=1))
    (sentence,) = attribution_sentences(found.changes)
    assert sentence.startswith("mlp on cpu: transfer +")
    assert sentence.endswith("at batch 1 width=128")


def test_a_faster_case_is_improved_and_the_whole_too(tmp_path):
    faster = levels(slower=PHASES, by=0.5)
    found = compared(side(tmp_path, "a", levels()), side(tmp_path, "b", faster, first=1))
    assert found.verdict == "improved"
    assert headline(found).startswith("Improved: 10 of 10 cases are faster")


def test_a_slowdown_of_everything_is_a_regression_and_is_reported_as_what_all_share(tmp_path):
    slower = levels(slower=PHASES, by=1.08)
    found = compared(side(tmp_path, "a", levels()), side(tmp_path, "b", slower, first=1))
    assert found.counts["regressed"] == 10
    assert math.exp(found.common_shift.log_ratio) == pytest.approx(1.08, abs=0.01)
    assert min(change.ratio for change in found.changes) > 1.06


def test_the_same_slowdown_is_undecided_where_the_canary_shows_it_too(tmp_path):
    slower = levels(slower=PHASES, by=1.08)
    before = side(tmp_path, "a", levels(), machine_info=machine(canary_s=1.0))
    after = side(tmp_path, "b", slower, first=1, machine_info=machine(canary_s=1.08))
    found = compared(before, after)
    assert found.verdict == "inconclusive"
    assert found.counts["inconclusive"] == 10
    assert all(change.q < 0.05 for change in found.changes)  # ratios and tests stay as they are
    assert found.changed_machines == ("cpu",)
    assert "the machine changed, as the canary on cpu shows" in headline(found)
    assert "fixed piece of work" in warnings(found)[0]
    assert "runs a side" not in "\n".join(warnings(found))  # more runs would not settle that


def test_a_canary_that_stood_still_explains_nothing_away(tmp_path):
    slower = levels(slower=PHASES, by=1.08)
    before = side(tmp_path, "a", levels(), machine_info=machine(canary_s=1.0))
    after = side(tmp_path, "b", slower, first=1, machine_info=machine(canary_s=1.001))
    assert compared(before, after).verdict == "regressed"


def test_the_canary_of_one_device_does_not_speak_for_another(tmp_path):
    def both(by_device, seed, **kwargs):
        files = [
            a_run(levels(slower=PHASES, by=by), seed=seed, device=d, **kwargs) for d, by in by_device.items()
        ]
        files[0]["benchmarks"] += files[1]["benchmarks"]
        return files[0]

    sides = []
    for name, by, canary in (("a", 1.0, 1.0), ("b", 1.1, 1.1)):
        contents = [
            both({"cpu": by, "cuda": by}, seed=i, hour=i, machine_info=machine(canary_s=canary))
            for i in range(3)
        ]
        sides.append([write(tmp_path / f"{name}{i}.json", c) for i, c in enumerate(contents)])
    words = verdicts(compared(*sides))
    assert words["mlp train cpu batch=64 width=128"] == "inconclusive"
    assert words["mlp train cuda batch=64 width=128"] == "regressed"


def test_a_device_whose_cases_moved_with_its_canary_is_excused_though_most_cases_are_anothers(tmp_path):
    sides = []
    for name, by in (("a", 1.0), ("b", 1.1)):
        paths = []
        for i in range(3):
            content = a_run(levels(slower=PHASES, by=by), seed=i, hour=i, machine_info=machine(canary_s=by))
            still = a_run(levels(batches=(1, 2, 3, 4)), seed=i, device="cuda")
            content["benchmarks"] += still["benchmarks"]
            paths.append(write(tmp_path / f"{name}{i}.json", content))
        sides.append(paths)
    found = compared(*sides)
    assert found.changed_machines == ("cpu",)
    assert (found.counts["inconclusive"], found.counts["unchanged"]) == (10, 20)


def test_single_runs_are_inconclusive_and_it_is_said_how_many_would_settle_it(tmp_path):
    found = compared(side(tmp_path, "a", levels(), runs=1), side(tmp_path, "b", levels(), runs=1, first=1))
    assert found.verdict == "inconclusive"
    assert all((c.low, c.high, c.q) == (None, None, None) and c.ratio for c in found.changes)
    said = "\n".join(warnings(found))
    assert "one run a side knows nothing of the noise between runs" in said
    assert "10 cases inconclusive: a ratio's interval of ±10% takes about 2 runs a side" in said


def test_the_spread_of_single_ratios_tells_how_many_runs_would_settle_it_if_it_is_all_noise(tmp_path):
    spread = [0.9, 0.95, 1.0, 1.05, 1.1]
    before = a_run({("train", b): 1.0 for b in range(1, 6)}, noise=0)
    after = a_run({("train", b): ratio for b, ratio in enumerate(spread, 1)}, noise=0)
    found = compared([write(tmp_path / "a.json", before)], [write(tmp_path / "b.json", after)])
    deviation = 1.4826 * math.log(1.05) / math.sqrt(2)
    assert f"about {runs_needed(deviation)} runs a side, if the spread" in "\n".join(warnings(found))


def test_one_run_against_several_is_judged_and_nothing_is_said_of_a_floor(tmp_path):
    found = compared(side(tmp_path, "a", levels()), side(tmp_path, "b", levels(), runs=1, first=1))
    assert found.verdict == "unchanged"
    assert warnings(found) == []


def test_the_gravest_verdict_is_the_wholes(tmp_path):
    loud = {("train", 1): 1.0}
    improved = levels(batches=(64,), slower=PHASES, by=0.5)
    before, after = [], []
    for i in range(5):
        content = a_run(levels(batches=(64,)), seed=i, hour=2 * i)
        content["benchmarks"] += a_run(loud, seed=50 + i, noise=0.5)["benchmarks"]
        before.append(write(tmp_path / f"a{i}.json", content))
        content = a_run(improved, seed=20 + i, hour=2 * i + 1)
        content["benchmarks"] += a_run(loud, seed=70 + i, noise=0.5)["benchmarks"]
        after.append(write(tmp_path / f"b{i}.json", content))
    found = compared(before, after)
    assert (found.counts["improved"], found.counts["inconclusive"]) == (5, 1)
    assert found.verdict == "inconclusive"


def test_single_runs_are_judged_where_the_machine_was_calibrated(tmp_path):
    floor = floor_of(read_side(side(tmp_path, "floor", levels(), runs=8, first=20)))
    slower = levels(slower=PHASES, by=1.3)
    before = side(tmp_path, "a", levels(), runs=1)
    found = compared(before, side(tmp_path, "b", slower, runs=1, first=1), floor=floor)
    assert found.counts["regressed"] == 10
    assert "judged against the noise of 8 calibration runs on this machine class" in warnings(found)[0]


def test_a_floor_is_said_to_have_judged_only_what_it_did(tmp_path):
    floor = floor_of(read_side(side(tmp_path, "floor", levels(), runs=8, first=20)))
    unknown = {("train", batch): 0.01 for batch in (512, 1024)}
    before = side(tmp_path, "a", unknown, runs=1)
    found = compared(before, side(tmp_path, "b", unknown, runs=1, first=1), floor=floor)
    assert [change.q for change in found.changes] == [None, None]
    said = "\n".join(warnings(found))
    assert "judged against" not in said
    assert "the 8 calibration runs on this machine class" in said
    assert "know nothing of 2 of 2 cases" in said
    assert "so they are not judged; calibrate anew" in said


def test_cases_that_a_floor_does_not_know_are_judged_by_the_noise_of_the_others_and_that_is_said(tmp_path):
    floor = floor_of(read_side(side(tmp_path, "floor", levels(), runs=8, first=20)))
    more = levels() | {("train", 512): 0.01}
    before = side(tmp_path, "a", more, runs=1)
    found = compared(before, side(tmp_path, "b", more, runs=1, first=1), floor=floor)
    judged, unknown = warnings(found)[:2]
    assert judged.startswith("one run a side: judged against the noise of 8 calibration runs")
    assert "1 of 11 cases" in unknown
    assert "mlp train cpu batch=512" in unknown
    assert "for which the noise of the others stands; calibrate anew" in unknown


def test_noise_wider_than_the_resolution_is_inconclusive_and_a_coarser_one_will_do(tmp_path):
    sides = [side(tmp_path, name, levels(), first=first, noise=0.1) for name, first in (("a", 0), ("b", 1))]
    found = compared(*sides)
    assert found.verdict == "inconclusive"
    assert "runs a side at their noise" in "\n".join(warnings(found))
    assert "cannot be told from noise within ±10%" in headline(found)
    assert compared(*sides, resolution=0.9).verdict == "unchanged"


def test_the_threshold_says_what_is_nobodys_concern(tmp_path):
    slower = levels(slower=PHASES, by=1.05)
    sides = side(tmp_path, "a", levels()), side(tmp_path, "b", slower, first=1)
    assert compared(*sides).verdict == "regressed"
    assert compared(*sides, threshold=0.08).verdict == "unchanged"


def test_a_renamed_case_is_missing_and_new_and_the_others_are_judged(tmp_path):
    before, after = levels(), levels()
    after["train", 128] = after.pop(("train", 64))
    found = compared(side(tmp_path, "a", before), side(tmp_path, "b", after, first=1))
    words = verdicts(found)
    assert words["mlp train cpu batch=64 width=128"] == "missing"
    assert words["mlp train cpu batch=128 width=128"] == "new"
    assert (found.verdict, found.counts["unchanged"]) == ("unchanged", 9)
    assert coverage(found) == "judged 9 of 10, 1 missing, 1 new"
    assert "renamed" in "\n".join(warnings(found))


@pytest.mark.parametrize(
    ("word", "verdict"), [("failed", "error"), ("oom", "error"), ("crashed", "error"), ("skipped", "missing")]
)
def test_a_case_that_gave_no_timing_in_the_candidate_says_why(tmp_path, word, verdict):
    after = levels()
    del after["train", 64]
    ended = [outcome(word, "because of this")]
    found = compared(side(tmp_path, "a", levels()), side(tmp_path, "b", after, first=1, outcomes=ended))
    assert verdicts(found)["mlp train cpu batch=64 width=128"] == verdict
    assert "because of this" in "\n".join(warnings(found))


def test_a_case_that_broke_on_both_sides_is_an_error_and_says_that_it_was_so_before(tmp_path):
    ended = [outcome("oom", "too large", batch_size=4096)]
    sides = [side(tmp_path, n, levels(), first=f, outcomes=ended) for n, f in (("a", 0), ("b", 1))]
    found = compared(*sides)
    (broken,) = [change for change in found.changes if change.verdict == "error"]
    assert broken.case == "mlp train cpu batch=4096 width=128"
    assert broken.reason == "oom: too large (as in the baseline)"
    assert found.verdict == "unchanged"


def test_cases_skipped_on_both_sides_are_no_news(tmp_path):
    ended = [outcome("skipped", "would take too long", batch_size=4096)]
    sides = [side(tmp_path, n, levels(), first=f, outcomes=ended) for n, f in (("a", 0), ("b", 1))]
    assert len(compared(*sides).changes) == 10


def test_a_case_that_broke_in_one_of_the_candidates_runs_is_judged_on_the_others_and_that_is_said(tmp_path):
    after = levels()
    short = {key: value for key, value in after.items() if key != ("train", 64)}
    paths = side(tmp_path, "b", after, runs=4, first=1)
    paths.append(
        write(tmp_path / "cut.json", a_run(short, seed=9, hour=9, outcomes=[outcome("failed", "x")]))
    )
    found = compared(side(tmp_path, "a", levels()), paths)
    (change,) = [c for c in found.changes if c.case == "mlp train cpu batch=64 width=128"]
    assert (change.verdict, change.n_candidate) == ("unchanged", 4)
    assert "not timed in every run of the candidate: mlp train cpu batch=64" in "\n".join(warnings(found))


def test_nothing_in_common_is_inconclusive(tmp_path):
    before, after = {("train", 1): 1.0}, {("train", 2): 1.0}
    found = compared(side(tmp_path, "a", before), side(tmp_path, "b", after, first=1))
    assert found.verdict == "inconclusive"
    assert "no case was timed on both sides" in headline(found)
    assert found.common_shift is None


def test_an_empty_side_leaves_the_others_cases_missing_or_new(tmp_path):
    empty = write(tmp_path / "empty.json", run(machine=machine()))
    full = side(tmp_path, "a", levels())
    gone = compared(full, [empty])
    assert (gone.verdict, gone.counts["missing"], gone.only_new) == ("inconclusive", 10, False)
    fresh = compared([empty], full)
    assert (fresh.verdict, fresh.counts["new"], fresh.only_new) == ("inconclusive", 10, True)
    assert "the baseline has no case" in headline(fresh)
    assert compared([empty], [empty]).verdict == "inconclusive"


def test_a_median_of_zero_has_no_ratio_and_is_undecided(tmp_path):
    paths = []
    for name in ("a", "b"):
        content = a_run(levels(), seed=ord(name))
        content["benchmarks"].append(benchmark([0.0] * 9, batch_size=2))
        paths.append([write(tmp_path / f"{name}.json", content)])
    (zero,) = [c for c in compared(*paths).changes if "batch=2 " in c.case]
    assert (zero.verdict, zero.ratio, zero.n_baseline, zero.n_candidate) == ("inconclusive", None, 1, 1)
    assert "a median of zero has no ratio" in "\n".join(warnings(compared(*paths)))


def test_foreign_benchmarks_are_judged_by_their_fullname(tmp_path):
    def foreign(name, hour):
        content = a_run(levels(), seed=hour, hour=hour, machine_info=CPU_BOX)
        for entry in content["benchmarks"]:
            entry["extra_info"] = {}
        return write(tmp_path / f"{name}{hour}.json", content)

    found = compared([foreign("a", h) for h in (0, 2, 4)], [foreign("b", h) for h in (1, 3, 5)])
    assert found.verdict == "unchanged"
    assert found.changes[0].case.startswith("bench/bench_x.py::bench_mlp[")
    assert attribution_sentences(found.changes) == []
    assert "nothing tells the machine class" in warnings(found)[0]


def test_runs_made_one_side_after_the_other_are_warned_about(tmp_path):
    found = compared(side(tmp_path, "a", levels(), runs=2), side(tmp_path, "b", levels(), runs=2, first=10))
    assert "all runs of one side came before those of the other" in warnings(found)[0]


def test_so_are_those_made_in_the_other_order(tmp_path):
    found = compared(side(tmp_path, "a", levels(), runs=2, first=10), side(tmp_path, "b", levels(), runs=2))
    assert "all runs of one side came before those of the other" in warnings(found)[0]


def test_a_run_held_against_itself_is_said(tmp_path):
    paths = side(tmp_path, "a", levels())
    assert "stands on both sides" in warnings(compared(paths, paths))[0]


def test_disturbed_cases_are_counted(tmp_path):
    after = side(tmp_path, "b", levels(), first=1, flags=["throttled", "noisy"])
    found = compared(side(tmp_path, "a", levels()), after)
    assert warnings(found) == ["10 cases ran throttled in at least one run (throttled)"]
