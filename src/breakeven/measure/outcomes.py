"""Classifies errors by torch's messages: skipped, timed out, out of memory, crashed or failed."""

from __future__ import annotations

from collections.abc import Sequence
from subprocess import CalledProcessError

import torch

from breakeven.case import OutcomeKind
from breakeven.errors import BreakevenError, RecipeError, report_text
from breakeven.measure.users_code import where_raised
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
    "too old to be supported by the triton GPU compiler",
    "0 active drivers ([])",  # Triton without a GPU, or without the library of its driver
    "libcuda.so cannot found",
    "Failed to open libcuda.so",
    "libcuda.so.1: cannot open shared object file",
    "cannot find -lcuda",
    "'-lcuda'",  # the command with which Triton links its launcher
    "'-l:libcuda.so.1'",
)
_UNSUPPORTED_TYPES = (RuntimeError, AssertionError, ImportError, OSError, CalledProcessError)
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


KEPT_GRAPH = "backward through the graph a second time"
UNUSED = "Expected to have finished reduction in the prior iteration"
SCHEDULE_ENDED = "The specified number of total steps is"
"""Parts of torch's messages, about a freed graph, unused parameters and a scheduler such as OneCycleLR, whose
advice does not apply here."""

ALL_TAKE_PART = (
    "took no part in a step, which DistributedDataParallel needs; call requires_grad_(False) on what is not "
    "trained, or use fsdp=True"
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


class RankError(BreakevenError):
    """Another process that trains with this one ended its part of the case; the message names its rank."""

    def __init__(self, outcome: OutcomeKind, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


def outcome_of(error: BaseException) -> OutcomeKind:
    """Return how a case ended that raised `error`."""
    if isinstance(error, RankError):
        return error.outcome
    if isinstance(error, CaseTimeout):
        return OutcomeKind.TIMEOUT
    if isinstance(error, CaseSkipped) or is_unsupported(error):
        return OutcomeKind.SKIPPED
    if is_out_of_memory(error):
        return OutcomeKind.OOM
    return OutcomeKind.CRASHED if _shows(error, _DEVICE_LOST) else OutcomeKind.FAILED


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an allocation failed, on the host or on a device, in a recipe or in a round."""
    error = _cause_of(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or _shows(error, _OUT_OF_MEMORY)


def is_unsupported(error: BaseException) -> bool:
    """Return whether a requirement of the workload is missing: a fused optimizer, a compiler, a driver."""
    return isinstance(error, UnsupportedError) or _unsupported_line(error) is not None


def reason_for(error: BaseException) -> str:
    """Return one line: breakeven's messages unchanged, others with the user's line and their type."""
    line = _unsupported_line(error)
    if line is not None:
        return f"not supported here: {line[:300]}"
    if isinstance(error, BreakevenError):
        return str(error)
    if KEPT_GRAPH in str(error):
        return (
            "the backward pass reached the graph of an earlier step; detach what the model or the loss keeps "
            "between steps, e.g. self.state = state.detach()"
        )
    if SCHEDULE_ENDED in str(error):
        return (
            f"{error_line(error)}; a case may train for some thousand steps before it returns to its first; "
            "give the scheduler at least 10,000"
        )
    if UNUSED in str(error):
        return f"some parameters {ALL_TAKE_PART}"
    if outcome_of(error) is not OutcomeKind.FAILED:
        return error_line(error)
    return f"{where_raised(error)}{error_line(error)}{report_text(error)}"


def _unsupported_line(error: BaseException) -> str | None:
    """Return the line that names the missing requirement: a compiler's errors have many, and others first."""
    error = _cause_of(error)
    if not isinstance(error, _UNSUPPORTED_TYPES):
        return None
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if any(sign in line for sign in _UNSUPPORTED)), None)


def _cause_of(error: BaseException) -> BaseException:
    """Return what a recipe raised, other errors as they are."""
    return error.__cause__ if isinstance(error, RecipeError) and error.__cause__ is not None else error


def _shows(error: BaseException, signs: Sequence[str]) -> bool:
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
