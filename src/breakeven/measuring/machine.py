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
from pathlib import Path
from typing import Any

import torch

from breakeven.measuring.devices import accelerator_kind, cgroup_quota, usable_threads
from breakeven.measuring.nvml import gpu_class, gpu_state


def machine_facts() -> dict[str, Any]:
    """Return ``class``, ``class_id`` (its hash) and ``instance_id`` (the box)."""
    facts = class_facts()
    return {
        "class": facts,
        "class_id": digest(facts),
        "instance_id": digest({"node": platform.node(), "id": _machine_id()}),
    }


def machine_state() -> dict[str, Any]:
    """Return what comes and goes: the load, the CPUs this process may use, the first GPU's state."""
    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return {"load_average": load_average(), "affinity": affinity, "gpu": _first_gpu_state()}


def class_facts() -> dict[str, Any]:
    """Return what must be equal for two runs to be compared: hardware, driver, torch, numeric flags."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": usable_threads(),
        "quota": cgroup_quota(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "gomp_spincount": os.environ.get("GOMP_SPINCOUNT"),
        **_accelerator_facts(),
        "torch": torch.__version__,
        "torch_git": torch.version.git_version,
        "python": platform.python_version(),
        "tf32": torch.get_float32_matmul_precision() != "highest",
        "cudnn_tf32": _cudnn_tf32(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
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


def _accelerator_facts() -> dict[str, Any]:
    kind = accelerator_kind()
    if kind is None:
        return {"gpu": None, "gpu_count": 0}
    facts: dict[str, Any] = {
        "gpu": kind,
        "gpu_count": torch.accelerator.device_count(),
        "cuda": torch.version.cuda or torch.version.hip,
        "cudnn": _cudnn_version() if kind == "cuda" else None,
    }
    if kind == "cuda":
        properties = torch.cuda.get_device_properties(0)
        facts |= {
            "gpu": properties.name,
            "gpu_memory_bytes": properties.total_memory,
            "compute_capability": f"{properties.major}.{properties.minor}",
        }
        facts |= gpu_class(torch.device("cuda", 0))
    return facts


def _first_gpu_state() -> dict[str, Any] | None:
    return gpu_state(torch.device("cuda", 0)) if accelerator_kind() == "cuda" else None


def _cudnn_tf32() -> bool | None:
    try:
        return torch.backends.cudnn.allow_tf32
    except RuntimeError:  # torch refuses where its old and new switches were mixed
        return None


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
