"""Workloads whose recipe ignores `batch_size`: their batches do not grow with it."""

from __future__ import annotations

from collections.abc import Iterable

from breakeven.case import CaseKey, Model
from breakeven.format import one_line

MAX_MODELS = 8
"""The number of workloads that are named."""


def ignored_batch_warnings(cases: Iterable[tuple[CaseKey, float | None]]) -> list[str]:
    """Return a warning for each workload with batches of one size for several values of `batch_size`.

    Args:
        cases: the timed cases, and the bytes of the inputs and targets of a step, None if unknown.
    """
    sizes: dict[tuple[Model, str, str], dict[float, set[int]]] = {}
    for case, batch_bytes in cases:
        if batch_bytes:
            by_bytes = sizes.setdefault((case.model, case.device, case.machine), {})
            by_bytes.setdefault(batch_bytes, set()).add(case.batch_size)
    texts = {
        model.workload: f"{one_line(model.workload)}: batches {min(same)} and {max(same)} are equally large; "
        "build inputs and targets with batch_size samples, else its break-even means nothing"
        for (model, _, _), by_bytes in sizes.items()
        for same in by_bytes.values()
        if len(same) > 1
    }
    return [*texts.values()][:MAX_MODELS]
