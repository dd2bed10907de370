"""Burst and sustained, as sentences: how much slower an accelerator computes once it has heated up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from breakeven import format as fmt
from breakeven.report.estimates import Estimate
from breakeven.report.text import ModelNames, place_name
from breakeven.runs.machine import Machine
from breakeven.runs.schema import CaseFacts


def sustained_sentences(
    cases: Iterable[Estimate], machines: Sequence[Machine], models: ModelNames
) -> list[str]:
    """Return a sentence for each case that was timed long enough to have both times.

    Args:
        cases: the estimates of the report.
        machines: in the order of the report.
        models: the names of all models.
    """
    return [
        f"On {place_name(case.key.device, case.key.machine, machines)}, {models[case.key.model]}, "
        f"batch {fmt.batch_size(case.key.batch_size)}: {text}."
        for case in cases
        if (text := _text(case.facts))
    ]


def _text(facts: CaseFacts) -> str:
    """Return both times with their difference and the clocks; empty without them.

    >>> _text(CaseFacts(load_s=28, burst_s=1.21e-3, burst_high_s=1.22e-3, burst_low_s=1.2e-3,
    ... sustained_s=1.43e-3, sustained_low_s=1.42e-3, sustained_high_s=1.44e-3, burst_clock_mhz=1980,
    ... sustained_clock_mhz=1755))
    'burst 1.21 ms, sustained 1.43 ms after 28 s: 18% slower, clocks 1,980 -> 1,755 MHz'
    """
    if not facts.burst_s or not facts.sustained_s or not facts.load_s:
        return ""
    text = (
        f"burst {fmt.seconds(facts.burst_s)}, sustained {fmt.seconds(facts.sustained_s)} after "
        f"{fmt.duration(facts.load_s)}: {_difference(facts, facts.sustained_s / facts.burst_s)}"
    )
    if facts.burst_clock_mhz and facts.sustained_clock_mhz:
        text += f", clocks {facts.burst_clock_mhz:,.0f} -> {facts.sustained_clock_mhz:,.0f} MHz"
    return text


def _difference(facts: CaseFacts, ratio: float) -> str:
    ends = (facts.burst_low_s, facts.burst_high_s, facts.sustained_low_s, facts.sustained_high_s)
    if any(end is None for end in ends):
        return "too few rounds to compare"
    burst_low, burst_high, sustained_low, sustained_high = (end or 0.0 for end in ends)
    if sustained_low <= burst_high and burst_low <= sustained_high:
        return "no difference shown"
    return f"{fmt.percent_change(ratio)} {'slower' if ratio > 1 else 'faster'}"
