"""Machines whose launches vary from process to process; the times are those of an H100's 16-core host."""

from dataclasses import replace

import numpy as np
import pytest

from breakeven.report.launches import VARYING, launch_sentence, varying_launches
from breakeven.report.report import analyze
from breakeven.runs.reader import read
from support.reports import box, only, report
from support.run_files import benchmark, run, write

LAUNCHES = {
    64: (1209.0, 685.8, 665.1, 710.1, 1027.8, 679.5, 635.0),
    256: (1236.5, 846.7, 1011.7, 963.1, 845.3, 935.6, 662.0),
    1024: (1112.3, 924.9, 771.3, 1084.5, 895.2, 1485.4, 708.1),
}
"""Microseconds of a step in seven processes, by the width of the model, at batch size 64."""

DEVICE_BOUND = (14239.6, 14330.2, 14328.1, 14247.3, 14322.0, 14329.3, 14334.7)
"""The same at width 4096 and batch size 4096."""


def step(times_us, batch=64, enqueue_us=None, **identity):
    """A step with six rounds in each of these processes."""
    rounds = [us * 1e-6 * (1 + away) for us in times_us for away in (-1e-4, 0, 0, 0, 0, 1e-4)]
    facts = {} if enqueue_us is None else {"enqueue_s": enqueue_us * 1e-6}
    counts = [6] * len(times_us)
    return benchmark(rounds, batch_size=batch, steps=50, processes=counts, **facts, **identity)


def recorded(scale=1.0, graph=False, device="cuda"):
    """The recorded steps, the logarithm of their spread multiplied by `scale`."""
    rows = []
    for width, times_us in LAUNCHES.items():
        middle = float(np.exp(np.log(times_us).mean()))
        scaled = [middle * (us / middle) ** scale for us in times_us]
        axes = {"width": width, "cuda_graph": False}
        rows.append(step(scaled, enqueue_us=middle, axes=axes, device=device))
        rows.append(step([20.0 * width] * 7, axes=axes, device="cpu"))
    axes = {"width": 4096, "cuda_graph": False}
    rows.append(step(DEVICE_BOUND, 4096, 800.0, axes=axes, device=device))
    rows.append(step([9e5] * 7, 4096, axes=axes, device="cpu"))
    if graph:
        axes = {"width": 64, "cuda_graph": True}
        captured = step([102.0, 101.5, 102.5, 102.0, 102.0, 101.8, 102.2], 64, 5.0, axes=axes, device=device)
        captured["extra_info"]["capture_s"] = 0.2
        rows.append(captured)
    return run(rows)


def found(tmp_path, content):
    """The varying launches of a report on this content."""
    made = report(tmp_path, content)
    return varying_launches([row.estimate for row in made.rows], made.variants)


def test_recorded_host(tmp_path):
    """The median of launch-bound steps, and that of the others, for comparison."""
    machine = only(found(tmp_path, recorded()))
    assert machine.device == "cuda"
    sds = [np.log(times).std(ddof=1) for times in LAUNCHES.values()]
    assert machine.launch == pytest.approx(np.median(sds))
    assert machine.launch == pytest.approx(0.25, abs=0.005)
    assert machine.other == pytest.approx(0.003, abs=0.0005)
    assert machine.graph is None


@pytest.mark.parametrize(("scale", "count"), [(0.35, 0), (0.45, 1)])
def test_limit(tmp_path, scale, count):
    """Steps that vary by less than a tenth do not get a sentence."""
    machines = found(tmp_path, recorded(scale))
    assert len(machines) == count
    assert all(machine.launch > VARYING for machine in machines)


def test_unknown_queueing(tmp_path):
    """Where nothing shows that launches bound a step, there is no sentence about them."""
    content = recorded()
    for one in content["benchmarks"]:
        one["extra_info"].pop("enqueue_s", None)
    assert found(tmp_path, content) == []


def test_no_time(tmp_path):
    """A step that took none in some process does not vary by an infinite factor."""
    content = recorded()
    expected = only(found(tmp_path / "a", content)).launch
    axes = {"width": 1, "cuda_graph": False}
    content["benchmarks"].append(step([0.0] * 7, enqueue_us=1.0, axes=axes, device="cuda"))
    assert only(found(tmp_path / "b", content)).launch == expected


