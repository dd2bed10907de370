"""Recorded machines: the findings and remedies of each, and whether it is fit."""

from dataclasses import replace

import pytest

from breakeven.doctor.facts import DeviceFacts, MachineFacts
from breakeven.doctor.rules import RULES, Level, examine
from breakeven.fitness import Load, Look, Program

MACHINE = {
    "cpu": "EPYC", "cores": 8, "threads": 8, "torch": "2.13", "python": "3.12", "tf32": False,
    "numa_nodes": 1, "allocator": "tcmalloc", "autograd_multithreading": False,
}  # fmt: skip
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
    look=Look(Load(8, 0.02, 0.0, 0.02), 8, 1e-4, 1e-4),
    cores=8,
    is_virtual=False,
    governors=("performance",),
    frequency_driver="intel_pstate",
    turbo=False,
    throttled=0,
    load_average=(0.1, 0.1, 0.1),
    environment={"OMP_WAIT_POLICY": "PASSIVE", "OMP_PROC_BIND": "close"},
)


def losing(cpus, slowdown=1.0, **changes):
    """What a look finds where other programs use that many CPUs, and threads are that much slower."""
    return Look(Load(8, cpus, 0.0, cpus, **changes), 8, 1e-4, slowdown * 1e-4)


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
    "busy neighbor": (
        machine(look=losing(0.4, programs=(Program("cc1", 7, 0.38),))),
        "0.40 of 8 CPUs: cc1 (pid 7, 0.38 CPUs)",
        "--breakeven-wait-idle",
    ),
    "slow threads": (
        machine(look=replace(losing(0.02, 103.0), spins=True)),
        "103 times as long on 8 threads",
        "OMP_WAIT_POLICY=passive",
    ),
    "governor": (
        machine(governors=("powersave",), frequency_driver="acpi-cpufreq"),
        "powersave (acpi-cpufreq)",
        "cpupower frequency-set -g performance",
    ),
    "CPU throttling": (machine(throttled=4), "4 times", "cool"),
    "debug build": (machine(debug=("Python", "torch")), "Python and torch", "release build"),
    "tracing": (machine(tracers=("sys.settrace",)), "sys.settrace", "without coverage"),
    "CUDA debugging": (
        machine(environment={**HEALTHY.environment, "CUDA_LAUNCH_BLOCKING": "1"}),
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
    "busy neighbor": machine(look=losing(0.2)),
    "spinning OpenMP threads": machine(environment={"OMP_PLACES": "cores"}),
    "part of a host": machine(is_virtual=True),
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


HINTS = {
    "threads per core": (machine(cores=4), "8 threads on 4 cores", "OMP_NUM_THREADS=4"),
    "NUMA nodes": (
        machine(machine={**MACHINE, "numa_nodes": 2}),
        "2 usable",
        "numactl --cpunodebind=0 --membind=0",
    ),
    "allocator": (machine(machine={**MACHINE, "allocator": "libc"}), "libc", "LD_PRELOAD"),
    "thread binding": (
        machine(environment={"OMP_WAIT_POLICY": "passive"}),
        "OMP_PROC_BIND is not set",
        "OMP_PROC_BIND=close",
    ),
    "backward pass": (
        machine(machine={**MACHINE, "autograd_multithreading": True}),
        "autograd's own thread",
        "set_multithreading_enabled(False)",
    ),
}


@pytest.mark.parametrize("name", HINTS)
def test_hint(name):
    """It has a remedy, and the machine is as fit as without it."""
    facts, seen, remedy = HINTS[name]
    assert levels(facts) == {name: "hint"}
    found = examine(facts)
    assert (found.fit, found.summary) == (True, "Fit for timing.")
    assert seen in found.findings[0].seen
    assert found.findings[0].why
    assert remedy in found.findings[0].remedy


def test_backward_pass_without_an_accelerator():
    """A CPU's backward pass is in the calling thread anyway."""
    alone = machine(machine={**MACHINE, "autograd_multithreading": True}, devices=(CPU,))
    assert "backward pass" not in findings(alone)


SLICES = {
    "4 of 8 CPUs by affinity or cpuset": {"affinity": 4, "threads": 4},
    "a quota of 2 CPUs": {"quota": 2.0, "threads": 2},
    "4 of 8 CPUs by affinity or cpuset, a quota of 3 CPUs, a virtual machine": {
        "affinity": 4, "quota": 3.0, "threads": 3, "is_virtual": True
    },
}  # fmt: skip


@pytest.mark.parametrize("seen", SLICES)
def test_part_of_a_host(seen):
    found = findings(machine(**SLICES[seen]))["part of a host"]
    assert (found.level, found.seen) == ("noted", seen)


def test_unknown_cpu_facts():
    """Without a fact, its rule has no finding."""
    known = {name: value for name, value in MACHINE.items() if name not in ("numa_nodes", "allocator")}
    found = findings(machine(machine={**known, "cudnn_tf32": False}, cores=None, is_virtual=None))
    assert not {"threads per core", "NUMA nodes", "allocator"} & set(found)
    assert found["part of a host"].level == "fine"


PASSIVE = HEALTHY.environment
BOUND = {"OMP_PROC_BIND": "close"}
ONE_CORE = {"threads": 1, "machine": {**MACHINE, "cores": 1}}
TF32 = {"machine": {**MACHINE, "tf32": True, "cudnn_tf32": True}}
HIDDEN = {"governor": "no cpufreq", "turbo": "no boost", "CPU throttling": "no thermal_throttle"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"look": losing(0.09)}, {}),
        ({"look": losing(0.1)}, {"busy neighbor": "noted"}),
        ({"look": losing(0.25)}, {"busy neighbor": "noted"}),
        ({"look": losing(0.26)}, {"busy neighbor": "unfit"}),
        ({"look": losing(0.02, 11.0)}, {}),  # threads that sleep take long to wake
        ({"look": losing(0.3, 11.0)}, {"busy neighbor": "unfit", "slow threads": "unfit"}),
        ({"look": Look(Load(8))}, {}),
        (
            {"environment": BOUND, "look": losing(0.2)},
            dict.fromkeys(("busy neighbor", "spinning OpenMP threads"), "noted"),
        ),
        ({"environment": {**BOUND, "GOMP_SPINCOUNT": "0"}}, {}),
        ({"environment": {**BOUND, "KMP_BLOCKTIME": "0"}}, {}),
        ({"quota": 1.5, "affinity": 8, "threads": 2}, {"CPU quota": "unfit", "part of a host": "noted"}),
        ({"quota": 2.0, "threads": 2}, {"CPU quota": "noted", "part of a host": "noted"}),
        ({"threads": 1, "affinity": 2, "cores": 1, "machine": {**MACHINE, "cores": 2}}, {}),  # SMT
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
                "devices": (CPU,), "governors": ("powersave",), "turbo": True, "environment": BOUND,
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
