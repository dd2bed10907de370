"""A comparison as sentences; the golden files have their words."""

import pytest

from breakeven.compare.noise_floor import floor_of
from breakeven.compare.text import describe
from breakeven.runs.reader import read_side
from support.comparisons import PHASES, compared, levels, machine, side, two_sides
from support.run_files import outcome

BEFORE = levels()


def test_unchanged(tmp_path):
    text = describe(two_sides(tmp_path, BEFORE, BEFORE))
    assert text.headline.startswith("Unchanged: 10 cases, none slower or faster by more than 2% ")
    assert text.coverage.startswith("judged 10 of 10; common shift of all cases: ")
    assert (text.changed_phases, text.warnings) == ((), ())


@pytest.mark.parametrize(
    ("after", "headline"),
    [
        (
            BEFORE | {("train", 64): 1.0},
            "Regressed: 1 of 10 cases is slower: mlp train cpu batch=64 width=128, +56% [",
        ),
        (
            BEFORE | {("train", 64): 1.0, ("step", 1): 0.003},
            "Regressed: 2 of 10 cases are slower; largest change: mlp step cpu batch=1 width=128, +199% [",
        ),
        (
            BEFORE | {("train", 64): 0.32, ("step", 1): 0.0001},
            "Improved: 2 of 10 cases are faster; largest change: mlp step cpu batch=1 width=128, -90% [",
        ),
    ],
)
def test_changed(tmp_path, after, headline):
    """The largest change is named, in either direction."""
    assert describe(two_sides(tmp_path, BEFORE, after)).headline.startswith(headline)


def test_coverage(tmp_path):
    """It counts every case of the baseline."""
    after = BEFORE | {("train", 128): 1.0}
    del after["train", 64], after["step", 64]
    outcomes = [outcome("failed", "it broke", phase="step")]
    paths = side(tmp_path, "b", after, first=1, outcomes=outcomes)
    found = compared(side(tmp_path, "a", BEFORE), paths)
    assert describe(found).coverage.startswith("judged 8 of 10, 1 missing, 1 error, 1 new; ")


def test_shift_without_interval(tmp_path):
    """With one run per side the shift has no interval."""
    coverage = describe(two_sides(tmp_path, BEFORE, BEFORE, runs=1)).coverage
    assert "[" not in coverage
    assert coverage.endswith("(no interval: one run per side)")


def test_changed_machine(tmp_path):
    """More runs would not help, so none are suggested."""
    before = side(tmp_path, "a", BEFORE, machine_info=machine(canary_s=1.0))
    after = levels(slower=PHASES, by=1.08)
    found = compared(before, side(tmp_path, "b", after, first=1, machine_info=machine(canary_s=1.08)))
    text = describe(found)
    assert text.headline == "Inconclusive: the machine changed, as the canary on cpu shows."
    assert len(text.warnings) == 1


def test_names_are_one_line(tmp_path):
    """A name from a file does not break the lines."""
    settings = {"workload": "a\nb\x1b", "outcomes": [outcome("failed", "x\ny", batch_size=4096)]}
    before = levels(slower=["backward"], by=1.4)
    found = two_sides(tmp_path, before, BEFORE, **settings)
    text = describe(found)
    assert all(line.isprintable() for line in (text.headline, text.coverage, *text.warnings))


@pytest.mark.parametrize("noise", [0.005, 1.0])
def test_single_runs(tmp_path, noise):
    """The warnings are the missing noise floor and the number of runs needed."""
    text = describe(two_sides(tmp_path, BEFORE, BEFORE, runs=1, noise=noise))
    assert [warning.split(" ")[:2] for warning in text.warnings] == [["one", "run"], ["10", "cases"]]
    assert text.headline == "Inconclusive: 10 of 10 cases cannot be distinguished from noise within ±10%."


def by_floor(tmp_path, before, **settings):
    """The warnings about single runs that are judged by a noise floor."""
    floor = floor_of(read_side(side(tmp_path, "floor", BEFORE, runs=8, first=20, **settings)))
    sides = side(tmp_path, "a", before, runs=1), side(tmp_path, "b", before, runs=1, first=1)
    return [w for w in describe(compared(*sides, floor=floor)).warnings if w.startswith("one run per side")]


def test_floor(tmp_path):
    (warning,) = by_floor(tmp_path, BEFORE)
    assert "8 calibration runs" in warning
    assert "(last on 2026-01-0" in warning


def test_floor_without_a_case(tmp_path):
    """A case that the floor does not include is named."""
    _, unknown = by_floor(tmp_path, BEFORE | {("train", 512): 0.01})
    assert "1 of 11 cases (mlp train cpu batch=512 width=128)" in unknown
