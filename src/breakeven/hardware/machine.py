"""The machine: the facts of its class, the id of the instance, and its current state.

This is ``machine_info["breakeven"]`` of a run file. Facts that change by themselves are part of the state,
which is never hashed. A fact that cannot be read, for whatever reason, is missing, and the state has the
reason under ``unreadable``.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import psutil
import torch

from breakeven.hardware.allocator import allocator
from breakeven.hardware.cpus import affinity, cgroup_quota, core_sizes, cpu_flags, numa_nodes
from breakeven.hardware.devices import accelerator_kind
from breakeven.hardware.float32 import SWITCHES, precision, read_silently
from breakeven.hardware.load import load_average
from breakeven.hardware.nvml import gpu_class, gpu_state
from breakeven.hardware.threads import default_threads

CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
"""The kernel's names of the sensors of a CPU: Intel, AMD (two), ARM."""

OPENMP = (
    "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "OMP_SCHEDULE", "OMP_DYNAMIC", "OMP_THREAD_LIMIT",
    "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "KMP_BLOCKTIME", "MKL_NUM_THREADS", "MKL_DYNAMIC",
)  # fmt: skip
"""Variables of the libraries that run torch's threads; those of waiting threads are facts of their own."""

ISA_LIMITS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables that keep torch and oneDNN from using some of the CPU's vector instructions."""

ISA_FLAGS = (
    "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_bf16", "amx_int8", "amx_fp16",
    "asimdhp", "bf16", "i8mm", "sve", "sve2",
)  # fmt: skip
"""The kernel's names of vector instructions that oneDNN uses beyond those torch reports: x86's, ARM's."""

_psutil: Any = psutil  # what it can read depends on the system
_cudnn: Any = torch.backends.cudnn
_autograd: Any = torch.autograd

Readers = Mapping[str, Callable[[], Any]]
Facts = dict[str, Any]


def machine_facts(known: Mapping[str, Any] | None = None) -> Facts:
    """Return ``class``, ``class_id`` (its hash), ``instance_id`` (this machine) and a ``state`` to add to.

    `known` are facts that this process cannot read: those of `thread_facts`, if its threads were set for it.
    """
    facts, unreadable = read_class()
    facts |= known or {}
    instance, _ = read_each({"node": platform.node, "id": _machine_id})
    return {
        "class": facts,
        "class_id": digest(facts),
        "instance_id": digest(instance),
        "state": {"unreadable": unreadable} if unreadable else {},
    }


def thread_facts() -> Facts:
    """Return those facts of the class that depend on the number of threads that this process was given."""
    return {"threads": default_threads(), "openmp": _set_variables(OPENMP)}


def machine_state() -> Facts:
    """Return facts that change: host name, load, clocks, temperatures, usable CPUs, the first GPU."""
    facts, unreadable = read_each(
        {
            "host": platform.node,
            "load_average": load_average,
            "affinity": affinity,
            "cpu_clock_mhz": cpu_clock_mhz,
            "cpu_temperature_c": cpu_temperature_c,
            "gpu": lambda: gpu_state(torch.device("cuda", 0)) if accelerator_kind() == "cuda" else None,
        }
    )
    return {**facts, "unreadable": unreadable} if unreadable else facts


def class_facts() -> Facts:
    """Return those of the class that can be read."""
    return read_class()[0]


def read_class() -> tuple[Facts, dict[str, str]]:
    """Return the facts that two comparable runs share, and why any others could not be read.

    A fact in which the GPUs differ is a list, in torch's order, since ``cuda`` means the first. Settings per
    thread (autocast, denormal numbers, autograd's threads) are those of the calling thread.
    """
    readers: Readers = {
        "cpu": cpu_name,
        "cores": os.cpu_count,
        "affinity_threads": lambda: None if (cpus := affinity()) is None else len(cpus),
        "threads": default_threads,
        "quota": cgroup_quota,
        "omp_wait_policy": lambda: os.environ.get("OMP_WAIT_POLICY"),
        "gomp_spincount": lambda: os.environ.get("GOMP_SPINCOUNT"),
        "openmp": lambda: _set_variables(OPENMP),
        "physical_cores": lambda: len(core_sizes()),
        "threads_per_core": lambda: max(core_sizes()),
        "numa_nodes": lambda: numa_nodes(affinity()),
        "cpu_isa": _cpu_isa,
        "isa_limits": lambda: _set_variables(ISA_LIMITS),
        "allocator": allocator,
        **_accelerator_readers(),
        "torch": lambda: torch.__version__,
        "torch_git": lambda: torch.version.git_version,
        "python": platform.python_version,
        "tf32": _tf32,
        "cudnn_tf32": _cudnn_tf32,
        "tf32_override": lambda: os.environ.get("NVIDIA_TF32_OVERRIDE"),
        "float32": _float32,
        "amp": _amp,
        "flush_denormal": flushes_denormals,
        "cudnn_benchmark": lambda: torch.backends.cudnn.benchmark,
        "cudnn_deterministic": lambda: torch.backends.cudnn.deterministic,
        "deterministic": torch.are_deterministic_algorithms_enabled,
        "autograd_multithreading": lambda: _autograd.is_multithreading_enabled(),
    }
    return read_each(readers)


