"""Figures inside a page: smaller, in its colors, and without conflicts between their ids."""

import re
import xml.etree.ElementTree as ET

from breakeven.render.inline_svg import inlined

SVG = b"""<?xml version="1.0" encoding="utf-8"?>
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="425pt" height="100pt" viewBox="0 0 425 100"
 xmlns="http://www.w3.org/2000/svg" version="1.1">
<metadata>x</metadata>
<defs><style type="text/css">*{stroke-linejoin: round}</style></defs>
<g>
<g id="paper"><path d="M 0 100 L 425 100 z " style="fill: #ffffff"/></g>
<g><path d="M 0 1 L 2 3 " style="fill: none"/></g>
<g clip-path="url(#a)"><g>
<path d="M 1.26 2.04 L 3 -0.04 " style="fill: none; stroke: #1a1a1a"/>
<path d="M 5 6 L 7 8 " style="fill: none; stroke: #1a1a1a"/>
</g></g>
<text style="font-size: 8px; font-family: 'DejaVu Sans', sans-serif"
 x="1.26" transform="rotate(-0 1 2)"> a</text>
<text style="font-size: 9px"> </text>
<defs><path id="m" d="M 0 2 C 0.5 2 1 1 2 2 z "/><clipPath id="a"><rect x="0"/></clipPath></defs>
<use xlink:href="#m" x="1"/>
</g>
</svg>"""


def test_small():
    """Lengths have a decimal, repeated styles become a class, and what shows nothing is left out."""
    assert inlined(SVG, "fig", "T", "D").partition("</style>")[2] == (
        '<g clip-path="url(#fig_a)">'
        '<path d="M1.3 2L3 -0" class="fig0" /><path d="M5 6L7 8" class="fig0" /></g>'
        '<text style="font-size:8px" x="1.3"> a</text>'
        '<defs><path id="fig_m" d="M0 2C0.5 2 1 1 2 2z" />'
        '<clipPath id="fig_a"><rect x="0" /></clipPath></defs>'
        '<use href="#fig_m" x="1" /></svg>'
    )


def test_named_and_themed():
    """It has a title, a description, the page's colors, and the size of its text on any page."""
    svg = inlined(SVG, "fig", "T & t", "D")
    assert svg.startswith(
        '<svg viewBox="0 0 425 100" style="max-width: 531.25pt" role="img" '
        'aria-labelledby="fig_title fig_desc">'
        '<title id="fig_title">T &amp; t</title><desc id="fig_desc">D</desc>'
        "<style>.fig0{fill:none;stroke:var(--ink)}</style>"
    )


def test_no_other_style():
    """A style sheet of the figure would apply to the whole page."""
    assert re.findall("<style>(.*?)</style>", inlined(SVG, "a", "", "")) == [
        ".a0{fill:none;stroke:var(--ink)}"
    ]


COLUMNS = b"""<svg xmlns="http://www.w3.org/2000/svg" width="684pt" height="200pt" viewBox="0 0 684 200">
<g id="paper"><path d="M 0 0"/></g><text id="name">mlp</text></svg>"""


def elements(column=None):
    """The inlined elements of a figure that is 684 points wide."""
    return list(ET.fromstring(f"<div>{inlined(COLUMNS, 'speedup', 'Speedup', 'Text.', column)}</div>"))


def test_whole():
    """A figure has its title and description, and is at most a quarter wider than it was drawn."""
    [svg] = elements()
    assert svg.attrib == {
        "viewBox": "0 0 684 200",
        "style": "max-width: 855pt",
        "role": "img",
        "aria-labelledby": "speedup_title speedup_desc",
    }
    assert [(child.get("id"), child.text) for child in svg if child.tag != "style"] == [
        ("speedup_title", "Speedup"),
        ("speedup_desc", "Text."),
        ("speedup_name", "mlp"),
    ]


def test_columns():
    """Each column shows its part of the whole, which a screen reader reads once."""
    whole, *columns = elements(342)
    assert whole.get("class") == "whole"
    assert [child.get("id") for child in whole] == ["speedup_title", "speedup_desc", None, "speedup_whole"]
    assert [child.text for child in whole[-1]] == ["mlp"]
    assert [(one.get("class"), one.get("viewBox"), one.get("aria-hidden")) for one in columns] == [
        ("column", "0 0 342 200", "true"),
        ("column", "342 0 342 200", "true"),
    ]
    assert [one[0].get("href") for one in columns] == ["#speedup_whole"] * 2


def test_one_column():
    """A figure that is as wide as a column is shown whole."""
    assert [svg.get("class") for svg in elements(684)] == [None]
