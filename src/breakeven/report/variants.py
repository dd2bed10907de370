"""Where each variant pays: the same step on the same device, done in another way.

Owns which axes are ways (truths and words, such as ``compile=True`` or ``dtype=bfloat16``) and not sizes
(numbers), which value of a way is the plain one, and what a variant costs once. Compares no devices, which is
`breakeven.report.speedup`'s, whose words and intervals it uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from breakeven.case import axes_text
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import PHASES, Speedup, compare
from breakeven.report.startup_cost import Payback, payback
from breakeven.report.throughput import case_facts

PLAIN_DTYPE = "float32"

Axes = Mapping[str, Mapping[str, Any]]
"""The object behind each text of axes, in the order in which the runs hold them."""


@dataclass(frozen=True)
class Variant:
    """One cell's whole training step against its plain form, on one device.

    `row` is the speedup, above 1 where the variant is faster; `change` holds the axes that differ, `plain`
    is the text of the plain form's axes, `sizes` that of the axes that are no ways; `plain_s` and `variant_s`
    are the two medians. `compile_s` and `capture_s` happen once and are in neither, None where nothing is
    compiled or captured; `repaid` tells after how many steps they are repaid, None where the variant is not
    faster or costs nothing once.
    """

    row: Speedup
    change: Mapping[str, Any]
    plain: str
    sizes: str
    plain_s: float
    variant_s: float
    compile_s: float | None
    capture_s: float | None
    repaid: Payback | None

    @property
    def name(self) -> str:
        """What differs, as text."""
        return axes_text(self.change)

    @property
    def model(self) -> str:
        """The workload with its sizes."""
        return f"{self.row.workload} {self.sizes}".strip()


def variants(cases: Sequence[Estimate], facts: pd.DataFrame, axes: Axes) -> list[Variant]:
    """Return a row for each training step whose plain form was timed on the same device of the same machine.

    The plain value of a way is False, of a dtype ``float32``, else the first in the runs. What does other
    work (other parameters, other FLOPs) is another model, and no variant.

    Args:
        cases: the estimates; rows come in their order.
        facts: needs the columns of `breakeven.report.estimates.KEY`, ``parameters``, ``flops``,
            ``compile_s`` and ``capture_s``; None where unknown.
        axes: as `Axes`.
    """
    steps = [case for case in cases if case.phase == "train"]
    table = {(case.workload, case.axes, *_place(case)): case for case in steps}
    plain_values = _plain_values({(case.workload, case.axes) for case in steps}, axes)
    known = case_facts(facts, ("parameters", "flops", "compile_s", "capture_s"))
    found = []
    for case in steps:
        values, plain = axes[case.axes], plain_values[case.workload]
        change = {key: value for key, value in values.items() if key in plain and value != plain[key]}
        base = table.get((case.workload, axes_text({**values, **_only(plain, values)}), *_place(case)))
        if change and base is not None and _same_work(base, case, known):
            sizes = axes_text({key: value for key, value in values.items() if key not in plain})
            found.append(_variant(base, case, change, sizes, known))
    return found


def _plain_values(models: set[tuple[str, str]], axes: Axes) -> dict[str, dict[str, Any]]:
    """Return each workload's ways with their plain values."""
    seen: dict[str, dict[str, list[Any]]] = {workload: {} for workload, _ in models}
    for text, values in axes.items():
        for workload in seen:
            if (workload, text) in models:
                for key, value in values.items():
                    seen[workload].setdefault(key, []).append(value)
    return {
        workload: {key: _plain(values) for key, values in of.items() if _is_way(values)}
        for workload, of in seen.items()
    }


def _is_way(values: Sequence[Any]) -> bool:
    """Tell whether an axis names ways of doing the same: a number is a size, a single word no choice."""
    kinds = {type(value) for value in values}
    return kinds == {bool} or (kinds == {str} and len(set(values)) > 1)


def _plain(values: Sequence[Any]) -> Any:
    if isinstance(values[0], bool):
        return False
    return PLAIN_DTYPE if PLAIN_DTYPE in values else values[0]


def _only(plain: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plain.items() if key in values}


def _place(case: Estimate) -> tuple[object, ...]:
    return (case.batch_size, case.class_id, case.device)


Known = Mapping[tuple[object, ...], Mapping[str, float]]


def _same_work(base: Estimate, case: Estimate, known: Known) -> bool:
    one, other = (known.get(_key(each, "train"), {}) for each in (base, case))
    return all(one[name] == other[name] for name in ("parameters", "flops") if name in one and name in other)


def _variant(base: Estimate, case: Estimate, change: Mapping[str, Any], sizes: str, known: Known) -> Variant:
    row = compare(base, case)
    compile_s, capture_s = _once(case, known)
    plain_compile_s, plain_capture_s = _once(base, known)
    longer_s = (compile_s or 0.0) + (capture_s or 0.0) - (plain_compile_s or 0.0) - (plain_capture_s or 0.0)
    pays = row.verdict == "faster" and longer_s > 0
    return Variant(
        row=row,
        change=change,
        plain=base.axes,
        sizes=sizes,
        plain_s=base.median_s,
        variant_s=case.median_s,
        compile_s=compile_s,
        capture_s=capture_s,
        repaid=payback(row, longer_s, base, case) if pays else None,
    )


def _once(case: Estimate, known: Known) -> tuple[float | None, float | None]:
    """Return the seconds of compiling and of capturing a cell's step.

    What the first phase compiled the later ones find, so that all of them together compiled it once; each of
    them captured it.
    """
    phases = [known.get(_key(case, phase), {}) for phase in ("transfer", *PHASES)]
    compiled = [facts["compile_s"] for facts in phases if "compile_s" in facts]
    captured = [facts["capture_s"] for facts in phases if "capture_s" in facts]
    return (sum(compiled) if compiled else None), (float(np.median(captured)) if captured else None)


def _key(case: Estimate, phase: str) -> tuple[object, ...]:
    return (case.class_id, case.workload, case.axes, case.batch_size, phase, case.device)
