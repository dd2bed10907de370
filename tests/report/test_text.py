"""The verdict in plain sentences."""

import re

import pytest

from breakeven.report.report import analyze
from breakeven.runs import reader
from support.reports import box
from support.run_files import affine_run, benchmark, outcome, run, write

CPU, THREADS = (1, 1), {"cpu@1": (1, 1), "cpu": (10, 0.5)}


def verdict(tmp_path, *contents, baseline=None):
    """The verdict on run files with these contents; it never shows a zero, a NaN or an infinity."""
    paths = [write(tmp_path / f"run{i}.json", content) for i, content in enumerate(contents)]
    text = analyze(reader.read(paths), baseline).verdict
    assert not re.search(r"\bnan\b|\binf\b|NaN|None|\b0x|batch 0\b", text)
    assert "\n" not in text
    return text


def test_a_gpu_that_crosses_is_said_with_interval_place_and_best(tmp_path):
    text = verdict(tmp_path, affine_run({"cpu": CPU, "cuda": (33, 0.2)}))
    assert re.match(
        r"The GPU \(cuda\) beats all CPU threads \(cpu\) from batch \d\d \[\d\d–\d\d\] for mlp at width=128;",
        text,
    )
    assert re.search(r"; 3\.\d\dx at best \(batch 512\)\. cuda wins 2 of 4 cells, cpu 2\.", text)
    assert text.endswith("Times are of the whole training step, host-to-device transfer included.")


def test_threads_against_one_thread_read_well(tmp_path):
    text = verdict(tmp_path, affine_run(THREADS, axes={}))
    assert text.startswith("All CPU threads (cpu) beat one CPU thread (cpu@1) from batch 1")
    assert " for mlp; " in text
    assert text.endswith("Times are of the whole training step.")


@pytest.mark.parametrize(
    ("cuda", "says"),
    [
        (
            (0.1, 0.1),
            "beats all CPU threads (cpu) for mlp at width=128 at every measured batch size (1 to 512)",
        ),
        (
            (2, 2),
            "is slower than all CPU threads (cpu) for mlp at width=128 at the largest measured batch size",
        ),
        (
            (900, 0.2),
            "at every measured batch size (1 to 512), but the trend points to a break-even beyond 512",
        ),
        (
            CPU,
            "From which batch size on the GPU (cuda) beats all CPU threads (cpu) for mlp at width=128 is ",
        ),
    ],
)
def test_always_never_beyond_range_and_undecided_are_said_aloud(tmp_path, cuda, says):
    assert says in verdict(tmp_path, affine_run({"cpu": CPU, "cuda": cuda}))


def test_a_trend_beyond_the_range_is_no_claim_that_every_batch_is_slower(tmp_path):
    def timed(workload):
        lead = {1: 1.0, 64: -100.0, 256: -80.0, 512: -20.0}
        return [
            benchmark([time, time * 1.0001] * 9, device=device, batch_size=batch, workload=workload)
            for batch, more in lead.items()
            for device, time in (("cpu", 1000.0), ("cuda", 1000.0 - more))
        ]

    text = verdict(tmp_path, run(timed("mlp")))
    assert "at the largest measured batch size (512) and shown to be faster at none, but the trend" in text
    text = verdict(tmp_path, run(timed("mlp") + timed("cnn")))
    assert "cuda is faster nowhere, with a trend to a break-even beyond, in 2" in text


def test_one_batch_size_is_said_to_be_the_only_one(tmp_path):
    text = verdict(tmp_path, affine_run({"cpu": CPU, "cuda": (0.1, 0.1)}, batches=[64]))
    assert "for mlp at width=128 at batch 64, the only one measured" in text


def test_a_break_even_in_a_hole_is_said_to_lie_between_its_edges(tmp_path):
    content = affine_run({"cpu": CPU, "cuda": (33, 0.2)}, batches=[1, 64])
    content["breakeven"] = {"schema": 1, "outcomes": [outcome(device="cuda", batch_size=8)]}
    assert "from a batch size between 1 and 64 on; where exactly is undecided" in verdict(tmp_path, content)


def test_equal_at_small_batches_is_faster_at_the_latest_from_the_first_sure_one(tmp_path):
    times = {1: 1.0, 8: 4.0, 64: 4.0}
    content = run(
        [
            benchmark([1.0, 1.0001] * 9 if d == "cuda" else [t, t * 1.0001] * 9, device=d, batch_size=b)
            for b, t in times.items()
            for d in ("cpu", "cuda")
        ]
    )
    assert "from batch 8 at the latest; below, it is undecided" in verdict(tmp_path, content)


