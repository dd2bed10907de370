"""Reads an HTML page: the cells of its tables, and its text as a whole or by lines."""

import re
from html import unescape
from html.parser import HTMLParser


class Cells(HTMLParser):
    """The texts of the cells of every table, a list of rows each, by the id of the table or its index."""

    def __init__(self, text):
        super().__init__()
        self.tables, self._rows, self._is_open = {}, None, False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self._rows = self.tables.setdefault(dict(attributes).get("id", len(self.tables)), [])
        elif self._rows is not None and tag == "tr":
            self._rows.append([])
        elif self._rows is not None and tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag):
        if tag == "table":
            self._rows = None

    def handle_data(self, data):
        if self._rows and self._rows[-1]:
            self._rows[-1][-1] += data.strip("\n")


def rows_of(text, table="cases"):
    """The rows of one table of a page, the headings first."""
    return Cells(text).tables[table]


def text_of(markup):
    """The visible text of some markup."""
    visible = re.sub(r"<(style|script)>.*?</\1>", " ", markup, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", visible)).split())


BLOCKS = {"p", "li", "h1", "h2", "h3", "tr", "caption", "summary", "figcaption", "title", "desc", "div",
          "label", "option", "button", "pre", "section", "a"}  # fmt: skip


class Lines(HTMLParser):
    """A page's text: a line for each block, a row's cells joined; of a figure only title and description."""

    def __init__(self, text):
        super().__init__()
        self.lines, self._line, self._hidden, self._is_figure, self._is_named = [], "", 0, False, False
        self.feed(text)
        self._end_line()

    def _end_line(self):
        words = " ".join(self._line.split()).removesuffix(" |")
        if words:
            self.lines.append(words)
        self._line = ""

    def handle_starttag(self, tag, attributes):
        if tag in BLOCKS:
            self._end_line()
        self._hidden += tag in ("style", "script")
        self._is_figure |= tag == "svg"
        self._is_named |= tag in ("title", "desc")
        attributes = dict(attributes)
        for name in ("alt", "aria-label", "placeholder"):
            if name in attributes and not self._is_figure:
                self._line += f" [{attributes[name]}] "

    def handle_endtag(self, tag):
        if tag in ("td", "th", "dt"):
            self._line += " | "
        if tag in BLOCKS:
            self._end_line()
        self._hidden -= tag in ("style", "script")
        self._is_figure &= tag != "svg"
        self._is_named &= tag not in ("title", "desc")

    def handle_data(self, data):
        if not self._hidden and (self._is_named or not self._is_figure):
            self._line += data


def lines_of(text):
    """The visible text of a page, one line per block."""
    return "".join(f"{line}\n" for line in Lines(text).lines)
