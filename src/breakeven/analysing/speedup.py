"""Device against device at one batch size: which one is the baseline, the speedup, its verdict.

Owns the choice of the baseline and the words of the verdict. The break-even over batch sizes is
`breakeven.analysing.crossing`. Runs of different machine classes never meet here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from breakeven.analysing.estimates import Estimate
from breakeven.analysing.intervals import RatioInterval, ratio_of_draws
from breakeven.errors import UsageError

SAME_WITHIN = 1.02
"""Up to this ratio, either way, two devices are the same."""

PHASES = ("train", "forward", "backward", "step")
"""The phases that are compared, the headline first; `transfer` does nothing on a CPU."""


@dataclass(frozen=True)
class Speedup:
    """Baseline time / candidate time of one cell and phase, with its 95% interval; above 1 is faster."""

    class_id: str
    workload: str
    axes: str
    batch_size: int
    phase: str
    baseline: str
    candidate: str
    speedup: float | None
    low: float | None
    high: float | None
    verdict: str
    flags: tuple[str, ...]


def verdict_of(ratio: RatioInterval) -> str:
    """Return ``faster``, ``slower``, ``same`` or ``undecided`` from a speedup's interval.

    ``same`` comes first: an interval within 2% of 1 is no difference anybody could use, however sure.

    >>> verdict_of(RatioInterval(1.001, 1.002, 1.003)), verdict_of(RatioInterval(1.1, 1.2, 1.3))
    ('same', 'faster')
    """
    if ratio.low is None or ratio.high is None:
        return "undecided"
    if ratio.low >= 1 / SAME_WITHIN and ratio.high <= SAME_WITHIN:
        return "same"
    if ratio.low > 1:
        return "faster"
    return "slower" if ratio.high < 1 else "undecided"


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


def choose_baseline(devices: Iterable[str], wished: str | None = None) -> str | None:
    """Return the device that the others of one machine class are held against, or None without one.

    ``cpu`` where an accelerator was measured, ``cpu@1`` where none was; where that one is absent, the
    nearest CPU to it (the most threads beside an accelerator, else the fewest). Never an accelerator,
    unless it is `wished`.
    """
    present = sorted(set(devices), key=device_order)
    if wished is not None:
        return wished if wished in present else None
    cpus = [device for device in present if is_cpu(device)]
    threads = [device for device in cpus if device != "cpu"]
    if len(cpus) < len(present):
        return "cpu" if "cpu" in cpus else threads[-1] if threads else None
    if "cpu@1" in cpus:
        return "cpu@1"
    return cpus[0] if cpus else None


def check_baseline(wished: str | None, devices: Iterable[str]) -> None:
    """Refuse a wished baseline that no run measured.

    Raises:
        UsageError: naming the devices that are present.
    """
    present = sorted(set(devices), key=device_order)
    if wished is not None and present and wished not in present:
        raise UsageError(f"--baseline {wished}: no such device in these runs; present: {', '.join(present)}")


def speedups(cases: Sequence[Estimate], wished: str | None = None) -> list[Speedup]:
    """Return a row for every case of a compared phase whose cell was also timed on the baseline.

    Every device but the baseline is a candidate. Rows are in the order of `cases`.

    Raises:
        UsageError: when the `wished` baseline is in none of the cases.
    """
    check_baseline(wished, (case.device for case in cases))
    devices: dict[str, set[str]] = {}
    for case in cases:
        devices.setdefault(case.class_id, set()).add(case.device)
    baselines = {class_id: choose_baseline(present, wished) for class_id, present in devices.items()}
    table = {_cell(case, case.device): case for case in cases}
    rows = []
    for case in cases:
        name = baselines[case.class_id]
        base = table.get(_cell(case, name)) if name not in (None, case.device) else None
        if base is not None and case.phase != "transfer":
            rows.append(compare(base, case))
    return rows


def compare(base: Estimate, candidate: Estimate) -> Speedup:
    """Return the speedup of `candidate` over `base`, two estimates of one cell, phase and machine class."""
    ratio = ratio_of_draws(base.median_s, candidate.median_s, base.draws, candidate.draws)
    if not (base.judged and candidate.judged):
        ratio = RatioInterval(None, ratio.ratio, None)
    return Speedup(
        class_id=candidate.class_id,
        workload=candidate.workload,
        axes=candidate.axes,
        batch_size=candidate.batch_size,
        phase=candidate.phase,
        baseline=base.device,
        candidate=candidate.device,
        speedup=ratio.ratio,
        low=ratio.low,
        high=ratio.high,
        verdict=verdict_of(ratio),
        flags=tuple(dict.fromkeys((*base.flags, *candidate.flags))),
    )


def _cell(case: Estimate, device: str | None) -> tuple[object, ...]:
    return (case.class_id, case.workload, case.axes, case.batch_size, case.phase, device)
