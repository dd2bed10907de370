"""Colors, markers, settings and file formats that all figures share."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from breakeven.device_names import device_order, is_cpu, processes_of

INK = "#1a1a1a"
"""Text, axes and the line at 1x; light on a dark page."""

GRID = "#dddddd"
"""Grid lines; dark on a dark page."""

PAPER = "#ffffff"
"""The background, hollow markers and the boxes behind labels; dark on a dark page."""

PAPER_ID = "paper"
"""The id of the background in an SVG: the report page drops it, other viewers need it."""

SMALL, NORMAL = 8.0, 9.0
"""Font sizes in points; the smallest in a figure."""

_CPU = ("#0072B2", "o")
_ACCELERATORS = (("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "v"), ("#56B4E9", "P"))
_MARKERS = ("X", "<", "p", ">", "h", "8", "*")
_DASHES = ("-", "--", ":", "-.")
_SHADES = (0.35, 0.5, 0.65)
"""The share of white in the colors of a device's variants."""

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


class LineStyle(NamedTuple):
    """How the lines of a device on a machine look: the device has the color and the marker."""

    color: str
    marker: str
    linestyle: Any = "-"


def device_styles(devices: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return one color (Okabe-Ito) and one marker for each device, the same in every figure of a report.

    A variant, such as ``cpu@1``, has a lighter shade of its device's color. A device of several processes has
    a color of its own, never that of the first accelerator.

    >>> device_styles(["cuda", "cpu@1", "cpu"])
    {'cpu': ('#0072B2', 'o'), 'cpu@1': ('#59a3cd', 'X'), 'cuda': ('#D55E00', 's')}
    >>> device_styles(["cpu", "2xcpu", "cuda"])
    {'cpu': ('#0072B2', 'o'), '2xcpu': ('#009E73', '^'), 'cuda': ('#D55E00', 's')}
    """
    ordered = sorted(set(devices), key=device_order)
    mains = list(dict.fromkeys(map(main_device, ordered)))
    single = [main for main in mains if processes_of(main) is None]
    several = [main for main in mains if processes_of(main) is not None]
    accelerators = [main for main in single if not is_cpu(main)]
    colors = dict.fromkeys(single, _CPU) | dict(zip(accelerators, cycle(_ACCELERATORS), strict=False))
    rest = islice(cycle(_ACCELERATORS), max(1, len(accelerators)), None)
    colors |= dict(zip(several, rest, strict=False))
    shades = {main: cycle(_SHADES) for main in mains}
    markers, used = iter(_MARKERS * len(ordered)), set[str]()
    found = {}
    for device in ordered:
        color, marker = colors[main_device(device)]
        is_variant = device != main_device(device)
        if is_variant:
            color = _lighter(color, next(shades[main_device(device)]))
        if is_variant or marker in used:
            marker = next(markers)
        used.add(marker)
        found[device] = (color, marker)
    return found


def main_device(device: str) -> str:
    """Return the device of which this is a variant."""
    return device.partition("@")[0]


def line_styles(lines: Iterable[tuple[str, str]]) -> dict[tuple[str, str], LineStyle]:
    """Return the style of each (machine, device): devices differ in color and marker, machines in dashes.

    >>> [style.linestyle for style in line_styles([("a", "cpu"), ("b", "cpu")]).values()]
    ['-', '--']
    """
    every = list(dict.fromkeys(lines))
    devices = device_styles(device for _, device in every)
    machines = dict(zip(dict.fromkeys(machine for machine, _ in every), cycle(_DASHES), strict=False))
    return {line: LineStyle(*devices[line[1]], machines[line[0]]) for line in every}


def _lighter(color: str, white: float) -> str:
    red, green, blue = (part + (1 - part) * white for part in to_rgb(color))
    return to_hex((red, green, blue))


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
