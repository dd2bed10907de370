"""How a case that raised has ended: out of memory, with a lost device, or simply failed.

Owns the reading of torch's error messages. Refuses to act on them: `session` and the plugin do.
"""

from __future__ import annotations

import torch

from breakeven.errors import BreakevenError, RecipeError
from breakeven.measure.workload import one_line

_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",  # torch's CPU allocator
    "not enough memory",  # the same on Windows
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
_UNSUPPORTED = (
    "`fused=True` requires",  # torch.optim: the optimizer has no fused form on this device
    "No working C++ compiler",  # what torch.compile needs: a compiler of C++, Triton, and what that needs
    "Failed to find C compiler",
    "Cannot find a working triton installation",
    "TritonMissing",
    "CalledProcessError: Command",
)
_DEVICE_LOST = (
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
    # A broken capture of a graph: the device lives, but torch's allocator (up to 2.11) goes on believing that
    # it captures, and gives no memory back any more.
    "previous error during capture",
    "when stream is capturing",
    "depend on a capturing",
    "capturing stream has unjoined work",
)


class CaseSkipped(BreakevenError):
    """A case was not timed because it would take too long, or because a smaller one already failed."""


class UnsupportedError(CaseSkipped):
    """A device cannot do what a workload asks for, which says nothing of any other case."""


def outcome_of(error: BaseException) -> str:
    """Return the word of Contract 1 for an error: ``skipped``, ``oom``, ``crashed`` or ``failed``."""
    if isinstance(error, CaseSkipped) or is_unsupported(error):
        return "skipped"
    if is_out_of_memory(error):
        return "oom"
    return "crashed" if is_device_lost(error) else "failed"


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an allocation failed, on the host or on a device, in a recipe or in a round."""
    if isinstance(error, RecipeError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _OUT_OF_MEMORY)


def is_device_lost(error: BaseException) -> bool:
    """Tell whether the device's context cannot be used any more in this process."""
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _DEVICE_LOST)


def is_unsupported(error: BaseException) -> bool:
    """Tell whether something that a workload asks for does not exist here: a fused optimizer, a compiler."""
    return isinstance(error, UnsupportedError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in _UNSUPPORTED)
    )


def reason_for(error: BaseException) -> str:
    """Return one line: our own messages as they are, others with their type."""
    if isinstance(error, RuntimeError) and is_unsupported(error):
        # A compiler's errors are long, and begin with something else.
        lines = [line.strip() for line in str(error).splitlines()]
        text = next((line for line in lines if any(sign in line for sign in _UNSUPPORTED)), str(error))
        return f"not supported here: {text[:300]}"
    return str(error) if isinstance(error, BreakevenError) else one_line(error)
