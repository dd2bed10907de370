"""The journal of a run: what is read of a whole, a cut or a damaged one, and what may be resumed."""

import errno
import os
import stat
from pathlib import Path

import pytest

from breakeven.errors import NewerSchemaError, RunFileError, UsageError
from breakeven.runs import journal as module
from breakeven.runs.journal import (
    JournalFile,
    JournalUnwritableError,
    LoadRead,
    Share,
    encoded,
    read_journal,
    refuse_differences,
)
from support.journals import begun, ended, process, run_started, timed, untimed, write


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.json.journal"


def test_round_trip(path):
    write(path, run_started(), process(0), begun("a"), timed("a", 0, 1.0, 2.0), begun("b"))

    journal = read_journal(path)

    assert journal.run == run_started()
    assert journal.started == {(0, ""): process(0)}
    assert journal.whole("a", 0) == timed("a", 0, 1.0, 2.0)
    assert (journal.ended["a"][0].outcome, journal.ended["a"][0].seconds) == ("timed", 1.0)
    assert journal.begun == begun("b")


@pytest.mark.parametrize(
    "line", [timed("b", 0, 3.0), untimed("b", 0), process(0)], ids=lambda line: type(line)
)
def test_what_ends_a_begun_case(path, line):
    write(path, run_started(), process(0), begun("b"), line)

    assert read_journal(path).begun is None


def test_read_on(path):
    """Only what was appended since is read, and a line only when it is whole."""
    write(path, run_started(), timed("a", 0, 1.0))
    journal = read_journal(path)
    line = encoded(timed("b", 0, 2.0)) + b"\n"

    with path.open("ab", buffering=0) as file:
        file.write(line[:20])
        assert list(journal.read_on()) == []
        file.write(line[20:])
    assert list(journal.read_on()) == [timed("b", 0, 2.0)]
    assert list(journal.read_on()) == []
    assert journal.whole("b", 0).data == [2.0]


def test_cut_line(path):
    """The next writer ends it; what follows is read."""
    write(path, run_started(), timed("a", 0, 1.0))
    with path.open("ab") as file:
        file.write(encoded(timed("b", 0, 2.0))[:30])
    assert "b" not in read_journal(path).ended

    write(path, timed("b", 0, 3.0))

    assert read_journal(path).whole("b", 0).data == [3.0]
    assert read_journal(path).whole("a", 0).data == [1.0]


@pytest.mark.parametrize(
    "damage", [b"\x00\x00\n", b"{}\n", b"[" * 100_000 + b"\n", b"\xff\xfe\n", b'{"kind":"end"}\n', b"\n"]
)
def test_damaged_line(path, damage):
    write(path, run_started())
    with path.open("ab") as file:
        file.write(damage)
    write(path, timed("a", 0, 1.0))

    assert read_journal(path).whole("a", 0).data == [1.0]


def test_lone_surrogates(path):
    """They cannot be encoded in UTF-8, but in JSON."""
    line = untimed("a", 0, reason="\udcff", stack=["\ud800"])
    write(path, run_started(), line)

    journal = read_journal(path)

    assert journal.ended["a"][0].reason == "\udcff"
    assert journal.whole("a", 0) == line


def test_values_that_json_lacks(path):
    write(path, run_started(), timed("a", 0, 1.0, dtype=stat, half_width=float("nan")))

    info = read_journal(path).whole("a", 0).extra_info
    assert info["dtype"] == str(stat)
    assert info["half_width"] is None


def test_newer_schema(path):
    write(path, run_started(schema=99))
    with pytest.raises(NewerSchemaError, match="99"):
        read_journal(path)


@pytest.mark.parametrize("content", [b"", b"{}\n", b"{", encoded(timed("a", 0, 1.0)) + b"\n", b"\xff\n"])
def test_not_a_journal(path, content):
    path.write_bytes(content)
    with pytest.raises(RunFileError, match=r"journal: is not the journal of a run: .*; give the"):
        read_journal(path)


def test_a_journal_that_cannot_be_read(tmp_path):
    with pytest.raises(RunFileError, match="cannot be read"):
        read_journal(tmp_path)


