"""Models x batch sizes as colored cells: where each device wins, at a glance.

Owns the colors of the cells, the hatches of those without an answer, and the contour at 1x. A block is one
candidate, baseline, workload and machine; its rows are models, its columns batch sizes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from breakeven import format as fmt
from breakeven.device_names import is_cpu
from breakeven.render.figures.axes import ratio_tick
from breakeven.render.figures.layout import EDGE, LINE, WIDTH, Head, Sheet, missing_note, notes_height
from breakeven.render.figures.models import Model, Names, chosen, known_outcomes, model_of
from breakeven.render.figures.style import NORMAL, SMALL, device_styles, drawing, fitted, text_width
from breakeven.render.figures.text import and_list
from breakeven.report.report import Report
from breakeven.report.speedup import Speedup

MAX_ROWS, MAX_COLUMNS = 36, 12
"""More cells than these make a picture nobody reads."""

MIDDLE = "#f7f7f7"
"""Neither device wins. Cells keep their colors on a dark page, so what stands in them has its own."""

DARK, LIGHT = "#111111", "#fefefe"
"""Text in cells."""

UNDECIDED = "undecided"
HATCHES = {UNDECIDED: "///", "out of memory": "xxx", "skipped": "---", "failed": "++"}
"""What a cell without an answer looks like."""

_ENDINGS = {"oom": "out of memory", "skipped": "skipped"}  # every other ending is a failure
_HATCH_COLOR = "#8a8a8a"
_CELL_HEIGHT = 0.28
_CELL_NARROWEST, _CELL_WIDEST = 0.47, 0.75
_LABELS_NARROWEST, _LABELS_WIDEST = 1.0, 2.0
_BAR, _SHADES = 0.42, 33
_ABOVE = 2 * LINE + 0.1  # the title of a block and the batch sizes
_LIMIT = 6  # a speedup of 2**6 either way has the full color; one case of 1000x must not pale all others


@dataclass(frozen=True)
class Block:
    """Cells of one candidate over one baseline: a row a model of one workload on one machine."""

    baseline: str
    candidate: str
    rows: Mapping[Model, Mapping[int, Speedup]]
    endings: Mapping[Model, Mapping[int, str]]

    @property
    def batches(self) -> list[int]:
        """Every batch size of which something is known, ascending."""
        known = [*self.rows.values(), *self.endings.values()]
        return sorted({batch for cells in known for batch in cells})


def draw(report: Report) -> Figure | None:
    """Return the map of the headline phase; None when nothing was compared."""
    every = _blocks(report)
    if not every:
        return None
    with drawing():
        blocks, missing = _cut(every)
        names = Names(report)
        labels = _Labels(blocks, names)
        notes = _notes(blocks, missing)
        head = Head(f"Speedup by model and batch size ({report.headline})", _legend(blocks))
        pairs = list(dict.fromkeys((block.baseline, block.candidate) for block in blocks))
        heights = [_ABOVE + _CELL_HEIGHT * len(block.rows) + 0.14 for block in blocks]
        top = head.height + _BAR * len(pairs)
        sheet = Sheet(_width(blocks, labels), top + sum(heights) + notes_height(notes))
        sheet.head(head, report)
        span = _span(blocks)
        colors = {pair: _colors(report, *pair) for pair in pairs}
        for place, pair in enumerate(pairs):
            _color_bar(sheet, head.height + _BAR * place + 0.06, pair, colors[pair], span)
        for block, height in zip(blocks, heights, strict=True):
            sheet.title(EDGE, top + LINE + 0.06, _titles(block, names), WIDTH - 2 * EDGE)
            _draw_block(sheet, top + _ABOVE, block, labels, colors[block.baseline, block.candidate], span)
            top += height
        sheet.notes(notes)
        return sheet.finished(report)


def describe(report: Report) -> str:
    """Return how many cells each device wins and the extremes, or why there is no map."""
    blocks = _blocks(report)
    if not blocks:
        return "There is no map of speedups, because no two devices could be compared."
    names = Names(report)
    counts = and_list([_counts(name, cells) for name, cells in _by_pair(blocks)])
    rows = [row for block in blocks for cells in block.rows.values() for row in cells.values() if row.speedup]
    text = f"Map of the speedup of {fmt.plural(len({model_of(row) for row in rows}), 'model')}: {counts}."
    if not rows:
        return text
    lowest, highest = (pick(rows, key=lambda row: row.speedup or 0) for pick in (min, max))
    ends = [
        f"{fmt.ratio(row.speedup)} ({row.candidate}, batch {row.batch_size}, {names.place(model_of(row))})"
        for row in (lowest, highest)
    ]
    return f"{text} The speedups reach from {ends[0]} to {ends[1]}."


def _by_pair(blocks: Iterable[Block]) -> Iterator[tuple[tuple[str, str], list[Speedup]]]:
    found: dict[tuple[str, str], list[Speedup]] = {}
    for block in blocks:
        rows = [row for cells in block.rows.values() for row in cells.values()]
        found.setdefault((block.candidate, block.baseline), []).extend(rows)
    yield from found.items()


def _counts(pair: tuple[str, str], rows: Sequence[Speedup]) -> str:
    verdicts = [row.verdict for row in rows]
    parts = [f"{verdicts.count(word)} {word}" for word in ("slower", "same", UNDECIDED) if word in verdicts]
    cells = fmt.plural(len(rows), "cell")
    return ", ".join([f"{pair[0]} is faster than {pair[1]} in {verdicts.count('faster')} of {cells}", *parts])


def _blocks(report: Report) -> list[Block]:
    """Return a block for each machine, workload, candidate and baseline, accelerators first."""
    endings = _endings(report)
    found: dict[tuple[str, ...], dict[Model, dict[int, Speedup]]] = {}
    for row in report.speedups:
        if row.phase == report.headline:
            key = (row.class_id, row.workload, row.baseline_class_id, row.baseline, row.candidate)
            found.setdefault(key, {}).setdefault(model_of(row), {})[row.batch_size] = row
    blocks = []
    for (class_id, workload, base_id, baseline, candidate), rows in found.items():
        ended = {
            model: {
                **endings.get((base_id, workload, model.axes, baseline), {}),
                **endings.get((class_id, workload, model.axes, candidate), {}),
            }
            for model in rows
        }
        blocks.append(Block(baseline, candidate, rows, ended))
    return sorted(blocks, key=lambda block: is_cpu(block.candidate))


def _endings(report: Report) -> dict[tuple[str, str, str, str], dict[int, str]]:
    found: dict[tuple[str, str, str, str], dict[int, str]] = {}
    for row in known_outcomes(report):
        if row.phase == report.headline:
            word = _ENDINGS.get(row.outcome, "failed")
            key = (row.class_id, row.workload, row.axes, row.device)
            found.setdefault(key, {})[row.batch_size] = word
    return found


def _cut(blocks: Sequence[Block]) -> tuple[list[Block], int]:
    """Return blocks with at most `MAX_ROWS` rows together, and how many models are left out."""
    models = list(dict.fromkeys(model for block in blocks for model in block.rows))
    per_model = max(1, math.ceil(sum(len(block.rows) for block in blocks) / len(models)))
    shown = set(chosen(models, max(1, MAX_ROWS // per_model)))
    kept = [
        Block(
            block.baseline,
            block.candidate,
            {model: cells for model, cells in block.rows.items() if model in shown},
            block.endings,
        )
        for block in blocks
    ]
    return [block for block in kept if block.rows][:MAX_ROWS], len(models) - len(shown)


def _columns(block: Block) -> list[int]:
    """Return the batch sizes that are shown: all, or some of them evenly, with both ends."""
    batches = block.batches
    last = len(batches) - 1
    if last < MAX_COLUMNS:
        return batches
    return [batches[round(place * last / (MAX_COLUMNS - 1))] for place in range(MAX_COLUMNS)]


def _notes(blocks: Iterable[Block], missing: int) -> list[str]:
    left_out = max(len(block.batches) - len(_columns(block)) for block in blocks)
    return [*missing_note(missing), *missing_note(left_out, "batch size")]


def _titles(block: Block, names: Names) -> list[str]:
    model = next(iter(block.rows))
    pair = f"{fitted(block.candidate, 0.8)} over {fitted(block.baseline, 0.8)}"
    first = f"{fitted(model.workload, 2, NORMAL, bold=True)}: {pair}"
    return [first, *filter(None, (names.constant(model), names.machine(model)))]


def _span(blocks: Iterable[Block]) -> int:
    """Return the power of two that has the full color."""
    speedups = [r.speedup for b in blocks for cells in b.rows.values() for r in cells.values() if r.speedup]
    return min(_LIMIT, max([1, *(math.ceil(abs(math.log2(speedup))) for speedup in speedups)]))


def _colors(report: Report, baseline: str, candidate: str) -> Colormap:
    """Return colors from the baseline's over a near white to the candidate's."""
    styles = device_styles(report.cases["device"])
    ends = (styles[baseline][0], MIDDLE, styles[candidate][0])
    return LinearSegmentedColormap.from_list("devices", ends, N=257)


def _shade(colors: Colormap, speedup: float, span: int) -> tuple[float, float, float]:
    place = min(1.0, max(0.0, (math.log2(speedup) / span + 1) / 2))
    return to_rgb(colors(place))


def text_color(ground: tuple[float, float, float]) -> str:
    """Return the color of text that stands out most on `ground`, by WCAG's contrast ratio.

    >>> text_color((1.0, 1.0, 0.9)), text_color((0.0, 0.2, 0.5))
    ('#111111', '#fefefe')
    """
    light = _luminance(ground) + 0.05
    on_dark, on_light = light / (_luminance(to_rgb(DARK)) + 0.05), (_luminance(to_rgb(LIGHT)) + 0.05) / light
    return DARK if on_dark >= on_light else LIGHT


def _luminance(color: Sequence[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


class _Labels:
    """What stands before the rows: the varying axes, only their values where the names take too much room."""

    def __init__(self, blocks: Iterable[Block], names: Names) -> None:
        models = list(dict.fromkeys(model for block in blocks for model in block.rows))
        whole = {model: names.varying(model) or model.workload for model in models}
        short = {model: names.values(model) or model.workload for model in models}
        self._keys = {model: names.keys(model) for model in models}
        self.values_only = _widest(whole.values()) > _LABELS_WIDEST
        self._text = short if self.values_only else whole
        self.width = min(_LABELS_WIDEST, max(_LABELS_NARROWEST, _widest(self._text.values()))) + EDGE + 0.1

    def of(self, model: Model) -> str:
        """Return the label of a row."""
        return fitted(self._text[model], self.width - EDGE - 0.08)

    def head(self, model: Model) -> str:
        """Return what the labels are: the names of the axes where the labels lack them."""
        return fitted(self._keys[model], self.width - EDGE - 0.08) if self.values_only else "batch size"


def _widest(texts: Iterable[str]) -> float:
    return max(text_width(fitted(text, 2 * _LABELS_WIDEST)) for text in texts)


def _width(blocks: Iterable[Block], labels: _Labels) -> float:
    """Return the figure's width: that of all others, unless there are too many columns for it."""
    return max(WIDTH, labels.width + EDGE + _CELL_NARROWEST * max(len(_columns(block)) for block in blocks))


