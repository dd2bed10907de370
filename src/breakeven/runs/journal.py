"""The journal of a run: a line of JSON for each thing that happened, on disk as soon as it has happened.

The first line is a `RunStarted`. Each measuring process then appends a `ProcessStarted`, a `CaseStarted` and
a `CaseEnded` for each of its cases, and a `ProcessEnded`; so does a group of processes that measure a device
together, by one of them. A line that was cut off, by a kill or a full disk, is ignored, and so is one that is
not JSON or lacks what joining the processes needs.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from breakeven.case import OutcomeKind
from breakeven.device_names import processes_of
from breakeven.errors import BreakevenError, UsageError
from breakeven.format import one_line
from breakeven.locks import try_lock
from breakeven.phases import find_phase
from breakeven.runs.journal_checks import is_case, is_machine, is_run, is_state
from breakeven.runs.json_files import MAX_DEPTH, Place, is_deeper, parsed

TIMED = "timed"
"""The outcome of a case with rounds."""

_REMEDY = "give the journal of a run, RUN.json.journal"


class RunStarted(msgspec.Struct, tag_field="kind", tag="run", kw_only=True):
    """What the run was to measure: everything that a resumed run must have in common with it.

    `cases` has the identity of each case by the id of its item, in the order of the sweeps; `sources` the
    digest of each benchmark file, `settings` the versions and options, `shard` what the run file has of its
    shard, None where the run has every cell.
    """

    schema: int
    pid: int
    began: str
    command: str
    processes: int
    seed: int
    cases: dict[str, dict[str, Any]]
    sources: dict[str, str]
    settings: dict[str, Any]
    machine_info: dict[str, Any]
    commit_info: dict[str, Any]
    shard: dict[str, Any] | None = None


class ProcessStarted(msgspec.Struct, tag_field="kind", tag="process", kw_only=True, omit_defaults=True):
    """A measuring process: its seed, the order of its cells, and the machine's facts.

    `device` is that of a group of processes, which measure it together; empty for an ordinary process.
    """

    process: int
    device: str = ""
    pid: int
    seed: int
    order: list[str]
    machine: dict[str, Any]
    look: dict[str, Any] | None = None


class CaseStarted(msgspec.Struct, tag_field="kind", tag="begin", kw_only=True):
    """A case that has begun."""

    process: int
    case: str


class CaseEnded(msgspec.Struct, tag_field="kind", tag="end", kw_only=True, omit_defaults=True):
    """How a case ended in a process: `data` are its rounds in seconds, per step.

    A timed one has a `reason` where its function failed after it was timed.
    `hand_on` is what later processes need not find out again, `benchmark` how pytest-benchmark names the
    case.
    """

    process: int
    case: str
    outcome: str
    reason: str = ""
    seconds: float = 0.0
    step_s: float | None = None
    canary_s: float = 0.0
    data: list[float] = []
    extra_info: dict[str, Any] = {}
    hand_on: dict[str, Any] = {}
    benchmark: dict[str, Any] = {}
    stack: list[str] = []


class ProcessEnded(msgspec.Struct, tag_field="kind", tag="process_end", kw_only=True, omit_defaults=True):
    """The end of a process that was not killed; `device` as in `ProcessStarted`.

    `stopped` is why it has left the rest of its cases, and ends the run: what was given to ``pytest.exit()``.
    """

    process: int
    device: str = ""
    state: dict[str, Any]
    spent_s: dict[str, float]
    wall_s: float
    settings: dict[str, str]
    stopped: str = ""


class LoadRead(msgspec.Struct, tag_field="kind", tag="load", kw_only=True):
    """How busy other programs were between two processes."""

    load: dict[str, Any]


class Share(NamedTuple):
    """What is measured by one start: by a process of the run, or by a group of processes for one device.

    `process` is the index of the process in the run; `device` that of a group, empty for the ordinary
    process, which measures every device of one process.
    """

    process: int
    device: str = ""


Line = RunStarted | ProcessStarted | CaseStarted | CaseEnded | ProcessEnded | LoadRead

_decode: Callable[[bytes], Line] = msgspec.json.Decoder(Line).decode
_convert: Callable[[Any], Line] = partial(msgspec.convert, type=Line)


@dataclass(frozen=True)
class Stored:
    """A `CaseEnded` in the journal, without its rounds; the rest of it is read when it is needed."""

    outcome: str
    reason: str
    seconds: float
    at: int
    length: int

    @property
    def is_timed(self) -> bool:
        """Whether it has rounds."""
        return self.outcome == TIMED

    @property
    def is_failure(self) -> bool:
        """Whether it failed or crashed."""
        return self.outcome in (OutcomeKind.FAILED, OutcomeKind.CRASHED)


@dataclass
class Journal:
    """What a journal says so far; `read_on` reads what was appended since.

    `ended` has, for each case, how it ended by process; `begun` is the case that has begun and not ended.
    """

    path: Path
    run: RunStarted
    started: dict[Share, ProcessStarted] = field(default_factory=dict)
    ended: dict[str, dict[int, Stored]] = field(default_factory=dict)
    finished: dict[Share, ProcessEnded] = field(default_factory=dict)
    loads: list[dict[str, Any]] = field(default_factory=list)
    begun: CaseStarted | None = None
    _read_to: int = 0

    def __post_init__(self) -> None:
        """Find the file also after a benchmark's fixture has changed the current directory."""
        self._absolute = self.path.absolute()

    def read_on(self) -> Iterator[Line]:
        """Yield the whole lines that were appended since the last call."""
        with self._absolute.open("rb") as file:
            file.seek(self._read_to)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                at, self._read_to = self._read_to, self._read_to + len(raw)
                line = _decoded(raw)
                if line is not None:
                    self._note(line, at, len(raw))
                    yield line

    def _note(self, line: Line, at: int, length: int) -> None:
        match line:
            case ProcessStarted():
                self.started[Share(line.process, line.device)] = line
                self.begun = None
            case CaseStarted():
                self.begun = line
            case CaseEnded():
                stored = Stored(line.outcome, line.reason, line.seconds, at, length)
                self.ended.setdefault(line.case, {})[line.process] = stored
                self.begun = None
            case ProcessEnded():
                self.finished[Share(line.process, line.device)] = line
            case LoadRead():
                self.loads.append(line.load)
            case RunStarted():
                pass

    def whole(self, case: str, process: int) -> CaseEnded:
        """Return all that was stored of a case in a process."""
        stored = self.ended[case][process]
        with self._absolute.open("rb") as file:
            file.seek(stored.at)
            line = _decoded(file.read(stored.length))
        assert isinstance(line, CaseEnded)
        return line

    def hand_on(self, case: str, process: int) -> list[Mapping[str, Any]]:
        """Return what the processes before this one hand on about a case, in their order."""
        timed = (before for before in range(process) if self.is_timed(case, before))
        return [self.whole(case, before).hand_on for before in timed]

    def is_timed(self, case: str, process: int) -> bool:
        """Return whether a process has rounds of a case."""
        stored = self.ended.get(case, {}).get(process)
        return stored is not None and stored.is_timed

    def is_wanted(self, case: str, process: int) -> bool:
        """Return whether a process times a case: the first one all, later ones those that the first timed.

        A phase that is not the headline takes fewer processes.
        """
        if process == 0:
            return True
        phase = find_phase(self.run.cases[case].get("phase", ""))
        processes = self.run.processes if phase is None else phase.processes(self.run.processes)
        return process < processes and self.is_timed(case, 0)

    @property
    def shares(self) -> list[Share]:
        """The shares of the run in their order: by process, the ordinary one first, then a group for each
        device of several.
        """
        groups = dict.fromkeys(map(self._group_of, self.run.cases))
        return [
            Share(process, device)
            for process in range(self.run.processes)
            for device in sorted(groups, key=bool)  # stable: groups stay in the order of their devices
        ]

    def wanted(self, share: Share) -> list[str]:
        """Return the cases of a share, ended or not, in the order of the sweeps."""
        process, device = share
        cases = (case for case in self.run.cases if self._group_of(case) == device)
        return [case for case in cases if self.is_wanted(case, process)]

    def left(self, share: Share) -> list[str]:
        """Return the cases that a share has yet to time, in the order of the sweeps."""
        return [case for case in self.wanted(share) if share.process not in self.ended.get(case, {})]

    @property
    def is_complete(self) -> bool:
        """Whether every process has ended all of its cases."""
        return not any(map(self.left, self.shares))

    def _group_of(self, case: str) -> str:
        """Return the device of a case if a group measures it, else an empty text."""
        device: str = self.run.cases[case].get("device", "")
        return "" if processes_of(device) is None else device


