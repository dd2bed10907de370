"""The measuring processes of a group: rank 0 times and journals, the others follow it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator, Iterable, Mapping
from typing import Any, ClassVar, NoReturn

import pytest

from breakeven.case import OutcomeKind
from breakeven.hardware.device import Device
from breakeven.hardware.several import Several
from breakeven.measure.group import UNKNOWN, Failure
from breakeven.measure.together import Together, follow, join
from breakeven.measure.workload import Recipe
from breakeven.plugin.assignment import Assignment
from breakeven.plugin.cause import LOST, note
from breakeven.plugin.collection import case_of
from breakeven.plugin.worker import UNSET, Worker
from breakeven.runs.journal import Line

LOST_S = 1.0
"""What a rank that has lost the others waits before it ends, so that torchrun finds their end first."""


class Rank(Worker):
    """A process of a group; `together` are all of them, once they have joined."""

    is_rank = True
    together: Together

    def __init__(self, assignment: Assignment) -> None:
        self.rank = int(os.environ["RANK"])
        super().__init__(assignment)

    def join(self, devices: Iterable[Device]) -> Together:
        """Join the others; where that fails, end with the reason.

        From here on SIGTERM, with which torchrun ends a group, ends this process at once, even while it waits
        for another one.
        """
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            device = next(one for one in devices if one.name == self.share.device)
            assert isinstance(device, Several)
            self.together = join(device)
        except Exception as error:
            note(Failure.of(self.rank, error), self.assignment.cause)
            self.leave(LOST)
        return self.together


class Leader(Rank):
    """Rank 0."""

    @property
    def _is_alone(self) -> bool:
        return self.together.is_broken

    def _end_together(self, nodeid: str) -> None:
        """End a case; where it failed because the others are lost, the coordinator journals why."""
        self.together.end_case()
        outcome = None if self._session is None else self._session.outcomes.get(nodeid)
        if self._is_alone and outcome is not None:
            note(Failure(UNKNOWN, OutcomeKind(outcome.outcome), outcome.reason), self.assignment.cause)
            time.sleep(LOST_S)
            self.leave(LOST)


class Follower(Rank):
    """Another rank: it writes nothing, and no case fails in it, because rank 0 knows of all errors."""

    unset: ClassVar[Mapping[str, Any]] = {**UNSET, "no_cov": True, "maxfail": 0}
    has_followed = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Follow rank 0 also through a case whose function did not come to its recipe here."""
        self.has_followed = False
        result = yield
        if not self.has_followed:
            self.follow(item, _never_called)
        return result

    def follow(self, item: pytest.Item, recipe: Recipe) -> None:
        """Follow rank 0 through a case."""
        self.has_followed = True
        follow(self.together, case_of(item).cell, recipe)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """End in order also after errors, which rank 0 has journaled."""
        if hasattr(self, "together"):
            session.exitstatus = pytest.ExitCode.OK

    def _write(self, line: Line) -> None:
        """Leave it to rank 0."""


def rank_of(assignment: Assignment) -> Rank:
    """Return the plugin of this process of a group."""
    return Leader(assignment) if os.environ["RANK"] == "0" else Follower(assignment)


def _never_called() -> NoReturn:
    raise RuntimeError("the function did not come to its recipe in this process")
