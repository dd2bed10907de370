"""Hold breakeven against its peers: `python bench/harness/compare.py --truths --real`.

Writes ``truths.json`` and ``real.json`` (whichever was asked for), then ``README.md`` with the tables of
both and ``table.md`` with the short one, all into the folder of ``-o``. Where ``gpu.py`` has left its
``gpu.json`` there, its table stands in ``README.md`` too.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from gpu_tables import gpu_section
from grids import NOISE, Cell, RealPlan, real_cells, virtual_cells
from metrics import figures, ratio_of_costs
from tables import OURS, short_table, tables
from tools import TOOLS, Reading
from truths import NOISY, TRUTHS

from breakeven.errors import UsageError
from breakeven.hardware.devices import parse_device
from breakeven.hardware.machine import class_facts

EPILOG = """\
examples:
  python bench/harness/compare.py --truths                  all synthetic truths, about 1 minute
  python bench/harness/compare.py --real                    real training steps, under 6 minutes, wants a
                                                            machine that does nothing else; where threads
                                                            spin, put OMP_WAIT_POLICY=passive before it
  python bench/harness/compare.py --truths --only loud --repetitions 200 -o /tmp/try
  python bench/harness/compare.py                           measures nothing, writes the tables again

The truths run on a virtual clock: their figures are the same on every machine. Read README.md in the
folder of -o for what each column means.
"""

ABOUT_TRUTHS = (
    "Functions on a virtual clock whose true median and mean are known exactly; a call takes about 1 ms. The "
    "same seeds for every tool; wall seconds are virtual, so no machine's noise enters. Noisy cells: "
    f"{', '.join(NOISY)}."
)
ABOUT_REAL = (
    "Training steps of the built-in mlp (width x batch) on the CPU. The tools take turns, another one first "
    "each time; the truth is the median (mean) of reference rounds spread over the whole run, so that a "
    "machine that drifts during the run costs every tool coverage. A cell is noisy where the stddev of its "
    f"reference rounds is {NOISE:.0%} of their mean or more. pyperf's values are taken in this one process. "
    "Every reading stands in `real-readings.csv`."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and write the results."""
    options = parser().parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    say = progress(options.quiet)
    if options.truths:
        cells = virtual_cells(options.only or list(TRUTHS), options.repetitions or 1000, say)
        write(options.output / "truths.json", "Synthetic truths", ABOUT_TRUTHS, cells)
    if options.real:
        load, cells = os.getloadavg()[0], list(real_cells(real_plan(options), say))
        write(options.output / "real.json", "Real training steps", ABOUT_REAL, cells, load)
        write_readings(options.output / "real-readings.csv", cells)
    pages = render(options.output)
    say(f"wrote {', '.join(map(str, pages))}" if pages else f"{options.output} holds no results yet; --help")
    return 0 if pages else 2


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        description="Hold breakeven against pytest-benchmark, torch.utils.benchmark and pyperf's method: "
        "wall seconds to a true 2% interval, bias, coverage of the claimed interval, rounds spent.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--truths", action="store_true", help="measure the synthetic truths")
    made.add_argument("--real", action="store_true", help="measure real training steps on this machine")
    made.add_argument(
        "--repetitions", type=at_least_two, metavar="N", help="readings a cell and tool (1000; real: <= 100)"
    )
    made.add_argument(
        "--only",
        action="append",
        choices=TRUTHS,
        metavar="TRUTH",
        help=f"this truth, may be repeated: {', '.join(TRUTHS)}",
    )
    made.add_argument(
        "--shapes", nargs="+", type=shape, metavar="WIDTHxBATCH", help="real steps (64x16 512x64)"
    )
    made.add_argument("--devices", nargs="+", type=cpu, metavar="DEVICE", help="real devices (cpu@1 cpu)")
    made.add_argument(
        "--pyperf-every",
        type=at_least_two,
        default=RealPlan.dear_every,
        metavar="K",
        help="pyperf's method joins every K-th real repetition, since it takes 10 s (%(default)s)",
    )
    made.add_argument(
        "--cell-seconds",
        type=float,
        default=RealPlan.cell_s,
        metavar="S",
        help="begin no further repetition of a real cell after S seconds (%(default)s)",
    )
    made.add_argument("-o", "--output", type=Path, default=Path("results/harness"), metavar="FOLDER")
    made.add_argument("-q", "--quiet", action="store_true", help="no progress")
    return made


