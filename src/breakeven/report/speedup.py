"""Device against device at one batch size: the speedup and its verdict.

Owns the pairing of cases with their baseline and the words of the verdict. Which device is the baseline is
`breakeven.report.baseline`'s to say, the break-even over batch sizes `breakeven.stats.crossing`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from breakeven.device_names import choose_baseline
from breakeven.report.baseline import Reference
from breakeven.report.estimates import Estimate
from breakeven.stats.intervals import RatioInterval, ratio_of_draws

SAME_WITHIN = 1.02
"""Up to this ratio, either way, two devices are the same."""

PHASES = ("train", "forward", "backward", "step")
"""The phases that are compared, the headline first; `transfer` does nothing on a CPU."""


@dataclass(frozen=True)
class Speedup:
    """Baseline time / candidate time of one cell and phase, with its 95% interval; above 1 is faster.

    `class_id` is the machine class of the candidate, `baseline_class_id` that of the baseline.
    """

    class_id: str
    workload: str
    axes: str
    batch_size: int
    phase: str
    baseline_class_id: str
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


def devices_of(cases: Sequence[Estimate]) -> dict[str, list[str]]:
    """Return the timed devices of each class id, in the order in which they first stand in `cases`."""
    devices: dict[str, dict[str, None]] = {}
    for case in cases:
        devices.setdefault(case.class_id, {})[case.device] = None
    return {class_id: list(names) for class_id, names in devices.items()}


def references(cases: Sequence[Estimate], wished: Reference | None = None) -> dict[str, Reference | None]:
    """Return what the devices of each class id are held against; None where a machine has no baseline."""
    found: dict[str, Reference | None] = {}
    for class_id, names in devices_of(cases).items():
        if wished is not None and wished.class_id is not None:
            found[class_id] = wished
            continue
        name = choose_baseline(names) if wished is None else wished.device
        found[class_id] = Reference(name, class_id) if name is not None and name in names else None
    return found


def speedups(cases: Sequence[Estimate], wished: Reference | None = None) -> list[Speedup]:
    """Return a row for every case of a compared phase whose cell was also timed on its baseline.

    Every device but the baseline is a candidate. Rows are in the order of `cases`.
    """
    against = references(cases, wished)
    table = {_cell(case, Reference(case.device, case.class_id)): case for case in cases}
    rows = []
    for case in cases:
        reference = against[case.class_id]
        base = None if reference is None else table.get(_cell(case, reference))
        if base is not None and base is not case and case.phase != "transfer":
            rows.append(compare(base, case))
    return rows


def compare(base: Estimate, candidate: Estimate) -> Speedup:
    """Return the speedup of `candidate` over `base`, two estimates of one cell and phase."""
    ratio = ratio_of_draws(base.median_s, candidate.median_s, base.draws, candidate.draws)
    if not (base.judged and candidate.judged):
        ratio = RatioInterval(None, ratio.ratio, None)
    return Speedup(
        class_id=candidate.class_id,
        workload=candidate.workload,
        axes=candidate.axes,
        batch_size=candidate.batch_size,
        phase=candidate.phase,
        baseline_class_id=base.class_id,
        baseline=base.device,
        candidate=candidate.device,
        speedup=ratio.ratio,
        low=ratio.low,
        high=ratio.high,
        verdict=verdict_of(ratio),
        flags=tuple(dict.fromkeys((*base.flags, *candidate.flags))),
    )


def _cell(case: Estimate, place: Reference) -> tuple[object, ...]:
    return (case.workload, case.axes, case.batch_size, case.phase, place.class_id, place.device)
