"""A small builder of sides: synthetic runs as `breakeven.runs.readings` hands them out."""

import numpy as np
from breakeven.runs.readings import read_side

from breakeven.compare.comparison import compare
from support.run_files import CPU_BOX, benchmark, run, write

FACTS = {"cpu": "EPYC", "cores": 2, "torch": "2.13.0", "tf32": False}


def machine(class_id="c1", canary_s=None, **facts):
    """A machine of a class, with a canary that sang at one moment where `canary_s` is given."""
    ours = {"class": FACTS | facts, "class_id": class_id}
    if canary_s is not None:
        song = {"median_s": canary_s, "low_s": canary_s * 0.99, "high_s": canary_s * 1.01}
        ours["state"] = {"canary": {"cpu": {"start": song}}}
    return CPU_BOX | {"breakeven": ours}


def a_run(levels, seed=0, noise=0.005, hour=0, machine_info=None, outcomes=None, **extra):
    """A run file's content: `levels` maps (phase, batch size) to seconds, with run-to-run noise."""
    rng = np.random.default_rng(seed)
    moved = {key: level * np.exp(noise * rng.standard_normal()) for key, level in levels.items()}
    rounds = np.exp(0.01 * rng.standard_normal(12))
    benchmarks = [
        benchmark((level * rounds).tolist(), phase=phase, batch_size=batch, **extra)
        for (phase, batch), level in moved.items()
    ]
    when = f"2026-01-02T{hour:02}:00:00+00:00"
    return run(benchmarks, outcomes, machine() if machine_info is None else machine_info, when)


def side(tmp_path, name, levels, runs=5, first=0, **settings):
    """Write runs of one side, two hours apart, and return their paths."""
    return [
        write(tmp_path / f"{name}{i}.json", a_run(levels, seed=first + 2 * i, hour=first + 2 * i, **settings))
        for i in range(runs)
    ]


def compared(baseline, candidate, **settings):
    """The comparison of two sides' files."""
    return compare(read_side(baseline), read_side(candidate), **settings)


PHASES = {"transfer": 0.001, "forward": 0.003, "backward": 0.005, "step": 0.001, "train": 0.010}


def levels(batches=(1, 64), slower=None, by=1.0):
    """Seconds of every phase at every batch size; the train step is the sum, `slower` phases `by` times."""
    times = {
        (phase, batch): level * batch * (by if phase in (slower or ()) else 1.0)
        for batch in batches
        for phase, level in PHASES.items()
        if phase != "train"
    }
    return times | {("train", b): sum(t for (_, batch), t in times.items() if batch == b) for b in batches}
