"""The output, files and exit codes of `breakeven fleet`, without Ray."""

import builtins
import csv
import io
import json
import socket
from contextlib import nullcontext

import pytest

from breakeven import cli
from breakeven.commands.base import version
from breakeven.fleet import ray_executor
from support.fleets import CLASSES, FakeExecutor, dies, ends_with, node, probe, waits, whole

A, B = CLASSES
BENCH = "import pytest\n@pytest.mark.sweep(batch_size=[1])\ndef bench_x(train_benchmark): ...\n"


class Cluster(FakeExecutor):
    """A cluster with two machines of one class, and one of another; `asked` has pytest's arguments."""

    answers = None

    def nodes(self):
        return [node(0, kind="a"), node(1, kind="a"), node(2, kind="b")]

    def probes(self, nodes):
        mine = {"version": version()}
        known = {
            "id0": probe(A, "i0", **mine), "id1": probe(A, "i1", **mine), "id2": probe(B, "i2", **mine),
        }  # fmt: skip
        return {one.node_id: {**known, **(self.answers or {})}[one.node_id] for one in nodes}


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A fake cluster, and a project in the working directory."""
    fake = Cluster()

    def executor(ray, archive, arguments):
        fake.asked = arguments
        return fake

    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "bench_x.py").write_text(BENCH)
    monkeypatch.setattr(ray_executor, "load_ray", lambda: None)
    monkeypatch.setattr(ray_executor, "connected", lambda *_: nullcontext())
    monkeypatch.setattr(ray_executor, "RayExecutor", executor)
    monkeypatch.setattr("breakeven.commands.fleet.monotonic", fake.clock)
    monkeypatch.setattr("pytest_benchmark.utils.get_commit_info", lambda: {"id": "0123abc", "dirty": False})
    return fake


def fleet(*arguments):
    return cli.main(["fleet", "bench", "-o", "out", *arguments])


def test_measures_every_class_and_reports(cluster, tmp_path, capsys):
    assert fleet("--", "-k", "mlp", "--benchmark-max-time=1") == 0
    assert cluster.asked == ["bench", "-k", "mlp", "--benchmark-max-time=1"]
    err = capsys.readouterr().err.splitlines()
    assert err[:4] == [
        "breakeven: asking 3 Ray nodes for the machine class",
        "breakeven: aaaa, 8 cores: 2 machines",
        "breakeven: bbbb, 8 cores: 1 machine",
        "breakeven: 2 machine classes, which differ in cpu (aaaa, bbbb)",
    ]
    assert err[-1] == "breakeven: bbbb, 8 cores, host2: done in 2.0 s"
    out = tmp_path / "out"
    run = json.loads((out / A / "i0" / "run.json").read_text())
    assert run["commit_info"] == {"id": "0123abc", "dirty": False}
    assert [(out / A / name / "run.json").exists() for name in ("i0", "i1")] == [True, True]
    summary = (out / "report" / "summary.csv").read_text()
    assert {row["machine"] for row in csv.DictReader(io.StringIO(summary))} == {
        "aaaa, 8 cores",
        "bbbb, 8 cores",
    }


def test_again_only_reports(cluster, tmp_path, monkeypatch, capsys):
    assert fleet() == 0
    capsys.readouterr()
    cluster.started.clear()
    monkeypatch.setattr(ray_executor, "load_ray", lambda: pytest.fail("the report needs no Ray"))
    summary = (tmp_path / "out" / "report" / "summary.csv").read_bytes()
    (tmp_path / "out" / "report" / "summary.csv").unlink()
    assert fleet() == 0
    assert cluster.started == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"breakeven: finished in {tmp_path / 'out'}: 3 runs since ")
    assert line.endswith(" are reported again (--fresh measures again)")
    assert (tmp_path / "out" / "report" / "summary.csv").read_bytes() == summary


@pytest.mark.parametrize("first", [["--instances", "1"], ["--label", "kind=b"], ["--address", "a:1"]])
def test_other_machines_are_measured_after_a_finished_fleet(cluster, first):
    assert fleet(*first) == 0
    begun = len(cluster.started)
    assert fleet() == 0
    assert begun <= len(cluster.started) == 3


def test_a_fleet_that_left_a_node_out_is_not_finished(cluster, capsys):
    cluster.answers = {"id2": {"problem": "No module named x"}}
    assert fleet() == 0
    cluster.answers = {}
    assert fleet() == 0
    assert [host for host, _ in cluster.started] == ["host0", "host1", "host2"]
    assert "breakeven: resuming in " in capsys.readouterr().err


def test_a_fleet_with_a_lost_run_is_not_finished(cluster):
    cluster.scripts["host1"] = [ends_with(-9), whole]
    assert [fleet(), fleet()] == [0, 0]
    assert [host for host, _ in cluster.started] == ["host0", "host1", "host2", "host1"]


def test_labels_choose_nodes(cluster):
    assert fleet("--label", "kind=b", "--instances", "1") == 0
    assert [host for host, _ in cluster.started] == ["host2"]


def test_what_a_dead_node_finished_is_in_the_report(cluster, tmp_path, capsys):
    cluster.scripts["host2"] = [dies]
    assert fleet() == 2
    err = capsys.readouterr().err
    assert "breakeven: host2 (bbbb, 8 cores): the node died" in err
    assert "breakeven: bbbb, 8 cores was not measured" in err
    assert (tmp_path / "out" / "report" / "index.html").exists()


def test_an_interrupt_resumes(cluster, monkeypatch, capsys):
    cluster.scripts["host1"] = [interrupted, whole]
    assert fleet() == 130
    assert "2 completed runs are kept in out; run the same command to resume" in capsys.readouterr().err
    assert cluster.stopped == ["host1"]
    cluster.started.clear()
    assert fleet() == 0
    assert [host for host, _ in cluster.started] == ["host1"]


def interrupted(place):
    """Ctrl-C once the others are done."""
    yield from ([] for _ in range(5))
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--instances", "0"], "--instances 0 measures nothing; use at least 1"),
        (["--wait", "soon"], "'soon' is not a duration"),
        (["--label", "gpu"], "argument --label: 'gpu' is not KEY=VALUE, such as accelerator=H100"),
        (["--label", "kind=z"], "no node of 3 has --label kind=z; the labels there are kind=a, kind=b"),
        (["-k", "mlp"], "unknown option '-k'"),
    ],
)
def test_bad_usage(cluster, arguments, problem, capsys):
    assert fleet(*arguments) == 2
    assert problem in capsys.readouterr().err.splitlines()[-1]


def test_no_node_can_measure(cluster, capsys):
    cluster.answers = {key: {"problem": "No module named x"} for key in ("id0", "id1", "id2")}
    assert fleet() == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("breakeven: error: none of 3 nodes can measure: node host0 is left out: No module")


def test_a_directory_of_another_fleet(cluster, tmp_path, capsys):
    assert fleet() == 0
    assert fleet("--", "-k", "mlp") == 2
    assert "out contains runs of another experiment: pytest options was []" in capsys.readouterr().err
    (tmp_path / "bench" / "bench_x.py").write_text(f"{BENCH}\n")
    assert fleet() == 2
    assert "its content was" in capsys.readouterr().err


def test_no_case_was_selected(cluster, capsys):
    cluster.scripts = {f"host{number}": [ends_with(5)] for number in range(3)}
    assert fleet() == 2
    assert capsys.readouterr().err.count("pytest ended with 5, last output: collected 0 items") == 1


def test_a_node_that_stays_busy(cluster, capsys):
    cluster.scripts["host2"] = [waits]
    assert fleet("--wait", "20s") == 2
    assert "it did not begin within 20 s (2 of 8 CPUs of the cluster are free)" in capsys.readouterr().err


def test_ray_is_missing(cluster, monkeypatch, capsys):
    monkeypatch.undo()
    real = builtins.__import__

    def without_ray(name, *arguments, **settings):
        if name == "ray":
            raise ImportError("No module named 'ray'")
        return real(name, *arguments, **settings)

    monkeypatch.setattr(ray_executor, "import_module", without_ray)
    with pytest.raises(Exception, match=r"needs Ray .*; pip install 'breakeven\[fleet\]'"):
        ray_executor.load_ray()


@pytest.mark.parametrize("address", ["nowhere", "10.0.0.5", "host:port"])
def test_an_address_that_is_none(address):
    with pytest.raises(Exception, match=f"--address '{address}' is not HOST:PORT"):
        ray_executor.check_port(address, "--address")


def test_an_address_where_nothing_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Exception, match=f"no Ray cluster answers at --address 127.0.0.1:{port} "):
        ray_executor.check_port(f"127.0.0.1:{port}", "--address")


def test_a_damaged_run_of_a_finished_fleet_is_measured_again(cluster, tmp_path, capsys):
    assert fleet() == 0
    (tmp_path / "out" / A / "i1" / "run.json").write_text("{")
    assert fleet() == 0
    assert [host for host, _ in cluster.started] == ["host0", "host1", "host2", "host1"]


def test_another_ray_address_is_another_cluster(cluster, monkeypatch):
    """A finished fleet there may have other machines."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert fleet("--label", "kind=a") == 0
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.5:6379")
    cluster.nodes = lambda: [node(1, kind="a"), node(2, kind="a")]
    assert fleet("--label", "kind=a") == 0
    assert [host for host, _ in cluster.started] == ["host0", "host1", "host2"]
