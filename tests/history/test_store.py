"""The store has one complete file per run or none, with any writers and readers."""

import errno
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pytest

from breakeven.case import CaseKey
from breakeven.errors import RunFileError, StoreError
from breakeven.history import store
from breakeven.history.database import reason_of
from breakeven.history.folder import Folder
from breakeven.history.query import TrackOutcome, read_store
from breakeven.runs.reader import read_run
from support.histories import add, commit, content, files_of, medians, ran_out, timed
from support.reports import box
from support.run_files import benchmark, outcome, run, write

FEW = [1.0, 2.0, 4.0]


@pytest.fixture
def kept(tmp_path):
    """A store of three runs."""
    return add(tmp_path, timed(medians(3)))


def in_store(path):
    """Return every name below a store."""
    return sorted(str(found.relative_to(path)) for found in Path(path).rglob("*") if found.is_file())


def test_added_file(tmp_path):
    """A run becomes one Parquet file with its raw rounds."""
    where = tmp_path / "store"
    times = np.random.default_rng(0).random(50).tolist()
    made = store.add(write(tmp_path / "r.json", content(0, [benchmark(times, flags=["noisy"])])), where)
    assert Path(made.path).parent.name == "class=id-EPYC"
    assert Path(made.path).name.startswith("20260101T000000Z-")
    rows = duckdb.execute("FROM read_parquet(?, hive_partitioning = false)", [made.path]).fetchnumpy()
    assert rows["times_s"][0].tolist() == times
    assert rows["case"][0] == "mlp train cpu batch=64 width=128"
    assert (rows["commit"][0], rows["branch"][0], rows["dirty"][0]) == (commit(0), "main", False)
    assert rows["flags"][0].tolist() == ["noisy"]
    codec = duckdb.execute("SELECT DISTINCT compression FROM parquet_metadata(?)", [made.path])
    assert codec.fetchall() == [("ZSTD",)]


def test_adding_again(tmp_path):
    """Adding a run again changes nothing, even from a copy with its cases in another order."""
    cases = [benchmark(FEW, batch_size=size) for size in (1, 2)]
    first = store.add(write(tmp_path / "a.json", content(0, cases)), tmp_path / "store")
    before = (Path(first.path).stat().st_mtime_ns, Path(first.path).read_bytes())
    again = store.add(write(tmp_path / "b.json", content(0, cases[::-1])), tmp_path / "store")
    assert (first.new, again.new) == (True, False)
    assert (Path(again.path).stat().st_mtime_ns, Path(again.path).read_bytes()) == before
    assert len(in_store(tmp_path / "store")) == 1


def test_medians(tmp_path):
    """Medians are recomputed from the rounds, and taken from the file only without rounds."""
    bare = benchmark([1.0], workload="bare")
    bare["stats"] = {"median": 7.0}
    path = add(tmp_path, [content(0, [benchmark(FEW), bare])])
    medians_s = {track.key.workload: track.time_s.tolist() for track in read_store(path).tracks}
    assert medians_s == {"mlp": [2.0], "bare": [7.0]}
    [file] = files_of(path)
    stored = duckdb.execute("SELECT workload, median_s FROM read_parquet(?)", [str(file)]).fetchall()
    assert sorted(stored) == [("bare", 7.0), ("mlp", None)]


def test_medians_of_processes(tmp_path):
    """The process is the replicate; a file of version 1, without their numbers of rounds, is read too."""
    rounds, counts = [1.0] * 9 + [3.0, 2.0, 4.0, 7.0, 8.0, 9.0, 10.0], [9, 0, 3, 4]
    path = add(tmp_path, [content(0, [benchmark(rounds, processes=counts)]), content(1, [benchmark(rounds)])])
    files = files_of(path)
    assert [read(file) for file in files] == [(rounds, counts), (rounds, None)]
    old = tmp_path / "old.parquet"
    duckdb.execute(f"COPY (SELECT * EXCLUDE (processes, steps) FROM '{files[1]}') TO '{old}'")
    shutil.move(old, files[1])
    [track] = read_store(path).tracks
    assert track.time_s.tolist() == [3.0, 1.0]
    assert track.time_s[0] == read_run(str(tmp_path / "runs" / "store0000.json")).cases[track.case].median_s


def read(file):
    """Return the rounds of a file's only case, and how many belong to each process."""
    return duckdb.execute("SELECT times_s, processes FROM read_parquet(?)", [str(file)]).fetchone()


