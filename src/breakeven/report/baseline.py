"""The device that the others are compared with: by default, or as ``--baseline`` names it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from breakeven.device_names import device_order
from breakeven.errors import UsageError
from breakeven.format import one_line
from breakeven.runs.machine import Machine


@dataclass(frozen=True)
class Baseline:
    """The device that others are compared with; `machine` is a class id, None for each candidate's own."""

    device: str
    machine: str | None = None


def find_baseline(text: str, machines: Sequence[Machine], devices: Mapping[str, Iterable[str]]) -> Baseline:
    """Return the baseline that `text` names: ``DEVICE`` or ``MACHINE/DEVICE``.

    MACHINE is a machine's label, class id or hardware, or a part of one of them that is unique.

    Args:
        text: the user's text.
        machines: those that were read.
        devices: the timed devices of each class id.

    Raises:
        UsageError: no such machine or device was measured, or several machines match; the message lists what
        is present.
    """
    timed = sorted({name for names in devices.values() for name in names}, key=device_order)
    if "/" not in text:
        if text not in timed and timed:
            here, shown = ", ".join(timed), one_line(text, 60).strip() or repr(text)
            raise UsageError(f"--baseline {shown}: no such device in these runs; present: {here}")
        return Baseline(text)
    name, _, device = text.rpartition("/")
    machine = find_machine(name, machines, f"--baseline {one_line(text, 80)!r}")
    present = sorted(devices.get(machine.class_id, ()), key=device_order)
    if device not in present:
        raise UsageError(
            f"--baseline {one_line(text, 120)!r}: {device!r} was not measured on {machine.label}; "
            f"present: {', '.join(present) or 'none'}"
        )
    return Baseline(device, machine.class_id)


def find_machine(name: str, machines: Sequence[Machine], option: str) -> Machine:
    """Return the machine of that label, class id or hardware, or of which one has this unique part.

    Raises:
        UsageError: no machine or several match; `option`, with its value, begins the message.
    """
    exact = [machine for machine in machines if name in (machine.label, machine.class_id, machine.hardware)]
    parts = [
        machine
        for machine in machines
        if machine.class_id.startswith(name)
        or any(name.casefold() in text.casefold() for text in (machine.label, machine.hardware))
    ]
    found = exact or (parts if name else [])
    if len(found) == 1:
        return found[0]
    problem = "several machines match" if found else "no such machine"
    labels = "; ".join(f"{machine.label} (class {machine.class_id})" for machine in found or machines)
    raise UsageError(f"{option}: {problem}; give a label or a class id of: {one_line(labels, 400)}")
