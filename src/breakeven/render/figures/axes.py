"""Ticks and limits: where an axis is labeled, and how.

Owns the choice of ticks on logarithmic axes and that their labels do not touch. Takes numbers, knows no
record.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from breakeven import format as fmt
from breakeven.render.figures.style import GRID, SMALL, text_width

_GAP = 0.07  # inches between two labels
_MOST = 9  # ticks on an axis of ratios


def seconds_tick(value: float) -> str:
    """Return a time as short as a tick should be.

    >>> seconds_tick(0.001), seconds_tick(0.05), seconds_tick(0)
    ('1 ms', '50 ms', '0')
    """
    return _round_number(fmt.seconds(value)) if value else "0"


def scaled_tick(value: float) -> str:
    """Return a rate or a size without its unit, which stands beside the axis.

    >>> scaled_tick(2e12), scaled_tick(100), scaled_tick(0.5)
    ('2 T', '100', '0.5')
    """
    return _round_number(fmt.scaled(value, "").strip())


def ratio_tick(value: float) -> str:
    """Return a ratio that is a power of two as people say it.

    >>> ratio_tick(0.125), ratio_tick(1), ratio_tick(64), ratio_tick(2.0**20)
    ('1/8x', '1x', '64x', '1e+06x')
    """
    if value < 1:
        return f"1/{ratio_tick(1 / value)}"
    return f"{value:.0f}x" if value < 10_000 else f"{value:.0e}x"


def decades(low: float, high: float) -> list[float]:
    """Return the ticks of a decimal logarithmic axis: decades, and 2 and 5 between where these are few.

    >>> decades(0.5, 2000), decades(3, 60)
    ([1.0, 10.0, 100.0, 1000.0], [5.0, 10.0, 20.0, 50.0])
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    whole = [e for e in range(first, last + 1) if low <= 10.0**e <= high]
    if len(whole) > 2:
        step = math.ceil(len(whole) / 6)
        return [10.0**e for e in whole if (e - whole[0]) % step == 0]
    return [m * 10.0**e for e in range(first, last + 1) for m in (1, 2, 5) if low <= m * 10.0**e <= high]


def powers(low: float, high: float) -> list[float]:
    """Return the ticks of an axis of ratios: powers of two around 1, not too many.

    >>> powers(0.3, 5)
    [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]
    """
    first, last = math.floor(math.log2(low)), math.ceil(math.log2(high))
    step = math.ceil((last - first + 1) / _MOST)
    return [2.0**e for e in range(first, last + 1) if e % step == 0]


def limits(values: Iterable[float], pad: float = 1.25) -> tuple[float, float]:
    """Return the ends of a logarithmic axis that shows all of `values`, at least a factor of two apart."""
    shown = [value for value in values if value > 0]
    low, high = min(shown), max(shown)
    room = max(pad, (high / low) ** 0.06, math.sqrt(2 * low / high))
    return low / room, high * room


def batch_axis(ax: Axes, batches: Sequence[int], inches: float, *, room: float = 0.0, labels: bool) -> None:
    """Make x a base-2 axis of batch sizes, ascending, with `room` inches for text at its right end.

    Args:
        ax: the panel.
        batches: every batch size that it shows.
        inches: how wide it is.
        room: how much of that belongs to labels at the ends of lines.
        labels: whether its ticks are labeled.
    """
    pad = 0.13
    low, high = math.log2(batches[0]), math.log2(batches[-1])
    if high == low:
        low, high = low - 1, high + 1
    each = (high - low) / max(0.3, inches - 2 * pad - room)
    ax.set_xscale("log", base=2)
    ax.set_xlim(2 ** (low - pad * each), 2 ** (high + (pad + room) * each))
    apart = _apart(batches, each)
    kept = [batch for batch in batches if batch in apart]
    _set_ticks(ax.xaxis, kept if labels else [], [fmt.batch(batch) for batch in kept])


def value_axis(
    ax: Axes,
    base: int,
    ends: tuple[float, float],
    ticks: Sequence[float],
    text: Callable[[float], str],
    *,
    labels: bool,
) -> None:
    """Make y a logarithmic axis with those ends and ticks."""
    ax.set_yscale("log", base=base)
    ax.set_ylim(*ends)
    inside = [tick for tick in ticks if ends[0] <= tick <= ends[1]]
    _set_ticks(ax.yaxis, inside if labels else [], [text(tick) for tick in inside])


def draw_grid(ax: Axes, batches: Sequence[int], ticks: Sequence[float]) -> None:
    """Draw a line at each batch size and tick of axes that have their final limits.

    It is one path, where matplotlib's own grid would be most of the bytes of a figure.
    """
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    ticks = [tick for tick in ticks if low <= tick <= high]
    x = [value for batch in batches for value in (batch, batch, math.nan)]
    y = [value for _ in batches for value in (low, high, math.nan)]
    x += [value for _ in ticks for value in (left, right, math.nan)]
    y += [value for tick in ticks for value in (tick, tick, math.nan)]
    ax.plot(x, y, color=GRID, linewidth=0.6, zorder=0.5, gid="grid", clip_on=False)
    ax.set_xlim(left, right)
    ax.set_ylim(low, high)


def _set_ticks(axis: Axis, ticks: Sequence[float], labels: Sequence[str]) -> None:
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter(labels))
    axis.set_minor_locator(NullLocator())


def _apart(batches: Sequence[int], each: float) -> set[int]:
    """Return the batch sizes whose labels have room, the largest first; `each` is log2 per inch."""
    kept: list[int] = []
    for batch in reversed(batches):
        if not kept or _distance(batch, kept[-1], each) >= _GAP:
            kept.append(batch)
    # The smallest is worth more than its neighbor.
    if (
        len(kept) > 1
        and kept[-1] != batches[0]
        and all(_distance(batches[0], other, each) >= _GAP for other in kept[:-1])
    ):
        kept[-1] = batches[0]
    return set(kept)


def _distance(left: int, right: int, each: float) -> float:
    widths = (text_width(fmt.batch(left), SMALL) + text_width(fmt.batch(right), SMALL)) / 2
    return abs(math.log2(right / left)) / each - widths


def spread(wished: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places as near as can be to the wished ones, ascending, at least `gap` apart, from low to high.

    >>> spread([1.0, 1.0, 9.0], 2.0, 0.0, 10.0)
    [0.0, 2.0, 9.0]
    """
    order = sorted(range(len(wished)), key=lambda place: wished[place])
    pools: list[list[float]] = []
    for rank, place in enumerate(order):
        pools.append([wished[place] - rank * gap])
        # Neighbors that would touch move together, to the mean of what they wished.
        while len(pools) > 1 and _mean(pools[-2]) > _mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    flat = [_mean(pool) for pool in pools for _ in pool]
    trainer = [0.0] * len(wished)
    for rank, place in enumerate(order):
        top = high - (len(wished) - 1) * gap
        trainer[place] = max(low, min(flat[rank], top)) + rank * gap
    return trainer


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _round_number(text: str) -> str:
    return re.sub(r"(\.\d*?)0+(?=\D|$)", lambda match: match[1].rstrip("."), text, count=1)