def test_unknown_bound(tmp_path):
    """Steps of which nobody knows what bounds them are not those that the device bounds."""
    content = recorded()
    for one in content["benchmarks"]:
        if one["extra_info"]["batch_size"] == 4096:
            one["extra_info"].pop("enqueue_s", None)
    assert only(found(tmp_path, content)).other is None


def test_one_process(tmp_path):
    """One process shows no spread."""
    content = recorded()
    for one in content["benchmarks"]:
        one["stats"]["data"] = one["stats"]["data"][:6]
        del one["extra_info"]["processes"]
    assert found(tmp_path, content) == []


def test_sentence(tmp_path):
    """It has the figures of the fastest graph, and its plain form, where one was captured."""
    made = report(tmp_path / "graph", recorded(graph=True))
    (sentence,) = [one for one in made.answer.notes if one.startswith("Launch-bound")]
    start = (
        "Launch-bound training steps on the GPU (cuda) vary by 25% from process to process (those that "
        "the device bounds by 0.3%): more processes help (--breakeven-processes), and so does a CUDA "
        "graph: 102 µs ±"
    )
    assert sentence.startswith(start)
    assert " instead of 686 µs " in sentence
    assert sentence.endswith("(mlp, cuda_graph False, width 64, batch 64).")
    plain = report(tmp_path / "plain", recorded())
    assert any(
        one.endswith(", and so do CUDA graphs and single_threaded_backward=True.")
        for one in plain.answer.notes
    )


def test_other_variants(tmp_path):
    """A variant that is no graph is not named as one, however fast, nor a slower graph."""
    content = recorded(graph=True)
    for width, us, extra in ((1024, 50.0, {}), (256, 500.0, {"capture_s": 0.2})):
        axes = {"width": width, "cuda_graph": True}
        content["benchmarks"].append(step([us] * 7, 64, 5.0, axes=axes, device="cuda", **extra))
    captured, plain = only(found(tmp_path / "a", content)).graph
    assert (captured.key.axes["width"], plain.key.axes["width"]) == (64, 64)
    slow = recorded()
    axes = {"width": 64, "cuda_graph": True}
    slow["benchmarks"].append(step([9e3] * 7, 64, 5.0, axes=axes, device="cuda", capture_s=0.2))
    assert only(found(tmp_path / "b", slow)).graph is None


def test_other_phases(tmp_path):
    """They say nothing of the launches of a step."""
    content = recorded(0.1)
    for one in recorded()["benchmarks"]:
        info = {**one["extra_info"], "phase": "step"}
        content["benchmarks"].append(
            {**one, "name": one["name"].replace("train", "step"), "extra_info": info}
        )
    assert found(tmp_path, content) == []


def test_another_accelerator(tmp_path):
    """Only CUDA has CUDA graphs."""
    details = report(tmp_path, recorded(device="mps")).answer.notes
    assert any(one.endswith("help (--breakeven-processes).") for one in details)


def test_several_machines(tmp_path):
    """The sentence names the machine."""
    contents = [recorded() | {"machine_info": box("one")}, recorded(0.1) | {"machine_info": box("other")}]
    made = analyze(
        read(
            [
                write(tmp_path / f"{name}.json", content)
                for name, content in zip(("one", "two"), contents, strict=True)
            ]
        )
    )
    cases = [row.estimate for row in made.rows]
    machine = only(varying_launches(cases, made.variants))
    assert machine.machine == "id-one"
    assert "the GPU (cuda) of one vary" in launch_sentence(machine, made.machines, made.names)
    alone = replace(machine, other=None)
    assert "process to process: more" in launch_sentence(alone, made.machines, made.names)


def test_large_batch(tmp_path):
    """It is written as everywhere."""
    content = recorded(graph=True)
    for one in content["benchmarks"]:
        one["extra_info"]["batch_size"] *= 64
    (sentence,) = [one for one in report(tmp_path, content).answer.notes if one.startswith("Launch-bound")]
    assert sentence.endswith("batch 4,096).")
