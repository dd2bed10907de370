"""How many processes would decide what is open, from exact speedups and their noise."""

import math
from dataclasses import replace

import numpy as np
import pytest

from breakeven.case import Axes, CaseKey, Cell, Line, Model
from breakeven.report.break_even import BreakEven
from breakeven.report.estimates import Estimate
from breakeven.report.processes_needed import ProcessesNeeded, needed_for, needed_sentence
from breakeven.report.speedup import Speedup, verdict_of
from breakeven.stats.crossing import Crossing, CrossingStatus
from breakeven.stats.intervals import RatioInterval
from breakeven.stats.process_noise import ProcessNoise

NOISE = {"log_sd": 0.1, "df": 4.0, "processes": 5}
CROSSING = Crossing(CrossingStatus.CROSSES, 8.0, 7.0, 9.0, (1, 64))


def row(batch, speedup, name="mlp", device="cuda", **noise):
    """A speedup with Student's interval over its processes."""
    known = {**NOISE, **noise}
    half = math.exp(ProcessNoise(**known).half_width(known["processes"]))
    ratio = RatioInterval(speedup / half, speedup, speedup * half)
    keys = (CaseKey(Cell(name, Axes(), batch), "train", one) for one in (device, "cpu"))
    return Speedup(*keys, speedup, ratio.low, ratio.high, verdict_of(ratio), **known)


def line(*rows, crossing=Crossing(CrossingStatus.UNDECIDED)):  # noqa: B008 - frozen
    """The break-even of these speedups."""
    first = rows[0]
    batches = tuple(one.batch_size for one in rows)
    return BreakEven(first.candidate.line, first.baseline.line, batches, (), crossing, rows)


def found(*lines, rounds_half_width=0.0):
    """How many processes would decide these lines, where the rounds alone have this half-width."""
    keys = {key for one in lines for each in one.rows for key in (each.candidate, each.baseline)}
    cases = [
        Estimate(key, 9, 1, 1.0, 1.0, 1.0, np.empty(0), rounds_half_width=rounds_half_width) for key in keys
    ]
    return needed_for(lines, cases)


@pytest.mark.parametrize(
    ("speedup", "processes"),
    [(1.11, 7), (1 / 1.11, 7), (1.05, 19), (1.03, 47), (1.0, None), (1.01, None)],
)
def test_one_cell(speedup, processes):
    """The number at which Student's interval is clear of 1x, or within 2% of it."""
    decided = found(line(row(8, speedup)))
    assert decided == ProcessesNeeded(processes, int(processes is not None), 1)
    if processes is not None:
        noise, effect = ProcessNoise(**NOISE), abs(math.log(speedup))
        reach = [noise.half_width(number) for number in (processes, processes - 1)]
        clear = [half < effect or effect + half <= math.log(1.02) for half in reach]
        assert clear == [True, False]


def test_same():
    """A speedup within 2% of 1 is decided once its interval is."""
    number = found(line(row(8, 1.005, log_sd=0.02))).processes
    half = [ProcessNoise(0.02, 4.0, 5).half_width(n) + math.log(1.005) for n in (number, number - 1)]
    assert [one <= math.log(1.02) for one in half] == [True, False]


@pytest.mark.parametrize(
    "rows",
    [
        (row(8, 1.5),),
        (row(8, 0.5),),
        (row(8, 0.5), row(64, 1.01), row(512, 1.5)),
        (row(8, 1.01), row(64, 0.5)),
        (row(8, 1.0, log_sd=0.001),),
    ],
    ids=["always", "never", "crosses", "loses the largest", "same"],
)
def test_nothing_open(rows):
    """A cell that the answer does not depend on may stay undecided."""
    assert found(line(*rows)) is None


def test_the_open_cell_decides():
    """Where the largest batch wins and none is slower, every cell must be decided."""
    assert found(line(row(8, 1.11), row(64, 1.5))).processes == 7
    assert found(line(row(8, 0.5), row(64, 1.05))).processes == 19


def test_wide_crossing():
    """A break-even of which the interval spans more than a factor of 4 is open; its width shrinks."""
    rows = (row(1, 0.5), row(64, 1.5))
    wide = Crossing(CrossingStatus.CROSSES, 8.0, 3.0, 24.0, (1, 64))
    noise = ProcessNoise(**NOISE)
    number = found(line(*rows, crossing=wide)).processes
    widths = [math.log(8) * noise.half_width(n) / noise.half_width(5) for n in (number, number - 1)]
    assert [width <= math.log(4) for width in widths] == [True, False]
    unbounded = Crossing(CrossingStatus.CROSSES, 8.0, None, 9.0, (1, 64))
    assert found(line(*rows, crossing=unbounded)).open == 1
    assert found(line(*rows, crossing=CROSSING)) is None


