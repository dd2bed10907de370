"""`pytest bench` runs the benchmarks alone."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_these_tests_run_only_by_name():
    command = [sys.executable, "-m", "pytest", "bench", "--collect-only", "-q", "--noconftest"]
    done = subprocess.run([*command, "--breakeven-sweep=smoke"], cwd=ROOT, capture_output=True, text=True)
    files = {Path(line.partition("::")[0]) for line in done.stdout.splitlines() if "::" in line}
    assert files
    assert all(file.parent == Path("bench") and file.name.startswith("bench_") for file in files)
