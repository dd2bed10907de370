"""Facts are read from where the kernel and torch tell them, and what is not there is said to be so."""

import os
import sys
import tracemalloc

import pytest
import torch

from breakeven.doctor import contention
from breakeven.doctor import facts as facts_module
from breakeven.doctor.contention import Sample, sample, typical
from breakeven.doctor.facts import read_facts, read_frequency, throttle_count


def tree(root, **files):
    """Files under root; `__` stands for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


@pytest.fixture
def quiet(monkeypatch):
    """A machine on which nobody spins."""
    monkeypatch.setattr(facts_module, "sample", lambda threads: Sample((1.0,) * threads))


def test_governors_driver_and_turbo_are_read_of_all_cores(tmp_path):
    tree(
        tmp_path,
        cpu0__cpufreq__scaling_governor="powersave",
        cpu1__cpufreq__scaling_governor="performance",
        cpu0__cpufreq__scaling_driver="acpi-cpufreq",
        cpufreq__boost="1",
    )
    assert read_frequency(tmp_path) == (("performance", "powersave"), "acpi-cpufreq", True, {})


@pytest.mark.parametrize(("no_turbo", "turbo"), [("0", True), ("1", False)])
def test_intels_switch_says_no_turbo(tmp_path, no_turbo, turbo):
    tree(tmp_path, intel_pstate__no_turbo=no_turbo, cpu0__cpufreq__scaling_governor="performance")
    assert read_frequency(tmp_path)[2] is turbo


def test_a_machine_that_hides_its_clocks_is_unreadable_and_nothing_is_guessed(tmp_path):
    governors, driver, turbo, unreadable = read_frequency(tmp_path)
    assert (governors, driver, turbo) == ((), None, None)
    assert unreadable.keys() == {"governor", "turbo"}


def test_throttling_is_counted_over_all_cores_or_not_told(tmp_path):
    assert throttle_count(tmp_path) is None
    tree(
        tmp_path,
        cpu0__thermal_throttle__core_throttle_count="3",
        cpu1__thermal_throttle__core_throttle_count="4",
    )
    assert throttle_count(tmp_path) == 7


def test_reading_this_machine_gives_every_fact_and_changes_nothing(quiet, monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = (torch.get_num_threads(), dict(os.environ))
    facts = read_facts(tmp_path)
    assert facts.threads == 1
    assert facts.environment["OMP_NUM_THREADS"] == "1"
    assert facts.devices[-1].name != ""
    assert facts.unreadable.keys() == {"governor", "turbo", "CPU throttling"}
    assert facts.debug == ()
    assert (torch.get_num_threads(), dict(os.environ)) == before


def test_whatever_watches_this_python_is_named(quiet, monkeypatch):
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


def test_a_device_that_does_not_start_is_a_fact_and_no_traceback(quiet, monkeypatch):
    def lost(self):
        raise RuntimeError("CUDA error: out of memory\nmore lines")

    monkeypatch.setattr("breakeven.hardware.devices.Cpu.initialize", lost)
    assert read_facts().devices[0].error == "CUDA error: out of memory"


def test_every_thread_of_a_spin_says_what_it_got():
    got = sample(3, seconds=0.01)
    assert len(got.shares) == 3
    assert 0 <= got.lost <= 1


def test_what_was_lost_is_the_worst_threads_or_what_the_hypervisor_took():
    assert Sample((1.0, 0.75)).lost == 0.25
    assert Sample((1.02, 1.0), stolen=0.5).lost == 0.5
    assert Sample((1.02,)).lost == 0.0


def test_the_middle_of_several_samples_counts():
    samples = [Sample((share,)) for share in (0.2, 1.0, 0.9)]
    assert typical(samples) is samples[2]


def test_stolen_time_is_the_share_of_all_ticks(tmp_path):
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 100 700 0 0 0 100 9 9\n")
    before = contention._ticks(stat)
    stat.write_text("cpu  200 0 100 700 0 0 0 200 9 9\n")
    assert contention._stolen(before, contention._ticks(stat)) == 0.5
    assert contention._stolen(before, before) is None
    for text in ("", "cpu  1 2\n", "nonsense\n"):
        stat.write_text(text)
        assert contention._ticks(stat) is None
    assert contention._ticks(tmp_path / "absent") is None
