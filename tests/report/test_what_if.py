"""What would flip the verdict: resident data, another CPU baseline, another dtype."""

import pytest

from support.reports import box, only, report
from support.run_files import affine_run, benchmark, outcome, run

# At noise 0.1% the crossings are where algebra says.
QUIET = {"noise": 0.001}


def phases(times, batches=(1, 8, 64, 512), **kwargs):
    """A run with `train` and `transfer`: `times` maps a device to two (floor, slope) pairs."""
    parts = [
        affine_run({device: pair[i] for device, pair in times.items()}, batches, i, phases=(phase,), **kwargs)
        for i, phase in enumerate(("train", "transfer"))
    ]
    return {**parts[0], "benchmarks": parts[0]["benchmarks"] + parts[1]["benchmarks"]}


def flips_of(found, scenario):
    """The flips of one circumstance."""
    return [flip for flip in found.what_ifs if flip.scenario == scenario]


GPU = {"cpu": ((1, 1), (1e-6, 0)), "cuda": ((33, 0.2), (8, 0.05))}


def test_with_the_data_resident_transfer_is_taken_from_the_step(tmp_path):
    found = report(tmp_path, phases(GPU, **QUIET))
    flip = only(flips_of(found, "with the data resident"))
    assert flip.line.crossing.batch_size == pytest.approx(40, rel=0.01)  # 1 + b = 33 + b / 5
    # 1 + b = 25 + 0.15 b
    assert flip.other.crossing.batch_size == pytest.approx(24 / 0.85, rel=0.02)
    assert flip.other.crossing.low <= 24 / 0.85 <= flip.other.crossing.high
    assert found.flip_sentences[0].startswith("With the data resident, from batch 28 [")
    assert "instead of batch 40 [" in found.flip_sentences[0]


def test_a_cpu_whose_transfer_was_not_timed_has_its_data_there_already(tmp_path):
    content = phases(GPU, **QUIET)
    content["benchmarks"] = [
        item
        for item in content["benchmarks"]
        if (item["extra_info"]["device"], item["extra_info"]["phase"]) != ("cpu", "transfer")
    ]
    assert only(flips_of(report(tmp_path, content), "with the data resident"))


def test_an_accelerator_whose_transfer_was_not_timed_is_not_guessed(tmp_path):
    found = report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))
    assert found.what_ifs == ()
    assert found.flip_sentences == ()


def test_two_cpu_devices_have_no_transfer_to_leave_out(tmp_path):
    times = {"cpu@1": ((1, 1), (1e-6, 0)), "cpu": ((10, 0.5), (1e-6, 0))}
    assert report(tmp_path, phases(times)).what_ifs == ()


def test_a_transfer_that_takes_longer_than_the_step_leaves_nothing_to_judge(tmp_path):
    times = {"cpu": ((1, 1), (1e-6, 0)), "cuda": ((2, 0.1), (3, 0.2))}
    flip = only(flips_of(report(tmp_path, phases(times)), "with the data resident"))
    assert flip.other.crossing.status == "undecided"


def test_resident_times_stand_in_no_table_and_no_json_row(tmp_path):
    found = report(tmp_path, phases(GPU))
    assert set(found.cases["phase"]) == {"train", "transfer"}
    assert {row.phase for row in found.speedups} == {row.phase for row in found.break_evens} == {"train"}


def test_a_batch_that_ran_out_of_memory_is_a_hole_with_the_data_resident_too(tmp_path):
    content = phases(GPU, **QUIET)
    content["breakeven"] = {"schema": 1, "outcomes": [outcome("oom", device="cuda", batch_size=100)]}
    flip = only(flips_of(report(tmp_path, content), "with the data resident"))
    assert flip.other.holes == (100,)


def test_an_accelerator_is_also_held_against_every_other_cpu_baseline(tmp_path):
    content = affine_run({"cpu": (1, 1), "cpu@1": (1, 4), "cpu@2": (1, 2), "cuda": (33, 0.2)}, **QUIET)
    found = report(tmp_path, content)
    assert [flip.scenario for flip in found.what_ifs] == ["against cpu@1", "against cpu@2"]
    one = found.what_ifs[0]
    assert (one.line.baseline, one.other.baseline, one.other.candidate) == ("cpu", "cpu@1", "cuda")
    assert one.other.crossing.batch_size == pytest.approx(32 / 3.8, rel=0.02)  # 1 + 4b = 33 + b / 5
    assert found.flip_sentences[0].startswith("Against cpu@1, from batch 8.4 [")


def test_another_baseline_of_a_named_machine_is_taken_there_too(tmp_path):
    laptop = affine_run({"cpu": (1, 1), "cpu@1": (1, 4)}, machine=box("laptop"), **QUIET)
    server = affine_run({"cuda": (33, 0.2)}, machine=box("server"), seed=1, **QUIET)
    found = report(tmp_path, laptop, server, baseline="laptop/cpu")
    flip = only(flips_of(found, "against cpu@1"))
    assert (flip.other.baseline_class_id, flip.other.class_id) == ("id-laptop", "id-server")
    assert flip.other.crossing.batch_size == pytest.approx(32 / 3.8, rel=0.02)


def dtypes(cuda_float32, cuda_bfloat16, **more):
    """A run of one model in two dtypes on two devices."""
    content = run()
    for i, (dtype, cuda) in enumerate((("bfloat16", cuda_bfloat16), ("float32", cuda_float32))):
        content["benchmarks"] += affine_run(
            {"cpu": (1, 1), "cuda": cuda}, axes={"dtype": dtype, "width": 8, **more}, seed=i, **QUIET
        )["benchmarks"]
    return content


def test_float32_is_shown_beside_what_bfloat16_would_make_of_it(tmp_path):
    found = report(tmp_path, dtypes((33, 0.2), (33, 0.6)))
    flip = only(flips_of(found, "in bfloat16"))
    assert found.axes[flip.line.axes]["dtype"] == "float32"
    assert flip.line.crossing.batch_size == pytest.approx(40, rel=0.01)
    assert flip.other.crossing.batch_size == pytest.approx(80, rel=0.01)
    assert found.flip_sentences[-1].startswith("In bfloat16, from batch 80 [")


def test_models_that_differ_in_more_than_dtype_are_no_pair(tmp_path):
    content = run()
    for dtype, width in (("float32", 8), ("bfloat16", 9)):
        content["benchmarks"] += affine_run(
            {"cpu": (1, 1), "cuda": (33, 0.2)}, axes={"dtype": dtype, "width": width}
        )["benchmarks"]
    assert report(tmp_path, content).what_ifs == ()


def test_a_change_that_the_intervals_do_not_show_is_called_none(tmp_path):
    found = report(tmp_path, dtypes((33, 0.2), (33, 0.2)))
    assert only(found.flip_sentences).startswith(
        "In bfloat16, the break-even is not shown to move (from batch 40 ["
    )


def test_an_undecided_line_is_never_said_to_change(tmp_path):
    content = dtypes((33, 0.2), (33, 0.6))
    for item in content["benchmarks"]:
        if item["extra_info"]["axes"]["dtype"] == "bfloat16":
            item["stats"]["data"] = item["stats"]["data"][:3]
    sentence = only(report(tmp_path, content).flip_sentences)
    assert sentence.startswith("In bfloat16, the break-even is not shown to move")


@pytest.mark.parametrize(
    ("bfloat16", "says"),
    [
        ((0.1, 0.1), "In bfloat16, at every measured batch size (from 1) instead of batch 40 ["),
        ((9, 9), "In bfloat16, never (to batch 512) instead of batch 40 ["),
        ((900, 0.2), "In bfloat16, beyond batch 512 only instead of batch 40 ["),
    ],
)
def test_a_status_that_changes_is_said_in_words(tmp_path, bfloat16, says):
    assert only(report(tmp_path, dtypes((33, 0.2), bfloat16)).flip_sentences).startswith(says)


def test_of_several_models_the_one_that_moves_most_is_named_with_how_many_change(tmp_path):
    content = run()
    for width, gain in ((1, 0.4), (2, 0.6), (3, 0.2)):
        content["benchmarks"] += dtypes((33, 0.2), (33, gain), width=width)["benchmarks"]
    sentence = only(report(tmp_path, content).flip_sentences)
    assert sentence.startswith("In bfloat16, from batch 80 [")
    assert sentence.endswith(" for mlp at dtype=float32 width=2; 2 of 3 models change.")


def test_several_machines_are_told_apart_in_the_sentences(tmp_path):
    contents = [phases(GPU, machine=box(name)) for name in ("one", "two")]
    contents[1]["benchmarks"][0]["stats"]["data"][0] *= 1.001
    found = report(tmp_path, *contents)
    assert [sentence.split(":")[0] for sentence in found.flip_sentences] == ["cuda on one", "cuda on two"]


def test_what_changes_on_no_machine_is_said_once_for_all(tmp_path):
    contents = [
        {**dtypes((33, 0.2), (33, 0.2)), "machine_info": box(name), "datetime": name}
        for name in ("one", "two")
    ]
    contents[1]["benchmarks"][0]["stats"]["data"][0] *= 1.001
    assert report(tmp_path, *contents).flip_sentences == (
        "No other break-even is shown to move in bfloat16.",
    )


def test_resident_rounds_are_as_many_as_the_scarcer_of_the_two(tmp_path):
    content = phases(GPU)
    for item in content["benchmarks"]:
        if item["extra_info"]["phase"] == "transfer":
            item["stats"]["data"] = item["stats"]["data"][:4]
    flip = only(flips_of(report(tmp_path, content), "with the data resident"))
    assert flip.other.crossing.status == "undecided"


def test_a_workload_that_names_its_cells_the_same_in_both_runs_is_one_line(tmp_path):
    row = benchmark([1.0] * 9, axes={})
    assert report(tmp_path, run([row, benchmark([2.0] * 9, device="cuda", axes={})])).what_ifs == ()
