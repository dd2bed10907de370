"""Two sides of runs: which cases are judged, what becomes of the others, and the verdict on the whole."""

import math

import numpy as np
import pytest
from scipy import stats

from breakeven.compare.comparison import CaseComparison, compare, whole_verdict
from breakeven.compare.noise_floor import floor_of
from breakeven.compare.reliability import undecided, unlike_steps, zero_medians
from breakeven.runs.machine import Machine
from breakeven.runs.reader import read_side
from breakeven.runs.schema import CaseResult, Run
from breakeven.stats.verdict import Verdict
from support.comparisons import PHASES, a_run, compared, levels, machine, side, two_sides
from support.run_files import benchmark, outcome, run, write

TRAIN_64 = "mlp train cpu batch=64 width=128"


def without(times, *keys):
    """The seconds of all phases and batch sizes but these."""
    return {key: seconds for key, seconds in times.items() if key not in keys}


def test_slowdown_of_everything(tmp_path):
    """It is a regression, and reported as the common shift."""
    found = two_sides(tmp_path, levels(), levels(slower=PHASES, by=1.08))
    assert found.counts["regressed"] == 10
    assert math.exp(found.common_shift.log_ratio) == pytest.approx(1.08, abs=0.01)
    assert min(case.ratio for case in found.cases) > 1.06


def with_canary(tmp_path, canary_s):
    """A candidate that is 8% slower in everything, with its canary's time; the baseline's takes 1 s."""
    slower = levels(slower=PHASES, by=1.08)
    before = side(tmp_path, "a", levels(), machine_info=machine(canary_s=1.0))
    return compared(before, side(tmp_path, "b", slower, first=1, machine_info=machine(canary_s=canary_s)))


def test_canary_explains_the_slowdown(tmp_path):
    """Nothing is judged where the machine changed; ratios and tests stay as they are."""
    found = with_canary(tmp_path, 1.08)
    assert found.counts["inconclusive"] == 10
    assert found.verdict == "inconclusive"
    assert all(case.q < 0.05 for case in found.cases)
    assert found.changed_machines == ("cpu",)


def test_canary_does_not_explain_the_slowdown(tmp_path):
    found = with_canary(tmp_path, 1.001)
    assert (found.verdict, found.changed_machines) == ("regressed", ())


def of_two_devices(tmp_path, cpu, cuda, canary_s):
    """The comparison of runs on two devices that are slower by these factors; the CPU has a canary."""
    sides = []
    for name, slower in (("a", False), ("b", True)):
        paths = []
        for i in range(3):
            content = a_run(
                levels(slower=PHASES, by=cpu if slower else 1.0),
                seed=i,
                hour=i,
                machine_info=machine(canary_s=canary_s if slower else 1.0),
            )
            times = levels((1, 2, 3, 4), slower=PHASES, by=cuda if slower else 1.0)
            content["benchmarks"] += a_run(times, seed=i, device="cuda")["benchmarks"]
            paths.append(write(tmp_path / f"{name}{i}.json", content))
        sides.append(paths)
    return compared(*sides)


def test_canary_and_cases_of_its_device(tmp_path):
    """Only the cases of its own device count for what the canary explains, though others are more."""
    found = of_two_devices(tmp_path, cpu=1.1, cuda=1.0, canary_s=1.1)
    assert found.changed_machines == ("cpu",)
    assert (found.counts["inconclusive"], found.counts["unchanged"]) == (10, 20)
    both = of_two_devices(tmp_path, cpu=1.1, cuda=1.1, canary_s=1.1)
    assert (both.counts["inconclusive"], both.counts["regressed"]) == (10, 20), "cuda has no canary"


def test_floor_judges_single_runs(tmp_path):
    floor = floor_of(read_side(side(tmp_path, "floor", levels(), runs=8, first=20)))
    before = side(tmp_path, "a", levels(), runs=1)
    after = side(tmp_path, "b", levels(slower=PHASES, by=1.3), runs=1, first=1)
    assert compared(before, after, floor=floor).counts["regressed"] == 10


def test_floor_is_ignored_with_several_runs(tmp_path):
    floor = floor_of(read_side(side(tmp_path, "floor", levels(), runs=8, first=20, noise=1.0)))
    sides = side(tmp_path, "a", levels()), side(tmp_path, "b", levels(), first=1)
    assert compared(*sides, floor=floor).cases == compared(*sides).cases


