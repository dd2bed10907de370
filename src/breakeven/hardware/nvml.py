"""NVML's facts of a GPU: those of its class, and its current state.

Values that cannot be read, for lack of the library, the permission or the support, are recorded under
``unreadable`` with NVML's message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch

# NVML's bits by their public names; the throttling ones lower the clocks below the requested ones.
REASONS = {
    0x1: "gpu_idle",
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
THROTTLING = (
    "sw_power_cap",
    "hw_slowdown",
    "sw_thermal_slowdown",
    "hw_thermal_slowdown",
    "hw_power_brake_slowdown",
)

PCIE = {
    "pcie_generation": "nvmlDeviceGetCurrPcieLinkGeneration",
    "pcie_width": "nvmlDeviceGetCurrPcieLinkWidth",
    "pcie_max_generation": "nvmlDeviceGetMaxPcieLinkGeneration",
    "pcie_max_width": "nvmlDeviceGetMaxPcieLinkWidth",
}
"""The link to the host: NVML's functions, by our names of their results."""

GpuFacts = dict[str, Any]


def gpu_class(torch_device: torch.device, api: Any = None) -> GpuFacts:
    """Return ``driver, power_limit_w, ecc, mig`` of a GPU, for its class.

    A value that cannot be read is None, with the reason under ``unreadable``.

    The power limit is in whole watts: in milliwatts NVML may report another value than the one that was set.
    """
    with _opened(torch_device, api) as gpu:
        facts = {
            "driver": gpu.driver(),
            "power_limit_w": gpu.read("power_limit_w", gpu.power_limit_w),
            "ecc": gpu.read("ecc", lambda: bool(gpu.api.nvmlDeviceGetEccMode(gpu.handle)[0])),
            "mig": gpu.read("mig", lambda: bool(gpu.api.nvmlDeviceGetMigMode(gpu.handle)[0])),
        }
        return {**facts, "unreadable": gpu.unreadable} if gpu.unreadable else facts


def gpu_state(torch_device: torch.device, api: Any = None) -> GpuFacts:
    """Return a GPU's state now: clocks (MHz), event reasons, power (W), temperature (C), others, PCIe link.

    An idle GPU may use a slower link than its best (``pcie_max_...``); the link under load is the one that
    counts. A value that cannot be read is None, with the reason under ``unreadable``.
    """
    with _opened(torch_device, api) as gpu:
        state = {
            **gpu.load(),
            "memory_clock_mhz": gpu.read("memory_clock_mhz", lambda: gpu.clock(gpu.api.NVML_CLOCK_MEM)),
            "other_processes": gpu.read("other_processes", gpu.other_processes),
            **{name: gpu.read(name, partial(gpu.link, function)) for name, function in PCIE.items()},
        }
        return {**state, "unreadable": gpu.unreadable} if gpu.unreadable else state


def gpu_sample(torch_device: torch.device, api: Any = None) -> GpuFacts | None:
    """Return what load changes: SM clock (MHz), event reasons, power (W), temperature (C); None without any.

    It is read between rounds, so it asks for nothing else. A value that cannot be read is None.
    """
    with _opened(torch_device, api) as gpu:
        sample = gpu.load()
    return sample if any(value is not None for value in sample.values()) else None


@contextmanager
def kept_open(api: Any = None) -> Iterator[None]:
    """Keep NVML open for the duration of the block, so that reading a state is fast.

    NVML counts how often it was opened. Otherwise each reading loads it again, which takes tens of
    milliseconds in which a warmed-up GPU lowers its clocks.
    """
    try:
        api = api or _pynvml()
        api.nvmlInit()
    except Exception:  # each reading records why
        yield
        return
    try:
        yield
    finally:
        _close(api)


def reason_names(bits: int) -> list[str]:
    """Return the names of NVML's clock event bits; an unknown bit by its number.

    >>> reason_names(0x24)
    ['sw_power_cap', 'sw_thermal_slowdown']
    """
    known = [name for bit, name in REASONS.items() if bits & bit]
    unknown = bits & ~sum(REASONS)
    return [*known, hex(unknown)] if unknown else known


class _Gpu:
    """An open NVML handle; `read` returns None for what fails, and keeps the reason."""

    def __init__(self, api: Any, handle: Any, unreadable: dict[str, str]) -> None:
        self.api, self.handle, self.unreadable = api, handle, unreadable

    def read(self, name: str, reader: Callable[[], Any]) -> Any:
        return None if self.handle is None else self._try(name, reader)

    def driver(self) -> str | None:
        # The driver is the machine's, so it is known even if this GPU has no handle, as a MIG slice.
        return None if self.api is None else self._try("driver", self.api.nvmlSystemGetDriverVersion)

    def _try(self, name: str, reader: Callable[[], Any]) -> Any:
        try:
            return reader()
        except Exception as error:  # NVML's, or of a library too old for the function
            self.unreadable[name] = str(error)
            return None

    def load(self) -> GpuFacts:
        return {
            "sm_clock_mhz": self.read("sm_clock_mhz", lambda: self.clock(self.api.NVML_CLOCK_SM)),
            "event_reasons": self.read("event_reasons", self.event_reasons),
            "power_w": self.read("power_w", lambda: self.api.nvmlDeviceGetPowerUsage(self.handle) / 1000),
            "temperature_c": self.read(
                "temperature_c",
                lambda: self.api.nvmlDeviceGetTemperature(self.handle, self.api.NVML_TEMPERATURE_GPU),
            ),
        }

    def power_limit_w(self) -> float:
        return float(round(self.api.nvmlDeviceGetEnforcedPowerLimit(self.handle) / 1000))

    def clock(self, domain: int) -> int:
        return int(self.api.nvmlDeviceGetClockInfo(self.handle, domain))

    def link(self, function: str) -> int:
        return int(getattr(self.api, function)(self.handle))

    def event_reasons(self) -> list[str]:
        return reason_names(self.api.nvmlDeviceGetCurrentClocksEventReasons(self.handle))

    def other_processes(self) -> int:
        # Not by process id: in a container NVML may report the ids of the host or of another namespace.
        cuda: Any = torch.cuda
        ours = int(cuda.is_initialized())
        return max(0, len(self.api.nvmlDeviceGetComputeRunningProcesses(self.handle)) - ours)


@contextmanager
def _opened(torch_device: torch.device, api: Any) -> Iterator[_Gpu]:
    """Open NVML for a torch device; where that fails every value is unreadable, with the reason."""
    try:
        api = api or _pynvml()
        api.nvmlInit()
    except Exception as error:
        yield _Gpu(None, None, {"nvml": str(error)})
        return
    try:
        yield _connected(torch_device, api)
    finally:
        _close(api)


def _close(api: Any) -> None:
    with suppress(Exception):  # the workload may have closed NVML itself
        api.nvmlShutdown()


def _pynvml() -> Any:
    import pynvml

    return pynvml


def _connected(torch_device: torch.device, api: Any) -> _Gpu:
    try:
        return _Gpu(api, _handle(torch_device, api), {})
    except Exception as error:  # NVML's, or torch's of a device that is lost
        return _Gpu(api, None, {"gpu": str(error)})


def _handle(torch_device: torch.device, api: Any) -> Any:
    """Return NVML's handle of the device that torch means: ``CUDA_VISIBLE_DEVICES`` renumbers them."""
    properties = torch.cuda.get_device_properties(torch_device)
    identity = getattr(properties, "uuid", None)
    if identity is None:
        return api.nvmlDeviceGetHandleByIndex(torch_device.index or 0)
    return api.nvmlDeviceGetHandleByUUID(f"GPU-{identity}")
