"""What a process holds does not grow with the cases that it has timed."""

import json

import pytest

from support.projects import Project

HELD = """
import gc, json, os, torch

def pytest_runtest_logfinish():
    gc.collect()
    tensors = sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())
    with open("held", "a") as file:
        file.write(json.dumps([tensors, len(os.listdir("/proc/self/fd"))]) + "\\n")
"""


def test_handles_and_tensors(bench):
    """They are those of one cell, after the first and after the last."""
    bench.pytester.makeconftest((bench.pytester.path / "conftest.py").read_text() + HELD)
    bench.write(
        """
        @pytest.mark.sweep(batch_size=[1], width=list(range(1, 13)))
        def bench_plain(train_benchmark, batch_size, width):
            train_benchmark(lambda: workload(batch_size, width))
        """.replace("\n        ", "\n")
    )
    assert bench.run().ret == pytest.ExitCode.OK
    held = [json.loads(line) for line in (bench.pytester.path / "held").read_text().splitlines()]
    assert len(held) == 12
    assert held[0] == held[-1]
    assert {handles for _, handles in held} == {held[0][1]}


KEPT = """
import json

@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    reports = session.config.pluginmanager.get_plugin("terminalreporter").stats
    timed = session.config._benchmarksession.benchmarks
    with open("kept", "a") as file:
        kept = [[len(one.stats.data), len(one.extra_info)] for one in timed]
        file.write(json.dumps([sum(map(len, reports.values())), kept]) + "\\n")
"""


@pytest.mark.slow
def test_journaled_cases(tmp_path):
    """A measuring process keeps no report, rounds or facts of them; the run file has all."""
    project = Project(
        tmp_path,
        """
@pytest.mark.sweep(batch_size=[1, 16])
def bench_mine(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
""",
        "import pytest\n" + KEPT,
    )
    code, output = project.run()
    assert code == 0, output
    worker, parent = map(json.loads, (tmp_path / "kept").read_text().splitlines())
    assert worker == [0, [[0, 0], [0, 0]]]
    rounds = project.rounds()
    assert [found for found, _ in parent[1]] == list(map(len, rounds.values()))
    assert all(rounds.values())
