"""Where each variant pays: the same step on the same device, done in another way."""

import json

import pytest
from breakeven.render.report_variants import variant_tables
from jsonschema import validate

from breakeven.render.report_data import json_schema, to_json
from breakeven.render.report_files import write_report
from breakeven.render.report_markdown import to_markdown
from support.pages import text_of
from support.reports import box, only, report
from support.run_files import benchmark, outcome, run
from support.terminals import terminal


def step(seconds, device="cuda", batch_size=64, workload="mlp", phase="train", facts=None, **axes):
    """One whole training step that always takes so long."""
    axes = {"width": 128, **axes}
    return benchmark([seconds] * 9, workload, phase, device, batch_size, axes, **(facts or {}))


def told(tmp_path, *rows, **more):
    """`(change, batch size, device, speedup)` of each variant in a report on these rows."""
    found = report(tmp_path, run(rows, **more))
    return [(v.name, v.row.batch_size, v.row.candidate, v.row.speedup) for v in found.variants]


def test_a_truth_that_is_switched_on_is_held_against_the_step_without_it(tmp_path):
    rows = [step(seconds, tf32=on) for on, seconds in ((True, 1.0), (False, 3.0))]
    assert told(tmp_path, *rows) == [("tf32=True", 64, "cuda", 3.0)]


def test_each_device_and_batch_size_has_its_own_plain_step(tmp_path):
    rows = [
        step(seconds, device, batch, compile=on)
        for device, batch, on, seconds in (
            ("cpu", 1, False, 8.0), ("cpu", 1, True, 4.0), ("cuda", 1, False, 2.0), ("cuda", 1, True, 4.0),
            ("cuda", 64, False, 9.0), ("cuda", 64, True, 3.0),
        )
    ]  # fmt: skip
    assert told(tmp_path, *rows) == [
        ("compile=True", 1, "cpu", 2.0),
        ("compile=True", 1, "cuda", 0.5),
        ("compile=True", 64, "cuda", 3.0),
    ]


def test_two_changes_at_once_are_held_against_neither(tmp_path):
    rows = [
        step(seconds, compile=compiled, cuda_graph=graph)
        for compiled, graph, seconds in ((False, False, 8.0), (True, False, 4.0), (True, True, 1.0))
    ]
    assert told(tmp_path, *rows) == [
        ("compile=True", 64, "cuda", 2.0),
        ("compile=True cuda_graph=True", 64, "cuda", 8.0),
    ]


@pytest.mark.parametrize(
    ("first", "second", "change"),
    [
        ("bfloat16", "float32", "dtype=bfloat16"),
        ("float32", "bfloat16", "dtype=bfloat16"),
        ("loop", "fused", "dtype=fused"),
        ("fused", "loop", "dtype=loop"),
    ],
)
def test_float32_is_plain_and_else_what_was_measured_first(tmp_path, first, second, change):
    found = told(tmp_path, step(2.0, dtype=first), step(2.0, dtype=second))
    assert [name for name, *_ in found] == [change]


def test_a_number_is_a_size_and_no_variant(tmp_path):
    assert told(tmp_path, step(1.0, depth=1), step(2.0, depth=2)) == []


def test_an_axis_of_one_value_has_no_plain_form(tmp_path):
    assert told(tmp_path, step(1.0, tf32=True), step(1.0, workload="cnn", tf32=False)) == []


def test_the_plain_value_of_a_truth_is_false_though_nobody_timed_it(tmp_path):
    """A CPU skips the recorded graph, and the model's name must not speak of it."""
    rows = [step(2.0, compile=on, cuda_graph=False) for on in (False, True)]
    assert only(report(tmp_path, run(rows)).variants).model == "mlp width=128"


def test_an_axis_of_mixed_kinds_is_left_alone(tmp_path):
    assert told(tmp_path, step(1.0, mode=False), step(1.0, mode="fast")) == []


def test_without_its_plain_step_a_variant_has_nothing_to_be_held_against(tmp_path):
    rows = [step(1.0, batch_size=1, tf32=False), step(1.0, batch_size=64, tf32=True)]
    assert told(tmp_path, *rows) == []


@pytest.mark.parametrize("fact", ["parameters", "flops"])
def test_what_does_other_work_is_another_model(tmp_path, fact):
    rows = [step(1.0, net=net, facts={fact: work}) for net, work in (("small", 10), ("large", 20))]
    assert told(tmp_path, *rows) == []


def test_only_the_whole_step_is_held_against_the_plain_one(tmp_path):
    rows = [step(1.0, phase=phase, tf32=on) for phase in ("forward", "backward") for on in (False, True)]
    assert told(tmp_path, *rows) == []


def compiled(saved_s=1.0, **facts):
    """A plain step of 3 s, and one that is compiled or captured and takes less; all phases of both."""
    rows = []
    for phase in ("transfer", "forward", "backward", "step", "train"):
        rows.append(step(3.0, phase=phase, cuda_graph=False))
        once = {name: values[phase] for name, values in facts.items() if phase in values}
        rows.append(step(3.0 - saved_s, phase=phase, cuda_graph=True, facts=once))
    return rows


def test_compiling_is_the_sum_over_the_phases_and_each_of_them_captures_the_same_anew(tmp_path):
    rows = compiled(
        compile_s={"forward": 7.0, "backward": 1.0},
        capture_s={"forward": 2.0, "backward": 2.5, "train": 1.0},
    )
    variant = only(report(tmp_path, run(rows)).variants)
    assert (variant.compile_s, variant.capture_s) == (8.0, 2.0)
    # 10 s once, 1 s saved a step.
    assert (variant.repaid.start_s, variant.repaid.steps) == (10.0, 10.0)


@pytest.mark.parametrize(
    ("saved_s", "facts"),
    [(1.0, {}), (-1.0, {"capture_s": {"train": 5.0}}), (0.0, {"capture_s": {"train": 5.0}})],
)
def test_what_costs_nothing_once_or_does_not_pay_is_never_repaid(tmp_path, saved_s, facts):
    assert only(report(tmp_path, run(compiled(saved_s, **facts))).variants).repaid is None


def test_every_face_says_where_each_variant_pays_and_what_it_costs_once(tmp_path):
    rows = compiled(compile_s={"forward": 8.0}, capture_s={"train": 2.0})
    found = report(tmp_path, run(rows))
    assert found.variant_sentences == (
        "On the GPU (cuda), cuda_graph=True is faster, 1.50x [1.50–1.50] (mlp width=128, batch 64); what "
        "happens once (compiling 8.00 s, capturing 2.00 s) is repaid after 10 [10–10] steps.",
    )
    table = only(variant_tables(found))
    assert (table.title, table.columns[2:6]) == ("Variants on cuda", ("variant", "plain", "so", "speedup"))
    assert table.rows == (
        ("mlp width=128", "64", "cuda_graph=True", "3.00 s", "2.00 s", "1.50x [1.50–1.50]",
         "faster", "compiling 8.00 s, capturing 2.00 s", "10 [10–10]"),
    )  # fmt: skip
    page = text_of(write_report(found, tmp_path / "out", "1")[-1].read_text("utf-8"))
    for face in (terminal(found, 400), to_markdown(found, "1").replace("\\", ""), page):
        assert "Where each variant pays" in face
        assert found.variant_sentences[0] in face
        assert "compiling 8.00 s, capturing 2.00 s" in face


def test_the_json_holds_each_variant_in_base_units(tmp_path):
    content = json.loads(to_json(report(tmp_path, run(compiled(capture_s={"train": 5.0})))))
    validate(content, json_schema())
    variant = only(content["variants"])
    assert (variant["change"], variant["plain_axes"]) == (
        {"cuda_graph": True},
        {"cuda_graph": False, "width": 128},
    )
    assert (variant["speedup"], variant["compile_s"], variant["capture_s"]) == (1.5, None, 5.0)
    assert variant["repaid_after"]["steps"] == 5.0
    assert all(row["baseline"] != row["candidate"] for row in content["speedup"])


