"""Hold breakeven against its peers: `python bench/harness/compare.py --truths --real`.

Writes ``truths.json`` and ``real.json`` (whichever was asked for), then ``README.md`` with the tables of
both and ``table.md`` with the short one, all into the folder of ``-o``.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from grids import Cell, RealPlan, real_cells, virtual_cells
from metrics import figures, ratio_of_costs
from tables import OURS, short_table, tables
from tools import TOOLS
from truths import NOISY, TRUTHS

from breakeven.measuring.machine import class_facts

EPILOG = """\
examples:
  python bench/harness/compare.py --truths                  all synthetic truths, about 1 minute
  python bench/harness/compare.py --real                    real training steps, about 6 minutes, wants a
                                                            machine that does nothing else
  python bench/harness/compare.py --truths --only loud --repetitions 200 -o /tmp/try
  python bench/harness/compare.py                           measures nothing, writes the tables again

The truths run on a virtual clock: their figures are the same on every machine. Read README.md in the
folder of -o for what each column means.
"""

ABOUT_TRUTHS = (
    "Functions on a virtual clock whose true median and mean are known exactly; a call takes about 1 ms. The "
    "same seeds for every tool; wall seconds are virtual, so no machine's noise enters. Noisy cells: "
    + ", ".join(NOISY)
    + "."
)
ABOUT_REAL = (
    "Training steps of the built-in mlp on the CPU. The tools take turns, another one first each time; the "
    "truth is the median (mean) of reference rounds spread over the whole run. Every cell counts as noisy: "
    "this is what a machine does. pyperf's values are taken in this one process."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and write the results."""
    options = parser().parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    say = progress(options.quiet)
    if options.truths:
        cells = virtual_cells(options.only or list(TRUTHS), options.repetitions or 1000, say)
        write("truths", "Synthetic truths", ABOUT_TRUTHS, cells, options, options.repetitions or 1000)
    if options.real:
        plan = real_plan(options)
        write("real", "Real training steps", ABOUT_REAL, real_cells(plan, say), options, plan.repetitions)
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
        "--repetitions", type=at_least_two, metavar="N", help="readings a cell and tool (1000 and 30)"
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
    made.add_argument("--devices", nargs="+", metavar="DEVICE", help="real devices (cpu@1 cpu)")
    made.add_argument(
        "--pyperf-every",
        type=at_least_two,
        default=RealPlan.dear_every,
        metavar="K",
        help="pyperf's method joins every K-th real repetition, since it takes 10 s (%(default)s)",
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


def real_plan(options: argparse.Namespace) -> RealPlan:
    """Return the real grid that the options ask for."""
    return RealPlan(
        shapes=tuple(options.shapes or RealPlan.shapes),
        devices=tuple(options.devices or RealPlan.devices),
        repetitions=options.repetitions or RealPlan.repetitions,
        dear_every=options.pyperf_every,
    )


def progress(quiet: bool) -> Any:
    """Return a function that says on standard error what is being done, and since when."""
    begin = time.monotonic()

    def say(text: str) -> None:
        if not quiet:
            print(f"{time.monotonic() - begin:6.1f} s  {text}", file=sys.stderr, flush=True)

    return say


def write(
    what: str, title: str, about: str, cells: Iterable[Cell], options: argparse.Namespace, repetitions: int
) -> None:
    """Measure the cells and write ``<what>.json``."""
    load = os.getloadavg()[0] if what == "real" else None
    found = [as_json(cell, raw=what == "real", repetitions=repetitions) for cell in cells]
    result = {
        "schema": 1,
        "title": title,
        "about": about,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": class_facts(),
        "load": load,
        "versions": versions(),
        "repetitions": repetitions,
        "cells": found,
    }
    path = options.output / f"{what}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def as_json(cell: Cell, *, raw: bool, repetitions: int) -> dict[str, Any]:
    """Return a cell's figures by tool; with `raw`, the readings too (the truths' come back from seeds)."""
    return {
        "name": cell.name,
        "what": cell.what,
        "noisy": cell.name in NOISY or cell.name not in TRUTHS,
        "truth_s": dict(cell.truth_s),
        "tools": {name: tool_json(cell, name, repetitions) for name in TOOLS if name in cell.readings},
    } | ({"readings": raw_readings(cell)} if raw else {})


def tool_json(cell: Cell, name: str, repetitions: int) -> dict[str, Any]:
    """Return a tool's figures in a cell, and their ratio to breakeven's."""
    seen, ours = cell.observations(name), cell.observations(OURS)
    found, own = figures(seen), figures(ours)
    known = found.to_wish_s is not None and own.to_wish_s is not None
    return asdict(found) | {
        "interval": TOOLS[name].interval,
        "few": found.n < repetitions,
        "ratio": found.to_wish_s / own.to_wish_s if known else None,
        "ratio_interval": ratio_of_costs(seen, ours) if name != OURS else None,
    }


def raw_readings(cell: Cell) -> dict[str, list[list[float | None]]]:
    """Return each reading as ``[centre_s, low_s, high_s, rounds, wall_s]``."""
    return {
        name: [
            [reading.centre_s, reading.low_s, reading.high_s, reading.rounds, wall_s]
            for reading, wall_s in readings
        ]
        for name, readings in cell.readings.items()
    }


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
    pages = {"README.md": tables(results), "table.md": short_table(results[0])}
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in pages]


if __name__ == "__main__":
    sys.exit(main())