@pytest.mark.parametrize("runs", [1, 3])
def test_unusable_floor(tmp_path, runs):
    """A floor with a disturbed run judges nothing; it is needed where either side has one run."""
    paths = side(tmp_path, "floor", levels(), runs=7, first=20)
    paths += side(tmp_path, "disturbed", levels(slower=PHASES, by=3.0), runs=1, first=50)
    found = compared(
        side(tmp_path, "a", levels(), runs=1),
        side(tmp_path, "b", levels(slower=PHASES, by=1.3), runs, first=1),
        floor=floor_of(read_side(paths)),
    )
    assert found.floor_is_unusable
    assert found.verdict == ("inconclusive" if runs == 1 else "regressed")


def test_resolution(tmp_path):
    """An interval wider than the resolution is inconclusive."""
    sides = [side(tmp_path, name, levels(), first=first, noise=0.1) for name, first in (("a", 0), ("b", 1))]
    assert compared(*sides).verdict == "inconclusive"
    assert compared(*sides, resolution=0.9).verdict == "unchanged"


def test_threshold(tmp_path):
    """Changes up to the threshold are ignored."""
    sides = side(tmp_path, "a", levels()), side(tmp_path, "b", levels(slower=PHASES, by=1.05), first=1)
    assert compared(*sides).verdict == "regressed"
    assert compared(*sides, threshold=0.08).verdict == "unchanged"


def test_broken_in_one_run(tmp_path):
    """A case is judged by the runs that timed it."""
    paths = side(tmp_path, "b", levels(), runs=4, first=1)
    short = a_run(without(levels(), ("train", 64)), seed=9, hour=9, outcomes=[outcome("failed", "x")])
    paths.append(write(tmp_path / "short.json", short))
    found = compared(side(tmp_path, "a", levels()), paths)
    (case,) = [case for case in found.cases if case.case == TRAIN_64]
    assert (case.verdict, case.n_baseline, case.n_candidate) == ("unchanged", 5, 4)


def test_median_of_zero(tmp_path):
    """It has no ratio and is inconclusive."""
    paths = []
    for name in ("a", "b"):
        content = a_run(levels(), seed=ord(name))
        content["benchmarks"].append(benchmark([0.0] * 9, batch_size=2))
        paths.append([write(tmp_path / f"{name}.json", content)])
    (zero,) = [case for case in compared(*paths).cases if case.key.batch_size == 2]
    assert (zero.verdict, zero.ratio, zero.n_baseline, zero.n_candidate) == ("inconclusive", None, 1, 1)
    assert (zero.baseline_s, zero.candidate_s) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("of_cases", "of_whole"),
    [
        ("improved unchanged inconclusive regressed", "regressed"),
        ("improved unchanged inconclusive", "inconclusive"),
        ("unchanged improved", "improved"),
        ("unchanged error missing new", "unchanged"),
        ("error missing new", "inconclusive"),
        ("", "inconclusive"),
    ],
)
def test_whole_verdict(of_cases, of_whole):
    """The most serious verdict of a judged case is that of the whole."""
    cases = [CaseComparison(str(i), Verdict(word)) for i, word in enumerate(of_cases.split())]
    assert whole_verdict(cases) == of_whole


@pytest.mark.parametrize(
    ("word", "verdict"), [("failed", "error"), ("oom", "error"), ("crashed", "error"), ("skipped", "missing")]
)
def test_no_timing_in_the_candidate(tmp_path, word, verdict):
    times = without(levels(), ("train", 64))
    after = side(tmp_path, "b", times, first=1, outcomes=[outcome(word, "too large")])
    found = compared(side(tmp_path, "a", levels()), after)
    (case,) = found.with_verdict(verdict)
    assert (case.case, case.reason, case.n_baseline) == (TRAIN_64, f"{word}: too large", 5)


@pytest.mark.parametrize(
    ("word", "reasons"), [("oom", ["oom: too large (as in the baseline)"]), ("skipped", [])]
)
def test_no_timing_on_both_sides(tmp_path, word, reasons):
    """It is an error that is not new, and not listed where it was skipped; the others have the verdict."""
    outcomes = [outcome(word, "too large", batch_size=4096)]
    found = two_sides(tmp_path, levels(), levels(), outcomes=outcomes)
    assert [case.reason for case in found.with_verdict(Verdict.ERROR)] == reasons
    assert (found.verdict, len(found.cases)) == ("unchanged", 10 + len(reasons))


