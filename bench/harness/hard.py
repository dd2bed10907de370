"""Hard use in figures, before and after: one table of all parts; writes ``hard.json`` and ``hard.md``.

The parts are fuzzing (``tests/fuzz``), memory and time against the size of run files (``reads.py``), kills
(``kills.py``, ``command_kills.py``) and a long run (``long_run.py``). Each is run for this installation, and
for another one if it is named. What a part wrote is kept in a folder with the state of the code, and is
measured again only if the code, the scripts or the options have changed. So the whole can be done in pieces,
also side by side with ``--only``; the table is of all parts that are there. Exits with 1 if a figure is not
as wanted.

The long run and the fuzzing need about 15 minutes of one core each: run ``--only long`` beside ``--only
fuzz``, and the others, which are timed or killed, alone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from code_state import Code, code_of
from gpu_tables import markdown
from hard_figures import (
    Figure,
    Values,
    command_kills_values,
    fuzz_values,
    kills_values,
    long_values,
    reads_values,
)
from shared import Json, options, write

HERE = Path(__file__).parent
BEFORE, AFTER = "before", "after"
RECORD = "part.json"
"""What a part was measured with; it is written last."""


@dataclass(frozen=True)
class Part:
    """A script, and the figures in what it writes.

    Args:
        name: of the part.
        script: relative to this folder.
        file: what the script writes into its folder of output.
        options: of the script on each side, without the output's folder and the other installation; a side
            that is absent is not measured.
        values: returns the figures of the file's content on a side.
        by_python: the other installation runs the script itself; else it is named to it.
    """

    name: str
    script: str
    file: str
    options: Mapping[str, Sequence[str]]
    values: Callable[[Json, str], Values]
    by_python: bool = False

    @property
    def folder(self) -> str:
        """The folder of its script, relative to the repository."""
        return (
            str((HERE / self.script).resolve().relative_to(HERE.parents[1]))
            if self.by_python
            else "bench/harness"
        )

    def command(self, side: str, python: str, output: Path) -> list[str]:
        """Return the command that measures an installation."""
        script, runs = str((HERE / self.script).resolve()), python if self.by_python else sys.executable
        named = ("--python", python) if side == BEFORE and not self.by_python else ()
        return [runs, script, *self.options[side], *named, "-o", str(output)]


def parts(given: Any) -> tuple[Part, ...]:
    """Return the parts, of the sizes of the command line."""

    def fuzz(inputs: int, lines: int) -> list[str]:
        return ["--readers", str(inputs), "--commands", str(lines), "--seed", "1"]

    long, times = ["--cases", str(given.cases)], ["--times", str(given.command_kills)]
    reads = ["--sizes", *map(str, given.sizes), "--counts", *map(str, given.counts)]
    return (
        Part("fuzz", "../../tests/fuzz", "fuzz.json",
             {AFTER: fuzz(given.inputs, given.lines), BEFORE: fuzz(given.inputs_before, given.lines_before)},
             fuzz_values, by_python=True),
        Part("reads", "reads.py", "reads.json", {AFTER: reads, BEFORE: reads}, reads_values),
        # Version 1 has no journal; what it loses is in command_kills.
        Part("kills", "kills.py", "kills.json", {AFTER: ["--kills", str(given.kills)]}, kills_values),
        Part("command_kills", "command_kills.py", "command_kills.json", {AFTER: times, BEFORE: times},
             command_kills_values),
        Part("long", "long_run.py", "long_run.json",
             {AFTER: [*long, "--processes", str(given.processes)], BEFORE: [*long, "--processes", "0"]},
             long_values),
    )  # fmt: skip


@dataclass(frozen=True)
class Side:
    """An installation, and what is to be measured of it."""

    name: str
    python: str
    code: Code
    work: Path

    def record(self, part: Part) -> Json:
        """Return what decides whether a part is to be measured again."""
        scripts = code_of(HERE, (part.folder,)).state
        return {"code": self.code.state, "scripts": scripts, "options": list(part.options[self.name])}

    def found(self, part: Part) -> Json | None:
        """Return the record of a part that was measured with this code; None if there is none."""
        path = self.work / self.name / part.name / RECORD
        if not path.exists():
            return None
        found: Json = json.loads(path.read_bytes())
        return found if self.record(part).items() <= found.items() else None

    def figures(self, part: Part) -> Values:
        """Return the figures of a part that was measured."""
        content = (self.work / self.name / part.name / part.file).read_bytes()
        return part.values(json.loads(content), self.name)

    def measure(self, part: Part, run: Callable[..., Any]) -> None:
        """Run a part, and record what with; without a record if it wrote nothing."""
        output = self.work / self.name / part.name
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        command = part.command(self.name, self.python, output)
        print(f"hard: {part.name}, {self.name}: {' '.join(command)}", file=sys.stderr, flush=True)
        start = time.monotonic()
        with (output / "log").open("wb") as log:
            run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
        if not (output / part.file).exists():
            print(f"hard: {part.name}, {self.name}: wrote nothing; see {output / 'log'}", file=sys.stderr)
            return
        minutes = round((time.monotonic() - start) / 60, 1)
        made = {**self.record(part), "commit": self.code.commit, "version": self.code.version}
        (output / RECORD).write_text(json.dumps({**made, "minutes": minutes}, indent=1) + "\n")


def rows_of(found: Mapping[str, Values]) -> list[list[str]]:
    """Return the rows of the table.

    Args:
        found: the figures of each side.
    """
    before, after = found.get(BEFORE, {}), found.get(AFTER, {})
    rows = []
    for name in dict.fromkeys((*after, *before)):
        now, old = after.get(name), before.get(name)
        is_kept = None if now is None else now.is_kept(old)
        kept = {None: "-", True: "kept", False: "NOT KEPT"}[is_kept]
        wanted = (now or old or Figure(None)).wanted
        rows.append([name, *("-" if one is None else one.text for one in (old, now)), wanted, kept])
    return rows


def unsound(found: Mapping[str, Values]) -> list[str]:
    """Return the figures of this installation that are not as wanted."""
    before = found.get(BEFORE, {})
    return [
        f"{name} is {figure.text}, wanted: {figure.wanted}"
        for name, figure in found[AFTER].items()
        if figure.is_kept(before.get(name)) is False
    ]


def page(found: Mapping[str, Values], whole: Json) -> str:
    """Return the table as a page."""
    machine = whole["machine"]
    measured = [
        [name, side, one["version"], one["commit"], " ".join(one["options"]) or "-", f"{one['minutes']:g}"]
        for side, records in whole["parts"].items()
        for name, one in records.items()
    ]
    missing = f"Not measured yet: {', '.join(whole['missing'])}.\n\n" if whole["missing"] else ""
    return (
        "# Hard use\n\n"
        f"Before (version 1) and after, on {machine['cpu']}, {machine['affinity_threads']} usable threads; "
        f"torch {machine['torch']}, Python {machine['python']}; {whole['date']}. Written by "
        "`python bench/harness/hard.py --before PYTHON`.\n\n"
        f"{markdown(['figure', 'before', 'after', 'wanted', 'kept'], rows_of(found))}\n\n{missing}"
        f"{markdown(['part', 'side', 'breakeven', 'commit', 'options', 'minutes'], measured, left=5)}\n"
    )


def sides_of(given: Any) -> list[Side]:
    """Return this installation, and the one before if it is named."""
    pythons = {AFTER: sys.executable, **({BEFORE: given.before} if given.before else {})}
    return [Side(name, python, code_of(python), given.work.absolute()) for name, python in pythons.items()]


def main(arguments: Sequence[str] | None = None, run: Callable[..., Any] = subprocess.run) -> int:
    """Measure what is missing, print the table and write both files; 1 if a figure is not as wanted."""
    given = parser().parse_args(arguments)
    sides, every = sides_of(given), parts(given)
    pairs = [(part, side) for part in every for side in sides if side.name in part.options]
    for part, side in pairs:
        if not given.table and (not given.only or part.name in given.only) and side.found(part) is None:
            side.measure(part, run)
    found: dict[str, Values] = {side.name: {} for side in sides}
    records: dict[str, dict[str, Json]] = {side.name: {} for side in sides}
    for part, side in pairs:
        if (record := side.found(part)) is not None:
            records[side.name][part.name] = record
            found[side.name] |= side.figures(part)
    figures = {side: {name: asdict(one) for name, one in values.items()} for side, values in found.items()}
    missing = [f"{part.name} {side.name}" for part, side in pairs if part.name not in records[side.name]]
    content = {"parts": records, "missing": missing, "figures": figures}
    whole = write(given.output / "hard.json", content)
    text = page(found, whole)
    (given.output / "hard.md").write_text(text, encoding="utf-8")
    print(text)
    wrong = unsound(found)
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


def parser() -> Any:
    """Return the command line."""
    made = options(__doc__, epilog="example:\n  python bench/harness/hard.py --before ../v1/bin/python")
    made.add_argument("--before", metavar="PYTHON", help="of the installation to compare with")
    made.add_argument(
        "--work", type=Path, default=Path("hard"), metavar="DIR", help="what the parts write (default: hard)"
    )
    names = ["fuzz", "reads", "kills", "command_kills", "long"]
    made.add_argument("--only", nargs="*", default=(), choices=names, help="measure these parts alone")
    made.add_argument("--table", action="store_true", help="measure nothing, print what is there")
    for name, default, of in (
        ("inputs", 100_000, "inputs of the readers"),
        ("lines", 5_000, "command lines"),
        # Each hang takes up to a minute, and version 1 has 12 in 1,000 inputs.
        ("inputs-before", 2_000, "inputs of the readers, before"),
        ("lines-before", 200, "command lines, before"),
        ("kills", 24, "kills of runs"),
        ("command-kills", 12, "kills and full disks of each command"),
        ("cases", 10_000, "cases of the long run"),
        ("processes", 5, "processes of the long run"),
    ):
        made.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{of} (%(default)s)")
    for name, sizes in (("sizes", (5, 50, 480)), ("counts", (20, 200, 2000))):
        made.add_argument(f"--{name}", type=int, nargs="+", default=sizes, metavar="N", help="of reads.py")
    return made


if __name__ == "__main__":
    sys.exit(main())
