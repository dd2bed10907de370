"""Ticks, limits and titles of panels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FixedFormatter, FixedLocator, Formatter, FuncFormatter, LogLocator

from breakeven import format as fmt

SCALED = EngFormatter()

_PARTS_OF_A_SECOND = EngFormatter("s")
SECONDS_FORMAT = FuncFormatter(lambda value, _: f"{value:g} s" if value >= 1 else _PARTS_OF_A_SECOND(value))

_MAX_TICKS = 6


def ratio_tick(value: float) -> str:
    """Return a ratio that is a power of two as text, which is rounded where it would be too long.

    >>> ratio_tick(0.125), ratio_tick(1), ratio_tick(2.0**-16), ratio_tick(2.0**20), ratio_tick(2.0**30)
    ('1/8x', '1x', '1/65,536x', '1.0e6x', '1.1e9x')
    """
    if value < 1:
        return f"1/{ratio_tick(1 / value)}"
    return f"{value:,.0f}x" if value < 1e5 else f"{value:.1e}x".replace("e+0", "e")


RATIOS = FuncFormatter(lambda value, _: ratio_tick(value))


def limits(values: Iterable[float]) -> tuple[float, float]:
    """Return the ends of a logarithmic axis that shows all of `values`, at least a factor of two apart."""
    shown = [value for value in values if value > 0]
    low, high = min(shown), max(shown)
    margin = max(1.25, (high / low) ** 0.06, math.sqrt(2 * low / high))
    return low / margin, high * margin


def value_axis(ax: Axes, values: Iterable[float], base: int, formatter: Formatter) -> None:
    """Make y a logarithmic axis with about `_MAX_TICKS` labels at most, including 1 if it is visible."""
    low, high = limits(values)
    powers = math.log(high / low, base)
    step = math.ceil(powers / _MAX_TICKS)
    # A power of the base as the locator's base: the locator's own stride may skip 1.
    between = (1, 2, 5) if base == 10 and powers < 2 else (1,)
    ax.set_yscale("log", base=base)
    ax.set_ylim(low, high)
    ax.yaxis.set_major_locator(LogLocator(base**step, between, numticks=99))
    ax.yaxis.set_major_formatter(formatter)
    ax.minorticks_off()
    ax.grid(visible=True, clip_on=False)


def batch_axis(ax: Axes, batches: Sequence[int], max_ticks: int) -> None:
    """Make x a base-2 axis of batch sizes; at most `max_ticks` are labeled, including both ends."""
    low, high = batches[0], batches[-1]
    margin = (high / low) ** 0.05 if high > low else 2
    ticks = _thinned(batches, math.log(high / low) / max_ticks)
    ax.set_xscale("log", base=2)
    # Not `set_xticks`, which creates ticks that drawing creates again.
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FixedFormatter([fmt.batch_size(batch) for batch in ticks]))
    ax.set_xlim(low / margin, high * margin)
    ax.minorticks_off()


def _thinned(batches: Sequence[int], gap: float) -> list[int]:
    """Return batch sizes whose logarithms are at least `gap` apart, including the smallest and the largest.

    >>> _thinned([1, 2, 8, 64, 256], 1.5)
    [1, 8, 256]
    """
    kept = [batches[0]]
    for batch in batches[1:]:
        if math.log(batch / kept[-1]) >= gap:
            kept.append(batch)
    if len(kept) > 1:
        kept[-1] = batches[-1]
    return kept
