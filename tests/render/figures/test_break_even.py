"""The break-even chart as a figure: nothing overlaps, and its texts are those of the other outputs."""

import html
import itertools
import re
from dataclasses import replace

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from breakeven.render import break_even_text
from breakeven.render.figures import FIGURES, to_svg
from breakeven.render.figures.break_even import (
    MAX_DRAWN,
    MAX_ROWS,
    description,
    folded_title,
    narrow,
    parts,
    wide,
)
from breakeven.render.figures.style import PRINT_DPI, drawing
from breakeven.render.markdown import markdown_table
from support.charts import EVERY_STATUS, chart_of, ended, line, predicted, sixty
from support.reports import report
from support.run_files import affine_run

LONG = "a model with a name that is far too long for any column of a chart " * 2
MACHINES = {"a": "laptop", "b": "server", "c": "an old workstation with a long name under the desk"}
CUT = line({1: "+", 16: "+"}, "always", holes=(64, 256), axes={"width": 99})

CHARTS = {
    "every status": chart_of(*EVERY_STATUS),
    "sixty": chart_of(*sixty()),
    "one": chart_of(EVERY_STATUS[4]),
    "one batch size": chart_of(line({64: "+"}, "always")),
    "nothing timed": chart_of(line({}, holes=(64,))),
    "long names": chart_of(
        *(line({1: "-", 64: "+"}, "crosses", 9, 5, 12, workload=LONG + name, axes={LONG: 1}) for name in "ab")
    ),
    "outcomes": chart_of(
        CUT, outcomes=[ended(CUT, "baseline", 64, "timeout"), ended(CUT, "candidate", 256, "oom")]
    ),
    "two candidates": chart_of(
        *(line({1: "-", 64: "+"}, "crosses", 9, 5, 12, candidate=name) for name in ("cuda:0", "cuda:1"))
    ),
    "three machines": chart_of(
        *(line({1: "+", 64: "+"}, "always", candidate_machine=name, baseline_machine=name) for name in "abc"),
        machines=MACHINES,
    ),
    "across machines": chart_of(
        *(line({1: "+", 64: "?"}, candidate=device, candidate_machine=name, baseline_machine="b")
          for name in "abc" for device in ("cpu", "cuda") if (name, device) != ("b", "cpu")),
        machines=MACHINES,
    ),
    "large batch sizes": chart_of(
        line({1: "-", 1_000_000: "-", 16_777_216: "+"}, "crosses", 9e6, 8_000_000, None),
        line(dict.fromkeys(range(1, 200, 7), "+"), "always", workload="cnn"),
    ),
}  # fmt: skip
CHARTS |= {f"{name}, predicted": predicted(CHARTS[name]) for name in ("every status", "two candidates")}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A report, for the heading of the charts."""
    return report(tmp_path_factory.mktemp("report"), affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))


def drawn(found, chart, draw):
    """The figure of a chart."""
    with drawing():
        figure = draw(found, chart)
    figure.set_dpi(PRINT_DPI)
    return figure


def texts_of(figure):
    """The visible texts of a figure."""
    return [text for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("draw", [wide, narrow])
@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_texts_never_collide(found, chart, draw):
    """Nor do they leave the figure."""
    figure = drawn(found, chart, draw)
    with drawing():
        boxes = [(text.get_text(), text.get_window_extent()) for text in texts_of(figure)]
    for (one, box), (other, other_box) in itertools.combinations(boxes, 2):
        overlap = (
            box.x0 < other_box.x1
            and other_box.x0 < box.x1
            and box.y0 < other_box.y1
            and other_box.y0 < box.y1
        )
        assert not overlap, (one, other)
    for text, box in boxes:
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text


@pytest.mark.parametrize("draw", [wide, narrow])
@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_no_text_on_a_track(found, chart, draw):
    figure = drawn(found, chart, draw)
    with drawing():
        texts = [(text.get_text(), text.get_window_extent()) for text in texts_of(figure)]
    bars = [
        bar.get_window_extent()
        for bar in figure.axes[0].findobj(Rectangle)
        if bar is not figure.axes[0].patch
    ]
    for text, box in texts:
        assert not any(
            bar.x0 < box.x1 and box.x0 < bar.x1 and bar.y0 < box.y1 - 1 and box.y0 + 1 < bar.y1
            for bar in bars
        ), text


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_outputs_agree(found, chart):
    """Figures, terminal and markdown have the same texts for every row."""
    svgs = [
        [
            html.unescape(text)
            for text in re.findall(r"<text[^>]*>([^<]*)</text>", to_svg(drawn(found, chart, draw)).decode())
        ]
        for draw in (wide, narrow)
    ]
    rows = markdown_table(break_even_text.table(chart), None, "").splitlines()[2:]
    terminal = [text.plain for text in break_even_text.lines(chart)]
    shown = [track for row in chart.rows[: break_even_text.MAX_ROWS] for track in row.tracks]
    for track, row in zip(chart.tracks, rows, strict=True):
        cells = [cell.strip() for cell in html.unescape(row).strip("|").split(" | ")]
        for text in filter(None, (track.wins_from, track.best)):
            assert text in cells
            assert all(text in svg for svg in svgs)
            assert track not in shown or any(f"  {text}" in one for one in terminal)
        assert not track.notes or "; ".join(track.notes) in cells
    everything = [text for track in chart.tracks for text in (track.wins_from, track.best)]
    for svg in svgs:
        ours = [text for text in svg if re.search(r"\[|\dx at|always|never \(|beyond \d|undecided", text)]
        assert set(ours) - {"undecided or the same", "undecided: measure"} <= {*everything}, "and no others"


def test_folds(found):
    """The first rows are one figure, the others one per workload; the file has all rows."""
    chart = CHARTS["sixty"]
    first, *later = parts(chart, "break_even")
    assert (first.name, first.title, len(first.chart.rows)) == ("break_even", "", MAX_ROWS)
    assert [part.name for part in later] == ["break_even_1", "break_even_2"]
    assert later[-1].title == f"{later[-1].chart.rows[0].workload}: {len(later[-1].chart.rows)} more models"
    assert tuple(row for part in (first, *later) for row in part.chart.rows) == chart.rows
    assert {(part.chart.smallest, part.chart.largest) for part in later} == {(1, 65536)}, "one axis for all"
    whole = FIGURES["break_even"].draw(replace(found, chart=chart))
    ends = [text.get_text() for text in texts_of(whole)]
    assert all(row.tracks[0].wins_from in ends for row in chart.rows)
    assert parts(chart_of(), "break_even") == []
    assert [part.name for part in parts(CHARTS["one"], "break_even")] == ["break_even"]


def test_more_rows_than_are_drawn(found):
    """A chart of hundreds of models draws some of each workload, and shows how many are in the table only."""
    chart = CHARTS["sixty"]
    many = replace(
        chart,
        rows=tuple(
            replace(chart.rows[0], workload=workload, axes=str(place))
            for workload, count in (("mlp", 300), ("cnn", 10))
            for place in range(count)
        ),
    )
    drawn = [row for part in parts(many, "break_even") for row in part.chart.rows]
    assert [row.workload for row in drawn] == ["mlp"] * (MAX_DRAWN - 10) + ["cnn"] * 10
    assert folded_title(many) == f"{310 - MAX_ROWS} more models, {MAX_DRAWN - MAX_ROWS} of them drawn"
    assert folded_title(chart) == "30 more models"
    whole = FIGURES["break_even"].draw(replace(found, chart=many))
    texts = [text.get_text() for text in texts_of(whole)]
    assert f"{310 - MAX_DRAWN} more models are in the table (summary.csv)." in texts
    assert texts.count(chart.rows[0].tracks[0].wins_from) == MAX_DRAWN


def colors_of(figure):
    """The colors of the bars, with those that are hatched as "hatched"."""
    bars = [bar for bar in figure.axes[0].findobj(Rectangle) if bar is not figure.axes[0].patch]
    return ["hatched" if bar.get_hatch() else bar.get_facecolor() for bar in bars]


def test_colors(found, look):
    chart = chart_of(
        line({1: "-", 64: "+"}, "crosses", 9, holes=(512,)), line({1: "?", 64: "="}, workload="b")
    )
    colors = [color if color == "hatched" else "#" + "".join(f"{round(255 * part):02x}" for part in color[:3])
              for color in colors_of(drawn(found, chart, wide))]  # fmt: skip
    blue, orange, pale = "#0072b2", "#d55e00", "#dddddd"
    assert sorted(colors) == sorted(
        [blue, orange, *[blue, orange, "hatched"], pale, pale, *[pale, "hatched"]]
    ), "the heading, one track, the other, the legend"


def test_machines_of_one_device(found):
    """A candidate that is the same device as its baseline, on another machine, has its own color."""
    chart = CHARTS["across machines"]
    colors = colors_of(drawn(found, chart, wide))
    assert len({color for color in colors if color != "hatched"}) == 4, "two CPUs, GPUs, undecided"


def test_single_batch_size_is_visible(found):
    """A stretch without a length has a width of its own."""
    for chart in (CHARTS["one batch size"], chart_of(line({1: "+"}, holes=(64,)))):
        (axes,) = drawn(found, chart, narrow).axes
        assert min(bar.get_width() for bar in axes.findobj(Rectangle) if bar is not axes.patch) == 4


@pytest.mark.parametrize("draw", [wide, narrow])
def test_names_of_devices(found, draw):
    """Two are named above the tracks, more in the legend."""
    for name, expected in (
        ("one", ["CPU faster", "GPU faster"]),
        ("two candidates", ["CPU faster", "cuda:0 faster", "cuda:1 faster"]),
    ):
        texts = [text.get_text() for text in texts_of(drawn(found, CHARTS[name], draw))]
        assert [text for text in texts if re.fullmatch(r"\S+ faster", text)] == expected


def test_break_even_marks(found, look):
    """A diamond in the measured range; an unbounded end of its interval is an arrow at the track's end."""
    for low, high, ends in ((4, 16, "||"), (None, 16, "<|"), (4, None, "|>")):
        (axes,) = drawn(found, chart_of(line({2: "-", 32: "+"}, "crosses", 8, low, high)), narrow).axes
        in_legend = {"D": 1, "|": 2}
        places = {
            marker: [x for x, *_ in look.markers(axes, marker)][in_legend.get(marker, 0) :]
            for marker in "D|<>"
        }
        left, right = 6.0, 264.0
        assert places["D"][0] == pytest.approx((left + right) / 2)
        expected = {"|": [left + (right - left) / 4 * k for k in (1, 3)], "<": [left], ">": [right]}
        assert places[ends[0]][0] == pytest.approx(expected[ends[0]][0])
        assert places[ends[1]][-1] == pytest.approx(expected[ends[1]][-1])


