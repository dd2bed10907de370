"""Figures in a page: their size, and the columns that a narrow screen shows below each other."""

import xml.etree.ElementTree as ET

from breakeven.render.inline_svg import inlined

SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" width="684pt" height="200pt" viewBox="0 0 684 200">
<g id="paper"><path d="M 0 0"/></g><text id="name">mlp</text></svg>"""


def elements(column=None):
    """The inlined elements."""
    return list(ET.fromstring(f"<div>{inlined(SVG, 'speedup', 'Speedup', 'Text.', column)}</div>"))


def test_whole():
    """A figure is at most as wide as it was drawn, with its title and description."""
    [svg] = elements()
    assert svg.attrib == {
        "viewBox": "0 0 684 200",
        "style": "max-width: 684pt",
        "role": "img",
        "aria-labelledby": "speedup-title speedup-desc",
    }
    assert [(child.get("id"), child.text) for child in svg] == [
        ("speedup-title", "Speedup"),
        ("speedup-desc", "Text."),
        ("speedup-name", "mlp"),
    ]


def test_columns():
    """Each column shows its part of the whole, which a screen reader reads once."""
    whole, *columns = elements(342)
    assert whole.get("class") == "whole"
    assert [child.get("id") for child in whole] == ["speedup-title", "speedup-desc", "speedup-whole"]
    assert [child.text for child in whole[2]] == ["mlp"]
    assert [(one.get("class"), one.get("viewBox"), one.get("aria-hidden")) for one in columns] == [
        ("column", "0 0 342 200", "true"),
        ("column", "342 0 342 200", "true"),
    ]
    assert [one[0].get("href") for one in columns] == ["#speedup-whole"] * 2


def test_one_column():
    """A figure that is as wide as a column is shown whole."""
    assert [svg.get("class") for svg in elements(684)] == [None]
