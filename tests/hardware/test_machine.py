"""The class has the facts that comparable runs share, and no facts that change by themselves."""

import json
import os
from types import SimpleNamespace
from unittest.mock import Mock

import psutil
import pytest
import torch

from breakeven.hardware import machine, nvml
from breakeven.hardware.machine import (
    class_facts,
    cpu_clock_mhz,
    cpu_name,
    cpu_temperature_c,
    digest,
    machine_facts,
    machine_state,
    thread_facts,
)
from support.recorded_nvml import Recorded

H100 = {"name": "NVIDIA H100", "total_memory": 85_000_000_000, "major": 9, "minor": 0}
L4 = {"name": "NVIDIA L4", "total_memory": 24_000_000_000, "major": 8, "minor": 9}


def returning(value):
    """A function that takes anything and returns `value`."""

    def answer(*args):
        return value

    return answer


class Gpus:
    """The GPUs that torch and NVML report, which a test can change."""

    def __init__(self, monkeypatch, *properties):
        self.patch = monkeypatch
        self.set_properties(*properties)
        self.replay()
        monkeypatch.setattr(machine, "accelerator_kind", returning("cuda"))
        monkeypatch.setattr(torch.cuda, "is_initialized", returning(True))

    def set_properties(self, *properties):
        found = [SimpleNamespace(uuid=f"uuid-{index}", **of_one) for index, of_one in enumerate(properties)]
        self.patch.setattr(torch.cuda, "get_device_properties", lambda device: found[device.index])
        self.patch.setattr(torch.accelerator, "device_count", lambda: len(found))

    def replay(self, **values):
        """Let NVML report these values; a handle is the GPU's uuid."""
        api = Recorded(**{"nvmlDeviceGetHandleByUUID": lambda uuid: uuid, **values})
        self.patch.setattr(nvml, "_pynvml", lambda: api)


@pytest.fixture
def gpus(monkeypatch):
    """A machine that seems to have two H100 and two CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", returning({0, 1}))
    monkeypatch.setattr(machine, "default_threads", returning(2))
    monkeypatch.setattr(machine, "core_sizes", returning([1, 1]))
    monkeypatch.setattr(machine, "numa_nodes", returning(1))
    return Gpus(monkeypatch, H100, H100)


def test_class_facts(monkeypatch):
    """Hardware, versions and numeric modes."""
    monkeypatch.setattr(machine, "accelerator_kind", returning(None))
    facts = class_facts()
    assert list(facts) == [
        "cpu", "cores", "affinity_threads", "threads", "quota", "omp_wait_policy", "gomp_spincount", "openmp",
        "physical_cores", "threads_per_core", "numa_nodes", "cpu_isa", "isa_limits", "allocator",
        "gpu", "gpu_count", "torch", "torch_git", "python", "tf32", "cudnn_tf32", "tf32_override", "float32",
        "amp", "flush_denormal", "cudnn_benchmark", "cudnn_deterministic", "deterministic",
        "autograd_multithreading",
    ]  # fmt: skip
    assert facts["torch"] == torch.__version__
    assert facts["cores"] == os.cpu_count()
    assert facts["affinity_threads"] == len(os.sched_getaffinity(0))
    assert (facts["amp"], facts["flush_denormal"]) == (False, False)


def test_facts_of_equal_gpus(gpus):
    """Each fact once."""
    facts = class_facts()
    assert {name: facts[name] for name in list(facts)[14:24]} == {
        "gpu": "NVIDIA H100",
        "gpu_count": 2,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "gpu_memory_bytes": 85_000_000_000,
        "compute_capability": "9.0",
        "driver": "580.159.03",
        "power_limit_w": 700.0,
        "ecc": True,
        "mig": False,
    }


def test_facts_of_different_gpus(gpus):
    """A list in torch's order."""
    gpus.set_properties(L4, H100)
    gpus.replay(
        nvmlDeviceGetEnforcedPowerLimit=lambda gpu: {"GPU-uuid-0": 72_000, "GPU-uuid-1": 700_000}[gpu]
    )
    facts = class_facts()
    assert facts["gpu"] == ["NVIDIA L4", "NVIDIA H100"]
    assert facts["gpu_memory_bytes"] == [24_000_000_000, 85_000_000_000]
    assert facts["compute_capability"] == ["8.9", "9.0"]
    assert facts["power_limit_w"] == [72.0, 700.0]
    assert (facts["driver"], facts["ecc"], facts["gpu_count"]) == ("580.159.03", True, 2)


def test_facts_are_plain_json(gpus):
    facts = {**machine_facts(), "state": machine_state()}
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


