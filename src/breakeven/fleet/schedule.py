"""The loop that gives runs to places and collects what they send; the clock and the executor are injected."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from breakeven.errors import RunFileError
from breakeven.fleet.collect import Collector
from breakeven.fleet.node import END, HOME, LOG
from breakeven.fleet.plan import Place, Plan
from breakeven.format import duration, one_line

RETRIES = 2
"""How many lost runs of a class are started again."""

POLL_S = 1.0

_PROGRESS = re.compile(rb"process (\d+) of (\d+), case (\d+) of (\d+)")
_MEASURED = (0, 1)  # pytest's exit status: all passed, or a case failed and the others were timed
_USAGE = 4  # likewise: an option cannot be used, such as a journal of other code
_NO_CASE = 5


class State(StrEnum):
    """What a place does."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True)
class Piece:
    """Part of a file that a place sent, or its end."""

    place: Place
    file: str
    data: bytes


@dataclass(frozen=True)
class Lost:
    """A place that ended without an exit status; `is_alive` is whether its node can be used again."""

    place: Place
    reason: str
    is_alive: bool = False


class Executor(Protocol):
    """Runs the command on nodes. Tests have one without Ray."""

    def start(self, place: Place, journal: bytes, /) -> None:
        """Start the command, which resumes the journal unless it is empty."""

    def poll(self, timeout_s: float, /) -> Sequence[Piece | Lost]:
        """Return what arrived, after at most that many seconds."""

    def stop(self, place: Place, /) -> None:
        """Give up a run; nothing more of it arrives."""

    def busy(self, place: Place, /) -> str:
        """Return why a run there does not begin, as a phrase."""


@dataclass
class Row:
    """A line of the table: a place, its state since when (seconds of the clock), and its progress."""

    place: Place
    state: State
    since_s: float
    began_s: float = 0.0
    progress: str = ""
    tail: bytes = b""


@dataclass
class _ClassQueue:
    wanted: int
    tries: int
    places: list[Place]
    running: int = 0


