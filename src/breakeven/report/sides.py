"""The names of devices in the break-even chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from breakeven import format as fmt
from breakeven.case import Line
from breakeven.device_names import is_cpu
from breakeven.report.break_even import BreakEven


@dataclass(frozen=True)
class Side:
    """A device as the chart names it, such as ``GPU``, ``cuda:1`` or ``CPU of laptop``."""

    name: str
    device: str


class SideNames:
    """The names of devices: ``CPU`` and ``GPU`` where there is one of each, else as torch names them."""

    def __init__(self, lines: Sequence[BreakEven], machines: Mapping[str, str]) -> None:
        devices = {side.device for line in lines for side in (line.baseline, line.candidate)}
        self._has_one_cpu = len({device for device in devices if is_cpu(device)}) == 1
        self._has_one_accelerator = len({device for device in devices if not is_cpu(device)}) == 1
        self._has_several_candidates = len({line.candidate.device for line in lines}) > 1
        self._has_several_machines = len({line.candidate.machine for line in lines}) > 1
        self._is_across = any(line.baseline.machine != line.candidate.machine for line in lines)
        self._machines = machines

    def side(self, line: Line) -> Side:
        """Return a device, with its machine where devices of several machines are compared."""
        name = self._device(line.device)
        return Side(f"{name} of {self._machine(line)}" if self._is_across else name, line.device)

    def track(self, line: Line) -> str:
        """Return what distinguishes a candidate from the others of its row."""
        machine = self._machine(line) if self._has_several_machines else ""
        return f"{machine} {self._device(line.device) if self._has_several_candidates else ''}".strip()

    def _device(self, device: str) -> str:
        if device == "cpu" and self._has_one_cpu:
            return "CPU"
        if device in ("cuda", "mps", "xpu") and self._has_one_accelerator:
            return "GPU"
        return fmt.one_line(device, 20)

    def _machine(self, line: Line) -> str:
        return fmt.shortened(self._machines[line.machine], 30)
