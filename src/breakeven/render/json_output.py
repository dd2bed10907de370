"""The base of what ``--format json`` prints: typed objects, from which the JSON Schemas are generated."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from breakeven.format import without_commands_in_json
from breakeven.stats.verdict import Verdict

Version = Literal[1]
Name = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0)]
Batch = Annotated[int, Meta(ge=1)]
Ratio = Annotated[float, Meta(gt=0)]
Amount = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
_JUDGED = [Verdict.REGRESSED, Verdict.IMPROVED, Verdict.UNCHANGED, Verdict.INCONCLUSIVE]
Judged = Annotated[Verdict, Meta(extra_json_schema={"enum": _JUDGED})]


class JsonOutput(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON object that has every field that is set, in this order."""

    @classmethod
    def of(cls, *sources: object, **given: object) -> Self:
        """Return an object whose fields are given, or else attributes of the first source that has them."""
        missing = [name for name in cls.__struct_fields__ if name not in given]
        found = {name: _first_attribute(name, sources) for name in missing}
        return cls(**given, **found)


def json_text(output: object) -> str:
    """Return the output as JSON text; its numbers are finite or null."""
    # Not msgspec's encoder, which refuses lone surrogates and NumPy's floats.
    text = json.dumps(output, indent=1, allow_nan=False, default=_plain)
    return f"{without_commands_in_json(text)}\n"


def json_schema(output: type[JsonOutput]) -> dict[str, Any]:
    """Return the JSON Schema of an output, described by the docstrings."""
    schema = msgspec.json.schema(output)
    for part in schema["$defs"].values():
        part["description"] = inspect.cleandoc(part["description"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _first_attribute(name: str, sources: tuple[object, ...]) -> object:
    return next(getattr(source, name) for source in sources if hasattr(source, name))


def _plain(value: object) -> object:
    if isinstance(value, JsonOutput):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        found = {name: getattr(value, field) for name, field in names}
        return {name: item for name, item in found.items() if item is not msgspec.UNSET}
    return dict(value) if isinstance(value, Mapping) else str(value)
