"""Embeds a figure's SVG in a page: small, with unique ids, the page's colors, a title and a description."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import count

from breakeven.render.figures.style import GRID, INK, PAPER, PAPER_ID

THEMED = {INK: "var(--ink)", GRID: "var(--line)", PAPER: "var(--paper)"}
"""The neutral colors of every figure, and the page's variables for them, which follow light and dark."""

SCALE = 1.25
"""How much larger than drawn a figure is at most, so that its text is as large as that of the page."""

_PAINT = ("style", "fill", "stroke")
_DROPPED = ("metadata", "style")
_LENGTHS = {"d", "x", "y", "transform", "viewBox"}
_FRACTION = re.compile(r"-?\d+\.\d+")
_AROUND_COMMAND = re.compile(r" ?([A-Za-z]) ?")
_NO_ROTATION = re.compile(r"rotate\(-?0 [^)]*\)")
_FONT = re.compile(r"font-family: 'DejaVu Sans', sans-serif;? ?")  # that of every figure; `page.css` sets it
_EMPTY_PATH = "fill:none"


def inlined(svg: bytes, name: str, title: str, description: str, column: float | None = None) -> str:
    """Return the SVG as an element for HTML, which does not have namespaces.

    Where it has columns, an element for each follows, which shows a part of the first: for narrow screens.

    Args:
        svg: as matplotlib writes it.
        name: a prefix for every id and class, so that they are unique on a page.
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
        for key in [key for key, value in element.attrib.items() if not value]:
            del element.attrib[key]
        element.text = (element.text or "").strip("\n")
        element.tail = (element.tail or "").strip("\n")
    _flatten(root)
    style = _shared_styles(root, name)
    width, height = (float(end) for end in root.attrib["viewBox"].split()[2:])
    for key in ("width", "height", "version", "xmlns"):
        root.attrib.pop(key, None)
    columns = _split(root, name, round(width / column), height) if column and width > column else ""
    root.set("style", f"max-width: {SCALE * width:g}pt")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}_title {name}_desc")
    for tag, text in (("style", style), ("desc", description), ("title", title)):
        element = ET.Element(tag, {} if tag == "style" else {"id": f"{name}_{tag}"})
        element.text = text
        root.insert(0, element)
    return ET.tostring(root, encoding="unicode") + columns


def _split(root: ET.Element, name: str, count: int, height: float) -> str:
    """Return elements that show one column of the figure each."""
    whole = ET.Element("g", {"id": f"{name}_whole"})
    whole.extend(root)
    root[:] = [whole]
    root.set("class", "whole")
    width = float(root.attrib["viewBox"].split()[2]) / count
    return "".join(
        f'<svg class="column" aria-hidden="true" viewBox="{width * i:g} 0 {width:g} {height:g}">'
        f'<use href="#{name}_whole"/></svg>'
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
        return f"{name}_{value}"
    if key == "href":
        return value.replace("#", f"#{name}_", 1)
    value = value.replace("url(#", f"url(#{name}_")
    if key in _LENGTHS:
        return _short_lengths(key, value)
    if key in _PAINT:
        value = _FONT.sub("", value).replace("; ", ";").replace(": ", ":").rstrip(";")
        for color, variable in THEMED.items():
            value = value.replace(color, variable)
    return value


def _short_lengths(key: str, value: str) -> str:
    """Return lengths in tenths of a point, a fifth of a pixel at the size of the page."""
    value = _NO_ROTATION.sub("", value)
    value = _FRACTION.sub(lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), value)
    return _AROUND_COMMAND.sub(r"\1", value).strip() if key == "d" else value.strip()


def _flatten(parent: ET.Element) -> None:
    """Replace groups without attributes by their children, and remove paths and texts that show nothing."""
    children: list[ET.Element] = []
    for child in parent:
        _flatten(child)
        if child.tag == "g" and not child.attrib:
            children += child
        elif not _is_invisible(child):
            children.append(child)
    parent[:] = children


def _is_invisible(element: ET.Element) -> bool:
    if element.tag == "path":
        return element.get("style") == _EMPTY_PATH and "id" not in element.attrib
    return element.tag in ("g", "defs", "text") and not len(element) and not (element.text or "").strip()


def _shared_styles(root: ET.Element, name: str) -> str:
    """Replace each style that occurs several times by a class, and return the rules of the classes."""
    styled = [element for element in root.iter() if "style" in element.attrib]
    times = Counter(element.get("style") for element in styled)
    number = count()
    classes = {style: f"{name}{next(number)}" for style, n in times.items() if n > 1}
    for element in styled:
        if element.get("style") in classes:
            element.set("class", classes[element.attrib.pop("style")])
    return "".join(f".{name}{{{style}}}" for style, name in classes.items())
