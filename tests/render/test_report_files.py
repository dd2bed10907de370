"""A report is written completely or not at all."""

from pathlib import Path

import pytest

from breakeven.errors import UsageError
from breakeven.render import report_files
from support.reports import report
from support.run_files import affine_run


def gpu(tmp_path):
    """A small report."""
    return report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))


def test_write_report(tmp_path):
    written = report_files.write_report(gpu(tmp_path), tmp_path / "deep" / "out", "1")
    names = [path.name for path in written]
    assert names[-1] == "index.html", "the page is renamed last"
    assert {"summary.csv", "summary.md", "throughput.svg", "speedup.svg", "speedup.png"} <= set(names)
    assert {"break_even.svg", "break_even.png"} <= set(names)
    assert sorted(path.name for path in (tmp_path / "deep" / "out").iterdir()) == sorted(names)
    assert all(path.stat().st_size for path in written)
    assert all(path.stat().st_mode & 0o044 for path in written), "others may read a report"


def test_figure_of_an_older_report(tmp_path):
    """One that the new report does not have is removed."""
    out = tmp_path / "out"
    out.mkdir()
    for name in ("memory.svg", "step_time.svg", "efficiency.png", "mine.svg"):
        (out / name).write_text("old")
    names = {path.name for path in report_files.write_report(gpu(tmp_path), out, "1")}
    assert "memory.svg" not in names, "no memory was counted this time"
    assert {path.name for path in out.iterdir()} == {*names, "mine.svg"}


def test_nothing_compared(tmp_path):
    """The chart of the older report is removed, also as PNG."""
    report_files.write_report(gpu(tmp_path), tmp_path / "out", "1")
    report_files.write_report(report(tmp_path, affine_run({"cpu": (1, 1)})), tmp_path / "out", "1")
    assert not list((tmp_path / "out").glob("break_even.*"))


def test_old_files_stay(tmp_path):
    """If a new file cannot be written, all old ones are kept."""
    out = tmp_path / "out"
    report_files.write_files({"a": b"old", "b": b"old"}, out)
    with pytest.raises(UsageError, match="-o DIR"):
        report_files.write_files({"a": b"new", "b/c": b"new"}, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {"a": b"old", "b": b"old"}


def test_directory_in_place_of_a_file(tmp_path):
    report_files.write_files({"a": b"old"}, tmp_path)
    (tmp_path / "b").mkdir()
    with pytest.raises(UsageError, match="b is a directory"):
        report_files.write_files({"a": b"new", "b": b"new"}, tmp_path)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(UsageError) as caught:
        report_files.write_report(gpu(tmp_path), tmp_path / "out", "1")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "out").read_text() == "precious"


def test_page_is_never_half_written(tmp_path, monkeypatch):
    out = tmp_path / "out"
    report_files.write_report(gpu(tmp_path), out, "1")
    before = (out / "index.html").read_bytes()

    def full(self, target):
        if Path(target).name == "index.html":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    replace = Path.replace
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match="No space left on device"):
        report_files.write_report(gpu(tmp_path), out, "2")
    assert (out / "index.html").read_bytes() == before
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
