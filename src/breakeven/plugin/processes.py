"""How many measuring processes a run has: option, environment, ini, or 5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from breakeven.errors import UsageError
from breakeven.format import one_line

DEFAULT = 5
VARIABLE = "BREAKEVEN_PROCESSES"
MAX = 1000


def processes_of(config: pytest.Config, environment: Mapping[str, str]) -> int:
    """Return the number of measuring processes; 0 for pytest's own process.

    pytest's own process measures also for a debugger, and where nothing is timed.

    Raises:
        UsageError: the number is not an integer from 0 to `MAX`.
    """
    option: Any = config.option
    given = (
        ("--breakeven-processes", config.getoption("breakeven_processes")),
        (VARIABLE, environment.get(VARIABLE)),
        ("breakeven_processes", config.getini("breakeven_processes")),
    )
    found = next(((name, text) for name, text in given if text), None)
    processes = DEFAULT if found is None else _number(*found)
    is_debugged = option.usepdb or getattr(option, "trace", False)
    is_untimed = config.getoption("benchmark_disable", False) or config.getoption("benchmark_skip", False)
    return 0 if is_debugged or is_untimed else processes


def _number(name: str, text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    if not is_number or int(text) > MAX:
        raise UsageError(
            f"{name}={one_line(repr(text), 40)} is not an integer from 0 to {MAX}; use for example "
            f"{DEFAULT}, or 0 to measure in pytest's own process"
        )
    return int(text)
