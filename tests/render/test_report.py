"""Every face of a report shows the record's own numbers, and obeys no string from a file."""

import csv
import io
import json
import re

import jsonschema
import pytest
from breakeven.report.text_what_if import from_where
from rich.console import Console

from breakeven import format as fmt
from breakeven.render import report_tables
from breakeven.render.escaping import markdown_text
from breakeven.render.report_data import json_schema, to_csv, to_json
from breakeven.render.report_markdown import to_markdown
from breakeven.render.report_terminal import renderables
from breakeven.render.terminal import WIDTH
from support.reports import box, only, report
from support.run_files import affine_run, benchmark, outcome, run

HOSTILE = '=cmd|"/c calc"!A1`<script>alert(1)</script>|[x](http://evil)\x1b[31m\r\n[red]$x_1$ @user'
COLUMNS = (
    "machine,workload,axes,batch_size,phase,device,n,median_s,low_s,high_s,"
    "speedup,speedup_low,speedup_high,verdict,flags"
)


def crossing(tmp_path):
    """A record with a break-even, a never, flags, a hole, few rounds and outcomes."""
    content = affine_run({"cpu": (1e-3, 1e-3), "cuda": (33e-3, 0.2e-3)}, phases=("transfer", "train"))
    slow = affine_run({"cpu": (1, 1), "cuda": (9, 9)}, axes={"width": 7, "bias": True}, workload="cnn")
    content["benchmarks"] += slow["benchmarks"]
    content["benchmarks"] += [
        benchmark([1.0, 2.0], batch_size=4096, flags=["noisy", "drift"]),
        benchmark([1.0] * 9, batch_size=4096, device="cuda"),
    ]
    content["breakeven"] = {"schema": 1, "outcomes": [outcome("oom", device="cuda", batch_size=100_000)]}
    return report(tmp_path, content)


def terminal(found, width=WIDTH):
    """What a terminal of that width shows."""
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    for item in renderables(found):
        console.print(item)
    return console.file.getvalue()


def records(found):
    """The rows of summary.csv."""
    return list(csv.DictReader(io.StringIO(to_csv(found))))


def test_the_csv_has_a_row_a_case_and_the_columns_of_the_contract(tmp_path):
    found = crossing(tmp_path)
    text = to_csv(found)
    assert text.splitlines()[0] == COLUMNS
    assert len(text.splitlines()) == 1 + len(found.cases) == 1 + 8 + 8 + 8 + 2


def test_the_csv_holds_seconds_in_full_precision_sorted_axes_and_spaced_flags(tmp_path):
    found = crossing(tmp_path)
    rows = records(found)
    assert [float(row["median_s"]) for row in rows] == found.cases["median_s"].tolist()
    assert {row["axes"] for row in rows} == {"width=128", "bias=True width=7"}
    few = next(row for row in rows if row["n"] == "2")
    assert (few["low_s"], few["high_s"], few["flags"]) == ("", "", "noisy drift few_rounds")


def test_the_baselines_own_rows_have_neither_speedup_nor_verdict(tmp_path):
    for row in records(crossing(tmp_path)):
        empty = row["device"] == "cpu" or row["phase"] == "transfer"
        assert empty == (row["verdict"] == "") == (row["speedup"] == "")


def test_the_json_keeps_its_schema_for_every_kind_of_report(tmp_path):
    contents = [
        affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}),
        affine_run({"cpu@1": (1, 1), "cpu": (0.1, 0.1)}),
        affine_run({"cpu": (1, 1), "cuda": (900, 0.2)}),
        affine_run({"cpu": (1, 1)}),
        run([], [outcome()]),
        run([benchmark([0.0] * 9), benchmark([1.0], device="cuda")]),
        run([benchmark([1e-300] * 9), benchmark([1e9] * 9, device="cuda", axes={"deep": [1, {"a": None}]})]),
        run([benchmark([1e-300] * 9), benchmark([1e9] * 9, device="cuda")]),
    ]
    jsonschema.Draft202012Validator.check_schema(json_schema())
    for i, content in enumerate(contents):
        text = to_json(report(tmp_path / str(i), content))
        jsonschema.validate(json.loads(text, parse_constant=lambda name: pytest.fail(name)), json_schema())
    jsonschema.validate(json.loads(to_json(crossing(tmp_path))), json_schema())


