"""Which cases a benchmark function wants: ``@pytest.mark.sweep(...)`` and ``--breakeven-sweep``.

Owns the reading of both and every complaint about them. Knows neither pytest's collection nor torch.
"""

from __future__ import annotations

import ast
import inspect
import math
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Protocol

from breakeven.case import Plain
from breakeven.errors import UsageError

RESERVED = ("device", "phase", "workload", "train_benchmark", "benchmark", "request")
"""No axis can be called so: these words mean something else in every table."""

EXAMPLE = "@pytest.mark.sweep(batch_size=[1, 64])"


class Mark(Protocol):
    """What `pytest.Mark` gives us."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True)
class Sweep:
    """The values of each argument, in the mark's order; the cases are their product."""

    arguments: tuple[tuple[str, tuple[Any, ...]], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The arguments' names."""
        return tuple(name for name, _ in self.arguments)


@dataclass(frozen=True)
class Choice:
    """What ``--breakeven-sweep`` asks for: a sweep's name, or other values for some arguments."""

    name: str | None = None
    values: tuple[tuple[str, tuple[Any, ...]], ...] = ()


def parse_choice(text: str) -> Choice:
    """Read ``full``, ``batch_size=1,64 width=128``, or both.

    Raises:
        UsageError: two names, an empty value, an open quotation, or a batch size below 1.
    """
    name: str | None = None
    values: dict[str, tuple[Any, ...]] = {}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(
            f"--breakeven-sweep={text!r}: {error}; write for instance 'batch_size=1,64 width=128'"
        ) from None
    for word in words:
        key, equals, listed = word.partition("=")
        if not equals:
            if name is not None:
                raise UsageError(
                    f"--breakeven-sweep={text!r} names two sweeps, {name!r} and {word!r}; name one"
                )
            name = word
            continue
        if not key or key in values or not all(listed.split(",")):
            raise UsageError(
                f"--breakeven-sweep: cannot read {word!r}; write each key once, as in batch_size=1,64"
            )
        values[key] = tuple(_literal(item) for item in listed.split(","))
    _check_values("--breakeven-sweep", values)
    return Choice(name, tuple(values.items()))


def sweeps_of(function: Callable[..., Any]) -> dict[str | None, Sweep]:
    """Return a function's sweeps by name; the default one's name is None.

    Raises:
        UsageError: a mark is wrong; the message says how to write it.
    """
    marks: list[Mark] = getattr(function, "pytestmark", [])
    sweeps: dict[str | None, Sweep] = {}
    for mark in marks:
        if mark.name != "sweep":
            continue
        name, sweep = _read_mark(mark)
        if name in sweeps:
            raise UsageError(
                f"two sweeps are called {name!r}" if name else "two sweeps have no name; name one of them"
            )
        _check_signature(function, sweep, marks)
        sweeps[name] = sweep
    return sweeps


def is_swept(function: object) -> bool:
    """Tell whether a function carries a sweep mark of its own.

    Every object of every collected module is asked, and some raise when they are touched (a proxy
    outside its context): only real functions are.
    """
    if type(function) is not FunctionType:
        return False
    return any(getattr(mark, "name", None) == "sweep" for mark in getattr(function, "pytestmark", []))


def chosen(sweeps: Mapping[str | None, Sweep], choice: Choice) -> Sweep | None:
    """Return the sweep to run, with the choice's values put in; None when the function has none for it.

    A function without the chosen name runs its default sweep.
    """
    sweep = sweeps.get(choice.name, sweeps.get(None))
    if sweep is None:
        return None
    wished = dict(choice.values)
    return Sweep(
        tuple(
            (name, _like(name, wished[name], values) if name in wished else values)
            for name, values in sweep.arguments
        )
    )


def check_choice(choice: Choice, collected: Iterable[Mapping[str | None, Sweep]]) -> None:
    """Hold a choice against all functions that were collected.

    Raises:
        UsageError: no function has a sweep of that name, or an argument of that key.
    """
    sweeps = list(collected)
    names = sorted({name for of_one in sweeps for name in of_one if name is not None})
    if choice.name is not None and choice.name not in names:
        known = ", ".join(names) or "none has a name"
        raise UsageError(f"--breakeven-sweep: no function has a sweep {choice.name!r}; sweeps here: {known}")
    keys = sorted({key for of_one in sweeps for sweep in of_one.values() for key in sweep.names})
    for key, _ in choice.values:
        if key not in keys:
            raise UsageError(f"--breakeven-sweep: no function sweeps {key!r}; keys here: {', '.join(keys)}")


def axis_value(value: object) -> Plain:
    """Return a value as it stands in a run file: plain ones as they are, others by name, on one line.

    Addresses are left out, since they differ from run to run; so are NaN and infinity, which JSON lacks. Of a
    plain value's subclass (an enum of texts or numbers) the plain value is taken, as JSON takes it.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float) and math.isfinite(value):
        return float.__float__(value)
    text = str(getattr(value, "__name__", value)).removeprefix("torch.")
    return " ".join(re.sub(r" at 0x[0-9a-fA-F]+", "", text).split())


def _read_mark(mark: Mark) -> tuple[str | None, Sweep]:
    if len(mark.args) > 1 or not all(isinstance(name, str) and name for name in mark.args):
        raise UsageError(
            f"sweep{mark.args!r}: the only positional argument is the sweep's name; write {EXAMPLE}"
        )
    name = mark.args[0] if mark.args else None
    if "batch_size" not in mark.kwargs:
        named = f" (it names {', '.join(mark.kwargs)})" if mark.kwargs else ""
        raise UsageError(f"the sweep names no batch_size{named}; write {EXAMPLE}")
    for key, values in mark.kwargs.items():
        if key in RESERVED:
            raise UsageError(
                f"the sweep cannot have an argument {key!r}, the word is taken; call it otherwise"
            )
        if not isinstance(values, list | tuple | range) or not values:
            shown = "1, 64" if isinstance(values, list | tuple | range) else repr(values)
            raise UsageError(f"sweep({key}={values!r}) is no list of values; write {key}=[{shown}]")
    arguments = {key: tuple(values) for key, values in mark.kwargs.items()}
    _check_values("sweep", arguments)
    return name, Sweep(tuple(arguments.items()))


def _check_values(where: str, arguments: Mapping[str, tuple[Any, ...]]) -> None:
    for batch_size in arguments.get("batch_size", ()):
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise UsageError(f"{where}: batch_size={batch_size!r} is not an integer of at least 1")
    for key, values in arguments.items():
        shown = [axis_value(value) for value in values]
        twice = next((value for value in shown if shown.count(value) > 1), None)
        if twice is not None:
            raise UsageError(f"{where}: {key} has the value {twice!r} twice; two cases cannot be the same")


def _check_signature(function: Callable[..., Any], sweep: Sweep, marks: list[Mark]) -> None:
    parameters = inspect.signature(function).parameters
    name = getattr(function, "__name__", repr(function))
    for key in ("train_benchmark", *sweep.names):
        if key not in parameters:
            raise UsageError(f"the function has no argument {key!r}; write def {name}({key}, ...)")
        if parameters[key].default is not inspect.Parameter.empty:
            raise UsageError(
                f"the argument {key!r} has a default, so pytest cannot fill it; remove the default"
            )
    for mark in marks:
        listed = mark.args[0] if mark.name == "parametrize" and mark.args else ()
        keys = [str(item).strip() for item in (listed.split(",") if isinstance(listed, str) else listed)]
        for key in keys:
            if key in sweep.names:
                raise UsageError(f"{key!r} stands in sweep and in parametrize; keep one of them")
            if key in RESERVED:
                raise UsageError(
                    f"parametrize cannot have an argument {key!r}, the word is taken; call it otherwise"
                )


def _like(name: str, wished: tuple[Any, ...], known: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the wished values in the type of the known ones.

    Of values that cannot be typed (a dtype, an optimizer), those of the mark can be asked for by name.
    """
    if all(isinstance(value, str) for value in known):
        return tuple(str(value) for value in wished)
    numbers = [value for value in known if value is not None]
    if numbers and all(_is_number(value) for value in numbers):
        whole = all(isinstance(value, int) for value in numbers)
        for value in wished:
            good = _is_number(value) and not (whole and isinstance(value, float))
            if not good and not (value is None and None in known):
                kind = "whole number" if whole else "number"
                raise UsageError(f"--breakeven-sweep: {name}={value!r} is no {kind}, as {numbers[0]!r} is")
        return wished
    named = {str(axis_value(value)): value for value in known}
    for value in wished:
        if str(value) not in named:
            raise UsageError(f"--breakeven-sweep: {name}={value!r} is none of {', '.join(named)}")
    return tuple(named[str(value)] for value in wished)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _literal(text: str) -> Any:
    """Return a number, True, False or None where the text is one, else the text."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two: very deep nesting
        return text
    return value if value is None or isinstance(value, int | float | str) else text
