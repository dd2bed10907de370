"""Runs with every phase of a training loop: its parts, inference, loading and epochs."""

import numpy as np

from support.run_files import benchmark, noisy, run

PARTS = {"transfer": 0.05, "forward": 0.35, "backward": 0.5, "step": 0.1}
"""The shares of a step of one pass."""

GPU = {"cpu": (1e-3, 1e-3), "cuda": (33e-3, 0.2e-3)}
"""Seconds of a step on two devices, a floor and a slope each, which cross at batch 40."""


def loop_run(
    devices=None,
    batches=(1, 8, 64, 512),
    *,
    infer=None,
    load=None,
    workers=2,
    accumulate=1,
    loader=None,
    epoch=None,
    seed=0,
    noise=0.001,
    processes=1,
    machine=None,
    **identity,
):
    """A run of whole steps of `accumulate` passes and their parts.

    Args:
        devices: the (floor, slope) of one pass by device, `GPU` if not given.
        infer: that of inference, if timed.
        load: that of one batch from the loader, with all of its workers; with an epoch then.
        epoch: that of a batch of an epoch by device, if not what its parts suggest.
        loader: further facts of `load` and `epoch`.
    """
    rng = np.random.default_rng(seed)
    devices = devices or GPU
    facts = {"accumulate": accumulate} if accumulate > 1 else {}
    found = []

    def add(phase, device, batch, seconds, **more):
        times = np.ravel([noisy(rng, seconds, 12, noise) for _ in range(processes)]).tolist()
        counts = {"processes": [12] * processes} if processes > 1 else {}
        found.append(
            benchmark(times, phase=phase, device=device, batch_size=batch, **identity, **counts, **more)
        )

    for batch in batches:
        load_s = None if load is None else load[0] + load[1] * batch
        for device, (floor, slope) in devices.items():
            pass_s = floor + slope * batch
            for part, share in PARTS.items():
                add(part, device, batch, share * pass_s)
            once = 0.1 * pass_s
            train_s = accumulate * (pass_s - once) + once
            add("train", device, batch, train_s, steps=10, **facts)
            if infer is not None:
                add("infer", device, batch, infer[device][0] + infer[device][1] * batch, steps=10)
            if load_s is not None:
                each_s = train_s / accumulate
                epoch_s = load_s + each_s if workers == 0 else max(load_s, each_s)
                epoch_s = (epoch or {}).get(device, epoch_s)
                of_loader = {"loader_workers": workers, "steps": 8, **(loader or {})}
                add("load", device, batch, load_s, **of_loader)
                add("epoch", device, batch, epoch_s, **facts, **of_loader)
    return run(found, machine=machine)
