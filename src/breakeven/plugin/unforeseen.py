"""Ends a pytest run in one line where breakeven itself fails, and not in pytest's INTERNALERROR.

pytest then finishes as it does after `pytest.exit`: what was measured is kept.
"""

from __future__ import annotations

import traceback
from collections.abc import Generator
from typing import Any

import pytest

from breakeven.errors import UNFORESEEN, BreakevenError, is_own, unforeseen_text

Wrapped = Generator[None, Any, Any]


class UnforeseenErrors:
    """The plugin around the hooks that call all others."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> Wrapped:
        """End the run where an option or the surroundings cannot be handled."""
        return (yield from _one_line(session.config))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> Wrapped:
        """End the run where the benchmarks cannot be collected."""
        return (yield from _one_line(session.config))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Wrapped:
        """End the run where it cannot go on."""
        return (yield from _one_line(session.config))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Wrapped:
        """Keep the journal where no run file can be made of it."""
        return (yield from _one_line(session.config))


def _one_line(config: pytest.Config) -> Wrapped:
    try:
        return (yield)
    except BreakevenError as error:
        pytest.exit(f"breakeven: {error}", returncode=pytest.ExitCode.USAGE_ERROR)
    except Exception as error:
        if not is_own(error):
            raise
        if config.option.fulltrace:
            traceback.print_exc()
        line = f"{unforeseen_text(error)}, with the benchmark (--full-trace shows more)"
        pytest.exit(f"breakeven: {line}", returncode=UNFORESEEN)