def test_several_models_are_told_by_their_extremes_and_counts(tmp_path):
    content = run()
    for width, floor in ((64, 33), (256, 9), (1024, 900), (4096, 0.1)):
        part = affine_run({"cpu": CPU, "cuda": (floor, 0.2)}, axes={"width": width})
        content["benchmarks"] += part["benchmarks"]
    text = verdict(tmp_path, content)
    assert text.startswith(
        "In 3 of 4 models the GPU (cuda) beats all CPU threads (cpu) from some batch size on: "
    )
    assert re.search(
        r"in 1 from the smallest measured, in 2 from batch 10 \[\S+\] \(mlp at width=256\) "
        r"to batch \d\d \[\S+\] \(mlp at width=64\); \d",
        text,
    )
    assert "Of the others: cuda is slower throughout, with a trend to a break-even beyond, in 1." in text
    assert re.search(r"at best \(batch \d+, mlp at width=\d+\)", text)


def test_axes_that_all_models_share_are_not_repeated_in_the_verdict(tmp_path):
    content = run()
    for width in (64, 256):
        axes = {"width": width, "depth": 2}
        content["benchmarks"] += affine_run({"cpu": CPU, "cuda": (width / 2, 0.2)}, axes=axes)["benchmarks"]
    text = verdict(tmp_path, content)
    assert "mlp at width=64" in text
    assert "depth" not in text


def test_several_models_of_which_none_wins_are_told_by_counts(tmp_path):
    content = run()
    for width in (1, 2):
        content["benchmarks"] += affine_run({"cpu": CPU, "cuda": (9, 9)}, axes={"width": width})["benchmarks"]
    text = verdict(tmp_path, content)
    assert text.startswith(
        "In none of 2 models is it shown that the GPU (cuda) beats all CPU threads (cpu): cuda is slower at"
    )


def test_an_accelerator_that_shares_no_cell_is_said_so_before_the_cpus(tmp_path):
    content = affine_run(THREADS)
    content["benchmarks"] += affine_run({"cuda": CPU}, batches=[9999])["benchmarks"]
    text = verdict(tmp_path, content, baseline="cpu@1")
    assert text.startswith("The GPU (cuda) shares no timed cell with what it could be held against. All CPU")


def test_accelerators_of_every_machine_are_spoken_of_before_cpus(tmp_path):
    laptop = affine_run({"cpu": CPU}, machine=box("laptop"))
    desk = affine_run({"cpu": (0.5, 0.5)}, machine=box("desk"), seed=1)
    server = affine_run({"cpu": (0.6, 0.5), "cuda": (33, 0.2)}, machine=box("server"), seed=2)
    text = verdict(tmp_path, laptop, desk, server, baseline="laptop/cpu")
    assert text.startswith("On server: the GPU (cuda) beats")
    assert "On desk: " in text


def test_a_verdict_on_a_machine_that_changed_says_so_itself(tmp_path):
    def song(seconds):
        return {"median_s": seconds, "low_s": seconds, "high_s": seconds}

    state = {"canary": {"cpu": {"start": song(1.0), "end": song(3.0)}}}
    content = affine_run({"cpu": CPU, "cuda": (33, 0.2)}, machine=box("box", state=state))
    assert verdict(tmp_path, content).endswith(
        "Read all this with care: the machine itself changed while it was measured."
    )
    found = analyze(reader.read([tmp_path / "run0.json"]))
    assert found.comparability.level == "amber"
    assert "canary on cpu ran 3.00x slower at the end" in found.comparability.reasons[0].text


def test_without_train_the_verdict_names_the_phase_it_speaks_of(tmp_path):
    text = verdict(tmp_path, affine_run({"cpu": CPU, "cuda": (33, 0.2)}, phases=("backward", "forward")))
    assert text.endswith("train was not compared: this speaks of forward alone.")


def test_a_single_device_has_nothing_to_be_held_against(tmp_path):
    assert verdict(tmp_path, affine_run({"cuda": CPU})).startswith("Only cuda was timed")


def test_only_transfer_cannot_be_compared(tmp_path):
    assert "transfer cannot" in verdict(tmp_path, affine_run({"cpu": CPU, "cuda": CPU}, phases=("transfer",)))


def test_nothing_timed_is_said_with_how_the_cases_ended(tmp_path):
    content = run([], [outcome("skipped"), outcome("skipped", batch_size=1), outcome("oom", device="cuda")])
    assert verdict(tmp_path, content) == (
        "Nothing was timed (2 skipped, 1 oom), so nothing can be judged; the outcomes say why."
    )
    assert not analyze(reader.read([tmp_path / "run0.json"])).judged


def test_beside_an_accelerator_thread_counts_are_no_candidates_of_the_verdict(tmp_path):
    text = verdict(tmp_path, affine_run({"cpu": CPU, "cpu@1": (1, 2), "cuda": (33, 0.2)}))
    assert text.startswith("The GPU (cuda) beats all CPU threads (cpu)")
    assert "cpu@1" not in text
