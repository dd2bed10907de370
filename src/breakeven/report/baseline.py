"""Which device the others are held against: by default, or as the user names it.

Owns the order of devices, METHOD's default baseline, and the reading of ``--baseline DEVICE`` and
``--baseline MACHINE/DEVICE``. Compares nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from breakeven.errors import UsageError
from breakeven.runs.machine import Machine, one_line


@dataclass(frozen=True)
class Reference:
    """The device that others are held against; `class_id` None means the one on each candidate's machine."""

    device: str
    class_id: str | None = None


def is_cpu(device: str) -> bool:
    """Return whether `device` is the CPU, with all or with some of its threads."""
    return device == "cpu" or device.startswith("cpu@")


def device_order(device: str) -> tuple[int, int, str]:
    """Sort key of devices: ``cpu``, then ``cpu@N`` by N, then accelerators by name."""
    threads = device.removeprefix("cpu@")
    return (
        0 if device == "cpu" else 1 if is_cpu(device) else 2,
        int(threads) if threads.isdecimal() else 0,
        device,
    )


def choose_baseline(devices: Iterable[str]) -> str | None:
    """Return the device that the others of one machine class are held against, or None without one.

    ``cpu`` where an accelerator was measured, ``cpu@1`` where none was; where that one is absent, the
    nearest CPU to it (the most threads beside an accelerator, else the fewest). Never an accelerator.
    """
    present = sorted(set(devices), key=device_order)
    cpus = [device for device in present if is_cpu(device)]
    threads = [device for device in cpus if device != "cpu"]
    if len(cpus) < len(present):
        return "cpu" if "cpu" in cpus else threads[-1] if threads else None
    if "cpu@1" in cpus:
        return "cpu@1"
    return cpus[0] if cpus else None


def find_reference(
    wished: str, machines: Sequence[Machine], devices: Mapping[str, Iterable[str]]
) -> Reference:
    """Return the reference that the text `wished` names: ``DEVICE`` or ``MACHINE/DEVICE``.

    MACHINE is a machine's label or class id, or a part of one of them that no other machine's has.

    Args:
        wished: what the user typed.
        machines: those that were read.
        devices: the timed devices of each class id.

    Raises:
        UsageError: no such machine or device was measured, or several machines fit; names what is present.
    """
    timed = sorted({name for names in devices.values() for name in names}, key=device_order)
    if "/" not in wished:
        if wished not in timed and timed:
            here, shown = ", ".join(timed), one_line(wished, 60).strip() or repr(wished)
            raise UsageError(f"--baseline {shown}: no such device in these runs; present: {here}")
        return Reference(wished)
    named, _, device = wished.rpartition("/")
    machine = _find_machine(named, machines, wished)
    present = sorted(devices.get(machine.class_id, ()), key=device_order)
    if device not in present:
        raise UsageError(
            f"--baseline {one_line(wished, 120)!r}: {device!r} was not measured on {machine.label}; "
            f"present: {', '.join(present) or 'none'}"
        )
    return Reference(device, machine.class_id)


def _find_machine(named: str, machines: Sequence[Machine], wished: str) -> Machine:
    exact = [machine for machine in machines if named in (machine.label, machine.class_id)]
    parts = [m for m in machines if named.casefold() in m.label.casefold() or m.class_id.startswith(named)]
    found = exact or (parts if named else [])
    if len(found) == 1:
        return found[0]
    problem = "several machines fit" if found else "no such machine"
    labels = "; ".join(f"{machine.label} (class {machine.class_id})" for machine in found or machines)
    raise UsageError(
        f"--baseline {one_line(wished, 80)!r}: {problem}; give a label or a class id of: "
        f"{one_line(labels, 400)}"
    )
