"""What ranks exchange over gloo: one rank in this process; two are in `test_together`."""

import json

import pytest
import torch

from breakeven.case import OutcomeKind
from breakeven.errors import MeasurementError
from breakeven.hardware.devices import parse_device
from breakeven.measure import group as group_module
from breakeven.measure.group import FAILURE_VARIABLE, LEFT_ALONE, UNKNOWN, Failure, GroupBrokenError
from breakeven.measure.together import join
from support.ranks import environment, free_port, joined_alone

OOM = Failure(0, OutcomeKind.OOM, "rank 0: OutOfMemoryError: no memory")


@pytest.fixture
def group(monkeypatch):
    together = joined_alone(monkeypatch, "1xcpu")
    yield together._leader.group
    together.leave()


def test_a_failure_is_classified_where_it_happens():
    failure = Failure.of(3, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB\nmore"))
    assert failure == Failure(
        3, OutcomeKind.OOM, "rank 3: OutOfMemoryError: CUDA out of memory. Tried to allocate 1 GiB"
    )
    assert Failure.read(failure.as_json()) == failure


def test_one_rank(group):
    """It waits for nobody."""
    group.announce(["prepare", "train", 3])
    group.barrier()
    assert group.exchange(1.5, None) == (1.5, None)
    assert group.exchange(1.5, OOM) == (1.5, None)  # its own is none of the others'
    assert group.gather("text") == ["text"]


def test_joining_takes_time(monkeypatch):
    together = joined_alone(monkeypatch, "1xcpu")
    assert 0 < together.init_s < 30
    assert together.device.init_s == together.init_s
    assert together.device.others == ()
    together.leave()
    assert not torch.distributed.is_initialized()


def test_joining_without_a_launcher(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(MeasurementError, match=r"^the ranks of 1xcpu cannot join: ValueError: .*RANK"):
        join(parse_device("1xcpu"))


def test_another_number_of_ranks_was_started(monkeypatch):
    for name, value in environment(0, 1, free_port()).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        MeasurementError,
        match=r"^the ranks of 2xcpu cannot join: MeasurementError: started 1 process instead of 2$",
    ):
        join(parse_device("2xcpu"))


@pytest.mark.parametrize(
    ("message", "own", "expected"),
    [
        ("Connection closed by peer", None, "another rank ended without a reason; if the system killed it "
                                            "for memory, dmesg shows it"),
        ("Connection closed by peer", OOM, "another rank ended without a reason; if the system killed it for "
                                           "memory, dmesg shows it"),
        ("Operation timed out!", None, "another rank did not answer within 600 s"),
        ("Operation timed out!", OOM, OOM.reason),
    ],
)  # fmt: skip
def test_why_ranks_lose_each_other(group, message, own, expected):
    """A rank that has failed itself, and hears nothing of the others, is the reason."""
    with pytest.raises(GroupBrokenError) as error, group._broken_by(own):
        raise RuntimeError(message)
    failure = error.value.failure
    assert failure.reason == expected
    assert failure.rank == (UNKNOWN if failure is not own else own.rank)


@pytest.fixture
def left(monkeypatch):
    """The exit codes of processes that would have ended."""
    codes = []
    monkeypatch.setattr(group_module.os, "_exit", codes.append)
    return codes


def test_a_rank_leaves_its_reason(group, left, monkeypatch, tmp_path, capsys):
    """To the other ranks, to whoever started it, and to whoever reads its output."""
    monkeypatch.setenv(FAILURE_VARIABLE, str(tmp_path / "failures"))
    group.leave_alone(OOM)
    assert left == [LEFT_ALONE]
    assert [json.loads(line) for line in (tmp_path / "failures").read_text().splitlines()] == [
        {"rank": 0, "outcome": "oom", "reason": OOM.reason}
    ]
    assert capsys.readouterr().err == f"breakeven: {OOM.reason}\n"
    with pytest.raises(GroupBrokenError, match=OOM.reason), group._broken_by():
        raise RuntimeError("Connection closed by peer")


def test_a_rank_does_not_repeat_the_reason_of_another(group, left, monkeypatch, tmp_path):
    monkeypatch.setenv(FAILURE_VARIABLE, str(tmp_path / "failures"))
    group.leave_alone(Failure(UNKNOWN, OutcomeKind.CRASHED, "another rank ended"))
    assert left == [LEFT_ALONE]
    assert not (tmp_path / "failures").exists()
