"""Replays NVML, for tests on machines without a GPU."""

from types import SimpleNamespace


class RecordedError(Exception):
    """An error like pynvml's, with NVML's message."""


class Recorded:
    """Returns one recorded state; a value that is an error is raised, a callable one is called."""

    NVMLError = RecordedError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, **values):
        self.values = {
            "nvmlInit": None,
            "nvmlDeviceGetHandleByUUID": "handle",
            "nvmlSystemGetDriverVersion": "580.159.03",
            "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetEccMode": [1, 1],
            "nvmlDeviceGetMigMode": [0, 0],
            "nvmlDeviceGetClockInfo": 1980,
            "nvmlDeviceGetCurrentClocksEventReasons": 0,
            "nvmlDeviceGetPowerUsage": 412_345,
            "nvmlDeviceGetTemperature": 54,
            "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=1)],
            "nvmlDeviceGetCurrPcieLinkGeneration": 4,
            "nvmlDeviceGetCurrPcieLinkWidth": 8,
            "nvmlDeviceGetMaxPcieLinkGeneration": 5,
            "nvmlDeviceGetMaxPcieLinkWidth": 16,
            **values,
        }
        self.open = 0
        self.asked = []

    def nvmlShutdown(self):
        self.open -= 1

    def __getattr__(self, name):
        value = self.values[name]

        def call(*args):
            self.asked.append((name, args))
            if isinstance(value, Exception):
                raise value
            self.open += name == "nvmlInit"
            return value(*args) if callable(value) else value

        return call
