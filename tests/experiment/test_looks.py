"""Which cases a look decides, and whether the exit code can still change."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from breakeven.commands.compare import FAIL_ON, exit_code
from breakeven.compare.comparison import UNLIKE_STEPS, CaseComparison, compare
from breakeven.experiment.looks import (
    TOO_FEW_PAIRS,
    TWO_GROUPS,
    UNCHANGED_P,
    is_certain,
    is_decided,
    judge,
    process_logs,
    two_groups_warnings,
    with_cases,
)
from breakeven.runs.reader import read_run
from breakeven.stats.regression import effects
from support.run_files import benchmark, run, write


def p_values(cases, change, suites, runs=5, noise=0.02, seed=1):
    """The p-value of the slower case of each suite, and those of all other cases."""
    rng = np.random.default_rng(seed)
    changed, others = [], []
    for _ in range(suites):
        baseline, candidate = (noise * rng.standard_normal((cases, runs)) for _ in range(2))
        candidate[0] += math.log1p(change)
        p = effects(baseline, candidate).p
        changed.append(p[0])
        others.extend(p[1:])
    return np.array(changed), np.array(others)


@pytest.mark.parametrize("cases", [1, 4, 40])
def test_10_percent_is_never_missed(cases):
    changed, _ = p_values(cases, 0.10, 1000)
    assert (changed > UNCHANGED_P).sum() <= 1


def test_5_percent_is_missed_in_one_of_25():
    changed, _ = p_values(40, 0.05, 1000)
    assert 0.02 < (changed > UNCHANGED_P).mean() < 0.06


def test_one_in_30_retests_is_needless():
    _, others = p_values(40, 0.0, 200)
    assert 0.02 < (others <= UNCHANGED_P).mean() < 0.05


@pytest.mark.parametrize(
    ("verdict", "p", "reason", "expected"),
    [
        ("unchanged", 0.31, "", True),
        ("unchanged", 0.30, "", False),
        ("unchanged", None, "", True),
        ("inconclusive", 0.9, "", False),
        ("inconclusive", 0.9, "the machine changed", False),
        ("inconclusive", 0.9, TOO_FEW_PAIRS, False),
        ("inconclusive", 0.001, TWO_GROUPS, False),
        ("inconclusive", 0.9, UNLIKE_STEPS, True),
        ("regressed", 0.001, "", True),
        ("improved", 0.001, "", True),
        ("error", None, "", True),
        ("missing", None, "", True),
        ("new", None, "", True),
    ],
)
def test_decided(verdict, p, reason, expected):
    assert is_decided(CaseComparison("case", verdict, p=p, ratio=1.0, reason=reason)) is expected


def test_case_without_ratio_is_decided():
    """A median is zero; more pairs do not change that."""
    assert is_decided(CaseComparison("case", "inconclusive"))


def sides(tmp_path, before, after):
    """The runs of two sides; `before` and `after` map a workload to its time in each run."""
    files = []
    for name, times in (("a", before), ("b", after)):
        runs = len(next(iter(times.values())))
        content = [run([benchmark([row[i]] * 6, w) for w, row in times.items()]) for i in range(runs)]
        files.append([read_run(write(tmp_path / f"{name}{i}.json", one)) for i, one in enumerate(content)])
    return files


def looked(tmp_path, before, after, penalty=1, decided=(), **options):
    found = judge(compare(*sides(tmp_path, before, after), **options), penalty, dict(decided))
    return {case.key.cell.workload: case for case in found.cases}


STEADY = [1.0, 1.01, 0.99, 1.005, 0.995]
SLOWER = [1.4 * time for time in STEADY]
GROUPS = [1.0, 3.0, 3.01, 1.01, 1.0]


def test_penalty(tmp_path):
    """It is the factor of q, up to 1, and q decides."""
    plain = looked(tmp_path, {"m": STEADY}, {"m": SLOWER})["m"]
    twice = looked(tmp_path, {"m": STEADY}, {"m": SLOWER}, penalty=2)["m"]
    assert (plain.verdict, twice.verdict) == ("regressed", "regressed")
    assert (twice.q, twice.p) == (2 * plain.q, plain.p)
    enough, too_much = (
        looked(tmp_path, {"m": STEADY}, {"m": SLOWER}, penalty=factor * 0.05 / plain.q)["m"]
        for factor in (0.99, 1.01)
    )
    assert (enough.verdict, too_much.verdict) == ("regressed", "unchanged")
    assert looked(tmp_path, {"m": STEADY}, {"m": SLOWER}, penalty=1e12)["m"].q == 1.0


def test_resolution(tmp_path):
    noisy = [0.8, 1.2, 1.0, 0.9, 1.1]
    found = looked(tmp_path, {"m": noisy}, {"m": noisy[::-1]})["m"]
    assert found.verdict == "inconclusive"
    half_width = (found.high - found.low) / 2
    for factor, verdict in ((0.99, "inconclusive"), (1.01, "unchanged")):
        options = {"resolution": factor * half_width}
        assert looked(tmp_path, {"m": noisy}, {"m": noisy[::-1]}, **options)["m"].verdict == verdict


def test_reason_of_the_comparison_stays(tmp_path):
    """A case whose machine changed, or whose steps are unlike, is not judged by its q."""
    found = compare(*sides(tmp_path, {"m": STEADY}, {"m": SLOWER}))
    case = replace(found.cases[0], verdict="inconclusive", reason="the machine changed")
    assert judge(with_cases(found, [case]), 1, {}).cases == (case,)


def test_processes_are_not_pairs(tmp_path):
    """Two runs of three processes are two pairs: they share the times at which they ran."""
    content = [run([benchmark([t, t, t], "m", processes=[1, 1, 1])]) for t in STEADY[:4]]
    read = [read_run(write(tmp_path / f"{i}.json", one)) for i, one in enumerate(content)]
    assert judge(compare(read[:2], read[2:]), 1, {}).cases[0].reason == TOO_FEW_PAIRS


def test_decided_case_keeps_its_verdict(tmp_path):
    before = compare(*sides(tmp_path, {"m": STEADY}, {"m": SLOWER})).cases
    found = looked(tmp_path, {"m": STEADY}, {"m": STEADY}, decided={case.case: case for case in before})
    assert found["m"] is before[0]


def test_fewer_than_five_pairs(tmp_path):
    found = looked(tmp_path, {"m": STEADY}, {"m": SLOWER[:4]})["m"]
    assert (found.verdict, found.reason) == ("inconclusive", TOO_FEW_PAIRS)


@pytest.mark.parametrize(
    ("before", "after", "verdict", "reason"),
    [
        (GROUPS, [0.3 * t for t in STEADY], "improved", ""),  # below both groups
        (GROUPS, STEADY, "inconclusive", TWO_GROUPS),
        (STEADY, GROUPS, "inconclusive", TWO_GROUPS),
        ([1.0, 1.0, 1.2, 1.2, 1.2], [1.15, 1.151, 1.45, 1.45, 1.45], "inconclusive", TWO_GROUPS),
        ([*GROUPS[:1], *STEADY[1:]], STEADY, "unchanged", ""),
    ],
)
def test_two_groups(tmp_path, before, after, verdict, reason):
    """The other cases are quiet, so that a t-test alone would call every difference a change."""
    quiet = {f"quiet{i}": STEADY for i in range(3)}
    found = looked(tmp_path, {"m": before} | quiet, {"m": after} | quiet)["m"]
    assert (found.verdict, found.reason) == (verdict, reason)


def test_two_groups_with_a_small_q(tmp_path):
    """A change that the t-test finds is not reported if the sides overlap."""
    before = [1.0, 1.0, 1.2, 1.2, 1.2] * 4
    after = [1.19, 1.19, 1.5, 1.5, 1.5] * 4
    found = looked(tmp_path, {"m": before}, {"m": after})["m"]
    assert found.q < 1e-4
    assert (found.verdict, found.reason) == ("inconclusive", TWO_GROUPS)
    above = looked(tmp_path, {"m": before}, {"m": [1.3 * t for t in before]})["m"]
    assert (above.verdict, above.reason) == ("regressed", "")


def test_unchanged_within_the_resolution(tmp_path):
    """Two groups that leave the interval narrow enough do not matter."""
    times = [1.0, 1.0, 1.12, 1.12] * 5
    found = judge(compare(*sides(tmp_path, {"m": times}, {"m": times[::-1]})), 1, {})
    assert found.cases[0].verdict == "unchanged"
    assert list(two_groups_warnings(found)) == []


def test_warning_of_two_groups(tmp_path):
    """It names the cases of a side, and the smallest of their gaps."""
    before = {"a": [1.0, 1.0, 3.0, 3.0, 3.0], "b": [1.0, 1.0, 1.5, 1.5, 1.5], "c": [1.0] * 5}
    after = {name: [10 * time for time in STEADY] for name in before}
    found = judge(compare(*sides(tmp_path, before, after)), 1, {})
    assert {case.verdict for case in found.cases} == {"regressed"}
    [warning] = two_groups_warnings(found)
    start = "times of the baseline fall into two groups at least 50% apart: "
    assert warning.startswith(start)
    names = warning.removeprefix(start).partition(";")[0].split(", ")
    assert [name.split()[0] for name in names] == ["a", "b"]


def test_processes_of_a_run_are_single_times(tmp_path):
    runs = [
        run([benchmark([1.0, 1.0, 2.0, 4.0, 0.0], "m", processes=[2, 1, 0, 1, 1])]),
        run([benchmark([3.0] * 5, "m")]),
        run([benchmark([3.0] * 5, "other")]),
    ]
    read = [read_run(write(tmp_path / f"{i}.json", one)) for i, one in enumerate(runs)]
    assert np.exp(process_logs(read, next(iter(read[0].cases)))) == pytest.approx([1.0, 2.0, 4.0, 3.0])
    assert process_logs([], "m").shape == (0,)


@pytest.mark.parametrize(
    ("decided", "fail_on", "expected"),
    [
        ("regressed", FAIL_ON, True),
        ("regressed", ("regressed",), True),
        ("regressed", ("inconclusive",), False),
        ("improved", ("improved",), True),
        ("improved", ("improved", "regressed"), False),
        ("improved", FAIL_ON, False),
        ("unchanged", ("regressed",), False),
        ("unchanged", ("inconclusive",), False),
        ("unchanged", ("missing",), True),
        ("missing", FAIL_ON, False),  # a regression would still be another code
        ("missing", ("missing",), True),
    ],
)
def test_certain(tmp_path, decided, fail_on, expected):
    found = compare(*sides(tmp_path, {"m": STEADY}, {"m": STEADY}))
    cases = [CaseComparison("a", decided, ratio=1.0), CaseComparison("b", "inconclusive", ratio=1.0)]
    code = partial(exit_code, fail_on=fail_on)
    assert is_certain(with_cases(found, cases), ["b"], code) is expected


@pytest.mark.parametrize(
    ("low", "high", "fail_on", "expected"),
    [
        (0.9, 1.021, "regressed", False),
        (0.9, 1.02, "regressed", True),  # at most the threshold slower
        (0.979, 1.1, "improved", False),
        (0.981, 1.1, "improved", True),
        (None, None, "regressed", False),
    ],
)
def test_verdict_that_the_interval_excludes(tmp_path, low, high, fail_on, expected):
    found = compare(*sides(tmp_path, {"m": STEADY}, {"m": STEADY}))
    cases = [CaseComparison("b", "inconclusive", ratio=1.0, low=low, high=high)]
    code = partial(exit_code, fail_on=(fail_on,))
    assert is_certain(with_cases(found, cases), ["b"], code) is expected
