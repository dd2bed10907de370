"""Devices of several processes: their break-even against one, how they scale, and what stays as it was."""

import math
from dataclasses import replace

import numpy as np
import pytest

from breakeven.case import CaseKey
from breakeven.render.report_page import _question
from breakeven.report.answer import Trust
from breakeven.report.bound import Bound
from breakeven.report.estimates import estimates
from breakeven.report.ratios import ratios
from breakeven.report.report import analyze
from breakeven.report.scaling import ScalingKind
from breakeven.report.speedup import speedups_of
from breakeven.runs.reader import read
from breakeven.stats.crossing import CrossingStatus
from support.reports import box, only, report
from support.run_files import affine_run, benchmark, outcome, run, write
from support.several_processes import COMMUNICATION_S, MODELS, several_run, step_s

GPUS = ("cpu", "cuda", "2xcuda", "4xcuda")
STEP = {"train": 1.0}
WIDE = MODELS[-1]


def of(rows, device, batch):
    """The only row of a device at a batch size."""
    return only(row for row in rows if row.key.device == device and row.key.batch_size == batch)


def case_s(tmp_path, content, *keys):
    """The estimates of these (phase, device) at batch 64."""
    found = {case.key: case for case in estimates(read([write(tmp_path / "run.json", content)]).runs)}
    return [
        only(case for key, case in found.items() if (key.phase, key.device, key.batch_size) == (*one, 64))
        for one in keys
    ]


def width(ratio):
    """The width of an interval in logarithms."""
    return math.log(ratio.high / ratio.low)


def test_strong_efficiency_and_communication(tmp_path):
    """Both intervals hold what the run was made of, and are as narrow as its noise allows."""
    found = report(tmp_path, several_run(GPUS, models=[WIDE], phases=STEP)).scaling
    for device, processes in (("2xcuda", 2), ("4xcuda", 4)):
        for batch in (16, 4096):
            row = of(found.rows, device, batch)
            there_s = step_s(device, batch, 8)
            efficiency = step_s("cuda", batch, 8) / processes / there_s
            communication = (processes - 1) * COMMUNICATION_S / there_s
            assert row.kind is ScalingKind.STRONG
            assert row.efficiency.low < efficiency < row.efficiency.high
            assert row.efficiency.high / row.efficiency.low < 1.1
            assert row.communication.low < communication < row.communication.high
            assert row.communication.high - row.communication.low < 0.1


def test_weak_efficiency(tmp_path):
    """64 samples on one device against 256 on four: the same for each process."""
    found = report(tmp_path, several_run(GPUS, models=[WIDE], phases=STEP, weak=True, noise=0.001)).scaling
    row = of(found.rows, "4xcuda", 256)
    assert row.kind is ScalingKind.WEAK
    assert row.efficiency.ratio == pytest.approx(step_s("cuda", 64, 8) / step_s("4xcuda", 256, 8), rel=0.01)
    assert {row.key.batch_size for row in found.rows if row.key.device == "2xcuda"} == {
        32,
        128,
        512,
        2048,
        8192,
    }


def test_efficiency_without_the_device_alone(tmp_path):
    """What was not measured is unknown; a step of which nothing is known has no row."""
    found = report(tmp_path, several_run(("cpu@1", "2xcpu"), models=[WIDE], phases=STEP, batches=(64,)))
    row = only(found.scaling.rows)
    assert row.efficiency.ratio is None
    assert row.communication.ratio > 0
    content = several_run(("cpu@1", "2xcpu"), models=[WIDE], phases=STEP, batches=(64,))
    content["benchmarks"] = [one for one in content["benchmarks"] if "no_sync" not in one["name"]]
    assert report(tmp_path, content).scaling.rows == ()


def test_weak_batch_that_does_not_divide(tmp_path):
    """A batch of 7 has no half, not even 3."""
    axes = {"batch": "rank"}
    cases = [
        benchmark([1.0] * 8, device=device, batch_size=batch, axes=axes, steps=1)
        for device, batch in (("cuda", 3), ("cuda", 7), ("2xcuda", 7))
    ]
    assert report(tmp_path, run(cases, [], box())).scaling.rows == ()


