"""Compares breakeven with its peers: `python bench/harness/compare.py --synthetic --real`.

Writes ``synthetic.json`` and ``real.json`` (those requested), then ``README.md`` with the tables of both and
``table.md`` with the short one, all into the directory of ``-o``. If that contains ``gpu.json``,
``steady.json``, ``intervals.json`` or ``processes.json``, which the scripts of these names write,
``README.md`` has their tables too.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from fields import fields_section
from gpu_tables import gpu_section
from grids import NOISE, Cell, RealPlan, real_cells, synthetic_cells
from intervals import section as intervals_section
from metrics import figures, ratio_of_costs
from own_scripts import scripts_section
from processes import processes_section
from shared import options, versions, write
from steady import steady_section
from synthetic import DISTRIBUTIONS, NOISY
from tables import OURS, short_table, tables
from tools import TOOLS, Measurement

from breakeven.errors import UsageError
from breakeven.hardware.devices import parse_device

EPILOG = """\
examples:
  python bench/harness/compare.py --synthetic               all synthetic functions, about 1 minute
  python bench/harness/compare.py --real                    real training steps, under 6 minutes, on an
                                                            idle machine; where threads spin for each
                                                            other, set OMP_WAIT_POLICY=passive
  python bench/harness/compare.py --synthetic --only loud --repetitions 200 -o /tmp/try
  python bench/harness/compare.py                           rebuilds the tables without measuring

The synthetic functions run on a simulated clock: their figures are the same on every machine. README.md in
the folder of -o explains the columns.
"""

ABOUT_SYNTHETIC = (
    "Functions on a simulated clock whose true median and mean are known exactly; a call takes about 1 ms. "
    "All tools get the same seeds; wall seconds are simulated, so no machine's noise enters. Noisy cells: "
    f"{', '.join(NOISY)}."
)
ABOUT_REAL = (
    "Training steps of a perceptron (width x batch) on the CPU. The tools take turns, another one first "
    "each time; the true median (mean) is that of reference rounds spread over the whole run, so that a "
    "machine that drifts during the run costs every tool coverage. A cell is noisy where the stddev of its "
    f"reference rounds is {NOISE:.0%} of their mean or more. pyperf's values are taken in this one process. "
    "Every reading is in `real-readings.csv`."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the requested parts and write the results."""
    given = parser().parse_args(arguments)
    log = progress(given.quiet)
    if given.synthetic:
        cells = synthetic_cells(given.only or list(DISTRIBUTIONS), given.repetitions or 1000, log)
        write(given.output / "synthetic.json", content("Synthetic functions", ABOUT_SYNTHETIC, cells))
    if given.real:
        repetitions = given.repetitions or RealPlan.repetitions
        plan = RealPlan(given.shapes, given.devices, repetitions, given.cell_seconds, given.pyperf_every)
        load, cells = os.getloadavg()[0], list(real_cells(plan, log))
        write(given.output / "real.json", content("Real training steps", ABOUT_REAL, cells, load))
        write_readings(given.output / "real-readings.csv", cells)
    pages = render(given.output)
    log(f"wrote {', '.join(map(str, pages))}" if pages else f"{given.output} has no results yet; see --help")
    return 0 if pages else 2


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = options(
        "Compare breakeven with pytest-benchmark, torch.utils.benchmark and pyperf's method: wall seconds "
        "to a true 2% interval, bias, coverage of the claimed interval, rounds spent.",
        epilog=EPILOG,
    )
    add = made.add_argument
    add("--synthetic", action="store_true", help="measure the synthetic functions")
    add("--real", action="store_true", help="measure real training steps on this machine")
    names = f"this synthetic function, may be repeated: {', '.join(DISTRIBUTIONS)}"
    add("--only", action="append", choices=DISTRIBUTIONS, metavar="NAME", help=names)
    steps = "real steps (64x16 512x64)"
    add("--shapes", nargs="+", type=shape, default=RealPlan.shapes, metavar="WIDTHxBATCH", help=steps)
    cpus = "real devices (cpu@1 cpu)"
    add("--devices", nargs="+", type=cpu, default=RealPlan.devices, metavar="DEVICE", help=cpus)
    add(
        "--repetitions",
        type=at_least_two,
        metavar="N",
        help="readings per cell and tool (1000; real: <= 100)",
    )
    slow = "pyperf's method joins every K-th real repetition, since it takes 10 s (%(default)s)"
    add("--pyperf-every", type=at_least_two, default=RealPlan.slow_every, metavar="K", help=slow)
    end = "start no repetition of a real cell after S seconds (%(default)s)"
    add("--cell-seconds", type=float, default=RealPlan.cell_s, metavar="S", help=end)
    made.add_argument("-q", "--quiet", action="store_true", help="no progress")
    return made