def _draw_block(sheet: Sheet, top: float, block: Block, labels: _Labels, colors: Colormap, span: int) -> None:
    batches, models = _columns(block), list(block.rows)
    width = min(_CELL_WIDEST, (sheet.width - labels.width - EDGE) / len(batches))
    ax = sheet.panel(labels.width, top, width * len(batches), _CELL_HEIGHT * len(models))
    ax.set_xlim(0, len(batches))
    ax.set_ylim(len(models), 0)
    ax.set_axis_off()
    before = labels.width - 0.08
    for y, model in enumerate(models):
        middle = top + (y + 0.5) * _CELL_HEIGHT
        sheet.text(before, middle, labels.of(model), ha="right", va="center")
        for x, batch in enumerate(batches):
            row = block.rows[model].get(batch)
            if row is not None and row.speedup:
                _value_cell(ax, x, y, row, _shade(colors, row.speedup, span))
            elif row is not None or batch in block.endings[model]:
                word = UNDECIDED if row is not None else block.endings[model][batch]
                ax.add_patch(_cell(x, y, facecolor="none", hatch=HATCHES[word], edgecolor=_HATCH_COLOR))
    for x, batch in enumerate(batches):
        left = labels.width + (x + 0.5) * width
        sheet.text(left, top - 0.03, fmt.batch(batch), ha="center", va="bottom")
    sheet.text(before, top - 0.03, labels.head(models[0]), ha="right", va="bottom")
    ax.add_collection(
        LineCollection(_contour(block, models, batches), colors=DARK, linewidths=2.4, capstyle="projecting"),
        autolim=False,
    )


