"""The parts of every markdown output: tables and lists, with each string escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from breakeven.format import capital, plural
from breakeven.render.dot_plot import Dot, plot_lines
from breakeven.render.escaping import markdown_text
from breakeven.render.table import Table

MAX_LENGTH = 60_000
"""Fewer characters than GitHub allows in a comment."""

_NOTE = 50  # characters for the note on what is left out


def document(versions: Iterable[Sequence[str]], limit: int = MAX_LENGTH) -> str:
    """Return the paragraphs of the first version that is short enough.

    If none is, return the last one without the paragraphs that would exceed the limit, and a note on them.

    >>> document([["one", "x" * 50], ["one", "two"]], 20)
    'one\\n\\ntwo\\n'
    >>> document([["one", "x" * 50, "two"]], 60)
    'one\\n\\ntwo\\n\\n(1 part is left out; the JSON has everything)\\n'
    """
    parts: Sequence[str] = []
    for parts in versions:
        text = "\n\n".join(parts) + "\n"
        if len(text) <= limit:
            return text
    kept: list[str] = []
    left = limit - _NOTE
    for part in parts:
        if len(part) + 2 <= left:
            kept.append(part)
            left -= len(part) + 2
    out = len(parts) - len(kept)
    note = f"({plural(out, 'part')} {'is' if out == 1 else 'are'} left out; the JSON has everything)"
    return "\n\n".join([*kept, note]) + "\n"


def verdict(lines: Sequence[str]) -> list[str]:
    """Return the lines of a verdict as one paragraph, the first of them bold."""
    first, *others = map(markdown_text, lines)
    return [" ".join([f"**{first}**", *others])]


def plot(title: str, dots: Sequence[Dot], headings: Mapping[int, str] | None = None) -> list[str]:
    """Return the dot plot as a block of code; nothing without a ratio. See `terminal.plot`."""
    lines = [line.replace("```", "\\x60``") for line in plot_lines(title, dots, headings or {})]
    return ["\n".join(["```text", *lines, "```"])] if lines else []


def folded(summary: str, content: str) -> str:
    """Return markdown below a line that unfolds it; the summary is not escaped yet."""
    return f"<details><summary>{markdown_text(summary)}</summary>\n\n{content}\n\n</details>"


def section(
    title: str, lines: Sequence[str], limit: int | None = None, rest: str = "", level: int = 2
) -> list[str]:
    """Return a heading with its list, or nothing without lines.

    Args:
        title: the heading.
        lines: not escaped.
        limit: the maximum number of lines; None for all.
        rest: where the others are, such as ``in the JSON``.
        level: of the heading.
    """
    return [f"{'#' * level} {title}\n\n{bullets(lines, limit, rest)}"] if lines else []


def bullets(lines: Sequence[str], limit: int | None = None, rest: str = "") -> str:
    """Return the lines as a list, the last item counting those beyond the limit."""
    shown = [*lines[:limit], *more(len(lines), limit, rest)]
    return "\n".join(f"- {markdown_text(line)}" for line in shown)


def more(count: int, limit: int | None, rest: str = "") -> list[str]:
    """Return a line that counts what is beyond the limit, or nothing.

    >>> more(15, 12, "in the JSON"), more(15, 12), more(12, 12)
    (['and 3 more, in the JSON'], ['and 3 more'], [])
    """
    if limit is None or count <= limit:
        return []
    return [f"and {count - limit} more{', ' if rest else ''}{rest}"]


def markdown_table(table: Table, level: int | None, rest: str) -> str:
    """Return a table under its title, without one for None; `rest` is where the omitted rows are."""
    rows = [
        *([] if level is None else [f"{'#' * level} {markdown_text(capital(table.title))}", ""]),
        _row(table.columns),
        "|" + "|".join(" ---: " if right else " --- " for _, right in table.aligned) + "|",
        *[_row(row) for row in table.rows],
    ]
    if table.cut:
        rows += ["", f"{table.cut} {rest}."]
    return "\n".join(rows)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"
