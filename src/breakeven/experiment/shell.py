"""One command in a shell: started in a process group of its own, listened to, stopped as a whole.

Owns the process and nothing of what it means: a status comes back, and everything it said stands in a log.
Whoever schedules takes the executor as an argument, so that schedules are tested without processes.
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

OUT = "{out}"
"""Stands in a command for the path that it is to write its run file to."""

GRACE_S = 20.0
"""So long a command may take to end after it was told to; pytest writes its run file even then."""

SOON_S = 0.5
"""Only a command that takes longer to end is worth a word: most have nothing to tidy up."""

STOPPING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What stops us as Ctrl-C does."""


@dataclass(frozen=True)
class Job:
    """A command whose `{out}` is filled in, what its environment has beside ours, and where its log goes."""

    command: str
    log: Path
    out: Path
    environment: Mapping[str, str] = field(default_factory=dict)


Executor = Callable[[Job], int]
"""Runs a job to its exit status; negative is the number of the signal that ended it."""


class Stopped(KeyboardInterrupt):
    """We were told to stop by a signal other than Ctrl-C's."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


def filled_in(command: str, out: Path) -> str:
    """Return the command with `{out}` replaced by a path that the shell takes as one word.

    >>> filled_in("pytest --benchmark-json={out}; echo ${{HOME}}", Path("/a b/run.json"))
    "pytest --benchmark-json='/a b/run.json'; echo ${{HOME}}"
    >>> filled_in("python measure.py '{out}'", Path("/a b/run.json"))
    "python measure.py '/a b/run.json'"
    """
    path = shlex.quote(str(out))
    for quoted in (f"'{OUT}'", f'"{OUT}"', OUT):  # who quotes it alone means the same
        command = command.replace(quoted, path)
    return command


def check_command(command: str, option: str) -> None:
    """Refuse what cannot write a run file.

    Raises:
        UsageError: it is empty, or has no `{out}`.
    """
    example = "'python -m pytest bench --benchmark-json={out}'"
    if not command.strip():
        raise UsageError(f"{option} is empty; give a command that measures, such as {example}")
    if OUT not in command:
        raise UsageError(
            f"{option} {command!r} has no {OUT}, so nothing says where its run file goes; write it as in "
            f"{example}"
        )


@contextlib.contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Let the signals that stop a process raise `Stopped`, as Ctrl-C raises KeyboardInterrupt.

    Those that whoever started us has us ignore, as ``nohup`` does, stay ignored.
    """

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPPING}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


class Shell:
    """Runs a job in the system's shell.

    Args:
        is_live: show what it says on standard error as well.
        say: tells a person who stopped us what we are waiting for.
    """

    def __init__(self, *, is_live: bool = False, say: Callable[[str], None] = lambda _: None) -> None:
        self._is_live, self._say = is_live, say

    def __call__(self, job: Job) -> int:
        """Run the job and return its exit status.

        Raises:
            KeyboardInterrupt: we were stopped; the command was told so too, and has ended.
        """
        with job.log.open("wb") as log, _Lifeline() as lifeline:
            process = subprocess.Popen(
                job.command,
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self._is_live else log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **job.environment},
                start_new_session=True,  # a group of its own: what the shell starts is stopped with it
                pass_fds=lifeline.held_by_command,
            )
            lifeline.let_go()
            copying = _copy(process.stdout, log) if process.stdout is not None else None
            try:
                return process.wait()
            except KeyboardInterrupt as stop:
                number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
                _stop(process, number, lifeline, self._say)
                raise
            finally:
                if copying is not None:
                    copying.join(1.0)


class _Lifeline:
    """A pipe that a command and whatever it starts hold open: it breaks when the last of them has ended.

    The shell alone does not do: a signal to the group ends it at once, and what it started may still write.
    """

    def __enter__(self) -> _Lifeline:
        self._ours, self._theirs = os.pipe()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        os.close(self._ours)

    @property
    def held_by_command(self) -> tuple[int]:
        """What the command inherits."""
        return (self._theirs,)

    def let_go(self) -> None:
        """Hold it no longer ourselves."""
        if self._theirs >= 0:
            os.close(self._theirs)
        self._theirs = -1

    def breaks_within(self, seconds: float) -> bool:
        """Wait for the last holder; return whether it has ended in time."""
        return bool(select.select([self._ours], [], [], seconds)[0])


def _stop(
    process: subprocess.Popen[bytes], number: int, lifeline: _Lifeline, say: Callable[[str], None]
) -> None:
    """Pass a signal on and wait; who does not listen, or a second Ctrl-C, gets what cannot be ignored."""
    again = "press Ctrl-C again to stop" if number == signal.SIGINT else "the same signal again stops"
    for what in (number, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, what)
        with contextlib.suppress(KeyboardInterrupt):
            if lifeline.breaks_within(SOON_S):
                break
            if what == number:
                with contextlib.suppress(OSError):  # the terminal may be what went away
                    say(f"waiting up to {GRACE_S:.0f} s for the command to end; {again} it at once")
            if lifeline.breaks_within(GRACE_S):
                break
    process.wait()


def _copy(stream: IO[bytes], log: IO[bytes]) -> threading.Thread:
    def copy() -> None:
        # The log may be closed meanwhile: we do not wait for what a command left in the background.
        with stream, contextlib.suppress(ValueError, OSError):
            while chunk := os.read(stream.fileno(), 65536):
                log.write(chunk)
                log.flush()
                sys.stderr.buffer.write(chunk)
                sys.stderr.buffer.flush()

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread
