"""Hard use in figures, before and after: one table of all parts; writes ``hard.json`` and ``hard.md``.

The parts are fuzzing (``tests/fuzz``), memory and time against the size of run files (``reads.py``), kills
(``kills.py``, ``command_kills.py``) and a long run (``long_run.py``). Each is run for this installation, and
for another one if it is named. What a part wrote is kept in a folder, and a part that is there is not run
again, so that the whole, which takes hours, can be done in pieces. Exits with 1 if anything is unsound.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_tables import markdown
from shared import Json, options, write

HERE = Path(__file__).parent
BEFORE, AFTER = "before", "after"

Values = dict[str, Any]
"""The figures of one part on one side, by name."""


@dataclass(frozen=True)
class Part:
    """A script, and the figures in what it writes.

    Args:
        name: of the part.
        script: relative to this folder.
        file: what the script writes into its folder of output.
        options: of the script, without the output's folder and the other installation.
        values: returns the figures of the file's content.
        by_python: the other installation runs the script itself; else it is named to it.
        for_both: the other installation can be measured.
    """

    name: str
    script: str
    file: str
    options: tuple[str, ...]
    values: Callable[[Json], Values]
    by_python: bool = False
    for_both: bool = True

    def command(self, python: str, output: Path) -> list[str]:
        """Return the command that measures an installation."""
        script, runs = str((HERE / self.script).resolve()), python if self.by_python else sys.executable
        named = () if self.by_python or not self.for_both else ("--python", python)
        return [runs, script, *self.options, *named, "-o", str(output)]


def fuzz_values(content: Json) -> Values:
    """Return the inputs, and how many had an answer that is none."""
    found: Values = {}
    for name, one in content["sets"].items():
        unsound = sum(one["problems"].values())
        found |= {
            f"{name}: inputs": one["inputs"],
            f"{name}: tracebacks": one["tracebacks"],
            f"{name}: hangs": one["hangs"],
            f"{name}: other unsound answers": unsound - one["tracebacks"] - one["hangs"],
        }
    return found


def kills_values(content: Json) -> Values:
    """Return the kills, and what they cost."""
    kills = content["kills"]
    return {
        "kills of runs": len(kills),
        "runs: finished before the kills": sum(one["finished"] for one in kills),
        "runs: cases lost": sum(len(one["lost"]) + len(one["not_recovered"]) for one in kills),
        "runs: cases measured twice": sum(len(one["twice"]) for one in kills),
    }


def command_kills_values(content: Json) -> Values:
    """Return the kills and full disks of commands, and what they cost."""
    disturbed = content["disturbed"]
    runs = [one for one in disturbed if one["command"] == "pytest"]
    return {
        "commands: kills": sum(one["how"] == "killed" for one in disturbed),
        "commands: full disks": sum(one["how"] == "full disk" for one in disturbed),
        "commands: times something was lost": sum(bool(one["lost"]) for one in disturbed),
        "commands: finished cases lost": sum(map(_cases_lost, runs)),
        "commands: times something else failed": sum(bool(one["failures"]) for one in disturbed),
    }


def _cases_lost(one: Json) -> int:
    return sum("::" in line for line in one["lost"])


def long_values(content: Json) -> Values:
    """Return what a long run keeps of its cases."""
    found, page = content["figures"], content["figures"]["page"]
    each = found["each"]
    return {
        "long run: cases timed": found["timed"],
        "long run: processes": found["processes"] or 1,
        "long run: kB kept of a case": round(max(one["bytes_a_case"] for one in each) / 1e3, 2),
        "long run: more open handles": max(one["handles"][1] - one["handles"][0] for one in each),
        "long run: bytes more on the device": max(
            one["device_bytes"][1] - one["device_bytes"][0] for one in each
        ),
        "long run: last cases over first, in time": round(max(one["slower"] for one in each), 2),
        "long run: MB of the page": round(found["report"]["page_bytes"] / 1e6, 2),
        "long run: seconds to report it": round(found["report"]["seconds"], 1),
        "long run: seconds to open the page": round(page["open_s"], 1) if "open_s" in page else None,
    }


def reads_values(content: Json) -> Values:
    """Return the memory and the seconds of reading large run files, and many."""
    return {
        f"{name}: {unit}": round(figure[key] * scale, 1)
        for name, figure in content["figures"].items()
        for key, unit, scale in (("peak_memory_bytes", "MB", 1e-6), ("seconds", "s", 1), ("median_s", "s", 1))
        if key in figure
    }


ZERO = ("tracebacks", "hangs", "other unsound answers", "lost", "twice", "failed", "more open handles")
"""What the names of figures end with that must be 0."""


def parts(inputs: int, lines: int, kills: int, cases: int) -> tuple[Part, ...]:
    """Return the parts, of these sizes."""
    fuzz = ("--readers", str(inputs), "--commands", str(lines), "--seed", "1")
    long = ("--cases", str(cases))
    return (
        Part("fuzz", "../../tests/fuzz", "fuzz.json", fuzz, fuzz_values, by_python=True),
        Part("reads", "reads.py", "reads.json", (), reads_values),
        Part("kills", "kills.py", "kills.json", ("--kills", str(kills)), kills_values, for_both=False),
        Part("command_kills", "command_kills.py", "command_kills.json", ("--times", str(kills)),
             command_kills_values),
        Part("long", "long_run.py", "long_run.json", long, long_values),
    )  # fmt: skip


def measured(part: Part, side: str, python: str, folder: Path, run: Callable[..., Any]) -> Values | None:
    """Return a part's figures on a side, which are measured unless they are there; None if that failed."""
    output = folder / side / part.name
    if not (output / part.file).exists():
        output.mkdir(parents=True, exist_ok=True)
        command = [*part.command(python, output), *_one_process(part, side)]
        print(f"hard: {part.name}, {side}: {' '.join(command)}", file=sys.stderr, flush=True)
        with (output / "log").open("wb") as log:
            run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    if not (output / part.file).exists():
        print(f"hard: {part.name}, {side}: nothing was written; see {output / 'log'}", file=sys.stderr)
        return None
    return part.values(json.loads((output / part.file).read_bytes()))


