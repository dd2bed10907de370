"""Estimates: the median of a case over its runs, and what goes with it."""

import numpy as np
import pytest

from breakeven.report.estimates import estimates
from breakeven.runs.reader import read
from support.reports import only
from support.run_files import affine_run, benchmark, run, write


def estimates_of(tmp_path, *contents):
    """The estimates of run files with these contents."""
    return estimates(
        read([write(tmp_path / f"{i}.json", content) for i, content in enumerate(contents)]).runs
    )


def test_one_run(tmp_path):
    facts = {"flops": 5, "flags": ["noisy"]}
    case = only(estimates_of(tmp_path, run([benchmark([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], **facts)])))
    assert (case.key.label(), case.n, case.runs, case.median_s) == (
        "mlp train cpu batch=64 width=128",
        7,
        1,
        4.0,
    )
    assert case.low_s <= 4.0 <= case.high_s
    assert (case.flags, case.facts.flops, case.judged) == (("noisy",), 5.0, True)


def test_several_runs(tmp_path):
    """The median of the runs' medians, all rounds counted, the facts as medians, the flags of any run."""
    contents = [
        run([benchmark([2.0 + i] * n, peak_memory_bytes=peak, flags=flags)])
        for i, (n, peak, flags) in enumerate(
            ((9, 100, []), (8, 300, ["drift"]), (7, 200, ["noisy", "drift"]))
        )
    ]
    case = only(estimates_of(tmp_path, *contents))
    assert (case.n, case.runs, case.median_s, case.facts.peak_memory_bytes) == (24, 3, 3.0, 200.0)
    assert case.flags == ("drift", "noisy")
    assert case.low_s < 3.0 < case.high_s


@pytest.mark.parametrize(
    ("times", "flags"), [([1.0] * 5, ("few_rounds",)), ([0.0] * 9, ("zero_time",)), ([1.0] * 6, ())]
)
def test_flags(tmp_path, times, flags):
    """Too few rounds and a median of zero are flagged here, and not judged."""
    case = only(estimates_of(tmp_path, run([benchmark(times)])))
    assert case.flags == flags
    assert case.judged == (not flags)


def test_order_of_the_file(tmp_path):
    """It decides the order of the estimates and none of their numbers."""
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, phases=("train", "forward"))
    backwards = {**content, "benchmarks": content["benchmarks"][::-1]}
    one, other = estimates_of(tmp_path / "a", content), estimates_of(tmp_path / "b", backwards)
    assert [case.key for case in one] == [case.key for case in other][::-1]
    for case, same in zip(one, other[::-1], strict=True):
        assert (case.median_s, case.low_s, case.high_s) == (same.median_s, same.low_s, same.high_s)
        assert np.array_equal(case.draws, same.draws)