def test_interval_of_other_processes_is_that_of_independent_ones(tmp_path):
    """Processes that all are disturbed by the same prove nothing, unless it was in the same processes."""
    content = several_run(("cuda", "2xcuda"), models=[WIDE], phases=STEP, noise=0.002, shared=0.2)
    one, two, silent = case_s(
        tmp_path, content, ("train", "cuda"), ("train", "2xcuda"), ("train_no_sync", "2xcuda")
    )
    apart, together = ratios([(one, two), (silent, two)])
    assert width(apart) > 0.9 * math.hypot(*(math.log(case.high_s / case.low_s) for case in (one, two)))
    assert width(together) < 0.1 * width(apart)
    assert apart.ratio == pytest.approx(step_s("cuda", 64, 8) / step_s("2xcuda", 64, 8), rel=0.01)
    assert (apart.processes, together.processes) == (5, 5)
    assert apart.log_sd == pytest.approx(math.hypot(one.log_sd, two.log_sd))
    assert only(speedups_of([(one, two)])).readings == pytest.approx(
        np.exp(one.log_medians - two.log_medians).tolist()
    )


def test_two_devices_of_several_processes_are_independent(tmp_path):
    """The group of two and the group of four were other processes."""
    content = several_run(("2xcuda", "4xcuda"), models=[WIDE], phases=STEP, noise=0.002, shared=0.2)
    two, four = case_s(tmp_path, content, ("train", "2xcuda"), ("train", "4xcuda"))
    assert width(only(ratios([(two, four)]))) > 0.5


def test_interval_of_other_processes_holds_the_truth(tmp_path):
    """In 60 runs whose devices share nothing, at least 9 of 10 intervals do."""
    truth = step_s("cuda", 64, 8) / step_s("2xcuda", 64, 8)
    held = []
    for seed in range(60):
        content = several_run(
            ("cuda", "2xcuda"), models=[WIDE], phases=STEP, batches=(64,), noise=0.1, seed=seed
        )
        pair = case_s(tmp_path, content, ("train", "cuda"), ("train", "2xcuda"))
        ratio = only(ratios([pair]))
        held.append(ratio.low <= truth <= ratio.high)
    assert sum(held) >= 54


def test_break_even_against_one(tmp_path):
    """Each compared phase has one, beside that against the CPU; the crossing is where the two lines meet."""
    found = report(tmp_path, several_run(GPUS, models=[WIDE]))
    pairs = {(line.baseline.device, line.candidate.device) for line in found.scaling.break_evens}
    assert pairs == {("cuda", "2xcuda"), ("cuda", "4xcuda")}
    assert {line.phase for line in found.scaling.break_evens} == {"forward", "backward", "step", "train"}
    assert {(line.baseline.device, line.candidate.device) for line in found.break_evens} == {
        ("cpu", device) for device in GPUS[1:]
    }
    line = only(
        line
        for line in found.scaling.break_evens
        if line.phase == "train" and line.candidate.device == "2xcuda"
    )
    # 8e-6 s a sample: the half that one device saves is worth the communication from batch 25.
    assert line.crossing.low < COMMUNICATION_S / 4e-6 < line.crossing.high
    assert [track.candidate.device for track in found.scaling.chart.tracks] == ["2xcuda", "4xcuda"]


def test_baseline_that_is_the_device_itself(tmp_path):
    """It is in the report anyway, and not twice."""
    found = report(tmp_path, several_run(("cpu", "2xcpu"), models=[WIDE]))
    assert found.scaling.break_evens == ()
    assert not found.scaling.chart
    assert found.verdict.startswith("Two CPU processes beat one at every measured batch size")
    assert {line.candidate.device for line in found.break_evens} == {"2xcpu"}


def test_group_of_one_process(tmp_path):
    """Its efficiency is what the group itself costs; it is not a device that could win."""
    found = report(tmp_path, several_run(("cpu", "cuda", "1xcuda"), models=[WIDE], phases=STEP, noise=0.001))
    assert found.scaling.break_evens == ()
    assert of(found.scaling.rows, "1xcuda", 64).efficiency.ratio == pytest.approx(1, abs=0.01)
    assert {line.candidate.device for line in found.break_evens} == {"cuda"}
    assert {row.candidate.device for row in found.speedups} == {"cuda", "1xcuda"}
    assert found.verdict.startswith("The GPU wins at every measured batch size")
    assert "group of one" not in found.verdict


