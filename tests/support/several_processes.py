"""Run files of devices of several processes, whose efficiencies and communication are known."""

import numpy as np

from support.reports import box
from support.run_files import benchmark, run

PROCESSES = 5
BATCHES = (16, 64, 256, 1024, 4096)
SHARES = {"transfer": 0.05, "forward": 0.3, "backward": 0.5, "step": 0.1, "train": 1.0}
"""The part of a training step that each phase takes."""

ONE = {"cpu": (5e-5, 4e-6), "cpu@1": (4e-5, 7e-6), "cuda": (4e-4, 1e-6)}
"""Seconds of one device: a step takes `floor + slope * batch`."""

COMMUNICATION_S = 1e-4
"""What N devices take longer to communicate, for each of them beyond the first."""

GPU_BOX = {"gpu": ["NVIDIA H100"], "gpu_count": 4, "cores": 16}
MODELS = tuple(("mlp", {"width": width}, width / 512) for width in (64, 256, 1024, 4096))


def step_s(device, batch, scale=1.0, *, is_silent=False):
    """The seconds of a training step, on N devices for 1/N of the batch and what they communicate."""
    count, _, member = device.rpartition("x")
    processes = int(count or 1)
    floor, slope = ONE[member]
    communication_s = 0 if is_silent else (processes - 1) * COMMUNICATION_S
    return floor + slope * scale * batch / processes + communication_s


def several_run(devices, *, models=MODELS, batches=BATCHES, weak=False, noise=0.01, shared=0.0, seed=0,
                phases=SHARES, machine=None, when="2026-01-02T03:04:05+00:00"):  # fmt: skip
    """A run of these devices; in a weak sweep each process has its part of the batch.

    The times of the process of one index differ by `shared` on all devices, and by `noise` for each case.
    """
    rng = np.random.default_rng(seed)
    levels = np.exp(shared * rng.standard_normal(PROCESSES))
    rounds = (0.99, 0.995, 1.0, 1.0, 1.005, 1.01)
    found = []
    for workload, axes, scale in models:
        axes = {**axes, "batch": "rank"} if weak else axes
        for device in devices:
            ranks = int(device.rpartition("x")[0] or 0)
            for batch in (batch * (ranks or 1) if weak else batch for batch in batches):
                for phase in (*phases, *(["train_no_sync"] if ranks else [])):
                    is_silent = phase == "train_no_sync"
                    level = SHARES.get(phase, 1.0) * step_s(device, batch, scale, is_silent=is_silent)
                    own = level * levels * np.exp(noise * rng.standard_normal(PROCESSES))
                    facts = {"steps": 10} if phase.startswith("train") else {}
                    facts |= {"ranks": ranks, "init_s": 0.8, "threads": 8} if ranks else {}
                    facts |= {"first_call_s": 0.1, "model_transfer_s": 0.01}
                    found.append(
                        benchmark(
                            np.outer(own, rounds).ravel().tolist(), workload, phase, device, batch, axes,
                            processes=[len(rounds)] * PROCESSES, **facts,
                        )
                    )  # fmt: skip
    return run(found, [], box("EPYC", **GPU_BOX) if machine is None else machine, when)
