"""The store: one whole file a run or none, whoever writes, whatever is read."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

from breakeven.errors import RunFileError, StoreError
from breakeven.history import store
from breakeven.history.query import OOM, files_of, read_store
from support.histories import add, commit, content, medians, ran_out, timed
from support.reports import box
from support.run_files import benchmark, run, write

FEW = [1.0, 2.0, 4.0]


@pytest.fixture
def kept(tmp_path):
    """A store of three runs."""
    return add(tmp_path, timed(medians(3)))


def in_store(path):
    """Every name below a store."""
    return sorted(str(found.relative_to(path)) for found in Path(path).rglob("*") if found.is_file())


def test_a_run_becomes_one_parquet_file_with_its_raw_rounds(tmp_path):
    where = tmp_path / "store"
    times = np.random.default_rng(0).random(50).tolist()
    made = store.add(write(tmp_path / "r.json", content(0, [benchmark(times, flags=["noisy"])])), where)
    assert made.path.parent.name == "class=id-EPYC"
    assert made.path.name.startswith("20260101T000000Z-")
    rows = duckdb.execute("FROM read_parquet(?, hive_partitioning = false)", [str(made.path)]).fetchnumpy()
    assert rows["times_s"][0].tolist() == times
    assert rows["case"][0] == "mlp train cpu batch=64 width=128"
    assert (rows["commit"][0], rows["branch"][0], rows["dirty"][0]) == (commit(0), "main", False)
    assert rows["flags"][0].tolist() == ["noisy"]
    codec = duckdb.execute("SELECT DISTINCT compression FROM parquet_metadata(?)", [str(made.path)])
    assert codec.fetchall() == [("ZSTD",)]


def test_adding_a_run_again_changes_nothing_even_from_a_copy_in_another_order(tmp_path):
    cases = [benchmark(FEW, batch_size=size) for size in (1, 2)]
    first = store.add(write(tmp_path / "a.json", content(0, cases)), tmp_path / "store")
    before = (first.path.stat().st_mtime_ns, first.path.read_bytes())
    again = store.add(write(tmp_path / "b.json", content(0, cases[::-1])), tmp_path / "store")
    assert (first.new, again.new) == (True, False)
    assert (again.path.stat().st_mtime_ns, again.path.read_bytes()) == before
    assert len(in_store(tmp_path / "store")) == 1


def test_medians_are_recomputed_from_the_rounds_and_taken_from_the_file_only_without_them(tmp_path):
    bare = benchmark([1.0], workload="bare")
    bare["stats"] = {"median": 7.0}
    path = add(tmp_path, [content(0, [benchmark(FEW), bare])])
    assert {t.workload: t.time_s.tolist() for t in read_store(path).tracks} == {"mlp": [2.0], "bare": [7.0]}
    [file] = files_of(path)
    stored = duckdb.execute("SELECT workload, median_s FROM read_parquet(?)", [str(file)]).fetchall()
    assert sorted(stored) == [("bare", 7.0), ("mlp", None)]


def test_runs_come_back_by_time_whatever_order_they_were_added_in(tmp_path):
    contents = timed(medians(6))
    path = add(tmp_path, [contents[i] for i in (3, 0, 5, 1, 4, 2)])
    archive = read_store(path)
    assert [run.commit for run in archive.runs] == [commit(i) for i in range(6)]
    [track] = archive.tracks
    assert track.run.tolist() == list(range(6))
    np.testing.assert_allclose(track.time_s, medians(6))


def test_a_case_without_a_timing_keeps_its_outcome(tmp_path):
    path = add(tmp_path, [content(0, [benchmark(FEW)], outcomes=[ran_out(128)])])
    marks = {track.batch_size: int(track.ended[0]) for track in read_store(path).tracks}
    assert marks == {64: 0, 128: OOM}


def test_foreign_benchmarks_and_machines_are_kept_by_their_own_names(tmp_path):
    foreign = {"name": "test_x", "fullname": "t.py::test_x[1]", "stats": {"data": FEW}}
    path = add(tmp_path, [run([foreign])])
    archive = read_store(path)
    assert [track.case for track in archive.tracks] == ["t.py::test_x[1]"]
    assert archive.runs[0].label == "AMD EPYC, 2 cores"


@pytest.mark.parametrize(
    "class_id",
    ["../../evil", "a/b", "a=b", "x" * 300, ".hidden", "a b\nc", "\u00e9\u4e2d", "..", "\ud800", "a'b"],
)
def test_no_class_id_leads_out_of_the_store_or_into_another_class(tmp_path, class_id):
    contents = [
        content(i, [benchmark(FEW)], machine=box(class_id=c)) for i, c in enumerate((class_id, "abc"))
    ]
    path = add(tmp_path, contents)
    assert [name.count("/") for name in in_store(path)] == [1, 1]
    assert in_store(tmp_path) == sorted([*(f"store/{name}" for name in in_store(path)), *in_runs(tmp_path)])
    assert len({run.class_id for run in read_store(path).runs}) == 2


def in_runs(tmp_path):
    """The run files that a test wrote."""
    return [f"runs/{name}" for name in in_store(tmp_path / "runs")]


def test_a_store_whose_path_looks_like_a_pattern_is_read(tmp_path):
    path = add(tmp_path, timed(medians(2)), store="st[a]*re's ?")
    assert len(read_store(path).runs) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ('{"benchmarks": [', "cut off"),
        ("[]", "not a pytest-benchmark file"),
        ({**run([]), "benchmarks": []}, "holds no benchmarks"),
        ({**run([benchmark(FEW)]), "datetime": "yesterday"}, "'yesterday' is no date"),
        ({**run([benchmark(FEW)]), "datetime": None}, "nothing is no date"),
        ({**run([benchmark(FEW)]), "datetime": "0001-01-01T00:00:00+14:00"}, "is no date"),
    ],
)
def test_what_is_no_run_is_refused_in_one_line_and_makes_no_store(tmp_path, text, words):
    path = write(tmp_path / "bad.json", text)
    with pytest.raises(RunFileError, match=words) as caught:
        store.add(path, tmp_path / "store")
    assert len(str(caught.value).splitlines()) == 1
    assert "bad.json" in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_what_a_killed_writer_left_is_not_read(kept):
    file = files_of(kept)[0]
    (file.parent / f".{file.stem}.77-ab.tmp").write_bytes(b"PAR1 half")
    assert len(read_store(kept).runs) == 3
    assert read_store(kept).damaged == ()


def test_a_writer_that_is_overtaken_leaves_the_other_file_alone(tmp_path, monkeypatch):
    path = write(tmp_path / "r.json", content(0, [benchmark(FEW)]))
    first = store.add(path, tmp_path / "store")
    before = first.path.read_bytes()
    monkeypatch.setattr(Path, "exists", lambda _path: False)  # it looked before the other was done
    assert not store.add(path, tmp_path / "store").new
    assert first.path.read_bytes() == before
    assert len(in_store(tmp_path / "store")) == 1


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch, kept, call):
    before = in_store(kept)

    def full(*arguments, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    if call == "link":
        monkeypatch.setattr(Path, "rename", full)
    path = write(tmp_path / "r.json", content(9, [benchmark(FEW)]))
    with pytest.raises(StoreError, match=r"No space left on device\); nothing of it was added: make room"):
        store.add(path, kept)
    assert in_store(kept) == before


def test_a_write_that_the_system_cuts_short_leaves_nothing(tmp_path, kept):
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


def test_a_file_system_without_links_is_written_to_all_the_same(tmp_path, monkeypatch):
    def refuse(*arguments, **kwargs):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = write(tmp_path / "r.json", content(0, [benchmark(FEW)]))
    assert [store.add(path, tmp_path / "store").new for _ in range(2)] == [True, False]
    assert len(read_store(tmp_path / "store").runs) == 1


def test_writers_at_once_lose_nothing_whether_their_runs_are_the_same_or_not(tmp_path):
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
    """Spoil a file of a store."""
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
def test_a_damaged_file_is_named_and_the_rest_is_read(kept, how):
    spoilt = files_of(kept)[1]
    damage(spoilt, how)
    archive = read_store(kept)
    assert [run.commit for run in archive.runs] == [commit(0), commit(2)]
    [line] = archive.damaged
    assert line.startswith(f"{spoilt} cannot be used: ")
    assert (
        "upgrade breakeven" if how == "newer" else "of the store" if how == "foreign" else "delete it"
    ) in line
    assert "\n" not in line
    assert read_store(kept).tracks[0].time_s.shape == (2,)


def test_all_files_damaged_is_an_empty_archive(kept):
    for file in files_of(kept):
        damage(file, "cut")
    archive = read_store(kept)
    assert (archive.runs, archive.tracks, len(archive.damaged)) == ((), (), 3)


def test_adding_over_a_damaged_file_says_so_and_deleting_it_mends_the_store(tmp_path, kept):
    spoilt = files_of(kept)[0]
    damage(spoilt, "cut")
    path = write(tmp_path / "again.json", timed(medians(3))[0])
    with pytest.raises(StoreError, match=r"is damaged .* delete it and add its run again"):
        store.add(path, kept)
    spoilt.unlink()
    assert store.add(path, kept).new
    assert read_store(kept).damaged == ()


def test_a_copy_of_a_file_counts_once(kept):
    file = files_of(kept)[0]
    file.with_name(f"copy-of-{file.name}").write_bytes(file.read_bytes())
    archive = read_store(kept)
    assert len(archive.runs) == 3
    assert archive.tracks[0].run.tolist() == [0, 1, 2]


def test_a_file_that_vanishes_while_we_read_is_as_if_it_had_never_been_there(kept, monkeypatch):
    listed = files_of(kept)
    monkeypatch.setattr("breakeven.history.query.files_of", lambda _store: listed)
    listed[1].unlink()
    archive = read_store(kept)
    assert (len(archive.runs), archive.damaged) == (2, ())


def test_files_of_an_older_and_a_newer_breakeven_are_read_together(kept):
    file = files_of(kept)[0]
    duckdb.execute(
        f"COPY (SELECT *, 1 AS later FROM read_parquet('{file}', hive_partitioning = false)) "
        f"TO '{file}.new' (FORMAT parquet)"
    )
    Path(f"{file}.new").replace(file)
    assert len(read_store(kept).runs) == 3


def test_one_branch_can_be_read_alone(tmp_path):
    contents = [content(i, [benchmark(FEW)], branch="main" if i % 2 else "topic") for i in range(4)]
    archive = read_store(add(tmp_path, contents), "main")
    assert [run.commit for run in archive.runs] == [commit(1), commit(3)]
    assert archive.tracks[0].run.tolist() == [0, 1]


@pytest.mark.parametrize("what", ["missing", "file"])
def test_what_is_no_store_is_said_with_the_remedy(tmp_path, what):
    if what == "file":
        (tmp_path / "file").write_text("")
    with pytest.raises(
        StoreError, match=r"is no store of runs .* `breakeven history add RUN.json --store DIR`"
    ):
        read_store(tmp_path / what)


def test_text_that_parquet_cannot_hold_is_shown_by_its_numbers(tmp_path):
    path = add(tmp_path, [content(0, [benchmark(FEW, workload="a\ud800b\0c")])])
    assert read_store(path).tracks[0].workload == "a\\ud800b\\x00c"
