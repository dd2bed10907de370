"""When a machine is busy, and what its problems say; at the thresholds, exactly."""

import json

import pytest

from breakeven.fitness import MAX_LOST_CPUS, MAX_SLOWDOWN, Load, Look, Program, spins_while_waiting

IDLE = Load(16, 0.25, 0.0, 0.25)
MAKE = Program("make\n", 12, 0.51)
BUSY = Load(2, 0.97, 0.0, 0.97, 1.5, (MAKE, Program("x" * 50, 13, 0.4)))


STOLEN = Load(4, 0.1, 0.4, 0.5)


def look(slowdown, load=IDLE, **changes):
    return Look(load, 2, 1e-3, slowdown * 1e-3, **changes)


@pytest.mark.parametrize(
    ("lost", "is_busy"), [(None, False), (0.0, False), (MAX_LOST_CPUS, False), (MAX_LOST_CPUS + 0.01, True)]
)
def test_busy(lost, is_busy):
    assert (Load(2, lost, None, lost).problem is not None) is is_busy


def test_load_names_the_programs():
    """On one line, and not at length."""
    problem = BUSY.problem
    assert problem.seen == (
        f"other programs used 0.97 of 2 CPUs: make\\n (pid 12, 0.51 CPUs), {'x' * 37}... (pid 13, 0.40 CPUs)"
    )
    assert problem.remedy.startswith("stop them, or let --breakeven-wait-idle=5m")
    assert str(problem) == f"{problem.seen}; {problem.remedy}"


def test_load_without_a_name():
    assert Load(2, 0.5, None, 0.5).problem.remedy.startswith("find them with `top`")


def test_load_of_other_machines():
    problem = STOLEN.problem
    assert "hypervisor gave 0.40 of 4 CPUs" in problem.seen
    assert "wait-idle" not in problem.remedy


def test_load_of_both():
    """The larger part is named, with its remedy."""
    problem = Load(4, 0.4, 0.1, 0.5).problem
    assert problem.seen == "other programs used 0.40 of 4 CPUs"
    assert "wait-idle" in problem.remedy


def test_fit():
    assert look(1.5, spins=True).found == []
    assert look(MAX_SLOWDOWN, spins=True).found == []
    assert Look(Load(1)).found == []


@pytest.mark.parametrize(
    ("load", "spins", "remedy"),
    [
        (IDLE, True, "set OMP_WAIT_POLICY=passive, or stop what `top` shows"),
        (BUSY, True, f"set OMP_WAIT_POLICY=passive, or stop {BUSY.programs[0]} and {BUSY.programs[1]}"),
        (BUSY, False, f"stop {BUSY.programs[0]} and {BUSY.programs[1]}"),
        (STOLEN, False, STOLEN.problem.remedy),
    ],
)
def test_slow_threads(load, spins, remedy):
    """The policy is advised only where it is not in effect, and the program where it is known."""
    problem = look(103, load, spins=spins).slow_threads
    assert problem.seen == "the canary took 103 times as long on 2 threads as on 1"
    assert problem.remedy == remedy


def test_slow_to_wake():
    """Sleeping threads without another program beside them are slow, and not hindered."""
    assert look(40.0).found == []


def test_worst_first():
    first, second = map(str, look(103, BUSY).found)
    assert "canary" in first
    assert "other programs" in second


@pytest.mark.parametrize("found", [look(103, BUSY, spins=True), Look(Load(1)), Look(IDLE)])
def test_round_trip(found):
    assert Look.from_dict(json.loads(json.dumps(found.as_dict()))) == found


@pytest.mark.parametrize(
    "value",
    [None, [], {}, {"load": None}, {"load": {"cpus": 0}}, {"load": {"cpus": 2, "lost_cpus": -1.0}},
     {"load": {"cpus": 2, "lost_cpus": float("nan")}}, {"load": {"cpus": 2, "lost_cpus": float("inf")}},
     {"load": {"cpus": 2}, "threads": "\ud800"}, {"load": {"cpus": 2, "programs": [{"name": 3}]}}],
)  # fmt: skip
def test_unreadable(value):
    assert Look.from_dict(value) is None


def test_of_a_newer_version():
    """What it adds is passed over."""
    assert Look.from_dict({"load": {"cpus": 2, "pressure": 1}, "swap": 3}) == Look(Load(2))


@pytest.mark.parametrize(
    ("environment", "spins"),
    [
        ({}, True),
        ({"OMP_WAIT_POLICY": "active"}, True),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, False),
        ({"GOMP_SPINCOUNT": "0"}, False),
        ({"KMP_BLOCKTIME": "0"}, False),
        ({"KMP_BLOCKTIME": "200"}, True),
    ],
)
def test_spins(environment, spins):
    assert spins_while_waiting(environment) is spins
