"""A report is written whole or not at all."""

from pathlib import Path

import pytest

from breakeven.errors import UsageError
from breakeven.render import report_files
from breakeven.render.report_tables import tables
from support.reports import report
from support.run_files import affine_run, benchmark, run


def gpu(tmp_path):
    """A small record."""
    return report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))


def test_page_texts_and_figures_are_written_and_nothing_else(tmp_path):
    written = report_files.write_report(gpu(tmp_path), tmp_path / "deep" / "out", "1")
    names = [path.name for path in written]
    assert names[-1] == "index.html", "the page is renamed last"
    assert {"summary.csv", "summary.md", "step_time.svg", "speedup.svg", "speedup.png"} <= set(names)
    assert sorted(path.name for path in (tmp_path / "deep" / "out").iterdir()) == sorted(names)
    assert all(path.stat().st_size for path in written)
    assert all(path.stat().st_mode & 0o044 for path in written), "others may read a report"


def test_a_figure_that_an_older_report_had_and_this_one_has_not_is_taken_away(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("memory.svg", "mine.svg"):
        (out / name).write_text("old")
    report_files.write_report(gpu(tmp_path), out, "1")
    assert not (out / "memory.svg").exists(), "no memory was counted this time"
    assert (out / "mine.svg").exists()


def test_an_old_report_is_left_whole_when_a_new_one_cannot_be_written(tmp_path):
    out = tmp_path / "out"
    report_files.write_files({"a": b"old", "b": b"old"}, out)
    with pytest.raises(UsageError, match="choose another with -o DIR"):
        report_files.write_files({"a": b"new", "b/c": b"new"}, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {"a": b"old", "b": b"old"}


def test_an_old_report_is_left_whole_when_a_directory_stands_in_a_files_place(tmp_path):
    report_files.write_files({"a": b"old"}, tmp_path)
    (tmp_path / "b").mkdir()
    with pytest.raises(UsageError, match="b is a directory"):
        report_files.write_files({"a": b"new", "b": b"new"}, tmp_path)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_file_in_the_directorys_place_is_refused_in_one_line(tmp_path):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(UsageError) as caught:
        report_files.write_report(gpu(tmp_path), tmp_path / "out", "1")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "out").read_text() == "precious"


def test_a_page_that_is_shown_while_it_is_written_is_whole(tmp_path, monkeypatch):
    out = tmp_path / "out"
    report_files.write_report(gpu(tmp_path), out, "1")
    before = (out / "index.html").read_bytes()

    def full(self, target):
        if self.name.startswith(".index.html."):
            raise OSError(28, "No space left on device")
        return replace(self, target)

    replace = Path.replace
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match="No space left on device"):
        report_files.write_report(gpu(tmp_path), out, "2")
    assert (out / "index.html").read_bytes() == before
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_a_skewed_interval_is_told_by_its_ends(tmp_path):
    times = [1.0] * 5 + [4.0] * 4
    found = report(tmp_path, run([benchmark(times), benchmark(times, device="cuda")]))
    assert tables(found)[0].rows[0][2] == "1.00 s [1.00 s–4.00 s]"
