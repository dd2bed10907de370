"""Synthetic runs of two sides, and their comparison."""

import numpy as np

from breakeven.compare.comparison import compare
from breakeven.runs.reader import read_side
from support.run_files import CPU_BOX, benchmark, run, write

FACTS = {"cpu": "EPYC", "cores": 2, "torch": "2.13.0", "tf32": False}

PHASES = {"transfer": 0.001, "forward": 0.003, "backward": 0.005, "step": 0.001, "train": 0.010}


def machine(class_id="c1", canary_s=None, **facts):
    """The `machine_info` of a class, with one canary sample if `canary_s` is given."""
    ours = {"class": FACTS | facts, "class_id": class_id}
    if canary_s is not None:
        sample = {"median_s": canary_s, "low_s": canary_s * 0.99, "high_s": canary_s * 1.01}
        ours["state"] = {"canary": {"cpu": {"start": sample}}}
    return CPU_BOX | {"breakeven": ours}


def a_run(
    levels, seed=0, noise=0.005, hour=0, machine_info=None, outcomes=None, processes=1, within=0.005, **extra
):
    """A run file's content: `levels` maps (phase, batch size) to seconds, with run-to-run noise.

    With several processes, 12 rounds each, `within` is the noise between them.
    """
    rng = np.random.default_rng(seed)
    moved = {key: level * np.exp(noise * rng.standard_normal()) for key, level in levels.items()}
    rounds = np.exp(0.01 * rng.standard_normal(12))
    if processes > 1:
        extra |= {"processes": [12] * processes}
        moved = {key: moved[key] * np.exp(within * rng.standard_normal((processes, 1))) for key in moved}
    benchmarks = [
        benchmark(np.ravel(level * rounds).tolist(), phase=phase, batch_size=batch, **extra)
        for (phase, batch), level in moved.items()
    ]
    when = f"2026-01-02T{hour:02}:00:00+00:00"
    return run(benchmarks, outcomes, machine() if machine_info is None else machine_info, when)


def side(tmp_path, name, levels, runs=5, first=0, **settings):
    """Write the runs of one side, two hours apart, and return their paths."""
    return [
        write(tmp_path / f"{name}{i}.json", a_run(levels, seed=first + 2 * i, hour=first + 2 * i, **settings))
        for i in range(runs)
    ]


def compared(baseline, candidate, **settings):
    """The comparison of two sides' files."""
    return compare(read_side(baseline), read_side(candidate), **settings)


def two_sides(tmp_path, before, after, runs=5, **settings):
    """The comparison of two sides of alternating runs; `settings` are those of both sides' runs."""
    return compared(
        side(tmp_path, "a", before, runs, **settings), side(tmp_path, "b", after, runs, first=1, **settings)
    )


def levels(batches=(1, 64), slower=(), by=1.0):
    """Seconds of every phase at every batch size, the `slower` ones `by` times; train is the sum of them."""
    times = {
        (phase, batch): level * batch * (by if phase in slower else 1.0)
        for batch in batches
        for phase, level in PHASES.items()
        if phase != "train"
    }
    return times | {("train", b): sum(t for (_, batch), t in times.items() if batch == b) for b in batches}
