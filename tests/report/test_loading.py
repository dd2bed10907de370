"""What bounds an epoch, and how many workers would feed the device."""

import json
import math

import jsonschema
import pytest

from breakeven.render.json_output import json_schema
from breakeven.render.loading_table import loading_table
from breakeven.render.report_data import ReportJson, to_json
from breakeven.report.loading import NEAR, EpochBound
from support.reports import box, only, report
from support.run_files import affine_run, benchmark, run
from support.training_loops import loop_run

STEP_S = {"cpu": (0.080, 0), "cuda": (0.010, 0)}
"""A step of the same length at each batch size."""


def loaded(tmp_path, load_s, *, device="cuda", devices=None, **options):
    """The report on a loader that takes `load_s` for a batch, and its row for a device."""
    options = {"batches": (64,), "axes": {}, "workload": "resnet", "machine": box(cores=64), **options}
    found = report(tmp_path, loop_run(devices or STEP_S, load=(load_s, 0), **options))
    return found, only(row for row in found.loadings if row.key.device == device)


@pytest.mark.parametrize(
    ("load_s", "bound"),
    [
        (0.038, EpochBound.LOADER),
        (0.0103, EpochBound.LOADER),
        (0.0101, EpochBound.NEITHER),
        (0.0099, EpochBound.NEITHER),
        (0.002, EpochBound.STEP),
    ],
)
def test_bound(tmp_path, load_s, bound):
    """The slower of loading and training, unless they are the same within 2%."""
    assert loaded(tmp_path, load_s)[1].bound is bound


@pytest.mark.parametrize(("noise", "bound"), [(0.1, EpochBound.NEITHER), (1.0, None)])
def test_bound_within_noise(tmp_path, noise, bound):
    """Neither bounds the epoch where all of the interval is near 1; a wide one decides nothing."""
    found, row = loaded(tmp_path, 0.0106, noise=noise, seed=1)
    assert row.ratio.low < 1 < row.ratio.high
    assert (row.ratio.low > 1 / NEAR and row.ratio.high < NEAR) == (bound is not None)
    assert row.bound is bound
    assert (row.workers_needed is None) == (bound is None)
    printed = only(one for one in json.loads(to_json(found))["loading"] if one["device"] == "cuda")
    assert printed["bound"] == bound
    if bound is None:
        assert "the intervals do not show what bounds an epoch" in found.loading_sentences[0]
        cells = dict(zip(loading_table(found).columns, loading_table(found).rows[1], strict=True))
        assert (cells["bounded by"], cells["would feed it"]) == ("undecided", "")


@pytest.mark.parametrize(
    ("workers", "epoch_s", "bound"),
    [
        (2, 0.019, EpochBound.LOADER),
        (2, 0.013, EpochBound.LOADER),
        (2, 0.012, None),
        (0, 0.021, EpochBound.LOADER),
        (0, 0.019, None),
        (None, 0.019, None),
    ],
)
def test_bound_without_load(tmp_path, workers, epoch_s, bound):
    """An epoch that is much longer than its steps waits for the loader, which alone may have no time."""
    facts = {} if workers is None else {"loader_workers": workers}
    content = run(
        [
            benchmark([0.01 + i * 1e-8 for i in range(9)], axes={}),
            benchmark([epoch_s + i * 1e-8 for i in range(9)], phase="epoch", axes={}, **facts),
        ]
    )
    found = report(tmp_path, content)
    row = only(found.loadings)
    assert (row.bound, row.ratio.ratio, row.workers_needed) == (bound, None, None)
    if bound:
        assert found.loading_sentences[0].endswith(
            ": the loader bounds the epoch; the phase load, which was not timed, shows how many workers would"
            " feed it."
        )


def test_workers_of_the_printed_times(tmp_path):
    """Times, ratio and workers agree, although an interval is found process by process."""
    _, row = loaded(tmp_path, 0.0361, noise=0.3, processes=3)
    assert row.ratio.ratio == row.load_s / row.train_s
    assert row.ratio.low <= row.ratio.ratio <= row.ratio.high
    assert row.workers_needed == math.ceil(2 * row.load_s / row.train_s)


