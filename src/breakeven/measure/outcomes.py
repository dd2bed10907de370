"""Classifies errors by torch's messages: skipped, timed out, out of memory, crashed or failed."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from breakeven.case import OutcomeKind
from breakeven.errors import BreakevenError, RecipeError
from breakeven.measure.workload import error_line

_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",  # torch's CPU allocator
    "not enough memory",  # the same on Windows
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
_UNSUPPORTED = (
    "`fused=True` requires",  # torch.optim: the optimizer has no fused implementation on this device
    "No working C++ compiler",  # torch.compile needs a C++ compiler, or Triton and its requirements
    "Failed to find C compiler",
    "Cannot find a working triton installation",
    "TritonMissing",
    "CalledProcessError: Command",
)
_DEVICE_LOST = (  # the device's context is then unusable for the rest of this process
    "illegal memory access",
    "device-side assert",
    "unspecified launch failure",
    "misaligned address",
    "illegal instruction",
    "invalid program counter",
    "hardware stack error",
    "launch timed out",
    "device is lost",
    "uncorrectable ECC",
    # A failed capture of a graph: the device works, but torch's allocator (up to 2.11) remains in capture
    # mode and never releases memory again.
    "previous error during capture",
    "when stream is capturing",
    "depend on a capturing",
    "capturing stream has unjoined work",
)


class CaseSkipped(BreakevenError):
    """A case was not timed because it would take too long, or because a smaller batch already failed.

    `step_s` are the seconds of a whole step of it, None if it was not tried.
    """

    def __init__(self, reason: str, step_s: float | None = None) -> None:
        super().__init__(reason)
        self.step_s = step_s


class CaseTimeout(CaseSkipped):
    """A case was not timed because it exceeded the time that any case may take."""


class UnsupportedError(CaseSkipped):
    """A device does not support an option of a workload; other cases are not affected."""


def outcome_of(error: BaseException) -> OutcomeKind:
    """Return how a case ended that raised `error`."""
    if isinstance(error, CaseTimeout):
        return OutcomeKind.TIMEOUT
    if isinstance(error, CaseSkipped) or is_unsupported(error):
        return OutcomeKind.SKIPPED
    if is_out_of_memory(error):
        return OutcomeKind.OOM
    return OutcomeKind.CRASHED if _shows(error, _DEVICE_LOST) else OutcomeKind.FAILED


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an allocation failed, on the host or on a device, in a recipe or in a round."""
    if isinstance(error, RecipeError) and error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or _shows(error, _OUT_OF_MEMORY)


def is_unsupported(error: BaseException) -> bool:
    """Return whether a requirement of the workload is missing: a fused optimizer, a compiler."""
    return isinstance(error, UnsupportedError) or _shows(error, _UNSUPPORTED)


def _shows(error: BaseException, signs: Sequence[str]) -> bool:
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def reason_for(error: BaseException) -> str:
    """Return one line: breakeven's messages unchanged, others with their type."""
    if isinstance(error, RuntimeError) and is_unsupported(error):
        # A compiler's errors have many lines, and the relevant one is not the first.
        lines = [line.strip() for line in str(error).splitlines()]
        text = next((line for line in lines if any(sign in line for sign in _UNSUPPORTED)), str(error))
        return f"not supported here: {text[:300]}"
    return str(error) if isinstance(error, BreakevenError) else error_line(error)
