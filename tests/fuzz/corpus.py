"""The files that commands are given: those of `fuzz.seeds`, and what the installed breakeven makes of them.

A store, and the directories of `ab` and `calibrate`, have the form of the version that is tested.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fuzz import seeds
from fuzz.mutations import as_json
from fuzz.shells import run_command

Files = Mapping[str, bytes]

TAKE = "for f in {}; do if [ ! -e $f.used ]; then : > $f.used; cp $f {{out}}; break; fi; done"
"""A command that writes another run file each time: the next of a list."""

NOISE = ".breakeven/noise"
"""Where commands look for noise floors by default."""

AB = ["ab", "--base", "cp base.json {out}", "--candidate", "cp head.json {out}", "--pairs", "1", "-o", "ab"]
CALIBRATE = [
    "calibrate",
    TAKE.format("base.json again.json"),
    "--runs",
    "2",
    "-o",
    "calibrated",
    "--noise",
    NOISE,
]
RUNS_IN_STORE, STEP_AT = 12, 6


@dataclass(frozen=True)
class Corpus:
    """Valid files by their path, for each use."""

    runs: Files
    counted: Files
    shards: Files
    journal: Files
    store: Files
    ab: Files
    calibrated: Files
    noise: Files


def build(folder: Path) -> Corpus:
    """Make the files in an empty directory, which is removed."""
    runs = {
        "base.json": as_json(seeds.run_file()),
        "again.json": as_json(seeds.run_file(1.001, "2026-01-02T04:04:05+00:00")),
        "head.json": as_json(seeds.run_file(1.2, "2026-01-03T03:04:05+00:00")),
        "plain.json": as_json(seeds.plain_file()),
    }
    with inside(folder):
        place(runs)
        run_command(AB)
        ab = _unfinished(files_in("ab"))
        run_command(CALIBRATE)
        calibrated, noise = _unfinished(files_in("calibrated")), files_in(NOISE)
        for i in range(RUNS_IN_STORE):
            slow = (2.0 if i >= STEP_AT else 1.0) + 0.01 * (i % 3)
            made = seeds.run_file(slow, f"2026-01-{i + 1:02}T03:04:05+00:00")
            made["commit_info"]["id"] = f"{i:07}89abcdef"
            Path(f"{i}.json").write_bytes(as_json(made))
        run_command(["history", "add", *(f"{i}.json" for i in range(RUNS_IN_STORE)), "--store", "store"])
        store = {**files_in("store"), "store/accepted.json": as_json(seeds.ACCEPTED)}
    shutil.rmtree(folder)
    return Corpus(
        runs=runs,
        counted={
            "cpu.json": as_json(seeds.counted_file()),
            "cuda.json": as_json(seeds.counted_file("cuda")),
            "card.json": as_json(seeds.CARD),
        },
        shards={f"shard{i}.json": as_json(seeds.shard_file(i)) for i in (1, 2)},
        journal={"run.json.journal": b"".join(as_json(line) + b"\n" for line in seeds.journal_lines())},
        store=store,
        ab=ab,
        calibrated=calibrated,
        noise=noise,
    )


def _unfinished(files: Files) -> Files:
    """Return the files of an experiment that a repeated command resumes: a finished one is put aside."""
    changed = dict(files)
    for path, raw in files.items():
        if path.endswith("plan.json"):
            changed[path] = as_json({**json.loads(raw), "finished": False})
    return changed


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Make an empty directory and work in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with contextlib.chdir(folder):
        yield


def place(files: Files) -> None:
    """Write files below the working directory."""
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


def files_in(directory: str) -> dict[str, bytes]:
    """Return the files below a directory by their paths."""
    paths = (Path(folder, name) for folder, _, names in os.walk(directory) for name in names)
    return {str(path): path.read_bytes() for path in sorted(paths)}
