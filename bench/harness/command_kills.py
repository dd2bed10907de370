"""Whether commands that are killed, or find a full disk, destroy results; writes ``command_kills.json``.

Each command is run in a fresh folder with yesterday's results, and disturbed: killed at a seeded moment, half
of the time right after it began to write, or limited in the size of a file as on a full disk. What was there
must then be as it was, or complete; the same command must end as usual, and leave nothing else behind.
Exits with 1 if anything was lost.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gpu_tables import markdown
from shared import options, write
from small_bench import environment
from victims import VICTIMS, Victim

KILLED, FULL_DISK = "killed", "full disk"
LIMIT_S = 600.0
MAX_WRITING_S = 0.05
"""A kill in the writing comes up to this long after the first change of a file."""

Sizes = dict[str, int]


@dataclass
class Disturbed:
    """What a disturbance did: `lost` of what was there, `failures` of the command itself."""

    command: str
    how: str
    at: float
    code: int | None = None
    lost: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost and nothing else went wrong."""
        return not (self.lost or self.failures)


@dataclass(frozen=True)
class Whole:
    """An undisturbed call: the folder before it, what it takes, its exit code, and the files after it."""

    template: Path
    seconds: float
    code: int
    files: Sizes


def sizes(folder: Path) -> Sizes:
    """Return the size of each file in a folder."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.stat().st_size for path in found}


def started(victim: Victim, folder: Path, max_bytes: int | None = None) -> subprocess.Popen[bytes]:
    """Start the command; a limit of the size of a file is that of a disk that is full from there on."""

    def limit() -> None:
        if max_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, resource.RLIM_INFINITY))

    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        return subprocess.Popen(
            victim.arguments(), cwd=folder, env=environment(), stdout=log, stderr=log, preexec_fn=limit
        )


def ended(process: subprocess.Popen[bytes]) -> int | None:
    """Return the exit code; None if the command hangs, which is then killed."""
    try:
        return process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def whole_call(victim: Victim, folder: Path) -> Whole:
    """Prepare a folder, and run the command in a copy of it.

    Raises:
        SystemExit: the command does not end, or ends with an error.
    """
    template, copy = folder / "template", folder / "whole"
    template.mkdir(parents=True)
    victim.prepare(template)
    shutil.copytree(template, copy)
    start = time.monotonic()
    code = ended(started(victim, copy))
    if code is None or code in (2, 70):
        raise SystemExit(f"{victim.name} ended with {code}:\n{(folder / 'whole.log').read_text()[-2000:]}")
    return Whole(template, time.monotonic() - start, code, sizes(copy))


def is_absent(victim: Victim) -> bool:
    """Return whether an installation does not have the command."""
    words = [] if victim.name == "pytest" else victim.name.split()
    return victim.call(Path.cwd(), *words, "--help") != 0


def disturb(victim: Victim, whole: Whole, folder: Path, how: str, at: float) -> Disturbed:
    """Disturb the command once, and return what was lost.

    Args:
        victim: the command.
        whole: its undisturbed call.
        folder: does not exist yet.
        how: `KILLED` or `FULL_DISK`.
        at: when, from 0 to 1: below 0.5 twice that part of the whole time; above, in the writing; of a full
            disk, that part of the largest file.
    """
    shutil.copytree(whole.template, folder)
    found = Disturbed(victim.name, how, at)
    if how == FULL_DISK:
        process = started(victim, folder, int(at * max(written(whole).values())))
        found.code = ended(process)
        found.failures += failures_of(found.code, folder)
    else:
        process = started(victim, folder)
        _kill_at(process, at, whole, folder)
        found.code = process.wait()
    found.lost = destroyed(whole, folder) + victim.losses(folder)
    again = ended(started(victim, folder))
    if again != whole.code:
        found.failures.append(f"run again, it exited with {again}, not {whole.code}: {_last_line(folder)}")
    extra = sizes(folder).keys() - whole.files.keys() - victim.keeps
    found.failures += [f"{name} is left over" for name in sorted(extra)]
    now = sizes(folder)
    found.lost += [
        f"{name} is not complete after another call"
        for name, size in whole.files.items()
        if not may_differ(victim, name)
        and (name not in now or not is_complete(folder / name, now[name], size))
    ]
    found.lost += [line for line in victim.losses(folder) if line not in found.lost]
    return found


def may_differ(victim: Victim, name: str) -> bool:
    """Return whether the size of a file differs from call to call."""
    return Path(name).name in victim.varies or name.endswith(".log")


def written(whole: Whole) -> Sizes:
    """Return the files that the command writes or changes."""
    before = sizes(whole.template)
    return {name: size for name, size in whole.files.items() if before.get(name) != size}


def destroyed(whole: Whole, folder: Path) -> list[str]:
    """Return the files of before that are neither as they were nor complete."""
    now = sizes(folder)
    return [
        f"{name} was destroyed"
        for name in sizes(whole.template)
        if not (folder / name).is_file()
        or (
            (folder / name).read_bytes() != (whole.template / name).read_bytes()
            and not is_complete(folder / name, now[name], whole.files[name])
        )
    ]


def is_complete(path: Path, size: int, whole_size: int) -> bool:
    """Return whether a file that was replaced is whole: of the size it should have, or closed JSON."""
    return size == whole_size or (path.suffix == ".json" and path.read_bytes().rstrip().endswith(b"}"))


def failures_of(code: int | None, folder: Path) -> list[str]:
    """Return what is wrong with how a command ended on a full disk: a traceback, a hang or a success."""
    log = (folder.parent / f"{folder.name}.log").read_text(errors="replace")
    if code is None:
        return [f"it was still running after {LIMIT_S:.0f} s"]
    if "Traceback" in log or "INTERNALERROR" in log or code == 70:
        return [f"traceback: {_last_line(folder)}"]
    return [f"died of signal {-code}"] if code < 0 else []


def _last_line(folder: Path) -> str:
    lines = (folder.parent / f"{folder.name}.log").read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def _kill_at(process: subprocess.Popen[bytes], at: float, whole: Whole, folder: Path) -> None:
    """Kill a command at a moment, its children excepted: they must end by themselves."""
    start, before = time.monotonic(), changes(folder)
    due_s = 2 * at * whole.seconds if at < 0.5 else LIMIT_S
    while process.poll() is None and time.monotonic() < start + due_s:
        if at >= 0.5 and changes(folder) != before:
            due_s = min(due_s, time.monotonic() - start + (2 * at - 1) * MAX_WRITING_S)
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)


def changes(folder: Path) -> dict[str, tuple[int, int]]:
    """Return when each file was changed last, and its size."""
    found = {}
    for root, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(root, name)  # noqa: PTH118 - once a millisecond
            with contextlib.suppress(OSError):
                status = os.stat(path)  # noqa: PTH116
                found[path] = status.st_mtime_ns, status.st_size
    return found


def moments(seed: int, count: int) -> Iterator[tuple[str, float]]:
    """Yield how and when: two kills to one full disk."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        yield (FULL_DISK if number % 3 == 2 else KILLED), float(rng.uniform())


