"""The last lines of a run: the short table, the reasons, where the time went."""

from pathlib import Path

import pytest

from breakeven.case import Case, Outcome
from breakeven.plugin.summary import (
    MAX_REASONS,
    MAX_ROWS,
    Timing,
    reasons,
    summary_lines,
    table,
    where_time_went,
)
from breakeven.stats.intervals import median_interval

TENS = [0.010] * 10


def timing(batch_size=1, device="cpu", phase="train", rounds=TENS, flags=(), axes=(("width", 4),)):
    return Timing(Case("mlp", batch_size, phase, device, axes), median_interval(rounds), flags)


def outcome(outcome="skipped", reason="no data", name="a"):
    return Outcome(name, outcome, reason, {})


def test_the_table_has_a_row_a_cell_and_a_column_a_device():
    lines = table([timing(1), timing(1, "cuda", rounds=[2e-6] * 10), timing(64, "cuda", rounds=[3.0] * 10)])

    assert lines[0] == "breakeven: train, median and half-width of its 95% interval (* flagged)"
    assert [line.split() for line in lines[1:]] == [
        ["workload", "batch", "axes", "cpu", "cuda"],
        ["mlp", "1", "width=4", "10.0", "ms", "±0.0%", "2.00", "µs", "±0.0%"],
        ["mlp", "64", "width=4", "-", "3.00", "s", "±0.0%"],
        [],
    ]


def test_the_columns_of_the_table_line_up():
    lines = table(
        [timing(1), timing(4096, "cuda", axes=(("depth", 12),)), timing(4096, axes=(("depth", 12),))]
    )

    assert len({len(line) for line in lines[1:-1]}) == 1


def test_a_flagged_time_carries_a_star_and_one_without_an_interval_no_width():
    [_, _, flagged, short, _] = table([timing(1, flags=("noisy",)), timing(2, rounds=[1e-9] * 3)])

    assert flagged.endswith("10.0 ms ±0.0%*")
    assert short.endswith("1.00 ns ")


def test_the_table_shows_the_whole_step_and_where_it_was_not_measured_the_last_phase():
    assert table([timing(phase="train"), timing(phase="forward")])[0].startswith("breakeven: train,")
    assert table([timing(phase="forward"), timing(phase="step")])[0].startswith("breakeven: step,")
    assert table([]) == []


def test_a_long_table_is_cut_and_says_so():
    lines = table([timing(batch_size) for batch_size in range(1, MAX_ROWS + 6)])

    assert len(lines) == 2 + MAX_ROWS + 2
    assert lines[-2] == "... and 5 more rows, which the report shows"


def test_reasons_are_counted_most_frequent_first_and_cut():
    outcomes = [
        outcome("oom", "full"),
        *[outcome()] * 3,
        *[outcome("failed", str(n)) for n in range(MAX_REASONS)],
    ]

    lines = reasons(outcomes)

    assert lines[:2] == ["skipped x3: no data", "oom x1: full"]
    assert lines[-2] == "... and 2 more reasons, which the run file holds"
    assert reasons([]) == []


def test_the_last_line_counts_every_ending_and_names_the_next_command():
    lines = summary_lines(
        [timing(), timing(2, flags=("noisy",))],
        [outcome(), outcome("oom"), outcome(name="b")],
        {"preparing": 1.0, "timing": 7.0},
        10.0,
        Path("run.json"),
    )

    assert lines[-2:] == [
        "breakeven: 2 timed (1 flagged), 2 skipped, 1 oom; "
        "10.0 s: preparing 10%, timing 70%, everything else 20%",
        "breakeven: next, run: breakeven report run.json",
    ]


def test_a_run_that_kept_nothing_says_how_to_keep_it():
    assert summary_lines([timing()], [], {}, 1.0, None)[-1] == (
        "breakeven: nothing was kept; add --benchmark-json=run.json to make a report"
    )


@pytest.mark.parametrize("path", [None, Path("run.json")])
def test_a_run_that_timed_nothing_names_no_next_command(path):
    assert summary_lines([], [outcome()], {}, 1.0, path) == [
        "",
        "skipped x1: no data",
        "",
        "breakeven: 0 timed (0 flagged), 1 skipped; 1.0 s: everything else 100%",
    ]


@pytest.mark.parametrize("wall_s", [0.0, 1e-9])
def test_no_time_at_all_is_no_error(wall_s):
    assert where_time_went({"timing": 0.0}, wall_s).startswith("0.0 s: timing 0%")


def test_the_next_command_is_one_that_a_shell_reads_as_it_was_meant():
    line = summary_lines([timing()], [], {}, 1.0, Path("my runs/a.json"))[-1]

    assert line == "breakeven: next, run: breakeven report 'my runs/a.json'"
