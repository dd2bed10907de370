"""Two installations take turns, and each pair gives a ratio."""

from pathlib import Path

import pages
import pytest


def test_by_turns(monkeypatch):
    """The order is reversed in every second pair; the ratio is the median of the pairs' own."""
    calls = []
    seconds = {"old": iter([1.0, 2.0, 4.0] * 3), "new": iter([2.0, 4.0, 8.0] * 3)}

    def report_once(python, files):
        calls.append(python)
        return next(seconds[python]), {"old": 10, "new": 20}[python]

    monkeypatch.setattr(pages, "report_once", report_once)
    found = pages.by_turns({"before": "old", "after": "new"}, [Path("run.json")], 6)
    assert calls == ["old", "new", "new", "old"] * 3
    assert (found["ratio"], found["low"], found["high"], found["n"]) == (2.0, 2.0, 2.0, 6)
    assert (found["before_s"], found["after_s"]) == (2.0, 4.0)
    assert (found["before_page_bytes"], found["after_page_bytes"]) == (10, 20)


def test_failed_report():
    with pytest.raises(SystemExit, match=r"no-such\.json"):
        pages.report_once(pages.sys.executable, [Path("no-such.json")])


def test_committed_runs():
    """The runs that are reported exist."""
    assert all((pages.RUNS / name).is_file() for names in pages.REPORTS.values() for name in names)
