"""Five training scripts and the same steps as Workloads: whether breakeven measures what a script takes.

Each script of ``scripts/`` times its own loop. It and pytest with its Workload run in fresh processes that
take turns (A B B A), on one thread. Exits with 1 where the two do not agree.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from gpu_tables import markdown
from scipy.stats import t as student
from shared import Json, options, versions, write

from breakeven.runs.json_files import load_json

SCRIPTS = Path(__file__).parent / "scripts"
NAMES = {
    "accumulation": "accumulation of 4 batches",
    "clipping": "clipping and a scheduler",
    "scaler": "float16 with a scaler",
    "lbfgs": "LBFGS",
    "gan": "GAN, two optimizers",
}
PAIRS, CASE_S = 8, 2.0

Timer = Callable[[str], float]
"""Returns the seconds of a step of a script."""


def run(arguments: Sequence[str]) -> str:
    """Run Python in the folder of the scripts on one thread, and return its output.

    Raises:
        SystemExit: it failed.
    """
    alone = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "BREAKEVEN_PROCESSES": "0"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=SCRIPTS, env={**os.environ, **alone, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"own_scripts: {' '.join(arguments)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def script_s(name: str) -> float:
    """Return the median step of a script, as it prints it."""
    return float(run([f"{name}.py"]).split()[0])


def workload_s(name: str) -> float:
    """Return the median of `train`, as pytest measures the script's Workload."""
    with tempfile.TemporaryDirectory() as folder:
        run_file = Path(folder) / "run.json"
        (Path(folder) / "pytest.ini").write_text("[pytest]\n")
        run([
            "-m", "pytest", f"bench_{name}.py", "-c", f"{folder}/pytest.ini", f"--rootdir={folder}",
            "-p", "no:cacheprovider", "--breakeven-devices=cpu", "--breakeven-phases=train",
            f"--benchmark-json={run_file}", f"--benchmark-max-time={CASE_S}",
        ])  # fmt: skip
        (case,) = load_json(str(run_file))["benchmarks"]
        return median(case["stats"]["data"])


def pairs_of(name: str, pairs: int, script: Timer, workload: Timer) -> list[tuple[float, float]]:
    """Return the seconds of a step by the script and by breakeven, in processes that take turns."""
    found = []
    for index in range(pairs):
        if index % 2 == 0:
            by_script = script(name)
            found.append((by_script, workload(name)))
        else:
            by_workload = workload(name)
            found.append((script(name), by_workload))
    return found


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the geometric mean of processes, and its 95% interval by Student's distribution."""
    logs = [math.log(value) for value in values]
    half = student.ppf(0.975, len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
    return tuple(math.exp(mean(logs) + sign * half) for sign in (-1, 0, 1))


def agreement(pairs: Sequence[tuple[float, float]]) -> Json:
    """Return both times and their ratio, each with its interval; they agree if that of the ratio has 1."""
    script, workload = zip(*pairs, strict=True)
    ratio = interval([b / a for a, b in pairs])
    return {
        "script_s": interval(script), "workload_s": interval(workload), "ratio": ratio,
        "agrees": ratio[0] <= 1 <= ratio[2], "n": len(pairs),
    }  # fmt: skip


def scripts_section(result: Json) -> str:
    """Return the results as a section of markdown."""
    rows = [
        [NAMES[one["name"]], _ms(one["script_s"]), _ms(one["workload_s"]), _text(one["ratio"], 3),
         "yes" if one["agrees"] else "no"]
        for one in result["cells"]
    ]  # fmt: skip
    machine = f"{result['machine']['cpu']}, one thread; torch {result['versions']['torch']}; {result['date']}"
    return "\n\n".join([
        "## Training scripts against their Workloads",
        "The median step that a training script prints of its own loop, and the median of `train` of the "
        f"same step as a Workload: the geometric mean of {result['pairs']} fresh processes each, which took "
        "turns, with its 95% interval. They agree if the interval of the ratio contains 1. "
        "Written by `python bench/harness/own_scripts.py`.",
        f"{machine}.",
        markdown(["script", "its own loop, ms", "breakeven, ms", "ratio", "agrees"], rows),
    ]) + "\n"  # fmt: skip


def _ms(of: Sequence[float]) -> str:
    return _text([1e3 * value for value in of], 3)


def _text(of: Sequence[float], digits: int) -> str:
    low, center, high = (f"{value:.{digits}f}" for value in of)
    return f"{center} [{low}-{high}]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every script and its Workload, and write the results; return 1 if two do not agree."""
    given = parser().parse_args(arguments)
    cells = []
    for name in given.scripts:
        found = agreement(pairs_of(name, given.pairs, script_s, workload_s))
        cells.append({"name": name, **found})
        if not given.quiet:
            print(f"own_scripts: {name}: {_text(found['ratio'], 3)}", file=sys.stderr)
    result = {"pairs": given.pairs, "versions": versions("breakeven", "torch"), "cells": cells}
    whole = write(given.output / "own_scripts.json", result)
    shown = scripts_section(json.loads(json.dumps(whole)))
    (given.output / "own_scripts.md").write_text(shown, encoding="utf-8")
    return int(not all(one["agrees"] for one in cells))


def parser() -> Any:
    """Return the command line."""
    made = options(__doc__, epilog="example:\n  python bench/harness/own_scripts.py --pairs 8")
    made.add_argument("--pairs", type=int, default=PAIRS, metavar="N", help="processes each (%(default)s)")
    made.add_argument("--scripts", nargs="+", choices=NAMES, default=list(NAMES), help="default: all")
    made.add_argument("-q", "--quiet", action="store_true", help="no progress")
    return made


if __name__ == "__main__":
    sys.exit(main())
