"""What would change the verdict, as a table."""

import pytest

from breakeven.render.what_if_table import change_tables, model_change_tables
from breakeven.report.changes import MAX_CHOSEN, changes
from breakeven.report.text import model_names
from breakeven.report.what_if import WhatIf
from support import answers
from support.answers import line
from support.reports import box, only, report
from support.run_files import affine_run, run

QUIET = {"noise": 0.001}


def models(*several):
    """Models of width 1, 2, ..., each with a GPU's line in float32 and in bfloat16."""
    content = run()
    for width, lines in enumerate(several, 1):
        for dtype, cuda in zip(("float32", "bfloat16"), lines, strict=False):
            axes = {"dtype": dtype, "width": width}
            part = affine_run({"cpu": (1, 1), "cuda": cuda}, axes=axes, seed=width, **QUIET)
            content["benchmarks"] += part["benchmarks"]
    return content


def row_of(found, scenario):
    """The only row of a scenario."""
    return only(row for row in found.changes if row.scenario == scenario)


def test_one_model(tmp_path):
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, phases=("train",), **QUIET)
    content["benchmarks"] += affine_run(
        {"cpu": (1, 1), "cuda": (9, 0.2)}, phases=("train_sync",), seed=1, **QUIET
    )["benchmarks"]
    found = report(tmp_path, content)
    row = only(found.changes)
    line, other = only(row.models).line, only(row.models).other
    assert row.headline == line.crossing.describe_briefly(line.batches)
    assert row.changed == other.crossing.describe_briefly(other.batches)
    assert row.headline != row.changed
    table = only(change_tables(found))
    assert table.columns == ("change", "faster from batch", "then", "shown to move")
    assert table.rows == (("loss.item() in every step", row.headline, row.changed, "yes"),)
    assert model_change_tables(found) == []


def test_several_models(tmp_path):
    """How many win, where the median one does, and which moves farthest."""
    found = report(tmp_path, models(((33, 0.2), (9, 0.2)), ((33, 0.2), (33, 0.6)), ((33, 2), (33, 2))))
    row = row_of(found, "in bfloat16")
    assert row.headline == "2 of 3 win, median 41 [39–41]"
    assert row.changed == "2 of 3 win, median 81 [79–81]"
    assert row.moves == "2 of 3: mlp, dtype float32, width 1 farthest"
    assert row.what == "in bfloat16"
    table = only(model_change_tables(found))
    assert table.columns[:3] == ("model", "as measured", "each device at its fastest variant")
    names = [cells[0] for cells in table.rows]
    assert names == [f"mlp, dtype float32, width {width}" for width in (1, 2, 3)]


def test_undecided_models(tmp_path):
    """Of two models they are named in their place."""
    content = models(((33, 0.2), (33, 0.2)), ((33, 0.2), (33, 0.2)))
    for item in content["benchmarks"]:
        if item["extra_info"]["axes"] == {"dtype": "bfloat16", "width": 2}:
            item["stats"]["data"] = item["stats"]["data"][:4]
    row = row_of(report(tmp_path, content), "in bfloat16")
    assert row.changed == "1 of 2 win, 41 [39–41] and undecided"
    assert row.moves == "none of 2 shown"


def test_nothing_moves(tmp_path):
    found = report(tmp_path, models(((33, 0.2), (33, 0.2)), ((33, 0.2), (33, 0.2))))
    assert row_of(found, "in bfloat16").moves == "none of 2 shown"


def test_one_of_several_models(tmp_path):
    """A scenario that was measured for a single model names it."""
    row = row_of(report(tmp_path, models(((33, 0.2), (9, 0.2)), ((33, 0.2),))), "in bfloat16")
    assert row.what == "in bfloat16 (mlp, dtype float32, width 1)"
    assert row.moves == "yes"


def test_scenario_of_one_model_beside_others(tmp_path):
    """The tables are those of several models, and a note of some of them is a column."""
    content = models(((33, 0.2), (9, 0.2)), ((33, 0.2), (9, 0.2)), ((33, 0.2),))
    devices, axes = {"cpu": (1, 1), "cuda": (9, 0.2)}, {"dtype": "float32", "width": 3}
    content["benchmarks"] += affine_run(devices, phases=("train_sync",), axes=axes, **QUIET)["benchmarks"]
    found = report(tmp_path, content)
    assert {len(row.models) for row in found.changes} == {1, 2}
    assert only(change_tables(found)).columns[1] == "as measured"
    table = only(model_change_tables(found))
    assert (table.columns[-1], len(table.rows)) == ("note", 3)