def read_journal(path: str | os.PathLike[str]) -> Journal:
    """Read a journal.

    Raises:
        RunFileError: it cannot be read, or does not begin as a journal.
    """
    place = Place(os.fspath(path))
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a device may have a line without end
            place.refuse("cannot be read (it is not a file)", _REMEDY)
        with Path(path).open("rb") as file:
            first = file.readline()
    except (OSError, ValueError) as error:  # the second: a path with NUL
        place.refuse(f"cannot be read ({one_line(getattr(error, 'strerror', None) or error)})", _REMEDY)
    run = _decoded(first) if first.endswith(b"\n") else None
    if not isinstance(run, RunStarted):
        place.refuse("is not the journal of a run: its first line does not describe one", _REMEDY)
    place.refuse_newer(run.schema)
    journal = Journal(Path(path), run)
    for _ in journal.read_on():
        pass
    return journal


class JournalUnwritableError(BreakevenError):
    """A line could not be written, as on a full disk."""


class JournalFile:
    """A journal that this process appends to: a whole line at a time, in one write.

    Where the last line was cut off, as by a killed process, the next write ends it.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def write(self, line: Line) -> None:
        """Append a line.

        Raises:
            JournalUnwritableError: it cannot be written.
        """
        raw = encoded(line) + b"\n"
        with self._unwritable():
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                raw = b"\n" + raw
            while raw:  # a full disk takes a part, and refuses the rest
                raw = raw[os.write(self._file, raw) :]

    def flush(self) -> None:
        """Wait until all lines are on disk.

        Raises:
            JournalUnwritableError: they cannot be written.
        """
        with self._unwritable():
            os.fsync(self._file)

    @contextmanager
    def _unwritable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalUnwritableError(
                f"{self._path} cannot be written ({one_line(error.strerror or error)}); free some space, and "
                "repeat the command with --breakeven-resume"
            ) from None

    def lock(self) -> bool:
        """Return whether no other process has the lock, which ends with the process that has it."""
        return try_lock(self._file)

    def close(self) -> None:
        """Close the file, and give up the lock."""
        os.close(self._file)


def is_being_written(path: Path) -> bool:
    """Return whether a run that has not ended has locked this journal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return not try_lock(file, is_shared=True)


