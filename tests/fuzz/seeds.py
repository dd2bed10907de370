"""Valid inputs, which the fuzzer changes: with every optional part that a reader knows."""

import copy
from typing import Any

from support.run_files import benchmark, outcome, run

_CANARY = {"start": {"median_s": 1.0, "low_s": 0.9, "high_s": 1.1, "n": 21}}
_CANARY["end"] = _CANARY["start"]
_GPU = {
    "sm_clock_mhz": 780, "event_reasons": ["gpu_idle"], "power_w": 74.2, "other_processes": 0,
    "pcie_generation": 5, "pcie_width": 16, "pcie_max_generation": 5, "pcie_max_width": 16,
}  # fmt: skip
_MOMENT = {"host": "box", "load_average": [0.9, 0.3], "affinity": [0, 1], "cpu_clock_mhz": 2100, "gpu": _GPU}
_LOAD = {
    "cpus": 2,
    "foreign_cpus": 0.01,
    "stolen_cpus": 0.0,
    "lost_cpus": 0.0,
    "load_average": 1.0,
    "programs": [],
}
_LOOK = {"load": _LOAD, "threads": 2, "one_thread_s": 1.0, "all_threads_s": 1.0, "spins": False}
_STATE = {
    "start": _MOMENT, "end": _MOMENT, "canary": {"cpu": _CANARY, "cuda": _CANARY}, "look": _LOOK,
    "loads": [_LOAD],
    "device_init_s": {"cpu": 0.0, "cuda": 0.3}, "retimed": [{"case": "x", "first_s": 1.0, "again_s": 1.1}],
}  # fmt: skip
CLASS = {
    "cpu": "EPYC", "cores": 2, "gpu": ["L4", "H100"], "gpu_count": 2, "driver": "580", "power_limit_w": 70.0,
    "torch": "2.13", "cuda": "13.0", "compute_capability": "9.0", "gpu_memory_bytes": 85017493504,
    "tf32": False,
    "threads": 2, "affinity_threads": 2,
}  # fmt: skip
FACTS = {"class": CLASS, "class_id": "9f7a2bc0b831", "instance_id": "a2fb8be048f6", "state": _STATE}
"""What breakeven records of a machine."""

MACHINE = {
    "node": "box", "machine": "x86_64", "system": "Linux", "python_version": "3.12.3",
    "cpu": {"brand_raw": "EPYC", "count": 2, "arch": "X86_64"}, "breakeven": FACTS,
}  # fmt: skip

_EXTRA = {
    "device_name": "L4", "threads": 2, "parameters": 33930, "flops": 167309312, "moved_bytes": 1000,
    "first_call_s": 3.5,
    "model_transfer_s": 0.1, "warmup_rounds": 15, "half_width": 0.016, "enqueue_s": 0.9, "enqueue_low_s": 0.8,
    "enqueue_high_s": 1.0, "compile_s": 1.0, "capture_s": 0.1, "peak_memory_bytes": 1e9, "device_time_s": 0.5,
    "parts_s": {"zero_grad": 0.1, "forward": 0.4}, "loader_workers": 2, "load_s": 0.1, "batches": 4,
    "burst_s": 0.9, "sustained_s": 1.1, "energy_j": 3.0, "processes": [3, 3], "steps": 10,
    "flags": ["noisy", "lost"], "evidence": {"lost": {"processes": {"1": "crashed"}}},
}  # fmt: skip

_PROCESS = {"seed": 0, "pid": 1, "machine": FACTS, "state": _STATE, "spent_s": {"timing": 1.0}, "wall_s": 2.0}


def run_file(slow: float = 1.0, when: str = "2026-01-02T03:04:05+00:00", **breakeven: Any) -> dict[str, Any]:
    """Return a run of a model on two devices, with an axis, and of cases without a timing."""
    timed = [
        benchmark(
            [slow * scale * (batch + 10) * (1 + 0.01 * i) for i in range(6)],
            device=device, phase=phase, batch_size=batch, axes={"tf32": tf32, "width": 64}, **_EXTRA,
        )
        for batch in (1, 64, 512)
        for phase in ("train", "forward")
        for device, tf32, scale in (("cpu", False, 0.003), ("cuda", False, 0.001), ("cuda", True, 0.0005))
    ]  # fmt: skip
    made = run(
        timed,
        [outcome(device="cuda", batch_size=4096), outcome("failed", "why")],
        copy.deepcopy(MACHINE),
        when,
    )
    made["commit_info"] |= {"branch": "main", "project": "x"}
    made["breakeven"] |= {
        "command": "pytest bench", "complete": True, "processes": [_PROCESS, _PROCESS],
        "settings": {"amp": "off"},
        "spent_s": {"timing": 10.0}, "wall_s": 20.0, **breakeven,
    }  # fmt: skip
    return made


def shard_file(index: int) -> dict[str, Any]:
    """Return one of two shards of a sweep."""
    made = run_file(shard={"index": index, "count": 2, "cells": 9, "sweep_cells": 18, "sweep_id": "s"})
    made["benchmarks"] = made["benchmarks"][index - 1 :: 2]
    return made


def plain_file() -> dict[str, Any]:
    """Return a file of pytest-benchmark alone."""
    made = run([benchmark([1.0, 1.1, 1.2], **dict.fromkeys(("schema", "phase", "device", "axes"), ...))])
    made["benchmarks"][0]["stats"] = {"median": 1.1, "min": 1.0, "rounds": 3}
    return made


def _identity(phase: str) -> dict[str, Any]:
    return {
        "schema": 1,
        "workload": "mlp",
        "phase": phase,
        "device": "cpu",
        "batch_size": 1,
        "axes": {"width": 4},
    }