def test_left(path):
    """Later processes leave out what the first did not time, and phases that fewer processes take."""
    cases = ("a", "b", "a:forward")
    write(
        path, run_started(cases, processes=5), timed("a", 0, 1.0), untimed("b", 0), timed("a:forward", 0, 1.0)
    )

    journal = read_journal(path)

    assert [journal.left(Share(number)) for number in range(5)] == [
        [], ["a", "a:forward"], ["a"], ["a"], ["a"]
    ]  # fmt: skip
    assert not journal.is_complete


def test_complete(path):
    write(path, run_started(("a",), 2), timed("a", 0, 1.0), untimed("a", 1))
    assert read_journal(path).is_complete


def test_hand_on(path):
    lines = [timed("a", number, 1.0) for number in range(3)]
    for number, line in enumerate(lines):
        line.hand_on = {"from": number}
    write(path, run_started(), lines[0], untimed("a", 1), lines[2])

    journal = read_journal(path)
    assert journal.hand_on("a", 0) == []
    assert journal.hand_on("a", 3) == [{"from": 0}, {"from": 2}]


def test_lock(path):
    first, second = JournalFile(path), JournalFile(path)
    assert first.lock()
    assert not second.lock()
    first.close()
    assert second.lock()


def test_a_partial_write_is_continued(path, monkeypatch):
    """A full disk takes a part of a line, and refuses the rest; the next line begins again."""
    file = JournalFile(path)
    file.write(run_started())
    real, sizes = os.write, [7, None]

    def write_some(handle, raw):
        size = sizes.pop(0) if sizes else len(raw)
        if size is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, raw[:size])

    monkeypatch.setattr(module.os, "write", write_some)
    with pytest.raises(JournalUnwritableError, match="No space left"):
        file.write(timed("a", 0, 1.0))
    file.write(timed("b", 0, 2.0))

    assert set(read_journal(path).ended) == {"b"}


def test_one_write(path, monkeypatch):
    """A line is written at once, so that those of two processes do not mix."""
    file, real, written = JournalFile(path), os.write, []
    monkeypatch.setattr(module.os, "write", lambda handle, raw: written.append(raw) or real(handle, raw))
    lines = [run_started(), process(0)]
    for line in lines:
        file.write(line)
    assert written == [encoded(line) + b"\n" for line in lines]


def test_two_writers(path):
    """Each appends, wherever the other has ended."""
    first, second = JournalFile(path), JournalFile(path)
    for file, line in ((first, run_started()), (second, process(0)), (first, timed("a", 0, 1.0))):
        file.write(line)
    journal = read_journal(path)
    assert (journal.started, set(journal.ended)) == ({(0, ""): process(0)}, {"a"})


def test_flush(path, monkeypatch):
    """It waits for the disk, whose errors are refusals."""
    file, synced = JournalFile(path), []
    monkeypatch.setattr(module.os, "fsync", synced.append)
    file.flush()
    assert synced == [file._file]

    def fail(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module.os, "fsync", fail)
    with pytest.raises(JournalUnwritableError, match=r"run.json.journal cannot be written \(Input/output"):
        file.flush()


def test_loads(path):
    """In the order in which they were read; they end no case."""
    loads = [{"cpus": 2, "lost_cpus": 0.5}, {"cpus": 2, "lost_cpus": None}]
    write(path, run_started(), process(0), begun("a"), *(LoadRead(load=load) for load in loads))

    journal = read_journal(path)

    assert journal.loads == loads
    assert journal.begun == begun("a")


@pytest.mark.parametrize(
    ("outcome", "is_timed", "is_failure"),
    [("timed", True, False), ("failed", False, True), ("crashed", False, True), ("oom", False, False)],
)
def test_stored(path, outcome, is_timed, is_failure):
    write(path, run_started(), untimed("a", 0, outcome, data=[1.0]))
    stored = read_journal(path).ended["a"][0]
    assert (stored.is_timed, stored.is_failure) == (is_timed, is_failure)


def test_a_line_that_another_process_left_cut(path):
    """A process was killed while it wrote; what the coordinator writes next is read."""
    file = JournalFile(path)
    file.write(run_started())
    with path.open("ab") as other:
        other.write(encoded(timed("a", 0, 1.0))[:20])
    file.write(timed("b", 0, 2.0))

    assert set(read_journal(path).ended) == {"b"}