def test_better_baseline_of_a_model(tmp_path):
    """It is named beside the model."""
    content = run()
    for width in (1, 2):
        devices = {"cpu": (1, 1), "cpu@8": (2, 0.5), "cuda": (33, 0.2)}
        content["benchmarks"] += affine_run(devices, axes={"width": width}, **QUIET)["benchmarks"]
    names = [cells[0] for cells in only(model_change_tables(report(tmp_path, content))).rows]
    assert names == [f"mlp, width {width} (cpu@8 is faster than the CPU at batch 8–512)" for width in (1, 2)]


def test_what_several_models_share(tmp_path):
    """How many of them have a faster CPU in float32, and compute in different precisions."""
    content = run()
    for width, cpu in ((1, (2, 2)), (2, (1, 1))):
        for dtype, host, cuda in (("float32", (1, 1), (33, 0.2)), ("bfloat16", cpu, (9, 0.2))):
            devices = {"cpu": host, "cuda": cuda}
            part = affine_run(devices, axes={"dtype": dtype, "width": width}, seed=width, **QUIET)
            content["benchmarks"] += part["benchmarks"]
    found = report(tmp_path, content)
    assert row_of(found, "in bfloat16").what == "in bfloat16 (the CPU itself is faster in float32 in 1 of 2)"
    fastest = row_of(found, "each device at its fastest variant")
    assert fastest.what == (
        "each device at its fastest variant (cpu in float32, cuda in bfloat16; "
        "their numerics differ in 2 of 2)"
    )
    notes = {cells[0]: cells[-1] for cells in only(model_change_tables(found)).rows}
    assert "in bfloat16: " not in notes["mlp, dtype float32, width 2"]
    assert notes["mlp, dtype float32, width 1"] == (
        "each device at its fastest variant: cpu in float32, cuda in bfloat16; their numerics differ. "
        "in bfloat16: the CPU itself is faster in float32"
    )


def test_variants_chosen_most_often(tmp_path):
    """Numbers of threads are named too, over all models and batch sizes."""
    content = run()
    for width in (1, 2):
        devices = {"cpu": (1, 1), "cpu@8": (2, 0.5), "cuda": (33, 0.2)}
        part = affine_run(devices, axes={"width": width}, seed=width, **QUIET)
        content["benchmarks"] += part["benchmarks"]
    row = row_of(report(tmp_path, content), "each device at its fastest variant")
    assert row.what == "each device at its fastest variant (mostly cpu@8, cuda)"


def test_long_names_of_chosen_variants(tmp_path):
    content = run()
    for width in (1, 2):
        for i, mode in enumerate(("a" * 40, "b" * 40)):
            devices = {"cpu": (1 + i, 1 + i), "cuda": (33 - i, 0.2)}
            part = affine_run(devices, axes={"width": width, "mode": mode}, seed=10 * width + i, **QUIET)
            content["benchmarks"] += part["benchmarks"]
    what = row_of(report(tmp_path, content), "each device at its fastest variant").what
    assert len(what) == len("each device at its fastest variant ()") + MAX_CHOSEN


def test_what_two_of_four_texts_say(tmp_path):
    """The most frequent ones first, and how many more there are."""
    content = run()
    for width, below in enumerate((1, 8, 64, 64), 1):
        for batch in (1, 8, 64, 512):
            for i, dtype in enumerate(("float32", "bfloat16")):
                slow = 2 if i and batch <= below else 1
                part = affine_run(
                    {"cpu": (slow, 0), "cuda": (3, 0)},
                    batches=[batch],
                    axes={"dtype": dtype, "width": width},
                    seed=batch + 1000 * width + i,
                    **QUIET,
                )
                content["benchmarks"] += part["benchmarks"]
    assert row_of(report(tmp_path, content), "in bfloat16").what == (
        "in bfloat16 (the CPU itself is faster in float32 at batch 1–64 in 2 of 4; "
        "the CPU itself is faster in float32 at batch 1 in 1 of 4; and 1 more)"
    )