@dataclass
class Schedule:
    """Runs a plan.

    Args:
        plan: the places of each class.
        instances: how many places of each class measure.
        executor: runs the command.
        collector: keeps what arrives; its finished runs are never measured again.
        clock: seconds.
        wait_s: how long a run may wait for its node to be free.
        notify: shows a line.
        changed: is called when a row has changed.
    """

    plan: Plan
    instances: int
    executor: Executor
    collector: Collector
    clock: Callable[[], float]
    wait_s: float
    notify: Callable[[str], None]
    changed: Callable[[Row], None] = lambda _: None
    rows: dict[str, Row] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _queues: dict[str, _ClassQueue] = field(default_factory=dict)
    _busy: set[str] = field(default_factory=set)
    _reasons: dict[str, Place] = field(default_factory=dict)

    def run(self) -> None:
        """Measure until every class has its runs, or no place is left for them."""
        for class_id, places in self.plan.classes.items():
            done = [place for place in places if place.run_name in self.collector.finished]
            for place in done:
                self.rows[place.run_name] = Row(place, State.DONE, self.clock())
            left = [place for place in places if place.run_name not in self.collector.finished]
            count = self.collector.count(class_id)
            wanted = max(0, min(self.instances - count, len(left)))
            self._queues[class_id] = _ClassQueue(wanted, wanted + RETRIES, left)
            self._start(class_id)
        while any(queue.running for queue in self._queues.values()):
            for event in self.executor.poll(POLL_S):
                self._handle(event)
            self._give_up_waiting()

    def stop(self) -> None:
        """Give up what is running; what arrived is kept."""
        for row in self._active():
            self.executor.stop(row.place)

    def _start(self, class_id: str) -> None:
        """Start as many runs of a class as it wants and has free machines for."""
        queue = self._queues[class_id]
        for place in list(queue.places):
            if queue.running >= queue.wanted or queue.running >= queue.tries:
                return
            if place.instance_id not in self._busy:
                queue.places.remove(place)
                queue.running += 1
                self._busy.add(place.instance_id)
                now = self.clock()
                self._show(Row(place, State.WAITING, now, now))
                self.executor.start(place, self.collector.begin(place))

    def _handle(self, event: Piece | Lost) -> None:
        row = self.rows[event.place.run_name]
        if row.state not in (State.WAITING, State.RUNNING):
            return
        if isinstance(event, Lost):
            self._lose(row, event.reason, is_alive=event.is_alive)
        elif event.file == END:
            self._end(row, int(event.data))
        else:
            self.collector.add(event.place, event.file, event.data)
            self._note(row, event)

    def _note(self, row: Row, piece: Piece) -> None:
        before = row.state, row.progress
        row.state = State.RUNNING
        if before[0] is State.WAITING:
            row.began_s = self.clock()
        if piece.file == LOG:
            row.tail = (row.tail + piece.data)[-500:]
            found = _PROGRESS.findall(row.tail)
            if found:
                process, processes, case, cases = map(int, found[-1])
                row.progress = f"{(process - 1) * cases + case - 1}/{processes * cases}"
        if (row.state, row.progress) != before:
            self._show(row)

    def _end(self, row: Row, status: int) -> None:
        place, seconds = row.place, self.clock() - row.began_s
        problem: str | None
        if status == _USAGE and self.collector.set_aside(place):
            lines = self.collector.last_lines(place)
            self._lose(row, f"its earlier cases cannot be used, and are measured again{lines}", is_alive=True)
            return
        if status in _MEASURED:
            try:
                problem = self.collector.finish(place, seconds, status)
            except RunFileError as error:
                problem = str(error)
        else:
            problem = f"pytest ended with {status}{self.collector.last_lines(place)}"
        queue = self._free(row)
        if problem is None:
            queue.wanted -= 1
            self._change(row, State.DONE)
        else:
            self._report(row, problem, State.FAILED)
            if status not in _MEASURED:
                queue.wanted -= 1
            if status in (_USAGE, _NO_CASE):  # the command's own error is the same on every node of the class
                queue.places.clear()
        self._start_all()

    def _lose(self, row: Row, reason: str, *, is_alive: bool) -> None:
        queue = self._free(row)
        self._report(row, reason, State.LOST)
        queue.tries -= 1
        if is_alive:
            queue.places.append(row.place)
        self._start_all()

    def _free(self, row: Row) -> _ClassQueue:
        queue = self._queues[row.place.machine.class_id]
        queue.running -= 1
        self._busy.discard(row.place.instance_id)
        return queue

    def _start_all(self) -> None:
        for class_id, queue in self._queues.items():  # a machine may have nodes of two classes
            if queue.places and queue.running < queue.wanted:
                self._start(class_id)

    def _give_up_waiting(self) -> None:
        for row in self._active():
            if row.state is State.WAITING and self.clock() - row.since_s > self.wait_s:
                self.executor.stop(row.place)
                waited = f"it did not begin within {duration(self.wait_s)} ({self.executor.busy(row.place)})"
                self._lose(row, f"{waited}; free the node, or wait longer with --wait", is_alive=False)

    def _active(self) -> list[Row]:
        return [row for row in self.rows.values() if row.state in (State.WAITING, State.RUNNING)]

    def _report(self, row: Row, problem: str, state: State) -> None:
        place = row.place
        # Its directories, here and on the node, make a repeated reason another text.
        reason = re.sub(rf"{HOME}\w+", "", problem.replace(str(self.collector.directory(place)), ""))
        said = one_line(problem, 600)
        if reason in self._reasons:
            first = self._reasons[reason]
            said = "the same again" if first is place else f"the same as on {first.label}"
        self._reasons.setdefault(reason, place)
        self.problems.append(f"{place.label} ({one_line(place.machine.label, 60)}): {said}")
        self.notify(self.problems[-1])
        self._change(row, state)

    def _change(self, row: Row, state: State) -> None:
        row.state, row.since_s = state, self.clock()
        self._show(row)

    def _show(self, row: Row) -> None:
        self.rows[row.place.run_name] = row
        self.changed(row)


def unmeasured(schedule: Schedule) -> Iterator[str]:
    """Yield the label of each class without any run."""
    for class_id, places in schedule.plan.classes.items():
        if not schedule.collector.count(class_id):
            yield places[0].machine.label
