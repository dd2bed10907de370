"""The files that the figures of memory and time are measured with."""

import sys

import reads


def test_report(tmp_path):
    runs = [reads.run_file(tmp_path / f"{seed}.json", seed) for seed in range(2)]
    found = reads.report(sys.executable, runs)
    assert (found["files"], found["code"]) == (2, 0)
    assert found["bytes"] == sum(run.stat().st_size for run in runs)
    assert 1e7 < found["peak_memory_bytes"] < 1e9
    assert 0 < found["cpu_s"] < 60


def test_size(tmp_path):
    """A file is about as large as it was asked to be."""
    rounds = 1_000_000 // 2 // reads.BYTES_PER_ROUND // 5 * 5
    assert 0.9e6 < reads.run_file(tmp_path / "r.json", 0, 2, rounds).stat().st_size < 1.1e6
