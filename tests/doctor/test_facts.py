"""Facts are read from the kernel and from torch; what is missing is unreadable."""

import os
import sys
import tracemalloc

import pytest
import torch

from breakeven.doctor import facts as facts_module
from breakeven.doctor.facts import read_facts, read_frequency, throttle_count
from breakeven.fitness import Load, Look


def tree(root, **files):
    """Create files under root; `__` is a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


@pytest.fixture
def quiet(monkeypatch):
    """Replace the look at the machine."""
    monkeypatch.setattr(facts_module, "take_look", lambda _: Look(Load(2, 0.0, 0.0, 0.0)))


def test_governors_driver_and_turbo(tmp_path):
    tree(
        tmp_path,
        cpu0__cpufreq__scaling_governor="powersave",
        cpu1__cpufreq__scaling_governor="performance",
        cpu0__cpufreq__scaling_driver="acpi-cpufreq",
        cpufreq__boost="1",
    )
    assert read_frequency(tmp_path) == (("performance", "powersave"), "acpi-cpufreq", True, {})


@pytest.mark.parametrize(("no_turbo", "turbo"), [("0", True), ("1", False)])
def test_intel_no_turbo(tmp_path, no_turbo, turbo):
    tree(tmp_path, intel_pstate__no_turbo=no_turbo, cpu0__cpufreq__scaling_governor="performance")
    assert read_frequency(tmp_path)[2] is turbo


def test_hidden_clocks_are_unreadable(tmp_path):
    governors, driver, turbo, unreadable = read_frequency(tmp_path)
    assert (governors, driver, turbo) == ((), None, None)
    assert unreadable.keys() == {"governor", "turbo"}


def test_throttle_count(tmp_path):
    assert throttle_count(tmp_path) is None
    tree(
        tmp_path,
        cpu0__thermal_throttle__core_throttle_count="3",
        cpu1__thermal_throttle__core_throttle_count="4",
    )
    assert throttle_count(tmp_path) == 7


def test_this_machine(quiet, monkeypatch, tmp_path):
    monkeypatch.setattr(facts_module, "default_threads", lambda: 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = (torch.get_num_threads(), dict(os.environ))
    facts = read_facts(tmp_path)
    assert facts.threads == 1
    assert facts.environment["OMP_NUM_THREADS"] == "1"
    assert facts.devices[-1].name != ""
    assert facts.unreadable.keys() == {
        "governor", "turbo", "CPU throttling", "usable cores"
    }  # fmt: skip
    assert facts.debug == ()
    assert (torch.get_num_threads(), dict(os.environ)) == before


def test_usable_cores(quiet, monkeypatch, tmp_path):
    """Those of the CPUs that this process may use."""
    pairs = {f"cpu{n}__topology__thread_siblings_list": f"{n % 4},{n % 4 + 4}" for n in range(8)}
    monkeypatch.setattr(facts_module, "affinity", lambda: [0, 1, 4])
    assert read_facts(tree(tmp_path, **pairs)).cores == 2


@pytest.mark.parametrize(("flags", "is_virtual"), [({"avx2", "hypervisor"}, True), ({"avx2"}, False)])
def test_virtual_machine(quiet, monkeypatch, flags, is_virtual):
    monkeypatch.setattr(facts_module, "cpu_flags", lambda: flags)
    assert read_facts().is_virtual is is_virtual


def test_unreadable_class_fact(quiet, monkeypatch):
    """It is listed with its reason."""

    def fail():
        raise ZeroDivisionError("no period")

    monkeypatch.setattr("breakeven.hardware.machine.cgroup_quota", fail)
    facts = read_facts()
    assert facts.unreadable["quota"] == "ZeroDivisionError: no period"
    assert "quota" not in facts.machine


def test_tracers_and_debug_builds(quiet, monkeypatch):
    assert "tracemalloc" not in read_facts().tracers
    tracemalloc.start()
    monkeypatch.setattr(sys, "gettotalrefcount", int, raising=False)
    monkeypatch.setattr(torch.version, "debug", True)
    try:
        facts = read_facts()
    finally:
        tracemalloc.stop()
    assert "tracemalloc" in facts.tracers
    assert facts.debug == ("Python", "torch")


def test_device_that_does_not_start(quiet, monkeypatch):
    def lost(self):
        raise RuntimeError("CUDA error: out of memory\nmore lines")

    monkeypatch.setattr("breakeven.hardware.devices.Cpu.initialize", lost)
    assert read_facts().devices[0].error == "CUDA error: out of memory"


def test_look(monkeypatch):
    """It is the one of a run, at the devices measured by default; what it cannot count is unreadable."""
    monkeypatch.setattr(facts_module, "take_look", lambda devices: Look(Load(2), len(devices)))
    facts = read_facts()
    assert facts.look == Look(Load(2), len(facts.devices))
    assert "other programs" in facts.unreadable


def test_affinity(quiet, monkeypatch):
    """If the affinity is unknown (macOS), all CPUs count."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5})
    assert read_facts().affinity == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert read_facts().affinity == os.cpu_count()


def test_throttled_while_spinning(quiet, monkeypatch):
    """Earlier counts do not matter."""
    counts = [7, 9]
    monkeypatch.setattr(facts_module, "throttle_count", lambda _: counts.pop(0))
    facts = read_facts()
    assert facts.throttled == 2
    assert "CPU throttling" not in facts.unreadable