def read_each(readers: Readers) -> tuple[Facts, dict[str, str]]:
    """Return what each reader returns, and for those that raise the reason instead."""
    facts, unreadable = {}, {}
    for name, reader in readers.items():
        try:
            facts[name] = reader()
        except Exception as error:  # of torch, a driver or the system: it costs this fact only
            unreadable[name] = " ".join(f"{type(error).__name__}: {error}".split())
    return facts, unreadable


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


def _accelerator_readers() -> Readers:
    try:
        kind = accelerator_kind()
        count = 0 if kind is None else torch.accelerator.device_count()
    except Exception as error:
        return {"gpu": partial(_raise, error), "gpu_count": partial(_raise, error)}
    if kind is None:
        return {"gpu": lambda: None, "gpu_count": lambda: 0}
    common: Readers = {
        "gpu": lambda: kind,
        "gpu_count": lambda: count,
        "cuda": lambda: torch.version.cuda or torch.version.hip,
        "cudnn": lambda: _cudnn.version() if kind == "cuda" else None,
    }
    return common if kind != "cuda" else {**common, **_gpu_readers(count)}


def _gpu_readers(count: int) -> Readers:
    properties: Any = torch.cuda.get_device_properties
    nvml = cache(gpu_class)
    of_one: dict[str, Callable[[torch.device], Any]] = {
        "gpu": lambda gpu: properties(gpu).name,
        "gpu_memory_bytes": lambda gpu: properties(gpu).total_memory,
        "compute_capability": lambda gpu: f"{properties(gpu).major}.{properties(gpu).minor}",
        "driver": lambda gpu: _readable(nvml(gpu), "driver"),
        "power_limit_w": lambda gpu: _readable(nvml(gpu), "power_limit_w"),
        "ecc": lambda gpu: _readable(nvml(gpu), "ecc"),
        "mig": lambda gpu: _readable(nvml(gpu), "mig"),
    }
    gpus = [torch.device("cuda", index) for index in range(count)]
    return {name: partial(_of_each, gpus, read) for name, read in of_one.items()}


def _of_each(gpus: Sequence[torch.device], read: Callable[[torch.device], Any]) -> Any:
    """Return a fact once where all GPUs have the same value, else as a list."""
    values = [read(gpu) for gpu in gpus]
    return values[0] if values.count(values[0]) == len(values) else values


def _readable(facts: Facts, name: str) -> Any:
    if facts[name] is None:
        reasons = facts["unreadable"]
        raise OSError(reasons.get(name) or "; ".join(reasons.values()))
    return facts[name]


def _raise(error: Exception) -> None:
    raise error


def _set_variables(names: Sequence[str]) -> str | None:
    """Return the environment variables that are set, with their values; None if none is."""
    return ", ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ) or None


def _cpu_isa() -> str:
    """Return the vector instructions that torch's own code uses, and further ones that oneDNN uses."""
    flags = cpu_flags()
    return ", ".join(
        [torch.backends.cpu.get_cpu_capability(), *(flag for flag in ISA_FLAGS if flag in flags)]
    )


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


def flushes_denormals() -> bool:
    """Return whether the CPU treats denormal numbers as zero: torch does not report it, so multiply one."""
    tiny = torch.tensor(5e-324, dtype=torch.float64, device="cpu")
    return bool((tiny * 1.0).item() == 0.0)


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return str(uuid.getnode())
