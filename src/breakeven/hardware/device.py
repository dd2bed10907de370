"""What every device can do: `Device`, the base of the families in `breakeven.hardware.devices`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Self

import torch

from breakeven.hardware.cuda_capture import GraphRecorder
from breakeven.hardware.load import own_cpu_s
from breakeven.hardware.threads import default_threads


@dataclass(frozen=True)
class EventApi:
    """How a device marks points in its queue: `make` a mark, `record` it, `seconds` between two of them.

    Making a mark may cost more host time than recording it, so all are made before the marked work, and each
    can be recorded again. The device must have reached both marks before `seconds` is called: synchronize
    first.
    """

    make: Callable[[], Any]
    record: Callable[[Any], None]
    seconds: Callable[[Any, Any], float]

    @classmethod
    def of_clock(cls, clock: Callable[[], float]) -> EventApi:
        """Return marks that hold the time of a clock at which they were recorded."""

        def record(mark: list[float]) -> None:
            mark[:] = [clock()]

        return cls(list, record, lambda start, end: end[0] - start[0])


class Device(ABC):
    """A device on which a case runs.

    `name` is the name in options and in files; `torch_device` is where tensors go; `is_accelerator` is
    whether its work is asynchronous.
    """

    is_accelerator: bool = True

    def __init__(self, name: str, torch_device: torch.device) -> None:
        self.name = name
        self.torch_device = torch_device

    @classmethod
    @abstractmethod
    def parse(cls, name: str) -> Self | None:
        """Return the device of that name, None for a name of another family.

        Raises:
            UsageError: the name is of this family, but this machine has no such device.
        """

    @classmethod
    def default(cls) -> Self | None:
        """Return the family's device that is measured by default, None if it has none."""
        return None

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until all work queued on the device is done."""

    def initialize(self) -> None:
        """Create the device's context: one small allocation, then a synchronization."""
        torch.zeros(1, device=self.torch_device)
        self.synchronize()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make the device current, and set its CPU thread count, for the duration of the block."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    @property
    def threads(self) -> int:
        """CPU threads that torch may use while this device is active."""
        return default_threads()

    @property
    def processes(self) -> int:
        """The number of processes that train together on this device."""
        return 1

    def process_s(self) -> float:
        """Return the CPU time, in seconds since some start, of all that works for this device.

        The workers of a loader are processes of this one, and count.
        """
        return own_cpu_s()

    def reset_peak_memory(self) -> None:  # noqa: B027 - most devices have nothing to do
        """Reset the peak, where the device counts one."""

    def peak_memory_bytes(self) -> int | None:
        """Return the peak of allocated bytes since `reset_peak_memory`, None where it is not counted."""
        return None

    def release_memory(self) -> None:  # noqa: B027 - most devices have nothing to do
        """Release cached blocks; called between cells, never between rounds."""

    def event_api(self) -> EventApi | None:
        """Return how to mark points in the device's queue, None where that is not supported."""
        return None

    def graph_recorder(self) -> GraphRecorder | None:
        """Return a new recorder of graphs, None if graphs are not supported."""
        return None

    def why_no_tf32(self) -> str | None:
        """Return why the device cannot round float32 products to TF32, None where it can."""
        return f"{self.name} has no TF32, which is a mode of NVIDIA GPUs"

    def tf32_set(self, wanted: bool | None) -> AbstractContextManager[None]:  # noqa: ARG002 - no switch here
        """Round float32 products to TF32, or not, for the duration of the block; None changes nothing."""
        return nullcontext()

    def state(self) -> dict[str, Any] | None:
        """Return current clocks, temperature etc., None if the device does not report any."""
        return None

    def sample(self) -> dict[str, Any] | None:
        """Return ``sm_clock_mhz, event_reasons, power_w, temperature_c`` now, None if none can be read.

        Called between rounds, so it must be fast.
        """
        return None

    def state_kept_open(self) -> AbstractContextManager[None]:
        """Keep open what `state` and `sample` read, for the duration of the block."""
        return nullcontext()

    def describe(self) -> dict[str, Any]:
        """Return the facts of the device for every case's ``extra_info``."""
        return {"device_name": self.name, "threads": self.threads}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"
