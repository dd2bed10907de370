"""Machines for `breakeven doctor`, and functions that replace this machine by one of them."""

from unittest.mock import Mock

from breakeven.commands import find_card
from breakeven.doctor import against, facts, selftests
from breakeven.doctor.against import Against, Compared
from breakeven.doctor.facts import DeviceFacts, MachineFacts
from breakeven.doctor.probes import probes_for
from breakeven.doctor.selftests.suite import Check
from breakeven.fitness import Load, Look, Program
from breakeven.hardware import devices
from breakeven.hardware import machine as machines
from support.machine_cards import CARD

HEALTHY = MachineFacts(
    machine={
        "cpu": "EPYC", "cores": 8, "threads": 8, "torch": "2.13", "python": "3.12", "quota": None,
        "numa_nodes": 1, "allocator": "jemalloc",
    },
    devices=(DeviceFacts("cpu", "cpu", 8), DeviceFacts("cuda", "NVIDIA [H200]\x1b[31m", 8, {})),
    affinity=8,
    threads=8,
    look=Look(Load(8, 0.03, 0.0, 0.03), 8, 2e-4, 2e-4, spins=True),
    cores=8,
    is_virtual=False,
    load_average=(0.25, 0.1, 0.1),
    environment={},
    unreadable={"governor": "no cpufreq here"},
)  # fmt: skip
COMPILER = Program("cc1plus", 4711, 0.98)
BUSY = MachineFacts(
    **{
        **vars(HEALTHY),
        "look": Look(Load(8, 1.02, 0.0, 1.02, programs=(COMPILER,)), 8, 2e-4, 0.0206, spins=True),
    }
)
UNFIT = MachineFacts(
    machine={
        "cpu": "EPYC", "cores": 8, "threads": 2, "torch": "2.13", "python": "3.12", "cudnn_tf32": True,
        "numa_nodes": 2, "allocator": "libc",
    },
    devices=(
        DeviceFacts("cpu", "cpu", 2),
        DeviceFacts(
            "cuda", "H200", 2,
            {"event_reasons": ["hw_thermal_slowdown"], "temperature_c": 91, "other_processes": 2},
        ),
        DeviceFacts("cuda:1", "cuda:1", 2, error="CUDA error: out of memory"),
    ),
    affinity=4,
    threads=2,
    look=Look(Load(4, 0.1, 0.4, 0.5), 2, 2e-4, 1e-2),
    quota=1.5,
    cores=1,
    is_virtual=True,
    governors=("powersave",),
    frequency_driver="acpi-cpufreq",
    turbo=True,
    throttled=4,
    load_average=(7.5, 6.0, 5.0),
    environment={"CUDA_LAUNCH_BLOCKING": "1"},
    debug=("Python", "torch"),
    tracers=("sys.settrace",),
)  # fmt: skip

_PROBES = probes_for(CARD)
AS_ITS_CLASS = Against(
    CARD, tuple(Compared(probe, CARD, 1.1, 0.5, 1.9, (1.1, 1.2, 0.9)) for probe in _PROBES), 3, 28.0
)
UNLIKE_ITS_CLASS = Against(
    CARD,
    (
        Compared(_PROBES[0], CARD, 2.1, 0.5, 1.9, (2.1,)),
        Compared(_PROBES[1], CARD, 0.9, 0.7, 1.5, (0.9,)),
        Compared(_PROBES[2], CARD, 3.0, 0.1, 12.0, (3.0,), widened=("the card knows it within 12x",)),
        Compared(_PROBES[3], CARD, why="OutOfMemoryError: [red]full[/]"),
        Compared(_PROBES[4], CARD, 0.3, 0.5, 1.9, (0.3,)),
    ),
    1,
    28.0,
    ("the card is of other hardware: gpu H100 (here H200)",),
)

PASSED = Check("coverage", 0.95, 0.93, 0.98)
FAILED = Check("empty phase", 2e-6, at_most=1e-6, unit="s", note="other processes took the core")


def freeze(monkeypatch, machine):
    """Let `doctor` read this machine instead of the real one."""
    monkeypatch.setattr(facts, "read_facts", lambda: machine)


def replay(monkeypatch, checks):
    """Let the self-tests return these checks."""

    def replayed():
        return list(checks)

    monkeypatch.setattr(selftests, "SELF_TESTS", (replayed,))


def as_compared(monkeypatch, found):
    """Let `doctor --against` find this, on a machine of the card's hardware."""
    monkeypatch.setattr(devices, "accelerator_kind", lambda: "cuda")
    monkeypatch.setattr(machines, "class_facts", lambda: CARD.machine)
    monkeypatch.setattr(find_card, "find_card", Mock(return_value=CARD))
    monkeypatch.setattr(against, "compare_with", Mock(return_value=found))
