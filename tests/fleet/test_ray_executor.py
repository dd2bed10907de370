"""Which Ray cluster is used, and how its end is reported; with a fake Ray."""

import socket
from types import SimpleNamespace

import pytest

from breakeven.errors import UsageError
from breakeven.fleet import ray_executor
from breakeven.fleet.node import END
from breakeven.fleet.ray_executor import RayExecutor, connected
from breakeven.fleet.schedule import Lost, Piece
from support.fleets import fleet_of

(PLACE,) = fleet_of(1).classes["0" * 12]


class RayError(Exception):
    """The base of Ray's errors."""


class OwnerDiedError(RayError):
    """Ray's: the process that started a task has died."""


class NodeDiedError(RayError):
    """Ray's: the node of a task has died."""


class FakeRay:
    """A cluster at `address` with nodes that are alive or not; `init` is recorded.

    A task yields what `results` has; an error there is raised.
    """

    exceptions = SimpleNamespace(
        RayError=RayError, OwnerDiedError=OwnerDiedError, NodeDiedError=NodeDiedError
    )
    cloudpickle = SimpleNamespace(register_pickle_by_value=lambda _: None)

    def __init__(self, address="10.0.0.5:6379", alive=(True, True), results=()):
        self.address, self.alive, self.results = address, alive, results
        self.asked, self.is_idle = None, False

    def init(self, address, **_):
        self.asked = address

    def shutdown(self):
        pass

    def get_runtime_context(self):
        return SimpleNamespace(gcs_address=self.address)

    def nodes(self):
        return [
            {"Alive": alive, "NodeID": f"id{number}", "NodeManagerHostname": "", "Resources": {"CPU": 1.0},
             "Labels": {}}
            for number, alive in enumerate(self.alive)
        ]  # fmt: skip

    def put(self, value):
        return value

    def remote(self, **_):
        stream = iter(self.results)
        return lambda _: SimpleNamespace(remote=lambda *_: stream)

    def wait(self, streams, **_):
        return ([] if self.is_idle else streams), []

    def get(self, result):
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
def listening():
    """An address at which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def free():
    """An address at which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def lines_of(ray, given, monkeypatch, variable=None, refusal=None):
    """Connect; return the lines about it."""
    monkeypatch.setattr(ray_executor, "_refusal", lambda _: refusal)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if variable is not None:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    lines = []
    with connected(ray, given, lines.append):
        return lines


def test_the_cluster_that_is_used_is_named(monkeypatch, listening):
    ray = FakeRay(alive=(True, False, True))
    assert lines_of(ray, listening, monkeypatch) == ["using the Ray cluster at 10.0.0.5:6379 (2 nodes)"]
    assert ray.asked == listening
    assert lines_of(FakeRay(alive=(True,)), None, monkeypatch) == [
        "using the Ray cluster at 10.0.0.5:6379 (1 node)"
    ]


@pytest.mark.parametrize("variable", [None, ""])
def test_without_a_cluster_one_is_started(monkeypatch, variable):
    ray = FakeRay()
    lines = lines_of(ray, None, monkeypatch, variable, refusal="none runs")
    assert (lines, ray.asked) == (["no Ray cluster is running; starting one on this machine"], "local")


def test_ray_address_may_ask_for_a_new_cluster(monkeypatch):
    ray = FakeRay()
    assert lines_of(ray, None, monkeypatch, "local") == ["starting a Ray cluster on this machine"]
    assert ray.asked == "local"


@pytest.mark.parametrize("given", [None, "auto"])
def test_ray_address_is_an_address(monkeypatch, listening, free, given):
    ray = FakeRay()
    lines_of(ray, given, monkeypatch, listening)
    assert ray.asked == listening
    with pytest.raises(UsageError, match=f"no Ray cluster answers at RAY_ADDRESS {free} "):
        lines_of(FakeRay(), given, monkeypatch, free)
    with pytest.raises(UsageError, match=f"no Ray cluster answers at RAY_ADDRESS {listening} .no version"):
        lines_of(FakeRay(), given, monkeypatch, listening, refusal="no version")


def test_address_comes_before_ray_address(monkeypatch, listening, free):
    ray = FakeRay()
    lines_of(ray, listening, monkeypatch, free)
    assert ray.asked == listening
    with pytest.raises(UsageError, match=f"no Ray cluster answers at --address {free} "):
        lines_of(FakeRay(), free, monkeypatch, listening)


def polled(ray):
    executor = RayExecutor(ray, b"", [])
    executor.start(PLACE, b"")
    return executor.poll(0.0)


def test_pieces_arrive(listening):
    assert polled(FakeRay(listening, results=[("run.log", b"x"), (END, b"0")])) == [
        Piece(PLACE, "run.log", b"x"),
        Piece(PLACE, END, b"0"),
    ]


ENDED = (
    "the Ray cluster ended while host0 measured; what it had finished is kept; start a cluster and run the "
)


def test_the_end_of_the_cluster_is_one_line(listening, free):
    for ray in (
        FakeRay(listening, results=[OwnerDiedError("Owner worker ID: 01")]),
        FakeRay(listening, (False, False), [RayError("x")]),
        FakeRay(free, results=[NodeDiedError("x")]),
    ):
        with pytest.raises(UsageError, match=ENDED):
            polled(ray)


def test_a_silent_cluster_that_has_ended(listening, free):
    ray = FakeRay(free)
    ray.is_idle = True
    with pytest.raises(UsageError, match=ENDED):
        polled(ray)
    ray.address = listening
    assert polled(ray) == []


def test_a_node_that_dies_alone_is_lost(listening):
    died = FakeRay(listening, (False, True), [NodeDiedError("x")])
    assert polled(died) == [Lost(PLACE, "the node died; what it had finished is kept", is_alive=False)]
    crashed = FakeRay(listening, results=[RayError("more\nout of memory")])
    assert polled(crashed) == [Lost(PLACE, "Ray lost the run (RayError: out of memory)", is_alive=True)]
