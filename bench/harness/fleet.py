"""How long `breakeven fleet` takes for a large fleet, without its runs, and what it adds to small ones.

`python bench/harness/fleet.py` writes results/harness/fleet.json. A fake executor sends the runs of 1,000
nodes with 400 cases each: they are planned, scheduled, collected and resumed, the instances that a fleet has
by default are read for its report, and the files of each class are merged, as shards of its sweep. Then a Ray
cluster of three nodes on this machine, of two machine classes, measures a small folder.
"""

from __future__ import annotations

import json
import math
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from shared import Json, options, write

from breakeven.commands.fleet import INSTANCES
from breakeven.experiment.workspace import open_workspace
from breakeven.fleet.collect import Collector, check_whole
from breakeven.fleet.node import END, LOG, RUN
from breakeven.fleet.plan import Node, Place, Plan, plan
from breakeven.fleet.schedule import Piece, Schedule
from breakeven.runs.merging import merge
from breakeven.runs.reader import read

NODES, CASES, CLASSES, ROUNDS = 1000, 400, 10, 10
BOUND_S, BOUND_BYTES, BOUND_BESIDE_S = 60.0, 2**30, 10.0
COMMIT = {"id": "0123456789abcdef", "dirty": False}
TURN = 20  # nodes that send something at a time
OPTIONS = (
    "--breakeven-devices=cpu@1", "--breakeven-phases=train", "--breakeven-processes=1",
    "--benchmark-max-time=0.05",
)  # fmt: skip
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


class Executor:
    """Sends a log and a run file for each place, a few places at a time."""

    def __init__(self, cases: int) -> None:
        self._cases = cases
        self._waiting: list[Place] = []

    def start(self, place: Place, _: bytes) -> None:
        self._waiting.append(place)

    def poll(self, _: float) -> list[Piece]:
        now, self._waiting = self._waiting[:TURN], self._waiting[TURN:]
        return [piece for place in now for piece in sent(place, self._cases)]

    def stop(self, _: Place) -> None:
        raise AssertionError("nothing is stopped")

    def busy(self, _: Place) -> str:
        raise AssertionError("nothing waits")


