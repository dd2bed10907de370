"""Colors, markers and bytes: what all figures of a report have in common.

Owns which color and marker a device has, the neutral colors that a page may recolour for a dark screen,
the settings under which everything is drawn, and saving. Knows no record and places nothing.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from breakeven.device_names import device_order, is_cpu
from breakeven.render.escaping import plot_text

INK = "#1a1a1a"
"""Text, axes, ticks and the line at 1x; a dark page makes it light."""

GRID = "#dddddd"
"""Lines that help the eye; a dark page makes them dark."""

PAPER = "#ffffff"
"""The ground, the faces of hollow markers and the boxes behind labels; a dark page makes it dark."""

PAPER_ID = "paper"
"""The id of the ground in an SVG: a picture needs it on a dark page of others, our own page drops it."""

SMALL, NORMAL = 8.0, 9.0
"""Sizes of type in points: nothing in a figure is smaller."""

_CPU, _ACCELERATOR = ("#0072B2", "o"), ("#D55E00", "s")
_COLORS = ("#009E73", "#CC79A7", "#56B4E9")
_MARKERS = ("^", "D", "v", "P", "X", "<", "p", ">", "h", "8")
_STYLE: Any = {
    "text.parse_math": False,  # a dollar in a name is a dollar
    "svg.hashsalt": "breakeven",  # else the ids, and so the file, differ from one drawing to the next
    "svg.fonttype": "none",  # text stays text: a page can be searched, and is a third of the size
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": NORMAL,
    "xtick.bottom": False,  # the grid leads the eye; marks are only bytes
    "ytick.left": False,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.8,
}
_ELLIPSIS = "..."
_TAG = re.compile(r"<[a-z][^>]*>")  # what people wrote stands between tags: there "<" and ">" are escaped
_MARKERS_OF_A_LINE = re.compile(r"<g>\n((?:<use [^>]*>\n)+)</g>")
_STYLE_OF_A_MARKER = re.compile(r' style="[^"]*"')
_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def device_styles(devices: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return one color (Okabe-Ito) and one marker for each device, the same in every figure of a report.

    >>> device_styles(["cuda", "cpu@1", "cpu"])
    {'cpu': ('#0072B2', 'o'), 'cpu@1': ('#009E73', '^'), 'cuda': ('#D55E00', 's')}
    """
    styles: dict[str, tuple[str, str]] = {}
    others = 0
    accelerator = None
    for device in sorted(set(devices), key=device_order):
        if device == "cpu":
            styles[device] = _CPU
        elif not is_cpu(device) and accelerator is None:
            accelerator = device
            styles[device] = _ACCELERATOR
        else:
            styles[device] = (_COLORS[others % len(_COLORS)], _MARKERS[others % len(_MARKERS)])
            others += 1
    return styles


@contextmanager
def drawing() -> Iterator[None]:
    """Draw or save under our settings, without a word about letters that the font lacks."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A name in a script that the font lacks shows boxes; that is no reason to speak on stderr.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support .* natively")
        yield


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = SMALL, *, bold: bool = False) -> float:
    """Return how wide `text` is, in inches."""
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    width: float = text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]
    return width / 72


def fitted(value: object, inches: float, size: float = SMALL, *, bold: bool = False) -> str:
    """Return `value` as one line no wider than that, cut in its middle: ends tell long names apart."""
    text = plot_text(value, 120)
    if text_width(text, size, bold=bold) <= inches:
        return text
    shortest, longest = 0, len(text) - 1
    while shortest < longest:
        kept = (shortest + longest + 1) // 2
        fits = text_width(_cut(text, kept), size, bold=bold) <= inches
        shortest, longest = (kept, longest) if fits else (shortest, kept - 1)
    return _cut(text, shortest)


def _cut(text: str, kept: int) -> str:
    tail = kept // 2
    return text[: kept - tail].rstrip() + _ELLIPSIS + text[len(text) - tail :].lstrip()


def to_svg(figure: Figure) -> bytes:
    """Return the figure as SVG, byte for byte the same for the same figure."""
    svg = _saved(figure, "svg", {"Date": None, "Creator": None, "Format": None, "Type": None})
    slim = re.sub(r">\n +<", ">\n<", _TAG.sub(lambda tag: _slim(tag[0]), svg.decode()))
    return _MARKERS_OF_A_LINE.sub(_hoisted, slim).encode()


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG, legible in print at twice the size."""
    return _saved(figure, "png", {"Software": None})


def _saved(figure: Figure, form: str, metadata: dict[str, str | None]) -> bytes:
    stream = io.BytesIO()
    with drawing():
        figure.savefig(stream, format=form, dpi=160, metadata=metadata)
    return stream.getvalue()


def _slim(tag: str) -> str:
    """Return a tag of an SVG without what nobody sees: millionths of a point, line ends, turns by nothing.

    Groups lose their ids, which are counted and would stand twice on a page of several figures.
    """
    if tag.startswith("<g ") and f'id="{PAPER_ID}"' not in tag:
        tag = re.sub(r' id="[^"]*"', "", tag)
    if tag.startswith("<text"):
        tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)
    tag = tag.replace(" \n", " ").replace("\n", " ")
    return _NUMBER.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), tag)


def _hoisted(group: re.Match[str]) -> str:
    """Return a line's markers with the style that all of them share said once."""
    styles = set(_STYLE_OF_A_MARKER.findall(group[1]))
    if len(styles) != 1:
        return group[0]
    return f"<g{styles.pop()}>\n{_STYLE_OF_A_MARKER.sub('', group[1])}</g>"
