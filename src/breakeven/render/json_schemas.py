"""The JSON Schemas of the commands' outputs, which are files of this package."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema of that name: ``report``, ``compare``, ``history``, ``calibrate``, ..."""
    text = resources.files("breakeven.render").joinpath(f"schemas/{name}.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
