"""Embeds a figure's SVG in a page: with unique ids, the page's colors, a title and a description."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from breakeven.render.figures.style import GRID, INK, PAPER, PAPER_ID

THEMED = {INK: "var(--ink)", GRID: "var(--line)", PAPER: "var(--paper)"}
"""The neutral colors of every figure, and the page's variables for them, which follow light and dark."""

_PAINT = ("style", "fill", "stroke")
_DROPPED = ("metadata", "style")


def inlined(svg: bytes, name: str, title: str, description: str, column: float | None = None) -> str:
    """Return the SVG as an element for HTML, which does not have namespaces.

    Where it has columns, an element for each follows, which shows a part of the first: for narrow screens.

    Args:
        svg: as matplotlib writes it.
        name: a prefix for every id, so that ids are unique on a page.
        title: the figure's title.
        description: its alternative text.
        column: the width of the figure's columns in points.
    """
    root = ET.fromstring(svg)
    _without_namespaces(root)
    _drop(root)
    for element in root.iter():
        for key, value in element.attrib.items():
            element.set(key, _rewritten(key, value, name))
    width, height = (float(end) for end in root.attrib["viewBox"].split()[2:])
    for key in ("width", "height", "version", "xmlns"):
        root.attrib.pop(key, None)
    columns = _split(root, name, round(width / column), height) if column and width > column else ""
    root.set("style", f"max-width: {width:g}pt")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    for tag, text in (("desc", description), ("title", title)):
        element = ET.Element(tag, {"id": f"{name}-{tag}"})
        element.text = text
        root.insert(0, element)
    return ET.tostring(root, encoding="unicode") + columns


def _split(root: ET.Element, name: str, count: int, height: float) -> str:
    """Return elements that show one column of the figure each."""
    whole = ET.Element("g", {"id": f"{name}-whole"})
    whole.extend(root)
    root[:] = [whole]
    root.set("class", "whole")
    width = float(root.attrib["viewBox"].split()[2]) / count
    return "".join(
        f'<svg class="column" aria-hidden="true" viewBox="{width * i:g} 0 {width:g} {height:g}">'
        f'<use href="#{name}-whole"/></svg>'
        for i in range(count)
    )


def _without_namespaces(root: ET.Element) -> None:
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for key in list(element.attrib):
            element.set(key.rpartition("}")[2], element.attrib.pop(key))


def _drop(root: ET.Element) -> None:
    for parent in root.iter():
        for child in list(parent):
            # A style element would apply to the whole page, and the page has its own background.
            if child.tag in _DROPPED or child.get("id") == PAPER_ID:
                parent.remove(child)


def _rewritten(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href":
        return value.replace("#", f"#{name}-", 1)
    value = value.replace("url(#", f"url(#{name}-")
    if key in _PAINT:
        for color, variable in THEMED.items():
            value = value.replace(color, variable)
    return value
