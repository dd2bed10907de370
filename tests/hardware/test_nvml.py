"""Recorded NVML: a healthy GPU, a throttled one, one without permission, and none."""

from types import SimpleNamespace

import pytest
import torch

from breakeven.case import Budget, CaseKey
from breakeven.hardware import nvml
from breakeven.hardware.devices import Accelerator
from breakeven.hardware.nvml import gpu_class, gpu_sample, gpu_state, kept_open, reason_names
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice, simulated_workload
from support.recorded_nvml import Recorded, RecordedError

GPU = torch.device("cuda", 1)


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch):
    """A torch with a context on its second GPU."""
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=f"uuid-{device.index}")
    )
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)


def test_healthy_gpu():
    """Everything is read, and NVML is closed."""
    api = Recorded()
    assert gpu_state(GPU, api) == {
        "sm_clock_mhz": 1980,
        "memory_clock_mhz": 1980,
        "event_reasons": [],
        "power_w": 412.345,
        "temperature_c": 54,
        "other_processes": 0,
        "pcie_generation": 4,
        "pcie_width": 8,
        "pcie_max_generation": 5,
        "pcie_max_width": 16,
    }
    assert gpu_class(GPU, api) == {"driver": "580.159.03", "power_limit_w": 700.0, "ecc": True, "mig": False}
    assert api.open == 0


def test_permission_denied():
    """The rest is read."""
    denied = RecordedError("Insufficient Permissions")
    state = gpu_state(
        GPU, Recorded(nvmlDeviceGetComputeRunningProcesses=denied, nvmlDeviceGetPowerUsage=denied)
    )
    assert state["power_w"] is None
    assert state["other_processes"] is None
    assert state["sm_clock_mhz"] == 1980
    assert state["unreadable"] == {
        "power_w": "Insufficient Permissions",
        "other_processes": "Insufficient Permissions",
    }


def test_without_nvml():
    api = Recorded(nvmlInit=RecordedError("NVML Shared Library Not Found"))
    state = gpu_state(GPU, api)
    assert state.pop("unreadable") == {"nvml": "NVML Shared Library Not Found"}
    assert set(state.values()) == {None}
    facts = gpu_class(GPU, api)
    assert facts.pop("unreadable") == {"nvml": "NVML Shared Library Not Found"}
    assert set(facts.values()) == {None}
    assert api.open == 0


@pytest.mark.parametrize(
    "values",
    [
        {"nvmlInit": OSError("libnvidia-ml.so: wrong ELF class")},
        {"nvmlDeviceGetHandleByUUID": UnicodeDecodeError("utf-8", b"", 0, 1, "start byte")},
        {"nvmlDeviceGetPowerUsage": TypeError("too old")},
    ],
)
def test_any_error_of_the_library(values):
    """It costs the values that it concerns, and NVML is closed."""
    api = Recorded(**values)
    with kept_open(api):
        assert gpu_state(GPU, api)["power_w"] is None
        assert len(gpu_state(GPU, api)["unreadable"]) == 1
    assert api.open == 0


def test_closed_by_the_workload(monkeypatch):
    api = Recorded()
    monkeypatch.setattr(
        api, "nvmlShutdown", Recorded(down=RecordedError("Uninitialized")).down, raising=False
    )
    assert gpu_state(GPU, api)["power_w"] == 412.345


def test_sample():
    """It asks for what load changes, and nothing else."""
    api = Recorded(nvmlDeviceGetPowerUsage=RecordedError("Not Supported"))

    assert gpu_sample(GPU, api) == {
        "sm_clock_mhz": 1980, "event_reasons": [], "power_w": None, "temperature_c": 54
    }  # fmt: skip
    assert len([name for name, _ in api.asked if name.startswith("nvmlDeviceGet")]) == 5  # with the handle
    assert api.open == 0


@pytest.mark.parametrize("missing", ["nvmlInit", "nvmlDeviceGetHandleByUUID"])
def test_no_sample(missing):
    assert gpu_sample(GPU, Recorded(**{missing: RecordedError("Not Found")})) is None


def test_sample_of_the_right_gpu(monkeypatch):
    asked = []
    monkeypatch.setattr(nvml, "gpu_sample", lambda device: asked.append(device) or {"power_w": 1.0})
    assert Accelerator("cuda", 1).sample() == {"power_w": 1.0}
    assert asked == [torch.device("cuda", 1)]
    assert Accelerator("xpu").sample() is None


def test_kept_open():
    api = Recorded()
    with kept_open(api):
        gpu_state(GPU, api)
        assert api.open == 1
    assert api.open == 0


def test_runner_keeps_nvml_open(monkeypatch):
    api = Recorded()
    monkeypatch.setattr(nvml, "_pynvml", lambda: api)

    class Gpu(SimulatedDevice):
        def state_kept_open(self):
            return Accelerator("cuda").state_kept_open()

    gpu, opened = Gpu(SimulatedClock()), []
    case = CaseKey.of("w", 1, "train", gpu.name)
    runner = Runner(Budget(), gpu.clock)
    runner.run_once(case, gpu, lambda: simulated_workload(gpu), lambda *_: opened.append(api.open))
    assert opened == [1]
    runner.close()
    assert api.open == 0


def test_mig_slice_without_a_handle():
    """Only the driver, which is the machine's, is read."""
    api = Recorded(nvmlDeviceGetHandleByUUID=RecordedError("Not Found"))
    state = gpu_state(GPU, api)
    assert state.pop("unreadable") == {"gpu": "Not Found"}
    assert set(state.values()) == {None}
    assert gpu_class(GPU, api) == {
        "driver": "580.159.03", "power_limit_w": None, "ecc": None, "mig": None,
        "unreadable": {"gpu": "Not Found"},
    }  # fmt: skip
    assert api.open == 0


@pytest.mark.parametrize("milliwatts", [699_999, 700_000, 700_001])
def test_power_limit_in_whole_watts(milliwatts):
    assert gpu_class(GPU, Recorded(nvmlDeviceGetEnforcedPowerLimit=milliwatts))["power_limit_w"] == 700.0


def test_unknown_event_reason():
    assert reason_names(0x1000_0001) == ["gpu_idle", "0x10000000"]
