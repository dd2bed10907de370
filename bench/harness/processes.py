"""Whether 95% intervals hold from process to process: a grid measured in many processes.

Of five processes, drawn at random or consecutive, the intervals of medians, speedups and break-evens are
compared with what all other processes measured; beside them those of single processes, of Student's t alone
and of other tools, from the same rounds. Writes ``processes.json``, with the median of every process, and
``processes.md``.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gpu_tables import markdown
from peers import OF_ONE, OF_SEVERAL, STUDENT, WITHIN, Peer
from replicates import KINDS, Levels, by_breakeven, joined, judged, of_processes, stability
from shared import Json, options, versions, write

from breakeven.format import plural
from breakeven.runs.reader import read_run
from breakeven.runs.schema import Run

ROOT = Path(__file__).parents[2]
GRID = (
    "bench/bench_mlp.py", "bench/bench_lstm.py", "bench/bench_transformer.py", "-k", "not bfloat16",
    "--breakeven-phases=train", "--breakeven-devices=cpu@1,cpu",
)  # fmt: skip
"""36 headline cells: 18 speedups and the break-evens of 4 models."""

FIVE = 5
CASE_S = 1.0
"""What a run spends on a case by default, in seconds, over all of its processes."""

MIN_OTHERS = 20
SEED = 0

OURS = Peer("breakeven", "a report on these processes", STUDENT.level, by_breakeven)

Sets = Sequence[Sequence[int]]


def measured(grid: Sequence[str], processes: int, case_s: float, folder: Path) -> Path:
    """Measure the grid in that many processes, each with `case_s` a case; return the run file.

    Raises:
        SystemExit: pytest wrote none.
    """
    path = folder.resolve() / "run.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "pytest", "-q", *grid, f"--benchmark-max-time={processes * case_s}",
        f"--breakeven-processes={processes}", f"--benchmark-json={path}",
    ]  # fmt: skip
    code = subprocess.run(command, cwd=ROOT).returncode
    if not path.exists():
        raise SystemExit(f"processes: pytest exited with {code} and wrote no {path}: {shlex.join(command)}")
    return path


def random_fives(processes: int, count: int) -> list[list[int]]:
    """Return that many random choices of five processes."""
    rng = np.random.default_rng(SEED)
    return [sorted(rng.choice(processes, FIVE, replace=False).tolist()) for _ in range(count)]


def consecutive_fives(processes: int) -> list[list[int]]:
    """Return every five processes that followed each other."""
    return [list(range(first, first + FIVE)) for first in range(processes - FIVE + 1)]


def analyzed(run: Run, longer: Run | None, fives: int) -> Json:
    """Return how often the intervals of each method hold, by where its processes come from.

    Args:
        run: every process of the grid.
        longer: processes that took as long as five of them; None if there are none.
        fives: the number of random choices.
    """
    processes = len(next(iter(run.cases.values())).samples)
    if processes <= FIVE:
        raise SystemExit(f"processes: {run.path} has {processes} processes; expected more than {FIVE}")
    random, consecutive = random_fives(processes, fives), consecutive_fives(processes)
    singles = [[process] for process in range(processes)]
    rows = [
        _row(OURS, "random fives", run, random),
        _row(OURS, "consecutive fives", run, consecutive),
        _row(STUDENT, "random fives", run, random),
        _row(STUDENT, "consecutive fives", run, consecutive),
        _row(WITHIN, "single processes", run, singles),
    ]
    if longer is not None:
        rows.append(_longer_row(WITHIN, run, longer))
    for peer in OF_ONE:
        is_long = longer is not None
        rows.append(
            _longer_row(peer, run, longer) if is_long else _row(peer, "single processes", run, singles)
        )
    rows += [_row(peer, "random fives", run, random) for peer in OF_SEVERAL]
    levels = Levels.of(run, STUDENT.level)
    return {
        "processes": processes,
        "others": processes - FIVE,
        "longer": 0 if longer is None else len(next(iter(longer.cases.values())).samples),
        "cells": len(levels.keys),
        "speedups": len(levels.pairs),
        "break_evens": len(levels.lines),
        "methods": rows,
        "stability": stability(levels),
        "medians_s": {
            key.label(): [None if np.isnan(value) else value for value in row.tolist()]
            for key, row in zip(levels.keys, levels.values, strict=True)
        },
    }


def _row(peer: Peer, source: str, run: Run, chosen: Sets) -> Json:
    """Judge a method on each choice of processes by all the others."""
    levels = Levels.of(run, peer.level)
    everyone = range(levels.values.shape[1])
    truths = [levels.truth([one for one in everyone if one not in few]) for few in chosen]
    return _judged_row(peer, source, [peer.claims(of_processes(run, few)) for few in chosen], truths)


def _longer_row(peer: Peer, run: Run, longer: Run | None) -> Json:
    """Judge a method on each of the longer processes by all processes of the grid."""
    assert longer is not None
    levels = Levels.of(run, peer.level)
    truth = levels.truth(range(levels.values.shape[1]))
    processes = len(next(iter(longer.cases.values())).samples)
    claims = [peer.claims(of_processes(longer, [process])) for process in range(processes)]
    return _judged_row(peer, "one process, five times as long", claims, [truth] * processes)


def _judged_row(peer: Peer, source: str, claims: Sequence[Any], truths: Sequence[Any]) -> Json:
    _progress(f"{peer.name}, {source}")
    found = judged(claims, truths)
    return {"name": peer.name, "interval": peer.interval, "from": source, "n": len(claims), **found}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or read what was measured, and write the results."""
    given = parser().parse_args(arguments)
    grid, case_s = given.grid or GRID, given.max_time / FIVE
    paths, longer_paths = given.stored, given.stored_longer
    if not paths:
        paths = [measured(grid, given.processes, case_s, given.raw)]
        if given.longer:
            longer_paths = [measured(grid, given.longer, given.max_time, given.raw / "longer")]
    run = joined([read_run(path) for path in paths])
    longer = joined([read_run(path) for path in longer_paths]) if longer_paths else None
    result = {
        "versions": versions("breakeven", "torch"),
        "command": run.command.replace(f"{ROOT}/", ""),
        "measured": run.datetime,
        "measured_on": run.machine.label,
        "case_s": case_s,
        **analyzed(run, longer, given.fives),
    }
    whole = write(given.output / "processes.json", result)
    text = processes_section(whole)
    (given.output / "processes.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


HOW = """\
- **cover**: share of the intervals that contain what the other processes measured: the median of their
  medians (means, for a tool that shows means), of their speedups process by process, and where their medians
  cross. A 95% interval is right at .95; with the noise of the other processes, a little below. In brackets:
  95% bootstrap interval over the cases. **±**: half the width of the interval (median); a dash where most
  are unbounded.
- **break-evens**: a model that is faster at every measured batch size, or at none, is a claim too: its
  break-even is below the smallest, or above the largest. In round brackets: the share of the models of which
  anything is claimed; an undecided one counts neither way.
- **single processes**: each process of the grid by itself. **one process, five times as long**: the time of
  five in one, as a run of one process spends it.
- Tools show no interval of a speedup or a break-even: theirs follow from their half-widths, as from
  independent errors."""


def processes_section(result: Json) -> str:
    """Return the results as a section of markdown."""
    head = [
        "method",
        "from",
        *(f"{kind.replace('_', '-')} {what}" for kind in KINDS for what in ("cover", "±")),
    ]
    table = [
        [
            row["name"],
            f"{row['from']} ({row['n']})",
            *(text for kind in KINDS for text in _cells(row[kind], kind)),
        ]
        for row in result["methods"]
    ]
    spread = [
        [device, f"{found['log_sd']:.2%}", f"{found['min']:.2%}-{found['max']:.2%}", str(found["cases"])]
        for device, found in result["stability"].items()
    ]
    few = f" Fewer than {MIN_OTHERS}: too few to judge by." if result["others"] < MIN_OTHERS else ""
    intervals = {row["name"]: row["interval"] for row in result["methods"]}
    return "\n\n".join([
        "## From process to process",
        f"{result['cells']} training steps in {result['processes']} processes, one after another, with "
        f"{result['case_s']:g} s each; {result['speedups']} speedups, and break-evens of "
        f"{plural(result['break_evens'], 'model')}. Five processes are judged by the {result['others']} "
        f"others.{few} Written by `python bench/harness/processes.py`.",
        f"{result['measured_on']}; breakeven {result['versions']['breakeven']}, torch "
        f"{result['versions']['torch']}; {result['measured'][:10]}.",
        markdown(head, table, left=2),
        "\n".join(readings(result)),
        "How much the median of a case varies between processes (log-sd):",
        markdown(["device", "typical", "lowest-highest", "cases"], spread),
        HOW,
        "\n".join(f"- {name}: {interval}." for name, interval in intervals.items()),
    ]) + "\n"  # fmt: skip


def readings(result: Json) -> list[str]:
    """Return what the table shows, in words: where breakeven and all the others are, kind by kind."""
    return [_reading(kind, result["methods"]) for kind in KINDS]


def _reading(kind: str, rows: Iterable[Json]) -> str:
    known = [row for row in rows if row[kind]["coverage"] is not None]
    ours = [row[kind]["coverage"] for row in known if row["name"] == OURS.name]
    others = {
        f"{row['name']} ({row['from']})": row[kind]["coverage"]
        for row in known
        if row["name"] not in (OURS.name, STUDENT.name)
    }
    what = kind.replace("_", "-")
    if not ours or not others:
        return f"- {what}: nothing was claimed."
    best = max(others, key=lambda name: others[name])
    worst = min(others, key=lambda name: others[name])
    return (
        f"- {what}: breakeven's intervals cover {min(ours):.0%} to {max(ours):.0%}; those of single "
        f"processes and other tools {others[worst]:.0%} ({worst}) to {others[best]:.0%} ({best})."
    )


def _cells(found: Json, kind: str) -> tuple[str, str]:
    share = f" ({found['claimed']:.0%})" if kind == "break_evens" else ""
    if found["coverage"] is None:
        return f"-{share}", "-"
    covers = f"{found['coverage']:.3f} [{found['low']:.3f}-{found['high']:.3f}]{share}"
    return covers, "-" if found["half_width"] is None else f"{found['half_width']:.1%}"


def _progress(text: str) -> None:
    print(f"processes: {text}", file=sys.stderr, flush=True)


def parser() -> Any:
    """Return the command line."""
    made = options(
        __doc__,
        epilog="example:\n  OMP_WAIT_POLICY=passive python bench/harness/processes.py\n"
        "  python bench/harness/processes.py -- bench --breakeven-devices=cpu,cuda --breakeven-phases=train",
    )
    made.add_argument("--processes", type=int, default=40, metavar="N", help="of the grid (%(default)s)")
    made.add_argument(
        "--longer", type=int, default=8, metavar="N",
        help="processes that take as long as five; 0 for none (%(default)s)",
    )  # fmt: skip
    made.add_argument("--fives", type=int, default=200, metavar="N", help="random fives (%(default)s)")
    made.add_argument(
        "--max-time", type=float, default=CASE_S, metavar="SECONDS",
        help="of a case, in five processes together (%(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--raw", type=Path, default=ROOT / "build" / "processes", metavar="FOLDER",
        help="where the run files are kept (build/processes)",
    )  # fmt: skip
    made.add_argument(
        "--from", dest="stored", nargs="+", metavar="FILE", help="read these run files, and measure nothing"
    )
    made.add_argument(
        "--from-longer", dest="stored_longer", nargs="+", metavar="FILE",
        help="likewise, of the longer processes",
    )  # fmt: skip
    made.add_argument("grid", nargs="*", metavar="PYTEST", help="after --: arguments of pytest, another grid")
    return made


if __name__ == "__main__":
    sys.exit(main())
