"""An empty phase and a spin of known length, timed with a real clock by pytest-benchmark.

`probe` runs in a separate pytest process, without the user's pytest settings, plugins and conftest files,
which would add overhead.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from breakeven.doctor.selftests.suite import Check

PROBE = Path(__file__).with_name("probe.py")
TIMEOUT_S = 120.0
CONTENDED = 0.02  # as in `probe`, which is not imported because it needs pytest

EMPTY = "empty phase on the CPU, median"
BIAS = "bias of a 10 ms deadline spin, median"


def real_time() -> list[Check]:
    """Return the time of an empty phase, and the bias of a spin that measures its own length."""
    try:
        attempts = run_probe()
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        note = f"pytest measured nothing: {error}"
        return [
            Check(EMPTY, None, at_most=1e-6, unit="s", note=note),
            Check(BIAS, None, at_most=0.001, note=note),
        ]
    return checks_of(attempts)


def checks_of(attempts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Check]:
    """Return the checks of the least disturbed attempts, which are chosen by lost time, not by result.

    The true length of a spin is what the spin itself measured: an interrupted process overruns the deadline,
    which is not a bias of the harness.
    """
    empty, spin = _least_disturbed(attempts["empty"]), _least_disturbed(attempts["spin"])
    ratios = [timed / true - 1 for timed, true in zip(spin["latencies_s"], spin["true_s"], strict=True)]
    return [
        Check(EMPTY, median(empty["latencies_s"]), at_most=1e-6, unit="s", note=_note(attempts["empty"])),
        Check(BIAS, abs(median(ratios)), at_most=0.001, note=_note(attempts["spin"])),
    ]


def run_probe() -> dict[str, list[dict[str, Any]]]:
    """Run the probe and return its attempts.

    Raises:
        ValueError: pytest failed; the message is its last line.
        OSError: the process could not be started, or a file could not be written.
        subprocess.TimeoutExpired: it took more than 2 minutes.
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
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
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
    again = f"repeated {len(attempts) - 1}x because" if len(attempts) > 1 else "although"
    return f"{again} other processes took the core; {100 * lost:.1f}% of it in the attempt that was used"
