"""Words that the descriptions of several figures share. Rounds nothing: `breakeven.format` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from breakeven import format as fmt
from breakeven.format import one_line
from breakeven.render.figures.curves import Curve
from breakeven.render.figures.models import Model, Names
from breakeven.report.report import Report

_MOST = 4


def and_list(parts: Sequence[str]) -> str:
    """Return the first few parts as one clause.

    >>> and_list(["a", "b"]), and_list(list("abcdef"))
    ('a; b', 'a; b; c; d; and 2 more')
    """
    return fmt.joined([one_line(part, 300) for part in parts], _MOST, "; ")


def extreme_of_each(
    report: Report, curves: Mapping[Model, Sequence[Curve]], text: Callable[[float], str]
) -> str:
    """Return the highest point of each device, and where it is."""
    names = Names(report)
    best: dict[str, tuple[float, str]] = {}
    for model, of_model in curves.items():
        for curve in of_model:
            top = max(curve.points, key=lambda point: point.value)
            if curve.device not in best or top.value > best[curve.device][0]:
                best[curve.device] = (top.value, f"batch {top.batch}, {names.place(model)}")
    return and_list([f"{device} {text(value)} ({where})" for device, (value, where) in best.items()])