def test_predicted_marks(found, look):
    """A range in brackets, with an arrow where it is open, and never a diamond."""
    for low, high, arrows in ((4, 16, ""), (None, 16, "<"), (4, None, ">")):
        chart = predicted(chart_of(line({2: "-", 32: "+"}, "crosses", 8, low, high)))
        (axes,) = drawn(found, chart, narrow).axes
        assert [marker for marker in "D|<>" if look.markers(axes, marker)] == list(arrows)
        left, right = 6.0, 264.0
        middle = [one for one in axes.lines if len(one.get_xdata()) == 2 and len(set(one.get_ydata())) == 1]
        ends = [left if low is None else 70.5, right if high is None else 199.5]
        assert sorted(middle[-1].get_xdata()) == pytest.approx(ends)
        brackets = {one.get_xdata()[1] for one in axes.lines if len(one.get_xdata()) == 4}
        assert {end for end in ends if end not in (left, right)} <= brackets


def test_predicted_tracks_are_outlined(found):
    """No stretch of a predicted track, and no mark in its legend, is filled."""
    chart = predicted(
        chart_of(line({1: "-", 64: "+"}, "crosses", 9, holes=(512,)), line({1: "?", 64: "="}, workload="b"))
    )
    bars = [
        bar
        for draw in (wide, narrow)
        for axes in drawn(found, chart, draw).axes
        for bar in axes.findobj(Rectangle)
        if bar is not axes.patch
    ]
    assert bars
    assert all(bar.get_facecolor()[3] == 0 for bar in bars)
    edges = {to_hex(bar.get_edgecolor()) for bar in bars if not bar.get_hatch()}
    assert edges == {"#0072b2", "#d55e00", "#808080"}


