"""Break-even charts of chosen crossings and verdicts, without measurements behind them."""

from dataclasses import replace

from breakeven.case import Axes, CaseKey, Cell, Line, Model, Outcome
from breakeven.report.break_even import BreakEven
from breakeven.report.chart import Chart, chart
from breakeven.report.speedup import DeviceVerdict, Speedup
from breakeven.stats.crossing import Crossing, CrossingStatus

VERDICTS = {"+": "faster", "-": "slower", "=": "same", "?": "undecided"}
RATIOS = {"+": 2.0, "-": 0.5, "=": 1.01, "?": 3.0}


def line(signs, status="undecided", at=None, low=None, high=None, *, ratios=None, holes=(), **identity):
    """A break-even: `signs` maps batch sizes to a key of `VERDICTS`."""
    kinds = {"bracket", "warnings"}
    crossing = {key: identity.pop(key) for key in kinds & identity.keys()}
    model = Model(identity.get("workload", "mlp"), Axes(identity.get("axes", {"width": 64})))
    pair = [
        Line(model, "train", identity.get(side, name), identity.get(f"{side}_machine", "box"))
        for side, name in (("candidate", "cuda"), ("baseline", "cpu"))
    ]
    rows = tuple(speedup(*pair, batch, sign, (ratios or {}).get(batch)) for batch, sign in signs.items())
    found = Crossing(CrossingStatus(status), at, low, high, **crossing)
    return BreakEven(*pair, tuple(signs), tuple(holes), found, rows)


def speedup(candidate, baseline, batch, sign, ratio):
    """One cell; the interval does not matter here."""
    keys = [
        CaseKey(Cell(one.model.workload, one.model.axes, batch), one.phase, one.device, one.machine)
        for one in (candidate, baseline)
    ]
    value = RATIOS[sign] if ratio is None else ratio
    return Speedup(*keys, value, value, value, DeviceVerdict(VERDICTS[sign]))


def ended(of, side, batch, word):
    """An outcome of one side of a line."""
    one = getattr(of, side)
    key = CaseKey(Cell(one.model.workload, one.model.axes, batch), one.phase, one.device, one.machine)
    return Outcome("bench_x", word, "because", key)


def chart_of(*lines, outcomes=(), machines=None):
    """The chart of these lines."""
    return chart(lines, outcomes, machines or {"box": "box"}, [])


def predicted(found: Chart):
    """The chart as if it were predicted: of its break-evens, only the ranges."""
    rows = tuple(
        replace(
            row,
            tracks=tuple(
                replace(track, mark=track.mark and replace(track.mark, at=None)) for track in row.tracks
            ),
        )
        for row in found.rows
    )
    return replace(found, rows=rows, is_predicted=True)


def tracks(*lines, **facts):
    """The tracks of the chart of these lines."""
    return chart_of(*lines, **facts).tracks


EVERY_STATUS = (
    line({1: "+", 64: "+"}, "always", workload="cnn"),
    line({1: "-", 64: "+"}, "crosses", 9.2, 7.9, 12.1, axes={"width": 64}),
    line({1: "-", 64: "+"}, "crosses", 9.2, None, 12.1, axes={"width": 65}),
    line({1: "-", 64: "+"}, "crosses", 9.2, 7.9, None, axes={"width": 66}),
    line({1: "-", 4096: "+"}, "crosses", 2589.3, 1496.4, 3476.1, axes={"width": 67}),
    line({1: "-", 64: "-"}, "never", axes={"width": 68}),
    line({1: "-", 64: "-"}, "beyond_range", axes={"width": 69}),
    line({1: "-", 8: "?", 64: "="}, axes={"width": 70}),
    line({1: "?", 64: "+"}, bracket=(None, 64), axes={"width": 71}),
    line({1: "-", 8: "?", 64: "+"}, bracket=(1, 64), axes={"width": 72}),
    line({64: "+"}, "always", axes={"width": 73}),
    line({64: "-"}, "never", axes={"width": 74}),
    line({1: "+"}, "always", holes=(8, 65536), axes={"width": 75}),
)
"""A model of each status, with intervals that are open at either end."""


def sixty(**identity):
    """Sixty models of three workloads."""
    names = ("cnn", "transformer", "a_workload_with_a_rather_long_name")
    return [
        replace_axes(
            EVERY_STATUS[number % len(EVERY_STATUS)],
            names[number % 3],
            {"width": 64 * number, "optimizer": "adamw", "dtype": "bfloat16", "note": "x" * number},
        )
        for number in range(60)
    ]


def replace_axes(of, workload, axes):
    """The same line of another model."""
    model = Model(workload, Axes(axes))
    return replace(
        of, candidate=replace(of.candidate, model=model), baseline=replace(of.baseline, model=model)
    )
