"""The remedy where a model does not take a batch of the loader, which only the user can split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from breakeven.measure.tensors import is_movable, kind
from breakeven.measure.workload import Workload, error_line

_MAX_ERROR = 150  # characters, so that a reason has room for the remedy


def unpaired(error: Exception, workload: Workload, pair: tuple[Any, Any]) -> Exception:
    """Return the error of a call of model and loss, with the remedy if they got a batch that is no pair.

    Args:
        error: what the call raised.
        workload: whose call it was.
        pair: what the call got.
    """
    is_whole = workload.loader is not None and workload.unpack is None and pair[1] is None
    if not is_whole or not isinstance(error, TypeError | AttributeError):
        return error
    line = error_line(error).removeprefix("TypeError: ")[:_MAX_ERROR]
    return TypeError(
        f"{line}; a batch of the loader is {_structure(pair[0])}: let Workload(unpack=...) return (inputs, "
        "targets)"
    )


def _structure(batch: Any) -> str:
    if is_movable(batch) or not isinstance(batch, Mapping | tuple | list):
        return kind(batch)
    return f"{kind(batch)} of {len(batch)}"
