"""Changes to valid inputs: to the values of a JSON document, to its text, and to bytes.

Every choice is drawn from a `random.Random`, so that a seed repeats it, or a coverage-guided fuzzer makes it.
"""

import copy
import json
import re
from random import Random
from typing import Any

from fuzz.values import NUMBERS, STRUCTURES, TEXTS

_NESTED = re.compile(r'"<nested (\d+) ([\[{])>"')


def as_json(value: Any) -> bytes:
    """Return the text of a value, with lone surrogates, NaN and any depth of nesting."""
    text = json.dumps(value, ensure_ascii=True)
    return _NESTED.sub(_brackets, text).encode()


def _brackets(match: re.Match[str]) -> str:
    depth = int(match[1])
    return "[" * depth + "]" * depth if match[2] == "[" else '{"a":' * depth + "1" + "}" * depth


def hostile(rng: Random) -> Any:
    """Return a value of any type."""
    return copy.deepcopy(rng.choice(rng.choice((NUMBERS, TEXTS, STRUCTURES))))


def changed_value(value: Any, rng: Random) -> Any:
    """Return a copy of a document with one to four changes; sometimes with none, or another document."""
    value = copy.deepcopy(value)
    if rng.random() < 0.02:
        return hostile(rng)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 4))):
        _change(value, rng)
    return value


def _change(document: Any, rng: Random) -> None:
    holder, key = _place(document, rng)
    if holder is None:
        return
    action = rng.choice(_ACTIONS)
    action(holder, key, document, rng)


def _place(document: Any, rng: Random) -> tuple[Any, Any]:
    """Return a container and the key of one of its values; each level is as likely as those below it."""
    holder, key, here = None, None, document
    while isinstance(here, dict | list) and here:
        holder, key = here, rng.choice(list(here)) if isinstance(here, dict) else rng.randrange(len(here))
        here = holder[key]
        if rng.random() < 0.2:
            break
    return holder, key


def _replace(holder: Any, key: Any, _: Any, rng: Random) -> None:
    holder[key] = hostile(rng)


def _replace_alike(holder: Any, key: Any, _: Any, rng: Random) -> None:
    """Replace a value by one of its type, which gets past the checks of types."""
    value = holder[key]
    if isinstance(value, str):
        holder[key] = changed_text(value, rng)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        scale = rng.choice((1e-300, 1e-9, 1e9, 1e290, -1, 1))
        is_huge = isinstance(value, int) and value.bit_length() > 1000
        holder[key] = rng.choice((-value, *NUMBERS) if is_huge else (value * scale, value + 0.5, *NUMBERS))
    elif isinstance(value, list):
        holder[key] = rng.choice(([], value * 2, value[:1], value[::-1], value * 50, [*value, *value[:1]]))
    else:
        holder[key] = hostile(rng)


def _drop(holder: Any, key: Any, _: Any, __: Random) -> None:
    del holder[key]


def _repeat(holder: Any, key: Any, _: Any, rng: Random) -> None:
    if isinstance(holder, list):
        holder.insert(rng.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
    else:
        holder[rng.choice(TEXTS)] = copy.deepcopy(holder[key])


def _rename(holder: Any, key: Any, _: Any, rng: Random) -> None:
    if isinstance(holder, dict):
        holder[changed_text(key, rng)] = holder.pop(key)


def _graft(holder: Any, key: Any, document: Any, rng: Random) -> None:
    other, place = _place(document, rng)
    holder[key] = copy.deepcopy(other[place])


def _wrap(holder: Any, key: Any, _: Any, rng: Random) -> None:
    holder[key] = rng.choice(([holder[key]], {"a": holder[key]}, str(holder[key])[:1000]))


_ACTIONS = (
    _replace,
    _replace,
    _replace_alike,
    _replace_alike,
    _replace_alike,
    _drop,
    _repeat,
    _rename,
    _graft,
    _wrap,
)


def changed_text(text: str, rng: Random) -> str:
    """Return a text with another one put into it, a part cut out or repeated, or another text."""
    at, end = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
    other = rng.choice(TEXTS)
    return rng.choice(
        (other, text[:at] + other + text[at:], text[:at] + text[end:], text + text[at:end], text[:at] + other)
    )


def changed_bytes(raw: bytes, rng: Random) -> bytes:
    """Return bytes with a few of them changed, cut or repeated, or in another encoding."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(raw) + 1)
        end = min(len(raw), at + rng.choice((1, 2, 8, 64, 1000)))
        some = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4))))
        raw = rng.choice(
            (raw[:at], raw[:at] + some + raw[at:], raw[:at] + some + raw[at + len(some) :],
            raw[:at] + raw[end:],
             raw[:end] + raw[at:], b"\xef\xbb\xbf" + raw, raw + b"\0",
             raw[:at] + rng.choice(_TOKENS) + raw[at:])
        )  # fmt: skip
    if rng.random() < 0.03:
        return rng.choice(
            (b"", b"\0" * 64, raw.decode("utf-8", "replace").encode("utf-16"), b"\x1f\x8b" + raw)
        )
    return raw


_TOKENS = (
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b'"',
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"1e999",
    b"NaN",
    b"\n",
    b"-0",
)


def changed_json(value: Any, rng: Random) -> bytes:
    """Return the bytes of a document whose values were changed, now and then its bytes."""
    if rng.random() < 0.15:
        return changed_bytes(as_json(value), rng)
    return as_json(changed_value(value, rng))


def changed_lines(lines: list[Any], rng: Random) -> bytes:
    """Return a document of one JSON value a line, with lines changed, dropped, repeated or reversed."""
    lines = list(lines)
    for _ in range(rng.choice((0, 1, 1, 2))):
        at = rng.randrange(len(lines))
        lines = (
            rng.choice((lines[:at] + lines[at + 1 :], [*lines, lines[at]], lines[:at], lines[::-1])) or lines
        )
    raws = [as_json(changed_value(line, rng) if rng.random() < 0.3 else line) for line in lines]
    raw = b"\n".join(raws) + b"\n"
    return changed_bytes(raw, rng) if rng.random() < 0.15 else raw
