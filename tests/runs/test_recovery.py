"""The run file of a journal: its timed cases, and why the others have no timing."""

import pytest

from breakeven import cli
from breakeven.runs.journal import read_journal
from breakeven.runs.reader import read
from breakeven.runs.recovery import recovered_json, recovered_name, run_file_of
from support.journals import begun, ended, identity, process, run_started, timed, untimed, write


@pytest.fixture
def content(tmp_path):
    """Return a function from lines to the run file of the journal of two processes."""
    return lambda *lines: run_file_of(
        read_journal(write(tmp_path / "run.json.journal", run_started("abc", 2), *lines))
    )


def test_stopped_run(content, tmp_path):
    found = content(process(0), timed("a", 0, 2.0, 1.0), untimed("b", 0, "oom", "big"), begun("c"))

    [a] = found["benchmarks"]
    assert (a["fullname"], a["stats"]["data"], a["stats"]["iterations"]) == ("a", [2.0, 1.0], 1)
    assert (a["stats"]["median"], a["stats"]["rounds"], a["stats"]["min"]) == (1.5, 2, 1.0)
    assert a["extra_info"]["processes"] == [2, 0]
    assert found["breakeven"]["outcomes"] == [
        {"fullname": "b", "outcome": "oom", "reason": "big", "extra_info": identity("b")},
        {
            "fullname": "c", "outcome": "skipped", "reason": "not reached: the run was stopped before it",
            "extra_info": identity("c"),
        },
    ]  # fmt: skip
    assert found["breakeven"]["complete"] is False
    assert found["machine_info"] == {"node": "n", "breakeven": {"class_id": "x", "state": {}}}
    path = tmp_path / "run.recovered.json"
    path.write_bytes(recovered_json(found))
    [run] = read(path).runs
    assert [list(case.samples[0]) for case in run.cases.values()] == [[2.0, 1.0]]


def test_whole_run(content):
    lines = [process(0), *(timed(name, 0, 1.0) for name in "abc"), ended(0)]
    lines += [process(1), *(timed(name, 1, 2.0) for name in "cba"), ended(1)]

    found = content(*lines)

    assert [item["fullname"] for item in found["benchmarks"]] == ["a", "b", "c"]
    assert found["breakeven"]["outcomes"] == []
    assert found["breakeven"]["complete"] is True
    assert (found["breakeven"]["wall_s"], found["breakeven"]["spent_s"]) == (4.0, {"timing": 3.0})
    assert found["breakeven"]["settings"] == {"a": "b"}
    assert found["datetime"] == "2026-01-01T00:00:00+00:00"


def test_nothing_measured(content):
    found = content()
    assert found["benchmarks"] == []
    assert len(found["breakeven"]["outcomes"]) == 3
    assert found["machine_info"] == {"node": "n"}


@pytest.mark.parametrize("name", ["run.json.journal", "run.json.journal.old"])
def test_name(tmp_path, name):
    assert recovered_name(tmp_path / name) == tmp_path / "run.recovered.json"


def test_the_journal_is_not_replaced(tmp_path, capsys):
    path = write(tmp_path / "run.json.journal", run_started("a", 1), process(0), timed("a", 0, 1.0))
    before = path.read_bytes()

    assert cli.main(["recover", str(path), "-o", str(path)]) == 2

    assert path.read_bytes() == before
    assert "is the journal; name another file, such as" in capsys.readouterr().err
