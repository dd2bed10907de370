"""The commands that `command_kills.py` disturbs: what each finds in its folder, and what it must not lose.

Everything is run by a given interpreter, so that another installation, also version 1, can be disturbed.
"""

from __future__ import annotations

import json
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
from merges import shard_of
from shared import Json
from small_bench import command, environment, write_bench
from speed import cells, write_run

YESTERDAY = b"yesterday's\n"
"""The content of a file that a command is about to replace."""

COMMITS = [f"{number:07x}{'0' * 33}" for number in range(1, 9)]

_FAKE_RUN = """\
import json, os, sys, time
try:
    state = open("/proc/%s/stat" % open("running").read()).read().rpartition(")")[2].split()[0]
    if state != "Z": open("beside", "a").write("two commands ran at the same time\\n")
except (OSError, ValueError):
    pass
open("running", "w").write(str(os.getpid()))
time.sleep(0.15)
now = time.time_ns() % 1000  # no two runs are the same
data = [1e-3 + 1e-6 * (i % 3) + 1e-9 * now for i in range(30)]
info = {"schema": 1, "workload": "mlp", "phase": "train", "device": "cpu", "batch_size": 64, "axes": {}}
case = {"name": "bench_mlp", "fullname": "bench_mlp", "extra_info": info, "stats": {"data": data}}
run = {"machine_info": {"node": "box"}, "benchmarks": [case], "datetime": "2026-01-01T00:00:00+00:00"}
json.dump(run, open(sys.argv[1], "w"))
open("runs", "a").write(os.path.basename(sys.argv[1]) + "\\n")
os.remove("running")
"""

_NOTE_FINISHED = """

def pytest_runtest_logreport(report):
    if report.when == "call" and report.passed:
        with open("finished", "a") as file:
            file.write(report.nodeid + "\\n")
"""


class Victim(ABC):
    """A command in a folder.

    `varies` are the names of files whose size differs from call to call; `keeps` are those of files that
    another call leaves on purpose.
    """

    name: ClassVar[str]
    varies: ClassVar[frozenset[str]] = frozenset()
    keeps: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, python: str) -> None:
        self.python = python

    @abstractmethod
    def prepare(self, folder: Path) -> None:
        """Write what the command reads, and what an earlier one left."""

    @abstractmethod
    def arguments(self) -> list[str]:
        """Return the command, which is run in the folder."""

    def losses(self, folder: Path) -> list[str]:  # noqa: ARG002 - of some commands, files alone
        """Return what a disturbance lost, beside files that are neither as they were nor complete."""
        return []

    def breakeven(self, *arguments: str) -> list[str]:
        """Return a command of breakeven."""
        return [self.python, "-m", "breakeven.cli", *arguments]

    def call(self, folder: Path, *arguments: str) -> int:
        """Run a command of breakeven to its end, and return its exit code."""
        done = subprocess.run(
            self.breakeven(*arguments), cwd=folder, env=environment(), capture_output=True, text=True
        )
        return done.returncode


class Report(Victim):
    """A page where yesterday's is."""

    name = "report"

    def prepare(self, folder: Path) -> None:
        """Write a run file, and the page of yesterday."""
        write_run(folder / "run.json", cells(40), 50, "one", ["train"])
        (folder / "page").mkdir()
        (folder / "page" / "index.html").write_bytes(YESTERDAY)
        (folder / "page" / "summary.csv").write_bytes(YESTERDAY)

    def arguments(self) -> list[str]:
        """Return the command."""
        return self.breakeven("report", "run.json", "-o", "page")


class Merge(Victim):
    """Two shards into the file that yesterday's are in."""

    name = "merge"

    def prepare(self, folder: Path) -> None:
        """Write two shards, and a merged file."""
        rng = np.random.default_rng(0)
        for index in range(2):
            shard = shard_of(rng, index, 2, 24, 1000)
            (folder / f"run-{index}.json").write_text(json.dumps(shard, indent=4))
        (folder / "merged.json").write_bytes(YESTERDAY)

    def arguments(self) -> list[str]:
        """Return the command."""
        return self.breakeven("merge", "run-0.json", "run-1.json", "-o", "merged.json")


class HistoryAdd(Victim):
    """A run into a store of seven."""

    name = "history add"

    def prepare(self, folder: Path) -> None:
        """Write the runs, and store all but the last."""
        write_commits(folder)
        self.call(folder, "history", "add", *(f"run-{at}.json" for at in range(7)), "--store", "store")

    def arguments(self) -> list[str]:
        """Return the command."""
        return self.breakeven("history", "add", "run-7.json", "--store", "store")


