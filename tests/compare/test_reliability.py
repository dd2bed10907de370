"""What limits a comparison."""

import math

import numpy as np
import pytest

from breakeven.compare import reliability
from breakeven.compare.noise_floor import floor_of
from breakeven.compare.reliability import RunsNeeded
from breakeven.compare.text import describe
from breakeven.runs.reader import read_side
from breakeven.stats.regression import runs_needed
from support.comparisons import PHASES, a_run, compared, levels, side, two_sides
from support.run_files import outcome, write


def names(cases):
    """The names of cases."""
    return [case.case for case in cases]


def test_uniform_shift(tmp_path):
    """All cases together may have changed though none of them shows it alone."""
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
    assert reliability.uniform_shift(found) == found.common_shift
    assert reliability.uniform_shift(compared(*sides, threshold=0.08)) is None


@pytest.mark.parametrize(("noise", "apart"), [(0.005, []), (5.0, ["mlp train cpu batch=1 width=128"])])
def test_too_far_apart(tmp_path, noise, apart):
    """Runs that differ by factors of hundreds give no interval, and a warning says why."""
    found = two_sides(tmp_path, {("train", 1): 0.01}, {("train", 1): 0.01}, runs=2, noise=noise)
    assert names(reliability.too_far_apart(found)) == apart
    (case,) = found.cases
    assert (case.low is None, case.high is None) == (bool(apart), bool(apart))
    warnings = [line for line in describe(found).warnings if line.startswith("no interval for 1 case: ")]
    assert len(warnings) == len(apart)


def test_single_runs_are_not_too_far_apart(tmp_path):
    """One process a side shows no noise, which is another reason for no interval."""
    found = two_sides(tmp_path, {("train", 1): 0.01}, {("train", 1): 0.01}, runs=1)
    assert found.cases[0].low is None
    assert reliability.too_far_apart(found) == []


def test_runs_on_both_sides(tmp_path):
    paths = side(tmp_path, "a", levels())
    found = compared(paths, [*paths[:2], *side(tmp_path, "b", levels(), first=1)])
    assert [run.path for run in reliability.runs_on_both_sides(found)] == paths[:2]


@pytest.mark.parametrize(("first", "is_first"), [(10, True), (1, False), (-10, True)])
def test_one_side_first(tmp_path, first, is_first):
    before = side(tmp_path, "a", levels(), runs=2, first=max(0, -first))
    after = side(tmp_path, "b", levels(), runs=2, first=max(0, first))
    assert reliability.is_one_side_first(compared(before, after)) is is_first


@pytest.mark.parametrize("side_name", ["baseline", "candidate"])
def test_partly_timed(tmp_path, side_name):
    short = {key: value for key, value in levels().items() if key != ("train", 64)}
    paths = side(tmp_path, "b", levels(), runs=4, first=1)
    broken = a_run(short, seed=9, hour=9, outcomes=[outcome("failed", "x")])
    paths.append(write(tmp_path / "short.json", broken))
    sides = [side(tmp_path, "a", levels()), paths]
    found = compared(*(sides if side_name == "candidate" else sides[::-1]))
    partly = {
        name: names(reliability.partly_timed(found, runs))
        for name, runs in (("baseline", found.baseline), ("candidate", found.candidate))
    }
    assert partly.pop(side_name) == ["mlp train cpu batch=64 width=128"]
    assert list(partly.values()) == [[]]


def test_disturbed(tmp_path):
    """Flags that may shift a whole run are counted, others are not."""
    after = side(tmp_path, "b", levels(), first=1, flags=["throttled", "noisy", "drift", "from the future"])
    found = compared(side(tmp_path, "a", levels()), after)
    assert reliability.disturbed(found) == {"throttled": 10}


def test_runs_by_the_noise(tmp_path):
    """Several runs show the noise of each case."""
    found = two_sides(tmp_path, levels(), levels(), noise=0.1)
    sds = sorted(case.sd for case in found.with_verdict("inconclusive"))
    needed = reliability.runs_to_settle(found)
    assert needed == RunsNeeded(runs_needed(sds[len(sds) // 2]), runs_needed(sds[-1]))
    assert needed.typical > 5


def test_runs_by_the_ratios(tmp_path):
    """With single runs the noise is estimated from the spread of the ratios."""
    before = a_run({("train", b): 1.0 for b in range(1, 6)}, noise=0)
    after = a_run({("train", b): ratio for b, ratio in enumerate([0.9, 0.95, 1.0, 1.05, 1.1], 1)}, noise=0)
    found = compared([write(tmp_path / "a.json", before)], [write(tmp_path / "b.json", after)])
    needed = runs_needed(1.4826 * math.log(1.05) / math.sqrt(2))
    assert reliability.runs_to_settle(found) == RunsNeeded(needed, needed, is_from_ratios=True)


def test_includes_unknown_cases(tmp_path):
    """A floor judges the cases that it does not include by the noise of the others."""
    floor = floor_of(read_side(side(tmp_path, "floor", levels(), runs=8, first=20)))
    more = levels() | {("train", 512): 0.01}
    before = side(tmp_path, "a", more, runs=1)
    found = compared(before, side(tmp_path, "b", more, runs=1, first=1), floor=floor)
    (unknown,) = [case for case in found.cases if not floor.includes(case.case)]
    assert (unknown.case, unknown.verdict) == ("mlp train cpu batch=512 width=128", "unchanged")
    assert unknown.q is not None


def test_untested(tmp_path):
    """Of single runs, those that no floor judged, for no other reason."""
    floor = floor_of(read_side(side(tmp_path, "floor", levels(), runs=8, first=20)))
    one, three = side(tmp_path, "a", levels(), runs=1), side(tmp_path, "b", levels(), runs=3, first=1)
    assert len(reliability.untested(compared(one, three[:1]))) == 10
    assert reliability.untested(compared(one, three[:1], floor=floor)) == []
    assert (
        reliability.single_runs(compared(one, three)) == reliability.single_runs(compared(three, one)) == []
    )
    kinds = [
        side(tmp_path, name, levels((1,)), 1, first=first, device="cuda", steps=steps)
        for first, (name, steps) in enumerate((("waits", ...), ("loops", 50)))
    ]
    found = compared(*kinds)
    assert len(reliability.single_runs(found)) == 5
    assert {case.key.phase for case in reliability.untested(found)} == {*PHASES} - {"train"}
