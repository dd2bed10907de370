"""GitHub's expressions, as far as our workflows use them; anything else is a `WorkflowError`.

Owns `${{ }}` and `if:`. Knows nothing of jobs and steps: what they are is in the contexts that it is given.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any


class WorkflowError(AssertionError):
    """A workflow that GitHub would refuse, or that uses what this runner does not know."""


_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][\w-]*)"
    r"|(?P<sign>\|\||&&|==|!=|[!().,]))"
)
_WORDS = {"true": True, "false": False, "null": None}
_STATUS = ("success", "failure", "canceled", "always")
_INTERPOLATED = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


class Payload(dict):
    """What GitHub sends with an event: a part that is missing is null, as in `github.event.pull_request`."""


class Expression:
    """One expression, parsed and evaluated in one walk; both sides of `&&` and `||` are always looked at."""

    def __init__(self, text: str, contexts: dict[str, Any], status: dict[str, bool] | None = None) -> None:
        self.contexts, self.status = contexts, status or {}
        self.tokens, position, text = [], 0, text.strip()
        while position < len(text):
            found = _TOKEN.match(text, position)
            if not found:
                raise WorkflowError(f"unknown in an expression: {text[position:]!r}")
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            position = found.end()

    def value(self) -> Any:
        """Return what the expression evaluates to."""
        result = self._either()
        if self.tokens:
            raise WorkflowError(f"left over in an expression: {self.tokens}")
        return result

    def _take(self, *signs: str) -> str | None:
        if self.tokens and self.tokens[0][0] == "sign" and self.tokens[0][1] in signs:
            return self.tokens.pop(0)[1]
        return None

    def _either(self) -> Any:
        result = self._both()
        while self._take("||"):
            other = self._both()
            result = result if result else other
        return result

    def _both(self) -> Any:
        result = self._compared()
        while self._take("&&"):
            other = self._compared()
            result = other if result else result
        return result

    def _compared(self) -> Any:
        left = self._negated()
        sign = self._take("==", "!=")
        return left if sign is None else _equal(left, self._negated()) == (sign == "==")

    def _negated(self) -> Any:
        return not self._negated() if self._take("!") else self._single()

    def _single(self) -> Any:
        if self._take("("):
            result = self._either()
            self._expect(")")
            return result
        kind, word = self.tokens.pop(0) if self.tokens else ("end", "")
        if kind == "text":
            return word[1:-1].replace("''", "'")
        if kind == "number":
            return float(word)
        if kind != "name":
            raise WorkflowError(f"unexpected in an expression: {word!r}")
        if self._take("("):
            return self._called(word)
        return _WORDS[word] if word in _WORDS else self._looked_up(word)

    def _called(self, name: str) -> Any:
        arguments = []
        while not self._take(")"):
            arguments.append(self._either())
            self._take(",")
        if name in _STATUS:
            return self.status[name]
        if name == "fromJSON":
            return json.loads(*arguments)
        if name == "format":
            return arguments[0].format(*arguments[1:])
        raise WorkflowError(f"unknown function {name}()")

    def _looked_up(self, name: str) -> Any:
        if name not in self.contexts:
            raise WorkflowError(f"no context {name!r} here; there are {', '.join(self.contexts)}")
        value, path = self.contexts[name], name
        while self._take("."):
            _, part = self.tokens.pop(0)
            path = f"{path}.{part}"
            if value is None or isinstance(value, Payload):
                value = None if value is None else value.get(part)
                value = Payload(value) if isinstance(value, dict) else value
            elif part not in value:
                raise WorkflowError(f"{path} is not there; there are {', '.join(value)}")
            else:
                value = value[part]
        return value

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise WorkflowError(f"{sign!r} expected before {self.tokens}")


def _equal(left: Any, right: Any) -> bool:
    """Compare as GitHub does: texts without regard to case, unlike kinds as numbers."""
    if isinstance(left, str) and isinstance(right, str):
        return left.casefold() == right.casefold()
    return left == right if type(left) is type(right) else _number(left) == _number(right)


def _number(value: Any) -> float:
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return math.nan


def interpolated(value: Any, contexts: dict[str, Any]) -> Any:
    """Return a value with every `${{ }}` in it replaced; one that is nothing else keeps its kind."""
    if not isinstance(value, str):
        return value
    whole = re.fullmatch(r"\s*\$\{\{((?:(?!\}\}).)*)\}\}\s*", value, re.DOTALL)
    if whole:
        return Expression(whole[1], contexts).value()
    return _INTERPOLATED.sub(lambda found: as_text(Expression(found[1], contexts).value()), value)


def as_text(value: Any) -> str:
    """Return a value as GitHub puts it into a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def is_run(condition: Any, contexts: dict[str, Any], status: dict[str, bool]) -> bool:
    """Return whether a step or a job with this `if` runs; without a word on success it needs success."""
    text = "success()" if condition is None else str(condition).strip()
    found = re.fullmatch(r"\$\{\{(.*)\}\}", text, re.DOTALL)
    text = found[1] if found else text
    if not re.search(rf"\b({'|'.join(_STATUS)})\(\)", text):
        text = f"success() && ({text})"
    return bool(Expression(text, contexts, status).value())
