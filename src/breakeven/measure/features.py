"""Options of a workload: TF32, CUDA graphs, a compiler."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from breakeven.hardware.devices import Device
from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.workload import Workload


def refuse_unsupported(workload: Workload, device: Device) -> None:
    """Reject options that the device does not support.

    Raises:
        UnsupportedError: with the field and the reason.
    """
    if workload.tf32:
        reason = device.why_no_tf32()
        if reason is not None:
            raise UnsupportedError(f"tf32=True: {reason}")
    if workload.cuda_graph and device.graph_recorder() is None:
        raise UnsupportedError(f"cuda_graph=True: {device.name} cannot capture CUDA graphs")


@contextmanager
def in_effect(workload: Workload, device: Device) -> Iterator[None]:
    """Apply the workload's options to the process for the duration of the block, then restore them."""
    with device.tf32_set(workload.tf32), _compiler_warnings_ignored(workload):
        yield


@contextmanager
def _compiler_warnings_ignored(workload: Workload) -> Iterator[None]:
    """Keep a compiler's warnings from failing a case if warnings are errors.

    The compiler recommends TF32, which is an axis here, and calls deprecated parts of torch.
    """
    if not workload.compile:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TensorFloat32 tensor cores")
        warnings.filterwarnings("ignore", module=r"(torch|triton|sympy)\b")
        yield
