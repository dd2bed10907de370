"""Runs the command on the nodes of a Ray cluster; only this module loads Ray.

A run takes a whole node: all its CPUs and GPUs, chosen by the label that Ray gives each node. Its pieces are
below the size from which Ray keeps results in its object store.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from breakeven.errors import UsageError
from breakeven.experiment.shell import stopping_on_signals
from breakeven.fleet import node as node_module
from breakeven.fleet.node import END
from breakeven.fleet.plan import Node, Place
from breakeven.fleet.schedule import Lost, Piece
from breakeven.format import one_line, plural

INSTALL = "pip install 'breakeven[fleet]'"

CONNECT_S, ANSWER_S = 10.0, 45.0
"""How long a connection to an address, and an answer of Ray there, may take; Ray itself tries for minutes."""

PROBE_S = 180.0
"""How long all nodes together may take to report; each takes a few seconds."""

OBJECT_STORE_BYTES = 128 * 2**20
"""That of a cluster that is started here; nothing large is kept in it."""

LOCAL = "local"
"""Ray's address for a new cluster on this machine."""

_NEW = {"address": LOCAL, "object_store_memory": OBJECT_STORE_BYTES}

NODE_LABEL = "ray.io/node-id"

_CONNECT = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR')"
_QUIET = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
_MAX_PIECES = 256  # of one node in a turn


def load_ray() -> Any:
    """Return the module.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return import_module("ray")
    except ImportError as error:
        raise UsageError(f"`breakeven fleet` needs Ray ({one_line(error)}); {INSTALL}") from None


@contextmanager
def connected(ray: Any, given: str | None, notify: Callable[[str], None]) -> Iterator[None]:
    """Connect to a cluster: the one at the address, a running one, or a new one on this machine.

    Args:
        ray: the module.
        given: the value of --address, else that of RAY_ADDRESS is used.
        notify: shows the line about which cluster is used.

    Raises:
        UsageError: nothing answers at the address within a minute.
    """
    settings = _settings(given, notify)
    with contextlib.ExitStack() as until_shut_down:
        # Ray prints the logs of a node that died, until it is shut down.
        nowhere = until_shut_down.enter_context(open(os.devnull, "w"))  # noqa: PTH123
        until_shut_down.enter_context(contextlib.redirect_stdout(nowhere))
        until_shut_down.callback(ray.shutdown)
        try:
            ray.init(**settings, **_QUIET)
        except Exception as error:  # Ray's and its libraries' own
            raise UsageError(f"Ray does not start: {one_line(error, 300)}; {_START}") from None
        with stopping_on_signals():  # Ray has replaced the handler of SIGTERM
            if settings is not _NEW:
                count = sum(node["Alive"] for node in ray.nodes())
                notify(f"using the Ray cluster at {_gcs(ray)} ({plural(count, 'node')})")
            yield


_START = "start one with `ray start --head`, or pass the address that it printed"


def _settings(given: str | None, notify: Callable[[str], None]) -> Mapping[str, Any]:
    """Return the arguments of ``ray.init``."""
    address, source = _asked(given)
    if address == LOCAL:
        notify("starting a Ray cluster on this machine")
        return _NEW
    if address is not None:
        check_port(address, source)
    problem = _refusal(address or "auto")
    if problem is None:
        return {"address": address or "auto"}
    if address is not None:
        raise UsageError(f"no Ray cluster answers at {source} {one_line(address)} ({problem}); {_START}")
    notify("no Ray cluster is running; starting one on this machine")
    return _NEW


def _asked(given: str | None) -> tuple[str | None, str]:
    """Return the address that was asked for, and where; Ray's `auto` is RAY_ADDRESS where that is set."""
    if given in (None, "auto") and os.environ.get("RAY_ADDRESS"):
        return os.environ["RAY_ADDRESS"], "RAY_ADDRESS"
    return given, "--address"


def check_port(address: str, source: str) -> None:
    """Refuse an address at which nothing listens.

    Raises:
        UsageError: with the reason, and the source of the address.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        if address == "auto":
            return
        raise UsageError(f"{source} {one_line(address)!r} is not HOST:PORT; {_START}")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"no Ray cluster answers at {source} {one_line(address)} ({one_line(error)}); {_START}"
        ) from None


def _gcs(ray: Any) -> str:
    """Return the address of the connected cluster."""
    return str(ray.get_runtime_context().gcs_address)


def _refusal(address: str) -> str | None:
    """Return why Ray cannot connect, None where it can; in a process, because Ray ends one that cannot."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CONNECT, address], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", timeout=ANSWER_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no answer within {ANSWER_S:.0f} s"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return (
        one_line(lines[-1] if lines else f"exit status {done.returncode}", 200) if done.returncode else None
    )