def at_least_two(text: str) -> int:
    """Return a count of at least 2."""
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count of at least 2")
    return int(text)


def shape(text: str) -> tuple[int, int]:
    """Return ``(width, batch size)`` of ``64x16``."""
    width, _, batch_size = text.partition("x")
    if not (width.isdecimal() and batch_size.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not like 64x16, a width and a batch size")
    return int(width), int(batch_size)


def cpu(text: str) -> str:
    """Return the name of a CPU device: not every tool here synchronizes with an accelerator."""
    try:
        device = parse_device(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if device.is_accelerator:
        raise argparse.ArgumentTypeError(f"{text!r} is not a CPU; write cpu or cpu@1")
    return device.name


def progress(quiet: bool) -> Any:
    """Return a function that prints to standard error, with the seconds since now."""
    begin = time.monotonic()

    def log(text: str) -> None:
        if not quiet:
            print(f"{time.monotonic() - begin:6.1f} s  {text}", file=sys.stderr, flush=True)

    return log


def content(title: str, about: str, cells: Iterable[Cell], load: float | None = None) -> dict[str, Any]:
    """Measure the cells and return their figures; `load` is the machine's, if it matters."""
    return {
        "title": title,
        "about": about,
        "load": load,
        "versions": versions("breakeven", "pytest-benchmark", "torch"),
        "cells": [as_json(cell) for cell in cells],
    }


def as_json(cell: Cell) -> dict[str, Any]:
    """Return a cell's figures by tool."""
    return {
        "name": cell.name,
        "what": cell.what,
        "noisy": cell.noisy,
        "true_s": dict(cell.true_s),
        "tools": {name: tool_json(cell, name) for name in TOOLS if name in cell.measurements},
    }


def tool_json(cell: Cell, name: str) -> dict[str, Any]:
    """Return a tool's figures in a cell, and their ratio to breakeven's."""
    seen, ours = cell.observations(name), cell.observations(OURS)
    found, own = figures(seen), figures(ours)
    known = found.to_target_s is not None and own.to_target_s is not None
    return asdict(found) | {
        "interval": TOOLS[name].interval,
        "ratio": found.to_target_s / own.to_target_s if known else None,
        "ratio_interval": ratio_of_costs(seen, ours) if name != OURS else None,
    }


def write_readings(path: Path, cells: Iterable[Cell]) -> None:
    """Write a row per reading, in the order of measuring; those on the simulated clock follow from seeds."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["cell", "tool", *Measurement.__dataclass_fields__, "wall_s"])
        for cell in cells:
            for tool, found in cell.measurements.items():
                rows.writerows([cell.name, tool, *astuple(one), wall_s] for one, wall_s in found)


SECTIONS = {
    "gpu.json": gpu_section,
    "steady.json": steady_section,
    "intervals.json": intervals_section,
    "processes.json": processes_section,
    "fields.json": fields_section,
    "own_scripts.json": scripts_section,
}
"""What other scripts write, the first on a machine with a GPU, and the section of the page that shows it."""


def render(folder: Path) -> list[Path]:
    """Write the tables of all results in the directory, and return the paths."""
    found = [folder / name for name in ("synthetic.json", "real.json") if (folder / name).exists()]
    results = [json.loads(path.read_text(encoding="utf-8")) for path in found]
    if not results:
        return []
    more = "".join(
        f"\n{section(json.loads((folder / name).read_text(encoding='utf-8')))}"
        for name, section in SECTIONS.items()
        if (folder / name).exists()
    )
    pages = {"README.md": tables(results) + more, "table.md": short_table(results[0])}
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in pages]


if __name__ == "__main__":
    sys.exit(main())
