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


def machine_facts() -> dict[str, Any]:
    """Return ``class``, ``class_id`` (its hash), ``instance_id`` (the box) and ``state``."""
    facts = class_facts()
    return {
        "class": facts,
        "class_id": digest(facts),
        "instance_id": digest({"node": platform.node(), "id": _machine_id()}),
        "state": {"load_average": _load_average(), "nvml": nvml_state()},
    }


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
        "cudnn_tf32": _read(lambda: torch.backends.cudnn.allow_tf32),
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
        "cudnn": _read(torch.backends.cudnn.version) if kind == "cuda" else None,
    }
    if kind == "cuda":
        properties = torch.cuda.get_device_properties(0)
        facts |= {
            "gpu": properties.name,
            "gpu_memory_bytes": properties.total_memory,
            "compute_capability": f"{properties.major}.{properties.minor}",
        }
        facts |= nvml_class()
    return facts


def nvml_class() -> dict[str, Any]:
    """Return driver, power limit, ECC and MIG mode of the first GPU; each is null where unreadable."""
    with_handle: dict[str, Any] = {"driver": None, "power_limit_w": None, "ecc": None, "mig": None}
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:
        return with_handle  # nvml_state says why
    try:
        handle = _first_gpu(pynvml)
        with_handle["driver"] = _read(pynvml.nvmlSystemGetDriverVersion)
        limit = _read(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle))
        with_handle["power_limit_w"] = None if limit is None else limit / 1000
        with_handle["ecc"] = _read(lambda: bool(pynvml.nvmlDeviceGetEccMode(handle)[0]))
        with_handle["mig"] = _read(lambda: bool(pynvml.nvmlDeviceGetMigMode(handle)[0]))
    finally:
        pynvml.nvmlShutdown()
    return with_handle


def nvml_state() -> dict[str, Any] | None:
    """Return clocks, power, temperature and other processes of the first GPU; None without one."""
    if accelerator_kind() != "cuda":
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception as error:
        return {"unreadable": f"{type(error).__name__}: {error}"}
    try:
        handle = _first_gpu(pynvml)
        power = _read(lambda: pynvml.nvmlDeviceGetPowerUsage(handle))
        return {
            "sm_clock_mhz": _read(lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)),
            "memory_clock_mhz": _read(lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM)),
            "temperature_c": _read(
                lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)
            ),
            "power_w": None if power is None else power / 1000,
            "event_reasons": _read(lambda: pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle)),
            "other_processes": _read(
                lambda: sum(
                    item.pid != os.getpid() for item in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
                )
            ),
        }
    finally:
        pynvml.nvmlShutdown()


def _first_gpu(pynvml: Any) -> Any:
    """Return NVML's handle of torch's first GPU, which CUDA_VISIBLE_DEVICES may have moved."""
    identity = getattr(torch.cuda.get_device_properties(0), "uuid", None)
    handle = None if identity is None else _read(lambda: pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{identity}"))
    return handle if handle is not None else pynvml.nvmlDeviceGetHandleByIndex(0)


def _read(reader: Any) -> Any:
    """Return what the reader gives, None where it is not allowed or not supported here."""
    try:
        return reader()
    except Exception:
        return None


def _load_average() -> list[float] | None:
    return list(os.getloadavg()) if hasattr(os, "getloadavg") else None


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return str(uuid.getnode())
