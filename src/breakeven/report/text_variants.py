"""Where each variant pays, in words: one sentence for each change on each device.

Owns the wording; computes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from breakeven import format as fmt
from breakeven.report.variants import Variant
from breakeven.runs.machine import Machine

FEWER_DIGITS = {"tf32": True, "dtype": "bfloat16"}
"""Changes after which a step no longer computes what it did, which its time does not tell."""


def variant_sentences(found: Iterable[Variant], machines: Iterable[Machine]) -> list[str]:
    """Return a sentence for each change on each device: where it pays, the best cell, what it costs once."""
    label = {machine.class_id: machine.label for machine in machines}
    groups: dict[tuple[str, str, str], list[Variant]] = {}
    for variant in found:
        groups.setdefault((variant.row.class_id, variant.row.candidate, variant.name), []).append(variant)
    return [
        f"On {fmt.device_name(device)}{f' of {label[class_id]}' if len(label) > 1 else ''}, "
        f"{name} {_where(rows)}{_once(_best(rows))}{_digits(rows[0])}."
        for (class_id, device, name), rows in groups.items()
    ]


def once(variant: Variant) -> str:
    """Return what a variant costs once, empty where it costs nothing.

    >>> from breakeven.report.speedup import Speedup
    >>> row = Speedup("id", "mlp", "", 8, "train", "id", "cuda", "cuda", 2.0, 1.9, 2.1, "faster", ())
    >>> once(Variant(row, {"compile": True}, "", "", 2.0, 1.0, 7.5, 0.25, None))
    'compiling 7.50 s, capturing 250 ms'
    """
    costs = (("compiling", variant.compile_s), ("capturing", variant.capture_s))
    return ", ".join(f"{name} {fmt.seconds(cost)}" for name, cost in costs if cost is not None)


def repaid(variant: Variant) -> str:
    """Return after how many steps what a variant costs once is repaid, empty where nothing is."""
    if variant.repaid is None:
        return ""
    steps = variant.repaid
    return f"{fmt.count(steps.steps)} {fmt.count_between(steps.low, steps.high)}".strip()


def _where(rows: Sequence[Variant]) -> str:
    counts = Counter(variant.row.verdict for variant in rows)
    cells = fmt.plural(len(rows), "cell")
    best = _best(rows)
    ratio = f"{fmt.ratio(best.row.speedup)} {fmt.ratio_between(best.row.low, best.row.high)}".strip()
    place = f"({best.model}, batch {best.row.batch_size})"
    if len(rows) == 1:
        return f"is {best.row.verdict}, {ratio} {place}"
    if not counts["faster"]:
        kinds = [f"{counts[kind]} {kind}" for kind in ("slower", "same", "undecided") if counts[kind]]
        return f"pays in none of {cells} ({', '.join(kinds)})"
    return f"is faster in {counts['faster']} of {cells}, {ratio} at best {place}"


def _once(best: Variant) -> str:
    if best.row.verdict != "faster" or not once(best):
        return ""
    after = repaid(best)
    return f"; what happens once ({once(best)}) is repaid after {after} steps" if after else ""


def _digits(variant: Variant) -> str:
    fewer = any(variant.change.get(axis) == value for axis, value in FEWER_DIGITS.items())
    return "; it computes with fewer digits" if fewer else ""


def _best(rows: Sequence[Variant]) -> Variant:
    return max(rows, key=lambda variant: (variant.row.verdict == "faster", variant.row.speedup or 0.0))
