"""The line between two cases: its words, its cut, the time left, and when it is due. On an injected clock."""

import pytest

from breakeven.plugin.progress import (
    EVERY_S,
    TRUSTED_CASES,
    Last,
    Look,
    Progress,
    clock_face,
    line_of,
    look_for,
    seconds_left,
)

NAME = "mlp forward cuda batch=16 width=64"
LAST = Last.timed(NAME, 0.000141, 0.009)
LINE = "breakeven: case 34 of 260, last: mlp forward cuda batch=16 width=64 141 µs ±0.9%, 1:12 left"


class Clock:
    """Seconds that pass only when a test lets them."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def run(progress, clock, *costs, start=0):
    """End as many cases as there are costs, which are named by their number."""
    for number, cost_s in enumerate(costs, start):
        progress.start(str(number))
        clock.now += cost_s
        progress.end(str(number), Last(f"case-{number}", "1 s"))


def cases(clock, count=10, planned_s=1.0):
    return Progress({str(number): planned_s for number in range(count)}, clock)


def left(progress):
    return progress.line().rpartition(", ")[2]


# ---------------------------------------------------------------------------------------------------
# Words.


def test_the_line_says_which_case_the_last_result_and_the_time_left():
    assert line_of(34, 260, LAST, 72.0) == LINE


def test_before_the_first_result_there_is_none():
    assert line_of(1, 260, None, 72.0) == "breakeven: case 1 of 260, 1:12 left"


def test_a_case_without_a_timing_says_how_it_ended():
    assert line_of(2, 3, Last(NAME, "oom"), 1.0) == f"breakeven: case 2 of 3, last: {NAME} oom, 0:01 left"


def test_a_median_without_an_interval_has_no_half_width():
    assert Last.timed("a", 2.0, None) == Last("a", "2.00 s", "")


def test_a_line_that_fits_exactly_is_whole():
    assert line_of(34, 260, LAST, 72.0, len(LINE)) == LINE


def test_a_line_too_long_by_one_loses_two_letters_of_the_name_to_an_ellipsis():
    assert line_of(34, 260, LAST, 72.0, len(LINE) - 1) == LINE.replace("width=64", "width=…")


def test_where_the_name_would_vanish_the_interval_goes_first():
    shortest = "breakeven: case 34 of 260, last: mlp for… 141 µs ±0.9%, 1:12 left"
    assert line_of(34, 260, LAST, 72.0, len(shortest)) == shortest
    assert line_of(34, 260, LAST, 72.0, len(shortest) - 1) == (
        "breakeven: case 34 of 260, last: mlp forward … 141 µs, 1:12 left"
    )


def test_where_even_that_has_no_room_the_case_and_the_time_left_remain():
    shortest = "breakeven: case 34 of 260, last: mlp for… 141 µs, 1:12 left"
    assert line_of(34, 260, LAST, 72.0, len(shortest)) == shortest
    assert line_of(34, 260, LAST, 72.0, len(shortest) - 1) == "breakeven: case 34 of 260, 1:12 left"
    assert line_of(34, 260, LAST, 72.0, 12) == "breakeven: c"


@pytest.mark.parametrize("columns", range(1, 110))
def test_a_line_never_exceeds_its_columns(columns):
    assert len(line_of(34, 260, LAST, 72.0, columns)) <= columns


@pytest.mark.parametrize(
    ("duration_s", "shown"),
    [(0.0, "0:00"), (0.1, "0:01"), (59.0, "0:59"), (59.5, "1:00"), (60.0, "1:00"), (3599.5, "1:00:00")],
)
def test_a_duration_is_shown_to_the_next_second(duration_s, shown):
    assert clock_face(duration_s) == shown


# ---------------------------------------------------------------------------------------------------
# The time left.


def test_before_anything_has_ended_the_plan_is_believed():
    assert seconds_left(60.0, planned_s=0.0, spent_s=0.0, trusted_s=4.0) == 60.0


def test_where_the_plan_was_right_it_stays():
    assert seconds_left(60.0, planned_s=20.0, spent_s=20.0, trusted_s=4.0) == 60.0


def test_the_plan_and_what_was_seen_are_weighed_by_their_seconds():
    assert seconds_left(60.0, planned_s=4.0, spent_s=12.0, trusted_s=4.0) == 120.0
    assert seconds_left(60.0, planned_s=12.0, spent_s=4.0, trusted_s=4.0) == 30.0


def test_in_the_end_what_was_seen_decides():
    assert seconds_left(60.0, planned_s=4e6, spent_s=12e6, trusted_s=4.0) == pytest.approx(180.0, rel=1e-5)


def test_cases_that_cost_what_they_should_leave_the_rest_of_the_plan(clock):
    progress = cases(clock)
    run(progress, clock, 1.0, 1.0, 1.0)
    progress.start("3")
    assert progress.line() == "breakeven: case 4 of 10, last: case-2 1 s, 0:07 left"


def test_the_plan_counts_as_much_as_its_trusted_cases(clock):
    progress = cases(clock, count=2 * TRUSTED_CASES)
    run(progress, clock, *[3.0] * TRUSTED_CASES)
    progress.start(str(TRUSTED_CASES))
    assert left(progress) == f"{clock_face(TRUSTED_CASES * 2.0)} left"  # between 1 s planned and 3 s seen


def test_a_case_of_another_device_weighs_as_the_plan_says(clock):
    progress = Progress({"0": 1.0, "1": 3.0}, clock)
    run(progress, clock, 1.0)
    progress.start("1")
    assert left(progress) == "0:03 left"


def test_what_passes_between_two_cases_is_no_cases_cost(clock):
    progress = cases(clock)
    run(progress, clock, 1.0)
    clock.now += 1000.0  # somebody else's test
    run(progress, clock, 1.0, start=1)
    progress.start("2")
    assert left(progress) == "0:08 left"


def test_a_case_tried_again_is_still_one_case_and_its_costs_add_up(clock):
    progress = cases(clock, count=2)
    run(progress, clock, 10.0)
    progress.start("0")
    assert progress.line().startswith("breakeven: case 1 of 2, ")
    clock.now += 16.0
    progress.end("0", Last("case-0", "1 s"))
    assert not progress.is_complete
    progress.start("1")
    # Of the plan's 1 s for the rest: (8 trusted + 26 spent) / (8 trusted + 1 planned).
    assert left(progress) == f"{clock_face(34 / 9)} left"


def test_all_cases_ended_is_complete_and_only_then(clock):
    progress = cases(clock, count=2)
    run(progress, clock, 1.0)
    assert not progress.is_complete
    run(progress, clock, 1.0, start=1)
    assert progress.is_complete


def test_only_what_was_planned_is_a_case(clock):
    progress = cases(clock)
    assert "0" in progress
    assert "test_other" not in progress


# ---------------------------------------------------------------------------------------------------
# When it is due, and how it is shown.


def test_a_run_shorter_than_the_interval_says_nothing(clock):
    progress = cases(clock)
    said = []
    for number in range(10):
        progress.start(str(number))
        said.append(progress.line_if_due())
        clock.now += EVERY_S / 10.01
        progress.end(str(number), LAST)
    assert said == [None] * 10


def test_plain_lines_are_at_least_the_interval_apart(clock):
    progress = cases(clock, count=100)
    begin, said = clock.now, []
    for number in range(100):
        progress.start(str(number))
        if progress.line_if_due() is not None:
            said.append(clock.now - begin)
        clock.now += 4.0
        progress.end(str(number), LAST)
    assert said == [12.0 * count for count in range(1, 34)]


def test_a_line_is_due_as_soon_as_the_interval_is_over_and_is_never_cut(clock):
    progress = Progress({"0": 1.0}, clock)
    clock.now += EVERY_S
    progress.start("0")
    assert progress.line_if_due() == progress.line() == "breakeven: case 1 of 1, 0:01 left"
    assert progress.line_if_due() is None


@pytest.mark.parametrize(
    ("is_terminal", "is_ci", "verbosity", "look"),
    [
        (True, False, 0, Look.LIVE),
        (True, True, 0, Look.PLAIN),
        (False, False, 0, Look.PLAIN),
        (False, True, 0, Look.PLAIN),
        (True, False, 1, None),
        (True, False, -1, None),
        (False, True, 2, None),
    ],
)
def test_the_line_lives_on_a_terminal_and_gives_way_to_what_was_asked_of_pytest(
    is_terminal, is_ci, verbosity, look
):
    assert look_for(is_terminal=is_terminal, is_ci=is_ci, verbosity=verbosity) is look
