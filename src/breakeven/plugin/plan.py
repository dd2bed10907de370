"""The plan of a run: every collected case once, the devices, and how long it takes."""

from __future__ import annotations

from collections.abc import Sequence

from breakeven.case import CaseKey
from breakeven.device_names import processes_of
from breakeven.errors import UsageError
from breakeven.format import one_line, plural
from breakeven.hardware.cpus import usable_cpus
from breakeven.hardware.device import Device
from breakeven.plugin.estimate import DurationEstimate
from breakeven.plugin.options import Options


class CasePlan:
    """The cases of one run, by the id of their item; None where the sweep mark is invalid."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._nodeids: dict[CaseKey, str] = {}
        self.cases: dict[str, CaseKey | None] = {}

    def add(self, nodeid: str, case: CaseKey | None) -> None:
        """Expect a case.

        Raises:
            UsageError: another item has the same identity, or id.
        """
        if nodeid in self.cases:
            raise UsageError(f"{nodeid} was collected twice; remove --keep-duplicates")
        if case is not None:
            other = self._nodeids.setdefault(case, nodeid)
            if other != nodeid:
                raise UsageError(
                    f"{nodeid} and {other} are the same case, {case.label()}; rename one of them"
                )
        self.cases[nodeid] = case

    def label(self, nodeid: str) -> str:
        """Return the name of a case on one line."""
        case = self.cases[nodeid]
        return one_line(nodeid if case is None else case.label(), 200)

    @property
    def devices(self) -> list[Device]:
        """The devices that have cases; all requested ones if no case is known."""
        used = {case.device for case in self._known}
        return [device for device in self._options.devices if device.name in used or not used]

    def summary(self) -> list[str]:
        """Return a line with the number of cases, the devices and the duration, then the warnings."""
        cases, devices = self._known, self.devices
        models = plural(len({case.model for case in cases}), "model")
        cells = plural(len({case.cell for case in cases}), "cell")
        used = {case.phase for case in cases}  # -k or a selection may have deselected others
        phases = ", ".join(phase for phase in self._options.phases if phase in used or not cases)
        counts = f"{plural(len(cases), 'case')} ({models} in {cells}: {phases})"
        places = ", ".join(device.name for device in devices)
        estimate = self.estimate()
        return [
            f"breakeven: {counts} on {places}; {'nothing is timed' if estimate is None else estimate.left()}",
            *thread_warnings(devices),
        ]

    def estimate(self) -> DurationEstimate | None:
        """Return how long the cases take, before any has begun; None if nothing is timed."""
        if not self._options.is_timing:
            return None
        known = {nodeid: case for nodeid, case in self.cases.items() if case is not None}
        options = self._options
        if options.processes:
            return DurationEstimate(known, options.whole_budget(), options.processes)
        return DurationEstimate(known, options.budget())

    @property
    def _known(self) -> Sequence[CaseKey]:
        return [case for case in self.cases.values() if case is not None]


def thread_warnings(devices: Sequence[Device]) -> list[str]:
    """Return a line for each CPU device with more threads than CPUs, or with those of another CPU device.

    Devices of several processes differ from one with the threads of each.
    """
    single = [device for device in devices if processes_of(device.name) is None]
    cpus, usable = [device for device in single if not device.is_accelerator], usable_cpus()
    available = f"the {plural(usable, 'CPU')} available to this process"
    lines = [
        f"breakeven: {device.name} uses more threads than {available}"
        for device in cpus
        if device.threads > usable
    ]
    fixed = {device.name: device.threads for device in cpus if device.name != "cpu@best"}
    for name, threads in fixed.items():
        if name != "cpu" and threads == fixed.get("cpu"):
            used = plural(threads, "thread")
            lines.append(f"breakeven: cpu uses {used} here, as {name} does; they differ by noise only")
    if len(devices) == 1 and fixed == {"cpu": 1}:
        lines.append("breakeven: cpu uses 1 thread here, so cpu@1 would be the same and is not measured")
    return lines
