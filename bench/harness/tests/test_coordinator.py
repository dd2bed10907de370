"""What surrounds the cases: seconds, memory, and the ratio of two pieces of work that take turns."""

import itertools
import json
import os

import coordinator
import pytest
from coordinator import MAX_GROWTH_BYTES, by_turns, growth, in_processes, report_lines
from speed import cells, write_run

from breakeven.runs.json_files import load_json
from breakeven.runs.reader import read_run


def test_beside_the_cases():
    """A run of 20 s, of which two processes spent 12 s in cases, costs 4 s a process."""
    processes = [{"spent_s": {"preparing": 1.0, "timing": 6.0}}, {"spent_s": {"timing": 5.0}}]
    assert coordinator.beside_the_cases({"breakeven": {"processes": processes}}, 20.0) == 4.0


def test_growth():
    """From the first tenth of the samples between the first case and the last to the last tenth."""
    kinds = ["run", "process", *["begin", "end"] * 10, "process_end"]
    measuring = [(count, 100 + count) for count in range(3, 23)]
    found = growth([(1, 5), (2, 6), *measuring, (23, 900)], kinds)
    assert (found["start_bytes"], found["end_bytes"]) == (103.5, 121.5)
    assert (found["growth_bytes"], found["peak_bytes"]) == (18.0, 122)
    assert (found["cases"], found["n"]) == (10, 20)


def test_resident_bytes():
    assert 10e6 < coordinator.resident_bytes(os.getpid()) < 10e9
    assert coordinator.resident_bytes(2**22 + 1) is None  # above the largest number of a process


@pytest.mark.parametrize("rounds", [7, 10])
def test_in_processes(rounds, tmp_path):
    """The same rounds, as equally shared as they can be."""
    one, five = tmp_path / "one.json", tmp_path / "five.json"
    write_run(one, cells(2), rounds, "one", ["train"])
    write_run(five, cells(2), rounds, "one", ["train"])
    five.write_text(json.dumps(in_processes(load_json(str(five)), 5)))
    for name, case in read_run(five).cases.items():
        assert case.times_s.tolist() == read_run(one).cases[name].times_s.tolist()
        assert case.processes == {7: (2, 2, 1, 1, 1), 10: (2, 2, 2, 2, 2)}[rounds]


def test_turns():
    """Each goes first as often as the other, and the ratio is exact on a clock that is."""
    clock = itertools.count()
    order = []

    def takes(seconds, name):
        order.append(name)
        for _ in range(seconds):
            next(clock)

    found = by_turns(lambda: takes(5, "a"), lambda: takes(2, "b"), 6, lambda: next(clock))
    assert (found["ratio"], found["low"], found["high"]) == pytest.approx((2, 2, 2))  # 6 ticks over 3
    assert "".join(order) == "baab" * 3
    assert found["n"] == 6


def test_journal_cost():
    for figure in coordinator.journal_cost(20).values():
        assert figure["n"] == 20
        assert 0 < figure["min_s"] <= figure["median_s"] < 0.1


@pytest.mark.parametrize(("by", "word"), [(0.9, "kept"), (1.1, "exceeded")])
def test_lines(by, word):
    growth_bytes = by * MAX_GROWTH_BYTES
    figures = {
        "a": {"median_s": by, "bound_s": 1.0, "n": 3},
        "b": {"ratio": by, "low": by, "high": by, "n": 3, "bound": 1.0},
        "c": {"start_bytes": 1, "end_bytes": 2, "growth_bytes": growth_bytes, "cases": 3,
              "bound_bytes": MAX_GROWTH_BYTES},
    }  # fmt: skip
    assert all(line.endswith(f": {word}") for line in report_lines(figures))
    assert report_lines({"d": {"ratio": by, "low": by, "high": by, "n": 3}})[0].endswith("n = 3")