@pytest.mark.parametrize("count", [1, 2])
def test_title_with_several_candidates(tmp_path, count):
    contents = [
        affine_run({"cpu": (1, 1), "cpu@1": (1, 4), "cuda": (33, 0.2)}, machine=box(name), seed=i, **QUIET)
        for i, name in enumerate(("laptop", "server")[:count])
    ]
    titles = [table.title for table in change_tables(report(tmp_path, *contents))]
    named = [f"What would change it: cuda against cpu on {name}" for name in ("laptop", "server")]
    assert titles == (named if count == 2 else ["What would change it"])


def test_farthest(tmp_path):
    """From 40 to 10 is farther than from 200 to 100: batch sizes are compared by their ratio."""
    found = report(tmp_path, models(((33, 0.2), (9, 0.2)), ((161, 0.2), (81, 0.2))))
    assert row_of(found, "in bfloat16").moves == "2 of 2: mlp, dtype float32, width 1 farthest"


def test_only_one_moves(tmp_path):
    found = report(tmp_path, models(((33, 0.2), (9, 0.2)), ((33, 0.2), (33, 0.2))))
    assert row_of(found, "in bfloat16").moves == "1 of 2: mlp, dtype float32, width 1"


def chosen(*pairs):
    """The row of two models with these break-evens, as measured and in the scenario."""
    rows = [WhatIf("then", one, other) for one, other in pairs]
    names = model_names(row.line.model for row in rows)
    return only(changes(rows, [row.line for row in rows], names))


def test_from_every_batch_size_is_farthest():
    """It is farther from any other than two measured break-evens can be."""
    always = (answers.line("always", workload="cnn"), answers.line("crosses", workload="cnn"))
    far = (
        answers.line("crosses", at=2.0, between=(1.9, 2.1), workload="mlp"),
        answers.line("crosses", at=500.0, between=(490.0, 510.0), workload="mlp"),
    )
    assert chosen(always, far).moves == "2 of 2: cnn farthest"


def test_known_at_the_latest():
    """It is not counted as undecided."""
    latest = {"speedups": (None, 2.0, 3.0, 4.0), "bracket": (None, 8)}
    pairs = [
        (answers.line(workload=name), answers.line("undecided", workload=name, **latest))
        for name in ("cnn", "mlp")
    ]
    assert chosen(*pairs).changed == "2 of 2 win, 8 at the latest and 8 at the latest"


def test_two_models(tmp_path):
    """Both are shown, since neither is the median."""
    found = report(tmp_path, models(((33, 0.2), (0.1, 0.1)), ((33, 2), (81, 0.2))))
    row = row_of(found, "in bfloat16")
    assert row.headline == "1 of 2 win, 41 [39–41] and none"
    assert row.changed == "2 of 2 win, always (1–512) and 101 [99–101]"


@pytest.mark.parametrize(
    ("several", "text"),
    [
        (
            [line("crosses"), line("undecided"), line("crosses", at=16)],
            "2 of 3 win, 1 undecided, median 64 [48–80]",
        ),
        ([line("always", batches=(8,)), line("crosses")], "2 of 2 win"),
        ([line("always", batches=(8,))] * 2 + [line("never")], "2 of 3 win"),
        ([line("crosses"), line("never", batches=(8,))], "1 of 2 win, 64 [48–80] and none"),
        ([line("crosses"), *[line("never")] * 2], "1 of 3 win"),
        ([line("crosses", (0.1, 0.5, 0.9, 1.01), at=8), line("crosses"), line("never")], "1 of 3 win"),
        (
            [line("always"), line("always", batches=(8,)), line("never")],
            "2 of 3 win, median always (1–512)",
        ),
        ([line("never"), line("undecided")], "0 of 2 win, 1 undecided"),
    ],
)
def test_summary(several, text):
    """The median is left out where it wins nowhere, or where it is the only batch size."""
    group = [WhatIf("in bfloat16", one, one) for one in several]
    names = {one.model: "mlp" for one in several}
    assert only(changes(group, several, names)).headline == text
