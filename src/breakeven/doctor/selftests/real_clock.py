"""The two truths that need a real clock, timed by pytest-benchmark in a pytest of its own.

Owns the process and what is made of its times; `probe` is what runs there. The user's own pytest settings,
plugins and conftest files stay out, so that the figure is the harness's and nobody else's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from breakeven.doctor.selftests.checks import Check

PROBE = Path(__file__).with_name("probe.py")
PATIENCE_S = 120.0
CONTENDED = 0.02  # as in `probe`, which is not imported here: it needs pytest

EMPTY = "an empty phase on the CPU, median"
BIAS = "bias on a 10 ms deadline spin, median"


def real_time() -> list[Check]:
    """Return what an empty phase costs, and the bias on a spin that knows how long it took."""
    try:
        attempts = run_probe()
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        note = f"pytest gave no timing: {error}"
        return [
            Check(EMPTY, None, at_most=1e-6, unit="s", note=note),
            Check(BIAS, None, at_most=0.001, note=note),
        ]
    return judge(attempts)


def judge(attempts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Check]:
    """Return the checks of what the probe wrote; the attempt that was disturbed least counts.

    Which one that is says the time it lost, never its figure. The truth of a spin is what it read itself
    between its start and its end: a process that is interrupted overruns its deadline, and that is no bias
    of the harness.
    """
    empty, spin = _least_disturbed(attempts["empty"]), _least_disturbed(attempts["spin"])
    ratios = [read / truth - 1 for read, truth in zip(spin["latencies_s"], spin["truths_s"], strict=True)]
    return [
        Check(EMPTY, median(empty["latencies_s"]), at_most=1e-6, unit="s", note=_note(attempts["empty"])),
        Check(BIAS, abs(median(ratios)), at_most=0.001, note=_note(attempts["spin"])),
    ]


def run_probe() -> dict[str, list[dict[str, Any]]]:
    """Run the probe and return its attempts.

    Raises:
        ValueError: pytest did not come to its end, with its last line.
        OSError: no process could be started or no file be written.
        subprocess.TimeoutExpired: it took more than two minutes.
    """
    with tempfile.TemporaryDirectory(prefix="breakeven-") as folder:
        ini, out = Path(folder) / "pytest.ini", Path(folder) / "attempts.json"
        ini.write_text("[pytest]\n", encoding="utf-8")
        command = [sys.executable, "-m", "pytest", str(PROBE), "-c", str(ini), f"--rootdir={folder}"]
        command += ["-q", "--noconftest", "--import-mode=importlib", "-p", "no:cacheprovider"]
        command += ["-p", "pytest_benchmark.plugin", "--benchmark-timer=time.perf_counter"]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_"))}
        env = {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "BREAKEVEN_PROBE": str(out)}
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        if done.returncode != 0:
            lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            raise ValueError(lines[-1] if lines else f"exit code {done.returncode}")
        attempts: dict[str, list[dict[str, Any]]] = json.loads(out.read_text(encoding="utf-8"))
        return attempts


def _least_disturbed(attempts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return min(attempts, key=lambda attempt: attempt["lost"])


def _note(attempts: Sequence[Mapping[str, Any]]) -> str:
    lost = max(0.0, _least_disturbed(attempts)["lost"])
    if len(attempts) == 1 and lost < CONTENDED:
        return ""
    again = f"repeated {len(attempts) - 1}x, since" if len(attempts) > 1 else "although"
    return f"{again} other processes took the core; {100 * lost:.1f}% of it in the attempt that counts"


TRUTHS: tuple[Callable[[], list[Check]], ...] = (real_time,)
"""Every truth of this module."""
