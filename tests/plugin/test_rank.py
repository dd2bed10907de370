"""What the processes of a group do at the end of a case: rank 0 journals it, the others follow."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from breakeven.case import Outcome, OutcomeKind
from breakeven.measure.group import UNKNOWN, Failure
from breakeven.plugin import rank
from breakeven.plugin.assignment import Assignment
from breakeven.plugin.cause import LOST, noted
from breakeven.plugin.measuring import FollowingSession
from breakeven.plugin.rank import Follower, Leader
from breakeven.plugin.worker import RESTART, Worker
from breakeven.runs.journal import CaseEnded, CaseStarted, Share


class Left(Exception):
    """The process has ended, with a code."""


class Together:
    """Ranks that may have lost each other."""

    def __init__(self, is_broken=False):
        self.is_broken, self.ended = is_broken, 0

    def end_case(self):
        self.ended += 1


@pytest.fixture
def process(tmp_path, monkeypatch):
    """Return a function that makes a process of a group, without what a real one does to this process."""
    monkeypatch.setattr(rank, "LOST_S", 0)

    def leave(code):
        raise Left(code)

    def make(kind, outcome=None, **fields):
        made = kind.__new__(kind)
        made.assignment = Assignment("j", 0, 1, str(tmp_path), "2xcpu")
        made.share, made.process, made.lines = Share(0, "2xcpu"), 0, []
        made.leave, made._end_if_alone = leave, lambda: None
        if kind is not Follower:
            made._write = made.lines.append
        found = {} if outcome is None else {"a": Outcome("a", outcome, "why", None)}
        ended = CaseEnded(process=9, case="a", outcome=outcome or "timed")
        made._session = SimpleNamespace(outcomes=found, ended=Mock(return_value=ended), release=Mock())
        for name, value in fields.items():
            setattr(made, name, value)
        return made

    return make


def run_case(worker):
    """Run a case in a process, as pytest does."""
    protocol = worker.pytest_runtest_protocol(SimpleNamespace(nodeid="a"))
    next(protocol)
    with pytest.raises(StopIteration):
        protocol.send(True)


@pytest.mark.parametrize("outcome", [None, "failed"])
def test_the_case_ends_for_all(process, outcome):
    leader = process(Leader, outcome, together=Together())
    run_case(leader)
    assert leader.together.ended == 1
    assert [type(line) for line in leader.lines] == [CaseStarted, CaseEnded]


def test_the_others_are_lost(process):
    """The coordinator journals why the case failed, for it knows how they ended."""
    leader = process(Leader, "failed", together=Together(is_broken=True))
    with pytest.raises(Left, match=str(LOST)):
        run_case(leader)
    assert [type(line) for line in leader.lines] == [CaseStarted]
    assert noted(leader.assignment.cause) == [Failure(UNKNOWN, OutcomeKind.FAILED, "why")]


def test_the_others_are_lost_after_the_last_round(process):
    """The case is timed; only a new group can time the next one."""
    leader = process(Leader, together=Together(is_broken=True))
    with pytest.raises(Left, match=str(RESTART)):
        run_case(leader)
    assert [type(line) for line in leader.lines] == [CaseStarted, CaseEnded]
    assert noted(leader.assignment.cause) == []


def test_one_process_has_no_others(process):
    worker = process(Worker, "failed")
    run_case(worker)
    assert [type(line) for line in worker.lines] == [CaseStarted, CaseEnded]


def test_a_follower_follows_each_case_once(process, monkeypatch):
    """Also one whose function does not come to its recipe: then the recipe reports that to rank 0."""
    follow = Mock()
    monkeypatch.setattr(rank, "follow", follow)
    monkeypatch.setattr(rank, "case_of", Mock())
    follower = process(Follower, together=Together())
    protocol = follower.pytest_runtest_protocol("item")
    next(protocol)
    follower.follow("item", run_case)
    with pytest.raises(StopIteration):
        protocol.send(True)
    assert [call.args[2] for call in follow.call_args_list] == [run_case]
    run_case(follower)
    with pytest.raises(RuntimeError, match="did not come to its recipe"):
        follow.call_args.args[2]()


def test_a_follower_ends_in_order(process):
    """Its exit code would end rank 0 otherwise; before it has joined, an error is one."""
    session = SimpleNamespace(exitstatus=1)
    process(Follower).pytest_sessionfinish(session)
    assert session.exitstatus == 1
    process(Follower, together=Together()).pytest_sessionfinish(session)
    assert session.exitstatus == 0


def test_ranks_that_cannot_join(process, monkeypatch):
    """The reason is noted, once for each."""

    def join(device):
        raise OSError("no port")

    class Device(SimpleNamespace):
        name = "2xcpu"

    monkeypatch.setattr(rank, "join", join)
    monkeypatch.setattr(rank, "Several", Device)
    monkeypatch.setattr(rank.signal, "signal", lambda *_: None)
    leader = process(Leader, rank=0)
    with pytest.raises(Left, match=str(LOST)):
        leader.join([Device()])
    [failure] = noted(leader.assignment.cause)
    assert (failure.reason[:8], failure.reason[-16:]) == ("rank 0: ", "OSError: no port")


def test_a_follower_has_nothing_to_drop():
    """Before each case rank 0 drops what an earlier attempt has left."""
    session = object.__new__(FollowingSession)
    session.forget("a")
    assert vars(session) == {}
