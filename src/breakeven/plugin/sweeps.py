"""The argument values of a benchmark function: ``@pytest.mark.sweep(...)`` and ``--breakeven-sweep``."""

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
"""Reserved names, which an axis cannot have: they have another meaning in tables."""

EXAMPLE = "@pytest.mark.sweep(batch_size=[1, 64])"

OPTION = "--breakeven-sweep"

SHORT, FULL = "short", "full"
"""The sweep that every function has: the extremes of its `FULL` sweep."""

WEAK, WEAK_AXIS, OF_RANK = "weak", "batch", "rank"
"""The sweep that every function has, whose batch sizes are those of a process; the axis of its cases."""

Values = tuple[Any, ...]

Sweep = dict[str, Values]
"""The values of each argument, in the mark's order; the cases are their product."""


class Mark(Protocol):
    """The attributes of `pytest.Mark`."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """The value of ``--breakeven-sweep``: a sweep's name, other values for some arguments, or both."""

    name: str | None = None
    values: tuple[tuple[str, Values], ...] = ()


def parse_choice(text: str) -> Choice:
    """Read ``full``, ``batch_size=1,64 width=128``, or both.

    Raises:
        UsageError: two names, an empty value, an open quotation, or a batch size below 1.
    """
    name: str | None = None
    values: dict[str, Values] = {}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(
            f"{OPTION}={text!r}: {error}; write for example 'batch_size=1,64 width=128'"
        ) from None
    for word in words:
        key, equals, listed = word.partition("=")
        if not equals and name is not None:
            raise UsageError(f"{OPTION}={text!r} names two sweeps, {name!r} and {word!r}; name one")
        if not equals:
            name = word
        elif not key or key in values or not all(listed.split(",")):
            raise UsageError(
                f"{OPTION}: cannot read {word!r}; write each key once, for example batch_size=1,64"
            )
        else:
            values[key] = tuple(_literal(item) for item in listed.split(","))
    _check_values(OPTION, values)
    return Choice(name, tuple(values.items()))


def sweeps_of(function: Callable[..., Any]) -> dict[str | None, Sweep]:
    """Return a function's sweeps by name; the default one's name is None.

    Raises:
        UsageError: a mark cannot be used; the message shows how to write it.
    """
    marks: list[Mark] = getattr(function, "pytestmark", [])
    sweeps: dict[str | None, Sweep] = {}
    for mark in marks:
        if mark.name != "sweep":
            continue
        name, sweep = _read_mark(mark)
        if name in sweeps:
            raise UsageError(
                f"two sweeps are named {name!r}; rename one"
                if name
                else "two sweeps have no name; name one of them"
            )
        _check_signature(function, sweep)
        _check_parametrize(marks, sweep)
        sweeps[name] = sweep
    return sweeps


def is_swept(function: object) -> bool:
    """Return whether a function itself has a sweep mark.

    This is called for every object in every collected module. Some objects raise on attribute access (a proxy
    outside its context), so only functions are inspected.
    """
    if type(function) is not FunctionType:
        return False
    return any(getattr(mark, "name", None) == "sweep" for mark in getattr(function, "pytestmark", []))


def select_sweep(sweeps: Mapping[str | None, Sweep], choice: Choice) -> Sweep | None:
    """Return the sweep to run, with the choice's values; None if the function has none to run.

    A function without a sweep of the chosen name runs its default one. One without `SHORT` runs the extremes
    of its `FULL` sweep, or else of its default one.
    """
    is_derived = choice.name == SHORT and SHORT not in sweeps
    sweep = sweeps.get(FULL if is_derived else choice.name, sweeps.get(None))
    if sweep is None:
        return None
    replacements = dict(choice.values)
    if choice.name == WEAK and WEAK_AXIS in sweep:
        raise UsageError(
            f"{OPTION}={WEAK} adds an axis {WEAK_AXIS!r}, which a function sweeps itself; rename its argument"
        )
    return {
        name: _converted(name, replacements[name], values)
        if name in replacements
        else _extremes(values)
        if is_derived
        else values
        for name, values in sweep.items()
    }


def check_choice(choice: Choice, collected: Iterable[Mapping[str | None, Sweep]]) -> None:
    """Reject a choice that applies to none of the collected functions.

    Raises:
        UsageError: no function has a sweep of that name, or an argument of that key.
    """
    sweeps = list(collected)
    names = sorted({SHORT, WEAK, *(name for by_name in sweeps for name in by_name if name is not None)})
    if choice.name is not None and choice.name not in names:
        available = ", ".join(names)
        raise UsageError(f"{OPTION}: no function has a sweep {choice.name!r}; available sweeps: {available}")
    keys = sorted({key for by_name in sweeps for sweep in by_name.values() for key in sweep})
    for key, _ in choice.values:
        if key not in keys:
            raise UsageError(f"{OPTION}: no function sweeps {key!r}; available keys: {', '.join(keys)}")