def test_group_of_one_process_alone(tmp_path):
    """Beside its own device only, the answer is what the group costs."""
    found = report(
        tmp_path, several_run(("cuda", "1xcuda"), models=[WIDE], phases=STEP, noise=0.001, batches=(64,))
    )
    assert found.break_evens == ()
    cost = "DistributedDataParallel or FSDP by itself, on a group of one GPU (1xcuda): 100% [99–101%] of the"
    assert found.answer.lines == (f"{cost} speed without it (mlp, width 4096, batch 64).",)
    assert found.answer.trust is Trust.FIT
    assert _question(found) == "Verdict"
    (sentence,) = found.scaling.sentences
    assert sentence.startswith(f"{cost} speed without it (mlp, width 4096, batch 64); communication takes 0%")


def test_group_of_one_process_without_its_device(tmp_path):
    """It is then compared as any other device."""
    found = report(tmp_path, several_run(("cpu", "1xcuda"), models=[WIDE], phases=STEP, noise=0.001))
    assert {line.candidate.device for line in found.break_evens} == {"1xcuda"}
    assert "group of one GPU" in found.verdict


def test_one_device_of_each(tmp_path):
    """Without several processes there is nothing."""
    found = report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))
    assert (found.scaling.rows, found.scaling.break_evens, found.scaling.sentences) == ((), (), ())


def test_answer(tmp_path):
    """The GPU against the CPU, and several against one."""
    found = report(tmp_path, several_run(GPUS, phases=STEP))
    assert found.answer.lines == (
        "The GPU wins for all 4 models, the median model from batch 230 [227–236].",
        "Two GPUs beat one for all 4 models, the median from batch 384 [376–426]. "
        "Four GPUs beat one for all 4 models, the median from batch 806 [772–821].",
    )
    assert "Two GPUs win for all 4 models" in " ".join(found.answer.notes)


def test_answer_of_one_model(tmp_path):
    """There is room for by how much."""
    found = report(tmp_path, several_run(GPUS[:3], models=[WIDE], phases=STEP))
    first, second = found.answer.lines
    assert first.startswith("The GPU wins at every measured batch size (16–4,096); up to 3.94x faster")
    assert second.startswith("Two GPUs beat one from batch 26 [")
    assert second.endswith("up to 1.97x faster (batch 4,096).")


def test_answer_where_several_lose(tmp_path):
    """They never beat one at small batch sizes."""
    found = report(tmp_path, several_run(GPUS[:3], models=MODELS[:1], batches=(16, 64), phases=STEP))
    assert "Two GPUs never beat one (up to batch 64)" in found.verdict


def test_without_a_cpu(tmp_path):
    """The baseline is the device alone."""
    found = report(tmp_path, several_run(("cuda", "2xcuda"), models=[WIDE], phases=STEP))
    assert found.verdict.startswith("Two GPUs beat one from batch 25 [")
    assert {line.baseline.device for line in found.break_evens} == {"cuda"}


def test_sentences(tmp_path):
    """Of each device, strong before weak."""
    strong, weak = (several_run(GPUS[:3], phases=STEP, weak=weak, noise=0.001) for weak in (False, True))
    found = report(tmp_path, strong, weak)
    assert found.scaling.sentences == (
        "Strong scaling on two GPUs (2xcuda): 40% to 98% of the ideal speed (best: 98% [97–99%], mlp, width "
        "4096, batch 4,096); communication takes 1% to 20% of a training step (worst: 20% [19–21%], mlp, "
        "width 64, batch 16).",
        "Weak scaling on two GPUs (2xcuda): 80% to 100% of the ideal speed (best: 100% [99–100%], mlp, width "
        "4096, batch 8,192); communication takes 0% to 20% of a training step (worst: 20% [19–21%], mlp, "
        "width 64, batch 32).",
    )