class HistoryAccept(Victim):
    """A second accepted change."""

    name = "history accept"

    def prepare(self, folder: Path) -> None:
        """Write a store of eight runs, and accept a change."""
        write_commits(folder)
        self.call(folder, "history", "add", *(f"run-{at}.json" for at in range(8)), "--store", "store")
        self.call(folder, *self._accept(3, "the first"))

    def arguments(self) -> list[str]:
        """Return the command."""
        return self.breakeven(*self._accept(6, "the second"))

    def losses(self, folder: Path) -> list[str]:
        """Return a line if the first accepted change is not there."""
        accepted = folder / "store" / "accepted.json"
        return [] if "the first" in accepted.read_text(encoding="utf-8") else ["the first accepted change"]

    @staticmethod
    def _accept(at: int, reason: str) -> list[str]:
        return [
            "history", "accept", COMMITS[at][:9], "--reason", reason, "--case", "mlp*", "--store", "store",
            "--accepted", "store/accepted.json",
        ]  # fmt: skip


class Ab(Victim):
    """Five pairs of short commands; each notes its name, and whether another one is running."""

    name = "ab"
    varies = frozenset({"plan.json", "runs"})

    def __init__(self, python: str) -> None:
        super().__init__(python)
        self._kept: dict[Path, set[str]] = {}

    def prepare(self, folder: Path) -> None:
        """Write the command that is run."""
        (folder / "fake.py").write_text(_FAKE_RUN, encoding="utf-8")

    def arguments(self) -> list[str]:
        """Return the command."""
        one = f"{self.python} -S fake.py {{out}}"
        return self.breakeven("ab", "--base", one, "--candidate", one, "--pairs", "5", "-o", "ab")

    def losses(self, folder: Path) -> list[str]:
        """Return the completed runs that are run again, and a line if two commands ran at once."""
        ran = (folder / "runs").read_text().splitlines() if (folder / "runs").exists() else []
        plan = folder / "ab" / "plan.json"
        now = set(json.loads(plan.read_bytes())["runs"]) if plan.exists() else set()
        kept = self._kept.setdefault(folder, now)  # when it was disturbed, not after the next call
        again = [name for name in kept if ran.count(f"{name}.json") > 1]
        return [f"{name} was run again" for name in again] + (
            ["two commands ran at the same time"] if (folder / "beside").exists() else []
        )


class Pytest(Victim):
    """A run, where the run file of yesterday is; each finished case must be in a file."""

    name = "pytest"
    varies = frozenset({"run.json", "finished"})
    keeps = frozenset({"run.json.journal.old"})

    def prepare(self, folder: Path) -> None:
        """Write the cases, and yesterday's run file."""
        write_bench(folder, (1, 4, 16), (4,))
        with (folder / "conftest.py").open("a", encoding="utf-8") as file:
            file.write(_NOTE_FINISHED)
        (folder / "run.json").write_bytes(YESTERDAY)

    def arguments(self) -> list[str]:
        """Return the command."""
        made = [self.python, *command(2, 0.1)[1:]]
        return made if self.knows_processes() else [one for one in made if "processes" not in one]

    def knows_processes(self) -> bool:
        """Return whether the installation measures in processes of its own."""
        return self.call(Path.cwd(), "recover", "--help") == 0

    def losses(self, folder: Path) -> list[str]:
        """Return the cases that were finished, and are in no file."""
        noted = folder / "finished"
        finished = set(noted.read_text(encoding="utf-8").splitlines()) if noted.exists() else set()
        found = self._timed(folder / "run.json")
        if (folder / "run.json.journal").exists():
            self.call(folder, "recover", "run.json.journal", "-o", "recovered.json")
            found |= self._timed(folder / "recovered.json")
        (folder / "recovered.json").unlink(missing_ok=True)
        return sorted(finished - found)

    @staticmethod
    def _timed(path: Path) -> set[str]:
        try:
            content: Json = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return set()
        return {one["fullname"] for one in content["benchmarks"]}


def write_commits(folder: Path) -> None:
    """Write a run file for each commit."""
    rng = np.random.default_rng(0)
    for at, commit in enumerate(COMMITS):
        benchmarks = []
        for batch in (1, 64):
            data = (1e-3 * np.exp(0.01 * rng.standard_normal(200))).tolist()
            info = {"schema": 1, "workload": "mlp", "phase": "train", "device": "cpu", "batch_size": batch,
                    "axes": {}}  # fmt: skip
            name = f"bench_mlp[{batch}]"
            benchmarks.append({"name": name, "fullname": name, "extra_info": info, "stats": {"data": data}})
        run = {
            "machine_info": {"node": "box"},
            "commit_info": {"id": commit, "branch": "main", "dirty": False},
            "benchmarks": benchmarks,
            "datetime": f"2026-01-0{1 + at}T00:00:00+00:00",
        }
        (folder / f"run-{at}.json").write_text(json.dumps(run))


VICTIMS: tuple[type[Victim], ...] = (Pytest, Report, Merge, HistoryAdd, HistoryAccept, Ab)
