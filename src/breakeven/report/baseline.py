"""Which device the others are held against: by default, or as the user names it.

Owns the order of devices, METHOD's default baseline, and the reading of ``--baseline DEVICE`` and
``--baseline MACHINE/DEVICE``. Compares nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from breakeven.device_names import device_order
from breakeven.errors import UsageError
from breakeven.format import one_line
from breakeven.runs.machine import Machine


@dataclass(frozen=True)
class Reference:
    """The device that others are held against; `class_id` None means the one on each candidate's machine."""

    device: str
    class_id: str | None = None


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