def table(found: Sequence[Disturbed]) -> str:
    """Return the disturbances by command."""
    rows = []
    for command in dict.fromkeys(one.command for one in found):
        own = [one for one in found if one.command == command]
        counts = [sum(one.how == how for one in own) for how in (KILLED, FULL_DISK)]
        wrong = [sum(bool(one.lost) for one in own), sum(bool(one.failures) for one in own)]
        rows.append([command, *map(str, (*counts, *wrong))])
    return markdown(["command", "kills", "full disks", "lost something", "other failures"], rows)


def disturb_all(
    python: str, count: int, seed: int, only: Sequence[str] = ()
) -> tuple[list[Disturbed], list[str]]:
    """Disturb each command `count` times; return what happened, and the commands that are absent."""
    found, absent = [], []
    for victim in (kind(python) for kind in VICTIMS if not only or kind.name in only):
        if is_absent(victim):
            absent.append(victim.name)
            continue
        with tempfile.TemporaryDirectory(prefix="command-kills-") as name:
            whole = whole_call(victim, Path(name))
            for number, (how, at) in enumerate(moments(seed, count)):
                found.append(disturb(victim, whole, Path(name) / f"{number:03}", how, at))
                _progress(found[-1])
    return found, absent


def _progress(one: Disturbed) -> None:
    result = "nothing lost" if one.is_clean else f"FAILED: {one.lost + one.failures}"
    print(f"command_kills: {one.command}, {one.how} at {one.at:.2f}: {result}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Disturb as often as asked, print the table and write the file; 1 if anything went wrong."""
    given = parser().parse_args(arguments)
    found, absent = disturb_all(given.python, given.times, given.seed, given.only)
    content = {"seed": given.seed, "absent": absent, "disturbed": [asdict(one) for one in found]}
    write(given.output / "command_kills.json", content)
    print(table(found))
    return 0 if all(one.is_clean for one in found) else 1


def parser() -> Any:
    """Return the command line."""
    made = options(__doc__, epilog="example:\n  python bench/harness/command_kills.py --times 12 --seed 0")
    made.add_argument("--times", type=int, default=12, metavar="N", help="of each command (%(default)s)")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments (%(default)s)")
    made.add_argument(
        "--only", nargs="*", default=(), choices=[kind.name for kind in VICTIMS], help="default: all"
    )
    made.add_argument(
        "--python", default=sys.executable, metavar="PYTHON", help="of another installation (default: this)"
    )
    return made


if __name__ == "__main__":
    sys.exit(main())