def with_steps(tmp_path, device, before, after, by=1.5):
    """Sides of three runs each, all phases 1.5 times slower; `before` and `after` are the recorded steps."""
    slower = levels(slower=PHASES, by=by)
    sides = [
        side(tmp_path, name, times, 3, first=first, device=device, steps=steps)
        for first, (name, times, steps) in enumerate((("a", levels(), before), ("b", slower, after)))
    ]
    return compared(*sides)


def test_waiting_against_looping(tmp_path):
    """A step that waited for its accelerator is never judged against one that did not, and shifts nothing."""
    found = with_steps(tmp_path, "cuda", ..., 50)
    cases = {case.key.phase: case for case in found.cases if case.key.batch_size == 64}
    assert {phase: case.verdict for phase, case in cases.items()} == dict.fromkeys(PHASES, "regressed") | {
        "train": "inconclusive"
    }
    assert (cases["train"].ratio, cases["train"].q) == (None, None)
    assert [case.key.batch_size for case in unlike_steps(found)] == [1, 64]
    assert zero_medians(found) == undecided(found) == []
    assert (found.counts["regressed"], found.verdict) == (8, "regressed")
    alone = with_steps(tmp_path / "same", "cuda", ..., 50, by=1.0)
    assert alone.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("device", "before", "after"), [("cpu", ..., 50), ("cpu@2", 50, ...), ("cuda", ..., ...), ("cuda", 5, 50)]
)
def test_steps_of_one_kind(tmp_path, device, before, after):
    assert with_steps(tmp_path, device, before, after).counts["regressed"] == 10


def test_side_of_both_kinds(tmp_path):
    """Not even where both sides have runs of each kind, whose means would be compared."""
    kinds = (("a", ...), ("b", 50), ("c", ...), ("d", 50))
    one, two, three, four = (
        side(tmp_path, name, levels(), 2, first=5 * i, device="cuda", steps=steps)
        for i, (name, steps) in enumerate(kinds)
    )
    found = compared(one + two, three + four)
    assert len(unlike_steps(found)) == 2


SLOWER = levels(slower=PHASES, by=1.3)


def one_run(tmp_path, after, floor=None, **settings):
    """The comparison of two runs of five processes, which vary by 0.5%; no noise between the runs."""
    settings = {"processes": 5, "noise": 0.0, "runs": 1} | settings
    before = side(tmp_path, "a", levels(), **settings)
    return compared(before, side(tmp_path, "b", after, first=1, **settings), floor=floor)


def test_processes_of_one_time(tmp_path):
    """Processes of two runs show a ratio and its interval; nothing is tested, not even an equal time."""
    for by, after in ((1.3, SLOWER), (1.0, levels())):
        found = one_run(tmp_path, after)
        assert (found.verdict, found.counts["inconclusive"]) == ("inconclusive", 10)
        for case in found.cases:
            assert (case.n_baseline, case.n_candidate, case.p, case.q, case.sd) == (5, 5, None, None, None)
            assert case.low < by < case.high < 1.03 * by
        assert found.common_shift.low < math.log(by) < found.common_shift.high


def test_interval_over_processes(tmp_path):
    """It is that of Student's t for a case alone: its rounds give it no precision."""
    medians = [1.0, 1.1, 1.3], [1.2, 1.5, 1.6, 1.7]
    paths = []
    for name, of_side in zip("ab", medians, strict=True):
        times = np.outer(of_side, [0.999, 1.0, 1.001]).ravel().tolist()
        content = run([benchmark(times, processes=[3] * len(of_side))], machine=machine())
        paths.append([write(tmp_path / f"{name}.json", content)])
    (case,) = compared(*paths).cases
    before, after = (np.log(of_side) for of_side in medians)
    known = stats.ttest_ind(after, before).confidence_interval(0.95)
    assert case.ratio == pytest.approx(math.exp(after.mean() - before.mean()))
    assert (case.low, case.high) == (pytest.approx(math.exp(known.low)), pytest.approx(math.exp(known.high)))
    assert (case.baseline_s, case.candidate_s) == (
        pytest.approx(math.exp(before.mean())),
        pytest.approx(math.exp(after.mean())),
    )


