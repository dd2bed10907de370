"""Recorded machines: the findings and remedies of each, and whether it is fit."""

from dataclasses import replace

import pytest

from breakeven.doctor.contention import CpuSample
from breakeven.doctor.facts import DeviceFacts, MachineFacts
from breakeven.doctor.rules import RULES, Level, examine

MACHINE = {"cpu": "EPYC", "cores": 8, "threads": 8, "torch": "2.13", "python": "3.12", "tf32": False}
GPU_STATE = {
    "sm_clock_mhz": 1980,
    "event_reasons": ["gpu_idle"],
    "temperature_c": 40,
    "other_processes": 0,
}
CPU = DeviceFacts("cpu", "cpu", 8)
HEALTHY = MachineFacts(
    machine={**MACHINE, "cudnn_tf32": False},
    devices=(CPU, DeviceFacts("cuda", "H200", 8, GPU_STATE)),
    affinity=8,
    threads=8,
    neighbors=CpuSample((1.0,) * 8, 0.0, 3),
    governors=("performance",),
    frequency_driver="intel_pstate",
    turbo=False,
    throttled=0,
    load_average=(0.1, 0.1, 0.1),
    environment={"OMP_WAIT_POLICY": "PASSIVE"},
)


def machine(**changes):
    return replace(HEALTHY, **changes)


def with_gpu(**state):
    return machine(devices=(CPU, DeviceFacts("cuda", "H200", 8, {**GPU_STATE, **state})))


def findings(facts):
    """The findings by name, which is unique."""
    found = examine(facts).findings
    assert len({finding.name for finding in found}) == len(found)
    return {finding.name: finding for finding in found}


def levels(facts):
    """The levels of the findings that are not fine, by name."""
    return {name: found.level for name, found in findings(facts).items() if found.level != "fine"}


def test_healthy_machine():
    assert levels(HEALTHY) == {}
    assert examine(HEALTHY).fit
    assert examine(HEALTHY).summary == "Fit for timing."
    assert all(rule(HEALTHY) for rule in RULES)


