"""What one training step does: launched operators, operations, and the bytes that it moves and copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breakeven.case import Cell
    from breakeven.runs.schema import CaseFacts


@dataclass(frozen=True)
class Work:
    """One training step on an accelerator.

    `operators` are the kernel launches that the host queues, `kernels` those that the device runs one after
    another: more of them where one launch runs many, as a recurrent layer's or a captured step's. `flops` are
    floating point operations by the format that multiplies them (``float32``, ``tf32``, ``bfloat16``,
    ``float16``, ``float64``). `moved_bytes` are those that its operators read and write in the accelerator's
    memory, `copied_bytes` those of its batch, which come from the host.
    """

    operators: float
    kernels: float
    flops: Mapping[str, float]
    moved_bytes: float
    copied_bytes: float

    @classmethod
    def of(cls, facts: CaseFacts) -> Work | None:
        """Return the work that a training step's facts describe; None where it was not counted."""
        if not facts.operators or facts.moved_bytes is None or facts.batch_bytes is None:
            return None
        return cls(
            operators=facts.operators,
            kernels=facts.operators if facts.kernels is None else facts.kernels,
            flops=facts.flops_by_format,
            moved_bytes=facts.moved_bytes,
            copied_bytes=facts.batch_bytes,
        )


@dataclass(frozen=True)
class Counts:
    """The facts of a training step of each cell, and for others one line that states why they are unknown."""

    of: Mapping[Cell, CaseFacts]
    unknown: Mapping[Cell, str]