def _one_process(part: Part, side: str) -> list[str]:
    """Return the option that lets version 1, which has one, measure in one process."""
    return ["--processes", "0"] if part.name == "long" and side == BEFORE else []


def rows_of(found: Mapping[str, Mapping[str, Values]]) -> list[list[str]]:
    """Return the rows of the table: the figure, before and after.

    Args:
        found: the figures by side and part.
    """
    names = dict.fromkeys(
        name for side in (AFTER, BEFORE) for part in found.get(side, {}).values() for name in part
    )
    sides = [
        {name: value for part in found.get(side, {}).values() for name, value in part.items()}
        for side in (BEFORE, AFTER)
    ]
    return [[name, *(_text(side.get(name)) for side in sides)] for name in names]


def _text(value: Any) -> str:
    return "-" if value is None else f"{value:,}"


def unsound(found: Mapping[str, Values]) -> list[str]:
    """Return the figures of a side that must be 0 and are not."""
    return [
        f"{name} is {value}, expected 0"
        for part in found.values()
        for name, value in part.items()
        if name.endswith(ZERO) and value
    ]


def page(found: Mapping[str, Mapping[str, Values]], whole: Json) -> str:
    """Return the table as a page."""
    machine = whole["machine"]
    return (
        "# Hard use\n\n"
        f"Before (version 1) and after, on {machine['cpu']}, {machine['affinity_threads']} usable threads; "
        f"{whole['date']}. Written by `python bench/harness/hard.py --before PYTHON`.\n\n"
        f"{markdown(['figure', 'before', 'after'], rows_of(found))}\n"
    )


def main(arguments: Sequence[str] | None = None, run: Callable[..., Any] = subprocess.run) -> int:
    """Measure what is missing, print the table and write both files; 1 if anything is unsound."""
    given = parser().parse_args(arguments)
    pythons = {AFTER: sys.executable, **({BEFORE: given.before} if given.before else {})}
    found: dict[str, dict[str, Values]] = {side: {} for side in pythons}
    for part in parts(given.inputs, given.lines, given.kills, given.cases):
        if given.only and part.name not in given.only:
            continue
        for side, python in pythons.items():
            if part.for_both or side == AFTER:
                values = measured(part, side, python, given.work, run)
                found[side] |= {} if values is None else {part.name: values}
    whole = write(given.output / "hard.json", {"figures": found})
    text = page(found, whole)
    (given.output / "hard.md").write_text(text, encoding="utf-8")
    print(text)
    wrong = unsound(found[AFTER])
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


def parser() -> Any:
    """Return the command line."""
    made = options(__doc__, epilog="example:\n  python bench/harness/hard.py --before ../v1/bin/python")
    made.add_argument("--before", metavar="PYTHON", help="of the installation to compare with")
    made.add_argument(
        "--work", type=Path, default=Path("hard"), metavar="DIR", help="what the parts write (default: hard)"
    )
    made.add_argument("--only", nargs="*", default=(), metavar="PART", help="fuzz, reads, kills, ...")
    made.add_argument("--inputs", type=int, default=100_000, metavar="N", help="of the readers (%(default)s)")
    made.add_argument("--lines", type=int, default=5_000, metavar="N", help="of the commands (%(default)s)")
    made.add_argument("--kills", type=int, default=40, metavar="N", help="of each command (%(default)s)")
    made.add_argument("--cases", type=int, default=10_000, metavar="N", help="of the long run (%(default)s)")
    return made


if __name__ == "__main__":
    sys.exit(main())
