"""What a report says of one, two and three machines of a class."""

import copy

import numpy as np
import pytest

from support.reports import box, only, report
from support.run_files import benchmark, run


def of_machine(instance, level, **facts):
    """The run of a machine, in three processes: its cpu takes 4 s and its cuda `level` seconds."""
    rng = np.random.default_rng([len(instance), int(100 * level)])
    machine = copy.deepcopy(box("here", **facts))
    machine["breakeven"]["instance_id"] = instance
    return run(
        [
            benchmark(
                (s * np.exp(0.001 * rng.standard_normal(24))).tolist(), device=device, processes=[8] * 3,
                steps=10,
            )
            for device, s in (("cpu", 4.0), ("cuda", level))
        ],
        machine=machine,
    )  # fmt: skip


def sentences(found):
    return [note for note in found.answer.notes if "machines" in note]


def test_three_machines_speak_for_their_class(tmp_path):
    """They differ by 10%, their processes by 0.1%: the interval is about how they differ."""
    levels = {"a": 0.9, "b": 1.0, "c": 1.1}
    three = report(tmp_path, *(of_machine(name, level) for name, level in levels.items()))
    speedup = only(three.speedups)
    assert speedup.speedup == pytest.approx(4.0, rel=0.01)
    logs = np.log(list(levels.values()))
    half = np.exp(4.3026527 * logs.std(ddof=1) / 3**0.5)
    assert (speedup.low, speedup.high) == (
        pytest.approx(4 / np.exp(logs.mean()) / half, rel=0.02),
        pytest.approx(4 / np.exp(logs.mean()) * half, rel=0.02),
    )
    assert speedup.processes == 9
    assert three.interval_scope() == "of 9 processes on 3 machines"
    assert sentences(three) == ["The intervals cover how much the 3 machines of the class differ."]
    assert three.processes_needed is None


@pytest.mark.parametrize(
    ("instances", "facts", "this"),
    [
        ("a", {}, "this machine"),
        ("a", {"gpu": "H100", "gpu_count": 1}, "this H100"),
        ("aa", {"gpu": "H100", "gpu_count": 1}, "this H100"),
        ("ab", {"gpu": "H100", "gpu_count": 1}, "these 2 machines"),
    ],
)
def test_fewer_machines_speak_for_themselves(tmp_path, instances, facts, this):
    levels = (1.0, 1.001)
    found = report(tmp_path, *(of_machine(*one, **facts) for one in zip(instances, levels, strict=False)))
    assert sentences(found) == [
        f"The numbers hold for {this}, not for every machine of the class: 3 machines or more show how much "
        "they differ."
    ]
    assert found.interval_scope() == f"of {3 * len(instances)} processes"
