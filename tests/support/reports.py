"""Reports on synthetic run files, for all tests of reports."""

from dataclasses import replace

from breakeven.report.report import analyze
from breakeven.runs import reader
from support.run_files import affine_run, write


def report(tmp_path, *contents, baseline=None, force=False):
    """The report on run files with these contents; files of different machines have their names."""
    nodes = [content["machine_info"].get("node") for content in contents]
    names = nodes if len(set(nodes)) == len(nodes) > 1 else [f"run{i}" for i in range(len(nodes))]
    paths = [write(tmp_path / f"{name}.json", content) for name, content in zip(names, contents, strict=True)]
    return analyze(reader.read(paths), baseline, force=force)


def only(rows):
    """The only row."""
    (row,) = rows
    return row


def what_ifs(found):
    """Every what-if of a report, those of one scenario together."""
    return [row for change in found.changes for row in change.models]


def box(name="box", class_id=None, state=None, **facts):
    """The `machine_info` of a machine with these class facts."""
    facts = {"cpu": name, "tf32": False, "deterministic": False, "torch": "2.13.0", **facts}
    ours = {"class": facts, "class_id": class_id or f"id-{name}", "state": state or {}}
    return {"node": name, "breakeven": ours}


def hostile(tmp_path, text, machine):
    """A report in which `text` is every string that a file may choose."""
    devices = {"cpu": (1, 1), text: (33, 0.2)}
    content = affine_run(devices, workload=text, axes={text: text}, machine=machine)
    content["benchmarks"][0]["extra_info"]["flags"] = [text]
    ended = {"outcome": text, "reason": text, "fullname": text}
    content["breakeven"] = {"schema": 1, "outcomes": [ended], "command": text}
    content["datetime"] = content["commit_info"]["id"] = text
    return report(tmp_path, content)


def answered(found, answer):
    """The report with another answer."""
    found = replace(found)
    vars(found)["answer"] = answer  # where the cached property keeps its value
    return found