@pytest.mark.parametrize(
    ("load_s", "workers", "accumulate", "needed"),
    [
        (0.030, 2, 1, 6),
        (0.0301, 2, 1, 7),
        (0.004, 2, 1, 1),
        (0.030, 0, 1, 3),
        (0.004, 0, 1, 1),
        # A batch takes 9.25 ms with its share of the optimizer's step: (4 x 9 + 1) / 4.
        (0.0277, 1, 4, 3),
        (0.0278, 1, 4, 4),
    ],
)
def test_workers_needed(tmp_path, load_s, workers, accumulate, needed):
    """As many as load a batch in the time in which a batch is trained on."""
    _, row = loaded(tmp_path, load_s, workers=workers, accumulate=accumulate, noise=1e-12)
    assert row.workers_needed == needed
    assert row.train_s == pytest.approx(0.01 if accumulate == 1 else 0.00925)


def test_step_and_epoch(tmp_path):
    """The answer has the speedup of the step beside that of the epoch, and what would help."""
    found, row = loaded(tmp_path, 0.038, noise=1e-9)
    assert row.loader_share == pytest.approx(1 - 10 / 38)
    sentence = (
        "the step is 8.00x faster, the epoch 2.11x: the loader bounds it; 8 workers would feed the GPU."
    )
    assert f"At batch 64 {sentence}" in found.verdict
    assert found.loading_sentences == (
        f"resnet at batch 64: on the GPU (cuda) {sentence}",
        "On the CPU (cpu), the step bounds the epoch of resnet.",
    )


def test_epoch_that_its_step_bounds(tmp_path):
    found, _ = loaded(tmp_path, 0.002, noise=1e-9)
    assert "bounds" not in found.verdict
    assert found.loading_sentences[0].endswith("the epoch 8.00x: the step bounds it.")


@pytest.mark.parametrize(
    ("cuda_s", "load_s", "speeds"),
    [
        (0.010, 0.080, "the step is 8.00x faster, the epoch equally fast"),
        (0.160, 0.200, "the step is 2.00x slower, the epoch equally fast"),
        (0.160, 0.100, "the step is 2.00x slower, the epoch 1.60x"),
    ],
)
def test_speeds(tmp_path, cuda_s, load_s, speeds):
    devices = {"cpu": (0.080, 0), "cuda": (cuda_s, 0)}
    found, _ = loaded(tmp_path, load_s, devices=devices, noise=1e-9)
    assert found.loading_sentences[0].startswith(f"resnet at batch 64: on the GPU (cuda) {speeds}: ")


@pytest.mark.parametrize(
    ("load_s", "text"),
    [
        (0.005, "the step bounds it; {}, and one worker would overlap them."),
        (0.025, "the loader bounds it; {}, and 3 workers would feed the GPU."),
    ],
)
def test_no_workers(tmp_path, load_s, text):
    """Without workers the epoch takes both times, one after the other."""
    turns = "with num_workers=0 loading and training take turns"
    found, row = loaded(tmp_path, load_s, workers=0)
    assert row.epoch_s == pytest.approx(load_s + 0.010, rel=0.01)
    assert found.loading_sentences[0].endswith(text.format(turns))


@pytest.mark.parametrize(
    ("load_s", "bound"),
    [(0.005, "the step bounds it."), (0.014, "the loader bounds it; 2 workers would feed")],
)
def test_no_workers_beside_a_queue(tmp_path, load_s, bound):
    """An accelerator with queued steps trains on a batch while its process loads the next one."""
    epoch_s = {"cuda": max(load_s, 0.010), "cpu": 0.080}
    found, row = loaded(tmp_path, load_s, workers=0, epoch=epoch_s, noise=1e-9)
    assert not row.takes_turns
    assert bound in found.loading_sentences[0]
    cpu = only(row for row in found.loadings if row.key.device == "cpu")
    assert cpu.takes_turns


@pytest.mark.parametrize(("cores", "more"), [(7, ", but the machine has 7 CPUs"), (8, ""), (None, "")])
def test_more_workers_than_cpus(tmp_path, cores, more):
    found, _ = loaded(tmp_path, 0.038, machine=box(cores=cores), processes=5)
    assert found.loading_sentences[0].endswith(f"8 workers would feed the GPU{more}.")
    assert f"8 workers would feed the GPU{more}." in found.verdict


