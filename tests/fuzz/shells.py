"""Runs a command line of breakeven in this process, and checks what it printed."""

import contextlib
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from fuzz.attempts import Answer, Kind, unsound
from fuzz.values import CONTROL, WORKFLOW_COMMAND

CODES = {0, 2, 3, 130, 141}
"""The exit codes of every command: done, bad usage or input, nothing judged, interrupted, closed output."""

JUDGING = ("compare", "ab", "history", "ci")
"""Those that may also exit with 1, for a regression."""


@dataclass(frozen=True)
class Printed:
    """What a command line printed, and its exit code."""

    code: int
    out: str
    err: str


def run_command(words: Sequence[str]) -> Printed:
    """Run a command line in this process."""
    from breakeven.cli import main

    # Files with descriptors, as a shell gives them: a command may duplicate or reconfigure its output.
    with tempfile.TemporaryDirectory(prefix="fuzz-printed-") as folder:
        paths = [Path(folder, name) for name in ("out", "err")]
        streams = [path.open("w", encoding="utf-8") for path in paths]
        try:
            with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
                code = main(list(words))
        finally:
            for stream in streams:
                with contextlib.suppress(OSError, ValueError):
                    stream.close()
        out, err = (path.read_text("utf-8", "surrogateescape") for path in paths)
    return Printed(code, out, err)


def checked(words: Sequence[str], printed: Printed) -> Answer:
    """Return whether an answer is sound: its exit code, its messages, and what a program would read of it."""
    out, err = printed.out[:4000], printed.err[:4000]
    shown = f"exit {printed.code}\n--- standard output\n{out}\n--- standard error\n{err}"
    if printed.code == 70 or "Traceback (most recent call last)" in printed.err:
        return unsound(Kind.TRACEBACK, f"{words[0]}: {printed.err.strip().splitlines()[-1][:100]}", shown)
    if printed.code not in CODES and not (printed.code == 1 and words[0] in JUDGING):
        return unsound(Kind.EXIT, f"{words[0]} exits with {printed.code}", shown)
    if printed.code == 2 and "error:" not in printed.err:
        return unsound(Kind.MESSAGE, f"{words[0]} exits with 2 without a message", shown)
    for stream, text in (("error", printed.err), ("output", printed.out)):
        if found := CONTROL.search(text):
            return unsound(Kind.OUTPUT, f"{words[0]}: {found[0]!r} on standard {stream}", shown)
        if words[0] != "ci" and WORKFLOW_COMMAND.search(text):
            return unsound(Kind.OUTPUT, f"{words[0]}: a workflow command on standard {stream}", shown)
    if _wants_json(words) and printed.code != 2 and printed.out:
        try:
            json.loads(printed.out, parse_constant=_refuse)
        except ValueError as error:
            return unsound(Kind.OUTPUT, f"{words[0]}: standard output is not JSON: {str(error)[:40]}", shown)
    return Answer(f"exit {printed.code}")


def _wants_json(words: Sequence[str]) -> bool:
    return re.search(r"--format[= ]json(?!.*--format)", " ".join(words), re.DOTALL) is not None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
