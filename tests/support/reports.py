"""Reports on synthetic run files, for all tests of reports."""

from breakeven.report.report import analyze
from breakeven.runs import reader
from support.run_files import write


def report(tmp_path, *contents, baseline=None, force=False):
    """The report on run files with these contents."""
    paths = [write(tmp_path / f"run{i}.json", content) for i, content in enumerate(contents)]
    return analyze(reader.read(paths), baseline, force=force)


def only(rows):
    """The only row."""
    (row,) = rows
    return row


def box(name="box", class_id=None, state=None, **facts):
    """The `machine_info` of a machine with these class facts."""
    facts = {"cpu": name, "tf32": False, "deterministic": False, "torch": "2.13.0", **facts}
    ours = {"class": facts, "class_id": class_id or f"id-{name}", "state": state or {}}
    return {"node": name, "breakeven": ours}
