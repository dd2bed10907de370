"""The options of a run: breakeven's own, and pytest-benchmark's as they apply to its cases."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from breakeven.case import Budget
from breakeven.device_names import processes_of
from breakeven.errors import UsageError
from breakeven.experiment.run_command import PROCESSES_VARIABLE, SEED_VARIABLE
from breakeven.format import one_line, parse_duration
from breakeven.hardware.device import Device
from breakeven.hardware.devices import parse_devices
from breakeven.phases import Phase, parse_phase, parse_phases
from breakeven.plugin.assignment import Assignment
from breakeven.plugin.order import parse_seed
from breakeven.plugin.sharding import Shard, parse_shard
from breakeven.plugin.sweeps import OPTION, WEAK, Choice, Sweep, check_choice, parse_choice, select_sweep
from breakeven.runs.journal import read_journal

TABLE_OPTIONS = (
    "columns", "sort", "group-by", "name", "time-unit", "histogram", "compare", "cprofile", "verbose"
)  # fmt: skip
"""Options of pytest-benchmark that request its own table."""

DEFAULT_PROCESSES, MAX_PROCESSES = 5, 1000

CPU_CLOCKS = ("process_time", "thread_time")

SETTINGS = (
    "PYTEST_ADDOPTS", "BREAKEVEN_CASES", SEED_VARIABLE, PROCESSES_VARIABLE, "OMP_WAIT_POLICY",
    "OMP_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
)  # fmt: skip
"""Environment variables that change what is measured, or where; an empty one may hide every GPU."""


class Options:
    """The options of one pytest session: from the command line, or else from the ini file.

    An invalid option is stored until `check` raises it: during collection, the error would be reported once
    per file. `processes` is the number of measuring processes to start, 0 to time the cases here; one of them
    has an assignment.
    """

    def __init__(self, config: pytest.Config, assignment: Assignment | None = None) -> None:
        self._config = config
        self._errors: list[UsageError] = []
        self._sweeps: list[Mapping[str | None, Sweep]] = []
        self._runs_a_sweep = False
        self.devices: Sequence[Device] = self._read("devices", lambda text: parse_devices(_names(text)))
        self.phases: Sequence[str] = self._read("phases", lambda text: phases_on(self.devices, _names(text)))
        self.choice: Choice = self._read("sweep", parse_choice)
        self.shard: Shard | None = self._read("shard", parse_shard)
        self.timeout_s: float = self._read("timeout", parse_timeout)
        self.seed: int = self._read("seed", parse_seed, os.environ.get(SEED_VARIABLE))
        self.processes = 0
        if assignment is None and self.is_timing and not self._is_debugged:
            self.processes = self._read("processes", parse_processes, os.environ.get(PROCESSES_VARIABLE))
        if assignment is None and self.is_timing and not self.processes:
            self._errors += refused_in_one_process(self.devices)
        self.resume = bool(config.getoption("breakeven_resume"))
        self._share = self.processes if assignment is None else read_journal(assignment.journal).run.processes
        self.wait_idle_s: float = self._read("wait_idle", parse_wait)

    def sweep_for(self, sweeps: Mapping[str | None, Sweep]) -> Sweep | None:
        """Return the sweep of a function to run, None if none.

        A choice that does not apply to the function is ignored here and raised by `check`.
        """
        self._sweeps.append(sweeps)
        try:
            chosen = select_sweep(sweeps, self.choice)
        except UsageError as error:
            self._errors.append(error)
            chosen = select_sweep(sweeps, Choice())
        self._runs_a_sweep |= chosen is not None
        return chosen

    def without_sweep(self) -> str | None:
        """Return a hint if no function has a sweep to run, and only the chosen name is missing."""
        if not self._sweeps or self._runs_a_sweep or self._errors:
            return None
        chosen = "default sweep" if self.choice.name is None else f"sweep {self.choice.name!r}"
        names = sorted({str(name) for sweeps in self._sweeps for name in sweeps})
        return f"no function has a {chosen}; choose with {OPTION}={'|'.join(names)}"

    def phases_of(self, device: Device) -> Sequence[str]:
        """Return the phases that are timed on a device."""
        is_one = processes_of(device.name) is None
        return [phase for phase in self.phases if not (is_one and parse_phase(phase).needs_processes)]

    @property
    def is_weak(self) -> bool:
        """Whether the batch sizes are those of each process."""
        return self.choice.name == WEAK

    def check(self) -> None:
        """Reject invalid options.

        Raises:
            UsageError: the first one.
        """
        if self._errors:
            raise self._errors[0]
        if self._sweeps:  # empty if every mark is invalid, and each function fails with that message
            check_choice(self.choice, self._sweeps)
        clock = str(self._config.getoption("benchmark_timer", ""))
        if any(name in clock for name in CPU_CLOCKS):
            raise UsageError(
                f"--benchmark-timer={clock} does not count waiting for a device; remove the option"
            )
        self.budget()

    def budget(self, item: pytest.Item | None = None) -> Budget:
        """Return a process's share of what a case may take.

        Raises:
            UsageError: a limit is invalid.
        """
        return self.whole_budget(item).shared_by(self._share)

    def whole_budget(self, item: pytest.Item | None = None) -> Budget:
        """Return the budget of all processes, from pytest-benchmark's options or the ``benchmark`` mark.

        Raises:
            UsageError: a limit is invalid.
        """
        mark = item.get_closest_marker("benchmark") if item is not None else None
        own = {} if mark is None else mark.kwargs

        def limit(name: str, default: Any) -> Any:
            given = own.get(name, self._config.getoption(f"benchmark_{name}", None))
            return default if given is None else given

        return Budget(
            min_rounds=max(6, int(limit("min_rounds", 6))),
            max_time_s=float(limit("max_time", 1.0)),
            target_precision=float(limit("precision", 0.02)),
            timeout_s=self.timeout_s,
        )

    @property
    def is_timing(self) -> bool:
        """Whether anything is timed at all."""
        option = self._config.getoption  # without pytest-benchmark, whose absence is refused later
        return not (option("benchmark_disable", False) or option("benchmark_skip", False))

    @property
    def _is_debugged(self) -> bool:
        option = self._config.option
        return option.usepdb or getattr(option, "trace", False)

    @property
    def wants_table(self) -> bool:
        """Whether pytest-benchmark's own table, histogram or comparison was requested."""
        given = words_of(self._config.invocation_params.args, self._config.getini("addopts"), os.environ)
        return any(word.startswith(f"--benchmark-{option}") for word in given for option in TABLE_OPTIONS)

    @property
    def wants_traceback(self) -> bool:
        """Whether errors of the user's model are shown with a traceback."""
        option = self._config.option
        return option.fulltrace or option.usepdb or option.tbstyle in ("long", "short", "native")

    @property
    def command(self) -> str:
        """The shell line that repeats this run."""
        return command_line(self._config.invocation_params.args, os.environ)

    def _read(self, name: str, parse: Callable[[str], Any], variable: str | None = None) -> Any:
        """Return the parsed option, environment variable or ini key; the default if it is invalid."""
        key, option = f"breakeven_{name}", f"--breakeven-{name.replace('_', '-')}"
        try:
            text = self._config.getoption(key) or variable or self._ini(key) or ""
            if not isinstance(text, str):
                raise UsageError(f'{key}={text!r}: expected a string; write for example {key} = "{text[0]}"')
            return parse(text)
        except UsageError as error:
            is_named = option in str(error) or key in str(error)
            self._errors.append(error if is_named else UsageError(f"{option}: {error}"))
            return parse("")

    def _ini(self, key: str) -> Any:
        try:
            return self._config.getini(key)
        except (pytest.UsageError, TypeError) as error:  # pytest 9 reads TOML's types, and wants a string
            raise UsageError(f"{key}: {error}") from None


