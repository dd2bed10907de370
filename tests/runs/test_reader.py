"""Several run files as one set of runs, and which file is the newest."""

import copy
import json
import os
from pathlib import Path

import pytest

from breakeven.compare.machine_class import check_classes, class_of
from breakeven.errors import NewerSchemaError, RunFileError, UsageError
from breakeven.runs.journal import JournalFile
from breakeven.runs.reader import newer_journals, newest, read, read_run, read_side
from support.reports import only
from support.run_files import affine_run, benchmark, outcome, run, write


def test_only_outcomes_are_a_run_too(tmp_path):
    found = read([write(tmp_path / "r.json", run([], [outcome(device="cuda"), {"outcome": "failed"}]))])
    (only,) = found.runs
    assert only.cases == {}
    assert [(one.outcome, one.key and one.key.device) for one in only.outcomes] == [
        ("oom", "cuda"),
        ("failed", None),
    ]


def test_one_path(tmp_path):
    path = write(tmp_path / "r.json", affine_run({"cpu": (1.0, 0.1)}))
    for one in (path, Path(path), [path]):
        assert [run.path for run in read(one).runs] == [path]


def test_copies_count_once(tmp_path):
    """The same run, by path, in another layout or another order, is used once, with a warning each."""
    content = affine_run({"cpu": (1.0, 0.1)})
    one = write(tmp_path / "one.json", content)
    other = write(tmp_path / "sub" / "two.json", json.dumps(content, indent=2))
    backwards = write(tmp_path / "three.json", {**content, "benchmarks": content["benchmarks"][::-1]})
    found = read([one, one, other, backwards])
    assert [run.path for run in found.runs] == [one]
    assert [warning.split(" ")[0] for warning in found.warnings] == [one, other, backwards]
    assert ["twice" in warning for warning in found.warnings] == [True, False, False]


def test_files_of_one_name(tmp_path):
    """They go by their paths; a file whose name is unique goes by that."""
    paths = [
        write(tmp_path / d, affine_run({"cpu": (1.0, 0.1)}, seed=i))
        for i, d in enumerate(("a/run.json", "b/run.json", "c.json"))
    ]
    assert [run.name for run in read(paths).runs] == [*paths[:2], "c.json"]


def test_newer_file_beside_another(tmp_path):
    """It is left out with a warning; alone it is refused."""
    old = write(tmp_path / "old.json", run([benchmark([1.0])]))
    new = write(tmp_path / "new.json", run([benchmark([1.0], schema=2)]))
    found = read([new, old])
    assert [run.path for run in found.runs] == [old]
    (reason,) = found.left_out
    assert reason.startswith(new)
    assert found.warnings == (f"left out: {reason}",)
    with pytest.raises(NewerSchemaError):
        read([new])


def test_no_path():
    for reader in (read, read_side):
        with pytest.raises(UsageError, match=r"run\.json"):
            reader([])


def test_copies_on_one_side(tmp_path):
    """A side of a comparison refuses the same run twice, by path or by content."""
    content = run([benchmark([1.0, 2.0])])
    first, copy = write(tmp_path / "a.json", content), write(tmp_path / "b.json", content)
    later = write(tmp_path / "c.json", content | {"datetime": "2027-01-01T00:00:00"})
    for again in (first, copy):
        with pytest.raises(UsageError) as caught:
            read_side([first, later, again])
        assert str(caught.value).startswith(again)
    assert [run.path for run in read_side([first, later])] == [first, later]


def test_newest(tmp_path):
    """The newest run is newest by its recorded time; other files are passed over."""
    write(tmp_path / "a" / "old.json", affine_run({"cpu": (1, 1)}, when="2026-01-01T23:00:00+00:00"))
    new = write(tmp_path / "b.json", affine_run({"cpu": (1, 1)}, when="2026-01-02T02:00:00+02:00"))
    newer = write(tmp_path / "c.json", run([], [outcome()], when="2026-01-02T00:30:00"))
    write(tmp_path / "undated.json", affine_run({"cpu": (1, 1)}, when="yesterday"))
    write(tmp_path / "z.json", "{}")
    write(tmp_path / "plain.json", run([{"extra_info": {}, "stats": {}}], when="2027-01-01T00:00:00"))
    write(tmp_path / "broken.json", '{"benchmarks": [')
    assert str(newest(tmp_path)) == newer
    (tmp_path / "c.json").unlink()
    assert str(newest(tmp_path)) == new