def test_predicted_words(found):
    """What a chart shows is marked as predicted: its sides, its columns, and its description."""
    chart = CHARTS["every status, predicted"]
    texts = {text.get_text() for text in texts_of(drawn(found, chart, wide))}
    assert {
        "CPU predicted faster",
        "GPU predicted faster",
        "predicted win from batch",
        "predicted speedup",
        "break-even within, 90% band",
        "not predicted",
    } <= texts
    assert not any("95%" in text and "break-even" in text for text in texts)
    assert description(chart).startswith("Which device is predicted to be faster over batch sizes 1–65,536")


def test_readable_on_a_phone(found):
    """At 360 px, the smallest text has 11 px."""
    figure = drawn(found, CHARTS["every status"], narrow)
    scale = 360 / (72 * figure.get_figwidth())
    assert min(text.get_fontsize() for text in texts_of(figure)) * scale >= 11


def test_description(found):
    """The alternative text has the numbers of the first rows."""
    text = FIGURES["break_even"].describe(replace(found, chart=CHARTS["sixty"]))
    first = CHARTS["sixty"].rows[0]
    assert f"{first.label}: {first.tracks[0].wins_from}" in text
    assert "for 60 models" in text
    assert "and 56 more" in text


def test_nothing_to_draw(found):
    assert FIGURES["break_even"].draw(replace(found, chart=chart_of())) is None