def test_noise_between_times(tmp_path):
    """A floor whose runs vary by 0.5% finds 30% in runs of five processes; one of 30% does not."""
    for noise, verdict in ((0.005, "regressed"), (0.3, "inconclusive")):
        runs = side(tmp_path, "floor", levels(), 10, first=20, noise=noise, processes=5, within=0.001)
        found = one_run(tmp_path, SLOWER, floor_of(read_side(runs)))
        assert (found.verdict, found.counts[verdict]) == (verdict, 10)


def test_floor_of_as_many_processes(tmp_path):
    """The floor's noise is that of runs with as many processes as those to judge."""
    runs = side(tmp_path, "floor", levels(), 10, first=20, noise=0.0, processes=25, within=0.1)
    floor = floor_of(read_side(runs))
    sds = {
        count: np.median([case.sd for case in one_run(tmp_path, SLOWER, floor, processes=count).cases])
        for count in (1, 4, 25)
    }
    for count, sd in sds.items():
        assert sd == pytest.approx(0.1 / math.sqrt(count), rel=0.25), count


def test_floor_of_the_fewest_processes(tmp_path):
    """A run of one process against one of 25 is judged by the noise of one."""
    runs = side(tmp_path, "floor", levels(), 10, first=20, noise=0.0, processes=25, within=0.1)
    sides = [
        side(tmp_path, f"{processes}-", levels(), 1, first=processes, processes=processes)
        for processes in (1, 25)
    ]
    for before, after in (sides, sides[::-1]):
        found = compared(before, after, floor=floor_of(read_side(runs)))
        assert np.median([case.sd for case in found.cases]) == pytest.approx(0.1, rel=0.25)


def test_runs_of_several_processes(tmp_path):
    """Of several runs a side each counts once: their processes share a time, so they do not add precision."""
    found = {}
    for processes in (2, 50):
        sides = [
            side(tmp_path, f"{name}{processes}-", levels(), 3, first=first, noise=0.05, within=1e-6,
                 processes=processes)
            for first, name in enumerate("ab")
        ]  # fmt: skip
        found[processes] = compared(*sides).cases
    assert {case.n_baseline for case in found[50]} == {150}
    for few, many in zip(*found.values(), strict=True):
        assert many.high / many.low == pytest.approx(few.high / few.low, rel=0.5)
        assert many.high / many.low > 1.1


def test_process_without_rounds(tmp_path):
    """A process that gave none, or was not to time the phase, is not counted."""
    contents = [a_run(levels(), seed=i, processes=3, hour=i) for i in range(2)]
    lost = contents[1]["benchmarks"][0]
    lost["extra_info"]["processes"] = [12, 0, 24]
    found = compared(*([write(tmp_path / f"{i}.json", c)] for i, c in enumerate(contents)))
    (case,) = [case for case in found.cases if case.n_candidate != 3]
    assert (case.n_baseline, case.n_candidate) == (3, 2)
    assert case.low < case.ratio < case.high


def shifted(rng, runs, cases=30, processes=5):
    """Log times of runs, shape (runs, cases, processes); each run has a shift of its own, of 5%."""
    own = 0.02 * rng.standard_normal((runs, cases, processes))
    return own + 0.05 * rng.standard_normal((runs, 1, 1))


def run_of_logs(logs, index=0):
    """A run of these log times, shape (cases, processes), one round each."""
    counts = (1,) * logs.shape[1]
    cases = {
        f"case{i}": CaseResult(f"case{i}", None, np.exp(row), float(np.exp(row).mean()), processes=counts)
        for i, row in enumerate(logs)
    }
    return Run(f"{index}.json", Machine("box", "box", {}), cases, digest=str(index))


@pytest.mark.parametrize("floor", [False, True])
def test_shift_between_times(floor):
    """What all processes of a run share is no regression: never without a floor, with one in 5% of suites."""
    rng, alarms, suites = np.random.default_rng(5), 0, 100
    for _ in range(suites):
        known = floor_of([run_of_logs(logs) for logs in shifted(rng, 10)]) if floor else None
        sides = [[run_of_logs(logs, i)] for i, logs in enumerate(shifted(rng, 2))]
        alarms += compare(*sides, floor=known).counts["regressed"] > 0
    assert alarms <= (0.05 * suites if floor else 0)
