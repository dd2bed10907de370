"""breakeven: from which batch size, and by how much, an accelerator beats the CPU.

Owns the public names. Importing it imports neither torch nor pandas: what needs them is
loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from breakeven.case import Budget, Case, Outcome
from breakeven.errors import BreakevenError

if TYPE_CHECKING:
    from breakeven.measure.workload import Workload

__all__ = ["BreakevenError", "Budget", "Case", "Outcome", "Workload"]

_LAZY = {"Workload": "breakeven.measure.workload"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'breakeven' has no attribute {name!r}")