def at_least_two(text: str) -> int:
    """Return a count of at least 2."""
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no count of at least 2")
    return int(text)


def shape(text: str) -> tuple[int, int]:
    """Return ``(width, batch size)`` of ``64x16``."""
    width, _, batch_size = text.partition("x")
    if not (width.isdecimal() and batch_size.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not like 64x16, a width and a batch size")
    return int(width), int(batch_size)


def cpu(text: str) -> str:
    """Return the name of a CPU device: not every tool here waits for an accelerator."""
    try:
        device = parse_device(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if device.is_accelerator:
        raise argparse.ArgumentTypeError(f"{text!r} is no CPU; write cpu or cpu@1")
    return device.name


def real_plan(options: argparse.Namespace) -> RealPlan:
    """Return the real grid that the options ask for."""
    return RealPlan(
        shapes=tuple(options.shapes or RealPlan.shapes),
        devices=tuple(options.devices or RealPlan.devices),
        repetitions=options.repetitions or RealPlan.repetitions,
        cell_s=options.cell_seconds,
        dear_every=options.pyperf_every,
    )


def progress(quiet: bool) -> Any:
    """Return a function that says on standard error what is being done, and since when."""
    begin = time.monotonic()

    def say(text: str) -> None:
        if not quiet:
            print(f"{time.monotonic() - begin:6.1f} s  {text}", file=sys.stderr, flush=True)

    return say


def write(path: Path, title: str, about: str, cells: Iterable[Cell], load: float | None = None) -> None:
    """Measure the cells and write their figures; `load` is the machine's where that matters."""
    found = [as_json(cell) for cell in cells]
    result = {
        "schema": 1,
        "title": title,
        "about": about,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": class_facts(),
        "load": load,
        "versions": versions(),
        "cells": found,
    }
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def as_json(cell: Cell) -> dict[str, Any]:
    """Return a cell's figures by tool."""
    return {
        "name": cell.name,
        "what": cell.what,
        "noisy": cell.noisy,
        "truth_s": dict(cell.truth_s),
        "tools": {name: tool_json(cell, name) for name in TOOLS if name in cell.readings},
    }


def tool_json(cell: Cell, name: str) -> dict[str, Any]:
    """Return a tool's figures in a cell, and their ratio to breakeven's."""
    seen, ours = cell.observations(name), cell.observations(OURS)
    found, own = figures(seen), figures(ours)
    known = found.to_wish_s is not None and own.to_wish_s is not None
    return asdict(found) | {
        "interval": TOOLS[name].interval,
        "ratio": found.to_wish_s / own.to_wish_s if known else None,
        "ratio_interval": ratio_of_costs(seen, ours) if name != OURS else None,
    }


def write_readings(path: Path, cells: Iterable[Cell]) -> None:
    """Write a row a reading, in the order of measuring (the truths' readings come again from their seeds)."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["cell", "tool", *Reading.__dataclass_fields__, "wall_s"])
        for cell in cells:
            for tool, readings in cell.readings.items():
                rows.writerows([cell.name, tool, *astuple(reading), wall_s] for reading, wall_s in readings)


def versions() -> dict[str, str]:
    """Return the versions that the figures depend on."""
    named = {name: importlib.metadata.version(name) for name in ("breakeven", "pytest-benchmark", "torch")}
    return named | {"python": platform.python_version()}


def render(folder: Path) -> list[Path]:
    """Write the tables of whatever results the folder holds, and return what was written."""
    found = [folder / name for name in ("truths.json", "real.json") if (folder / name).exists()]
    results = [json.loads(path.read_text(encoding="utf-8")) for path in found]
    if not results:
        return []
    gpu = folder / "gpu.json"  # what gpu.py wrote, on a machine that has one
    more = f"\n{gpu_section(json.loads(gpu.read_text(encoding='utf-8')))}" if gpu.exists() else ""
    pages = {"README.md": tables(results) + more, "table.md": short_table(results[0])}
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in pages]


if __name__ == "__main__":
    sys.exit(main())