@pytest.mark.parametrize(
    ("workers", "start_s", "sentences"),
    [
        (2, 0.2, ["resnet at batch 64: starting a pass over the data takes 200 ms, 17% of a pass of 100 "
                  "batches; persistent_workers=True keeps the workers."]),
        (2, 0.05, []),
        (0, 0.2, ["resnet at batch 64: starting a pass over the data takes 198 ms, 14% of a pass of 100 "
                  "batches."]),
        (0, 0.002, []),  # its first batch alone
    ],
)  # fmt: skip
def test_start_of_a_pass(tmp_path, workers, start_s, sentences):
    """More than 5% of a pass is worth a sentence; only workers can be kept."""
    loader = {"loader_batches": 100 if start_s > 0.01 else 3, "loader_start_s": start_s}
    devices = {"cuda": (0.010, 0)}
    found, _ = loaded(tmp_path, 0.002, devices=devices, loader=loader, workers=workers, noise=1e-9)
    assert [text for text in found.loading_sentences if "starting" in text] == sentences


def test_start_in_several_cells(tmp_path):
    """The cell in which it takes the largest share is named, the others are counted."""
    loader = {"loader_batches": 100, "loader_start_s": 0.2}
    devices = {"cpu": (0.001, 0.001), "cuda": (0.01, 0)}
    content = loop_run(devices, (1, 8, 64), load=(1e-4, 0), loader=loader, axes={}, noise=1e-9)
    assert report(tmp_path, content).loading_sentences[-1] == (
        "mlp at batch 1: starting a pass over the data takes 200 ms, 50% of a pass of 100 batches, and more "
        "than 5% in 2 more cells; persistent_workers=True keeps the workers."
    )


def test_one_device(tmp_path):
    """Without a comparison, the times of a batch take the place of the speedups."""
    found, _ = loaded(tmp_path, 0.038, device="cpu", devices={"cpu": (0.010, 0)}, noise=1e-9)
    assert found.loading_sentences == (
        "resnet at batch 64: on the CPU (cpu) loading a batch takes 38.0 ms, training on it 10.0 ms and both "
        "in an epoch 38.0 ms: the loader bounds the epoch; 8 workers would feed the CPU.",
    )


def test_worst_cell(tmp_path):
    """The sentence is about the batch size whose epoch the loader slows most."""
    content = run()
    for batch, load_s in ((8, 0.011), (64, 0.030), (512, 0.020)):
        content["benchmarks"] += loop_run(STEP_S, (batch,), load=(load_s, 0), axes={})["benchmarks"]
    assert report(tmp_path, content).loading_sentences[0].startswith("mlp at batch 64: ")


def test_worst_cell_without_load(tmp_path):
    content = run()
    for batch, epoch_s in ((8, 0.011), (64, 0.060), (512, 0.040)):
        made = loop_run({"cuda": (0.010, 0)}, (batch,), load=(0.01, 0), epoch={"cuda": epoch_s}, axes={})
        content["benchmarks"] += [one for one in made["benchmarks"] if one["extra_info"]["phase"] != "load"]
    assert report(tmp_path, content).loading_sentences[0].startswith("mlp at batch 64: ")


def test_loader_on_one_device(tmp_path):
    """Loading happens on the host, so that one device's is that of the others."""
    content = loop_run(STEP_S, (64,), load=(0.038, 0))
    content["benchmarks"] = [
        item
        for item in content["benchmarks"]
        if (item["extra_info"]["device"], item["extra_info"]["phase"]) != ("cuda", "load")
    ]
    found = report(tmp_path, content)
    assert [row.bound for row in found.loadings] == [EpochBound.STEP, EpochBound.LOADER]


def test_epoch_alone(tmp_path):
    """Twice as long as its steps shows nothing, as it may be both, one after the other."""
    found = report(
        tmp_path, run([benchmark([t] * 9, phase=p, axes={}) for p, t in (("train", 1.0), ("epoch", 2.0))])
    )
    row = only(found.loadings)
    assert (row.bound, row.workers_needed, row.loader_share) == (None, None, 0.5)
    assert found.loading_sentences == (
        "mlp at batch 64: on the CPU (cpu) training on a batch takes 1.00 s and loading it too, in an epoch, "
        "2.00 s: the intervals do not show what bounds an epoch.",
    )


