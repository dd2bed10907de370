"""The machine: the facts of its class, the id of the instance, and its current state.

This is ``machine_info["breakeven"]`` of a run file. Facts that change by themselves are part of the state,
which is never hashed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import torch

from breakeven.hardware.devices import accelerator_kind, affinity, cgroup_quota, usable_threads
from breakeven.hardware.float32 import SWITCHES, precision, read_silently
from breakeven.hardware.nvml import gpu_class, gpu_state, kept_open

CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
"""The kernel's names of the sensors of a CPU: Intel, AMD (two), ARM."""

_psutil: Any = psutil  # what it can read depends on the system
_cudnn: Any = torch.backends.cudnn


def machine_facts() -> dict[str, Any]:
    """Return ``class``, ``class_id`` (its hash) and ``instance_id`` (this machine)."""
    facts = class_facts()
    return {
        "class": facts,
        "class_id": digest(facts),
        "instance_id": digest({"node": platform.node(), "id": _machine_id()}),
    }


def machine_state() -> dict[str, Any]:
    """Return facts that change: host name, load, clocks, temperatures, usable CPUs, the first GPU."""
    return {
        "host": platform.node(),
        "load_average": load_average(),
        "affinity": affinity(),
        "cpu_clock_mhz": cpu_clock_mhz(),
        "cpu_temperature_c": cpu_temperature_c(),
        "gpu": gpu_state(torch.device("cuda", 0)) if accelerator_kind() == "cuda" else None,
    }


def class_facts() -> dict[str, Any]:
    """Return the facts that two comparable runs share: hardware, driver, torch, numeric flags.

    A fact in which the GPUs differ is a list, in torch's order, since ``cuda`` means the first. Settings per
    thread (autocast, denormal numbers) are those of the calling thread.
    """
    cpus = affinity()
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "affinity_threads": None if cpus is None else len(cpus),
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
    """Return the CPU's model name as the kernel reports it; other sources spell it differently."""
    try:
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_clock_mhz() -> int | None:
    """Return the mean clock of all CPUs now; None where the system does not report it."""
    try:
        clock = _psutil.cpu_freq()
    except (AttributeError, NotImplementedError, OSError):
        return None
    return round(clock.current) if clock is not None and clock.current else None


def cpu_temperature_c() -> float | None:
    """Return the temperature of the CPU's hottest sensor now; None without one, as in virtual machines."""
    try:
        chips = _psutil.sensors_temperatures()
    except (AttributeError, OSError):
        return None
    return max((sensor.current for chip in CPU_SENSORS for sensor in chips.get(chip, ())), default=None)


def _accelerator_facts() -> dict[str, Any]:
    kind = accelerator_kind()
    if kind is None:
        return {"gpu": None, "gpu_count": 0}
    count = torch.accelerator.device_count()
    facts: dict[str, Any] = {
        "gpu": kind,
        "gpu_count": count,
        "cuda": torch.version.cuda or torch.version.hip,
        "cudnn": _cudnn.version() if kind == "cuda" else None,
    }
    if kind == "cuda":
        with kept_open():
            facts |= _merged([_gpu_facts(torch.device("cuda", index)) for index in range(count)])
    return facts


def _gpu_facts(device: torch.device) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(device)
    return {
        "gpu": properties.name,
        "gpu_memory_bytes": properties.total_memory,
        "compute_capability": f"{properties.major}.{properties.minor}",
        **gpu_class(device),
    }


def _merged(gpus: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return each fact once where all GPUs have the same value, else as a list."""
    facts = {name: [gpu[name] for gpu in gpus] for name in gpus[0]}
    return {
        name: values[0] if values.count(values[0]) == len(values) else values
        for name, values in facts.items()
    }


def _tf32() -> bool:
    old_switch = read_silently(torch.get_float32_matmul_precision)
    return precision("cuda.matmul") == "tf32" if old_switch is None else old_switch != "highest"


def _cudnn_tf32() -> bool | None:
    allowed: bool | None = read_silently(lambda: torch.backends.cudnn.allow_tf32)
    return allowed  # None where torch refuses to read it; `_float32` has both


def _float32() -> str:
    """Return how each library rounds float32; torch's old switch has one value for TF32 and BF16 on a CPU."""
    switches = {name: precision(name) for name in SWITCHES}
    if None in switches.values():
        return f"matmul {read_silently(torch.get_float32_matmul_precision)}"
    # An unset switch rounds as IEEE does, so setting that explicitly changes nothing.
    return ", ".join(f"{name} {str(value).replace('none', 'ieee')}" for name, value in switches.items())


def _amp() -> str | bool:
    """Return the device kinds for which autocast is on, each with its dtype; False where it is off."""
    kinds = [kind for kind in ("cpu", accelerator_kind()) if kind is not None]
    on = [kind for kind in kinds if torch.is_autocast_enabled(kind)]
    return ", ".join(f"{kind} {torch.get_autocast_dtype(kind)}".replace("torch.", "") for kind in on) or False


def _flushes_denormals() -> bool:
    """Return whether the CPU treats denormal numbers as zero: torch does not report it, so multiply one."""
    return bool((torch.tensor(5e-324, dtype=torch.float64) * 1.0).item() == 0.0)


def load_average() -> list[float] | None:
    """Return the system's load over 1, 5 and 15 minutes; None where it is not known."""
    return list(os.getloadavg()) if hasattr(os, "getloadavg") else None


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return str(uuid.getnode())