VOLATILE = {
    "load": lambda gpus: gpus.patch.setattr(machine, "load_average", returning([99.0, 99.0, 99.0])),
    "host name": lambda gpus: gpus.patch.setattr(machine.platform, "node", returning("another-box")),
    "installation": lambda gpus: gpus.patch.setattr(machine, "_machine_id", returning("another")),
    "which CPUs": lambda gpus: gpus.patch.setattr(os, "sched_getaffinity", returning({6, 7})),
    "CPU clock": lambda gpus: gpus.patch.setattr(machine, "cpu_clock_mhz", returning(801)),
    "CPU temperature": lambda gpus: gpus.patch.setattr(machine, "cpu_temperature_c", returning(98.5)),
    "GPU clocks": lambda gpus: gpus.replay(nvmlDeviceGetClockInfo=345),
    "GPU throttling": lambda gpus: gpus.replay(nvmlDeviceGetCurrentClocksEventReasons=0x44),
    "GPU power": lambda gpus: gpus.replay(nvmlDeviceGetPowerUsage=99_000),
    "GPU temperature": lambda gpus: gpus.replay(nvmlDeviceGetTemperature=91),
    "GPU neighbors": lambda gpus: gpus.replay(nvmlDeviceGetComputeRunningProcesses=[1, 2, 3]),
    "PCIe link": lambda gpus: gpus.replay(nvmlDeviceGetCurrPcieLinkGeneration=1),
}


@pytest.mark.parametrize("change", VOLATILE.values(), ids=VOLATILE.keys())
def test_volatile_facts_are_not_in_the_class(gpus, change):
    """They are stored in the state."""

    def stored():
        return {**machine_facts(), "state": machine_state()}

    gpus.patch.setattr(machine, "load_average", returning([0.5, 0.5, 0.5]))
    gpus.patch.setattr(machine, "cpu_clock_mhz", returning(2600))
    before = stored()
    change(gpus)
    after = stored()
    assert (after["state"], after["instance_id"]) != (before["state"], before["instance_id"])
    assert (after["class"], after["class_id"]) == (before["class"], before["class_id"])


CHANGES = {
    "cpu": lambda gpus: gpus.patch.setattr(machine, "cpu_name", returning("Fast CPU")),
    "cores": lambda gpus: gpus.patch.setattr(os, "cpu_count", returning(77)),
    "affinity_threads": lambda gpus: gpus.patch.setattr(os, "sched_getaffinity", returning(set(range(77)))),
    "threads": lambda gpus: gpus.patch.setattr(machine, "default_threads", returning(77)),
    "quota": lambda gpus: gpus.patch.setattr(machine, "cgroup_quota", returning(0.5)),
    "omp_wait_policy": lambda gpus: gpus.patch.setenv("OMP_WAIT_POLICY", "other"),
    "gomp_spincount": lambda gpus: gpus.patch.setenv("GOMP_SPINCOUNT", "77"),
    "openmp": lambda gpus: gpus.patch.setenv("OMP_PLACES", "cores"),
    "physical_cores": lambda gpus: gpus.patch.setattr(machine, "core_sizes", returning([1, 1, 1])),
    "threads_per_core": lambda gpus: gpus.patch.setattr(machine, "core_sizes", returning([1, 2])),
    "numa_nodes": lambda gpus: gpus.patch.setattr(machine, "numa_nodes", returning(2)),
    "cpu_isa": lambda gpus: gpus.patch.setattr(machine, "cpu_flags", returning({"amx_fp16", "sve2"})),
    "isa_limits": lambda gpus: gpus.patch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2"),
    "allocator": lambda gpus: gpus.patch.setattr(machine, "allocator", returning("tcmalloc")),
    "gpu": lambda gpus: gpus.set_properties({**H100, "name": "NVIDIA H200"}, H100),
    "gpu_count": lambda gpus: gpus.set_properties(H100, H100, H100),
    "cuda": lambda gpus: gpus.patch.setattr(torch.version, "cuda", "99.0"),
    "cudnn": lambda gpus: gpus.patch.setattr(torch.backends.cudnn, "version", returning(99_000)),
    "gpu_memory_bytes": lambda gpus: gpus.set_properties(H100, {**H100, "total_memory": 1}),
    "compute_capability": lambda gpus: gpus.set_properties(H100, {**H100, "minor": 1}),
    "driver": lambda gpus: gpus.replay(nvmlSystemGetDriverVersion="999"),
    "power_limit_w": lambda gpus: gpus.replay(nvmlDeviceGetEnforcedPowerLimit=699_000),
    "ecc": lambda gpus: gpus.replay(nvmlDeviceGetEccMode=[0, 1]),
    "mig": lambda gpus: gpus.replay(nvmlDeviceGetMigMode=[1, 1]),
    "torch": lambda gpus: gpus.patch.setattr(torch, "__version__", "99.0"),
    "torch_git": lambda gpus: gpus.patch.setattr(torch.version, "git_version", "0123"),
    "python": lambda gpus: gpus.patch.setattr(machine.platform, "python_version", returning("99.0")),
    "tf32": lambda gpus: gpus.patch.setattr(torch, "get_float32_matmul_precision", returning("high")),
    "cudnn_tf32": lambda gpus: gpus.patch.setattr(machine, "_cudnn_tf32", returning(False)),
    "tf32_override": lambda gpus: gpus.patch.setenv("NVIDIA_TF32_OVERRIDE", "0"),
    "float32": lambda gpus: gpus.patch.setattr(machine, "precision", returning("bf16")),
    "amp": lambda gpus: gpus.patch.setattr(torch, "is_autocast_enabled", lambda kind: kind == "cuda"),
    "flush_denormal": lambda gpus: gpus.patch.setattr(machine, "flushes_denormals", returning(True)),
    "cudnn_benchmark": lambda gpus: gpus.patch.setattr(torch.backends.cudnn, "benchmark", True),
    "cudnn_deterministic": lambda gpus: gpus.patch.setattr(torch.backends.cudnn, "deterministic", True),
    "deterministic": lambda gpus: gpus.patch.setattr(
        torch, "are_deterministic_algorithms_enabled", returning(True)
    ),
    "autograd_multithreading": lambda gpus: gpus.patch.setattr(
        torch.autograd, "is_multithreading_enabled", returning(False)
    ),
}


