"""Whether a run that is killed loses a finished case: kill -9 of the parent, of a worker or of both.

Each time a small folder is measured in a few processes and killed at a seeded random moment. Then the journal
as it was is recovered into a run file, and the same command goes on with ``--breakeven-resume``. Every case
that was finished before the kill must be in both files with the same rounds, and none may be measured twice.
Writes ``kills.json``; exits with 1 if anything was lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from gpu_tables import markdown
from journals import Watch, finished, measured_twice, missing_from, rounds_of
from shared import Json, options, versions, write
from small_bench import command, environment, write_bench

from breakeven.runs.json_files import load_json

TARGETS = ("parent", "worker", "both")
BATCHES, WIDTHS = (1, 4, 16, 64), (4, 8, 16)

ORPHAN_S = 30.0
"""A worker whose parent was killed must have ended by then."""

LIMIT_S = 300.0
"""A run must have ended by then."""

_POLL_S = 0.005


def children_of(parent: int) -> list[int]:
    """Return the processes whose parent is this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                # pid (name) state ppid ...; the name may contain anything, also brackets.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def worker_of(parent: int) -> int | None:
    """Return the measuring process that a parent has started, None if there is none at the moment."""
    for child in children_of(parent):
        try:
            names = (Path("/proc") / str(child) / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(name.startswith(b"BREAKEVEN_WORKER=") for name in names):
            return child
    return None


def is_running(process: int) -> bool:
    """Return whether a process is alive; one that only its parent's wait keeps is not."""
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Return whether a condition has become true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
    return True


def measured_s(arguments: Sequence[str], folder: Path) -> float:
    """Return how long a run takes from its journal's first line to its end, without a kill."""
    with Watch(folder / "run.json.journal") as watch:
        parent = _started(arguments, folder, "first.log")
        wait_until(lambda: watch.has_begun or parent.poll() is not None, LIMIT_S)
        start = time.monotonic()
        _wait(parent)
    if not watch.read() or not (folder / "run.json").exists():
        raise SystemExit(
            f"kills: the run without a kill left no journal or run file:\n{_log(folder, 'first.log')}"
        )
    return time.monotonic() - start


def killed(
    arguments: Sequence[str], folder: Path, target: str, is_due: Callable[[float, Watch], bool]
) -> Json | None:
    """Kill a run, let it go on, and return what was lost; None if it ended before it was time.

    Args:
        arguments: the command, which is run in `folder`.
        folder: has the cases; the run file and the logs go there.
        target: one of `TARGETS`.
        is_due: whether it is time, from the seconds since the journal appeared, and the journal.
    """
    journal, run_file = folder / "run.json.journal", folder / "run.json"
    with Watch(journal) as watch:
        parent = _started(arguments, folder, "first.log")
        wait_until(lambda: watch.has_begun or parent.poll() is not None, LIMIT_S)
        start = time.monotonic()
        wait_until(lambda: parent.poll() is not None or is_due(time.monotonic() - start, watch), LIMIT_S)
        after_s = time.monotonic() - start
        worker = _victim(parent, target)
        if parent.poll() is not None:
            return None
        before = watch.read()
        failures = _struck(parent, worker, target)
        # A worker alone leaves a parent that goes on writing; otherwise the journal is at rest.
        left = before if target == "worker" else watch.read()
        recovered = _recovered(folder, left)
        if target == "worker":
            failures += _wait(parent)
        resumed = journal.exists()
        if resumed:
            failures += _wait(_started([*arguments, "--breakeven-resume"], folder, "resumed.log"))
    after = rounds_of(load_json(str(run_file))) if run_file.exists() else {}
    return {
        "target": target,
        "after_s": after_s,
        "finished": len(finished(left)),
        "in_the_end": len(after),
        "resumed": resumed,
        "recovered": recovered is not None,
        "lost": missing_from(after, finished(left)),
        "twice": measured_twice(watch.read()),
        "not_recovered": [] if recovered is None else missing_from(recovered, finished(left)),
        "failures": failures
        if run_file.exists()
        else [*failures, "no run file", _log(folder, "resumed.log")],
    }


def _victim(parent: subprocess.Popen[bytes], target: str) -> int | None:
    """Return the worker to kill; where it is the only target, the next one if there is none."""
    if target == "worker":
        wait_until(lambda: parent.poll() is not None or worker_of(parent.pid) is not None, LIMIT_S)
    return worker_of(parent.pid)


def _struck(parent: subprocess.Popen[bytes], worker: int | None, target: str) -> list[str]:
    """Kill the target; return a line if a worker goes on without its parent."""
    if target != "worker":
        parent.kill()
    if target != "parent" and worker is not None:
        _kill(worker)
    if target == "worker":
        return []
    parent.wait()
    if worker is None or wait_until(lambda: not is_running(worker), ORPHAN_S):
        return []
    _kill(worker)
    return [f"a worker was still running {ORPHAN_S:.0f} s after its parent was killed"]


def _wait(process: subprocess.Popen[bytes]) -> list[str]:
    """Wait for a run; return a line if it hangs."""
    try:
        process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return [f"the run was still going on after {LIMIT_S:.0f} s"]
    return []


def _recovered(folder: Path, journal: bytes) -> dict[tuple[int, str], tuple[float, ...]] | None:
    """Return the rounds of a run file made of the journal; None if it had no finished case.

    They are missing where the file could not be made, or `breakeven report` refuses it.
    """
    if not finished(journal):
        return None
    copy, made = folder / "copy.json.journal", folder / "made.json"
    copy.write_bytes(journal)
    for arguments in (["recover", copy, "-o", made], ["report", made, "-o", folder / "page"]):
        done = subprocess.run(
            [sys.executable, "-m", "breakeven.cli", *map(str, arguments)], env=environment(),
            capture_output=True, text=True,
        )  # fmt: skip
        (folder / f"{arguments[0]}.log").write_text(f"exit {done.returncode}\n{done.stdout}{done.stderr}")
        if done.returncode == 2 or not made.exists():
            return {}
    return rounds_of(load_json(str(made)))


def _started(arguments: Sequence[str], folder: Path, log: str) -> subprocess.Popen[bytes]:
    with (folder / log).open("wb") as stream:
        return subprocess.Popen(
            arguments, cwd=folder, env=environment(), stdout=stream, stderr=subprocess.STDOUT
        )


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _log(folder: Path, name: str) -> str:
    path = folder / name
    return path.read_text(errors="replace")[-2000:] if path.exists() else f"no {name}"


def moments(seed: int, whole_s: float) -> Iterator[tuple[str, float]]:
    """Yield a target and a moment without end; the targets take turns."""
    rng = np.random.default_rng(seed)
    for target in cycle(TARGETS):
        yield target, float(rng.uniform(0, whole_s))


def is_clean(kill: Json) -> bool:
    """Return whether nothing was lost and nothing else went wrong."""
    return not (kill["lost"] or kill["twice"] or kill["not_recovered"] or kill["failures"])


def table(kills: Sequence[Json]) -> str:
    """Return the kills by target: how many, what was finished before them, and what went wrong."""
    rows = []
    for target in (*TARGETS, "all"):
        found = [kill for kill in kills if target in (kill["target"], "all")]
        before = f"{median(kill['finished'] for kill in found):g}" if found else "-"
        wrong = [sum(len(kill[what]) for kill in found) for what in ("lost", "twice", "not_recovered")]
        resumed, failed = (sum(bool(kill[what]) for kill in found) for what in ("resumed", "failures"))
        rows.append([target, str(len(found)), before, *map(str, (resumed, *wrong, failed))])
    wrongs = ["lost", "measured twice", "not recovered", "other failures"]
    return markdown(["killed", "times", "finished before (median)", "resumed", *wrongs], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill as often as asked, print the table and write the file; 1 if anything went wrong."""
    given = parser().parse_args(arguments)
    measure = command(given.processes, given.max_time)
    kills: list[Json] = []
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        write_bench(folder / "whole", BATCHES, WIDTHS)
        whole_s = measured_s(measure, folder / "whole")
        _progress(f"a whole run takes {whole_s:.1f} s after its first line")
        for at, (target, after_s) in enumerate(moments(given.seed, whole_s)):
            if len(kills) == given.kills:
                break
            here = folder / f"kill-{at:03}"
            write_bench(here, BATCHES, WIDTHS)
            found = killed(measure, here, target, lambda seconds, _, due_s=after_s: seconds >= due_s)
            if found is None:
                _progress(f"the run had ended within {after_s:.1f} s; once more")
                continue
            kills.append(found)
            result = "nothing lost" if is_clean(found) else f"FAILED: {json.dumps(found)}"
            when = f"{target} after {after_s:.1f} s, {found['finished']} finished"
            _progress(f"{len(kills)} of {given.kills}: {when}: {result}")
    write(
        given.output / "kills.json",
        {
            "versions": versions("breakeven", "torch"),
            "processes": given.processes,
            "cases": len(BATCHES) * len(WIDTHS),
            "seed": given.seed,
            "whole_s": whole_s,
            "kills": kills,
        },
    )
    print(table(kills))
    return 0 if all(map(is_clean, kills)) else 1


def _progress(text: str) -> None:
    print(f"kills: {text}", file=sys.stderr, flush=True)


def parser() -> Any:
    """Return the command line."""
    made = options(__doc__, epilog="example:\n  python bench/harness/kills.py --kills 40 --seed 0")
    made.add_argument("--kills", type=int, default=40, metavar="N", help="%(default)s")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments (%(default)s)")
    made.add_argument("--processes", type=int, default=3, metavar="N", help="of a run (%(default)s)")
    made.add_argument(
        "--max-time", type=float, default=0.6, metavar="SECONDS", help="of a case, in all (%(default)s)"
    )
    return made


if __name__ == "__main__":
    sys.exit(main())
