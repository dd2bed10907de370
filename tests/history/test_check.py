"""Changes of several series: those of one commit are one change, and are accepted together."""

import numpy as np
import pytest

from breakeven.history.accept import accept
from breakeven.history.accepted import add_accepted, read_accepted
from breakeven.history.check import analyze_history
from breakeven.history.text import changed_runs, verdict_lines
from support.histories import add, commit, content, medians, when
from support.reports import box
from support.run_files import benchmark

PHASES = ("forward", "backward", "step", "train")


def store(tmp_path, series, name="store", first=0, machine=None):
    """A store of series, values by phase; each run has a commit of its own."""
    runs = zip(*series.values(), strict=True)
    contents = [
        content(first + i, [benchmark([t] * 6, phase=p) for p, t in zip(series, row, strict=True)], machine)
        for i, row in enumerate(runs)
    ]
    return add(tmp_path, contents, name)


def moved(at=20, n=30, step=1.1, phases=PHASES, noise=0.02):
    """Series of phases, which become slower from run `at` on."""
    return {phase: medians(n, step, at, noise, seed=i) for i, phase in enumerate(phases)}


def places(history):
    """The phases of every change, and the number of its commit."""
    numbers = {commit(i): i for i in range(100)}
    return [
        ([found.tracked.series.case.split()[1] for found in change.members], numbers[change.run.commit])
        for change in history.commits
    ]


def test_one_commit_is_one_change(tmp_path):
    """All series are placed where `train` is, which is first though others changed more."""
    series = moved() | {"step": medians(30, 1.5, 20, seed=2), "backward": medians(30, 1.06, 20, seed=9)}
    path = store(tmp_path, series)
    own = analyze_history(path, pattern="* backward *")
    assert places(own) == [(["backward"], 19)]
    found = analyze_history(path)
    [(phases, number)] = places(found)
    assert (phases[0], sorted(phases), number) == ("train", sorted(PHASES), 20)
    assert {change.after.commit for change in found.changes} == {commit(20)}
    assert {change.ago for change in found.changes} == {9}
    [run] = changed_runs(found)
    assert run.title.startswith(f"commit {commit(20)[:7]} (2026-01-21), 9 runs ago: 4 series slower")
    assert (run.fails, [item.tracked.series.is_headline for item in run.findings]) == (
        True,
        [True, *[False] * 3],
    )
    assert verdict_lines(found)[0].startswith(
        f"Regressed: commit {commit(20)[:7]} (2026-01-21) made 4 series slower: mlp train cpu"
    )


def test_two_commits_are_two_changes(tmp_path):
    """A precise place keeps neighboring commits apart, and so does the direction."""
    series = {"train": medians(30, 1.3, 20, 0.005), "step": medians(30, 1.3, 18, 0.005, seed=1)}
    assert places(analyze_history(store(tmp_path, series))) == [(["train"], 20), (["step"], 18)]
    series["step"] = medians(30, 0.7, 20, 0.005)
    both = places(analyze_history(store(tmp_path, series, "both")))
    assert both == [(["train"], 20), (["step"], 20)]


def test_headline_places_the_change(tmp_path):
    """The order is that of the phases' importance, not of the sizes."""
    series = {"step": medians(40, 2.0, 10, 0.005), "train": medians(40, 1.1, 25, 0.005)}
    found = analyze_history(store(tmp_path, series))
    assert places(found) == [(["train"], 25), (["step"], 10)]
    assert [item.tracked.series.is_headline for item in found.newest] == [True, False]


def test_commit_of_two_machines(tmp_path):
    """One commit that slows down two machines is one change, though they measured it on other days."""
    series = moved(phases=("train",))
    path = store(tmp_path, series)
    other = {"train": medians(30, 1.1, 20, seed=5)}
    later = [
        content(i, [benchmark([t] * 6)], box("Xeon")) | {"datetime": when(i + 40)}
        for i, t in enumerate(other["train"])
    ]
    add(tmp_path, later)
    found = analyze_history(path)
    assert [(len(change.members), change.run.commit) for change in found.commits] == [(2, commit(20))]


def test_change_within_a_commit(tmp_path):
    """Where the machine changed between two runs of one commit, the time places the change."""
    contents = [
        content(i, [benchmark([t] * 6, phase=p) for p, t in zip(PHASES, row, strict=True)])
        for i, row in enumerate(zip(*moved().values(), strict=True))
    ]
    for made in contents:
        made["commit_info"]["id"] = commit(0)
    [change] = analyze_history(add(tmp_path, contents)).commits
    assert (len(change.members), change.run.moment.isoformat()) == (4, when(20))


def accepted(path, number):
    """The entries for the changes of a commit."""
    return accept(analyze_history(path), commit(number), "intended", None, "2026-02-01")


