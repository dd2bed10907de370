"""The models of `bench/models`: they train with the libraries of the field, and are skipped without them."""

import dataclasses
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch

from breakeven.measure.flops import Flops, count_flops
from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.shares import share_of
from breakeven.measure.workload import build
from support.small_workloads import losses, module_at, ready

FILES = sorted((Path(__file__).parent.parent / "bench" / "models").glob("bench_*.py"))

SIZES = {
    "resnet18": ("torchvision", {"side": 32}),
    "resnet18_variants": (
        "torchvision",
        {"side": 32, "dtype": "bfloat16", "channels_last": True, "checkpoint": True},
    ),
    "vit": ("torchvision", {"side": 16}),
    "bert": ("transformers", {"length": 8}),
    "gpt2": ("transformers", {"length": 8}),
    "timm": ("timm", {"name": "convnext_atto", "side": 32}),
    "gnn": ("graphs", {"nodes": 8, "hidden": 8}),
}
"""The file of each model, and small axes."""


def functions():
    """Every benchmark function, by its workload's name."""
    found = {name: value for file in FILES for name, value in vars(module_at(file)).items()}
    return {name.removeprefix("bench_"): value for name, value in found.items() if name.startswith("bench_")}


def built(name, batch_size):
    """A workload; the test is skipped without its library, and fails where all are required."""
    recipes = []
    functions()[name](recipes.append, batch_size, **SIZES[name][1])
    try:
        return build(recipes[0])
    except pytest.skip.Exception as skipped:
        if os.environ.get("BREAKEVEN_REQUIRE_MODELS"):
            pytest.fail(str(skipped))
        raise


def test_every_model_has_sizes():
    assert functions().keys() == SIZES.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_training(name):
    """Its loss falls within a few steps, whose batch it learns by heart."""
    first, *_, last = losses(built(name, 4), steps=6)
    assert last < first


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_rank_of_a_dict(name):
    """Each of two ranks has half of every tensor."""
    whole = built(name, 4)
    half = share_of(whole, 4, rank=1, size=2)
    assert {key: value.tolist() for key, value in half.inputs.items()} == {
        key: value[2:].tolist() for key, value in whole.inputs.items()
    }


@pytest.mark.slow
def test_rank_of_graphs():
    with pytest.raises(UnsupportedError, match="a DataBatch cannot be divided among 2 ranks"):
        share_of(built("gnn", 4), 4, rank=0, size=2)


ABSENT, BROKEN = ("transformers", "torch_geometric"), ("torchvision", "timm")


@pytest.mark.slow
def test_loader():
    """Its batches are those of the model."""
    whole = built("resnet18", 4)
    images, targets = next(iter(whole.loader()))
    assert (images.shape, images.dtype) == (whole.inputs.shape, torch.float32)
    assert (targets.shape, targets.dtype) == (whole.targets.shape, torch.int64)


@pytest.mark.slow
def test_tied_weights():
    """GPT-2's first and last layer share theirs: trained once on each device, and counted once."""
    whole = built("gpt2", 2)
    trainer = ready(whole)
    assert trainer.model.lm_head.weight is trainer.model.transformer.wte.weight
    assert whole.parameters == whole.model.num_parameters() == sum(map(torch.numel, trainer.trained()))


@pytest.mark.slow
def test_operations_of_an_attention_mask():
    """Looking at its values does not keep BERT's from being counted: the same as without a mask."""
    whole = built("bert", 2)
    unmasked = {name: tensor for name, tensor in whole.inputs.items() if name != "attention_mask"}
    counted = count_flops(whole)
    assert isinstance(counted, Flops)
    assert counted == count_flops(dataclasses.replace(whole, inputs=unmasked))


@pytest.fixture
def without_libraries(bench, monkeypatch):
    """The files, in a project where two libraries are absent and two fail to load, as with another torch."""
    (bench.pytester.path / "bench").mkdir()
    for path in FILES:
        shutil.copy(path, bench.pytester.path / "bench")
    for error, libraries in ((ModuleNotFoundError, ABSENT), (RuntimeError, BROKEN)):
        for library in libraries:
            (bench.pytester.path / f"{library}.py").write_text(f"raise {error.__name__}('no operator nms')")
    for name in [name for name in sys.modules if name.partition(".")[0] in (*ABSENT, *BROKEN)]:
        monkeypatch.delitem(sys.modules, name)
    return bench


REASONS = {
    "torchvision": "needs a torchvision built for this torch: pip install torchvision",
    "timm": "needs timm and a torchvision built for this torch: pip install timm torchvision",
    "transformers": "needs transformers: pip install transformers",
    "graphs": "needs torch_geometric: pip install torch_geometric",
}


def assert_all_are_skipped(project, result):
    assert result.ret == pytest.ExitCode.OK
    outcomes = project.outcomes()
    assert len(outcomes) == 6
    for file, reason in REASONS.items():
        models = tuple(f"bench_{name}[" for name, (where, _) in SIZES.items() if where == file)
        found = [outcome for name, outcome in outcomes.items() if name.startswith(models)]
        assert {kind for kind, _ in found} == {"skipped"}
        assert all(text.startswith(reason) for _, text in found), file


MODELS = "--breakeven-sweep=models batch_size=1"


def test_without_the_libraries(without_libraries, monkeypatch):
    monkeypatch.syspath_prepend(without_libraries.pytester.path)
    assert_all_are_skipped(without_libraries, without_libraries.run(MODELS))


@pytest.mark.slow
def test_without_the_libraries_in_measuring_processes(without_libraries, monkeypatch):
    path = os.pathsep.join([str(without_libraries.pytester.path), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    assert_all_are_skipped(without_libraries, without_libraries.run(MODELS, "--breakeven-processes=1"))
