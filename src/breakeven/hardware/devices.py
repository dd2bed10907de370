"""Where work runs: ``cpu``, ``cpu@THREADS``, ``cpu@best``, ``cuda[:i]`` and other accelerators of torch.

Several processes that train together (``2xcuda``) are in `breakeven.hardware.several`.

A new family of devices is a subclass of `Device` in `FAMILIES`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Self

import torch

from breakeven.errors import UsageError
from breakeven.hardware import float32, nvml
from breakeven.hardware.cpus import usable_cpus
from breakeven.hardware.cuda_capture import CudaGraphs, GraphRecorder
from breakeven.hardware.device import Device, EventApi
from breakeven.hardware.several import Several
from breakeven.hardware.threads import default_threads


class Cpu(Device):
    """The threads that torch uses by default (``cpu``), or as many as the name says (``cpu@4``)."""

    is_accelerator = False

    def __init__(self, threads: int | None = None) -> None:
        super().__init__("cpu" if threads is None else f"cpu@{threads}", torch.device("cpu"))
        self._threads = threads

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Take ``cpu`` and ``cpu@N``, N of at least 1."""
        family, at, threads = name.partition("@")
        if family != "cpu":
            return None
        if not at:
            return cls()
        if not threads.isdecimal() or int(threads) < 1:
            raise UsageError(
                f"device {name!r}: {threads!r} is not a number of threads; write cpu@1, cpu@best or cpu"
            )
        return cls(int(threads))

    @classmethod
    def default(cls) -> Self | None:
        """Return the CPU with torch's default number of threads."""
        return cls()

    def synchronize(self) -> None:
        """Do nothing: CPU work is done when its call returns."""

    def initialize(self) -> None:
        """Do nothing: importing torch initialized the CPU."""

    @property
    def threads(self) -> int:
        """The number in the name, or else torch's default."""
        return default_threads() if self._threads is None else self._threads


class BestCpu(Cpu):
    """``cpu@best``: the number of threads that is the fastest for a cell; torch's default outside of cells.

    `breakeven.measure.thread_search` finds it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.name = "cpu@best"

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Take ``cpu@best``."""
        return cls() if name == "cpu@best" else None

    @classmethod
    def default(cls) -> None:
        """Return None: it is measured only where it is named."""

    def candidates(self) -> list[int]:
        """Return the numbers of threads to try: 1, 2, 4, ..., torch's default, and all logical CPUs."""
        cpus = usable_cpus()
        powers = {2**exponent for exponent in range(cpus.bit_length())}
        return sorted({*powers, default_threads(), cpus})

    @contextmanager
    def with_threads(self, threads: int) -> Iterator[None]:
        """Use this number of threads for the duration of the block."""
        self._threads = threads
        try:
            yield
        finally:
            self._threads = None