def test_another_current_directory(path, monkeypatch, tmp_path_factory):
    """As in a benchmark with a fixture that changes it."""
    monkeypatch.chdir(path.parent)
    write(path, run_started(), timed("a", 0, 1.0))
    journal = read_journal(path.name)

    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    assert journal.whole("a", 0) == timed("a", 0, 1.0)
    assert list(journal.read_on()) == []
    assert journal.path == Path(path.name)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"processes": 4}, "processes was 3 and is 4"),
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"settings": {"torch": "3"}}, "torch was 2 and is 3"),
        ({"sources": {"bench/bench_a.py": "1"}}, "bench/bench_a.py has changed"),
        ({"sources": {}}, "bench/bench_a.py has changed"),
        ({"cases": ("a",)}, "1 of its cases are gone and 0 are new, such as b"),
        ({"cases": ("a", "b", "c")}, "0 of its cases are gone and 1 are new, such as c"),
    ],
)
def test_differences(path, changed, text):
    journal = read_journal(write(path, run_started()))
    with pytest.raises(UsageError, match=f"run.json.journal: {text}; measure again"):
        refuse_differences(journal, run_started(**changed))


def test_several_differences(path):
    """The first three are named."""
    journal = read_journal(write(path, run_started()))
    changed = run_started(processes=4, seed=1, settings={"torch": "3"}, sources={})
    named = "processes was 3 and is 4; seed was 0 and is 1; torch was 2 and is 3; measure again"
    with pytest.raises(UsageError, match=named):
        refuse_differences(journal, changed)


def test_no_differences(path):
    """When and where it began may differ, and how it was called."""
    journal = read_journal(write(path, run_started(), ended(0)))
    refuse_differences(
        journal, run_started(pid=9, began="now", command="python -m pytest", machine_info={}, commit_info={})
    )


def test_shares(path):
    """Each process of a run is followed by a group for each device of several."""
    cases = ("a@2xcpu", "a", "b@4xcpu", "b@2xcpu", "b")
    write(
        path, run_started(cases, processes=2), timed("a@2xcpu", 0, 1.0), timed("a", 0, 1.0), untimed("b", 0)
    )

    journal = read_journal(path)

    assert journal.shares == [(0, ""), (0, "2xcpu"), (0, "4xcpu"), (1, ""), (1, "2xcpu"), (1, "4xcpu")]
    assert {tuple(share): journal.left(share) for share in journal.shares} == {
        (0, ""): [], (0, "2xcpu"): ["b@2xcpu"], (0, "4xcpu"): ["b@4xcpu"],
        (1, ""): ["a"], (1, "2xcpu"): ["a@2xcpu"], (1, "4xcpu"): [],
    }  # fmt: skip
    assert journal.wanted(Share(0, "2xcpu")) == ["a@2xcpu", "b@2xcpu"]
    assert not journal.is_complete


def test_shares_of_groups_only(path):
    write(path, run_started(("a@2xcpu",), processes=1))
    assert read_journal(path).shares == [(0, "2xcpu")]


@pytest.mark.parametrize(
    "line",
    [
        timed("a", 0, 1.0, evidence=7),
        timed("a", 0, 1.0, flags="noisy"),
        timed("a", 0, 1.0, warmup_rounds="2"),
        timed("a", 0, 1e300),
        timed("a", 0, float("nan")),
        timed("a", 0),
        ended(0, canary={"cpu": {"start": {"median_s": "1"}}}),
        ended(0, retimed={}),
    ],
)
def test_unusable_facts(path, line):
    """A line with facts that cannot be joined is ignored, and the others are kept."""
    write(path, run_started(), process(0), line, timed("b", 0, 1.0))
    journal = read_journal(path)
    assert (list(journal.ended), journal.finished) == (["b"], {})


@pytest.mark.parametrize(
    "fields", [{"processes": 10**9}, {"cases": {"a": {"phase": {}}}}, {"cases": {"a": {"device": 1}}}]
)
def test_unusable_run(path, fields):
    given = {"cases": ("a",), **fields}
    line = run_started(
        **{name: value for name, value in given.items() if name != "cases" or name not in fields}
    )
    if "cases" in fields:
        line.cases = fields["cases"]
    write(path, line)
    with pytest.raises(RunFileError, match="is not the journal of a run"):
        read_journal(path)
