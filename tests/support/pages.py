"""Reads a report's page as a reader does: the cells of its tables, the text between the tags."""

import re
from html import unescape
from html.parser import HTMLParser


class Cells(HTMLParser):
    """The texts of the cells of every table, a list of rows each, by the table's id or its place."""

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
    """What a reader sees of some markup."""
    visible = re.sub(r"<(style|script)>.*?</\1>", " ", markup, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", visible)).split())
