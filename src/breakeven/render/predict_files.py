"""Writes a prediction's files to a directory, all or none; a new format is an entry in `TEXTS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from breakeven.predict.prediction import Predictions
from breakeven.render.predict_data import to_csv, to_json
from breakeven.render.predict_markdown import to_markdown
from breakeven.render.report_files import encoded, write_files

TEXTS: dict[str, Callable[[Predictions], str]] = {
    "predictions.json": to_json,
    "predictions.csv": to_csv,
    "predictions.md": to_markdown,
}


def write_prediction(found: Predictions, directory: Path) -> list[Path]:
    """Write the prediction into `directory`, creating it if needed; return the paths.

    Raises:
        UsageError: the directory or a file in it cannot be written; the old files are unchanged.
    """
    return write_files({name: encoded(make(found)) for name, make in TEXTS.items()}, directory)
