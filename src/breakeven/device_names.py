"""Device names as strings: which are CPUs, how they are ordered, and the default baseline."""

from __future__ import annotations

from collections.abc import Iterable


def is_cpu(device: str) -> bool:
    """Return whether `device` is the CPU: ``cpu``, ``cpu@N`` with N threads, or ``cpu@best``."""
    return device == "cpu" or device.startswith("cpu@")


def device_order(device: str) -> tuple[int, int, str]:
    """Return a sort key: ``cpu`` first, then ``cpu@N`` by N, ``cpu@best``, and accelerators by name."""
    threads = device.removeprefix("cpu@")
    if threads.isdecimal():
        return (1, int(threads), device)
    return (0 if device == "cpu" else 2 if is_cpu(device) else 3, 0, device)


def choose_baseline(devices: Iterable[str]) -> str | None:
    """Return the device that the others of a machine class are compared with; None without a CPU.

    Beside an accelerator it is ``cpu``, or else ``cpu@best``, or else the CPU with the most threads. Without
    an accelerator it is ``cpu@1``, or else ``cpu``, or else the CPU with the smallest number of threads.
    """
    present = sorted(set(devices), key=device_order)
    cpus = [device for device in present if is_cpu(device)]
    threads = [device for device in cpus if device != "cpu"]
    if len(cpus) < len(present):
        return "cpu" if "cpu" in cpus else threads[-1] if threads else None
    if "cpu@1" in cpus:
        return "cpu@1"
    return cpus[0] if cpus else None
