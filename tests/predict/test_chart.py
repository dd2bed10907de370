"""The break-even chart of a prediction: its stretches end at the range, and its texts are bands."""

import pytest

from breakeven.predict import cells
from breakeven.predict.chart import chart
from breakeven.predict.formula import Step
from breakeven.report.sides import Side
from support.predictions import L4, card, cpu_run, planted, prediction
from support.reports import only

__all__ = ["planted"]  # the fixture

FLAT = {"h100_16core": (2e-3, 0.0, 2.0)}
"""Of 2 ms, as 20 samples take on the CPU: with the band, 10 to 40."""


def segments_of(track):
    """The stretches of a track as plain tuples."""
    return [(one.low, one.high, str(one.stretch)) for one in track.segments]


@pytest.mark.parametrize(
    ("batches", "segments", "mark"),
    [
        ((1, 8, 64, 512), [(1, 10, "baseline"), (10, 40, "undecided"), (40, 512, "candidate")], (10, 40)),
        ((1, 20, 64), [(1, 10, "baseline"), (10, 40, "undecided"), (40, 64, "candidate")], (10, 40)),
        ((1, 20), [(1, 10, "baseline"), (10, 20, "undecided")], (10, None)),
        ((20, 64), [(20, 40, "undecided"), (40, 64, "candidate")], (None, 40)),
        ((1, 4), [(1, 4, "baseline")], None),
        ((64, 512), [(64, 512, "candidate")], None),
        ((12, 30), [(12, 30, "undecided")], None),
    ],
)
def test_stretches(tmp_path, planted, batches, segments, mark):
    """The CPU is faster up to the range, undecided within it, and the machine is faster beyond it."""
    planted(**FLAT)
    track = only(chart(prediction(tmp_path, cpu_run(batches=batches))).tracks)
    assert [name for *_, name in segments_of(track)] == [name for *_, name in segments]
    for (low, high, _), (low_expected, high_expected, _) in zip(segments_of(track), segments, strict=True):
        assert (low, high) == pytest.approx((low_expected, high_expected), rel=0.01)
    if mark is None:
        assert track.mark is None
    else:
        assert track.mark.at is None, "never a single batch size"
        for end, expected in zip((track.mark.low, track.mark.high), mark, strict=True):
            assert end == (None if expected is None else pytest.approx(expected, rel=0.01))


def test_texts(tmp_path, planted):
    """The break-even is a range, the speedup a band; the measured CPU and the machine have their names."""
    planted(**FLAT)
    found = chart(prediction(tmp_path, cpu_run()))
    track = only(found.tracks)
    assert found.is_predicted
    assert (track.wins_from, track.best, track.name) == ("9–40", "13–51x at 512", "")
    assert (track.baseline, track.candidate) == (Side("CPU", "cpu"), Side("H100", "cuda"))
    assert (found.smallest, found.largest) == (1, 512)


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ((0.0, 2e-4, 1.5), "0.33–0.75x at 8"),
        ((0.0, 4e-3, 1.5), "27–60x slower at 8"),
        ((2e-3, 0.0, 30.0), "0.85–770x at 512"),
    ],
)
def test_best(tmp_path, planted, step, text):
    """Where it is slower everywhere the least slow, and else the fastest, with its whole band."""
    planted(h100_16core=step)
    track = only(chart(prediction(tmp_path, cpu_run(batches=(1, 8, 512)))).tracks)
    assert track.best == text


def test_best_is_not_undecided(tmp_path, monkeypatch):
    """A cell that is shown to be faster is better than one that may be faster still."""
    steps = {8: Step(2e-4, 1e-4, 4e-4), 64: Step(1e-3, 1e-4, 1e-2)}
    monkeypatch.setattr(cells, "predict_step", lambda _card, _work, batch: steps[batch])
    found = prediction(tmp_path, cpu_run(batches=(8, 64)))
    assert [one.speedup for one in found.cells] == pytest.approx([4, 6.4], rel=0.01)
    assert only(chart(found).tracks).best == "2.0–8.0x at 8"


def test_several_machines(tmp_path, planted):
    """A row has a track for each machine, and the rows are by the end of their ranges, which 5 is not."""
    planted(h100_16core=(2e-3, 0.0, 2.0), l4=(8e-3, 0.0, 2.0))
    content = cpu_run(widths=(64, 128), batches=(8, 32, 512))
    found = chart(prediction(tmp_path, content, card(), card("l4", L4)))
    assert [row.axes for row in found.rows] == ["width=128", "width=64"]
    assert [track.name for track in found.rows[0].tracks] == ["H100", "L4"]
    assert [track.wins_from for track in found.rows[0].tracks] == ["20 at the latest", "19–80"]
    assert [side.name for side in found.candidates] == ["H100", "L4"]


def test_earlier_crossing(tmp_path, monkeypatch):
    """A stretch ends midway between batch sizes where the range is elsewhere."""
    steps = {
        batch: Step(step, step / 2, 2 * step) for batch, step in ((1, 1), (8, 1e-3), (64, 1), (512, 1e-3))
    }
    monkeypatch.setattr(cells, "predict_step", lambda _card, _work, batch: steps[batch])
    track = only(chart(prediction(tmp_path, cpu_run())).tracks)
    ends, stretches = [one.low for one in track.segments], [str(one.stretch) for one in track.segments]
    assert stretches == ["baseline", "undecided", "baseline", "undecided", "candidate"]
    assert ends == pytest.approx([1, 8**0.5, 512**0.5, track.mark.low, track.mark.high])


def test_not_predicted_is_hatched(tmp_path, planted):
    """A batch size that was not counted is neither faster nor slower."""
    planted(**FLAT)
    track = only(chart(prediction(tmp_path, cpu_run(), unknown=(512,))).tracks)
    assert segments_of(track)[-1] == (64, 512, "untimed")
    assert track.holes == (512,)


def test_nothing_predicted(tmp_path, planted):
    planted(**FLAT)
    assert not chart(prediction(tmp_path, cpu_run(), unknown=(1, 8, 64, 512)))
