"""On what machine: the facts that make its class, the box itself, and its state.

Owns ``machine_info["breakeven"]``. Volatile facts stand under ``state`` and are never hashed; what
cannot be read is recorded as such, with why. Refuses to judge: `doctor` and the reports do.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import uuid
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from breakeven.hardware.devices import accelerator_kind, cgroup_quota, usable_threads
from breakeven.hardware.float32 import SWITCHES, precision, read_silently
from breakeven.hardware.nvml import gpu_class, gpu_state, kept_open

CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
"""The kernel's names for what measures a CPU's temperature: Intel, AMD (twice), ARM."""


def machine_facts() -> dict[str, Any]:
    """Return ``class``, ``class_id`` (its hash) and ``instance_id`` (the box)."""
    facts = class_facts()
    return {
        "class": facts,
        "class_id": digest(facts),
        "instance_id": digest({"node": platform.node(), "id": _machine_id()}),
    }


def machine_state() -> dict[str, Any]:
    """Return what comes and goes: host name, load, clocks, temperatures, which CPUs, the first GPU."""
    return {
        "host": platform.node(),
        "load_average": load_average(),
        "affinity": _affinity(),
        "cpu_clock_mhz": cpu_clock_mhz(),
        "cpu_temperature_c": cpu_temperature_c(),
        "gpu": _first_gpu_state(),
    }


def class_facts() -> dict[str, Any]:
    """Return what must be equal for two runs to be compared: hardware, driver, torch, numeric flags.

    A fact in which the GPUs differ is a list, in torch's order, since ``cuda`` means the first. What is set
    for a thread (autocast, denormal numbers) is told of the calling one.
    """
    affinity = _affinity()
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "affinity_threads": None if affinity is None else len(affinity),
        "threads": usable_threads(),
        "quota": cgroup_quota(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "gomp_spincount": os.environ.get("GOMP_SPINCOUNT"),
        **_accelerator_facts(),
        "torch": torch.__version__,
        "torch_git": torch.version.git_version,
        "python": platform.python_version(),
        "tf32": _tf32(),
        "cudnn_tf32": _cudnn_tf32(),
        "tf32_override": os.environ.get("NVIDIA_TF32_OVERRIDE"),
        "float32": _float32(),
        "amp": _amp(),
        "flush_denormal": _flushes_denormals(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def digest(facts: dict[str, Any]) -> str:
    """Return the first 12 hexadecimal digits of the SHA-256 of the facts' canonical JSON."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the CPU's model name."""
    try:
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_clock_mhz(cpuinfo: Path = Path("/proc/cpuinfo")) -> int | None:
    """Return the mean clock of all CPUs now; None where the kernel does not tell."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
        clocks = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    except (OSError, ValueError):
        return None
    return round(mean(clocks)) if clocks else None


def cpu_temperature_c(sensors: Path = Path("/sys/class/hwmon")) -> float | None:
    """Return the temperature of the CPU's hottest spot now; None where no sensor tells (virtual machines)."""
    found = []
    for path in sensors.glob("*/temp*_input"):
        try:
            if (path.parent / "name").read_text().strip() in CPU_SENSORS:
                found.append(int(path.read_text()) / 1000)
        except (OSError, ValueError):  # a sensor that sleeps
            continue
    return max(found, default=None)


def _accelerator_facts() -> dict[str, Any]:
    kind = accelerator_kind()
    if kind is None:
        return {"gpu": None, "gpu_count": 0}
    count = torch.accelerator.device_count()
    facts: dict[str, Any] = {
        "gpu": kind,
        "gpu_count": count,
        "cuda": torch.version.cuda or torch.version.hip,
        "cudnn": _cudnn_version() if kind == "cuda" else None,
    }
    if kind == "cuda":
        with kept_open():
            facts |= _once([_gpu_facts(torch.device("cuda", index)) for index in range(count)])
    return facts


def _gpu_facts(device: torch.device) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(device)
    return {
        "gpu": properties.name,
        "gpu_memory_bytes": properties.total_memory,
        "compute_capability": f"{properties.major}.{properties.minor}",
        **gpu_class(device),
    }


def _once(gpus: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what all GPUs have in common as it is, and what they do not as a list."""
    told = {name: [gpu[name] for gpu in gpus] for name in gpus[0]}
    return {
        name: values[0] if values.count(values[0]) == len(values) else values for name, values in told.items()
    }


def _first_gpu_state() -> dict[str, Any] | None:
    return gpu_state(torch.device("cuda", 0)) if accelerator_kind() == "cuda" else None


def _affinity() -> list[int] | None:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _tf32() -> bool:
    told = read_silently(torch.get_float32_matmul_precision)
    return precision("cuda.matmul") == "tf32" if told is None else told != "highest"


def _cudnn_tf32() -> bool | None:
    told: bool | None = read_silently(lambda: torch.backends.cudnn.allow_tf32)
    return told  # None where torch refuses; `_float32` tells both


def _float32() -> str:
    """Return how each library rounds float32: TF32 and BF16 are one word to torch's old switch on a CPU."""
    told = {name: precision(name) for name in SWITCHES}
    if None in told.values():
        return f"matmul {read_silently(torch.get_float32_matmul_precision)}"
    # Unset rounds as IEEE says; whoever sets that explicitly has changed nothing.
    return ", ".join(f"{name} {str(value).replace('none', 'ieee')}" for name, value in told.items())


def _amp() -> str | bool:
    """Return the device kinds for which autocast is on, each with its dtype; False where it is off."""
    kinds = [kind for kind in ("cpu", accelerator_kind()) if kind is not None]
    on = [kind for kind in kinds if torch.is_autocast_enabled(kind)]
    return ", ".join(f"{kind} {_name(torch.get_autocast_dtype(kind))}" for kind in on) or False


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _flushes_denormals() -> bool:
    """Tell whether the CPU takes denormal numbers for zero: torch does not say, so one is multiplied."""
    smallest = torch.tensor(5e-324, dtype=torch.float64)
    return bool((smallest * 1.0).item() == 0.0)


def _cudnn_version() -> int | None:
    backend: Any = torch.backends.cudnn
    version = backend.version()
    return None if version is None else int(version)


def load_average() -> list[float] | None:
    """Return the system's load over 1, 5 and 15 minutes; None where it is not told."""
    return list(os.getloadavg()) if hasattr(os, "getloadavg") else None


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return str(uuid.getnode())