UNFIT = {
    "busy neighbor": (machine(neighbors=CpuSample((0.95, 0.8), 0.0, 99)), "20% of a core", "top"),
    "CPU quota": (machine(quota=1.5, affinity=4, threads=2), "1.5 of 4 CPUs", "--cpuset-cpus"),
    "governor": (
        machine(governors=("powersave",), frequency_driver="acpi-cpufreq"),
        "powersave (acpi-cpufreq)",
        "cpupower frequency-set -g performance",
    ),
    "CPU throttling": (machine(throttled=4), "4 times", "cool"),
    "debug build": (machine(debug=("Python", "torch")), "Python and torch", "release build"),
    "tracing": (machine(tracers=("sys.settrace",)), "sys.settrace", "without coverage"),
    "CUDA debugging": (
        machine(environment={"OMP_WAIT_POLICY": "passive", "CUDA_LAUNCH_BLOCKING": "1"}),
        "CUDA_LAUNCH_BLOCKING=1",
        "unset CUDA_LAUNCH_BLOCKING",
    ),
    "cuda shared": (with_gpu(other_processes=2), "2 other processes on H200", "CUDA_VISIBLE_DEVICES"),
    "cuda throttled": (
        with_gpu(event_reasons=["hw_thermal_slowdown"], temperature_c=91),
        "hw_thermal_slowdown at 91 C",
        "power limit",
    ),
    "cuda": (
        machine(devices=(CPU, DeviceFacts("cuda", "cuda", 8, error="CUDA error: out of memory"))),
        "out of memory",
        "nvidia-smi",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_unfit(name):
    facts, seen, remedy = UNFIT[name]
    assert levels(facts) == {name: "unfit"}
    found = examine(facts)
    assert not found.fit
    assert found.summary == f"Not fit for timing: {name}."
    assert seen in found.findings[0].seen
    assert found.findings[0].why
    assert remedy in found.findings[0].remedy


NOTED = {
    "busy neighbor": machine(neighbors=CpuSample((0.95,) * 8)),
    "spinning OpenMP threads": machine(environment={}),
    "CPU quota": machine(quota=2.0, threads=2),
    "governor": machine(governors=("powersave",)),
    "turbo": machine(turbo=True),
    "TF32": machine(machine={**MACHINE, "cudnn_tf32": True}),
}


@pytest.mark.parametrize("name", NOTED)
def test_noted(name):
    found = examine(NOTED[name])
    assert levels(NOTED[name]) == {name: "noted"}
    assert found.fit
    assert found.summary == "Fit for timing, 1 noted."
    assert found.findings[0].why
    assert found.findings[0].remedy


PASSIVE = HEALTHY.environment
ONE_CORE = {"threads": 1, "machine": {**MACHINE, "cores": 1}}
TF32 = {"machine": {**MACHINE, "tf32": True, "cudnn_tf32": True}}
HIDDEN = {"governor": "no cpufreq", "turbo": "no boost", "CPU throttling": "no thermal_throttle"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"neighbors": CpuSample((0.985, 1.01), 0.01, 50)}, {}),
        ({"neighbors": CpuSample((1.0, 1.0), 0.1)}, {"busy neighbor": "noted"}),
        ({"neighbors": CpuSample((1.0, 1.0), 0.11)}, {"busy neighbor": "unfit"}),  # stolen time counts too
        (
            {"environment": {}, "neighbors": CpuSample((0.95,) * 8)},
            {"busy neighbor": "noted", "spinning OpenMP threads": "unfit"},
        ),
        ({"environment": {"GOMP_SPINCOUNT": "0"}}, {}),
        ({"environment": {"KMP_BLOCKTIME": "0"}}, {}),
        ({"environment": {}, "openmp": False}, {}),
        ({"environment": {}, **ONE_CORE}, {}),
        ({"affinity": 1, **ONE_CORE}, {}),
        ({"quota": 8.0}, {}),
        (
            {"governors": (), "turbo": None, "throttled": None, "unreadable": HIDDEN},  # a virtual machine
            dict.fromkeys(HIDDEN, "unreadable"),
        ),
        (
            {
                "devices": (CPU,), "governors": ("powersave",), "turbo": True, "environment": {},
                "neighbors": CpuSample((0.99,) * 8),
            },
            dict.fromkeys(("governor", "spinning OpenMP threads", "turbo"), "noted"),
        ),
        (TF32, {"TF32": "noted"}),
        (TF32 | {"devices": (CPU,)}, {}),
        (TF32 | {"environment": {**PASSIVE, "NVIDIA_TF32_OVERRIDE": "0"}}, {}),
        ({"environment": {**PASSIVE, "CUDA_LAUNCH_BLOCKING": "1"}, "devices": (CPU,)}, {}),
        ({"environment": {**PASSIVE, "CUDA_LAUNCH_BLOCKING": "0"}}, {}),
        ({"environment": {**PASSIVE, "PYTHONMALLOC": "debug"}}, {"tracing": "unfit"}),
    ],
)  # fmt: skip
def test_levels(changes, expected):
    """Those of a machine that differs from the healthy one in this."""
    facts = machine(**changes)
    assert levels(facts) == expected
    assert examine(facts).fit is ("unfit" not in expected.values())


@pytest.mark.parametrize(
    ("changes", "seen", "remedy"),
    [
        ({"environment": {"OMP_NUM_THREADS": "1"}}, "OMP_NUM_THREADS=1", "unset"),
        ({"environment": {"OMP_NUM_THREADS": "01"}}, "OMP_NUM_THREADS=01", "unset"),
        ({"environment": {"OMP_NUM_THREADS": "1,4"}}, "OMP_NUM_THREADS=1,4", "unset"),
        ({"environment": {"OMP_NUM_THREADS": "many"}}, "unknown", "fewer threads"),
        ({"affinity": 1}, "affinity", "taskset"),
        ({"quota": 1.0, "affinity": 8}, "quota is 1", "quota"),
    ],
)
def test_one_thread_on_several_cpus(changes, seen, remedy):
    """The finding names the cause."""
    found = findings(machine(threads=1, **changes))["threads"]
    assert found.level == "unfit"
    assert seen in found.seen
    assert remedy in found.remedy


def test_unreadable_gpu():
    denied = {"other_processes": None, "event_reasons": None}
    facts = with_gpu(**denied, unreadable={"other_processes": "Insufficient Permissions"})
    assert levels(facts) == {"cuda other_processes": "unreadable"}
    assert findings(facts)["cuda other_processes"].seen == "Insufficient Permissions"
    assert examine(facts).fit
    assert not {"cuda shared", "cuda throttled"} & findings(facts).keys()


def test_order_of_findings():
    facts = machine(turbo=True, debug=("torch",), unreadable={"governor": "no"})
    order = [finding.level for finding in examine(facts).findings]
    assert order == sorted(order, key=list(Level).index)
    assert [*dict.fromkeys(order)] == ["unfit", "noted", "unreadable", "fine"]
