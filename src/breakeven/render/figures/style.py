"""Colors, markers, settings and file formats that all figures share."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from breakeven.device_names import device_order, is_cpu

INK = "#1a1a1a"
"""Text, axes and the line at 1x; light on a dark page."""

GRID = "#dddddd"
"""Grid lines; dark on a dark page."""

PAPER = "#ffffff"
"""The background, hollow markers and the boxes behind labels; dark on a dark page."""

PAPER_ID = "paper"
"""The id of the background in an SVG: the report page drops it, other viewers need it."""

LABEL_BOX = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
"""The box behind a label, which hides the lines below it."""

SMALL, NORMAL = 8.0, 9.0
"""Font sizes in points; the smallest in a figure."""

_CPU, _ACCELERATOR = ("#0072B2", "o"), ("#D55E00", "s")
_COLORS = ("#009E73", "#CC79A7", "#56B4E9")
_MARKERS = ("^", "D", "v", "P", "X", "<", "p", ">", "h", "8")
_SETTINGS: Any = {
    "text.parse_math": False,  # dollar signs in names are shown as they are
    "svg.hashsalt": "breakeven",  # otherwise the ids change with every drawing
    "svg.fonttype": "none",  # text stays text: searchable, and a third of the size
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": NORMAL,
    "axes.titlesize": NORMAL,
    "axes.titlelocation": "left",
    "figure.labelsize": NORMAL,
    "xtick.bottom": False,  # the grid is enough
    "ytick.left": False,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.title_fontsize": SMALL,
    "legend.frameon": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.8,
}
PRINT_DPI = 160
"""Pixels per inch of a PNG; widths of texts differ slightly with it."""

_TAG = re.compile(r"<[a-z][^>]*>")  # names are between tags, where "<" and ">" are escaped
_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def device_styles(devices: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return one color (Okabe-Ito) and one marker for each device, the same in every figure of a report.

    >>> device_styles(["cuda", "cpu@1", "cpu"])
    {'cpu': ('#0072B2', 'o'), 'cpu@1': ('#009E73', '^'), 'cuda': ('#D55E00', 's')}
    """
    ordered = sorted(set(devices), key=device_order)
    accelerator = next((device for device in ordered if not is_cpu(device)), None)
    own = {"cpu": _CPU, accelerator: _ACCELERATOR}
    others = zip(cycle(_COLORS), cycle(_MARKERS), strict=False)
    return {device: own[device] if device in own else next(others) for device in ordered}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw or save with breakeven's settings, without warnings about glyphs that the font lacks."""
    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support .* natively")
        yield


def to_svg(figure: Figure) -> bytes:
    """Return a newly drawn figure as SVG, always the same bytes; saving it again may move its panels."""
    stream = io.StringIO()
    with drawing(), _print_resolution(figure):
        # Not `savefig`: before it prints, it draws everything once more for the layout.
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        FigureCanvasSVG(figure).print_svg(stream, metadata=metadata)  # type: ignore[no-untyped-call]
    return re.sub(r">\n +<", ">\n<", _TAG.sub(lambda tag: _slim(tag[0]), stream.getvalue())).encode()


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG, in print resolution."""
    stream = io.BytesIO()
    with drawing(), _print_resolution(figure):
        FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return stream.getvalue()


@contextmanager
def _print_resolution(figure: Figure) -> Iterator[None]:
    """Set the resolution of images inside the block; restore the figure's own, which printing changes."""
    before = figure.dpi
    figure.set_dpi(PRINT_DPI)
    try:
        yield
    finally:
        figure.set_dpi(before)


def _slim(tag: str) -> str:
    """Return a tag of an SVG with two decimals, on one line, and without the id of a group.

    Groups have numbered ids, which would repeat on a page with several figures.
    """
    if tag.startswith("<g ") and f'id="{PAPER_ID}"' not in tag:
        tag = re.sub(r' id="[^"]*"', "", tag)
    tag = tag.replace(" \n", " ").replace("\n", " ")
    return _NUMBER.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), tag)
