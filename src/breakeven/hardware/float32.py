"""How torch rounds float32: reading its switches, and setting TF32 for as long as a workload runs.

Owns torch's old switches (one for cuBLAS, one for cuDNN) and its new ones (a word an operation, from torch
2.9 on), which refuse to be read where they contradict each other. Leaves every switch as it was found.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

GPU_SWITCHES = ("cuda.matmul", "cudnn.conv", "cudnn.rnn")
SWITCHES = (*GPU_SWITCHES, "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")
"""Where torch from 2.9 on keeps apart how it rounds float32, below `torch.backends`."""


def precision(switch: str) -> str | None:
    """Return ``ieee``, ``tf32``, ``bf16`` or ``none`` (unset); None where this torch has no such switch."""
    found = getattr(_place(switch), "fp32_precision", None)
    return None if found is None else str(found)


@contextmanager
def tf32_set(wanted: bool | None) -> Iterator[None]:
    """Let float32 products on a GPU be rounded to TF32, or not, for the length of the block; None: as it is.

    The old switches set the new ones too, where the new ones alone would leave the old ones contradicting
    them, and `torch.compile` reads the old ones.
    """
    if wanted is None:
        yield
        return
    with _silent():
        before = _State()
        torch.backends.cuda.matmul.allow_tf32 = wanted
        torch.backends.cudnn.allow_tf32 = wanted
        for switch in GPU_SWITCHES:
            # Off leaves one unset, and then a more general switch decides, which may be on.
            if precision(switch) is not None and (precision(switch) == "tf32") is not wanted:
                _place(switch).fp32_precision = "tf32" if wanted else "ieee"
    try:
        yield
    finally:
        with _silent():
            before.restore()


def read_silently(reader: Callable[[], Any]) -> Any:
    """Return what an old switch says, None where torch refuses; some versions warn of the mere question."""
    with _silent():
        try:
            return reader()
        except RuntimeError:  # old and new switches contradict each other
            return None


class _State:
    """All switches at one moment; an old one that torch refused to read is None."""

    def __init__(self) -> None:
        self.matmul = read_silently(torch.get_float32_matmul_precision)
        self.cudnn = read_silently(lambda: torch.backends.cudnn.allow_tf32)
        self.new = {switch: precision(switch) for switch in SWITCHES}

    def restore(self) -> None:
        """Set everything back. What contradicted itself is made to do so again, so that nobody reads else."""
        if self.matmul is None:
            torch.backends.cuda.matmul.allow_tf32 = self.new["cuda.matmul"] != "tf32"
        else:
            torch.set_float32_matmul_precision(self.matmul)
        if self.cudnn is None:
            torch.backends.cudnn.allow_tf32 = self.new["cudnn.conv"] != "tf32"
        else:
            torch.backends.cudnn.allow_tf32 = self.cudnn
        for switch, value in self.new.items():
            # Setting what is so already would cut a switch off from the more general one that it follows.
            if value is not None and precision(switch) != value:
                _place(switch).fp32_precision = value


def _place(switch: str) -> Any:
    """Return what holds a switch, None where this torch has none.

    Asked of the class first: once an LSTM has been on a GPU, the module ``torch.backends.cudnn.rnn`` stands
    before torch 2.9's switch of that name, which would seem to have gone in the middle of a run.
    """
    place: Any = torch.backends
    for name in switch.split("."):
        place = getattr(type(place), name, None) or getattr(place, name, None)
    return place


@contextmanager
def _silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the old switches' deprecation, which some versions announce
        yield