def test_accepted_commit(tmp_path):
    """It stays accepted when later runs find it in more series, there or a run or two beside it."""
    late = {"forward": medians(40, 1.3, 20, 0.1, 7), "step": medians(40, 1.3, 20, 0.1, 15)}
    series = moved(n=40, step=1.3) | late
    path = store(tmp_path, {phase: values[:25] for phase, values in series.items()})
    entries = accepted(path, 20)
    assert [(entry.whole, entry.commit, len(entry.cases)) for entry in entries] == [(True, commit(20), 2)]
    assert not analyze_history(path, entries).is_regressed
    for n in (28, 32, 36, 40):
        store(tmp_path, {phase: values[n - 4 : n] for phase, values in series.items()}, first=n - 4)
        assert not analyze_history(path, entries).is_regressed, n
    found = analyze_history(path, entries)
    assert [(sorted(phases), number) for phases, number in places(found)] == [(sorted(PHASES), 20)]
    assert {change.accepted for change in found.changes} == {"intended"}
    for some in (entries, accepted(path, 20)):
        add_accepted(some, tmp_path / "accepted.json")
    [entry] = read_accepted(tmp_path / "accepted.json")
    assert len(entry.cases) == 4
    [named] = accept(analyze_history(path), commit(20), "intended", "* train *", "2026-02-01")
    assert not named.whole


def test_other_commit_is_not_accepted(tmp_path):
    """A change of another series two commits after the accepted one fails the check."""
    series = {"train": medians(30, 1.3, 18, 0.005), "step": medians(30, 1.3, 20, 0.005, seed=1)}
    path = store(tmp_path, series)
    found = analyze_history(path, accepted(path, 18))
    assert [(change.members[0].accepted, places(found)[i]) for i, change in enumerate(found.commits)] == [
        (None, (["step"], 20)),
        ("intended", (["train"], 18)),
    ]
    assert found.is_regressed


def test_newest_run_of_an_accepted_commit(tmp_path):
    """A series that was not measured at the accepted commit, and is worse at the next one, is accepted too.

    One that changes in a later commit is not.
    """
    series = moved(n=24, step=1.3, phases=("train", "step"), noise=0.01)
    series["step"][:8] *= 1.5
    path = store(tmp_path, {phase: values[:20] for phase, values in series.items()})
    store(tmp_path, {"train": series["train"][20:21]}, first=20)
    entries = accepted(path, 20)
    assert [entry.cases for entry in entries] == [("mlp train cpu batch=64 width=128",)]
    store(tmp_path, {phase: values[21:22] for phase, values in series.items()}, first=21)
    states = {
        item.tracked.series.is_headline: item.accepted for item in analyze_history(path, entries).newest
    }
    assert states == {True: "intended", False: "intended"}
    other = {"train": series["train"][:23], "step": medians(23, 1.3, 22, 0.01, seed=1)}
    found = analyze_history(store(tmp_path, other, "other"), entries)
    assert [item.tracked.series.is_headline for item in found.regressed_newest] == [False]


def test_newest_run_of_several_series(tmp_path):
    """It is one sentence, `train` first."""
    path = store(tmp_path, moved(n=21, at=20, step=1.5) | {"step": medians(21, 3.0, 20)})
    found = analyze_history(path)
    assert verdict_lines(found)[0].startswith(
        "Regressed: the newest run is worse than predicted in 4 series: mlp train cpu"
    )
    [run] = changed_runs(found)
    assert run.title == f"newest run {commit(20)[:7]} (2026-01-21): 4 series worse than predicted (regressed)"


def test_places_between_two_changes(tmp_path):
    """The place of a change is bounded by the levels on its two sides, not by what follows."""
    values = np.exp(0.01 * np.random.default_rng(0).standard_normal(30)) * np.repeat([1.0, 1.5, 3.0], 10)
    found = analyze_history(store(tmp_path, {"train": values})).changes
    may_be = {change.change.at: [at for at in range(31) if change.may_be_at(at)] for change in found}
    assert may_be == {10: [10], 20: [20]}


def test_headline_is_judged_first(tmp_path):
    """Sixty other series do not widen its interval."""
    contents = [
        content(
            i, [benchmark([t] * 6), *(benchmark([1.0], phase="step", batch_size=b) for b in range(1, 61))]
        )
        for i, t in enumerate(medians(12))
    ]
    path = add(tmp_path, contents)
    [alone] = analyze_history(path, pattern="* train *").newest
    first, other = analyze_history(path).newest[:2]
    assert (first.tracked.name, first.judgment) == (alone.tracked.name, alone.judgment)
    assert not other.tracked.series.is_headline


@pytest.mark.parametrize(("name", "runs"), [("main", 3), ("no such", 0)])
def test_branch(tmp_path, name, runs):
    """A branch without a run is not an empty store."""
    path = store(tmp_path, {"train": np.full(3, 0.01)})
    found = analyze_history(path, branch=name)
    assert len(found.runs) == runs
    if not runs:
        assert verdict_lines(found) == (
            "Nothing could be judged: the store has no run of branch no such, only of main.",
        )
