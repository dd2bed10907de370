"""Shared by the scripts: timing of whole processes, shares with intervals, and files of results."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from scipy.stats import binomtest

from breakeven.files import write_whole
from breakeven.hardware.machine import class_facts

Json = dict[str, Any]
T = TypeVar("T")

RESULTS = Path(__file__).parents[2] / "results" / "harness"


def options(description: str | None, **more: Any) -> argparse.ArgumentParser:
    """Return a parser with an option for the directory of the results."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, **more
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=RESULTS, metavar="FOLDER", help="default: results/harness"
    )
    return parser


def write(path: Path, content: Mapping[str, Any]) -> Json:
    """Write the content with the date and the machine, and return them together."""
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    whole = {"schema": 1, "date": date, "machine": class_facts(), **content}
    write_whole(path, (json.dumps(whole, indent=1) + "\n").encode())
    return whole


def versions(*packages: str) -> dict[str, str]:
    """Return the versions that the figures depend on."""
    return {name: importlib.metadata.version(name) for name in packages} | {
        "python": platform.python_version()
    }


def rotated(items: Sequence[T], repetition: int) -> list[T]:
    """Return the items rotated by the repetition."""
    first = repetition % len(items)
    return [*items[first:], *items[:first]]


def share(hits: int, n: int, **more: object) -> Json:
    """Return a share with its 95% Wilson interval."""
    found = binomtest(hits, n).proportion_ci(method="wilson")
    return {"share": hits / n, "low": found.low, "high": found.high, "n": n, **more}


def summary(times: Sequence[float]) -> Json:
    """Return the median, the extremes and the number of some seconds."""
    return {"median_s": median(times), "min_s": min(times), "max_s": max(times), "n": len(times)}


_COMMAND = """
import sys
from breakeven.cli import main
code = main(sys.argv[1:])
# Of this process alone: getrusage also counts what its parent held when it was forked.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(code, status["VmHWM"].split()[0], file=sys.stderr)
"""


def run_command(
    *arguments: object, prefix: Sequence[str] = (), python: str = sys.executable
) -> tuple[Json, str]:
    """Run breakeven in a separate process; return seconds, exit code and peak memory, and its output."""
    start = time.perf_counter()
    command = [*prefix, python, "-c", _COMMAND, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stderr)
    code, peak = done.stderr.split()[-2:]
    return {"seconds": seconds, "code": int(code), "peak_memory_bytes": 1024 * int(peak)}, done.stdout
