"""The fleet on real clusters of this machine: three nodes of two machine classes."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

BENCH = """
import pytest, torch
from breakeven import Workload

@pytest.mark.sweep(batch_size=[1, 8, 64])
def bench_linear(train_benchmark, batch_size):
    train_benchmark(lambda: Workload(
        model=torch.nn.Linear(8, 8), loss=torch.nn.MSELoss(), optimizer=torch.optim.SGD,
        inputs=torch.randn(batch_size, 8), targets=torch.randn(batch_size, 8),
    ))
"""
QUICK = (
    "--breakeven-devices=cpu@1", "--breakeven-phases=train", "--breakeven-processes=1",
    "--benchmark-max-time=0.05",
)  # fmt: skip
STORE = 80 * 2**20
OTHER_CLASS = {"GOMP_SPINCOUNT": "7"}


@contextmanager
def cluster(*environments):
    """A cluster with a node for each of these environments; its nodes are in `members`."""
    found = Cluster()
    try:
        found.members = [
            found.add_node(num_cpus=1, object_store_memory=STORE, include_dashboard=False, env_vars=variables)
            for variables in environments
        ]
        yield found
    finally:
        found.shutdown()


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "bench_linear.py").write_text(BENCH)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return tmp_path


def command(*arguments, options=QUICK):
    return [sys.executable, "-m", "breakeven.cli", "fleet", "bench", "-o", "out", *arguments, "--", *options]


def fleet(*arguments, options=QUICK):
    """Run the command; return its exit code, and the lines of standard error."""
    done = subprocess.run(
        command(*arguments, options=options), capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stderr.splitlines()


def runs_in(directory):
    return {path.parent: json.loads(path.read_text()) for path in directory.glob("out/*/*/run.json")}


def test_two_classes_on_three_nodes(project):
    """Each run has the threads, the CPUs and the environment of a shell, and costs little more than itself."""
    with cluster(None, None, OTHER_CLASS) as three:
        began = time.monotonic()
        code, lines = fleet("--address", three.address)
        took = time.monotonic() - began
    assert code == 0, lines
    found = runs_in(project)
    assert [len({path.parent for path in found}), len(found)] == [2, 3]
    cpus = len(os.sched_getaffinity(0))
    for path, content in found.items():
        facts = content["machine_info"]["breakeven"]["class"]
        assert (facts["openmp"], facts["affinity_threads"], facts["allocator"]) == (None, cpus, "libc"), path
        assert len(content["benchmarks"]) == 3
        assert "3 passed" in (path / "run.log").read_text()
    inside = sum(
        float(re.search(r"passed.* in ([\d.]+)s", (path / "run.log").read_text())[1]) for path in found
    )
    print(
        f"{took:.1f} s for three runs that took {inside:.1f} s: {(took - inside) / 3:.1f} s a node beside them"
    )
    assert (project / "out" / "report" / "index.html").exists()


def test_a_node_that_dies_in_mid_run_loses_nothing(project):
    """What it had finished is in the report, and the other node of the class measures everything."""
    slow = [*QUICK[:-1], "--benchmark-max-time=3", "--benchmark-min-time=1"]
    with cluster(None, None, None) as three:
        nodes = sorted(three.members[1:], key=lambda member: member.node_id)
        head = three.members[0]
        process = subprocess.Popen(
            command("--address", three.address, "--instances", "1", options=slow),
            stderr=subprocess.PIPE,
            text=True,
        )
        victim = min(three.members, key=lambda member: member.node_id)
        if victim is head:  # whose death would end the cluster
            pytest.skip("the head was chosen")
        journal = wait_for(lambda: next(project.glob("out/*/*/run.json.journal"), None), process)
        wait_for(lambda: finished(journal), process)
        three.remove_node(victim, allow_graceful=False)
        before = finished(journal)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "the node died; what it had finished is kept" in err
    recovered = json.loads(journal.with_name("run.recovered.json").read_text())
    assert before <= {one["fullname"] for one in recovered["benchmarks"]}
    ((place, content),) = runs_in(project).items()
    assert (place != journal.parent, len(content["benchmarks"])) == (True, 3)
    assert nodes
