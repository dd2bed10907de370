"""What one training step does: launched operators, operations, and the bytes that it moves and copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """One training step on an accelerator.

    `operators` are the kernel launches that the host queues. `flops` are floating point operations by the
    format that multiplies them (``float32``, ``tf32``, ``bfloat16``, ``float16``, ``float64``). `moved_bytes`
    are those that its operators read and write in the accelerator's memory, `copied_bytes` those of its
    batch, which come from the host.
    """

    operators: float
    flops: Mapping[str, float]
    moved_bytes: float
    copied_bytes: float
