"""Cards, counts and predictions by hand, with steps that a test plants."""

import math

import pytest

from breakeven.predict import cells
from breakeven.predict.cards import Card
from breakeven.predict.formula import Step
from breakeven.predict.prediction import predict
from breakeven.predict.work import CellCounts
from breakeven.report.report import analyze
from breakeven.runs import reader
from breakeven.runs.schema import CaseFacts
from support.run_files import affine_run, write

FACTS = CaseFacts(operators=50.0, flops_by_format={"float32": 1e6}, moved_bytes=1e5, batch_bytes=1e3)
"""Of every cell: the steps that are planted do not depend on it."""

H100 = {"cpu": "AMD EPYC", "cores": 16, "gpu": "NVIDIA H100 80GB HBM3"}
L4 = {"cpu": "Intel Xeon", "cores": 8, "gpu": "NVIDIA L4"}


def card(name="h100-16core", machine=H100, **given):
    """A card with plain numbers."""
    fields = {
        "hardware": f"{machine['cpu']}, {machine['cores']} cores, {machine['gpu']}",
        "class_id": f"class-{name}",
        "device": "cuda",
        "launch_s": 40e-6,
        "flops_per_s": {"float32": 4e13, "tf32": 2e14},
        "bytes_per_s": 2e12,
        "copied_bytes_per_s": 1e10,
        "process_log_sd": 0.2,
        "low_log": math.log(0.5),
        "high_log": math.log(2),
        "log_sds": {"launches": 0.1, "float32": 0.1, "tf32": 0.1, "memory": 0.1, "copy": 0.1},
        "cells": 57,
        "models": 12,
        "runs": 1,
        "processes": 5,
        "batch_sizes": (1, 4096),
    }
    return Card(name=name, machine=machine, **{**fields, **given})


@pytest.fixture
def planted(monkeypatch):
    """Plants the steps of cards: ``planted(name=(floor_s, slope_s, factor))``, with a band of that factor."""

    def plant(widened=(), **lines):
        def step(card, work, batch_size):
            floor, slope, factor = lines[card.name.replace("-", "_")]
            seconds = floor + slope * batch_size
            return Step(seconds, seconds / factor, seconds * factor, tuple(widened))

        monkeypatch.setattr(cells, "predict_step", step)

    return plant


def cpu_run(widths=(64,), batches=(1, 8, 64, 512), slope=1e-4, device="cpu", noise=0.0001, **extra):
    """A run of a CPU whose steps take `slope` seconds per sample and width of 64."""
    parts = [
        affine_run({device: (0.0, slope * width / 64)}, batches, axes={"width": width}, noise=noise, **extra)
        for width in widths
    ]
    first, *others = parts
    for other in others:
        first["benchmarks"] += other["benchmarks"]
    return first


def read(tmp_path, *contents):
    """The runs of files with these contents."""
    paths = [write(tmp_path / f"run{i}.json", content) for i, content in enumerate(contents)]
    return reader.read(paths)


def prediction(tmp_path, content, *cards, unknown=(), **options):
    """The prediction of a run; the cells of the batch sizes in `unknown` were not counted."""
    runs = read(tmp_path, content)
    keys = [case.key.cell for run in runs.runs for case in run.cases.values()]
    counts = CellCounts(
        {cell: FACTS for cell in keys if cell.batch_size not in unknown},
        {cell: "custom op `mine` cannot be traced" for cell in keys if cell.batch_size in unknown},
    )
    return predict(analyze(runs), counts, cards or [card()], **options)