def test_order_of_runs(tmp_path):
    """Runs are read in the order of their times, not of their addition."""
    contents = timed(medians(6))
    path = add(tmp_path, [contents[i] for i in (3, 0, 5, 1, 4, 2)])
    archive = read_store(path)
    assert [run.commit for run in archive.runs] == [commit(i) for i in range(6)]
    [track] = archive.tracks
    assert track.run.tolist() == list(range(6))
    np.testing.assert_allclose(track.time_s, medians(6))


def test_outcomes(tmp_path):
    path = add(tmp_path, [content(0, [benchmark(FEW)], outcomes=[ran_out(128)])])
    outcomes = {track.key.batch_size: track.outcome[0] for track in read_store(path).tracks}
    assert outcomes == {64: TrackOutcome.TIMED, 128: TrackOutcome.OOM}


@pytest.mark.parametrize(
    "class_id",
    ["../../evil", "a/b", "a=b", "x" * 300, ".hidden", "a b\nc", "\u00e9\u4e2d", "..", "\ud800", "a'b"],
)
def test_hostile_class_id(tmp_path, class_id):
    """No class id leads out of the store or into another class."""
    contents = [
        content(i, [benchmark(FEW)], machine=box(c, class_id=c)) for i, c in enumerate((class_id, "abc"))
    ]
    path = add(tmp_path, contents)
    assert [name.count("/") for name in in_store(path)] == [1, 1]
    assert in_store(tmp_path) == sorted([*(f"store/{name}" for name in in_store(path)), *in_runs(tmp_path)])
    assert len({run.class_id for run in read_store(path).runs}) == 2


def in_runs(tmp_path):
    """Return the run files that a test wrote."""
    return [f"runs/{name}" for name in in_store(tmp_path / "runs")]


def test_path_like_a_pattern(tmp_path):
    path = add(tmp_path, timed(medians(2)), store="st[a]*re's ?")
    assert len(read_store(path).runs) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ('{"benchmarks": [', "cut off"),
        ("[]", "not a pytest-benchmark file"),
        ({**run([]), "benchmarks": []}, "holds no benchmarks"),
        ({**run([benchmark(FEW)]), "datetime": "yesterday"}, "datetime: 'yesterday'"),
        ({**run([benchmark(FEW)]), "datetime": None}, "datetime: nothing"),
        ({**run([benchmark(FEW)]), "datetime": "0001-01-01T00:00:00+14:00"}, "datetime: "),
    ],
)
def test_refused_run(tmp_path, text, words):
    """A bad run file is refused in one line, and no store is created."""
    path = write(tmp_path / "bad.json", text)
    with pytest.raises(RunFileError, match=words) as caught:
        store.add(path, tmp_path / "store")
    assert len(str(caught.value).splitlines()) == 1
    assert "bad.json" in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_killed_writer(kept):
    """Temporary files are not read."""
    file = files_of(kept)[0]
    (file.parent / f".{file.stem}.77-ab.tmp").write_bytes(b"PAR1 half")
    assert len(read_store(kept).runs) == 3
    assert read_store(kept).damaged == ()


