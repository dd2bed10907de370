"""A store in a bucket has the files, answers and guarantees of a store in a directory."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from breakeven.errors import StorageError, StoreError
from breakeven.history import bucket, store
from breakeven.history.accepted import Acceptance, Direction, add_accepted, read_accepted
from breakeven.history.bucket import Bucket
from breakeven.history.query import read_store
from breakeven.history.storage import StoredFile, open_storage
from support.histories import commit, medians, timed
from support.object_store import keys
from support.run_files import write

FEW = [1.0, 2.0, 4.0]


def write_runs(folder, contents):
    """Write run files and return their paths."""
    return [write(folder / "runs" / f"{i:03}.json", made) for i, made in enumerate(contents)]


def filled(folder, contents, *stores):
    """Add runs to each store."""
    for path in write_runs(folder, contents):
        for one in stores:
            store.add(path, one)


def name_of(url):
    """Return the bucket of a URL."""
    return url.split("/")[2]


# The same as a directory ------------------------------------------------------------------------------------


def test_layout(url, s3, tmp_path):
    """The names and rows are those of a directory."""
    filled(tmp_path, timed(medians(3)), tmp_path / "store", url)
    names = open_storage(tmp_path / "store").names()
    assert open_storage(url).names() == names
    assert keys(s3, name_of(url)) == [f"perf/gpu/{name}" for name in names]
    s3.download_file(name_of(url), f"perf/gpu/{names[1]}", str(tmp_path / "copy.parquet"))
    query = "FROM read_parquet(?, hive_partitioning = false)"
    ours, theirs = (
        duckdb.execute(query, [str(file)]).fetchall()
        for file in (tmp_path / "store" / names[1], tmp_path / "copy.parquet")
    )
    assert repr(ours) == repr(theirs)


def test_whole_bucket(url, tmp_path):
    """A store without a prefix is all of the bucket."""
    root = f"s3://{name_of(url)}"
    filled(tmp_path, timed(medians(2)), f"{root}/")
    assert len(read_store(root).runs) == 2
    assert open_storage(f"{root}/").where("accepted.json") == f"{root}/accepted.json"


def test_commands(url, history, check, tmp_path, monkeypatch):
    """Every action answers as with a directory, and shows the URL."""
    monkeypatch.chdir(tmp_path)
    paths = write_runs(tmp_path, timed(medians(14, step=1.5, at=7)))
    assert history("add", *paths, "--store", "here")[0] == 0
    code, out, _ = history("add", *paths, "--store", url, "--format", "json")
    assert code == 0
    added = [row["path"] for row in json.loads(out)["added"]]
    assert added == [f"{url}/{name}" for name in open_storage("here").names()]
    assert check(url) == check("here")
    assert history("show", "--store", url)[0] == 0
    assert Path(".breakeven/history/page/index.html").is_file()
    accept = ("accept", commit(7), "--reason", "one more layer", "--store")
    assert history(*accept, "here")[0] == 0
    code, out, _ = history(*accept, url)
    assert (code, out.splitlines()[-1]) == (0, f"written to {url}/accepted.json")
    assert open_storage(url).read("accepted.json") == Path("here/accepted.json").read_bytes()
    assert check(url)[0] == 0
    assert check("here", "--accepted", f"{url}/accepted.json")[0] == 0


def test_adding_again(url, s3, tmp_path):
    """The object is not written again."""
    [path] = write_runs(tmp_path, timed(medians(1)))
    first = store.add(path, url)
    key = first.path.removeprefix(f"s3://{name_of(url)}/")
    s3.put_object_tagging(Bucket=name_of(url), Key=key, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    again = store.add(path, url)
    assert (first.new, again.new, again.path) == (True, False, first.path)
    assert s3.get_object_tagging(Bucket=name_of(url), Key=key)["TagSet"]  # which a write would remove


def test_other_objects(url, s3, tmp_path):
    """Only the files of runs are read."""
    filled(tmp_path, timed(medians(2)), url)
    for key in ("perf/gpu/class=a/.x.tmp", "perf/gpu/class=a/b/c.parquet", "perf/gpu2/class=a/x.parquet"):
        s3.put_object(Bucket=name_of(url), Key=key, Body=b"")
    archive = read_store(url)
    assert (len(archive.runs), archive.damaged) == (2, ())


def test_damaged_object(url, s3, tmp_path):
    """It is named by its URL and the others are read; adding over it is refused."""
    filled(tmp_path, timed(medians(3)), url)
    name = open_storage(url).names()[1]
    s3.put_object(Bucket=name_of(url), Key=f"perf/gpu/{name}", Body=b"PAR1")
    archive = read_store(url)
    assert [run.commit for run in archive.runs] == [commit(0), commit(2)]
    assert archive.damaged[0].startswith(f"{url}/{name} cannot be used: it is damaged")
    with pytest.raises(StoreError, match=f"^{url}/{name} is damaged .*; delete it and add its run again"):
        store.add(tmp_path / "runs" / "001.json", url)


def test_removed_while_reading(url, s3, tmp_path, monkeypatch):
    """An object that was removed since the listing is left out."""
    filled(tmp_path, timed(medians(3)), url)
    names = open_storage(url).names()
    monkeypatch.setattr(Bucket, "names", lambda _: names)
    s3.delete_object(Bucket=name_of(url), Key=f"perf/gpu/{names[1]}")
    archive = read_store(url)
    assert (len(archive.runs), archive.damaged) == (2, ())


def test_removed_while_adding(url, tmp_path, monkeypatch):
    """A run whose file disappears while it is compared can be added again."""
    [path] = write_runs(tmp_path, timed(medians(1)))
    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "exists", lambda *_: True)
        with pytest.raises(StoreError, match="add its run again"):
            store.add(path, url)
    assert store.add(path, url).new


def test_copies_are_removed(url, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    filled(tmp_path, timed(medians(3)), url)
    read_store(url)
    with open_storage(url).as_files(open_storage(url).names()) as files:
        assert sorted(files.values()) == sorted((tmp_path / "scratch").rglob("*.parquet"))
    assert [*(tmp_path / "scratch").iterdir()] == []


# Concurrent writers -----------------------------------------------------------------------------------------


def test_faster_writer(url, s3, tmp_path, monkeypatch):
    """A writer never replaces the object of a faster one."""
    [path] = write_runs(tmp_path, timed(medians(1)))
    first = store.add(path, url)
    key = first.path.removeprefix(f"s3://{name_of(url)}/")
    s3.put_object(Bucket=name_of(url), Key=key, Body=b"of the faster one")
    answers = iter([False, True])  # as if the other had finished in between
    monkeypatch.setattr(Bucket, "exists", lambda *_: next(answers))
    assert not store.add(path, url).new
    assert open_storage(url).read(key.removeprefix("perf/gpu/")) == b"of the faster one"


def test_concurrent_adds(url, tmp_path):
    """Of the same and different runs nothing is lost and nothing is there twice."""
    paths = write_runs(tmp_path, timed(medians(12)))
    start = threading.Barrier(6)

    def add_some(i):
        start.wait()
        return [store.add(path, url) for path in paths[i : i + 7]]

    with ThreadPoolExecutor(6) as pool:
        added = [one for some in pool.map(add_some, range(6)) for one in some]
    assert sorted(one.run for one in added if one.new) == paths
    assert [run.commit for run in read_store(url).runs] == [commit(i) for i in range(12)]
    assert read_store(url).damaged == ()


def entry(number):
    """An accepted change."""
    return Acceptance(commit(number), Direction.WORSE, ("mlp",), f"reason {number}", "2026-02-01")


def test_entry_of_a_faster_writer(url):
    """An entry that is added between reading and writing the file stays, in a new and in an old file."""
    file = StoredFile.at(f"{url}/accepted.json")
    for number in (0, 2):
        others = iter([entry(number + 1)])

        def slowly(raw, number=number, others=others):
            for other in others:  # only the first time
                add_accepted([other], file)
            known = [] if raw is None else json.loads(raw)["accepted"]
            mine = {"direction": "worse", "reason": "r", "date": "d", "cases": ["a"]}
            return json.dumps({"schema": 1, "accepted": [*known, mine | {"commit": commit(number)}]}).encode()

        file.update(slowly)
        assert {one.commit for one in read_accepted(file)} == {commit(i) for i in range(number + 2)}


def test_file_removed_by_another(url, s3):
    """A file that is removed between reading and writing is created again."""
    file = StoredFile.at(f"{url}/accepted.json")
    add_accepted([entry(0)], file)
    seen = []

    def slowly(raw):
        seen.append(raw is None)
        s3.delete_object(Bucket=name_of(url), Key="perf/gpu/accepted.json")
        return b"mine"

    file.update(slowly)
    assert (seen, file.read()) == ([False, True], b"mine")


def test_concurrent_accepts(url):
    """No entry is lost."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: add_accepted([entry(i)], f"{url}/accepted.json"), range(16)))
    assert {one.reason for one in read_accepted(f"{url}/accepted.json")} == {f"reason {i}" for i in range(16)}


