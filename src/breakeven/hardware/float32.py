"""How torch rounds float32: reading its switches, and setting TF32 while a workload runs.

Torch has old switches (one for cuBLAS, one for cuDNN) and, from 2.9 on, new ones (a word per operation); it
refuses to read the old ones where the two contradict each other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

GPU_SWITCHES = ("cuda.matmul", "cudnn.conv", "cudnn.rnn")
SWITCHES = (*GPU_SWITCHES, "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")
"""Torch's new switches, by their place below `torch.backends`."""


def precision(switch: str) -> str | None:
    """Return ``ieee``, ``tf32``, ``bf16`` or ``none`` (unset); None where torch does not have the switch."""
    found = getattr(_place(switch), "fp32_precision", None)
    return None if found is None else str(found)


@contextmanager
def tf32_set(wanted: bool | None) -> Iterator[None]:
    """Round float32 products on a GPU to TF32, or not, for the duration of the block; None changes nothing.

    The old switches set the new ones too; the new ones alone would contradict the old ones, which
    `torch.compile` reads.
    """
    if wanted is None:
        yield
        return
    with _silent():
        before = Switches()
        torch.backends.cuda.matmul.allow_tf32 = wanted
        torch.backends.cudnn.allow_tf32 = wanted
        for switch in GPU_SWITCHES:
            # Switching the old one off leaves the new one unset, so that a more general switch, maybe on,
            # applies.
            if precision(switch) is not None and (precision(switch) == "tf32") is not wanted:
                _place(switch).fp32_precision = "tf32" if wanted else "ieee"
    try:
        yield
    finally:
        with _silent():
            before.restore()


def read_silently(reader: Callable[[], Any]) -> Any:
    """Return the value of an old switch, None where torch refuses; some versions warn about reading it."""
    with _silent():
        try:
            return reader()
        except RuntimeError:  # old and new switches contradict each other
            return None


class Switches:
    """The values of all switches; an old one that torch refused to read is None."""

    def __init__(self) -> None:
        self.matmul = read_silently(torch.get_float32_matmul_precision)
        self.cudnn = read_silently(lambda: torch.backends.cudnn.allow_tf32)
        self.new = {switch: precision(switch) for switch in SWITCHES}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Switches) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        new = ", ".join(f"{switch} {value}" for switch, value in self.new.items() if value is not None)
        return f"matmul {self.matmul}, cudnn tf32 {self.cudnn}" + (f", {new}" if new else "")

    def restore(self) -> None:
        """Restore every switch, contradictions included."""
        if self.matmul is None:
            torch.backends.cuda.matmul.allow_tf32 = self.new["cuda.matmul"] != "tf32"
        else:
            torch.set_float32_matmul_precision(self.matmul)
        if self.cudnn is None:
            torch.backends.cudnn.allow_tf32 = self.new["cudnn.conv"] != "tf32"
        else:
            torch.backends.cudnn.allow_tf32 = self.cudnn
        for switch, value in self.new.items():
            # Setting a switch to its current value would detach it from the more general one that it follows.
            if value is not None and precision(switch) != value:
                _place(switch).fp32_precision = value


def _place(switch: str) -> Any:
    """Return the object that holds a switch, None where torch does not have it.

    The class is searched first: once an LSTM has been on a GPU, the module ``torch.backends.cudnn.rnn`` hides
    torch 2.9's switch of that name, which would seem to disappear in the middle of a run.
    """
    place: Any = torch.backends
    for name in switch.split("."):
        place = getattr(type(place), name, None) or getattr(place, name, None)
    return place


@contextmanager
def _silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions warn that the old switches are deprecated
        yield
