"""Runs a command in a shell, in its own process group, with its output in a log.

Experiments take an `Executor` as an argument, so that tests start no processes.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from breakeven.errors import UsageError
from breakeven.locks import try_lock

OUT = "{out}"
"""The placeholder in a command for the path of its run file."""

GRACE_S = 20.0
"""How long a command may take to end after a signal; pytest still writes its run file then."""

QUIET_S = 0.5
"""A message is shown if a command takes longer than this to end; most end at once."""

KILL_AFTER_S = 5.0
"""How long a command may take to end after breakeven was killed: nobody waits for its run file."""

_WATCH = f"""
read group && ! read _ && {{
    kill -s TERM -- "-$group"
    sleep {KILL_AFTER_S:g}
    kill -s KILL -- "-$group"
}}"""

_STOPPING = ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU")
STOP_SIGNALS = tuple(getattr(signal, name) for name in _STOPPING if hasattr(signal, name))
"""The signals that end a process: a canceled job, a closed terminal, Ctrl-\\, a limit of CPU time."""


@dataclass(frozen=True)
class Job:
    """A command to run.

    `{out}` is already replaced, by `out`; `environment` is added to that of this process.
    """

    command: str
    log: Path
    out: Path
    environment: Mapping[str, str] = field(default_factory=dict)


Executor = Callable[[Job], int]
"""Runs a job and returns its exit status; a negative one is the number of the signal that ended it."""


class Stopped(KeyboardInterrupt):
    """breakeven received a signal other than Ctrl-C's that stops it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


def fill_in(command: str, out: Path) -> str:
    """Return the command with `{out}` replaced by a path, quoted for the shell.

    >>> fill_in("pytest --benchmark-json={out}; echo ${{HOME}}", Path("/a b/run.json"))
    "pytest --benchmark-json='/a b/run.json'; echo ${{HOME}}"
    >>> fill_in("python measure.py '{out}'", Path("/a b/run.json"))
    "python measure.py '/a b/run.json'"
    """
    path = shlex.quote(str(out))
    for quoted in (f"'{OUT}'", f'"{OUT}"', OUT):  # `{out}` may already be quoted
        command = command.replace(quoted, path)
    return command


def check_command(command: str, option: str) -> None:
    """Check that a command can write a run file.

    Raises:
        UsageError: it is empty, or has no `{out}`.
    """
    example = "'python -m pytest bench --benchmark-json={out}'"
    if not command.strip():
        raise UsageError(f"{option} is empty; pass a command that measures, such as {example}")
    if OUT not in command:
        raise UsageError(
            f"{option} {command!r} does not contain {OUT}, the path of its run file; write it as in {example}"
        )


@contextlib.contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Raise `Stopped` on the signals that stop a process, as Ctrl-C raises KeyboardInterrupt.

    Signals that are already ignored, as under ``nohup``, stay ignored.
    """

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])


def run_in_shell(job: Job, *, is_live: bool = False, notify: Callable[[str], None] = lambda _: None) -> int:
    """Run a job in the system's shell and return its exit status.

    Args:
        job: what to run.
        is_live: copy the job's output to standard error as well.
        notify: shows a line to the user, while a stopped job takes a while to end.

    Raises:
        KeyboardInterrupt: breakeven was stopped; the signal was passed on, and the command has ended.
    """
    with job.log.open("wb") as log, _EndOfCommand() as end, _watching() as watcher:
        try_lock(log)  # is_running finds it locked
        process, copying = None, None
        try:
            with _deferred_signals():
                process = subprocess.Popen(  # noqa: S602 - the user's own command line
                    job.command,
                    shell=True,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if is_live else log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **job.environment},
                    start_new_session=True,  # a group of its own, so that all of it can be stopped
                    pass_fds=(end.write, log.fileno()),
                )
                end.close_our_copy()
                watcher.write(b"%d\n" % process.pid)
                copying = _copy(process.stdout, log) if process.stdout is not None else None
            return process.wait()
        except KeyboardInterrupt as stop:
            number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
            if process is not None:
                _stop(process, number, end, notify)
            raise
        finally:
            if copying is not None:
                copying.join(1.0)


@contextlib.contextmanager
def _deferred_signals() -> Iterator[None]:
    """Handle the signals that stop breakeven after the block: they would leave a starting command running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, *STOP_SIGNALS)}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in before:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def is_running(log: Path) -> bool:
    """Return whether a command still runs, or a process that it left, although breakeven was killed."""
    try:
        with log.open("rb") as stream:
            return not try_lock(stream, is_shared=True)
    except OSError:
        return False


@contextlib.contextmanager
def _watching() -> Iterator[IO[bytes]]:
    """Yield the input of a shell that reads the number of a process group, and ends it after a kill of ours.

    The kill closes that input. The shell starts first: a signal meanwhile would leave the command running.
    """
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", _WATCH],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # what kills all of breakeven's group does not reach it
    )
    assert watcher.stdin is not None
    try:
        yield watcher.stdin
    finally:
        watcher.kill()
        watcher.communicate()


class _EndOfCommand:
    """Waits for a command and all processes it started: they keep the write end of a pipe open.

    Waiting for the shell is not enough: a signal to the group ends it at once, while its child processes may
    still be writing the run file.
    """

    def __enter__(self) -> _EndOfCommand:
        self._read, self.write = os.pipe()
        return self

    def __exit__(self, *_: object) -> None:
        self.close_our_copy()
        os.close(self._read)

    def close_our_copy(self) -> None:
        """Close the write end in this process."""
        if self.write >= 0:
            os.close(self.write)
        self.write = -1

    def within(self, seconds: float) -> bool:
        """Wait up to `seconds`; return whether every process has ended."""
        return bool(select.select([self._read], [], [], seconds)[0])


def _stop(
    process: subprocess.Popen[bytes], number: int, end: _EndOfCommand, notify: Callable[[str], None]
) -> None:
    """Pass a signal on and wait; on a second signal, or if the command does not end in time, kill it."""
    again = "press Ctrl-C again" if number == signal.SIGINT else f"send {signal.Signals(number).name} again"
    for sent in (number, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        with contextlib.suppress(KeyboardInterrupt):
            if end.within(QUIET_S):
                break
            if sent == number:
                with contextlib.suppress(OSError):  # the terminal may be closed
                    notify(f"waiting up to {GRACE_S:.0f} s for the command to end; {again} to kill it")
            if end.within(GRACE_S):
                break
    process.wait()


def _copy(stream: IO[bytes], log: IO[bytes]) -> threading.Thread:
    def copy() -> None:
        # The log may be closed by then: background processes of a command are not waited for.
        with stream, contextlib.suppress(ValueError, OSError):
            while chunk := os.read(stream.fileno(), 65536):
                log.write(chunk)
                log.flush()
                sys.stderr.buffer.write(chunk)
                sys.stderr.buffer.flush()

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread
