"""What runs on a node: its probe, and the pytest command, each in a clean process.

Ray starts a worker with other OpenMP threads, visible GPUs and priority than a shell has; the processes
started here have those of the shell that started Ray on the node.

The functions are sent to the nodes by value. They use the standard library only, so that a node without
breakeven reports that it has none.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

LOG, RUN, JOURNAL = "run.log", "run.json", "run.json.journal"
"""The files that come back; the log and the journal while they grow."""

END = "end"
"""The name of the last piece, which is pytest's exit status as text."""

PIECE_BYTES = 64 * 1024
"""Ray sends results of up to 100 KB in its messages; larger ones would occupy its object store."""

HOME = "breakeven-fleet-"
"""The prefix of a run's directory, which is locked while the run goes on."""

MIN_AGE_S = 60.0
"""A younger directory may belong to a run that has not locked it yet."""

POLL_S = 0.25
PROBE_LIMIT_S = 120.0
END_LIMIT_S = 10.0

SET_BY_RAY = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTHONBREAKPOINT", "SPT_NOENV")
"""What a worker's environment has from Ray, where that of Ray's own process cannot be read."""

_LAUNCH = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: end with Ray's worker
try:
    os.setpriority(os.PRIO_PROCESS, 0, int(sys.argv[1]))
except OSError as error:
    print(f"breakeven: priority {os.getpriority(os.PRIO_PROCESS, 0)}, not {sys.argv[1]} ({error}); "
          "start Ray on this node with RAY_worker_niceness=0", flush=True)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def probe() -> dict[str, Any]:
    """Return what the node reports: ``breakeven``, ``machine`` and ``shell``, or its ``problem``."""
    environment, facts = _shell()
    command = [sys.executable, "-c", _LAUNCH, str(facts["niceness"]), "-m", "breakeven.hardware.probe"]
    try:
        done = subprocess.run(
            command, env=environment, cwd=tempfile.gettempdir(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=PROBE_LIMIT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"problem": str(error)}
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        return {"problem": said[-1] if said else f"exit status {done.returncode}"}
    return {**json.loads(lines[-1]), "shell": facts}


def measure(folder: bytes, arguments: Sequence[str], journal: bytes) -> Iterator[tuple[str, bytes]]:
    """Run pytest in a copy of the folder, and yield pieces of its files as (name, bytes), `END` last.

    Args:
        folder: a ZIP archive of the working directory.
        arguments: of pytest.
        journal: that of an earlier run on this machine, which is resumed; empty for none.
    """
    environment, facts = _shell()
    _remove_abandoned()
    home = Path(tempfile.mkdtemp(prefix=HOME))
    lock, process = os.open(home, os.O_RDONLY), None
    try:
        _lock(lock)
        with zipfile.ZipFile(io.BytesIO(folder)) as archive:
            archive.extractall(home)
        if journal:
            (home / JOURNAL).write_bytes(journal)
            arguments = [*arguments, "--breakeven-resume"]
        command = [
            sys.executable, "-c", _LAUNCH, str(facts["niceness"]),
            "-m", "pytest", *arguments, f"--benchmark-json={RUN}",
        ]  # fmt: skip
        with (home / LOG).open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, cwd=home, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        yield LOG, b""  # it has begun
        sent = {LOG: 0, JOURNAL: len(journal)}
        while True:
            status = process.poll()
            for name in sent:
                for piece in _pieces(home / name, sent[name]):
                    sent[name] += len(piece)
                    yield name, piece
            if status is not None:
                break
            time.sleep(POLL_S)
        for piece in _pieces(home / RUN, 0):
            yield RUN, piece
        yield END, str(status).encode()
    finally:
        if process is not None:
            _end(process)
        shutil.rmtree(home, ignore_errors=True)
        os.close(lock)


def _remove_abandoned() -> None:
    """Remove the directories of runs whose worker was killed, which could not do it."""
    for home in Path(tempfile.gettempdir()).glob(f"{HOME}*"):
        with contextlib.suppress(OSError):
            if time.time() - home.stat().st_mtime > MIN_AGE_S:
                lock = os.open(home, os.O_RDONLY)
                try:
                    if _lock(lock):
                        shutil.rmtree(home, ignore_errors=True)
                finally:
                    os.close(lock)


def _lock(directory: int) -> bool:
    """Lock an open directory until it is closed; return False where another process has locked it."""
    import fcntl

    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pieces(path: Path, start: int) -> Iterator[bytes]:
    """Yield what a file has from a position on; nothing where there is no file."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
        stream.seek(start)
        while piece := stream.read(PIECE_BYTES):
            yield piece


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command; the second signal ends what it started and left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_LIMIT_S)


def _shell() -> tuple[dict[str, str], dict[str, Any]]:
    """Return the environment of the shell that started Ray here, and what else its processes have.

    It is that of a worker's parent, Ray's process on the node, without what Ray preloads there.
    """
    environment, niceness, cpus = dict(os.environ), 0, None
    with contextlib.suppress(ImportError):
        import psutil  # breakeven needs it; a node without either is reported by its probe

        with contextlib.suppress(psutil.Error, AttributeError):
            parent: Any = psutil.Process().parent()
            if "raylet" in parent.name():
                environment, niceness = parent.environ(), parent.nice()
                cpus = len(parent.cpu_affinity())
    if cpus is None:
        environment = {name: value for name, value in environment.items() if name not in SET_BY_RAY}
    if "/ray/core/" in environment.get("LD_PRELOAD", ""):
        del environment["LD_PRELOAD"]
    environment = {name: value for name, value in environment.items() if not name.startswith("RAY_")}
    facts = {
        "niceness": niceness,
        "affinity_threads": cpus,
        "OMP_NUM_THREADS": environment.get("OMP_NUM_THREADS"),
        "CUDA_VISIBLE_DEVICES": environment.get("CUDA_VISIBLE_DEVICES"),
    }
    return environment, facts
