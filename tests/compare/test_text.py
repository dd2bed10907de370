"""A comparison in sentences; the golden files have their words."""

import pytest

from breakeven.compare.noise_floor import floor_of
from breakeven.compare.text import describe
from breakeven.fitness import Load, Look
from breakeven.runs.reader import read_side
from support.comparisons import PHASES, compared, levels, machine, side, two_sides
from support.run_files import outcome

BEFORE = levels()


def test_changed_machine(tmp_path):
    """More runs would not settle that, so none are suggested."""
    before = side(tmp_path, "a", BEFORE, machine_info=machine(canary_s=1.0))
    after = levels(slower=PHASES, by=1.08)
    found = compared(before, side(tmp_path, "b", after, first=1, machine_info=machine(canary_s=1.08)))
    text = describe(found)
    assert text.headline == "Inconclusive: the machine changed, as the canary on cpu shows."
    assert len(text.warnings) == 1


def test_busy_machine(tmp_path):
    """Each run on a busy machine is named, with the reason and the remedy."""
    look = Look(Load(2, 0.9, 0.0, 0.9))
    info = machine()
    info["breakeven"]["state"] = {"look": look.as_dict()}
    before = side(tmp_path, "a", BEFORE)
    found = compared(before, side(tmp_path, "b", BEFORE, runs=1, first=1, machine_info=info))
    assert describe(found).warnings[0] == (
        f"{tmp_path / 'b0.json'}: measured on a busy machine: {look.load.problem}"
    )


def test_names_are_one_line(tmp_path):
    """A name from a file does not break the lines."""
    settings = {"workload": "a\nb\x1b", "outcomes": [outcome("failed", "x\ny", batch_size=4096)]}
    before = levels(slower=["backward"], by=1.4)
    found = two_sides(tmp_path, before, BEFORE, **settings)
    text = describe(found)
    assert all(line.isprintable() for line in (text.headline, text.coverage, *text.warnings))


def test_waiting_against_looping(tmp_path):
    """One warning for all cases, and no other reason for them."""
    only = {key: seconds for key, seconds in BEFORE.items() if key[0] == "train"}
    sides = [
        side(tmp_path, name, only, 3, first=first, device="cuda", steps=steps)
        for first, (name, steps) in enumerate((("a", ...), ("b", 50)))
    ]
    text = describe(compared(*sides))
    assert text.headline == "Inconclusive: 2 of 2 cases waited after each step in some runs only."
    assert [warning.split(":")[0] for warning in text.warnings] == ["2 cases not judged"]


@pytest.mark.parametrize("noise", [0.005, 1.0])
def test_single_runs(tmp_path, noise):
    """Three warnings: the missing noise floor, what it would take, and nothing else."""
    text = describe(two_sides(tmp_path, BEFORE, BEFORE, runs=1, noise=noise))
    assert [warning.split(" ")[:2] for warning in text.warnings] == [["one", "run"], ["10", "cases"]]
    assert text.headline.startswith("Inconclusive: 10 of 10 cases timed in one run per side")


def by_floor(tmp_path, before, **settings):
    """The warnings about single runs that are judged by a noise floor."""
    floor = floor_of(read_side(side(tmp_path, "floor", BEFORE, runs=8, first=20, **settings)))
    sides = side(tmp_path, "a", before, runs=1), side(tmp_path, "b", before, runs=1, first=1)
    return [w for w in describe(compared(*sides, floor=floor)).warnings if w.startswith("one run per side")]


def test_floor_without_a_case(tmp_path):
    """A case that the floor does not include is named."""
    _, unknown = by_floor(tmp_path, BEFORE | {("train", 512): 0.01})
    assert "1 of 11 cases (mlp train cpu batch=512 width=128)" in unknown


def test_single_runs_of_several_processes(tmp_path):
    """The intervals are said not to include the noise between the two times."""
    after = levels(slower=PHASES, by=1.5)
    text = describe(two_sides(tmp_path, BEFORE, after, runs=1, processes=5))
    assert "(breakeven ab)" in text.headline
    assert [warning.split(" ")[:6] for warning in text.warnings] == [
        ["one", "run", "per", "side:", "the", "intervals"],
        ["10", "cases", "inconclusive:", "an", "interval", "of"],
    ]
