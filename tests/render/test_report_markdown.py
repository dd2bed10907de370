"""The report for a pull request: the verdict, the chart's rows, and the rest folded and never too long."""

import re
from dataclasses import replace

from breakeven.render.markdown import MAX_LENGTH, document
from breakeven.render.report_markdown import to_markdown
from breakeven.report.answer import Answer, Trust
from support.charts import chart_of, line, sixty
from support.reports import answered, report
from support.run_files import affine_run, benchmark, outcome, run

DEVICES = {"cpu": (1, 1), "cuda": (33, 0.2)}


def test_order(tmp_path):
    content = affine_run(DEVICES, phases=("transfer", "train"), noise=0)
    content["breakeven"] = {"schema": 1, "outcomes": [outcome(device="cuda", batch_size=4096)]}
    found = report(tmp_path, content)
    first, *parts = to_markdown(found, "1").split("\n\n")
    answer, *caveats = found.answer.lines
    assert first == " ".join([f"**{answer}**", *caveats])
    table, changes = parts.index("### Break-even"), parts.index("### What would change it")
    assert table < changes < next(i for i, part in enumerate(parts) if part.startswith("<details>"))
    assert parts[table + 1].splitlines() == [
        "| model | GPU wins from batch | best speedup | note |",
        "| --- | --- | ---: | --- |",
        "| mlp width=128 | 40 [40–40] | 3.79x at 512 | GPU out of memory above 512 |",
    ]
    titles = re.findall("<summary>(.*?)</summary>", "\n\n".join(parts[changes:]))
    assert titles[0] == "More about the answer"
    assert {"Not timed", "Speedups", "How made"} < set(titles)


def test_all_rows(tmp_path):
    found = replace(report(tmp_path, affine_run(DEVICES)), chart=chart_of(*sixty()))
    table = to_markdown(found, "1").partition("### Break-even\n\n")[2].partition("\n\n")[0]
    assert len(table.splitlines()) == 60 + len(("heading", "rule"))


def test_unfit(tmp_path):
    """Only the answer and its evidence are not folded."""
    unfit = Answer(
        ("This run cannot be trusted.", "Measure again."), Trust.UNFIT, ("The canary ran 990x slower.",)
    )
    found = answered(report(tmp_path, affine_run(DEVICES)), unfit)
    shown, _, folds = to_markdown(found, "1").partition("\n\n<details>")
    assert shown == "**This run cannot be trusted.** Measure again.\n\n- The canary ran 990x slower."
    assert folds.startswith("<summary>Break-even: not to be trusted</summary>")
    assert "wins from batch" in folds


def test_never_too_long(tmp_path):
    """Tables and lists in folds are cut first, then the rows of the chart, then whole parts are left out."""
    cases = [
        benchmark([s] * 6, device=device, batch_size=batch, axes={"width": width, "note": "x" * 100})
        for width in range(30)
        for batch in (1, 8, 64, 512, 4096)
        for device, s in (("cpu", 2.0), ("cuda", 1.0))
    ]
    many = [outcome("failed", f"reason {i} " + "y" * 100, batch_size=i) for i in range(1, 400)]
    found = report(tmp_path, run(cases, many))
    text = to_markdown(found, "1")
    assert 10_000 < len(text) <= MAX_LENGTH
    assert text.count("<details>") == text.count("</details>") > 4
    assert re.search(r"- and \d+ more, on the page", text)
    assert all(f"width={width} " in text for width in range(30)), "the chart has all rows"
    huge = [
        line({1: "+", 8: "+"}, "always", axes={"width": width, "note": f"{width}z" * 20})
        for width in range(999)
    ]
    text = to_markdown(replace(found, chart=chart_of(*huge)), "1")
    assert len(text) <= MAX_LENGTH
    assert "\n\n699 more rows are on the page." in text
    assert text.count("<details>") == text.count("</details>") > 4
    endless = tuple("|" * 2000 for _ in range(9))
    text = to_markdown(replace(found, warnings=endless, bottleneck_sentences=endless), "1")
    assert len(text) <= MAX_LENGTH
    assert text.endswith("\n\n(1 part is left out; the JSON has everything)\n")
    assert "<summary>9 warnings</summary>" in text
    assert "<summary>What bounds each model</summary>" not in text


def test_limit():
    """What is exactly as long fits, and the blank lines between the parts count."""
    assert document([["abc"]], 4) == "abc\n"
    assert document([["x"] * 40], 80) == "x\n\n" * 10 + "(30 parts are left out; the JSON has everything)\n"
