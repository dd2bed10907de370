"""A comparison in sentences; the golden files have their words."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

from breakeven import format as fmt
from breakeven.compare.common_shift import Shift
from breakeven.compare.comparison import whole_verdict
from breakeven.compare.noise_floor import floor_of
from breakeven.compare.text import describe
from breakeven.compare.verdict_text import verdict_lines
from breakeven.fitness import Load, Look
from breakeven.runs.reader import read_side
from breakeven.stats.verdict import Verdict
from support.comparisons import PHASES, compared, levels, machine, side, two_sides
from support.run_files import outcome, write

BEFORE = levels()


def test_changed_machine(tmp_path):
    """More runs would not settle that, so none are suggested."""
    before = side(tmp_path, "a", BEFORE, machine_info=machine(canary_s=1.0))
    after = levels(slower=PHASES, by=1.08)
    found = compared(before, side(tmp_path, "b", after, first=1, machine_info=machine(canary_s=1.08)))
    text = describe(found)
    assert text.verdict[0] == "Inconclusive: the machine changed, as the canary on cpu shows."
    assert len(text.warnings) == 1


def test_busy_machine(tmp_path):
    """Each run on a busy machine is named, with the reason and the remedy."""
    look = Look(Load(2, 0.9, 0.0, 0.9))
    info = machine()
    info["breakeven"]["state"] = {"look": look.as_dict()}
    before = side(tmp_path, "a", BEFORE)
    found = compared(before, side(tmp_path, "b", BEFORE, runs=1, first=1, machine_info=info))
    text = describe(found)
    assert text.warnings[0] == f"{tmp_path / 'b0.json'}: measured on a busy machine: {look.load.problem}"
    assert text.verdict[1].startswith("1 of 6 runs measured on a busy machine")


def test_names_are_one_line(tmp_path):
    """A name from a file does not break the lines."""
    settings = {"workload": "a\nb\x1b", "outcomes": [outcome("failed", "x\ny", batch_size=4096)]}
    before = levels(slower=["backward"], by=1.4)
    found = two_sides(tmp_path, before, BEFORE, **settings)
    text = describe(found)
    assert all(line.isprintable() for line in (*text.verdict, text.coverage, *text.warnings))


def test_waiting_against_looping(tmp_path):
    """One warning for all cases, and no other reason for them."""
    only = {key: seconds for key, seconds in BEFORE.items() if key[0] == "train"}
    sides = [
        side(tmp_path, name, only, 3, first=first, device="cuda", steps=steps)
        for first, (name, steps) in enumerate((("a", ...), ("b", 50)))
    ]
    text = describe(compared(*sides))
    assert text.verdict[0] == "Inconclusive: 2 of 2 cases waited after each step in some runs only."
    assert [warning.split(":")[0] for warning in text.warnings] == ["2 cases not judged"]


@pytest.mark.parametrize("noise", [0.005, 1.0])
def test_single_runs(tmp_path, noise):
    """Three warnings: the missing noise floor, what it would take, and nothing else."""
    text = describe(two_sides(tmp_path, BEFORE, BEFORE, runs=1, noise=noise))
    assert [warning.split(" ")[:2] for warning in text.warnings] == [["one", "run"], ["10", "cases"]]
    assert text.verdict[0].startswith("Inconclusive: 10 of 10 cases were timed in one run per side")


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
    assert "(breakeven ab)" in text.verdict[1]
    assert [warning.split(" ")[:6] for warning in text.warnings] == [
        ["one", "run", "per", "side:", "the", "intervals"],
        ["10", "cases", "inconclusive:", "an", "interval", "of"],
    ]


def test_largest_difference_of_single_runs(tmp_path):
    """A difference that is not judged is shown as it is, and not as a part of the noise."""
    after = levels(slower=["backward"], by=2.54)
    first, second = describe(two_sides(tmp_path, BEFORE, after, runs=1)).verdict
    assert first == "Inconclusive: 10 of 10 cases were timed in one run per side."
    assert second.startswith("Alternate runs (breakeven ab), or calibrate once (breakeven calibrate).")
    assert "Largest difference: mlp backward cpu batch=1 width=128, +154%." in second


def test_noisy_runs(tmp_path):
    """Where the intervals are too wide, the largest difference is shown with its own."""
    found = two_sides(tmp_path, BEFORE, BEFORE, runs=3, noise=0.4)
    first, second = describe(found).verdict
    assert first == "Inconclusive: 10 of 10 cases are too noisy, with intervals wider than ±10%."
    assert "Others" not in second
    largest = max(found.cases, key=lambda case: abs(math.log(case.ratio)))
    assert largest.case in second
    assert fmt.signed_percent(largest.ratio) in second


def test_zero_medians(tmp_path):
    """They are neither noisy nor single runs."""
    found = two_sides(tmp_path, {("train", 1): 0.0}, {("train", 1): 0.0})
    assert describe(found).verdict == (
        "Inconclusive: 1 of 1 case without a ratio, because a median is zero.",
    )


def test_other_verdicts(tmp_path):
    """Those that are not good news are counted beside the verdict."""
    broken = [outcome("failed", "x", batch_size=64, phase="forward")]
    after = {key: t for key, t in levels(slower=["backward"], by=1.4).items() if key != ("forward", 64)}
    sides = side(tmp_path, "a", BEFORE), side(tmp_path, "b", after, first=1, outcomes=broken)
    first, second = describe(compared(*sides)).verdict
    assert first.startswith("Regressed: 4 of 9 cases are slower; largest change: mlp backward cpu batch=")
    assert second == "Others: 1 error. mlp on cpu: train +20% in 2 cells, all of it backward."


def test_number_of_changes(tmp_path):
    """A single change is the largest one, of course."""
    one = {("step", 64): 1.4 * BEFORE["step", 64]}
    first, *_ = describe(two_sides(tmp_path / "one", BEFORE, BEFORE | one)).verdict
    assert first.startswith("Regressed: 1 of 10 cases is slower: mlp step cpu batch=64 width=128, +")
    two = one | {("step", 1): 2.0 * BEFORE["step", 1]}
    first, *_ = describe(two_sides(tmp_path / "two", BEFORE, BEFORE | two)).verdict
    assert first.startswith(
        "Regressed: 2 of 10 cases are slower; largest change: mlp step cpu batch=1 width=128, +"
    )


def test_largest_change_is_not_a_consequence(tmp_path):
    """A case that changed only as another one did is not named before that."""
    found = two_sides(tmp_path, BEFORE, levels(slower=["backward"], by=1.4))
    regressed = sorted(found.with_verdict(Verdict.REGRESSED), key=lambda case: -case.ratio)
    for after, largest in (((), regressed[0]), ({regressed[0].case}, regressed[1])):
        assert f"; largest change: {largest.case}, +" in verdict_lines(found, after, ())[0]


def test_common_shift(tmp_path):
    """One above the threshold is mentioned although no case changed."""
    found = two_sides(tmp_path, BEFORE, BEFORE)
    assert found.verdict == Verdict.UNCHANGED
    shift = Shift(*map(math.log, (1.12, 1.11, 1.13)))
    assert verdict_lines(replace(found, common_shift=shift), (), ())[1:] == (
        "But all cases together changed by +12% [+11% to +13%].",
    )


def test_busy_single_runs(tmp_path):
    """That the machine was busy comes first."""
    info = machine()
    info["breakeven"]["state"] = {"look": Look(Load(2, 0.9, 0.0, 0.9)).as_dict()}
    before = side(tmp_path, "a", BEFORE, runs=1)
    _, second = describe(compared(before, side(tmp_path, "b", BEFORE, 1, 1, machine_info=info))).verdict
    assert second.startswith(
        "1 of 2 runs measured on a busy machine: measure again. Alternate runs (breakeven ab), or "
    )


@pytest.mark.parametrize(
    ("key", "flagged", "seen"), [("batch_size", (64,), False), ("phase", ("train", "step", "forward"), True)]
)
def test_disturbed_cases(tmp_path, key, flagged, seen):
    """The verdict mentions a flag of more than half of the cases."""
    before = side(tmp_path, "a", BEFORE)
    after = side(tmp_path, "b", BEFORE, first=1)
    content = json.loads(Path(after[0]).read_text())
    for made in content["benchmarks"]:
        if made["extra_info"][key] in flagged:
            made["extra_info"]["flags"] = ["contended"]
    write(Path(after[0]), content)
    verdict = describe(compared(before, after)).verdict
    assert ("(contended)" in "".join(verdict)) == seen


def test_machine_that_changed_speed(tmp_path):
    """The verdict mentions a canary that moved during a run."""
    info = machine()
    samples = {
        name: {"median_s": s, "low_s": s * 0.99, "high_s": s * 1.01}
        for name, s in (("start", 1.0), ("end", 2.0))
    }
    info["breakeven"]["state"] = {"canary": {"cpu": samples}}
    before = side(tmp_path, "a", BEFORE, machine_info=info)
    text = describe(compared(before, side(tmp_path, "b", BEFORE, first=1)))
    assert text.verdict[1].startswith("The speed of the machine changed during a run")


def test_run_on_both_sides(tmp_path):
    """Nothing else is said where all of them are."""
    paths = side(tmp_path, "a", BEFORE)
    [line] = describe(compared(paths, paths)).verdict
    assert line.startswith("The two sides are the same runs, which shows nothing")
    other = side(tmp_path, "b", BEFORE, first=1)
    _, second = describe(compared(paths, [*paths[:2], *other])).verdict
    assert second.startswith("Some runs are on both sides")


VERDICTS = [*Verdict]


@pytest.mark.parametrize("seed", range(40))
def test_short_verdict(tmp_path_factory, seed):
    """It has at most two lines and 220 characters, for any number of cases, names and verdicts."""
    draw = random.Random(seed)
    found = two_sides(tmp_path_factory.mktemp("runs"), BEFORE, BEFORE, runs=1)
    cases = tuple(
        replace(
            draw.choice(found.cases),
            case=f"{i} " + draw.choice(["mlp", "x" * 300, "a\nb"]),
            verdict=draw.choice(draw.sample(VERDICTS, draw.randint(1, len(VERDICTS)))),
            ratio=draw.choice([None, 1.001, math.exp(draw.gauss(0, 9))]),
            low=draw.choice([None, 1e-9]),
            high=draw.choice([None, 4e9]),
            p=draw.choice([None, 0.5]),
            reason=draw.choice(["", "", "were timed in fewer than 5 pairs"]),
        )
        for i in range(draw.choice([1, 3, 60]))
    )
    changed = draw.choice([(), (), ("cpu", "cuda:1" * 30)])
    made = replace(found, cases=cases, verdict=whole_verdict(cases), changed_machines=changed)
    verdict = describe(made).verdict
    assert 1 <= len(verdict) <= 2
    assert len("\n".join(verdict)) <= 220
    assert all(line.isprintable() and line.endswith((".", "...")) for line in verdict)
    assert made.verdict != Verdict.REGRESSED or verdict[0].startswith("Regressed: ")