def axis_value(value: object) -> Plain:
    """Return a value as it is stored in a run file: plain values unchanged, others by name, on one line.

    Addresses are omitted, because they differ between runs. NaN and infinity, which JSON lacks, become text.
    An enum of texts or numbers becomes its plain value, as in JSON.
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
    for key in mark.kwargs:
        if not key.isidentifier():
            raise UsageError(f"{key!r} cannot be the name of an argument; rename this sweep argument")
    if "batch_size" not in mark.kwargs:
        given = f" (it has {', '.join(mark.kwargs)})" if mark.kwargs else ""
        raise UsageError(f"the sweep has no batch_size{given}; write {EXAMPLE}")
    for key, values in mark.kwargs.items():
        if key in RESERVED:
            raise UsageError(f"{key!r} is a reserved name; rename this sweep argument")
        is_list = isinstance(values, list | tuple | range)
        if not is_list or not values:
            example = "1, 64" if is_list else repr(values)
            raise UsageError(
                f"sweep({key}={values!r}): expected a list of at least one value; write {key}=[{example}]"
            )
    arguments = {key: tuple(values) for key, values in mark.kwargs.items()}
    _check_values("sweep", arguments)
    return mark.args[0] if mark.args else None, arguments


def _check_values(source: str, arguments: Mapping[str, Values]) -> None:
    for batch_size in arguments.get("batch_size", ()):
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise UsageError(f"{source}: batch_size={batch_size!r} is not an integer of at least 1")
    for key, values in arguments.items():
        known: set[Plain] = set()
        for value in map(axis_value, values):
            if value in known:
                raise UsageError(
                    f"{source}: {key} has the value {value!r} twice; two cases cannot be the same"
                )
            known.add(value)


def _check_signature(function: Callable[..., Any], sweep: Sweep) -> None:
    parameters = inspect.signature(function).parameters
    name = getattr(function, "__name__", repr(function))
    for key in ("train_benchmark", *sweep):
        if key not in parameters:
            raise UsageError(f"the function has no argument {key!r}; write def {name}({key}, ...)")
        if parameters[key].default is not inspect.Parameter.empty:
            raise UsageError(
                f"the argument {key!r} has a default, so pytest cannot fill it; remove the default"
            )


def _check_parametrize(marks: Iterable[Mark], sweep: Sweep) -> None:
    for mark in marks:
        names = mark.args[0] if mark.name == "parametrize" and mark.args else ()
        for key in (str(name).strip() for name in (names.split(",") if isinstance(names, str) else names)):
            if key in sweep:
                raise UsageError(f"{key!r} is in both sweep and parametrize; keep one of them")
            if key in RESERVED:
                raise UsageError(f"{key!r} is a reserved name; rename this parametrize argument")


def _extremes(values: Values) -> Values:
    """Return the smallest and the largest number; the first and the last of values that are not numbers."""
    ordered = sorted(values) if all(map(_is_number, values)) else values
    return tuple(ordered[:1]) if len(ordered) == 1 else (ordered[0], ordered[-1])


def _converted(name: str, values: Values, known: Values) -> Values:
    """Return values from the command line, converted to the type of the mark's values `known`."""
    if all(isinstance(value, str) for value in known):
        return tuple(str(value) for value in values)
    numbers = [value for value in known if value is not None]
    if numbers and all(_is_number(value) for value in numbers):
        return _as_numbers(name, values, known, example=numbers[0])
    return _by_name(name, values, known)


def _as_numbers(name: str, values: Values, known: Values, example: float) -> Values:
    only_whole = all(isinstance(value, int) for value in known if value is not None)
    for value in values:
        is_valid = _is_number(value) and not (only_whole and isinstance(value, float))
        if not is_valid and not (value is None and None in known):
            kind = "an integer" if only_whole else "a number"
            raise UsageError(f"{OPTION}: {name}={value!r} is not {kind}, as {example!r} is")
    return values


def _by_name(name: str, values: Values, known: Values) -> Values:
    """Return values that have no literal, such as dtypes or optimizers, by the names of the mark's values."""
    by_name = {str(axis_value(value)): value for value in known}
    for value in values:
        if str(value) not in by_name:
            raise UsageError(f"{OPTION}: {name}={value!r} is not one of {', '.join(by_name)}")
    return tuple(by_name[str(value)] for value in values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _literal(text: str) -> Any:
    """Return a number, True, False or None if the text is one, else the text."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two: very deep nesting
        return text
    return value if value is None or isinstance(value, int | float | str) else text
