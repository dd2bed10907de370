"""What a run is about to do: every collected case once, on which devices, and about how long it will take.

Owns the cases and what is said of them before the first begins. Refuses to know how any of them ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from breakeven.case import CaseKey
from breakeven.errors import UsageError
from breakeven.hardware.devices import Device, usable_threads
from breakeven.plugin.options import Options
from breakeven.plugin.progress import Progress

SECONDS_PER_CASE = {False: 0.2, True: 0.4}
"""What a case costs on average, by whether its device is an accelerator, at 1 s of max_time."""

SECONDS_AT_LEAST = 3
"""What a run costs beside its cases."""


class CasePlan:
    """The cases of one run, by the id of their item; None stands for a function with a wrong mark."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._identities: dict[CaseKey, str] = {}
        self.cases: dict[str, CaseKey | None] = {}

    def add(self, nodeid: str, case: CaseKey | None) -> None:
        """Expect a case.

        Raises:
            UsageError: another item has the same identity.
        """
        if case is not None:
            other = self._identities.setdefault(case, nodeid)
            if other != nodeid:
                raise UsageError(
                    f"{nodeid} and {other} are the same case, {case.label()}; rename one of them"
                )
        self.cases[nodeid] = case

    @property
    def devices(self) -> list[Device]:
        """The devices that have cases; where no case is known, all that were asked for."""
        left = {case.device for case in self._known}
        return [device for device in self._options.devices if device.name in left or not left]

    def told(self) -> str:
        """Return how many cases there are, where, and about how long; devices short of CPUs, a line each."""
        cases, devices = self._known, self.devices
        models, cells = len({case.model for case in cases}), len({case.cell for case in cases})
        # Of what was asked for, what is left: -k or a list may have deselected the rest.
        left = {case.phase for case in cases}
        phases = ", ".join(phase for phase in self._options.phases if phase in left or not cases)
        counts = (
            f"{_count(len(cases), 'case')} ({_count(models, 'model')} in {_count(cells, 'cell')}: {phases})"
        )
        line = f"breakeven: {counts} on {', '.join(device.name for device in devices)}"
        usable = usable_threads()
        return f"{line}; {self._duration()}" + "".join(
            f"\nbreakeven: {device.name} asks for more threads than the {usable} this process may use"
            for device in devices
            if not device.is_accelerator and device.threads > usable
        )

    def progress(self) -> Progress | None:
        """Return what will count the cases as they end; None where nothing is timed."""
        planned_s = {nodeid: self._planned_s(case) for nodeid, case in self.cases.items() if case is not None}
        return Progress(planned_s) if planned_s and self._options.times else None

    @property
    def _known(self) -> Sequence[CaseKey]:
        return [case for case in self.cases.values() if case is not None]

    def _duration(self) -> str:
        if not self._options.times:
            return "nothing is timed"
        seconds = SECONDS_AT_LEAST + sum(map(self._planned_s, self._known))
        return f"about {seconds / 60:.1f} min" if seconds >= 60 else f"about {seconds:.0f} s"

    def _planned_s(self, case: CaseKey) -> float:
        is_accelerator = any(
            device.is_accelerator for device in self._options.devices if device.name == case.device
        )
        return SECONDS_PER_CASE[is_accelerator] * min(1.0, self._options.budget().max_time_s)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
