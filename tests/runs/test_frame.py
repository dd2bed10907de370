"""The frame of rounds."""

import numpy as np

from breakeven.runs.frame import COLUMNS
from breakeven.runs.reader import read
from support.run_files import affine_run, benchmark, run, write


def test_rounds(tmp_path):
    """One row per round, in the order they ran, with the identity first."""
    rows = [benchmark([0.5, 0.25], device="cpu@1", axes={"w": 2, "d": "x"}), benchmark([1.0])]
    frame = read([write(tmp_path / "run.json", run(rows))]).rounds
    assert list(frame) == [*COLUMNS, "round", "latency_s"]
    assert frame["latency_s"].tolist() == [0.5, 0.25, 1.0]
    assert frame["round"].tolist() == [0, 1, 0]
    first = frame.iloc[0]
    assert (first["run"], first["workload"], first["axes"], first["batch_size"]) == (
        "run.json",
        "mlp",
        "d=x w=2",
        64,
    )
    assert (first.phase, first.device, first.machine) == ("train", "cpu@1", "AMD EPYC, 2 cores")
    assert frame["device"].tolist() == ["cpu@1", "cpu@1", "cpu"]


def test_two_machines_of_one_label(tmp_path):
    paths = [
        write(
            tmp_path / name / "lab" / "run.json",
            affine_run({"cpu": (1, 0)}, [1], i, 6, machine={"breakeven": {"class_id": name}}),
        )
        for i, name in enumerate(("aaaaaaa", "bbbbbbb"))
    ]
    frame = read(paths).rounds
    assert frame["class_id"].unique().tolist() == ["aaaaaaa", "bbbbbbb"]
    assert frame["machine"].unique().tolist() == ["lab #aaaaaa", "lab #bbbbbb"]


def test_memory(tmp_path):
    """Names are stored once: 100,000 rounds stay below 5 MB."""
    times = np.full(500, 1.25e-3).tolist()
    cases = [benchmark(times, batch_size=b, axes={"w": w}) for b in range(1, 51) for w in range(4)]
    frame = read([write(tmp_path / "big.json", run(cases))]).rounds
    assert len(frame) == 100_000
    assert frame.memory_usage(deep=True).sum() < 5e6
