"""Each output of a report shows the same numbers, and no string from a file is obeyed."""

import csv
import io
import json
import re

import jsonschema
import pytest

from breakeven.render import break_even_text, report_tables, summary_tables
from breakeven.render.how_made import how_made
from breakeven.render.json_output import json_schema
from breakeven.render.report_data import ReportJson, to_csv, to_json
from breakeven.render.report_markdown import to_markdown
from support.reports import box, hostile, only, report
from support.run_files import affine_run, benchmark, outcome, run
from support.terminals import terminal_lines as terminal

HOSTILE = '=cmd|"/c calc"!A1`<script>alert(1)</script>|[x](http://evil)\x1b[31m\r\n[red]$x_1$ @user'


def crossing(tmp_path):
    """A report with a break-even, a never, flags, a hole, few rounds and outcomes."""
    content = affine_run({"cpu": (1e-3, 1e-3), "cuda": (33e-3, 0.2e-3)}, phases=("transfer", "train"))
    slow = affine_run({"cpu": (1, 1), "cuda": (9, 9)}, axes={"width": 7, "bias": True}, workload="cnn")
    content["benchmarks"] += slow["benchmarks"]
    content["benchmarks"] += [
        benchmark([1.0, 2.0], batch_size=4096, flags=["noisy", "drift"]),
        benchmark([1.0] * 9, batch_size=4096, device="cuda"),
    ]
    content["breakeven"] = {"schema": 1, "outcomes": [outcome("oom", device="cuda", batch_size=100_000)]}
    return report(tmp_path, content)


def records(found):
    """The rows of summary.csv."""
    return list(csv.DictReader(io.StringIO(to_csv(found))))


def test_json_schema(tmp_path):
    contents = [
        affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}),
        affine_run({"cpu@1": (1, 1), "cpu": (0.1, 0.1)}),
        affine_run({"cpu": (1, 1), "cuda": (900, 0.2)}),
        affine_run({"cpu": (1, 1)}),
        run([], [outcome()]),
        run([benchmark([0.0] * 9), benchmark([1.0], device="cuda")]),
        run([benchmark([1e-15] * 9), benchmark([1e9] * 9, device="cuda", axes={"deep": [1, {"a": None}]})]),
        run([benchmark([1e-15] * 9), benchmark([1e9] * 9, device="cuda")]),
    ]
    jsonschema.Draft202012Validator.check_schema(json_schema(ReportJson))
    for i, content in enumerate(contents):
        text = to_json(report(tmp_path / str(i), content))
        jsonschema.validate(
            json.loads(text, parse_constant=lambda name: pytest.fail(name)), json_schema(ReportJson)
        )
    jsonschema.validate(json.loads(to_json(crossing(tmp_path))), json_schema(ReportJson))


def test_width(tmp_path):
    long = affine_run(
        {"cpu": (1, 1), "cuda": (9, 0.2)}, workload="w" * 60, axes={"width" * 9: 12345678, "b": 2}
    )
    for found in (crossing(tmp_path / "a"), report(tmp_path / "b", long)):
        assert max(map(len, terminal(found).splitlines())) <= 100


def test_long_table(tmp_path, monkeypatch):
    monkeypatch.setattr(summary_tables, "MAX_ROWS", 3)
    found = report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (9, 0.2)}))
    assert "1 more rows are on the page" in to_markdown(found, "1")


def test_nothing_timed(tmp_path):
    """The terminal shows the first reasons, markdown all of them."""
    found = report(
        tmp_path, run([], [outcome("skipped", f"reason {i}!", batch_size=i) for i in range(1, 16)])
    )
    assert "reason 3!" in terminal(found)
    assert "and 12 more, all in summary.md" in terminal(found)
    assert "reason 4!" not in terminal(found)
    assert "reason 15!" in to_markdown(found, "1")


def test_complete_tables(tmp_path):
    """What summary.csv does not hold is never cut."""
    start = {"first_call_s": 3.0, "model_transfer_s": 0.5}
    rows = [
        benchmark([s] * 9, device=d, batch_size=1, axes={"width": width}, **start, **more)
        for width in range(130)
        for d, s, more in (("cpu", 2.0, {}), ("cuda", 1.0, {"enqueue_s": 0.9, "compile_s": 9.0}))
    ]
    state = {"device_init_s": {"cpu": 0.0, "cuda": 1.0}}
    found = report(tmp_path, run(rows, machine=box(state=state)))
    whole = [
        report_tables.payback_table(found),
        *report_tables.bottleneck_tables(found),
        break_even_text.table(found.chart),
    ]
    assert [(len(table.rows), table.cut) for table in whole] == [(130, 0)] * 3
    assert to_markdown(found, "1").count("more rows") == 1, "the speedups alone are cut"


def test_methods(tmp_path):
    """How intervals are made depends on the runs that a case has, and not on the number of files."""

    def methods(name, *contents):
        lines = how_made(report(tmp_path / name, *contents), "1")
        return [line for line in lines if "medians" in line]

    def timed(workload, seed=0):
        devices = {"cpu": (1, 1), "cuda": (2, 0.1)}
        return affine_run(devices, workload=workload, seed=seed, batches=(1,), machine=box())

    apart = methods("apart", timed("mlp"), timed("cnn"))
    assert "bootstrap over rounds" in only(apart), "two files, but no case has two runs"
    twice = methods("twice", timed("mlp"), timed("mlp", 1))
    assert "Student's distribution over processes" in only(twice)
    assert "order statistics" not in only(twice)
    many = methods("many", *(timed("mlp", seed) for seed in range(20)))
    assert "bootstrap over processes" in only(many)
    mixed = methods("mixed", timed("mlp"), timed("mlp", 1), timed("cnn", 2))
    assert [line.partition(":")[0] for line in mixed] == [
        "cases of one process",
        "cases of 2 to 19 processes",
    ]


def test_hostile_strings(tmp_path):
    """No output obeys a string from a file."""
    found = hostile(tmp_path, HOSTILE, {"cpu": {"brand_raw": HOSTILE, "count": 2}})
    for row in records(found):
        for cell in row.values():
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            assert cell.isprintable()
    text = to_markdown(found, "1")
    assert "alert(1)" in text
    assert not re.search(r"<script|`|\]\(|\x1b|\$|(?<!\w)@", text)
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {4, 8}
    content = json.loads(to_json(found))
    first = content["speedup"][0]
    assert (first["workload"], first["axes"]) == (HOSTILE, {HOSTILE: HOSTILE})
    jsonschema.validate(content, json_schema(ReportJson))


def test_hostile_terminal(tmp_path):
    """No markup and no control character of a file reaches the terminal."""
    shown = terminal(hostile(tmp_path, "[red]\x1b[1m", {"cpu": {"brand_raw": HOSTILE}}))
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "[red]\\x1b[1m" in shown


def test_surrogate(tmp_path):
    found = report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (9, 0.2)}, workload="a\ud800b"))
    for text in (to_csv(found), to_markdown(found, "1"), terminal(found), to_json(found)):
        assert text.encode()


def test_json_schema_is_strict(tmp_path):
    good = json.loads(to_json(crossing(tmp_path)))
    for change in (
        {"extra": 1},
        {"schema": 2},
        {"break_even": [{**good["break_even"][0], "phase": "transfer"}]},
        {"break_even": [{**good["break_even"][0], "status": "never", "batch_size": 3}]},
        {"speedup": [{**good["speedup"][0], "verdict": "maybe"}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, **change}, json_schema(ReportJson))
