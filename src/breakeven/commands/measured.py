"""Measures benchmarks on the CPU where a command is given these instead of a run file."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from breakeven.commands.base import notify
from breakeven.commands.bench_paths import as_argument, is_bench
from breakeven.errors import UsageError
from breakeven.experiment.run_command import CommandError
from breakeven.experiment.shell import Stopped, stopping_on_signals
from breakeven.format import one_line
from breakeven.grouping import grouped

DEFAULTS = ("--breakeven-devices=cpu", "--breakeven-phases=train")
"""What a prediction needs; later options of the user's take precedence."""

BROKEN, NO_TESTS = 1, 5
"""pytest's exit codes where some tests failed, and others may have been timed, and where it found none."""

RunPytest = Callable[[Sequence[str]], int]


def measured(paths: Sequence[str], options: Sequence[str] = (), run: RunPytest | None = None) -> list[str]:
    """Return the paths of run files, each once, after measuring what is a folder or a ``.py`` file.

    The run file of ``bench/bench_mine.py`` is ``bench_mine.cpu.json`` in the working directory. One that it
    replaces is kept as ``bench_mine.cpu.json.old``. A small model takes less than a minute on two CPUs.

    Args:
        paths: run files, and folders or files of benchmarks.
        options: more options of pytest, such as ``--breakeven-sweep=full``.
        run: runs a command and returns its exit code; its output goes to standard error.

    Raises:
        UsageError: a path does not exist; there are options, and no path to measure, or one that names the
            run file; or two paths have one run file.
        CommandError: pytest failed, and measured nothing.
        KeyboardInterrupt: it was stopped; what it has measured is kept.
    """
    if options and not any(map(is_bench, map(Path, paths))):
        raise UsageError(
            f"{one_line(shlex.join(options), 80)!r} after -- are options of pytest, which measures folders "
            "and files of benchmarks; give one, such as bench_mine.py, or leave out the options"
        )
    listed = list(dict.fromkeys(paths))
    _raise_if_lost(listed, options)
    files = grouped((run_file_of(path), path) for path in listed if is_bench(Path(path)))
    for file, of in files.items():
        if len(of) > 1:
            raise UsageError(
                f"{one_line(' and '.join(of), 200)} would both be measured into {file}; give one of them, "
                "or a folder that has both"
            )
    return [_measured(path, options, run or _run) if is_bench(Path(path)) else path for path in listed]


def _raise_if_lost(paths: Sequence[str], options: Sequence[str]) -> None:
    """Raise an error for what a measurement would end with, or would replace."""
    for path in paths:
        if not os.path.exists(path):  # noqa: PTH110 - any text
            raise UsageError(
                f"{one_line(path, 300)}: does not exist; give a run file, such as run.json, or a folder or a "
                "file of benchmarks, such as bench_mine.py"
            )
    given = {Path(path).resolve() for path in paths}
    for path in (one for one in paths if is_bench(Path(one))):
        out = run_file_of(path)
        if out.resolve() in given:
            raise UsageError(
                f"{one_line(path, 200)} would be measured into {out}, which is given too; give one of them"
            )
        if any(option.startswith("--benchmark-json") for option in options):
            raise UsageError(
                f"--benchmark-json after --: {one_line(path, 200)} is measured into {out}; leave it out"
            )


def run_file_of(path: str) -> Path:
    """Return where the run file of a folder or a file of benchmarks is written.

    >>> str(run_file_of("bench/bench_mine.py")), str(run_file_of("bench/"))
    ('bench_mine.cpu.json', 'bench.cpu.json')
    """
    return Path(f"{Path(path).resolve().stem}.cpu.json")


def _measured(path: str, options: Sequence[str], run: RunPytest) -> str:
    out = run_file_of(path)
    command = [
        sys.executable,
        "-m",
        "pytest",
        as_argument(path),
        f"--benchmark-json={out}",
        *DEFAULTS,
        *options,
    ]
    notify(f"measuring {one_line(path, 200)} on the CPU, into {out}")
    earlier, is_written = out.replace(f"{out}.old") if out.exists() else None, False
    try:
        code = run(command)
        is_written = out.exists()
    finally:
        if earlier is not None and not is_written:
            earlier.replace(out)
    if not is_written or code not in (0, BROKEN):
        why = "no benchmark was found there" if code == NO_TESTS else "its output is above"
        raise CommandError(
            f"pytest {one_line(path, 200)} ended with exit code {code} and without timings: {why}; give a "
            "folder or a file of benchmarks that `pytest` can measure, or run files, such as DIR/*.json"
        )
    if earlier is not None:
        notify(f"the run file of an earlier run is kept as {earlier}")
    if code == BROKEN:
        notify("some cases failed; the others are predicted")
    return str(out)


def _run(command: Sequence[str]) -> int:
    """Run a command with its output on standard error.

    A signal is passed on, and it may keep its results; a second one kills it. It has a process group of its
    own: a terminal would send Ctrl-C to both, and others to this process alone.
    """
    with stopping_on_signals():
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), process_group=0
        )
        try:
            return process.wait()
        except KeyboardInterrupt as stop:
            for sent in (stop.number if isinstance(stop, Stopped) else signal.SIGINT, signal.SIGKILL):
                with suppress(KeyboardInterrupt):
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, sent)
                    process.wait()
                    break
            raise
