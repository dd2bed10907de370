"""Strings from a file, made harmless for the face that shows them.

Owns one function per face. A run file may come from anybody: a workload named ``=cmd()``, ``<script>`` or
with an escape sequence must be shown, never obeyed.
"""

from __future__ import annotations

import re

from breakeven.format import one_line

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN = re.compile(
    r"[&<>|`*~\\$]"  # HTML, cells, code, emphasis, struck text, escapes, formulas
    r"|(?<![^\W_])_|_(?![^\W_])"  # an underscore inside a word is only an underscore
    r"|\](?=[(\[:])"  # what would make a link of the brackets before
    r"|(?<!\w)@|(?<=:)/(?=/)"  # somebody would be notified; an address would become a link
    r"|^[#+=-]"  # headings, lists and rules begin a line
)


def csv_text(value: object) -> str:
    """Return a text cell that no spreadsheet takes for a formula.

    >>> csv_text("=1+1"), csv_text("mlp"), csv_text("a" + chr(10) + "b")
    ("'=1+1", 'mlp', 'a\\\\nb')
    """
    text = one_line(value, 1000)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or str(value).startswith(_FORMULA) else text


def markdown_text(value: object) -> str:
    """Return text that markdown, HTML inside it included, shows as it stands.

    >>> print(markdown_text("seed_net [1–2] | <b>"))
    seed_net [1–2] &#124; &#60;b&#62;
    """
    return _MARKDOWN.sub(lambda match: f"&#{ord(match[0])};", one_line(value, 2000))


def html_text(value: object, limit: int = 2000) -> str:
    """Return one line of text without control characters, or ones that turn the direction of what follows.

    Markup in it is not touched: the page escapes whatever it is given.

    >>> print(html_text("<b>" + chr(0x202e) + "x"))
    <b>\\u202ex
    """
    return one_line(value, limit)


def terminal_text(value: object) -> str:
    """Return one printable line: no control characters reach a terminal.

    >>> print(terminal_text("a" + chr(27) + "[31mred"))
    a\\x1b[31mred
    """
    return one_line(value, 2000)


def plot_text(value: object, limit: int = 40) -> str:
    """Return a short printable line; dollars are no formula because plots are drawn without mathtext."""
    return one_line(value, limit)
