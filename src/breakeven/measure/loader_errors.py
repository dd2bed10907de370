"""Why a loader gives no batch, in one line: what its dataset raised, or how its worker died."""

from __future__ import annotations

import re
import signal
import traceback
from collections.abc import Sequence
from typing import Any

from breakeven.errors import BreakevenError, RecipeError
from breakeven.measure.outcomes import CaseTimeout
from breakeven.measure.users_code import where_in
from breakeven.measure.workload import error_line

_TRACEBACK = "Traceback (most recent call last):\n"
_RAISED_IN = re.compile(r"Caught \w+ in (?:DataLoader )?(.+?)\.\n")
_FRAME = re.compile(r'^ +File "(.+)", line (\d+)', re.MULTILINE)
_DIED = re.compile(r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) ([^.]+)")
_GAVE_UP = re.compile(r"DataLoader timed out after ([\d.]+) seconds")


def death_of_a_worker(workers: Sequence[Any]) -> RuntimeError | None:
    """Return the error that torch raises because a worker died, None if none has.

    Where a worker dies while it hands over a batch, torch raises that the connection to it is lost.
    """
    for worker in workers:
        worker.join(timeout=0.1)
    dead = [worker for worker in workers if worker.exitcode is not None]
    if not dead:
        return None
    worker = min(dead, key=lambda one: one.exitcode)  # one that was killed, if there is one
    name = signal.strsignal(-worker.exitcode) if worker.exitcode < 0 else None
    how = f"is killed by signal: {name}" if name else "exited unexpectedly"
    return RuntimeError(f"DataLoader worker (pid {worker.pid}) {how}.")


def tells_of_a_dead_worker(error: Exception) -> bool:
    """Return whether torch raised an error because a worker died."""
    return _DIED.match(str(error)) is not None


def reason_of(error: Exception) -> BreakevenError:
    """Return the error with which a case ends whose loader raised `error`.

    torch raises what a worker raised with the worker's whole traceback for a message.
    """
    text = str(error)
    if isinstance(error, BreakevenError):
        return error
    if gave_up := _GAVE_UP.match(text):
        return CaseTimeout(
            f"the loader's workers gave no batch in {float(gave_up[1]):g} s; fix what they wait for, or use "
            "a larger --breakeven-timeout or DataLoader(timeout=...)"
        )
    # Where torch notices it while it waits for a batch, only the cause names the signal.
    if died := _DIED.match(str(error.__cause__)) or _DIED.match(text):
        hint = ", as when memory runs out" if "Killed" in died[1] else ""
        return RecipeError(f"a worker of the loader {died[1].replace('is killed', 'was killed')}{hint}")
    if raised_in := _RAISED_IN.match(text):
        shown = text.rpartition(_TRACEBACK)[2]
        line = next((line for line in shown.splitlines() if line and not line.startswith(" ")), "an error")
        return RecipeError(
            f"{where_in(_FRAME.findall(shown))}the loader's {raised_in[1]} raised {line[:300]}"
        )
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    return RecipeError(f"{where_in(frames)}the loader raised {error_line(error)}")
