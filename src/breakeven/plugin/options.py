"""What was asked of a run: our own options, and what pytest-benchmark's mean for our cases.

Owns their reading and every complaint about them. Refuses to declare them, which `plugin` does without torch,
and to say what follows from them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from breakeven.case import Budget
from breakeven.errors import UsageError
from breakeven.hardware.devices import Device, parse_devices
from breakeven.phases import Phase, parse_phases
from breakeven.plugin.invocation import command, words
from breakeven.plugin.sweeps import Choice, Sweep, check_choice, chosen, parse_choice

WIDE_TABLE = (
    "columns",
    "sort",
    "group-by",
    "name",
    "time-unit",
    "histogram",
    "compare",
    "cprofile",
    "verbose",
)
"""Options of pytest-benchmark that ask for its own table."""

CPU_CLOCKS = ("process_time", "thread_time")


class Options:
    """The options of one pytest session, command line before ini file.

    What cannot be used is remembered and raised by `check`, since an error during collection would cost
    every function of the file.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._complaints: list[UsageError] = []
        self._sweeps: list[Mapping[str | None, Sweep]] = []
        self.devices: Sequence[Device] = self._read("devices", lambda text: parse_devices(_names(text)))
        self.phases: Sequence[Phase] = self._read("phases", lambda text: parse_phases(_names(text)))
        self.choice: Choice = self._read("sweep", parse_choice)

    def sweep_for(self, sweeps: Mapping[str | None, Sweep]) -> Sweep | None:
        """Return which of a function's sweeps to run, None for none of them; `check` asks all it was given.

        Where the choice does not fit the function, it is left out here and told by `check`.
        """
        self._sweeps.append(sweeps)
        try:
            return chosen(sweeps, self.choice)
        except UsageError as error:
            self._complaints.append(error)
            return chosen(sweeps, Choice())

    def check(self) -> None:
        """Refuse what cannot be used.

        Raises:
            UsageError: the first complaint.
        """
        if self._complaints:
            raise self._complaints[0]
        if self._sweeps:  # none where every mark is wrong, and each function says so
            check_choice(self.choice, self._sweeps)
        clock = str(self._config.getoption("benchmark_timer", ""))
        if any(name in clock for name in CPU_CLOCKS):
            raise UsageError(
                f"--benchmark-timer={clock} does not count waiting for a device; leave the option out"
            )
        self.budget()

    def budget(self, item: pytest.Item | None = None) -> Budget:
        """Return pytest-benchmark's wishes, those of the item's own ``benchmark`` mark first.

        Raises:
            UsageError: a wish that cannot be kept.
        """
        mark = item.get_closest_marker("benchmark") if item is not None else None
        wishes = {} if mark is None else mark.kwargs

        def wish(name: str, default: Any) -> Any:
            given = wishes.get(name, self._config.getoption(f"benchmark_{name}", None))
            return default if given is None else given

        return Budget(
            min_rounds=max(6, int(wish("min_rounds", 6))),
            max_time_s=float(wish("max_time", 1.0)),
            target_precision=float(wish("precision", 0.02)),
        )

    @property
    def times(self) -> bool:
        """Whether anything is timed at all."""
        return not (self._config.getoption("benchmark_disable") or self._config.getoption("benchmark_skip"))

    @property
    def json_path(self) -> Path | None:
        """Where the run file goes; None where none is kept."""
        path: Path | None = self._config.getoption("benchmark_json", None)
        return path

    @property
    def wants_wide_table(self) -> bool:
        """Whether pytest-benchmark's own table, histogram or comparison was asked for."""
        asked = words(self._arguments, self._config.getini("addopts"), os.environ)
        return any(word.startswith(f"--benchmark-{option}") for word in asked for option in WIDE_TABLE)

    @property
    def wants_traceback(self) -> bool:
        """Whether an error of the user's model is shown in full."""
        option = self._config.option
        return option.fulltrace or option.usepdb or option.tbstyle in ("long", "short", "native")

    @property
    def command(self) -> str:
        """The shell line that repeats this run."""
        return command(self._arguments, os.environ)

    @property
    def _arguments(self) -> tuple[str, ...]:
        return tuple(self._config.invocation_params.args)

    def _read(self, name: str, parse: Callable[[str], Any]) -> Any:
        """Return a parsed option, else the ini key; what an empty text gives where it cannot be used."""
        key = f"breakeven_{name}"
        try:
            text = self._config.getoption(key) or self._ini(key) or ""
            if not isinstance(text, str):
                raise UsageError(f'{key}={text!r} is no text; write for instance {key} = "{text[0]}"')
            return parse(text)
        except UsageError as error:
            option = f"--breakeven-{name}"
            named = str(error) if option in str(error) or key in str(error) else f"{option}: {error}"
            self._complaints.append(UsageError(named))
            return parse("")

    def _ini(self, key: str) -> Any:
        try:
            return self._config.getini(key)
        except (pytest.UsageError, TypeError) as error:  # pytest 9 reads the types of TOML, and wants a text
            raise UsageError(f"{key}: {error}") from None


def _names(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")] if text else []
