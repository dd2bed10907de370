"""The break-even chart in characters, and its rows as a table."""

import io

import pytest
from rich.console import Console

from breakeven.render.break_even_text import MAX_ROWS, lines, table
from breakeven.render.chart_labels import on_axis, ticks
from breakeven.render.terminal import WIDTH
from breakeven.report.chart import chart
from support.charts import EVERY_STATUS, chart_of, ended, line, predicted, sixty


def drawn(found):
    """The lines of a chart as plain text."""
    return [text.plain for text in lines(found)]


def test_whole_chart():
    slow = line({1: "-", 64: "-"}, "never", axes={"width": 8})
    cut = line({1: "+", 8: "+"}, "always", holes=(64,), workload="cnn")
    found = chart_of(
        cut,
        slow,
        line({1: "-", 8: "-", 64: "+"}, "crosses", 20, 9.4, 41),
        line({1: "-", 8: "?", 64: "="}, axes={"width": 128}),
        outcomes=[ended(cut, "candidate", 64, "oom")],
    )
    assert drawn(found) == [
        "                CPU faster                        GPU faster  GPU wins from          best speedup",
        "cnn             ██████████████████████//////////////////////  always (1–8)             2.00x at 1",
        "                GPU out of memory above 8",
        "mlp  width=64   ░░░░░░░░░░░░░░░░░░░░░░░────────◆───────█████  20 [9–41]               2.00x at 64",
        "     width=128  ░░░░░░░░░░░░································  undecided (1–64)",
        "     width=8    ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  never (1–64)      2.00x slower at 1",
        "                1                     8                   64",
        "░ CPU faster  █ GPU faster  · undecided or the same  / not timed  ◆─ break-even, 95% interval",
    ]


def test_whole_predicted_chart():
    """Tracks are lines, as an outline is, and ranges are in brackets."""
    found = predicted(
        chart_of(
            line({1: "+", 8: "+"}, "always", holes=(64,), workload="cnn"),
            line({1: "-", 8: "-", 64: "+"}, "crosses", 20, 9.4, 41),
            line({1: "-", 64: "+"}, "crosses", 20, 20, 20.1, axes={"width": 65}),
            line({1: "-", 8: "?", 64: "+"}, "crosses", 20, None, 41, axes={"width": 66}),
            line({1: "-", 8: "?", 64: "+"}, "crosses", 20, 9.4, None, axes={"width": 67}),
        )
    )
    assert drawn(found) == [
        "               CPU predicted faster    GPU predicted faster  predicted win from  predicted speedup",
        "cnn            ══════════════════════//////////////////////  always (1–8)               2.00x at 1",
        "               no usable timing above 8",
        "mlp  width=64  ───────────────────────[··············]═════  20 [9–41]                 2.00x at 64",
        "     width=65  ───────────────────────────────|════════════  20 [20–21]                2.00x at 64",
        "     width=66  <·····································]═════  20 [<1–41]                2.00x at 64",
        "     width=67  ────────────···········[···················>  20 [9–>64]                2.00x at 64",
        "               1                     8                   64",
        "─ CPU predicted faster  ═ GPU predicted faster  · undecided: measure  / not predicted",
        "[·] break-even within, 90% band",
    ]


def test_several_predicted_machines():
    """The legend has a word for all of them."""
    found = predicted(
        chart_of(*(line({1: "+", 64: "+"}, "always", candidate=one) for one in ("cuda", "xpu")))
    )
    assert drawn(found)[-1] == "═ machine predicted faster"


def test_long_note_is_wrapped():
    """Its end may be the batch sizes to which it is limited."""
    one = line({1: "-", 8: "+"}, "crosses", 4, 3, 5)
    note = "the CPU is faster in bfloat16 with compile and with channels_last at batch 1–4,096 and 65,536"
    found = chart([one], [], {"box": "box"}, [], {one.candidate: note})
    first, second = drawn(found)[2:4]
    assert f"{first.strip()} {second.strip()}" == note
    assert max(map(len, (first, second))) <= WIDTH


