"""Writes a prediction's files to a directory, all or none; a new format is an entry in `TEXTS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from breakeven.predict.chart import chart
from breakeven.predict.prediction import Predictions
from breakeven.render.figures.break_even import MAX_DRAWN
from breakeven.render.figures.predicted import CELLS, wide
from breakeven.render.figures.style import drawing, to_png, to_svg
from breakeven.render.predict_data import to_csv, to_json
from breakeven.render.predict_markdown import to_markdown
from breakeven.render.predict_page import to_html
from breakeven.render.report_files import PAGE, encoded, write_files

TEXTS: dict[str, Callable[[Predictions], str]] = {
    "predictions.json": to_json,
    CELLS: to_csv,
    "predictions.md": to_markdown,
}
CHARTS = ("break_even.svg", "break_even.png")


def write_prediction(found: Predictions, directory: Path, version: str) -> list[Path]:
    """Write texts, chart and page into `directory`, creating it if needed; return the paths, the page last.

    A chart that only an older prediction had is removed.

    For each machine with cells in question there is a list of them, for ``BREAKEVEN_CASES``.

    Raises:
        UsageError: the directory or a file in it cannot be written; the old files are unchanged.
    """
    contents = {name: encoded(make(found)) for name, make in TEXTS.items()}
    contents |= {one.file: encoded("".join(f"{case}\n" for case in one.cases)) for one in found.rents}
    contents |= _charts(found)
    page = encoded(to_html(found, version, list(contents)))
    written = write_files({**contents, PAGE: page}, directory)
    for name in CHARTS:
        if name not in contents:
            (directory / name).unlink(missing_ok=True)
    return written


def _charts(found: Predictions) -> dict[str, bytes]:
    whole = chart(found).limited(MAX_DRAWN)
    if not whole:
        return {}
    with drawing():
        figure = wide(found, whole)
    return dict(zip(CHARTS, (to_svg(figure), to_png(figure)), strict=True))