def test_the_schema_refuses_what_the_contract_does_not_allow(tmp_path):
    good = json.loads(to_json(crossing(tmp_path)))
    for change in (
        {"extra": 1},
        {"schema": 2},
        {"break_even": [{**good["break_even"][0], "phase": "transfer"}]},
        {"break_even": [{**good["break_even"][0], "status": "never", "batch_size": 3}]},
        {"speedup": [{**good["speedup"][0], "verdict": "maybe"}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, **change}, json_schema())


def test_the_json_has_the_axes_as_an_object_and_machines_by_label(tmp_path):
    content = json.loads(to_json(crossing(tmp_path)))
    assert {json.dumps(row["axes"], sort_keys=True) for row in content["break_even"]} == {
        '{"width": 128}',
        '{"bias": true, "width": 7}',
    }
    assert {row["baseline_machine"] for row in content["speedup"]} == {"AMD EPYC, 2 cores"}
    assert {row["phase"] for row in content["speedup"]} == {"train"}


def test_terminal_markdown_csv_and_json_show_the_same_numbers(tmp_path):
    found = crossing(tmp_path)
    shown, markdown = terminal(found, 400), to_markdown(found, "1")
    parsed = json.loads(to_json(found))
    by_case = {
        (r["workload"], r["axes"], r["batch_size"], r["phase"], r["device"]): r for r in records(found)
    }
    for row, plain in zip(found.speedups, parsed["speedup"], strict=True):
        cells = by_case[row.workload, row.axes, str(row.batch_size), row.phase, row.candidate]
        assert (plain["speedup"], plain["low"], plain["high"], plain["verdict"]) == (
            row.speedup,
            row.low,
            row.high,
            row.verdict,
        )
        assert float(cells["speedup"]) == row.speedup
        assert [cells["speedup_low"], cells["speedup_high"]] == [
            "" if x is None else repr(x) for x in (row.low, row.high)
        ]
        assert float(cells["median_s"]) > 0
        for text in (fmt.ratio(row.speedup), fmt.ratio_between(row.low, row.high)):
            assert text in shown
            assert text in markdown
    for line, plain in zip(found.break_evens, parsed["break_even"], strict=True):
        assert plain["batch_size"] == line.crossing.batch_size
        assert report_tables.wins_from(line) in shown
        assert report_tables.wins_from(line) in markdown
    sentences = [text for one in found.conclusions for text in (one.headline, *one.details)]
    for sentence in (*sentences, *found.flip_sentences, *found.warnings, *report_tables.outcome_lines(found)):
        assert sentence in shown
        assert markdown_text(sentence) in markdown
    assert parsed["verdict"] == found.verdict
    assert parsed["warnings"] == list(found.warnings)
    assert "cpu@1" not in markdown


def test_the_speedup_is_the_ratio_of_the_medians_that_are_shown(tmp_path):
    rows = {(r["workload"], r["batch_size"], r["phase"], r["device"]): r for r in records(crossing(tmp_path))}
    for (workload, batch, phase, device), row in rows.items():
        if row["speedup"]:
            base = float(rows[workload, batch, phase, "cpu"]["median_s"])
            assert float(row["speedup"]) == base / float(row["median_s"])
            assert device == "cuda"


def test_the_terminal_fits_one_hundred_columns(tmp_path):
    long = affine_run(
        {"cpu": (1, 1), "cuda": (9, 0.2)}, workload="w" * 60, axes={"width" * 9: 12345678, "b": 2}
    )
    for found in (crossing(tmp_path / "a"), report(tmp_path / "b", long)):
        assert max(map(len, terminal(found).splitlines())) <= 100


def test_what_was_not_timed_shows_its_reason(tmp_path):
    found = report(
        tmp_path, run([], [outcome("oom", "CUDA wants 90 GiB", device="cuda"), {"outcome": "failed"}])
    )
    for text in (terminal(found), to_markdown(found, "1")):
        assert "mlp width=128 batch=64 train cuda" in text
        assert "CUDA wants 90 GiB" in text
        assert "an unnamed case" in text


def test_a_single_device_still_shows_its_medians(tmp_path):
    found = report(tmp_path, affine_run({"cpu": (1e-3, 0)}, batches=[1], noise=0))
    for text in (terminal(found), to_markdown(found, "1")):
        assert "1.00 ms" in text
        assert "±0%" in text


def test_a_very_long_table_is_cut_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(report_tables, "MAX_ROWS", 3)
    found = report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (9, 0.2)}))
    assert "1 more rows" in terminal(found)
    assert "1 more rows" in to_markdown(found, "1")


def test_a_long_list_of_reasons_is_cut_in_the_terminal_and_whole_in_markdown(tmp_path):
    found = report(
        tmp_path, run([], [outcome("skipped", f"reason {i}!", batch_size=i) for i in range(1, 16)])
    )
    assert "and 3 more, all in summary.md" in terminal(found)
    assert "reason 15!" not in terminal(found)
    assert "reason 15!" in to_markdown(found, "1")


def test_an_undecided_break_even_reads_alike_in_table_flip_and_verdict(tmp_path):
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, batches=[1, 64])
    content["breakeven"] = {"schema": 1, "outcomes": [outcome(device="cuda", batch_size=8)]}
    found = report(tmp_path, content)
    line = only(found.break_evens)
    assert report_tables.wins_from(line) == "between 1 and 64"
    assert from_where(line) == "from a batch size between 1 and 64"
    assert f"{from_where(line)} on; where exactly is undecided" in found.verdict