def test_noise_of_the_rounds():
    """More processes do not average the noise of the rounds, whose time they share."""
    number = found(line(row(8, 1.05)), rounds_half_width=0.02).processes
    noise = ProcessNoise(**NOISE, rounds_half_width=math.sqrt(2) * math.log(1.02))
    assert [noise.half_width(n) < math.log(1.05) for n in (number, number - 1)] == [True, False]
    assert found(line(row(8, 1.05)), rounds_half_width=0.04) == ProcessesNeeded(None, 0, 1)


@pytest.mark.parametrize(
    ("speedups", "needed", "text"),
    [
        ((1.11,), (7, 1, 1), "A run with --breakeven-processes=7 would decide the open model."),
        ((1.05, 1.11), (19, 2, 2), "A run with --breakeven-processes=19 would decide both open models."),
        (
            (1.11, 1.05, 1.03, 1.01),
            (19, 2, 4),
            "A run with --breakeven-processes=19 would decide 2 of the 4 open models.",
        ),
        (
            (1.03, 1.01),
            (47, 1, 2),
            "A run with --breakeven-processes=47 would decide 1 of the 2 open models.",
        ),
        (
            (1.01, 1.01),
            (None, 0, 2),
            "Up to 100 processes would not decide any of the 2 open models; give each case more time "
            "(--benchmark-max-time).",
        ),
    ],
)
def test_sentence(speedups, needed, text):
    """As much as at most 25 processes decide; where they decide nothing, the first."""
    lines = [line(row(8, speedup, f"m{i}")) for i, speedup in enumerate(speedups)]
    decided = found(*lines)
    assert decided == ProcessesNeeded(*needed)
    assert needed_sentence(decided, lines) == text


def test_mixed_processes():
    """A model of one process beside another of several does not hide what more of them decide."""
    alone = replace(row(8, 1.05, "cnn"), processes=1, log_sd=None, df=None)
    lines = [line(alone), line(row(8, 1.11))]
    assert needed_sentence(found(*lines), lines).endswith("=7 would decide 1 of the 2 open models.")
    two = row(8, 1.11, processes=3, df=2.0), row(64, 1.5, processes=12, df=11.0)
    assert found(line(*two)).processes == 13


def test_wide_crossing_of_unequal_noise():
    """The noisier of the two neighbors decides how much narrower a crossing becomes."""
    wide = Crossing(CrossingStatus.CROSSES, 8.0, 3.0, 24.0, (1, 64))
    rows = row(1, 0.5), row(64, 1.5, log_sd=0.05, df=1e6)
    noises = [ProcessNoise(one.log_sd, one.df, one.processes) for one in rows]
    number = found(line(*rows, crossing=wide)).processes
    widest = [
        max(math.log(8) * noise.half_width(n) / noise.half_width(5) for noise in noises)
        for n in (number, number - 1)
    ]
    assert [width <= math.log(4) for width in widest] == [True, False]


def test_sentence_of_several_candidates():
    lines = [line(row(8, 1.11, device=device)) for device in ("cuda", "cpu@1")]
    assert needed_sentence(found(*lines), lines).endswith("would decide both open break-evens.")


def test_one_process():
    """It shows no spread, so that the number is unknown, and there is no sentence."""
    alone = replace(row(8, 1.05), processes=1, log_sd=None, df=None)
    assert found(line(alone)) == ProcessesNeeded(None, 0, 1)
    assert needed_sentence(found(line(alone)), [line(alone)]) is None


def test_nothing_in_common():
    """A line without a usable timing is open, and no number of processes helps."""
    empty = BreakEven(
        Line(Model("mlp"), "train", "cuda"), Line(Model("mlp"), "train", "cpu"), (), (), CROSSING, ()
    )
    assert found(empty) == ProcessesNeeded(None, 0, 1)


def test_affordable(monkeypatch):
    """The limit itself is."""
    monkeypatch.setattr("breakeven.report.processes_needed.AFFORDABLE", 19)
    assert found(line(row(8, 1.05)), line(row(8, 1.11, "cnn"))) == ProcessesNeeded(19, 2, 2)
