"""Device names as strings: which are CPUs, how they are ordered, and the default baseline."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SEVERAL = re.compile(r"([1-9][0-9]*)x(.+)")
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_GPUS = ("cuda", "mps", "xpu")


def processes_of(device: str) -> int | None:
    """Return the number of processes of a device that has a number in its name, None for another.

    >>> processes_of("2xcuda"), processes_of("cuda")
    (2, None)
    """
    match = _SEVERAL.fullmatch(device)
    return None if match is None else int(match[1])


def member_of(device: str) -> str:
    """Return the device that each process of `device` uses; `device` itself if its name has no number.

    >>> member_of("2xcuda"), member_of("cuda")
    ('cuda', 'cuda')
    """
    match = _SEVERAL.fullmatch(device)
    return device if match is None else match[2]


def is_cpu(device: str) -> bool:
    """Return whether `device` is the CPU: ``cpu``, ``cpu@N`` with N threads, ``cpu@best``, or ``2xcpu``."""
    member = member_of(device)
    return member == "cpu" or member.startswith("cpu@")


def device_order(device: str) -> tuple[int, int, str, int]:
    """Return a sort key: ``cpu`` first, then ``cpu@N`` by N, ``cpu@best``, and accelerators by name.

    Those of several processes follow the device of one process.
    """
    member, processes = member_of(device), processes_of(device) or 0
    threads = member.removeprefix("cpu@")
    if threads.isdecimal() and len(threads) < 20:  # Python refuses to convert thousands of digits
        return (1, int(threads), member, processes)
    return (0 if member == "cpu" else 2 if is_cpu(member) else 3, 0, member, processes)


def choose_baseline(devices: Iterable[str]) -> str | None:
    """Return the device that the others of a machine class are compared with; None without a CPU.

    Beside an accelerator it is ``cpu``, or else ``cpu@best``, or else the CPU with the most threads. Without
    an accelerator it is ``cpu@1``, or else ``cpu``, or else the CPU with the smallest number of threads.
    A device of several processes is the baseline only where nothing else was measured. Without a CPU, it is
    compared with the device that each of its processes uses.
    """
    present = sorted(set(devices), key=device_order)
    single = [device for device in present if processes_of(device) is None] or present
    members = {member_of(device) for device in present if processes_of(device) is not None}
    cpus = [device for device in single if is_cpu(device)]
    threads = [device for device in cpus if device != "cpu"]
    if any(not is_cpu(device) for device in present):
        alone = next((device for device in single if device in members), None)
        return "cpu" if "cpu" in cpus else threads[-1] if threads else alone
    if "cpu@1" in cpus:
        return "cpu@1"
    return cpus[0] if cpus else None


def device_name(device: str) -> str:
    """Return a device's name for a sentence.

    >>> device_name("cpu"), device_name("cpu@1"), device_name("cuda"), device_name("cuda:1")
    ('the CPU (cpu)', 'one CPU thread (cpu@1)', 'the GPU (cuda)', 'the GPU (cuda:1)')
    >>> device_name("2xcuda"), device_name("16xcuda"), device_name("2xcpu"), device_name("1xcuda")
    ('two GPUs (2xcuda)', '16 GPUs (16xcuda)', 'two CPU processes (2xcpu)', 'a group of one GPU (1xcuda)')
    """
    processes = processes_of(device)
    if processes is not None:
        return f"{_group_name(processes, member_of(device))} ({device})"
    if device == "cpu":
        return "the CPU (cpu)"
    if device == "cpu@best":
        return "the best number of CPU threads (cpu@best)"
    if device.startswith("cpu@"):
        threads = device.removeprefix("cpu@")
        return f"one CPU thread ({device})" if threads == "1" else f"{threads} CPU threads ({device})"
    return f"the {'GPU' if _is_gpu(device) else 'accelerator'} ({device})"


def is_plural(device: str) -> bool:
    """Return whether `device_name` takes a plural verb.

    >>> [is_plural(device) for device in ("cpu", "cpu@4", "cpu@1", "cpu@best", "cuda", "2xcuda", "1xcuda")]
    [False, True, False, False, False, True, False]
    """
    processes = processes_of(device)
    if processes is not None:
        return processes > 1
    return device.startswith("cpu@") and device not in ("cpu@1", "cpu@best")


def _group_name(processes: int, member: str) -> str:
    one, several = (
        ("CPU process", "CPU processes")
        if is_cpu(member)
        else ("GPU", "GPUs")
        if _is_gpu(member)
        else ("accelerator", "accelerators")
    )
    number = _NUMBERS[processes] if processes < len(_NUMBERS) else str(processes)
    return f"a group of one {one}" if processes == 1 else f"{number} {several}"


def _is_gpu(device: str) -> bool:
    return device.split(":")[0] in _GPUS
