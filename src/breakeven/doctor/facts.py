"""The facts of this machine that may disturb timing.

`MachineFacts.unreadable` has the reason for each fact that cannot be read; nothing is guessed.
"""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from breakeven.fitness import Look
from breakeven.hardware.cpus import BINDING, CPUS, affinity, affinity_size, core_sizes, cpu_flags
from breakeven.hardware.device import Device
from breakeven.hardware.devices import default_devices
from breakeven.hardware.load import load_average
from breakeven.hardware.machine import read_class, read_each
from breakeven.hardware.threads import default_threads, uses_openmp
from breakeven.measure.look import take_look

ENVIRONMENT = (
    *BINDING, "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "NVIDIA_TF32_OVERRIDE",
    "CUDA_LAUNCH_BLOCKING", "PYTORCH_NO_CUDA_MEMORY_CACHING", "PYTHONMALLOC",
)  # fmt: skip
"""Variables that change how fast torch runs."""


@dataclass(frozen=True)
class DeviceFacts:
    """A device to measure; `state` is set for CUDA devices, `error` if the device did not start."""

    name: str
    device_name: str
    threads: int
    state: Mapping[str, Any] | None = None
    error: str | None = None


@dataclass(frozen=True)
class MachineFacts:
    """The input of the rules; ``None`` or ``()`` if a fact is unreadable.

    `affinity` is the number of CPUs this process may run on, and `cores` that of their physical cores; `look`
    is what a run looks at before its first case; `is_virtual` is whether the CPU reports a hypervisor;
    `throttled` counts how often a core was too hot during that look, while the threads were spinning;
    `openmp` is whether torch's threads are OpenMP threads; `debug` names debug builds; `tracers` lists the
    tools that trace every line or allocation.
    """

    machine: Mapping[str, Any]
    devices: tuple[DeviceFacts, ...]
    affinity: int
    threads: int
    look: Look
    quota: float | None = None
    cores: int | None = None
    is_virtual: bool | None = None
    governors: tuple[str, ...] = ()
    frequency_driver: str | None = None
    turbo: bool | None = None
    throttled: int | None = None
    load_average: tuple[float, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    openmp: bool = True
    debug: tuple[str, ...] = ()
    tracers: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)


def read_facts(cpus: Path = CPUS) -> MachineFacts:
    """Read this machine; takes about a second, and longer where a GPU has to wake up."""
    threads = default_threads()
    load = load_average()  # before spinning adds to it
    machine, unreadable = read_class()
    hardware, unreadable_hardware = read_each(
        {
            "usable cores": lambda: len(core_sizes(affinity(), cpus)),
            "virtual machine": lambda: "hypervisor" in cpu_flags(),
        }
    )
    governors, driver, turbo, unreadable_frequency = read_frequency(cpus)
    unreadable |= unreadable_hardware | unreadable_frequency
    found = default_devices()
    devices = tuple(map(_device, found))
    before = throttle_count(cpus)
    look = take_look(found)
    after = throttle_count(cpus)
    if before is None or after is None:
        unreadable["CPU throttling"] = "no thermal_throttle here"
    if look.load.lost_cpus is None:
        unreadable["other programs"] = "the system does not count their CPU time here"
    builds = (("Python", hasattr(sys, "gettotalrefcount")), ("torch", torch.version.debug))
    return MachineFacts(
        machine=machine,
        devices=devices,
        affinity=affinity_size(),
        threads=threads,
        look=look,
        quota=machine.get("quota"),
        cores=hardware.get("usable cores"),
        is_virtual=hardware.get("virtual machine"),
        governors=governors,
        frequency_driver=driver,
        turbo=turbo,
        throttled=None if before is None or after is None else after - before,
        load_average=None if load is None else tuple(load),
        environment={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        openmp=uses_openmp(),
        debug=tuple(name for name, is_debug in builds if is_debug),
        tracers=_tracers(),
        unreadable=unreadable,
    )


def read_frequency(cpus: Path) -> tuple[tuple[str, ...], str | None, bool | None, dict[str, str]]:
    """Return the governors, the frequency driver, whether turbo is on, and why any of these is unreadable."""
    unreadable = {}
    governors = sorted(
        {text for path in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor") if (text := _text(path))}
    )
    if not governors:
        unreadable["governor"] = "no cpufreq here, as in most virtual machines"
    turbo = None
    for name, on in (("intel_pstate/no_turbo", "0"), ("cpufreq/boost", "1")):
        text = _text(cpus / name)
        if turbo is None and text is not None:
            turbo = text == on
    if turbo is None:
        unreadable["turbo"] = "no intel_pstate/no_turbo and no cpufreq/boost here"
    return tuple(governors), _text(cpus / "cpu0/cpufreq/scaling_driver"), turbo, unreadable


def throttle_count(cpus: Path) -> int | None:
    """Return how often a core was too hot since the machine started; None where it is not counted."""
    texts = [_text(path) for path in cpus.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
    counts = [int(text) for text in texts if text is not None and text.isdecimal()]
    return sum(counts) if counts else None


def _device(device: Device) -> DeviceFacts:
    try:
        with device.active():
            # NVML lists this process only once it has a context, and reports clocks only of an awake GPU.
            device.initialize()
        description = device.describe()
    except RuntimeError as error:  # raised by torch for a device that is lost, full or in use
        return DeviceFacts(device.name, device.name, device.threads, error=str(error).splitlines()[0])
    return DeviceFacts(device.name, str(description["device_name"]), device.threads, device.state())


def _tracers() -> tuple[str, ...]:
    monitoring: Any = getattr(sys, "monitoring", None)  # since Python 3.12
    tools = [monitoring.get_tool(number) for number in range(6)] if monitoring else []
    checks: list[tuple[str, Callable[[], object]]] = [
        ("sys.settrace", sys.gettrace),
        ("sys.setprofile", sys.getprofile),
        ("tracemalloc", tracemalloc.is_tracing),
        ("python -X dev", lambda: sys.flags.dev_mode),
        ("autograd's anomaly mode", torch.is_anomaly_enabled),
    ]
    return (
        *(name for name, is_on in checks if is_on()),
        *(f"sys.monitoring: {tool}" for tool in tools if tool),
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