def sent(place: Place, cases: int) -> Iterator[Piece]:
    """Yield what a place sends: lines of progress, and its run file in pieces."""
    for case in range(1, cases + 1, max(1, cases // 20)):
        yield Piece(place, LOG, f"breakeven: process 1 of 1, case {case} of {cases}, 0:10 left\n".encode())
    content = msgspec.json.encode(run_file(place, cases))
    for start in range(0, len(content), 65536):
        yield Piece(place, RUN, content[start : start + 65536])
    yield Piece(place, END, b"0")


def run_file(place: Place, cases: int) -> Json:
    """Return a run file with this many cases on two devices."""
    number = int(place.instance_id[1:])
    machine = {
        "class": dict(place.machine.facts),
        "class_id": place.machine.class_id,
        "instance_id": place.instance_id,
        "state": {},
    }
    benchmarks = []
    for case in range(cases):
        batch, device = 2 ** (case // 2 % 10), ("cpu", "cuda")[case % 2]
        width = number * cases + case // 20  # each node has a shard: its own models
        center = ((1e-3 + 2e-5 * batch) if device == "cpu" else (3e-3 + 1e-6 * batch)) * (1 + number / 1e4)
        data = [center * (1 + math.sin(number + case + one) / 50) for one in range(ROUNDS)]
        name = f"bench_mlp[{width}-{batch}-{device}-train]"
        info = {"schema": 1, "workload": "mlp", "phase": "train", "device": device, "batch_size": batch}
        info |= {"axes": {"width": width}, "steps": 10, "processes": [2] * (ROUNDS // 2)}
        stats = {"data": data, "rounds": ROUNDS, "iterations": 1}
        benchmarks.append({"name": name, "fullname": name, "extra_info": info, "stats": stats})
    return {
        "machine_info": {"breakeven": machine},
        "commit_info": {"id": "unversioned"},
        "benchmarks": benchmarks,
        "datetime": "2026-01-02T03:04:05+00:00",
        "breakeven": {"schema": 1, "outcomes": [], "complete": True},
    }


def probes(nodes: int) -> dict[str, Mapping[str, Any]]:
    """Return what each node reports."""
    found: dict[str, Mapping[str, Any]] = {}
    for number in range(nodes):
        kind = number % CLASSES
        facts = {"cpu": f"cpu {kind}", "cores": 8, "threads": 8, "affinity_threads": 8, "gpu_count": 0}
        machine = {"class": facts, "class_id": f"{kind:012x}", "instance_id": f"i{number:05}", "state": {}}
        found[f"{number:05}"] = {"breakeven": "1", "machine": machine}
    return found


def simulate(nodes: int, cases: int) -> Json:
    """Return the seconds of each stage, and the peak memory of this process."""
    spent: Json = {}

    def stage(name: str, began: float) -> None:
        spent[f"{name}_s"] = time.perf_counter() - began

    cpu_s = time.process_time()

    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        members = [Node(f"{number:05}", f"host{number:05}", 8.0, 0.0, {}) for number in range(nodes)]
        found = plan(members, probes(nodes), "1")
        stage("plan", began)
        began = time.perf_counter()
        assert scheduled(Path(folder), found, cases, nodes) == nodes
        stage("schedule and collect", began)
        began = time.perf_counter()
        assert scheduled(Path(folder), found, cases, nodes, is_done=True) == nodes
        stage("resume", began)
        files = {
            class_id: sorted(map(str, Path(folder).glob(f"{class_id}/*/{RUN}"))) for class_id in found.classes
        }
        began = time.perf_counter()
        reported = [file for of_class in files.values() for file in of_class[:INSTANCES]]
        assert len(read(reported).machines) == len(files)
        stage("read", began)
        began = time.perf_counter()
        for class_id, of_class in files.items():
            merged = merge(of_class)
            assert len(merged.timed) == cases * len(of_class)
            (Path(folder) / f"{class_id}.json").write_bytes(merged.as_json())
        stage("merge", began)
        size = sum(path.stat().st_size for path in Path(folder).glob(f"*/*/{RUN}"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"nodes": nodes, "cases": cases, "bound_s": BOUND_S, "bound_bytes": BOUND_BYTES,
            "seconds": sum(spent.values()), "cpu_s": time.process_time() - cpu_s,
            "peak_memory_bytes": peak, "run_file_bytes": size // nodes,
            "load": os.getloadavg()[0], **spent}  # fmt: skip


def scheduled(folder: Path, found: Plan, cases: int, instances: int, *, is_done: bool = False) -> int:
    """Run the schedule in a workspace; return how many runs are finished."""
    with open_workspace(
        folder, {"the task": "fleet"}, "", fresh=False, keeps_finished=True, check=check_whole
    ) as workspace:
        assert len(workspace.runs) == (instances if is_done else 0)
        collector = Collector(workspace, COMMIT)
        executor = Executor(cases)
        Schedule(found, instances, executor, collector, time.monotonic, 600.0, print).run()
        workspace.finish()
        return len(workspace.runs)


def on_ray() -> Json:
    """Return what the fleet takes beside its runs, on three nodes of two classes."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        for variables in (None, None, {"GOMP_SPINCOUNT": "7"}):
            cluster.add_node(
                num_cpus=1, object_store_memory=80 * 2**20, include_dashboard=False, env_vars=variables
            )
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "bench_small.py").write_text(BENCH)
            command = [sys.executable, "-m", "breakeven.cli", "fleet", ".", "--address", cluster.address]
            began = time.perf_counter()
            subprocess.run([*command, "-o", "out", "--", *OPTIONS], cwd=folder, check=True)
            took_s = time.perf_counter() - began
            runs = json.loads((Path(folder) / "out" / "plan.json").read_text())["runs"]
            logs = [path.read_text() for path in Path(folder).glob("out/*/*/run.log")]
    finally:
        cluster.shutdown()
    inside_s = sum(run["seconds"] for run in runs.values())
    tests_s = sum(float(found[1]) for log in logs if (found := re.search(r"passed.* in ([\d.]+)s", log)))
    return {"nodes": len(runs), "classes": len({name.partition("/")[0] for name in runs}),
            "bound_s_a_node": BOUND_BESIDE_S, "seconds": took_s, "runs_s": inside_s, "pytest_s": tests_s,
            "beside_s_a_node": (took_s - inside_s) / len(runs), "load": os.getloadavg()[0]}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the file."""
    parser = options(__doc__)
    parser.add_argument(
        "--nodes", type=int, default=NODES, help=f"nodes of the large fleet (default: {NODES})"
    )
    parser.add_argument("--no-ray", action="store_true", help="leave out the cluster of this machine")
    given = parser.parse_args(arguments)
    figures: Json = {"a large fleet, simulated": simulate(given.nodes, CASES)}
    if not given.no_ray:
        figures["three nodes of two classes on this machine"] = on_ray()
    for name, figure in figures.items():
        print(name, json.dumps(figure, indent=1))
    write(given.output / "fleet.json", {"figures": figures})


if __name__ == "__main__":
    main()