def grown(content, **facts):
    """A later run of the same machine, of which more is recorded, so that its class has another id."""
    later = copy.deepcopy(content) | {"datetime": "2027-01-01T00:00:00"}
    ours = later["machine_info"]["breakeven"]
    ours |= {"class": ours["class"] | facts, "class_id": "another"}
    for item in later["benchmarks"]:
        item["stats"]["data"] = [1.01 * time_s for time_s in item["stats"]["data"]]
    return later


def test_class_that_records_more(tmp_path):
    """Runs of version 1 and later ones of the same machine are replicates, with one warning."""
    committed = Path(__file__).parents[2] / "results" / "h100-16core" / "run.json"
    later = grown(json.loads(committed.read_text()), physical_cores=8, smt=True, numa_nodes=None)
    later["breakeven"]["outcomes"][0]["extra_info"]["workload"] = "other"
    found = read([committed, write(tmp_path / "later.json", later)])
    (machine,) = found.machines
    assert machine.class_id == "9f7a2bc0b831"
    assert machine.facts["smt"] is True
    keys = {case.key.machine for run in found.runs for case in run.cases.values()}
    keys |= {one.key.machine for run in found.runs for one in run.outcomes}
    assert keys == {"9f7a2bc0b831"}
    assert found.runs[0].cases.keys() == found.runs[1].cases.keys()
    (warning,) = found.warnings
    assert "physical_cores, smt, numa_nodes" in warning
    sides = read_side([committed]) + read_side([tmp_path / "later.json"])
    assert len(check_classes(sides)) == 1
    assert class_of(sides).class_id == "9f7a2bc0b831"


def test_class_that_differs(tmp_path):
    content = affine_run({"cpu": (1, 1)}, machine={"breakeven": {"class": {"cpu": "A"}, "class_id": "one"}})
    paths = [write(tmp_path / "a.json", content), write(tmp_path / "b.json", grown(content, cpu="B"))]
    assert [machine.class_id for machine in read(paths).machines] == ["one", "another"]
    assert class_of(read_side(paths)) is None


@pytest.mark.parametrize(("age", "count"), [(-1, 0), (0, 0), (1, 1)])
def test_journal(tmp_path, age, count):
    """Only a journal that was modified after the run file is a warning."""
    path = write(tmp_path / "run.json", run([benchmark([1.0])]))
    journal = tmp_path / "run.json.journal"
    journal.touch()
    for file, when in ((path, 10), (journal, 10 + age)):
        os.utime(file, (when, when))
    assert len(newer_journals([path])) == count
    assert [line.startswith("run.json.journal is newer: ") for line in read(path).warnings] == [True] * count
    assert all(f"`breakeven recover {journal}`" in line for line in newer_journals([path]))


def test_journal_of_a_run_that_measures(tmp_path):
    """It is not taken for that of a run that died."""
    path = write(tmp_path / "run.json", affine_run({"cpu": (1, 1)}))
    os.utime(path, (10, 10))
    file = JournalFile(tmp_path / "run.json.journal")
    assert file.lock()
    [line] = newer_journals([path])
    file.close()
    assert line == f"run.json.journal is newer: a run is writing it; {path} is that of an earlier one"


def test_journal_without_its_run(tmp_path):
    """The error names it, and how to make a run file of it."""
    (tmp_path / "run.json.journal").touch()
    with pytest.raises(RunFileError, match=r"run\.json\.journal does: .*recover .*run\.json\.journal`"):
        read(tmp_path / "run.json")
    with pytest.raises(RunFileError, match="does not exist; give"):
        read(tmp_path / ("a" * 250))


@pytest.mark.parametrize(
    ("recorded", "expected"), [({}, True), ({"complete": True}, True), ({"complete": False}, False)]
)
def test_interrupted(tmp_path, recorded, expected):
    content = run([benchmark([1.0])], outcomes=[])
    content["breakeven"] |= recorded
    assert only(read(write(tmp_path / "r.json", content)).runs).is_complete is expected


def test_plain_benchmark_that_was_run_twice(tmp_path):
    """As with --keep-duplicates: it has the rounds of both; without them it is the last one."""
    plain = [
        benchmark(times, **dict.fromkeys(("schema", "phase", "device", "axes"), ...))
        for times in ([1.0, 2.0], [3.0, 4.0, 5.0])
    ]
    path = write(tmp_path / "run.json", run(plain))
    [case] = read_run(path).cases.values()
    assert (case.times_s.tolist(), case.median_s) == ([1.0, 2.0, 3.0, 4.0, 5.0], 3.0)
    plain[0]["stats"] = {"median": 1.5}
    [case] = read_run(write(tmp_path / "run.json", run(plain))).cases.values()
    assert case.times_s.tolist() == [3.0, 4.0, 5.0]
