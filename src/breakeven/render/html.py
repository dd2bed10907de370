"""The templates of the pages: found in the package, every string escaped, a missing value an error."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from breakeven.render.escaping import html_text


def template(name: str) -> str:
    """Return the text of a template, a style sheet or a script."""
    return resources.files("breakeven.render").joinpath(f"templates/{name}").read_text("utf-8")


def render(name: str, **shown: object) -> str:
    """Return a template filled with what it shows; nothing that a file gave is read as markup."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        loader=FunctionLoader(template),
        finalize=_harmless,
    )
    return environment.get_template(name).render(**shown)


def _harmless(value: object) -> object:
    """Take the control characters from what the template shows, unless it is our own markup."""
    return html_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value