def test_what_summary_csv_does_not_hold_is_never_cut(tmp_path):
    start = {"first_call_s": 3.0, "model_transfer_s": 0.5}
    rows = [
        benchmark([s] * 9, device=d, batch_size=1, axes={"width": width}, **start, **more)
        for width in range(130)
        for d, s, more in (("cpu", 2.0, {}), ("cuda", 1.0, {"enqueue_s": 0.9, "compile_s": 9.0}))
    ]
    state = {"device_init_s": {"cpu": 0.0, "cuda": 1.0}}
    found = report(tmp_path, run(rows, machine=box(state=state)))
    whole = [
        report_tables.repay_table(found),
        *report_tables.bound_tables(found),
        *report_tables.break_even_tables(found),
    ]
    assert [(len(table.rows), table.cut) for table in whole] == [(130, 0)] * 3
    assert to_markdown(found, "1").count("more rows are in summary.csv") == 1, "the speedups alone are cut"


def test_markdown_tells_how_it_was_made(tmp_path):
    content = run(
        [
            benchmark([t] * 9, phase=p, device="cuda")
            for p, t in {"transfer": 1.0, "forward": 2.0, "backward": 2.0, "step": 1.0, "train": 5.0}.items()
        ]
    )
    text = to_markdown(report(tmp_path, content), "1.2.3")
    assert "breakeven 1.2.3 from" in text
    assert "run0.json (2026-01-02T03:04:05, commit 0123456789ab)" in text
    assert "bootstrap over rounds" in text
    assert "cuda: the phases' sum is 20% above train" in text
    assert "synchronizing after every phase" in text


def test_how_intervals_are_made_is_told_of_the_runs_that_a_case_really_has(tmp_path):
    def methods(name, *contents):
        lines = report_tables.how_made(report(tmp_path / name, *contents), "1")
        return [line for line in lines if "medians" in line]

    def timed(workload, seed=0):
        devices = {"cpu": (1, 1), "cuda": (2, 0.1)}
        return affine_run(devices, workload=workload, seed=seed, batches=(1,), machine=box())

    apart = methods("apart", timed("mlp"), timed("cnn"))
    assert "bootstrap over rounds" in only(apart), "two files, but no case has two runs"
    twice = methods("twice", timed("mlp"), timed("mlp", 1))
    assert "Student's distribution over runs" in only(twice)
    assert "order statistics" not in only(twice)
    six = methods("six", *(timed("mlp", seed) for seed in range(6)))
    assert "bootstrap over runs" in only(six)
    mixed = methods("mixed", timed("mlp"), timed("mlp", 1), timed("cnn", 2))
    assert [line.partition(":")[0] for line in mixed] == ["cases of one run", "cases of 2 to 5 runs"]


def hostile(tmp_path):
    """A record in which every string that a file may choose is an attack."""
    machine = {"cpu": {"brand_raw": HOSTILE, "count": 2}}
    content = affine_run(
        {"cpu": (1, 1), HOSTILE: (33, 0.2)}, workload=HOSTILE, axes={HOSTILE: HOSTILE}, machine=machine
    )
    content["benchmarks"][0]["extra_info"]["flags"] = [HOSTILE]
    content["breakeven"] = {
        "schema": 1,
        "outcomes": [{"outcome": HOSTILE, "reason": HOSTILE, "fullname": HOSTILE}],
    }
    content["datetime"] = content["commit_info"]["id"] = HOSTILE
    return report(tmp_path, content)


def test_no_csv_cell_begins_as_a_formula(tmp_path):
    for row in records(hostile(tmp_path)):
        for cell in row.values():
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            assert cell.isprintable()


def test_markdown_holds_no_html_link_code_or_mention_from_a_file(tmp_path):
    text = to_markdown(hostile(tmp_path), "1")
    assert "alert(1)" in text
    assert not re.search(r"<script|`|\]\(|\x1b|\$|(?<!\w)@", text)
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.count("|") in (4, 8)


def test_no_control_character_reaches_a_terminal_and_no_markup_is_obeyed(tmp_path):
    text = terminal(hostile(tmp_path))
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "[red]" in text


def test_the_json_keeps_strings_as_they_are(tmp_path):
    content = json.loads(to_json(hostile(tmp_path)))
    assert content["speedup"][0]["workload"] == HOSTILE
    assert content["speedup"][0]["axes"] == {HOSTILE: HOSTILE}
    jsonschema.validate(content, json_schema())


def test_half_a_surrogate_pair_in_a_name_breaks_no_face(tmp_path):
    found = report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (9, 0.2)}, workload="a\ud800b"))
    for text in (to_csv(found), to_markdown(found, "1"), terminal(found), to_json(found)):
        assert text.encode()