@pytest.mark.parametrize(
    ("low", "high", "interval"),
    [(4, 16, "░─◆─█"), (None, 16, "<─◆─█"), (4, None, "░─◆─>"), (None, None, "<─◆─>"), (8, 8, "░░◆██")],
)
def test_open_interval(low, high, interval):
    """An end that is unbounded is an arrow at the end of the track."""
    found = chart_of(line({2: "-", 32: "+"}, "crosses", 8, low, high))
    track = drawn(found)[1].split()[2]
    assert track[0] + track[11] + track[len(track) // 2] + track[-12] + track[-1] == interval


def test_open_interval_of_a_shorter_track():
    """Its ends are those of the track, not those of the axis."""
    wide = line({1: "-", 4096: "-"}, "never", workload="cnn")
    found = chart_of(line({8: "-", 512: "+"}, "crosses", 64), wide)
    (row,) = (text for text in drawn(found) if text.startswith("mlp"))
    assert "  <──────────◆─────────>  " in row


def test_the_same_alone():
    found = chart_of(line({1: "=", 64: "="}))
    assert drawn(found)[-1] == "· undecided or the same"


def test_long_texts():
    """Each note has its line, the axes have all but the usual width of a track, and no names widen a line."""
    made = line({1: "+", 16: "+"}, "always", holes=(64, 256, 1024), axes={"note": "x" * 30, "width": 1024})
    words = [("candidate", 64, "skipped"), ("candidate", 256, "oom"), ("baseline", 256, "timeout")]
    texts = drawn(chart_of(made, outcomes=[ended(made, *one) for one in words]))
    notes = [text.strip() for text in texts[2:5]]
    assert notes == [
        "GPU skipped at 64",
        "CPU timed out and GPU out of memory at 256",
        "no usable timing above 256",
    ]
    assert "x" * 30 + " width=1024" in texts[1]
    for length in range(1, 40):
        machines = {"a": "a" * length, "b": "b" * length}
        pair = line({1: "-", 8: "+"}, "crosses", 4, candidate_machine="a", baseline_machine="b")
        first, *_, last = drawn(chart_of(pair, machines=machines))
        assert max(map(len, (first, last))) <= 100
        assert "fasterGPU" not in first.replace(" faster GPU", " fasterGPU")


def test_short_stretch_is_visible():
    """A single timed batch size between others that were not."""
    found = chart_of(line({1: "+"}, "always", holes=(4096,)))
    (row,) = (text for text in drawn(found) if text.startswith("mlp"))
    assert row.split()[2] == "█" + "/" * 43


def test_several_candidates():
    found = chart_of(
        line({1: "+", 64: "+"}, "always", candidate="cuda:0"),
        line({1: "-", 64: "-"}, "never", candidate="cuda:1"),
    )
    names = [text[:15].rstrip() for text in drawn(found)[1:4]]
    assert names == ["mlp  width=64", "     cuda:0", "     cuda:1"]
    assert "candidate faster" in drawn(found)[0]


def test_fits_the_terminal():
    found = chart_of(*sixty())
    texts = drawn(found)
    assert max(map(len, texts)) <= 100
    assert texts[-1] == f"... and {60 - MAX_ROWS} more models, all in summary.md"
    wide = [
        line(
            {10**9: "-", 10**12: "+"}, "crosses", 1.5e11, 1.2e10, 9e11, workload="w" * 60, axes={"a" * 60: 1}
        )
    ]
    assert max(map(len, drawn(chart_of(*wide)))) <= 100


def test_plain_in_a_pipe():
    """Colors are only for terminals."""
    shown = []
    for options in ({"force_terminal": True, "color_system": "truecolor"}, {}):
        console = Console(file=io.StringIO(), width=100, **options)
        for text in lines(chart_of(*EVERY_STATUS)):
            console.print(text)
        shown.append(console.file.getvalue())
    assert "\x1b[" in shown[0]
    assert "\x1b" not in shown[1]


def test_table():
    """All rows; columns that would be empty are left out."""
    found = table(chart_of(*sixty()))
    assert len(found.rows) == 60
    assert found.columns == ("model", "GPU wins from batch", "best speedup", "note")
    several = table(chart_of(line({1: "+"}, candidate="cuda:0"), line({1: "?"}, candidate="cuda:1")))
    assert several.columns == ("model", "device", "wins from batch", "best speedup")
    assert [row[:2] for row in several.rows] == [("mlp width=64", "cuda:0"), ("mlp width=64", "cuda:1")]


def test_ticks():
    """Both ends, then the batch sizes of most models; no two labels touch."""
    found = chart_of(line({1: "+", 16: "+", 24: "+", 1024: "+"}), line({1: "+", 24: "+"}, workload="cnn"))
    assert ticks(found, lambda batch: 40 * on_axis(found, batch), len, 1) == [1, 24, 1024]
    assert ticks(found, lambda batch: 400 * on_axis(found, batch), len, 1) == [1, 16, 24, 1024]
    assert ticks(chart_of(line({64: "+"})), lambda _: 0, len, 1) == [64]
    alone = chart_of(line({1: "+", 16: "+", 24: "+", 1024: "+"}))
    assert ticks(alone, lambda batch: 40 * on_axis(alone, batch), len, 1) == [1, 16, 1024]


def test_no_rows():
    assert drawn(chart_of()) == []