def journal_lines() -> list[dict[str, Any]]:
    """Return the journal of a run of two processes, of which the second died."""
    ended = {
        "kind": "end",
        "outcome": "timed",
        "seconds": 1.0,
        "step_s": 0.1,
        "data": [0.1, 0.2, 0.3, 0.2, 0.1, 0.2],
    }
    names = {phase: f"bench_x.py::bench_mlp[{phase}]" for phase in ("train", "forward")}
    cases = {name: _identity(phase) for phase, name in names.items()}
    extra = {"flags": ["noisy"], "evidence": {"noisy": {"a": 1}}, "warmup_rounds": 2, "half_width": 0.1}
    return [
        {
            "kind": "run", "schema": 1, "pid": 1, "began": "2026-01-01T00:00:00+00:00",
            "command": "pytest bench",
            "processes": 2, "seed": 0, "cases": cases, "sources": {"bench_x.py": "0"},
            "settings": {"torch": "2"},
            "machine_info": MACHINE, "commit_info": {"id": "0123456789abcdef"}, "shard": None,
        },
        {"kind": "process", "process": 0, "pid": 2, "seed": 0, "order": list(cases), "machine": FACTS,
        "look": _LOOK},
        *(
            line
            for phase, name in names.items()
            for line in (
                {"kind": "begin", "process": 0, "case": name},
                {
                    **ended, "process": 0, "case": name, "extra_info": {**_identity(phase), **extra},
                    "benchmark": {"name": name, "fullname": name},
                },
            )
        ),
        {
            "kind": "process_end", "process": 0, "state": _STATE, "spent_s": {"timing": 1.5}, "wall_s": 2.0,
            "settings": {"a": "b"},
        },
        {"kind": "load", "load": _LOAD},
        {"kind": "process", "process": 1, "pid": 3, "seed": 1, "order": list(cases), "machine": FACTS},
        {"kind": "begin", "process": 1, "case": names["train"]},
        {"kind": "end", "process": 1, "case": names["train"], "outcome": "failed", "reason": "why",
        "stack": ["a"]},
    ]  # fmt: skip


ACCEPTED = {
    "schema": 1,
    "accepted": [
        {
            "commit": "0123456", "direction": "worse", "cases": ["mlp * cuda*", "mlp train cpu batch=1"],
            "reason": "meant", "date": "2026-01-05", "whole": True,
        },
        {"run": "2026-01-03T03:04:05+00:00", "direction": "better", "cases": ["*"], "reason": "r",
        "date": "2026-01-05"},
    ],
}  # fmt: skip

FLOOR = {
    "schema": 1, "class_id": "9f7a2bc0b831", "class": CLASS, "runs": 3,
    "datetime": "2026-01-01T00:00:00+00:00",
    "command": "pytest bench", "medians_s": {"mlp train cpu batch=1 tf32=false width=64": [1.0, [1.1, None],
    1.2]},
}  # fmt: skip

_COUNTS = {
    "operators": 60, "kernels": 61, "flops_by_format": {"float32": 1.0e9, "tf32": 1e8}, "moved_bytes": 5e6,
    "batch_bytes": 4096,
}  # fmt: skip

CARD = {
    "schema": 1, "kind": "card", "name": "h100-16core", "hardware": "Xeon, 16 cores, H100", "class_id": "c1",
    "device": "cuda", "machine": {"cpu": "Xeon", "cores": 16, "gpu": "NVIDIA H100", "gpu_count": 1},
    "launch_s": 3.5e-5, "flops_per_s": {"float32": 5e13, "tf32": 1.4e14}, "bytes_per_s": 1.5e12,
    "copied_bytes_per_s": 8e9, "process_log_sd": 0.2, "low_log": -0.4, "high_log": 0.4,
    "log_sds": {"launches": 0.04, "float32": 0.3, "tf32": 1.0, "memory": 0.2, "copy": 0.1},
    "cells": 50, "models": 12, "runs": 1, "processes": 5, "batch_sizes": [1, 4096],
}  # fmt: skip


def counted_file(device: str = "cpu") -> dict[str, Any]:
    """Return a run of four models whose steps were counted, from which a card can be fitted."""
    timed = [
        benchmark(
            [scale * (batch + 10) * (1 + 0.01 * i) for i in range(6)],
            device=device, phase="train", batch_size=batch, axes={"width": width}, workload=workload,
            processes=[3, 3], **{**_COUNTS, "moved_bytes": 1e6 * batch * width},
        )
        for workload, scale in (("mlp", 0.001), ("cnn", 0.002))
        for width in (64, 512)
        for batch in (1, 64, 512)
    ]  # fmt: skip
    made = run(timed, [], copy.deepcopy(MACHINE), "2026-01-02T03:04:05+00:00")
    made["breakeven"] |= {"command": "pytest none --breakeven-sweep=full", "complete": True}
    return made


CASES = "\ufeffmlp train cpu batch=1 width=64\n# a comment\n\nmlp train cuda batch=64 width=64\r\n"

PLAN = {
    "schema": 1, "asked": {"the task": "ab", "--base": "a {out}"}, "started": "2026-01-01", "finished": False,
    "runs": {"stage1-01-base": {"seconds": 1.0, "said": ["x"], "exit": 0}}, "chosen": {"instances": 3},
}  # fmt: skip

NODES = [
    {"node_id": "n1", "host": "box", "cpus": 2.0, "gpus": 1.0, "labels": {"accelerator": "L4"}},
    {"node_id": "n2", "host": "box", "cpus": 2.0, "gpus": 1.0, "labels": {}},
]
PROBE = {"breakeven": "0.2.0", "machine": FACTS, "shell": {"affinity_threads": 2, "niceness": 0}}
"""What a node of a cluster answers."""
