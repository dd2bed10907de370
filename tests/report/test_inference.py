"""Where a device wins inference, beside where it wins training."""

import pytest

from breakeven.format import MAX_CHARACTERS
from support.answers import line, models, shown
from support.reports import report
from support.run_files import affine_run, run
from support.training_loops import GPU, loop_run


def infer(*args, **options):
    """A break-even in inference."""
    return line(*args, phase="infer", **options)


TRAINING = "The GPU wins from batch 64 [48–80]; up to 84.4x faster (batch 512)."


@pytest.mark.parametrize(
    ("inference", "text"),
    [
        (infer(at=96.0, between=(64.0, 127.4)),
         "The GPU wins training from batch 64 [48–80], inference from 96 [64–128]; up to 84.4x and 84.4x "
         "faster."),
        (infer("always"),
         "The GPU wins training from batch 64 [48–80], inference at every measured batch size (1–512); up to "
         "84.4x and 5.00x faster."),
        (infer("never"), f"{TRAINING} In inference it never wins (up to batch 512)."),
        (infer("undecided"), f"{TRAINING} In inference, whether it wins is undecided (up to batch 512)."),
        (infer("crosses", cut=True),
         f"{TRAINING} In inference it wins from batch 64 [48–80] (up to batch 512; larger ones were not "
         "timed on both); up to 84.4x faster (batch 512)."),
        (infer("always", (2.0,), batches=(64,)),
         f"{TRAINING} In inference it is 2.00x faster at batch 64, the only one measured."),
    ],
)  # fmt: skip
def test_one_model(inference, text):
    assert shown(line(), inference).verdict == text


def test_inference_that_is_won_alone():
    """What is lost in training comes first."""
    assert shown(line("never"), infer()).verdict == (
        "The GPU never wins (up to batch 512). In inference it wins from batch 64 [48–80]; up to 84.4x "
        "faster (batch 512)."
    )


def test_threads():
    """Two CPU devices are named."""
    lines = [line(device="cpu", baseline="cpu@1", phase=phase) for phase in ("train", "infer")]
    assert shown(*lines).verdict == (
        "All threads beat one thread in training from batch 64 [48–80], in inference from 64 [48–80]; up to "
        "84.4x and 84.4x faster."
    )


def test_several_models():
    """How many models win in each."""
    lost = infer("never", axes={"width": 1})
    won = [infer(axes={"width": width}) for width in (2, 4)]
    assert shown(*models(3), lost, *won).verdict == (
        "The GPU wins for all 3 models, the median model from batch 64 [48–80]; up to 84.4x faster (mlp, "
        "width 1, batch 512). In inference it wins for 2 of 3 models, the median model from batch 64 "
        "[48–80]; up to 84.4x faster."
    )


def test_models_without_training():
    """Those that only inference timed are not counted."""
    found = shown(*models(3), *models(3, phase="infer"), infer("never", axes={"width": 64}))
    assert "In inference it wins for all 3 models" in found.verdict


def test_without_room():
    """The sentence on inference is left out before those that limit the trust; a note has it anyway."""
    found = shown(line(cut=True), infer(cut=True), processes=1)
    assert len(found.verdict) <= MAX_CHARACTERS
    assert "Only one process" in found.verdict
    assert any(note.startswith("Inference: The GPU wins from batch 64") for note in found.answer.notes)


def test_several_devices():
    """Each has a note of its own."""
    pairs = [
        line(device=device, phase=phase) for phase in ("train", "infer") for device in ("cuda", "cuda:1")
    ]
    notes = [note for note in shown(*pairs).answer.notes if note.startswith("Inference: ")]
    assert [note.split()[1] for note in notes] == ["cuda", "cuda:1"]


@pytest.mark.parametrize(("phase", "name"), [("infer", "inference"), ("epoch", "an epoch with its loader")])
def test_without_training(tmp_path, phase, name):
    """Where nothing trains, the answer is about the phase, which comes before the parts of a step."""
    found = report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, phases=("forward", phase)))
    assert found.headline == phase
    assert f"This is about {name} alone." in found.verdict
    assert not [note for note in found.answer.notes if note.startswith("Inference")]


def test_scenarios(tmp_path):
    """Inference and an epoch are scenarios of the verdict, each with its break-even."""
    content = loop_run(infer={"cpu": (1e-3, 1e-3), "cuda": (9e-3, 0.2e-3)}, load=(1e-6, 1e-6))
    found = {row.scenario: row.models[0].other for row in report(tmp_path, content).changes}
    assert found["inference"].crossing.batch_size == pytest.approx(10, rel=0.01)
    assert found["epoch (with loader)"].crossing.batch_size == pytest.approx(40, rel=0.01)


def test_processes_needed(tmp_path):
    """An open break-even of inference is one of the verdict."""
    content = loop_run(GPU, processes=5)
    noisy = loop_run(GPU, infer={"cpu": (1e-2, 0), "cuda": (1e-2, 0)}, noise=0.1, processes=5)
    of_inference = [item for item in noisy["benchmarks"] if item["extra_info"]["phase"] == "infer"]
    found = report(tmp_path, run([*content["benchmarks"], *of_inference]))
    assert (found.processes_needed.open, found.processes_needed.noun) == (1, "break-even")
