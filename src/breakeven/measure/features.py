"""What a workload asks of a device beyond its model: TF32, graphs, a compiler.

Owns who can give it, with one line where a device cannot, and what is set in the process for as long as the
workload runs. Knows nothing of sweeps.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from breakeven.hardware.devices import Device
from breakeven.hardware.float32 import tf32_set
from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.workload import Workload


def refuse_unsupported(workload: Workload, device: Device) -> None:
    """Refuse what the device cannot do.

    Raises:
        UnsupportedError: with the field and the reason.
    """
    if workload.tf32:
        reason = device.why_no_tf32()
        if reason is not None:
            raise UnsupportedError(f"tf32=True: {reason}")
    if workload.cuda_graph and device.recorder() is None:
        raise UnsupportedError(f"cuda_graph=True: {device.name} records no CUDA graphs")


@contextmanager
def in_effect(workload: Workload, device: Device) -> Iterator[None]:
    """Set what the workload wants of the process for the length of the block, and put it back.

    The switches of TF32 are those of NVIDIA's libraries, and are left alone for every other device.
    """
    with tf32_set(workload.tf32 if device.torch_device.type == "cuda" else None), _compiler(workload):
        yield


@contextmanager
def _compiler(workload: Workload) -> Iterator[None]:
    """Keep what a compiler remarks from ending a case where warnings are errors.

    It advises TF32, which is an axis here, and uses what other parts of torch call outdated.
    """
    if not workload.compile:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TensorFloat32 tensor cores")
        warnings.filterwarnings("ignore", module=r"(torch|triton|sympy)\b")
        yield