def encoded(line: Line) -> bytes:
    """Return a line as JSON; values that JSON lacks become text, as pytest-benchmark writes them."""
    try:
        return msgspec.json.encode(line, enc_hook=str)
    except UnicodeEncodeError:  # a lone surrogate, which JSON can escape and msgspec cannot
        return json.dumps(msgspec.to_builtins(line, enc_hook=str)).encode()


def refuse_differences(journal: Journal, now: RunStarted) -> None:
    """Refuse to resume a journal of another plan, of other sources, versions or options.

    Raises:
        UsageError: naming the first difference.
    """
    before = journal.run
    ours, given = (
        {"processes": run.processes, "seed": run.seed, "shard": _shard_text(run), **run.settings}
        for run in (before, now)
    )
    found = [
        f"{name} was {one_line(ours.get(name), 80)} and is {one_line(given.get(name), 80)}"
        for name in dict.fromkeys((*ours, *given))
        if ours.get(name) != given.get(name)
    ]
    found += [
        f"{one_line(path, 200)} has changed"
        for path in dict.fromkeys((*before.sources, *now.sources))
        if before.sources.get(path) != now.sources.get(path)
    ]
    if before.cases != now.cases:
        gone, added = before.cases.keys() - now.cases.keys(), now.cases.keys() - before.cases.keys()
        example = one_line(min(gone | added, default=next(iter(now.cases), "")), 200)
        found.append(f"{len(gone)} of its cases are gone and {len(added)} are new, such as {example}")
    if found:
        raise UsageError(
            f"--breakeven-resume cannot go on with {journal.path}: {'; '.join(found[:3])}; measure again "
            "without the option (the journal is then kept as .old), or use `breakeven recover`"
        )


def _shard_text(run: RunStarted) -> str:
    return "none" if run.shard is None else f"{run.shard.get('index')}/{run.shard.get('count')}"


def _decoded(raw: bytes) -> Line | None:
    line = _parsed_line(raw)
    return line if line is not None and _is_sound(line) else None


def _parsed_line(raw: bytes) -> Line | None:
    try:
        line = _decode(raw)
        return None if is_deeper(list(msgspec.structs.astuple(line)), MAX_DEPTH) else line
    except (ValueError, RecursionError):  # the first one also for what is not UTF-8
        pass
    try:
        return _convert(parsed(raw))
    except ValueError:  # msgspec's and json's errors are of this kind
        return None


def _is_sound(line: Line) -> bool:
    match line:
        case RunStarted():
            return is_run(line.processes, line.cases)
        case ProcessStarted():
            return is_machine(line.machine)
        case CaseEnded():
            return is_case(line.outcome == TIMED, line.data, line.extra_info)
        case ProcessEnded():
            return is_state(line.state)
    return True