def test_every_class_fact_has_a_change(gpus):
    assert set(CHANGES) == set(class_facts())


def failing(*errors):
    """A function that raises these errors in turn, the last one for good."""
    left = list(errors)

    def fail(*args, **kwargs):
        raise left.pop(0) if len(left) > 1 else left[0]

    return fail


class Strange(Exception):
    """An error of a driver, of a type that nobody foresaw."""


LOST = {
    "cpu": lambda patch: patch.setattr(machine, "cpu_name", failing(UnicodeDecodeError("a", b"", 0, 1, "b"))),
    "threads": lambda patch: patch.setattr(machine, "default_threads", failing(ZeroDivisionError("no CPUs"))),
    "quota": lambda patch: patch.setattr(machine, "cgroup_quota", failing(ZeroDivisionError("period"))),
    "physical_cores threads_per_core": lambda patch: patch.setattr(
        machine, "core_sizes", failing(OSError("no /sys"))
    ),
    "numa_nodes": lambda patch: patch.setattr(machine, "numa_nodes", failing(ValueError("a-b"))),
    "cpu_isa": lambda patch: patch.setattr(torch.backends.cpu, "get_cpu_capability", failing(Strange("x"))),
    "allocator": lambda patch: patch.setattr(machine, "allocator", failing(OSError("static"))),
    "gpu gpu_memory_bytes compute_capability power_limit_w ecc mig": lambda patch: patch.setattr(
        torch.cuda, "get_device_properties", failing(RuntimeError("CUDA error: device lost\nmore"))
    ),
    "ecc": lambda patch: patch.setattr(
        nvml, "_pynvml", lambda: Recorded(nvmlDeviceGetHandleByUUID=1, nvmlDeviceGetEccMode=Strange("denied"))
    ),
    "cudnn": lambda patch: patch.setattr(
        torch.backends.cudnn, "version", failing(RuntimeError("cuDNN version incompatibility"))
    ),
    "driver power_limit_w ecc mig": lambda patch: patch.setattr(machine, "gpu_class", failing(Strange("y"))),
    "tf32": lambda patch: patch.setattr(machine, "_tf32", failing(Strange("y"))),
    "float32": lambda patch: patch.setattr(machine, "precision", failing(AttributeError("fp32_precision"))),
    "amp": lambda patch: patch.setattr(torch, "is_autocast_enabled", failing(TypeError("kind"))),
    "flush_denormal": lambda patch: patch.setattr(torch, "tensor", failing(NotImplementedError("meta"))),
    "deterministic": lambda patch: patch.setattr(
        torch, "are_deterministic_algorithms_enabled", failing(Strange("z"))
    ),
    "autograd_multithreading": lambda patch: patch.delattr(torch.autograd, "is_multithreading_enabled"),
}