def test_faster_writer(tmp_path, monkeypatch):
    """A writer never replaces the file of a faster one."""
    path = write(tmp_path / "r.json", content(0, [benchmark(FEW)]))
    first = store.add(path, tmp_path / "store")
    before = Path(first.path).read_bytes()
    monkeypatch.setattr(Path, "exists", lambda _path: False)  # as if the other had not finished
    assert not store.add(path, tmp_path / "store").new
    assert Path(first.path).read_bytes() == before
    assert len(in_store(tmp_path / "store")) == 1


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_full_disk(tmp_path, monkeypatch, kept, call):
    before = in_store(kept)

    def full(*arguments, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    if call == "link":
        monkeypatch.setattr(Path, "rename", full)
    path = write(tmp_path / "r.json", content(9, [benchmark(FEW)]))
    with pytest.raises(StoreError, match=r"No space left on device; nothing of it was added"):
        store.add(path, kept)
    assert in_store(kept) == before


def test_file_size_limit(tmp_path, kept):
    """A write that fails in DuckDB leaves nothing."""
    before = in_store(kept)
    times = np.random.default_rng(0).random(20_000).tolist()
    path = write(tmp_path / "r.json", content(9, [benchmark(times)]))
    code = (
        "import resource, signal, sys\nfrom breakeven.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "sys.exit(main(['history', 'add', *sys.argv[1:]]))"
    )
    done = subprocess.run([sys.executable, "-c", code, path, "--store", kept], capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "nothing of it was added" in done.stderr
    assert in_store(kept) == before


def test_no_hard_links(tmp_path, monkeypatch):
    def refuse(*arguments, **kwargs):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = write(tmp_path / "r.json", content(0, [benchmark(FEW)]))
    assert [store.add(path, tmp_path / "store").new for _ in range(2)] == [True, False]
    assert len(read_store(tmp_path / "store").runs) == 1


def test_concurrent_writers(tmp_path):
    same = write(tmp_path / "same.json", content(0, [benchmark(FEW)]))
    others = [write(tmp_path / f"{i}.json", content(i, [benchmark(FEW)])) for i in (1, 2)]
    code = "import sys\nfrom breakeven.cli import main\nsys.exit(main(['history', 'add', *sys.argv[1:]]))"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, same, other, "--store", str(tmp_path / "store")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for other in (*others, *others)
    ]
    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [(b"", 0)] * 4
    assert len(in_store(tmp_path / "store")) == 3
    assert len(read_store(tmp_path / "store").runs) == 3


def damage(file, how):
    """Damage a file of a store."""
    raw = file.read_bytes()
    if how == "cut":
        file.write_bytes(raw[: len(raw) // 2])
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "text":
        file.write_text("not Parquet")
    elif how == "flipped":
        file.write_bytes(raw[:60] + bytes(b ^ 0x55 for b in raw[60:160]) + raw[160:])
    elif how == "foreign":
        duckdb.execute(f"COPY (SELECT 1 AS a) TO '{file}' (FORMAT parquet)")
    elif how == "newer":
        duckdb.execute(
            'COPY (SELECT * REPLACE (99 AS "schema") '
            f"FROM read_parquet('{file}', hive_partitioning = false)) TO '{file}.new' (FORMAT parquet)"
        )
        Path(f"{file}.new").replace(file)
    elif how == "directory":
        file.unlink()
        file.mkdir()


@pytest.mark.parametrize("how", ["cut", "empty", "text", "flipped", "foreign", "newer", "directory"])
def test_damaged_file(kept, how):
    """A damaged file is reported and the others are read."""
    damaged_file = files_of(kept)[1]
    damage(damaged_file, how)
    archive = read_store(kept)
    assert [run.commit for run in archive.runs] == [commit(0), commit(2)]
    [line] = archive.damaged
    assert line.startswith(f"{damaged_file} cannot be used: ")
    remedy = {"newer": "upgrade breakeven", "foreign": "remove it"}.get(how, "delete it")
    assert remedy in line
    assert "\n" not in line
    assert read_store(kept).tracks[0].time_s.shape == (2,)


def test_long_reason():
    """DuckDB quotes the value, of any length; its reason is cut before its parts are looked for."""
    began_s = time.process_time()
    assert len(reason_of(duckdb.ConversionException("Type VARCHAR with value '" + "x" * 50_000))) <= 200
    assert time.process_time() - began_s < 1


def test_adding_over_damaged(tmp_path, kept):
    """Adding over a damaged file is refused until it is deleted."""
    damaged_file = files_of(kept)[0]
    damage(damaged_file, "cut")
    path = write(tmp_path / "again.json", timed(medians(3))[0])
    with pytest.raises(StoreError, match=r"is damaged .* delete it and add its run again"):
        store.add(path, kept)
    damaged_file.unlink()
    assert store.add(path, kept).new
    assert read_store(kept).damaged == ()


def test_adding_over_another_run(tmp_path, kept):
    """A file with the name of a run is refused if it holds another run."""
    first, second, _ = files_of(kept)
    first.write_bytes(second.read_bytes())
    with pytest.raises(StoreError, match=re.escape(str(first))):
        store.add(write(tmp_path / "again.json", timed(medians(3))[0]), kept)


def test_copied_file(kept):
    file = files_of(kept)[0]
    file.with_name(f"copy-of-{file.name}").write_bytes(file.read_bytes())
    archive = read_store(kept)
    assert len(archive.runs) == 3
    assert archive.tracks[0].run.tolist() == [0, 1, 2]


def test_removed_while_reading(kept, monkeypatch):
    listed = Folder(kept).names()
    monkeypatch.setattr(Folder, "names", lambda _: listed)
    files_of(kept)[1].unlink()
    archive = read_store(kept)
    assert (len(archive.runs), archive.damaged) == (2, ())


def test_additional_column(kept):
    """A file of a later breakeven may have more columns."""
    file = files_of(kept)[0]
    duckdb.execute(
        f"COPY (SELECT *, 1 AS later FROM read_parquet('{file}', hive_partitioning = false)) "
        f"TO '{file}.new' (FORMAT parquet)"
    )
    Path(f"{file}.new").replace(file)
    assert len(read_store(kept).runs) == 3


def test_branch(tmp_path):
    contents = [content(i, [benchmark(FEW)], branch="main" if i % 2 else "topic") for i in range(4)]
    archive = read_store(add(tmp_path, contents), "main")
    assert [run.commit for run in archive.runs] == [commit(1), commit(3)]
    assert archive.tracks[0].run.tolist() == [0, 1]


@pytest.mark.parametrize("what", ["missing", "file"])
def test_not_a_store(tmp_path, what):
    if what == "file":
        (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=rf"{what} .*`breakeven history add RUN.json --store DIR`"):
        read_store(tmp_path / what)


def test_unstorable_text(tmp_path):
    """Text that Parquet cannot hold is escaped."""
    path = add(tmp_path, [content(0, [benchmark(FEW, workload="a\ud800b\0c")])])
    assert read_store(path).tracks[0].key.workload == "a\\ud800b\\x00c"


VERSION_1 = Path(__file__).parents[1] / "data" / "history-v1"
"""A store that version 1 wrote from `version_1_run` of 0 and 1."""


def version_1_run(number):
    """Return the content of a run with every kind of case; every second one has no commit."""
    times = medians(12, step=1.3, at=6)[number] * np.array([0.98, 0.99, 1, 1, 1.01, 1.02])
    axes = {"width": 128, "act": "re lu"}
    cases = [
        benchmark(times.round(7), peak_memory_bytes=1000, flags=["noisy"], axes=axes),
        {"name": "test_x", "fullname": "t.py::test_x[1]", "stats": {"data": [1.0, 2.0]}},
        {"name": "test_y", "fullname": "t.py::test_y", "stats": {"median": 7.0}},
    ]
    outcomes = [
        ran_out(1024),
        outcome("failed", "it broke", phase="forward"),
        {"fullname": "b.py::bench_z[1]", "outcome": "skipped", "reason": "mark"},
    ]
    made = content(number, cases, outcomes=outcomes)
    return made | {"commit_info": {"id": "unversioned"}} if number % 2 else made


def test_reading_version_1():
    archive = read_store(VERSION_1)
    assert [(run.commit, run.branch, run.dirty, run.class_id, run.label) for run in archive.runs] == [
        (commit(0), "main", False, "id-EPYC", "EPYC"),
        ("", "", None, "id-EPYC", "EPYC"),
    ]
    tracks = {track.case: track for track in archive.tracks}
    timed_track = tracks.pop('mlp train cpu batch=64 act="re lu" width=128')
    np.testing.assert_allclose(timed_track.time_s, medians(12)[:2], rtol=1e-4)
    assert timed_track.key == CaseKey.of("mlp", 64, "train", "cpu", {"width": 128, "act": "re lu"}, "id-EPYC")
    assert timed_track.peak_memory_bytes.tolist() == [1000, 1000]
    assert {
        case: (track.time_s[0], track.outcome[0]) for case, track in tracks.items() if track.key is None
    } == {
        "t.py::test_x[1]": (1.5, TrackOutcome.TIMED),
        "t.py::test_y": (7.0, TrackOutcome.TIMED),
        "b.py::bench_z[1]": (pytest.approx(np.nan, nan_ok=True), TrackOutcome.UNTIMED),
    }
    assert tracks["mlp train cuda batch=1024 width=128"].outcome.tolist() == [TrackOutcome.OOM] * 2
    assert tracks["mlp forward cpu batch=64 width=128"].outcome.tolist() == [TrackOutcome.UNTIMED] * 2


def test_writing_as_version_1(tmp_path):
    """The same run has the same file name, digest, columns and rows as in version 1; two are added."""
    path = add(tmp_path, [version_1_run(0), version_1_run(1)])
    assert in_store(path) == in_store(VERSION_1)
    for old, new in zip(files_of(VERSION_1), files_of(path), strict=True):
        query = "SELECT {} FROM read_parquet(?, hive_partitioning = false)"
        ours, theirs = (
            duckdb.connect().execute(query.format(columns), [str(file)])
            for file, columns in ((new, "* EXCLUDE (steps, processes)"), (old, "*"))
        )
        assert ours.description == theirs.description
        assert repr(ours.fetchall()) == repr(theirs.fetchall())


def grown(number, machine=None, **facts):
    """A run of the machine of `VERSION_1`, of which more facts are recorded now."""
    return content(number, [benchmark(FEW, workload="bare")], machine or box("EPYC", f"new{number}", **facts))


def test_class_that_records_more(tmp_path):
    """A run of the same machine continues the series of version 1, under its id."""
    path = tmp_path / "store"
    shutil.copytree(VERSION_1, path)
    [label] = {run.label for run in read_store(VERSION_1).runs}
    add(tmp_path, [grown(5, smt=True), grown(6, smt=False), grown(7, smt=True, numa_nodes=1)])
    archive = read_store(path)
    assert [run.class_id for run in archive.runs] == ["id-EPYC"] * 3 + ["new6", "id-EPYC"]
    assert [machine.class_id for machine in archive.machines] == ["id-EPYC", "new6"]
    assert archive.machines[0].facts["numa_nodes"] == 1
    assert {run.label for run in archive.runs} == {label}
    runs = {(track.class_id, track.case): track.run.tolist() for track in archive.tracks}
    case = "bare train cpu batch=64 width=128"
    assert (runs["id-EPYC", case], runs["new6", case]) == ([2, 4], [3])


def rewrite(file, columns):
    """Replace a file of a store by these columns of it."""
    source = f"read_parquet('{file}', hive_partitioning = false)"
    duckdb.execute(f"COPY (SELECT {columns} FROM {source}) TO '{file}.new' (FORMAT parquet)")
    Path(f"{file}.new").replace(file)


def test_store_of_plain_files(tmp_path):
    """A store of version 1 has no facts of a plain file's machine, but its id."""
    plain = {"machine": "x86_64", "cpu": {"brand_raw": "EPYC"}}
    path = add(tmp_path, [grown(i, plain) for i in range(2)])
    rewrite(files_of(path)[0], "* EXCLUDE steps REPLACE ('{}' AS facts)")
    assert [machine.facts["cpu"] for machine in read_store(path).machines] == ["EPYC"]


@pytest.mark.parametrize("facts", ["'{'", "'[1]'", "NULL"])
def test_unreadable_facts(kept, facts):
    """The id of the class still identifies it."""
    rewrite(files_of(kept)[0], f"* REPLACE ({facts} AS facts)")
    assert len(read_store(kept).machines) == 1


def steps_of(tmp_path, device, steps, phase="train", store="store"):
    """The tracks of a store with a run for each number of steps, `...` where none is recorded."""
    cases = [
        [benchmark([1.0 + i] * 6, device=device, phase=phase, steps=number, peak_memory_bytes=9)]
        for i, number in enumerate(steps)
    ]
    [track] = read_store(add(tmp_path, [content(i, case) for i, case in enumerate(cases)], store)).tracks
    return track


def test_waiting_and_looping(tmp_path):
    """On an accelerator, only steps of the newest one's kind are in its series: with a wait or without."""
    track = steps_of(tmp_path, "cuda", (..., ..., 50, 1))
    np.testing.assert_array_equal(track.time_s, [np.nan, np.nan, 3.0, 4.0])
    assert track.uncounted.tolist() == [0, 1]
    assert track.peak_memory_bytes.tolist() == [9] * 4
    track = steps_of(tmp_path, "cuda", (50, ...), store="older")
    assert (track.time_s[1], track.uncounted.tolist()) == (2.0, [0])


@pytest.mark.parametrize(
    ("device", "phase", "steps"),
    [
        ("cpu", "train", (..., 50)),
        ("cpu@1", "train", (..., 50)),
        ("cuda", "forward", (..., ...)),
        ("cuda", "train_sync", (..., ...)),
        ("cuda", "train", (..., ...)),
        ("cuda", "train", (20, 1000)),
    ],
)
def test_one_kind_of_step(tmp_path, device, phase, steps):
    assert steps_of(tmp_path, device, steps, phase).time_s.tolist() == [1.0, 2.0]


def test_untimed_among_loops(tmp_path):
    """A run that ran out of memory has no steps, and no time to leave out."""
    loop = [benchmark(FEW, device="cuda", steps=50)]
    contents = [content(0, loop), content(1, [], outcomes=[ran_out(64)]), content(2, loop)]
    [track] = read_store(add(tmp_path, contents)).tracks
    assert (track.run.tolist(), track.uncounted.tolist()) == ([0, 1, 2], [])


def test_steps_in_a_store_of_version_1(tmp_path):
    """Its files have no such column."""
    path = add(tmp_path, [content(0, [benchmark(FEW, device="cuda", steps=50)])])
    rewrite(files_of(path)[0], "* EXCLUDE (steps, processes)")
    add(tmp_path, [content(1, [benchmark(FEW, device="cuda", steps=50)])])
    [track] = read_store(path).tracks
    assert track.uncounted.tolist() == [0]
