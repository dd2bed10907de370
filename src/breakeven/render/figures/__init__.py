"""The report as matplotlib figures, drawn without pyplot and its global state.

`FIGURES` lists them. A figure is a module with a `Drawing` (`quantities` has two), listed here.
`models` selects the data from the report, `panels` draws a grid of `curves` over batch size with `labels`,
`axes` labels panels, `style` has the colors and saves figures.
"""

from __future__ import annotations

from typing import Any

from breakeven.render.figures.break_even import AGAINST_ONE, BREAK_EVEN
from breakeven.render.figures.drawing import Drawing
from breakeven.render.figures.phases import PHASES
from breakeven.render.figures.quantities import MEMORY, THROUGHPUT
from breakeven.render.figures.scaling import SCALING
from breakeven.render.figures.speedup import SPEEDUP
from breakeven.render.figures.speedup_map import SPEEDUP_MAP
from breakeven.render.figures.style import device_styles, to_png, to_svg
from breakeven.render.figures.variants import VARIANTS

__all__ = ["FIGURES", "Drawing", "device_styles", "to_png", "to_svg"]

FIGURES: dict[str, Drawing[Any]] = {
    "break_even": BREAK_EVEN,
    "against_one": AGAINST_ONE,
    "scaling": SCALING,
    "speedup": SPEEDUP,
    "phases": PHASES,
    "variants": VARIANTS,
    "map": SPEEDUP_MAP,
    "throughput": THROUGHPUT,
    "memory": MEMORY,
}
"""Every figure of a page, in its order."""
