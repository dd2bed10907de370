"""A report is written whole or not at all."""

import pytest

from breakeven.analysing import record, runs
from breakeven.errors import UsageError
from breakeven.reporting import files
from run_files import affine_run, write


def report(tmp_path):
    """A small record."""
    path = write(tmp_path / "run.json", affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))
    return record.analyse(runs.read([path]))


def test_every_file_of_the_registry_is_written_and_nothing_else(tmp_path):
    written = files.write_report(report(tmp_path), tmp_path / "deep" / "out", "1")
    assert {path.name for path in written} == {"summary.csv", "summary.md", "speedup.svg", "speedup.png"}
    assert sorted(path.name for path in (tmp_path / "deep" / "out").iterdir()) == sorted(
        p.name for p in written
    )
    assert all(path.stat().st_size for path in written)
    assert all(path.stat().st_mode & 0o044 for path in written), "others may read a report"


def test_an_old_report_is_left_whole_when_a_new_one_cannot_be_written(tmp_path):
    out = tmp_path / "out"
    files.write_files({"a": b"old", "b": b"old"}, out)
    with pytest.raises(UsageError, match="choose another with -o DIR"):
        files.write_files({"a": b"new", "b/c": b"new"}, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {"a": b"old", "b": b"old"}


def test_a_file_in_the_directorys_place_is_refused_in_one_line(tmp_path):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(UsageError) as caught:
        files.write_report(report(tmp_path), tmp_path / "out", "1")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "out").read_text() == "precious"