class RayExecutor:
    """Runs pytest on nodes of the connected cluster.

    Args:
        ray: the module, connected.
        archive: the files that every node gets.
        arguments: of pytest.
    """

    def __init__(self, ray: Any, archive: bytes, arguments: Sequence[str]) -> None:
        self._ray = ray
        ray.cloudpickle.register_pickle_by_value(node_module)  # the nodes may have no breakeven
        self._archive = ray.put(archive)
        self._arguments = list(arguments)
        self._running: dict[Any, Place] = {}
        self._address = _gcs(ray)

    def nodes(self) -> list[Node]:
        """Return the nodes that are alive and have CPUs."""
        return [
            Node(
                node["NodeID"],
                node["NodeManagerHostname"],
                node["Resources"].get("CPU", 0.0),
                node["Resources"].get("GPU", 0.0),
                node["Labels"],
            )
            for node in self._ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU", 0.0)
        ]

    def probes(self, nodes: Sequence[Node]) -> dict[str, Mapping[str, Any]]:
        """Return what each node reports, by its id; without those that do not answer in time."""
        probe = self._ray.remote(num_cpus=0, max_calls=1, max_retries=0)(node_module.probe)
        started = {
            probe.options(label_selector={NODE_LABEL: node.node_id}).remote(): node.node_id for node in nodes
        }
        ready, late = self._ray.wait(list(started), num_returns=len(started), timeout=PROBE_S)
        for task in late:
            self._ray.cancel(task, force=True)
        found: dict[str, Mapping[str, Any]] = {}
        for task in ready:
            try:
                found[started[task]] = self._ray.get(task)
            except self._ray.exceptions.RayError as error:
                found[started[task]] = {"problem": one_line(error, 300)}
        return found

    def start(self, place: Place, journal: bytes) -> None:
        """Start the command on a node."""
        task = self._ray.remote(
            num_cpus=place.node.cpus,
            num_gpus=place.node.gpus,
            label_selector={NODE_LABEL: place.node.node_id},
            max_calls=1,
            max_retries=0,
            num_returns="streaming",
        )(node_module.measure)
        self._running[task.remote(self._archive, self._arguments, journal)] = place

    def poll(self, timeout_s: float) -> list[Piece | Lost]:
        """Return what arrived, after at most that many seconds.

        Raises:
            UsageError: the cluster has ended.
        """
        if not self._running:
            time.sleep(timeout_s)
            return []
        ready, _ = self._ray.wait(
            list(self._running), num_returns=len(self._running), timeout=0, fetch_local=False
        )
        if not ready:
            ready, _ = self._ray.wait(list(self._running), timeout=timeout_s, fetch_local=False)
        if not ready and self._has_ended():  # after a minute, Ray would end this process without a message
            raise self._ended(next(iter(self._running.values())))
        return [event for stream in ready for event in self._received(stream)]

    def stop(self, place: Place) -> None:
        """Cancel a run."""
        for stream in [stream for stream, there in self._running.items() if there is place]:
            del self._running[stream]
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.cancel(stream)

    def busy(self, place: Place) -> str:
        """Return whether the node is gone, or how much of the cluster is in use."""
        if place.node.node_id not in {node.node_id for node in self.nodes()}:
            return "the node is gone"
        free = self._ray.available_resources().get("CPU", 0)
        return f"{free:g} of {self._ray.cluster_resources().get('CPU', 0):g} CPUs of the cluster are free"

    def _has_ended(self) -> bool:
        """Return whether no node is alive, or nothing listens at the cluster's address any more."""
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), CONNECT_S).close()
        except OSError as error:  # others may be a slow network, for which Ray waits
            return isinstance(error, ConnectionRefusedError)
        return not any(node["Alive"] for node in self._ray.nodes())

    def _ended(self, place: Place) -> UsageError:
        return UsageError(
            f"the Ray cluster ended while {place.node.host} measured; what it had finished is kept; start a "
            "cluster and run the same command to resume"
        )

    def _received(self, stream: Any) -> Iterator[Piece | Lost]:
        place = self._running[stream]
        for _ in range(_MAX_PIECES):
            try:
                name, data = self._ray.get(next(stream))
            except StopIteration:
                del self._running[stream]
                yield Lost(place, "the run ended without an exit status", is_alive=True)
                return
            except self._ray.exceptions.RayError as error:
                del self._running[stream]
                # Ray believes that this process, the owner, has died: it has left its cluster.
                if isinstance(error, self._ray.exceptions.OwnerDiedError) or self._has_ended():
                    raise self._ended(place) from None
                is_dead = isinstance(error, self._ray.exceptions.NodeDiedError)
                is_alive = not is_dead and place.node.node_id in {node.node_id for node in self.nodes()}
                yield Lost(place, _reason(error, is_alive=is_alive), is_alive)
                return
            yield Piece(place, name, data)
            if name == END:
                del self._running[stream]
                return
            if not self._ray.wait([stream], timeout=0, fetch_local=False)[0]:
                return


def _reason(error: Exception, *, is_alive: bool) -> str:
    """Return why a run was lost, on one line."""
    if not is_alive:
        return "the node died; what it had finished is kept"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"Ray lost the run ({type(error).__name__}: {one_line(lines[-1] if lines else '', 200)})"
