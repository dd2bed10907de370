"""The fleet on real clusters of this machine: three nodes of two machine classes."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import psutil
import pytest
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
MAX_BESIDE_S = 10.0
OTHER_CLASS = {"GOMP_SPINCOUNT": "7"}


@contextmanager
def cluster(*environments, head_cpus=None):
    """A cluster with a node for each of these environments, its `members`; the head may be another node."""
    found = Cluster()
    if head_cpus is not None:
        found.add_node(num_cpus=head_cpus, object_store_memory=STORE, include_dashboard=False)
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
    """Each run has the threads, CPUs and variables of a shell, and costs little more than itself."""
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
    plan = json.loads((project / "out" / "plan.json").read_text())
    beside_s = (took - sum(run["seconds"] for run in plan["runs"].values())) / 3
    assert beside_s < 2 * MAX_BESIDE_S, f"{beside_s:.1f} s a node"  # twice: other programs may be busy
    assert (project / "out" / "report" / "index.html").exists()


def test_a_node_that_dies_in_mid_run_loses_nothing(project):
    """What it had finished is in the report, and the other node of the class measures everything."""
    slow = [*QUICK, "--breakeven-sweep=batch_size=1,2,3,4,5,6,7,8,9,10,11,12"]
    with cluster(None, None, head_cpus=0) as two:
        process = subprocess.Popen(
            command("--address", two.address, "--instances", "1", options=slow),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        journal = wait_for(lambda: next(project.glob("out/*/*/run.json.journal"), None), process)
        wait_for(lambda: finished(journal), process)
        two.remove_node(measuring(two.members), allow_graceful=False)
        before = finished(journal)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "the node died; what it had finished is kept" in err
    assert "raylet" not in out
    recovered = json.loads(journal.with_name("run.recovered.json").read_text())
    assert before <= {one["fullname"] for one in recovered["benchmarks"]}
    ((place, content),) = runs_in(project).items()
    assert (place != journal.parent, len(content["benchmarks"])) == (True, 12)


def test_a_signal_keeps_what_is_there_and_the_same_command_resumes(project):
    options = [*QUICK, "--breakeven-sweep=batch_size=1,2,3,4,5,6,7,8,9,10,11,12"]
    with cluster(None) as one:
        asked = command("--address", one.address, options=options)
        process = subprocess.Popen(asked, stderr=subprocess.PIPE, text=True)
        journal = wait_for(lambda: next(project.glob("out/*/*/run.json.journal"), None), process)
        wait_for(lambda: finished(journal), process)
        process.terminate()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert "run the same command to resume" in err.splitlines()[-1]
        before = timed(journal)
        code, lines = fleet("--address", one.address, options=options)
    assert code == 0, lines
    ((_, content),) = runs_in(project).items()
    after = {one["fullname"]: one["stats"]["data"] for one in content["benchmarks"]}
    assert (len(after), {case: after[case] for case in before}) == (12, before)


def test_bad_nodes_and_labels(project, tmp_path):
    """A node without breakeven is named and the others go on; an unknown label is refused at once."""
    without = tmp_path / "without" / "breakeven"
    without.mkdir(parents=True)
    (without / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'breakeven'\")")
    with cluster(None, {"PYTHONPATH": str(without.parent)}) as two:
        code, lines = fleet("--address", two.address, "--label", "kind=none")
        assert (code, len(lines)) == (2, 2)
        assert lines[0] == f"breakeven: using the Ray cluster at {two.address} (2 nodes)"
        assert lines[1].startswith("breakeven: error: no node of 2 has --label kind=none")
        code, lines = fleet("--address", two.address)
    assert code == 0, lines
    assert any(
        "is left out: ModuleNotFoundError: No module named 'breakeven'; install there" in line
        for line in lines
    )
    assert len(runs_in(project)) == 1


def test_an_address_where_something_else_listens(project):
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        code, lines = fleet("--address", f"127.0.0.1:{server.getsockname()[1]}")
    assert (code, len(lines)) == (2, 1)
    assert "no Ray cluster answers at --address" in lines[0]
    assert time.monotonic() - began < 60


def test_starts_a_cluster_on_this_machine(project, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    code, lines = fleet()
    assert (code, len(runs_in(project))) == (0, 1), lines
    assert "breakeven: no Ray cluster is running; starting one on this machine" in lines


def measuring(members):
    """The node on which pytest runs."""
    for member in members:
        (raylet,) = member.all_processes["raylet"]
        for process in psutil.Process(raylet.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if "pytest" in process.cmdline():
                    return member
    raise AssertionError("no node measures")


def timed(journal):
    """The rounds of the cases that have ended in a journal."""
    lines = [json.loads(line) for line in journal.read_bytes().split(b"\n")[:-1]]
    return {line["case"]: line["data"] for line in lines if line["kind"] == "end"}


def finished(journal):
    """The cases that have ended in a journal."""
    return set(timed(journal))


def wait_for(found, process):
    """Return what `found` returns once that is something, while the process runs."""
    while not (result := found()):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    return result
