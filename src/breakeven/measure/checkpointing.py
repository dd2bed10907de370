"""Activation checkpointing of named submodules: what they computed is computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint as run_checkpointed

from breakeven.errors import UsageError

SHOWN_NAMES = 8
"""The maximum number of names that a message lists."""

Chosen = Collection[str] | Callable[[nn.Module], bool]


def checkpoint_submodules(model: nn.Module, chosen: Chosen) -> None:
    """Let each chosen submodule keep its inputs alone, in place.

    `torch.utils.checkpoint.checkpoint` calls it, with ``use_reentrant=False`` and otherwise torch's defaults,
    so random numbers are drawn alike both times. Without gradients, as in inference, nothing changes. The
    names of modules and parameters stay the same.
    """
    for module in submodules(model, chosen):
        module.forward = partial(_forward, module.forward)


def submodules(model: nn.Module, chosen: Chosen) -> list[nn.Module]:
    """Return the submodules that names, patterns or a function choose.

    In a pattern, ``*`` stands for any text within one name: ``"layers.*"`` does not choose what the layers
    consist of. A function may choose the model itself.

    Raises:
        UsageError: a pattern or the function chooses nothing, or something that cannot be checkpointed.
    """
    named = list(model.named_modules())
    if callable(chosen):
        found = [module for _, module in named if chosen(module)]
        if not found:
            raise UsageError(f"Workload(checkpoint=...) chooses none of the submodules {names_of(model)}")
    else:
        found = [module for pattern in chosen for module in _matching(model, pattern)]
    for module in found:
        if isinstance(module, torch.jit.ScriptModule):
            raise UsageError(
                f"Workload(checkpoint=...): a {type(module).__name__} cannot be checkpointed; use the module "
                "from which it was made"
            )
    return list({id(module): module for module in found}.values())


def names_of(model: nn.Module) -> str:
    """Return the names of a model's submodules, those near the root first, for a message."""
    names = sorted((name for name, _ in model.named_modules() if name), key=lambda name: name.count("."))
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more if names else "(the model has none)"


def _matching(model: nn.Module, pattern: str) -> Iterator[nn.Module]:
    parts = pattern.split(".")
    found = [
        module
        for name, module in model.named_modules()
        if len(names := name.split(".")) == len(parts) and all(map(fnmatchcase, names, parts))
    ]
    if not pattern or not found:
        raise UsageError(
            f"Workload(checkpoint=...): {pattern!r} is none of the submodules {names_of(model)}; a * stands "
            "for one part of a name, as in 'layers.*'"
        )
    yield from found


def _forward(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return run_checkpointed(forward, *args, use_reentrant=False, **kwargs)