def phases_on(devices: Iterable[Device], names: Sequence[str]) -> Sequence[str]:
    """Return the phases of those names; for no names the default ones, and those that only devices of several
    processes have, if there are any.

    Raises:
        UsageError: a name is unknown, given twice, or of a phase that no device has.
    """
    needing = [phase.value for phase in Phase if phase.needs_processes]
    phases = [phase.value for phase in parse_phases(names)]
    if any(processes_of(device.name) is not None for device in devices):
        return tuple(phases) if names else tuple(phase for phase in Phase if phase in (*phases, *needing))
    for phase in phases:
        if phase in needing:
            raise UsageError(
                f"the phase {phase} needs a device of several processes, which share the batch and exchange "
                "gradients; add one to --breakeven-devices, such as 2xcuda or 2xcpu"
            )
    return tuple(phases)


def refused_in_one_process(devices: Iterable[Device]) -> list[UsageError]:
    """Return an error for each device that cannot be measured in pytest's own process."""
    return [
        UsageError(
            f"{device.name} is measured by processes of its own, which --breakeven-processes=0, --pdb and "
            "--trace exclude; remove that option, or measure other devices"
        )
        for device in devices
        if processes_of(device.name) is not None
    ]


def parse_timeout(text: str) -> float:
    """Return the seconds that a case may take; the default for an empty text.

    Raises:
        UsageError: the text is not a positive number.
    """
    try:
        seconds = float(text or Budget.timeout_s)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"{text!r} is not a positive number of seconds; write for example 600")
    return seconds


def parse_processes(text: str) -> int:
    """Return the number of measuring processes, 0 for pytest's own; the default for an empty text.

    Raises:
        UsageError: the text is not an integer from 0 to `MAX_PROCESSES`.
    """
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    if text and not (is_number and int(text) <= MAX_PROCESSES):
        raise UsageError(
            f"--breakeven-processes={one_line(repr(text), 40)} is not an integer from 0 to {MAX_PROCESSES}; "
            f"use for example {DEFAULT_PROCESSES}, or 0 to measure in pytest's own process"
        )
    return int(text or DEFAULT_PROCESSES)


def parse_wait(text: str) -> float:
    """Return the seconds to wait for an idle machine; 0 for an empty text.

    Raises:
        UsageError: the text is not a duration.
    """
    return parse_duration(text) if text else 0.0


def command_line(arguments: Iterable[object], environment: Mapping[str, str]) -> str:
    """Return the shell line that repeats a run of pytest.

    >>> command_line(["bench", "-k", "mlp and cpu"], {"OMP_WAIT_POLICY": "passive", "LANG": "C"})
    "OMP_WAIT_POLICY=passive pytest bench -k 'mlp and cpu'"
    """
    settings = [f"{name}={shlex.quote(environment[name])}" for name in SETTINGS if name in environment]
    return " ".join([*settings, shlex.join(["pytest", *map(str, arguments)])])


def words_of(arguments: Iterable[object], ini: Iterable[object], environment: Mapping[str, str]) -> list[str]:
    """Return all arguments of pytest: from the command line, the ini file and the environment."""
    return [str(word) for word in (*arguments, *ini, *shlex.split(environment.get("PYTEST_ADDOPTS", "")))]


def _names(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")] if text else []
