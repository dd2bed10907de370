"""The templates of the pages: every string is escaped, and a missing value is an error."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from breakeven.render.escaping import html_text


def template(name: str) -> str:
    """Return the text of a template, a style sheet or a script."""
    return resources.files("breakeven.render").joinpath(f"templates/{name}").read_text("utf-8")


def render(name: str, **values: object) -> str:
    """Return a template filled with values; strings from a file are never read as markup."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        loader=FunctionLoader(template),
        finalize=_without_control_characters,
    )
    return environment.get_template(name).render(**values)


def _without_control_characters(value: object) -> object:
    return html_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value