@pytest.mark.parametrize("names", LOST)
def test_unreadable_fact(gpus, monkeypatch, names):
    """It costs itself only, and its reason is kept outside of the class."""
    before = machine_facts()["class"]
    LOST[names](monkeypatch)
    after = machine_facts()
    reasons = after["state"]["unreadable"]
    assert set(reasons) == set(names.split())
    assert all(reason and "\n" not in reason for reason in reasons.values())
    assert after["class"] == {name: value for name, value in before.items() if name not in reasons}
    assert json.loads(json.dumps(after, allow_nan=False)) == after


def test_readable_machine(gpus):
    assert machine_facts()["state"] == {}
    assert "unreadable" not in machine_state()


@pytest.mark.parametrize("name", ["accelerator_kind", "torch.accelerator.device_count"])
def test_unreadable_accelerators(gpus, monkeypatch, name):
    target = torch.accelerator if "torch" in name else machine
    monkeypatch.setattr(target, name.rpartition(".")[2], failing(RuntimeError("driver too old")))
    facts = machine_facts()
    reasons = facts["state"]["unreadable"]
    assert reasons["gpu"] == reasons["gpu_count"] == "RuntimeError: driver too old"
    assert set(reasons) <= {"gpu", "gpu_count", "amp"}
    assert facts["class"]["torch"] == torch.__version__


STATES = {
    "host": lambda patch: patch.setattr(machine.platform, "node", failing(OSError("no name"))),
    "load_average": lambda patch: patch.setattr(machine, "load_average", failing(Strange("load"))),
    "affinity": lambda patch: patch.setattr(os, "sched_getaffinity", failing(PermissionError("seccomp"))),
    "cpu_clock_mhz": lambda patch: patch.setattr(psutil, "cpu_freq", failing(ZeroDivisionError("x"))),
    "cpu_temperature_c": lambda patch: patch.setattr(
        psutil, "sensors_temperatures", failing(ValueError("int")), raising=False
    ),
    "gpu": lambda patch: patch.setattr(machine, "gpu_state", failing(Strange("lost"))),
}


@pytest.mark.parametrize("name", STATES)
def test_unreadable_state(gpus, monkeypatch, name):
    STATES[name](monkeypatch)
    state = machine_state()
    assert set(state["unreadable"]) == {name}
    assert set(state) == {*STATES, "unreadable"} - {name}


def test_unreadable_instance(gpus, monkeypatch):
    """The id is then made of what is left."""
    before = machine_facts()["instance_id"]
    monkeypatch.setattr(machine.platform, "node", failing(OSError("no name")))
    assert machine_facts()["instance_id"] not in (before, None)


@pytest.mark.parametrize("error", [OSError("unobtainable"), AttributeError("not on Windows")])
def test_unknown_load(monkeypatch, error):
    monkeypatch.setattr(os, "getloadavg", failing(error))
    assert machine.load_average() is None


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_default_device_left_behind(device):
    """Every fact is still read."""
    before = machine_facts()
    torch.set_default_device(device)
    try:
        assert machine_facts() == before
    finally:
        torch.set_default_device(None)


def test_no_autograd_threads():
    """The setting of the process is a fact of its class."""
    with torch.autograd.set_multithreading_enabled(False):
        assert class_facts()["autograd_multithreading"] is False
    assert class_facts()["autograd_multithreading"] is True


@pytest.mark.parametrize(
    ("flags", "isa"),
    [
        (set(), "AVX2"),
        ({"amx_bf16", "avx512_bf16", "sse"}, "AVX2, avx512_bf16, amx_bf16"),
        ({"sve"}, "AVX2, sve"),
    ],
)
def test_isa(monkeypatch, flags, isa):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", returning("AVX2"))
    monkeypatch.setattr(machine, "cpu_flags", returning(flags))
    assert class_facts()["cpu_isa"] == isa


def test_usable_numa_nodes(monkeypatch):
    """Those of the CPUs that this process may use."""
    monkeypatch.setattr(machine, "affinity", returning([3, 4]))
    monkeypatch.setattr(machine, "numa_nodes", lambda among: sum(among))
    assert class_facts()["numa_nodes"] == 7


def test_openmp_variables(monkeypatch):
    for name in machine.OPENMP:
        monkeypatch.delenv(name, raising=False)
    assert class_facts()["openmp"] is None
    monkeypatch.setenv("OMP_PROC_BIND", "close")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert class_facts()["openmp"] == "OMP_NUM_THREADS=4, OMP_PROC_BIND=close"


