"""What the plugin keeps in pytest's configuration: its session, which loads torch, and its messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from breakeven.errors import BreakevenError
from breakeven.format import printable
from breakeven.plugin.selection import Selection

if TYPE_CHECKING:
    from breakeven.plugin.session import BenchmarkSession

BENCHMARKS = pytest.StashKey["BenchmarkSession"]()
SELECTION = pytest.StashKey[Selection]()
WORKER = "breakeven_worker"
"""The name of the plugin of a measuring process."""
COUNTER = "breakeven_counter"
"""The name of the plugin of a process that counts."""


def benchmarks_of(config: pytest.Config) -> BenchmarkSession:
    """Return the benchmarks of this pytest session; the first call loads torch."""
    if BENCHMARKS not in config.stash:
        config.stash[BENCHMARKS] = _new_session(config)
    return config.stash[BENCHMARKS]


def _new_session(config: pytest.Config) -> BenchmarkSession:
    """Return the session of a measuring process, of their coordinator, or of a pytest that times itself."""
    from breakeven.measure.warnings_shown import warnings_shown
    from breakeven.plugin.measuring import FollowingSession, MeasuringSession
    from breakeven.plugin.options import Options
    from breakeven.plugin.rank import Follower
    from breakeven.plugin.replaying import ReplayingSession

    worker = config.pluginmanager.get_plugin(WORKER)
    with warnings_shown():
        options = Options(config, None if worker is None else worker.assignment)
    if options.processes:
        return ReplayingSession(config, options)
    session = FollowingSession if isinstance(worker, Follower) else MeasuringSession
    return session(config, options, worker)


@contextmanager
def usage_errors() -> Iterator[None]:
    """Raise breakeven's errors as pytest's `UsageError`: one line, exit code 4."""
    try:
        yield
    except BreakevenError as error:
        raise pytest.UsageError(printable(error)) from None


def write_line(config: pytest.Config, line: str) -> None:
    """Print a line in pytest's terminal, if there is one."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line(printable(line))
        reporter.flush()
