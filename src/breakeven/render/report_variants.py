"""Where each variant pays, as tables of short strings: one for each device.

Owns which columns they have, and which of them a narrow face may do without. Computes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from breakeven import format as fmt
from breakeven.render.table import Table
from breakeven.report.report import Report
from breakeven.report.text_variants import once, repaid
from breakeven.report.variants import Variant

PLAIN, SO, ONCE, REPAID = "plain", "so", "once", "repaid after steps"
"""Columns of the variants that a narrow face may leave out: other tables and the sentences tell them too."""

VARIANT_COLUMNS = ("model", "batch", "variant", PLAIN, SO, "speedup", "verdict", ONCE, REPAID)


def variant_tables(report: Report) -> list[Table]:
    """Return for each device what each variant gains over the plain form, and what it costs once."""
    groups: dict[tuple[str, str], list[Variant]] = {}
    for variant in report.variants:
        groups.setdefault((variant.row.class_id, variant.row.candidate), []).append(variant)
    found = []
    for (class_id, device), rows in groups.items():
        where = f" on {report.label(class_id)}" if len(report.machines) > 1 else ""
        table = Table(f"Variants on {device}{where}", VARIANT_COLUMNS, tuple(map(_variant_row, rows)))
        if not any(map(once, rows)):
            table = table.without(ONCE).without(REPAID)
        found.append(replace(table, words=(*table.words, "variant", ONCE)))
    return found


def _variant_row(variant: Variant) -> tuple[str, ...]:
    row = variant.row
    return (
        variant.model,
        str(row.batch_size),
        variant.name,
        fmt.seconds(variant.plain_s),
        fmt.seconds(variant.variant_s),
        f"{fmt.ratio(row.speedup)} {fmt.ratio_between(row.low, row.high)}".strip(),
        row.verdict,
        once(variant),
        repaid(variant),
    )
