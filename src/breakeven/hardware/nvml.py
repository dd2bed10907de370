"""What NVML tells of a GPU: facts of its class, and its state at a moment.

Owns every call to ``pynvml`` (the package nvidia-ml-py). What cannot be read, for want of a library, of
permission or of support, is recorded under ``unreadable`` with NVML's own words, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

# NVML's bits by their public names; the throttling ones slow the GPU below what was asked of it.
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
"""The link to the host: what NVML is asked, by the names that we give the answers."""

Facts = dict[str, Any]


def gpu_class(torch_device: torch.device, api: Any = None) -> Facts:
    """Return ``driver, power_limit_w, ecc, mig`` of a GPU, for its class; None where unreadable.

    The power limit comes in whole watts: what NVML tells in milliwatts need not be what was set.
    """
    with _opened(torch_device, api) as gpu:
        return {
            "driver": gpu.driver(),
            "power_limit_w": gpu.read("power_limit_w", gpu.power_limit_w),
            "ecc": gpu.read("ecc", lambda: bool(gpu.api.nvmlDeviceGetEccMode(gpu.handle)[0])),
            "mig": gpu.read("mig", lambda: bool(gpu.api.nvmlDeviceGetMigMode(gpu.handle)[0])),
        }


def gpu_state(torch_device: torch.device, api: Any = None) -> Facts:
    """Return a GPU's state now: clocks (MHz), event reasons, power (W), temperature (C), others, PCIe link.

    An idle GPU may rest at a slower link than its best (``pcie_max_...``): the one under load counts. Values
    that cannot be read are None, and ``unreadable`` says why for each.
    """
    with _opened(torch_device, api) as gpu:
        state = {
            "sm_clock_mhz": gpu.read("sm_clock_mhz", lambda: gpu.clock(gpu.api.NVML_CLOCK_SM)),
            "memory_clock_mhz": gpu.read("memory_clock_mhz", lambda: gpu.clock(gpu.api.NVML_CLOCK_MEM)),
            "event_reasons": gpu.read("event_reasons", gpu.event_reasons),
            "power_w": gpu.read("power_w", lambda: gpu.api.nvmlDeviceGetPowerUsage(gpu.handle) / 1000),
            "temperature_c": gpu.read(
                "temperature_c",
                lambda: gpu.api.nvmlDeviceGetTemperature(gpu.handle, gpu.api.NVML_TEMPERATURE_GPU),
            ),
            "other_processes": gpu.read("other_processes", gpu.other_processes),
            **{name: gpu.read(name, partial(gpu.link, function)) for name, function in PCIE.items()},
        }
        return {**state, "unreadable": gpu.unreadable} if gpu.unreadable else state


@contextmanager
def kept_open(api: Any = None) -> Iterator[None]:
    """Hold NVML open for the length of the block, so that reading a state within takes no time.

    NVML counts who opened it. Without this each reading loads it anew, tens of milliseconds in which a GPU
    that has just been warmed up cools its clocks.
    """
    api = api or _pynvml()
    try:
        api.nvmlInit()
    except api.NVMLError:  # every reading says why
        yield
        return
    try:
        yield
    finally:
        api.nvmlShutdown()


def reason_names(bits: int) -> list[str]:
    """Return the names of NVML's clock event bits; an unknown bit by its number.

    >>> reason_names(0x24)
    ['sw_power_cap', 'sw_thermal_slowdown']
    """
    known = [name for bit, name in REASONS.items() if bits & bit]
    unknown = bits & ~sum(REASONS)
    return [*known, hex(unknown)] if unknown else known


class _Gpu:
    """An open NVML handle; `read` turns what fails into None and keeps why."""

    def __init__(self, api: Any, handle: Any, unreadable: dict[str, str]) -> None:
        self.api, self.handle, self.unreadable = api, handle, unreadable

    def read(self, name: str, reader: Callable[[], Any]) -> Any:
        return None if self.handle is None else self._try(name, reader)

    def driver(self) -> str | None:
        # It is the machine's: also told where this GPU cannot be found, as a slice of one.
        return None if self.api is None else self._try("driver", self.api.nvmlSystemGetDriverVersion)

    def _try(self, name: str, reader: Callable[[], Any]) -> Any:
        try:
            return reader()
        except self.api.NVMLError as error:
            self.unreadable[name] = str(error)
            return None

    def power_limit_w(self) -> float:
        return float(round(self.api.nvmlDeviceGetEnforcedPowerLimit(self.handle) / 1000))

    def clock(self, domain: int) -> int:
        return int(self.api.nvmlDeviceGetClockInfo(self.handle, domain))

    def link(self, function: str) -> int:
        return int(getattr(self.api, function)(self.handle))

    def event_reasons(self) -> list[str]:
        return reason_names(self.api.nvmlDeviceGetCurrentClocksEventReasons(self.handle))

    def other_processes(self) -> int:
        # Not by process number: in a container NVML may tell the host's numbers, or other namespaces'.
        cuda: Any = torch.cuda
        ours = int(cuda.is_initialized())
        return max(0, len(self.api.nvmlDeviceGetComputeRunningProcesses(self.handle)) - ours)


@contextmanager
def _opened(torch_device: torch.device, api: Any) -> Iterator[_Gpu]:
    """Hold NVML open for a torch device; where that fails every value is unreadable, and why is kept."""
    api = api or _pynvml()
    try:
        api.nvmlInit()
    except api.NVMLError as error:
        yield _Gpu(None, None, {"nvml": str(error)})
        return
    try:
        yield _connected(torch_device, api)
    finally:
        api.nvmlShutdown()


def _pynvml() -> Any:
    import pynvml

    return pynvml


def _connected(torch_device: torch.device, api: Any) -> _Gpu:
    try:
        return _Gpu(api, _handle(torch_device, api), {})
    except api.NVMLError as error:
        return _Gpu(api, None, {"gpu": str(error)})


def _handle(torch_device: torch.device, api: Any) -> Any:
    """Return NVML's handle of the device that torch means: ``CUDA_VISIBLE_DEVICES`` renumbers them."""
    properties = torch.cuda.get_device_properties(torch_device)
    identity = getattr(properties, "uuid", None)
    if identity is None:
        return api.nvmlDeviceGetHandleByIndex(torch_device.index or 0)
    return api.nvmlDeviceGetHandleByUUID(f"GPU-{identity}")
