"""The CPU time of other programs, from counters that a test advances, and the wait for an idle machine."""

import os
from dataclasses import replace

import pytest

from breakeven.fitness import Load, Program
from breakeven.hardware import load as load_module
from breakeven.hardware.load import (
    IDLE_READINGS,
    PAUSE_S,
    WINDOW_S,
    CpuTimes,
    Moment,
    ProgramTime,
    moment,
    read_load,
    running_programs,
    spinning,
    wait_until_idle,
)


class Machine:
    """Counters of a machine of 2 cores: a list of the CPUs that other programs use, window by window.

    The process itself uses `own` CPUs while it waits.
    """

    def __init__(self, *foreign, own=0.0, stolen=0.0, programs=({},)):
        self.foreign = list(foreign)
        self.own, self.stolen, self.programs = own, stolen, list(programs)
        self.now = Moment(100.0, 1.0, CpuTimes(50.0, 3.0, 0.03))

    def wait(self, seconds):
        busy_s = self.now.times.busy_s + (self.foreign.pop(0) + self.own) * seconds
        times = CpuTimes(busy_s, self.now.times.stolen_s + self.stolen * seconds, 0.03)
        self.now = Moment(self.now.wall_s + seconds, self.now.process_s + self.own * seconds, times)

    def read(self):
        return read_load(self.wait, lambda: self.now, lambda: self.programs.pop(0))


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(load_module, "affinity_size", lambda: 2)
    monkeypatch.setattr(load_module, "usable_cores", lambda: 2)
    monkeypatch.setattr(load_module, "usable_cpus", lambda: 2)
    monkeypatch.setattr(load_module, "load_average", lambda: [1.5, 9.0, 9.0])


def test_idle():
    """One window, without a look at the programs; the process's own time is not another program's."""
    found = Machine(0.1, own=2.0, programs=()).read()
    assert found == Load(2, pytest.approx(0.1), 0.0, pytest.approx(0.1), 1.5)


def test_stolen():
    found = Machine(0.1, 0.1, 0.1, stolen=0.3, programs=({}, {})).read()
    assert (found.stolen_cpus, found.lost_cpus) == (pytest.approx(0.3), pytest.approx(0.4))


@pytest.mark.parametrize(("foreign", "median"), [((1.0, 0.0, 0.1), 0.1), ((0.5, 1.0, 0.9), 0.9)])
def test_busy(foreign, median):
    """A short burst is not counted: the median of three windows is."""
    machine = Machine(*foreign, programs=({}, {}))
    assert machine.read().lost_cpus == pytest.approx(median)
    assert machine.foreign == []


def test_busiest_programs():
    """Without this process, its parents and its children; one that is new counts from zero."""
    me = os.getpid()
    span_s = 2 * WINDOW_S
    before = {
        1: ProgramTime("init", 0, 9.0), me: ProgramTime("python", 1, 9.0),
        900001: ProgramTime("child", me, 9.0), 900002: ProgramTime("cc1", 1, 9.0),
        900003: ProgramTime("idle", 1, 9.0),
    }  # fmt: skip
    after = {pid: replace(one, cpu_s=one.cpu_s + span_s) for pid, one in before.items()}
    after[900003] = before[900003]
    after[900004] = ProgramTime("ld", 1, 0.5 * span_s)
    after[900005] = ProgramTime("as", 1, 0.2 * span_s)
    found = Machine(1.0, 1.0, 1.0, programs=(before, after)).read()
    assert found.programs == (
        Program("cc1", 900002, pytest.approx(1.0)),
        Program("ld", 900004, pytest.approx(0.5)),
    )


def test_parents_in_a_circle():
    """As where a process id is given anew while the programs are read."""
    programs = {900001: ProgramTime("a", 900002, 9.0), 900002: ProgramTime("b", 900001, 9.0)}
    later = {pid: replace(one, cpu_s=9.3) for pid, one in programs.items()}
    found = Machine(1.0, 1.0, 1.0, programs=(programs, later)).read()
    assert {program.name for program in found.programs} == {"a", "b"}


@pytest.mark.parametrize(("cores", "lost"), [(2, 1.0), (4, 0.0)])
def test_idle_cores(monkeypatch, cores, lost):
    """With a quota of 2 CPUs on 4 cores, another program finds an idle one."""
    monkeypatch.setattr(load_module, "usable_cores", lambda: cores)
    found = Machine(1.0, 1.0, 1.0, programs=({}, {})).read()
    assert (found.foreign_cpus, found.lost_cpus) == (pytest.approx(1.0), pytest.approx(lost))


def test_unknown():
    """Without counters, or with ones that do not advance."""
    assert read_load(lambda _: None, lambda: Moment(1.0, 0.0, CpuTimes())) == Load(2, load_average=1.5)
    moments = [Moment(1.0, 0.0, CpuTimes(5.0, 0.0, 0.03)), Moment(1.3, 0.3, CpuTimes(5.0, 0.0, 0.03))]
    assert read_load(lambda _: None, lambda: moments.pop(0)) == Load(2, load_average=1.5)


def test_clock_that_does_not_advance():
    still = Moment(1.0, 0.0, CpuTimes(5.0, 0.0, 0.03))
    assert read_load(lambda _: None, lambda: still) == Load(2, load_average=1.5)


@pytest.mark.parametrize(("busy_s", "foreign"), [(5.28, 0.0), (5.26, None)])
def test_counters_in_steps(busy_s, foreign):
    """They may count less than the process itself used, up to their error, and no time is given back."""
    moments = [Moment(1.0, 0.0, CpuTimes(5.0, 3.0, 0.03)), Moment(1.3, 0.3, CpuTimes(busy_s, 2.9, 0.03))]
    found = read_load(lambda _: None, lambda: moments.pop(0))
    assert (found.foreign_cpus, found.stolen_cpus, found.lost_cpus) == (foreign, foreign, foreign)


def test_unknown_stolen_time():
    moments = [Moment(wall, 0.0, CpuTimes(5.0, None, 0.03)) for wall in (1.0, 1.3)]
    assert read_load(lambda _: None, lambda: moments.pop(0)).stolen_cpus is None


def test_running_programs(tmp_path):
    """A name may hold anything; what ended meanwhile is left out."""
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    fields = "S 7 42 42 0 -1 4194304 1 0 0 0 250 50 9 9 20 0 1 0"
    for pid, text in (("42", f"42 (a) b (c) {fields}"), ("43", "43 (cut) S"), ("self", "")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "stat").write_text(text)
    (tmp_path / "44").mkdir()
    assert running_programs(tmp_path) == {42: ProgramTime("a) b (c", 7, pytest.approx(300 * tick_s))}
    assert running_programs(tmp_path / "absent") == {}


def test_this_machine():
    """Spinning threads take time of their own."""
    before = moment()
    spinning(2)(0.05)
    after = moment()
    assert after.process_s - before.process_s > 0.003  # at least a block each, however busy it is
    assert after.wall_s - before.wall_s >= 0.05
    assert before.times.busy_s is None or before.times.busy_s <= after.times.busy_s


class Waiting:
    """A clock that sleeping advances, and the loads that each reading finds; the last one remains."""

    def __init__(self, *lost):
        self.now, self.slept, self.lines = 0.0, [], []
        self.loads = [Load(2, cpus, 0.0, cpus) for cpus in lost]

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def read(self):
        return self.loads.pop(0) if len(self.loads) > 1 else self.loads[0]

    def run(self, limit_s):
        return wait_until_idle(limit_s, self.lines.append, self.read, self.sleep, lambda: self.now)


def test_nothing_to_wait_for():
    waiting = Waiting(0.1)
    assert waiting.run(300.0) is True
    assert (waiting.slept, waiting.lines) == ([], [])


def test_wait():
    """It ends when the machine was idle several times in a row."""
    waiting = Waiting(1.0, 1.0, 0.0, 0.0, 1.0, *(0.0,) * IDLE_READINGS)
    assert waiting.run(300.0) is True
    assert waiting.slept == [PAUSE_S] * (4 + IDLE_READINGS)
    began, ended = waiting.lines
    assert "1.0 of 2 CPUs" in began
    assert "5 min" in began
    assert "14 s" in ended


def test_wait_in_vain():
    """No longer than asked for."""
    waiting = Waiting(1.0, 0.9)
    assert waiting.run(5.0) is False
    assert waiting.slept == [PAUSE_S, PAUSE_S, 5.0 - 2 * PAUSE_S]
    assert "0.90 of 2 CPUs" in waiting.lines[-1]
    assert len(waiting.lines) == 2