def test_weak_models_are_set_apart(tmp_path):
    """Where the model was measured outside of the weak sweep too, only its scaling is reported."""
    strong, weak = (several_run(GPUS[:3], models=[WIDE], phases=STEP, weak=weak) for weak in (False, True))
    alone, both = report(tmp_path, strong), report(tmp_path, strong, weak)
    assert len(both.rows) == 2 * len(alone.rows)
    assert [line.model for line in both.break_evens] == [line.model for line in alone.break_evens]
    assert len(both.chart.rows) == 1
    assert both.warnings == alone.warnings
    assert {row.kind for row in both.scaling.rows} == {ScalingKind.STRONG, ScalingKind.WEAK}


def test_weak_sweep_alone(tmp_path):
    """Speedups are of the same whole batch; batch sizes of another number of processes are not holes."""
    found = report(tmp_path, several_run(GPUS, models=[WIDE], phases=STEP, weak=True))
    assert all(row.baseline.batch_size == row.candidate.batch_size for row in found.speedups)
    assert [row.label for row in found.chart.rows] == ["mlp weak scaling width=4096"]
    assert list(found.names.values()) == ["mlp, weak scaling, width 4096"]
    lines = {(line.baseline.device, line.candidate.device): line for line in found.break_evens}
    assert lines["cpu", "4xcuda"].batches == (64, 256, 1024, 4096)
    assert lines["cpu", "4xcuda"].holes == ()
    assert lines["cpu", "4xcuda"].crossing.status is CrossingStatus.ALWAYS
    assert found.warnings == ()
    assert "no timed cell" not in found.verdict


def test_weak_case_that_ended(tmp_path):
    """A batch size that both were asked for is a hole."""
    content = several_run(("cpu", "4xcuda"), models=[WIDE], phases=STEP, weak=True)
    kept = [one for one in content["benchmarks"] if "-4096-4xcuda" not in one["name"]]
    lost = outcome("oom", device="4xcuda", batch_size=4096, axes={"width": 4096, "batch": "rank"})
    content["benchmarks"], content["breakeven"]["outcomes"] = kept, [lost]
    assert only(report(tmp_path, content).break_evens).holes == (4096,)


def test_phase_without_communication(tmp_path):
    """It trains something else: no speedup, no part of a step."""
    found = report(tmp_path, several_run(GPUS, models=[WIDE]))
    assert "train_no_sync" in {row.key.phase for row in found.rows}
    assert "train_no_sync" not in {row.phase for row in found.speedups}
    assert all(set(row.parts) <= {"transfer", "forward", "backward", "step"} for row in found.phase_sums)


def test_phase_sum_of_several(tmp_path):
    """Each phase waits for the slowest process, so that a large sum says nothing of the measurement."""
    phases = {"transfer": 1.0, "forward": 1.0, "backward": 1.0, "step": 1.0, "train": 1.0}
    content = several_run(("cpu", "2xcpu"), models=[WIDE], phases=phases)
    for one in content["benchmarks"]:
        if one["extra_info"]["device"] == "2xcpu" and one["extra_info"]["phase"] == "forward":
            one["stats"]["data"] = [2 * time for time in one["stats"]["data"]]
    found = report(tmp_path, content)
    assert {row.device for row in found.residuals} == {"cpu"}
    assert found.warnings == ()


def test_bottleneck_of_several(tmp_path):
    """A step that waits for communication is bound neither by the launches nor by the device."""
    content = several_run(GPUS[:3], models=[WIDE], phases=STEP)
    for one in content["benchmarks"]:
        one["extra_info"]["enqueue_s"] = 1e-5
    found = report(tmp_path, content)
    assert {row.line.device for row in found.bottlenecks} == {"cuda"}
    assert {cell.kind for row in found.bottlenecks for cell in row.cells} == {Bound.COMPUTE}


def test_processes_are_not_threads(tmp_path):
    """Two processes of the CPU are another device, not the CPU at its best number of threads."""
    slow = several_run(("cpu", "2xcpu", "cuda"), models=[WIDE], phases=STEP)
    found = report(tmp_path, slow)
    assert found.better_baselines == {}
    assert [change.scenario for change in found.changes] == ["against 2xcpu"]