def test_of_many_cells_the_best_one_is_told(tmp_path):
    steps = (
        (1, False, 1.0),
        (1, True, 2.0),
        (64, False, 3.0),
        (64, True, 2.0),
        (512, False, 8.0),
        (512, True, 2.0),
    )
    rows = [step(seconds, tf32=on, batch_size=b) for b, on, seconds in steps]
    assert report(tmp_path, run(rows)).variant_sentences == (
        "On the GPU (cuda), tf32=True is faster in 2 of 3 cells, 4.00x [4.00–4.00] at best (mlp width=128, "
        "batch 512); it computes with fewer digits.",
    )


def test_a_variant_that_pays_nowhere_is_said_so(tmp_path):
    rows = [
        step(seconds, tf32=on, batch_size=b) for b in (1, 64) for on, seconds in ((False, 1.0), (True, 2.0))
    ]
    assert report(tmp_path, run(rows)).variant_sentences == (
        "On the GPU (cuda), tf32=True pays in none of 2 cells (2 slower); it computes with fewer digits.",
    )


def test_each_machine_is_named_where_there_are_several(tmp_path):
    def of(name, variant_s):
        rows = [step(seconds, tf32=on) for on, seconds in ((False, 4.0), (True, variant_s))]
        return run(rows, machine=box(name))

    found = report(tmp_path, of("a", 1.0), of("b", 2.0))
    assert [table.title for table in variant_tables(found)] == [
        "Variants on cuda on a",
        "Variants on cuda on b",
    ]
    assert [sentence.split(", ")[0] for sentence in found.variant_sentences] == [
        "On the GPU (cuda) of a",
        "On the GPU (cuda) of b",
    ]


def test_a_run_without_variants_says_nothing_of_them(tmp_path):
    found = report(tmp_path, run([step(1.0, "cpu"), step(2.0)]))
    assert found.variants == ()
    page = write_report(found, tmp_path / "out", "1")[-1].read_text("utf-8")
    for face in (terminal(found), to_markdown(found, "1"), page):
        assert "ach variant" not in face
        assert "Variants" not in face


def test_a_model_is_not_called_as_if_it_were_the_variant_that_gave_no_timing(tmp_path):
    """The CPU skips TF32, so that only the plain form is compared; both are there to be mistaken."""
    plain = [step(seconds, device, tf32=False) for device, seconds in (("cpu", 2.0), ("cuda", 1.0))]
    skipped = outcome("skipped", "no TF32", workload="mlp", device="cpu", axes={"width": 128, "tf32": True})
    found = report(tmp_path, run([*plain, step(0.5, tf32=True)], outcomes=[skipped]))
    assert {row.axes for row in found.break_evens} == {"tf32=False width=128"}
    assert found.names["mlp", "tf32=False width=128"] == "mlp at tf32=False"
    assert "mlp at tf32=False" in terminal(found)


def test_a_red_comparison_gives_no_ratio_of_variants_either_unless_it_is_forced(tmp_path):
    def of(name, variant_s, **facts):
        rows = [step(seconds, tf32=on) for on, seconds in ((False, 4.0), (True, variant_s))]
        return run(rows, machine=box(name, **facts))

    red = of("a", 1.0), of("b", 2.0, deterministic=True)
    assert report(tmp_path / "refused", *red).variants == ()
    assert len(report(tmp_path / "forced", *red, force=True).variants) == 2


def test_where_nothing_happens_once_no_column_speaks_of_it(tmp_path):
    rows = [step(seconds, tf32=on) for on, seconds in ((False, 2.0), (True, 1.0))]
    assert only(variant_tables(report(tmp_path, run(rows)))).columns[-1] == "verdict"