@pytest.mark.parametrize(("method", "argument"), [("publish", Path.touch), ("update", bytes)])
def test_endless_conflict(url, monkeypatch, method, argument):
    """A writer that never comes first gives up in one line."""
    monkeypatch.setattr(bucket, "MAX_CONFLICTS", 3)
    monkeypatch.setattr(Bucket, "exists", lambda *_: False)
    monkeypatch.setattr(Bucket, "_get", lambda *_: (b"", '"outdated"'))
    open_storage(url).publish("a", Path.touch)
    with pytest.raises(StorageError, match=r"^s3://.*/a: other writers keep changing it; repeat"):
        getattr(open_storage(url), method)("a", argument)


@pytest.mark.slow
def test_concurrent_processes(url, tmp_path):
    """Processes that add and accept at the same time lose nothing."""
    paths = write_runs(tmp_path, timed(medians(12, step=1.3, at=6)))
    code = "import sys\nfrom breakeven.cli import main\nsys.exit(main(['history', *sys.argv[1:]]))"

    def started(*arguments):
        command = [sys.executable, "-c", code, *arguments, "--store", url]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def finish(writers):
        assert [(one.communicate()[1], one.returncode) for one in writers] == [(b"", 0)] * len(writers)

    finish([started("add", *paths[i : i + 6], paths[0]) for i in (0, 2, 4, 6)])
    assert [run.commit for run in read_store(url).runs] == [commit(i) for i in range(12)]
    finish([started("accept", commit(i), "--reason", f"r{i}", "--case", "mlp*") for i in range(4)])
    reasons = {one.reason for one in read_accepted(f"{url}/accepted.json")}
    assert reasons == {f"r{i}" for i in range(4)}
