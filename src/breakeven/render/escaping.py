"""Strings from a file, escaped for each output format.

Run files are untrusted: a workload named ``=cmd()``, ``<script>`` or with an escape sequence is shown and
never interpreted.
"""

from __future__ import annotations

import re

from breakeven.format import one_line

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN = re.compile(
    r"[&<>|`*~\\$]"  # HTML, cells, code, emphasis, strikethrough, escapes, formulas
    r"|(?<![^\W_])_|_(?![^\W_])"  # an underscore, unless it is inside a word
    r"|\](?=[(\[:])"  # the end of a link's text
    r"|(?<!\w)@|(?<=:)/(?=/)"  # mentions, and URLs that become links
    r"|^[#+=-]"  # headings, lists and rules at the start of a line
)


def csv_text(value: object) -> str:
    """Return a text cell that no spreadsheet evaluates as a formula.

    >>> csv_text("=1+1"), csv_text("mlp"), csv_text("a" + chr(10) + "b")
    ("'=1+1", 'mlp', 'a\\\\nb')
    """
    text = one_line(value, 1000)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or str(value).startswith(_FORMULA) else text


def markdown_text(value: object) -> str:
    """Return text that markdown shows literally, including HTML in it.

    >>> print(markdown_text("seed_net [1–2] | <b>"))
    seed_net [1–2] &#124; &#60;b&#62;
    """
    return _MARKDOWN.sub(lambda match: f"&#{ord(match[0])};", one_line(value, 2000))


def html_text(value: object, limit: int = 2000) -> str:
    """Return one line of text without control characters or marks that reverse the direction of text.

    Markup in it is left for the template to escape.

    >>> print(html_text("<b>" + chr(0x202e) + "x"))
    <b>\\u202ex
    """
    return one_line(value, limit)


def terminal_text(value: object) -> str:
    """Return one printable line, without control characters.

    >>> print(terminal_text("a" + chr(27) + "[31mred"))
    a\\x1b[31mred
    """
    return one_line(value, 2000)