def test_several_models(tmp_path):
    content = run()
    for width, load_s in ((8, 0.030), (64, 0.002), (512, 0.030)):
        made = loop_run(STEP_S, (1, 64), load=(load_s, 0), axes={"width": width}, seed=width)
        content["benchmarks"] += made["benchmarks"]
    found = report(tmp_path, content)
    assert "The loader bounds epochs of 2 of 3 models." in found.verdict
    assert found.loading_sentences[-1] == "On the CPU (cpu), the step bounds the epochs of 3 models."


def test_every_output(tmp_path):
    """The table and the JSON have each cell; without a loader, neither exists."""
    found, row = loaded(tmp_path, 0.038, loader={"loader_batches": 100, "loader_start_s": 1.0})
    content = json.loads(to_json(found))
    jsonschema.validate(content, json_schema(ReportJson))
    printed = only(one for one in content["loading"] if one["device"] == "cuda")
    assert (printed["bound"], printed["workers"], printed["workers_needed"]) == ("loader", 2, 8)
    assert (printed["epoch_s"], printed["load_ratio"]) == (row.epoch_s, row.ratio.ratio)
    assert printed["low"] < printed["load_ratio"] < printed["high"]
    table = loading_table(found)
    assert table.columns == (
        "model", "batch", "device", "train", "load", "epoch", "waiting", "bounded by", "workers",
        "would feed it", "start of a pass",
    )  # fmt: skip
    assert table.rows[1][6:] == ("74%", "loader", "2", "8", "972 ms (20%)")
    bare = report(tmp_path / "bare", affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))
    assert (loading_table(bare), bare.loadings, "loading" in json.loads(to_json(bare))) == (None, (), False)


def test_noise_of_workers(tmp_path):
    """What disturbs a loader widens no interval of training."""
    quiet = loop_run(STEP_S, processes=5)
    noisy = loop_run(STEP_S, load=(0.03, 0), noise=0.5, processes=5)
    loader = [item for item in noisy["benchmarks"] if item["extra_info"]["phase"] in ("load", "epoch")]
    alone, both = (
        {row.candidate: (row.low, row.high) for row in report(tmp_path / name, content).speedups}
        for name, content in (("1", quiet), ("2", run([*quiet["benchmarks"], *loader])))
    )
    assert {key: both[key] for key in alone} == alone


def test_wait_within_noise(tmp_path):
    """An epoch that is not shown to be longer than its steps waits for nothing."""
    devices = {"cuda": (0.010, 0)}
    content = loop_run(devices, load=(0.002, 0), noise=0.05)
    assert {row.loader_s for row in report(tmp_path, content).phase_sums} == {0.0}


def test_load_has_no_speedup(tmp_path):
    found, _ = loaded(tmp_path, 0.038)
    assert {row.phase for row in found.speedups} == {"train", "forward", "backward", "step", "epoch"}


def test_start_without_an_epoch(tmp_path):
    """A batch then takes what its parts do: 0.1 s to start are 0.1 + 0.08 - (0.02 + 0.08) s more."""
    content = loop_run(
        {"cpu": (0.08, 0)}, (1,), load=(0.02, 0), workers=0, noise=1e-9,
        loader={"loader_batches": 10, "loader_start_s": 0.1},
    )  # fmt: skip
    content["benchmarks"] = [item for item in content["benchmarks"] if item["extra_info"]["phase"] != "epoch"]
    row = only(report(tmp_path, content).loadings)
    assert (row.start_extra_s, row.start_share) == pytest.approx((0.08, 0.08 / 1.08))


def test_largest_batch_where_no_cell_is_slowed(tmp_path):
    found = report(tmp_path, loop_run(STEP_S, (8, 64), load=(0.002, 0), axes={}))
    assert found.loading_sentences[0].startswith("mlp at batch 64: ")


def test_undecided_speeds(tmp_path):
    """Times are printed where the noise hides whether the device is faster."""
    devices = {"cpu": (0.010, 0), "cuda": (0.011, 0)}
    found, _ = loaded(tmp_path, 0.002, devices=devices, noise=0.4, processes=3)
    assert "on the GPU (cuda) loading a batch takes" in found.loading_sentences[0]
