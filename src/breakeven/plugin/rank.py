"""The measuring processes of a group: rank 0 times and journals, the others follow it."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

from breakeven.case import OutcomeKind
from breakeven.format import one_line
from breakeven.plugin.assignment import Assignment
from breakeven.plugin.cause import LOST, Cause
from breakeven.plugin.worker import UNSET, Worker
from breakeven.runs.journal import Line

if TYPE_CHECKING:
    from breakeven.measure.together import Together

LOST_S = 1.0
"""What a rank that has lost the others waits before it ends, so that torchrun finds their end first."""


class Rank(Worker):
    """A process of a group; `together` are all of them, once they have joined."""

    is_rank = True
    together: Together | None = None

    def __init__(self, assignment: Assignment) -> None:
        self.rank = int(os.environ["RANK"])
        super().__init__(assignment)

    def join(self, device: Any) -> Together:
        """Join the others; where that fails, end with the reason."""
        from breakeven.measure.together import join

        try:
            self.together = join(device)
        except Exception as error:
            Cause(OutcomeKind.FAILED, one_line(error, 300)).note(self.assignment.cause)
            self.leave(LOST)
        return self.together

    def lose(self) -> NoReturn:
        """End at once, because the others are gone; the coordinator journals why."""
        time.sleep(LOST_S)
        self.leave(LOST)


class Leader(Rank):
    """Rank 0."""

    def _end_together(self) -> None:
        assert self.together is not None
        try:
            self.together.end_case()
        except Exception:
            self.lose()


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

    def follow(self, item: Any, recipe: Any) -> None:
        """Follow rank 0 through a case."""
        from breakeven.measure.together import follow
        from breakeven.plugin.collection import case_of

        assert self.together is not None
        self.has_followed = True
        try:
            follow(self.together, case_of(item).cell, recipe)
        except Exception:
            self.lose()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """End in order, also after errors, which rank 0 has journaled."""
        if self.together is not None:
            session.exitstatus = pytest.ExitCode.OK

    def _write(self, line: Line) -> None:
        """Leave it to rank 0."""


def worker_of(assignment: Assignment) -> Worker:
    """Return the plugin of a measuring process, or of one in a group."""
    if not assignment.device:
        return Worker(assignment)
    return Leader(assignment) if os.environ["RANK"] == "0" else Follower(assignment)


def _never_called() -> NoReturn:
    raise RuntimeError("the function never called train_benchmark in this process")