def test_start_up_of_several(tmp_path):
    """Joining is a part of it."""
    content = several_run(GPUS[:3], models=[WIDE], phases=STEP, batches=(256,))
    content["machine_info"]["breakeven"]["state"] = {"device_init_s": {"cuda": 0.3, "cpu": 0.0}}
    starts = {row.row.candidate.device: row.start_s for row in report(tmp_path, content).paybacks}
    assert starts["cuda"] == pytest.approx(0.3, abs=0.05)
    assert starts["2xcuda"] == pytest.approx(0.8, abs=0.05)


def test_two_processes_each(tmp_path):
    """Two processes say nothing yet, and both readings are shown."""
    content = several_run(("cuda", "2xcuda"), models=[WIDE], phases=STEP, batches=(64,))
    for one in content["benchmarks"]:
        one["stats"]["data"] = one["stats"]["data"][:12]
        one["extra_info"]["processes"] = [6, 6]
    row = only(report(tmp_path, content).speedups)
    assert len(row.readings) == 2
    assert row.low is None


@pytest.mark.parametrize(
    ("pending", "wins", "notes"),
    [
        ({2, 16, 256}, "undecided (2–256)", ["two processes are too few"]),
        ({16, 256}, "at 2 only: slower", ["two processes are too few above 2"]),
        ({256}, "7 [4–10]", ["two processes are too few above 16"]),
    ],
)
def test_two_processes_are_a_timing(tmp_path, monkeypatch, pending, wins, notes):
    """Batch sizes without an interval count as timed; nothing asks to measure them for the first time."""

    def without_intervals(*args):
        return [
            replace(case, low_s=None, high_s=None) if case.key.batch_size in pending else case
            for case in estimates(*args)
        ]

    monkeypatch.setattr("breakeven.report.report.estimates", without_intervals)
    content = several_run(("cpu", "2xcpu"), models=[WIDE], phases=STEP, batches=(2, 16, 256))
    for one in content["benchmarks"]:
        one["stats"]["data"] = one["stats"]["data"][:12]
        one["extra_info"]["processes"] = [6, 6]
    found = report(tmp_path, content)
    track = only(track for track in found.chart.tracks if track.line.phase == "train")
    assert (track.wins_from, list(track.notes)) == (wins, notes)
    text = " ".join((found.verdict, *found.answer.notes, *found.warnings))
    assert "two processes" in text.lower()
    assert not any(
        words in text for words in ("not timed", "no usable timing", "only one measured", "would not decide")
    )


def test_run_without_the_group_in_one_of_its_files(tmp_path):
    """Processes are paired by their place in the run, whoever was measured in it."""
    first = several_run(("cpu", "cuda"), models=[WIDE], phases=STEP, seed=1)
    second = several_run(("cpu", "cuda", "2xcuda"), models=[WIDE], phases=STEP, seed=2)
    second["datetime"] = "2026-01-03T00:00:00+00:00"
    found = report(tmp_path, first, second)
    row = only(
        row for row in found.speedups if row.candidate.device == "2xcuda" and row.candidate.batch_size == 64
    )
    assert row.processes == 5
    assert row.speedup == pytest.approx(step_s("cpu", 64, 8) / step_s("2xcuda", 64, 8), rel=0.02)


def test_key_of_a_weak_case_is_kept(tmp_path):
    """The words are for people; the identity has the axis."""
    found = report(tmp_path, several_run(GPUS[:3], models=[WIDE], phases=STEP, weak=True, batches=(64,)))
    key = found.scaling.rows[0].key
    assert key == replace(
        CaseKey.of("mlp", 128, "train", "2xcuda", {"width": 4096, "batch": "rank"}), machine=key.machine
    )


def test_forced_and_refused(tmp_path):
    """A comparison that is refused has no ratios of any kind."""
    content = several_run(GPUS[:3], models=[WIDE], phases=STEP)
    for one in content["benchmarks"]:
        one["extra_info"]["parameters"] = 1 if one["extra_info"]["device"] == "cpu" else 2
    path = write(tmp_path / "run.json", content)
    refused, forced = (analyze(read([path]), force=force).scaling for force in (False, True))
    assert (refused.rows, refused.break_evens) == ((), ())
    assert len(forced.break_evens) == 1
