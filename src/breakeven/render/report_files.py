"""Writes a report's files to a directory, after all of them were created successfully.

Each file is written to a temporary name and then renamed, so that an old report is never partly overwritten.
A new format is an entry in `TEXTS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from breakeven.errors import UsageError
from breakeven.files import write_all
from breakeven.format import one_line
from breakeven.render.figures import FIGURES, to_png, to_svg
from breakeven.render.figures.break_even import narrow, parts, wide
from breakeven.render.figures.style import drawing
from breakeven.render.report_data import to_csv
from breakeven.render.report_markdown import to_markdown
from breakeven.render.report_page import AGAINST_ONE, CHART, NARROW, to_html
from breakeven.report.report import Report

PAGE = "index.html"
RASTERED = ("break_even", "speedup")
"""The figures that are also written as PNG, for places that cannot show SVG."""

FORMER = ("efficiency", "step_time")
"""Figures that older versions wrote."""

TEXTS: dict[str, Callable[[Report, str], str]] = {
    "summary.csv": lambda report, _version: to_csv(report),
    "summary.md": to_markdown,
}
"""The text files of a report, each with a function of the report and breakeven's version."""


def write_report(report: Report, directory: str | os.PathLike[str], version: str) -> list[Path]:
    """Write page, texts and figures into `directory`, creating it if needed; return their paths.

    The page comes last. Figures that only an older report had are removed.

    Raises:
        UsageError: the directory or a file in it cannot be written; the old files are unchanged.
    """
    home = Path(directory)
    contents = {name: encoded(make(report, version)) for name, make in TEXTS.items()}
    drawn = {name: figure.draw(report) for name, figure in FIGURES.items()}
    svgs = {name: to_svg(figure) for name, figure in drawn.items() if figure is not None}
    contents |= {f"{name}.svg": svg for name, svg in svgs.items()}
    rastered = {name: figure for name in RASTERED if (figure := drawn[name]) is not None}
    contents |= {f"{name}.png": to_png(figure) for name, figure in rastered.items()}
    contents[PAGE] = encoded(to_html(report, version, svgs | _chart_svgs(report), home))
    written = write_files(contents, home)
    for name in (*(FIGURES.keys() - svgs.keys()), *FORMER):
        for kind in ("svg", "png"):
            (home / f"{name}.{kind}").unlink(missing_ok=True)
    return written


def _chart_svgs(report: Report) -> dict[str, bytes]:
    """Return the parts of the break-even charts for the page, each also in the form for a phone."""
    found = {}
    for part in (*parts(report.chart, CHART), *parts(report.scaling.chart, AGAINST_ONE)):
        for name, draw in ((part.name, wide), (f"{part.name}{NARROW}", narrow)):
            with drawing():
                figure = draw(report, part.chart)
            found[name] = to_svg(figure)
    return found


def encoded(text: str) -> bytes:
    """Return UTF-8; lone surrogates, which names in a JSON file may contain, are escaped."""
    return text.encode("utf-8", "backslashreplace")


def write_files(contents: Mapping[str, bytes], directory: Path) -> list[Path]:
    """Write named contents into `directory`, all or none; return their paths.

    Raises:
        UsageError: a file cannot be written.
    """
    files = {directory / name: content for name, content in contents.items()}
    try:
        write_all(files)
    except OSError as error:
        raise UsageError(
            f"cannot write the report into {one_line(directory, 300)} ({_problem(error)}); choose another "
            "with -o DIR"
        ) from error
    return list(files)


def _problem(error: OSError) -> str:
    if isinstance(error, IsADirectoryError) and error.filename:
        return f"{one_line(Path(error.filename).name, 100)} is a directory"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "it is not a directory"
    return error.strerror or str(error)
