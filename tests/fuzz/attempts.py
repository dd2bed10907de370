"""One input: what is done with it, within limits of time and memory, and whether the answer is sound."""

import contextlib
import faulthandler
import resource
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any


class Kind(StrEnum):
    """What is wrong with an answer."""

    TRACEBACK = "traceback"
    HANG = "hang"
    MEMORY = "memory"
    CRASH = "crash"
    EXIT = "exit"
    MESSAGE = "message"
    OUTPUT = "output"
    PATH = "path"


@dataclass(frozen=True)
class Problem:
    """An unsound answer: `cause` is that of all inputs that fail alike, `details` are for a person."""

    kind: Kind
    cause: str
    details: str


@dataclass(frozen=True)
class Answer:
    """What came of an input: `word` is ``ok``, ``refused``, an exit code or a problem's kind."""

    word: str
    problem: Problem | None = None


@dataclass(frozen=True)
class Attempt:
    """An input that is in place: `act` hands it over, `what` repeats it for a person."""

    what: str
    act: Callable[[], Answer]


@dataclass(frozen=True)
class Target:
    """A reader or a command line: `prepare` writes an input into the working directory.

    `weight` is how often it is chosen, relative to the others.
    """

    name: str
    prepare: Callable[[Random], Attempt]
    weight: int = 1


@dataclass(frozen=True)
class Limits:
    """What an input may take: seconds of CPU and in all, and bytes more than before."""

    cpu_s: float = 10.0
    wall_s: float = 60.0
    memory_bytes: int = 2 * 2**30


class TooSlowError(BaseException):
    """Raised in the middle of an input that takes too long; no `except Exception` stops it."""


def unsound(kind: Kind, cause: str, details: str = "") -> Answer:
    """Return the answer with a problem."""
    return Answer(kind, Problem(kind, cause, details or cause))


def tried(attempt: Attempt, limits: Limits) -> Answer:
    """Return the answer to an input; an exception that escapes is one."""
    try:
        with _limited(limits):
            return attempt.act()
    except TooSlowError as error:
        return unsound(Kind.HANG, _place(error), traceback.format_exc())
    except MemoryError as error:
        return unsound(Kind.MEMORY, _place(error), traceback.format_exc())
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        return unsound(Kind.TRACEBACK, f"{type(error).__name__} {_place(error)}", traceback.format_exc())


def _place(error: BaseException) -> str:
    """Return the innermost function of breakeven in a traceback, without its line, which edits move."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/breakeven/" in frame.filename]
    ours = ours or [frame for frame in frames if "/fuzz/" not in frame.filename] or frames
    return f"{'/'.join(Path(ours[-1].filename).parts[-2:])} {ours[-1].name}"


@contextlib.contextmanager
def _limited(limits: Limits) -> Iterator[None]:
    def stop(_: int, __: FrameType | None) -> None:
        raise TooSlowError

    before = {number: signal.signal(number, stop) for number in (signal.SIGPROF, signal.SIGALRM)}
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    signal.setitimer(signal.ITIMER_PROF, limits.cpu_s, 1.0)
    signal.setitimer(signal.ITIMER_REAL, limits.wall_s, 1.0)
    resource.setrlimit(resource.RLIMIT_AS, (_used_bytes() + limits.memory_bytes, hard))
    faulthandler.dump_traceback_later(2 * limits.wall_s, exit=True)  # compiled code heeds no signal
    try:
        yield
    finally:
        for number in before:  # a second signal would end this in the middle
            signal.signal(number, signal.SIG_IGN)
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0.0)
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        for number, handler in before.items():
            signal.signal(number, handler)


def _used_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def first_found(*names: str) -> Any:
    """Return the first of these, ``module:attribute``, that the installed breakeven has; None for none."""
    from importlib import import_module

    for name in names:
        module, _, attribute = name.partition(":")
        with contextlib.suppress(ImportError, AttributeError):
            return getattr(import_module(module), attribute)
    return None
