"""The replay of a recorded run: its times, its sweeps, and what later processes save."""

import durations
import pytest

from breakeven.case import Axes, Budget, Cell
from breakeven.phases import STEP_PARTS

H100 = [durations.RUNS / "h100-16core" / name for name in ("run.json", "large.json")]


@pytest.fixture(scope="module")
def recording():
    return durations.Recording.read(*H100)


def cell(recording, **wanted):
    return next(
        one
        for one in recording.sweep("full")
        if wanted.items() <= {"workload": one.workload, "batch_size": one.batch_size, **one.axes}.items()
    )


def test_recorded(recording):
    """The parts of a step add up to at least the recorded step; a slow step comes from the other file."""
    assert len(recording.cells) == 114
    slow = recording.cells[cell(recording, workload="lstm", batch_size=1024, hidden=512), "cpu"]
    assert sum(slow.parts.values()) == pytest.approx(1.0323, abs=1e-4)
    assert set(slow.parts) == set(STEP_PARTS)
    unknown = recording.cells[cell(recording, batch_size=256, d_model=512, optimizer="sgd"), "cpu"]
    assert 1.0 < sum(unknown.parts.values()) < 2.5  # 0.114 s at a batch of 16


def test_short(recording):
    """The extremes of each argument."""
    short = recording.sweep("short")
    assert len(short) == 26
    assert {one.batch_size for one in short if one.workload == "seed_net"} == {1, 65536}
    assert {one.axes["width"] for one in short if one.workload == "mlp"} == {64, 4096}


@pytest.mark.parametrize("level", [1.0, 2.0])
def test_known_seconds(level):
    """A step of 1 s: 5 steps in the first process of a CPU, 3 in a later one, and building."""
    parts = dict.fromkeys(STEP_PARTS, level / 5)
    one = Cell("w", Axes({}), 1)
    recording = durations.Recording({(one, "cpu"): durations.Recorded(parts, {})}, preparing_s=0.0)
    durations_s = durations.replay(recording, [one], 5, Budget(), between={"cpu": 0.0})
    assert len(durations_s) == 5
    for seconds in durations_s[3:]:  # the headline alone
        assert seconds - durations.STARTUP_S - 1.0 == pytest.approx(3 * level, rel=0.01)
    assert durations_s[0] > durations_s[1] >= durations_s[4]


def test_cheaper_cells(recording):
    """Of three small cells a later process takes a fraction of the first one's time."""
    cells = [one for one in recording.sweep("short") if one.workload == "mlp" and one.axes["width"] == 64][:2]
    first, second, *_, last = durations.replay(recording, cells, 5, Budget())
    start_s = durations.STARTUP_S + 2.0  # and two devices to initialize
    assert second - start_s < 0.7 * (first - start_s)
    assert last - start_s < second - start_s


@pytest.mark.slow
@pytest.mark.parametrize(("sweep", "max_s"), [("full", 480.0), ("short", 300.0)])
def test_sweeps(recording, sweep, max_s):
    """On the H100, in five processes at the default time of a case."""
    assert sum(durations.replay(recording, recording.sweep(sweep), 5, Budget())) < max_s
