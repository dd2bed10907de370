"""The last lines of a run: the table, the reasons, how the time was spent, the next command."""

from pathlib import Path

import pytest

from breakeven.case import CaseKey, Outcome
from breakeven.plugin.summary import (
    MAX_REASONS,
    MAX_ROWS,
    Timing,
    answer_lines,
    closing_lines,
    reason_lines,
    table_lines,
    where_time_went,
)
from breakeven.stats.intervals import median_interval
from support.run_files import affine_run, write

TENS = [0.010] * 10


def timing(batch_size=1, device="cpu", phase="train", rounds=TENS, flags=(), axes=(("width", 4),)):
    return Timing(CaseKey.of("mlp", batch_size, phase, device, axes), median_interval(rounds), flags)


def outcome(outcome="skipped", reason="no data", name="a"):
    return Outcome(name, outcome, reason)


def cells(lines):
    """The cells of the table's rows, without title, names and rule."""
    return [line.split() for line in lines[3:] if line and not line.startswith("...")]


def test_table():
    """It has a row per cell and a column per device, and names a repeated workload once."""
    lines = table_lines(
        [timing(1), timing(1, "cuda", rounds=[2e-6] * 10), timing(64, "cuda", rounds=[3.0] * 10)], 80
    )

    assert lines[0] == "breakeven: train, median and half-width of its 95% interval (* disturbed)"
    assert lines[1].split() == ["workload", "batch", "axes", "cpu", "cuda"]
    assert cells(lines) == [
        ["mlp", "1", "width=4", "10.0", "ms", "±0.0%", "2.00", "µs", "±0.0%"],
        ["64", "width=4", "-", "3.00", "s", "±0.0%"],
    ]
    assert lines[-1] == ""


def test_answer(tmp_path):
    """The chart and the answer within its columns; nothing where nothing can be compared, or read."""
    path = tmp_path / "run.json"
    assert answer_lines(None, 80) == answer_lines(path, 80) == []
    write(path, affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, noise=0))
    lines = answer_lines(path, 60)
    assert "The GPU wins from batch 40 [40–40]; up to 3.79x faster" in " ".join(lines)
    assert max(map(len, lines)) <= 60
    assert lines[-1] == ""
    for content in (affine_run({"cpu": (1, 1)}), "{"):
        write(path, content)
        assert answer_lines(path, 80) == []


def test_numbers_are_aligned():
    lines = table_lines([timing(1), timing(4096, rounds=[1.0] * 10, flags=("noisy",))], 80)

    assert len({len(line) for line in lines[3:5]}) == 1
    assert lines[3].index(" 1 ") + 1 == lines[4].index("4096") + 3


def test_narrow_table():
    """It fits its columns, and wraps what is longer."""
    lines = table_lines([timing(axes=(("note", "x" * 100),))], 60)

    assert max(map(len, lines[1:])) <= 60
    assert sum(line.count("x") for line in lines[3:]) == 100


def test_flags_and_intervals():
    """A disturbed time has a star, a noisy one its half-width, and without an interval neither."""
    disturbed, noisy, short = cells(
        table_lines(
            [
                timing(1, flags=("drift", "noisy")),
                timing(2, flags=("noisy",)),
                timing(4, rounds=[1e-9] * 3, flags=("few_rounds",)),
            ],
            80,
        )
    )

    assert disturbed[-4:] == ["*", "10.0", "ms", "±0.0%"]
    assert noisy[-4:] == ["width=4", "10.0", "ms", "±0.0%"]
    assert short[-2:] == ["1.00", "ns"]


@pytest.mark.parametrize(
    ("half_width", "shown"), [(None, "10.0 ms"), (0.009, "10.0 ms ±0.9%"), (1.5, "10.0 ms ±>100%")]
)
def test_timing_as_text(half_width, shown):
    class Interval:
        median = 0.010

    Interval.half_width = half_width
    assert str(Timing(timing().case, Interval(), ())) == shown


def test_phase_of_the_table():
    """It is the headline phase, or the last one if that was not measured."""

    def phase_of(*phases):
        return table_lines([timing(phase=phase) for phase in phases], 80)[0].split()[1]

    assert phase_of("train", "forward") == "train,"
    assert phase_of("forward", "step") == "step,"
    assert table_lines([], 80) == []


def test_long_table():
    lines = table_lines([timing(batch_size) for batch_size in range(1, MAX_ROWS + 6)], 80)

    assert len(cells(lines)) == MAX_ROWS
    assert lines[-2] == "... and 5 more rows, all in the report"


def test_reasons():
    """They are counted, the most frequent first, and cut."""
    outcomes = [
        outcome("oom", "full"),
        *[outcome()] * 3,
        *[outcome("failed", str(n)) for n in range(MAX_REASONS)],
    ]

    lines = reason_lines(outcomes)

    assert lines[:2] == ["skipped x3: no data", "oom x1: full"]
    assert lines[-2] == "... and 2 more reasons, listed in the run file"
    assert reason_lines([]) == []


def test_closing_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my runs").mkdir()
    Path("my runs/a.json").touch()
    lines = closing_lines(
        [timing(), timing(2, flags=("noisy",)), timing(4, flags=("noisy", "drift"))],
        [outcome(), outcome("oom"), outcome(name="b")],
        {"preparing": 1.0, "timing": 7.0},
        10.0,
        Path("my runs/a.json"),
    )

    assert lines == [
        "breakeven: 3 timed (1 disturbed), 2 skipped, 1 oom; "
        "10 s: preparing 10%, timing 70%, everything else 20%",
        "breakeven: next, run: breakeven report 'my runs/a.json'",
    ]


@pytest.mark.parametrize("path", [None, Path("run.json")])
def test_run_without_a_timing(path):
    """It has no next command."""
    assert closing_lines([], [outcome()], {}, 1.0, path) == [
        "breakeven: 0 timed (0 disturbed), 1 skipped; 1.0 s: everything else 100%"
    ]


@pytest.mark.parametrize(("wall_s", "text"), [(0.0, "0 s: timing 0%"), (1e-9, "1.0 ns: timing 0%")])
def test_no_time(wall_s, text):
    assert where_time_went({"timing": 0.0}, wall_s).startswith(text)