@pytest.mark.parametrize("key", CHANGES)
def test_changed_fact_changes_the_class(gpus, key):
    before = machine_facts()
    CHANGES[key](gpus)
    after = machine_facts()
    assert {name for name in before["class"] if before["class"][name] != after["class"][name]} == {key}
    assert after["class_id"] != before["class_id"]
    assert after["instance_id"] == before["instance_id"]


def test_autocast_with_its_dtype():
    torch.set_autocast_enabled("cpu", True)
    torch.set_autocast_dtype("cpu", torch.float16)
    try:
        assert class_facts()["amp"] == "cpu float16"
    finally:
        torch.set_autocast_enabled("cpu", False)
        torch.set_autocast_dtype("cpu", torch.bfloat16)
    assert class_facts()["amp"] is False


def test_flush_denormal():
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush denormal numbers")
    try:
        assert class_facts()["flush_denormal"] is True
    finally:
        torch.set_flush_denormal(False)


@pytest.fixture
def float32_switches():
    """Restore torch's switches afterwards; skip the test where torch has none."""
    if not hasattr(torch.backends, "fp32_precision"):
        pytest.skip("this torch has only the old switch")
    yield
    torch.backends.cuda.matmul.fp32_precision = "none"
    torch.backends.mkldnn.matmul.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")


def test_high_and_medium_precision_differ(float32_switches):
    torch.set_float32_matmul_precision("high")
    high = class_facts()
    torch.set_float32_matmul_precision("medium")
    medium = class_facts()
    assert (high["tf32"], medium["tf32"]) == (True, True)
    assert {name for name in high if high[name] != medium[name]} == {"float32"}
    assert "mkldnn.matmul tf32" in high["float32"]
    assert "mkldnn.matmul bf16" in medium["float32"]


@pytest.mark.parametrize("precision", ["tf32", "ieee"])
def test_new_switch_alone(float32_switches, precision):
    """Torch refuses to read it by the old name."""
    torch.backends.cuda.matmul.fp32_precision = precision
    facts = class_facts()
    assert facts["tf32"] is (precision == "tf32")
    assert facts["float32"].startswith(f"cuda.matmul {precision}, ")


def test_default_precision_set_explicitly(float32_switches):
    """It changes nothing."""
    torch.backends.cuda.matmul.fp32_precision = "none"
    before = class_facts()
    torch.set_float32_matmul_precision("highest")
    assert class_facts() == before


def test_older_torch_has_one_precision(monkeypatch):
    monkeypatch.setattr(machine, "precision", returning(None))
    assert class_facts()["float32"] == "matmul highest"


def test_cpu_name(tmp_path):
    """The kernel's name of the CPU; any name if the kernel has none."""
    info = tmp_path / "cpuinfo"
    info.write_text("model name\t: Fast CPU @ 3 GHz\ncpu MHz\t\t: 2000.5\n")
    assert cpu_name(info) == "Fast CPU @ 3 GHz"
    assert cpu_name(tmp_path / "absent")


@pytest.mark.parametrize(
    ("found", "clock"),
    [(SimpleNamespace(current=2500.4), 2500), (SimpleNamespace(current=0.0), None), (None, None)],
)
def test_cpu_clock(monkeypatch, found, clock):
    monkeypatch.setattr(psutil, "cpu_freq", returning(found), raising=False)
    assert cpu_clock_mhz() == clock


def test_cpu_temperature(monkeypatch):
    """It is that of the hottest sensor."""
    chips = {"nvme": (99.0,), "coretemp": (41.0, 57.5), "k10temp": (45.0,)}
    chips = {name: [SimpleNamespace(current=value) for value in values] for name, values in chips.items()}
    monkeypatch.setattr(psutil, "sensors_temperatures", returning(chips), raising=False)
    assert cpu_temperature_c() == 57.5
    monkeypatch.setattr(psutil, "sensors_temperatures", returning({}))
    assert cpu_temperature_c() is None


def test_a_system_without_clocks_and_sensors(monkeypatch):
    """psutil omits what it cannot read on a system, or raises."""
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)
    monkeypatch.setattr(psutil, "cpu_freq", Mock(side_effect=NotImplementedError), raising=False)
    assert cpu_temperature_c() is None
    assert cpu_clock_mhz() is None


def test_known_facts():
    """They replace those that a process cannot read whose threads were set for it."""
    own = machine_facts()
    known = {"threads": 64, "openmp": None}
    other = machine_facts(known)
    assert other["class"] == {**own["class"], **known}
    assert other["class_id"] == digest(other["class"]) != own["class_id"]
    assert machine_facts(thread_facts()) == own