class Accelerator(Device):
    """The accelerator that this torch build supports: ``cuda`` (ROCm too), ``mps``, ``xpu``, ...

    The name of the first is its kind alone (``cuda``, never ``cuda:0``); the others have an index.
    """

    def __init__(self, kind: str, index: int = 0) -> None:
        super().__init__(kind if index == 0 else f"{kind}:{index}", torch.device(kind, index))
        self._api: Any = getattr(torch, kind, None)
        self._is_cuda = kind == "cuda"

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Take ``KIND`` and ``KIND:INDEX`` for the kind that `torch.accelerator` reports."""
        kind, colon, index = name.partition(":")
        if kind not in ("cuda", "mps", "xpu", accelerator_kind()):
            return None
        if colon and not index.isdecimal():
            raise UsageError(f"device {name!r}: {index!r} is not a device index; write {kind} or {kind}:1")
        if kind != accelerator_kind():
            raise UsageError(
                f"device {name!r} is not available: torch {torch.__version__} sees "
                f"{accelerator_kind() or 'no accelerator'}; {_present()}"
            )
        count = torch.accelerator.device_count()
        if int(index or 0) >= count:
            raise UsageError(f"device {name!r} is not available: torch sees {count} of {kind}; {_present()}")
        return cls(kind, int(index or 0))

    @classmethod
    def default(cls) -> Self | None:
        """Return the first accelerator, None without one."""
        kind = accelerator_kind()
        return None if kind is None else cls(kind)

    def synchronize(self) -> None:
        """Wait for every stream of the device."""
        torch.accelerator.synchronize(self.torch_device)

    def initialize(self) -> None:
        """Create the device's context, also in autograd's thread for the device, and synchronize.

        The first product in that thread makes torch warn that the context is not current there; if warnings
        are errors, the first case would fail.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Attempting to run cuBLAS")
            ones = torch.ones(1, 1, device=self.torch_device, requires_grad=True)
            torch.autograd.backward((ones @ ones).sum())
        self.synchronize()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make the device the current one of its kind."""
        before = _current_index()
        _set_index(self.torch_device.index)
        try:
            with super().active():
                yield
        finally:
            _set_index(before)

    def reset_peak_memory(self) -> None:
        """Reset the peak, where torch counts one for this kind."""
        if hasattr(self._api, "reset_peak_memory_stats"):
            self._api.reset_peak_memory_stats(self.torch_device)

    def peak_memory_bytes(self) -> int | None:
        """Return torch's peak of allocated bytes, None if torch does not count it (mps)."""
        if not hasattr(self._api, "max_memory_allocated"):
            return None
        return int(self._api.max_memory_allocated(self.torch_device))

    def release_memory(self) -> None:
        """Release cached blocks to the driver."""
        if hasattr(self._api, "empty_cache"):
            self._api.empty_cache()

    def event_api(self) -> EventApi | None:
        """Return timing events of the current stream (the driver counts milliseconds)."""
        if self.torch_device.type not in ("cuda", "xpu"):
            return None

        def make() -> Any:
            event = self._api.Event(enable_timing=True)
            event.record()  # torch creates the driver's event only when it is first recorded
            return event

        return EventApi(
            make, lambda event: event.record(), lambda start, end: float(start.elapsed_time(end)) / 1e3
        )

    def graph_recorder(self) -> GraphRecorder | None:
        """Return a recorder of CUDA graphs, None on other accelerators."""
        return CudaGraphs() if self._is_cuda else None

    def why_no_tf32(self) -> str | None:
        """Return why this GPU has no TF32: too old, not NVIDIA's, or overridden by the environment."""
        if not self._is_cuda or torch.version.hip is not None:
            return super().why_no_tf32()
        major, minor = torch.cuda.get_device_capability(self.torch_device)
        if major < 8:
            return f"{self.name} has compute capability {major}.{minor}, TF32 needs 8.0"
        if "NVIDIA_TF32_OVERRIDE" in os.environ:
            return "NVIDIA_TF32_OVERRIDE is set, which overrides torch's setting"
        return None

    def tf32_set(self, wanted: bool | None) -> AbstractContextManager[None]:
        """Set the switches of NVIDIA's libraries for the duration of the block."""
        return float32.tf32_set(wanted) if self._is_cuda else nullcontext()

    def state(self) -> dict[str, Any] | None:
        """Return the GPU's current state from NVML, None for other accelerators."""
        return nvml.gpu_state(self.torch_device) if self._is_cuda else None

    def sample(self) -> dict[str, Any] | None:
        """Return what load changes of the GPU from NVML, None for other accelerators."""
        return nvml.gpu_sample(self.torch_device) if self._is_cuda else None

    def state_kept_open(self) -> AbstractContextManager[None]:
        """Keep NVML open for the duration of the block."""
        return nvml.kept_open() if self._is_cuda else nullcontext()

    def describe(self) -> dict[str, Any]:
        """Add the model name that the driver reports."""
        facts = super().describe()
        if hasattr(self._api, "get_device_name"):
            facts["device_name"] = self._api.get_device_name(self.torch_device)
        return facts


FAMILIES: list[type[Device]] = [Several, BestCpu, Cpu, Accelerator]
"""The families that parse a device name, in this order; the first that does not return None is used."""


def accelerator_kind() -> str | None:
    """Return ``cuda``, ``mps``, ``xpu``, ... where torch sees such a device, else None."""
    if not torch.accelerator.is_available():
        return None
    found = torch.accelerator.current_accelerator()
    return None if found is None else found.type


def default_devices() -> tuple[Device, ...]:
    """Return each family's default device; without an accelerator ``cpu@1`` too, if ``cpu`` has more threads.

    Where ``cpu`` has one thread, the two would differ by noise only.
    """
    found = tuple(device for family in FAMILIES if (device := family.default()) is not None)
    if any(device.is_accelerator or device.threads == 1 for device in found):
        return found
    return (Cpu(1), *found)


def parse_device(name: str) -> Device:
    """Return the device of that name.

    Raises:
        UsageError: the name is unknown, or this machine has no such device.
    """
    for family in FAMILIES:
        device = family.parse(name)
        if device is not None:
            return device
    raise UsageError(f"unknown device {name!r}; {_present()}")


def parse_devices(names: Sequence[str]) -> tuple[Device, ...]:
    """Return the devices of those names, in that order; the default ones for no names.

    Raises:
        UsageError: a name cannot be used, or two names mean the same device.
    """
    if not names:
        return default_devices()
    devices = tuple(parse_device(name) for name in names)
    seen = [device.name for device in devices]
    for name in seen:
        if seen.count(name) > 1:
            raise UsageError(f"device {name!r} is named twice; name each device once")
    return devices


# torch 2.6 has these two only under names that later versions deprecate.
def _current_index() -> int:
    api: Any = torch.accelerator
    return int(
        (api.current_device_index if hasattr(api, "current_device_index") else api.current_device_idx)()
    )


def _set_index(index: int) -> None:
    api: Any = torch.accelerator
    (api.set_device_index if hasattr(api, "set_device_index") else api.set_device_idx)(index)


def _present() -> str:
    names = ["cpu", "cpu@N", "cpu@best"]
    kind = accelerator_kind()
    if kind is not None:
        names += [kind if i == 0 else f"{kind}:{i}" for i in range(torch.accelerator.device_count())]
    return f"available: {', '.join(names)}"
