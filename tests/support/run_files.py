"""Builds synthetic run files as the plugin and pytest-benchmark write them."""

import json

import numpy as np

REQUIRED = ("schema", "workload", "phase", "device", "batch_size", "axes")
CPU_BOX = {"node": "box", "cpu": {"brand_raw": "AMD EPYC", "count": 2, "arch": "X86_64"}}


def benchmark(times, workload="mlp", phase="train", device="cpu", batch_size=64, axes=None, **extra):
    """One entry of `benchmarks`; an extra_info key given as `...` is left out."""
    axes = {"width": 128} if axes is None else axes
    info = {"schema": 1, "workload": workload, "phase": phase, "device": device, "batch_size": batch_size}
    info = {key: value for key, value in {**info, "axes": axes, **extra}.items() if value is not ...}
    parts = [*(axes.values() if axes is not ... else ()), batch_size, device, phase]
    name = f"bench_{workload}[{'-'.join(map(str, parts))}]"
    times = list(times)
    stats = {"data": times, "rounds": len(times), "iterations": 1}
    return {"name": name, "fullname": f"bench/bench_x.py::{name}", "extra_info": info, "stats": stats}


def outcome(word="oom", reason="out of memory", **identity):
    """One entry of `breakeven.outcomes`."""
    case = benchmark([1.0], **identity)
    return {"fullname": case["fullname"], "outcome": word, "reason": reason, "extra_info": case["extra_info"]}


def run(benchmarks=(), outcomes=None, machine=None, when="2026-01-02T03:04:05+00:00"):
    """The content of a run file."""
    content = {
        "machine_info": CPU_BOX if machine is None else machine,
        "commit_info": {"id": "0123456789abcdef", "dirty": False},
        "benchmarks": list(benchmarks),
        "datetime": when,
        "version": "5.3.1",
    }
    if outcomes is not None:
        content["breakeven"] = {"schema": 1, "outcomes": list(outcomes)}
    return content


def write(path, content):
    """Write `content`, an object or a text, and return the path as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def noisy(rng, median, n=30, noise=0.02):
    """n log-normal times around a true median."""
    return (median * np.exp(noise * rng.standard_normal(n))).tolist()


def affine_run(
    devices, batches=(1, 8, 64, 512), seed=0, n=30, noise=0.02, phases=("train",), waits=False, **kwargs
):
    """A run whose devices take `floor + slope * batch`: `devices` maps a name to (floor, slope).

    `train` is a loop of 10 steps, unless `waits`: then each step waited, as in version 1.
    """
    loop = {"train": {} if waits else {"steps": 10}}
    rng = np.random.default_rng(seed)
    identity = {key: kwargs.pop(key) for key in ("workload", "axes") if key in kwargs}
    return run(
        [
            benchmark(
                noisy(rng, floor + slope * b, n, noise),
                phase=p,
                device=d,
                batch_size=b,
                **identity,
                **loop.get(p, {}),
            )
            for p in phases
            for b in batches
            for d, (floor, slope) in devices.items()
        ],
        **kwargs,
    )