def _cell(x: int, y: int, **style: Any) -> Rectangle:
    return Rectangle((x, y), 1, 1, linewidth=0, **style)


def _value_cell(ax: Axes, x: int, y: int, row: Speedup, ground: tuple[float, float, float]) -> None:
    ax.add_patch(_cell(x, y, facecolor=ground))
    ink = text_color(ground)
    box = None
    if row.verdict == UNDECIDED:
        ax.add_patch(_cell(x, y, facecolor="none", hatch=HATCHES[UNDECIDED], edgecolor=_HATCH_COLOR))
        box = {"facecolor": ground, "edgecolor": "none", "pad": 0.8}
    ax.text(
        x + 0.5,
        y + 0.5,
        _cell_text(row.speedup or 0),
        ha="center",
        va="center",
        fontsize=SMALL,
        color=ink,
        bbox=box,
    )


def _cell_text(speedup: float) -> str:
    """Return the speedup as a cell has room for."""
    return fmt.ratio(speedup) if 0.001 <= speedup < 10_000 else f"{speedup:.0e}x"


def _contour(
    block: Block, models: Sequence[Model], batches: Sequence[int]
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the edges between cells on either side of 1x."""

    def side(x: int, y: int) -> bool | None:
        row = block.rows[models[y]].get(batches[x])
        return None if row is None or not row.speedup else row.speedup > 1

    edges = []
    for y in range(len(models)):
        for x in range(len(batches)):
            here = side(x, y)
            if x + 1 < len(batches) and {here, side(x + 1, y)} == {True, False}:
                edges.append(((x + 1, y), (x + 1, y + 1)))
            if y + 1 < len(models) and {here, side(x, y + 1)} == {True, False}:
                edges.append(((x, y + 1), (x + 1, y + 1)))
    return edges


def _legend(blocks: Iterable[Block]) -> list[Artist]:
    """Return a handle for each hatch that is present."""
    present = set()
    for block in blocks:
        shown = set(_columns(block))
        for model, cells in block.rows.items():
            present |= {UNDECIDED for b, row in cells.items() if b in shown and row.verdict == UNDECIDED}
            ended = block.endings[model].items()
            present |= {word for batch, word in ended if batch in shown and batch not in cells}
    style: dict[str, Any] = {"facecolor": "none", "edgecolor": _HATCH_COLOR, "linewidth": 0.8}
    return [Patch(label=word, hatch=hatch, **style) for word, hatch in HATCHES.items() if word in present]


def _color_bar(sheet: Sheet, top: float, pair: tuple[str, str], colors: Colormap, span: int) -> None:
    """Draw the scale of one pair's colors, its ends named after the devices."""
    side = 1.3
    width = WIDTH - 2 * side
    ax = sheet.panel(side, top, width, 0.13)
    ax.set_xlim(-span, span)
    ax.set_ylim(0, 1)
    ax.set_axis_off()
    each = 2 * span / _SHADES
    for place in range(_SHADES):
        shade = to_rgb(colors((place + 0.5) / _SHADES))
        # A little wider than its place, so that no ground shines through between two shades.
        ax.add_patch(Rectangle((-span + each * place, 0), each * 1.15, 1, facecolor=shade, linewidth=0))
    ticks = [-span, -span / 2, 0, span / 2, span] if span % 2 == 0 else [-span, 0, span]
    for tick in ticks:
        left = side + width * (tick + span) / (2 * span)
        sheet.text(left, top + 0.15, ratio_tick(2.0**tick), ha="center")
    for x, ha, device in ((side - 0.16, "right", pair[0]), (WIDTH - side + 0.16, "left", pair[1])):
        text = f"{fitted(device, 0.55)} faster"
        sheet.text(x, top + 0.065, text, ha=ha, va="center")
