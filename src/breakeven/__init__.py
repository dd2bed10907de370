"""breakeven: from which batch size, and by how much, an accelerator beats the CPU.

Importing it loads neither torch nor pandas; the public names load what they need on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from breakeven.errors import BreakevenError

if TYPE_CHECKING:
    from breakeven.measure.training import Training
    from breakeven.measure.workload import Workload
    from breakeven.report.report import analyze
    from breakeven.runs.reader import read as read_runs

__all__ = ["BreakevenError", "Training", "Workload", "analyze", "read_runs"]

_LAZY = {
    "Training": ("breakeven.measure.training", "Training"),
    "Workload": ("breakeven.measure.workload", "Workload"),
    "analyze": ("breakeven.report.report", "analyze"),
    "read_runs": ("breakeven.runs.reader", "read"),
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        module, attribute = _LAZY[name]
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'breakeven' has no attribute {name!r}")
