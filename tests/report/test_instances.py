"""What a report says of one, two and three machines of a class."""

import copy

import numpy as np
import pytest

from breakeven.render.how_made import how_made
from breakeven.report.speedup import DeviceVerdict
from support.reports import box, only, report
from support.run_files import benchmark, run


def of_machine(instance, level, **facts):
    """The run of a machine, in three processes: its cpu takes 4 s and its cuda `level` seconds."""
    rng = np.random.default_rng([len(instance), int(100 * level)])
    machine = copy.deepcopy(box("here", class_id=str(facts), **facts))
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
    assert "each counts as one process: the median of its processes" in "\n".join(how_made(three, "2.0"))


def test_more_processes_decide_nothing_between_machines(tmp_path):
    """Undecided, because the machines differ: no number of processes is advised."""
    runs = [of_machine(name, level) for name, level in (("a", 3.6), ("b", 4.0), ("c", 4.4))]
    found = report(tmp_path, *runs)
    assert only(found.speedups).verdict is DeviceVerdict.UNDECIDED
    assert found.processes_needed is None


SCOPE = (
    "The numbers{} hold for the measured machines, not for all of their class: "
    "3 or more of a class show how much they differ."
)


@pytest.mark.parametrize(
    ("instances", "facts", "this"),
    [
        ("a", {}, "this machine"),
        ("a", {"gpu": "H100", "gpu_count": 1}, "this H100"),
        ("aa", {"gpu": "H100", "gpu_count": 1}, "this H100"),
        ("a", {"gpu": ["H100", "L4"], "gpu_count": 2}, "this machine"),
    ],
)
def test_one_machine_speaks_for_itself(tmp_path, instances, facts, this):
    """How the report was made has it: it is the same in every report of one machine."""
    levels = (1.0, 1.001)
    found = report(tmp_path, *(of_machine(*one, **facts) for one in zip(instances, levels, strict=False)))
    assert sentences(found) == []
    assert (
        f"the numbers hold for {this}, not for every machine of its class: 3 machines or more show how much "
        "they differ"
    ) in how_made(found, "2.0")
    assert found.interval_scope() == f"of {3 * len(instances)} processes"


def test_two_machines_speak_for_themselves(tmp_path):
    found = report(tmp_path, of_machine("a", 1.0), of_machine("b", 1.001))
    assert sentences(found) == [SCOPE.format("")]
    assert not [line for line in how_made(found, "2.0") if "hold for" in line]


def test_classes_of_three_machines_and_of_one(tmp_path):
    """Each class has what is true of it."""
    runs = [of_machine(name, level, cores=8) for name, level in (("a", 0.9), ("b", 1.0), ("c", 1.1))]
    found = report(tmp_path, *runs, of_machine("d", 1.05, cores=16))
    three, one = (machine.label for machine in found.machines)
    assert sentences(found) == [
        f"The intervals on {three} cover how much the 3 machines of the class differ.",
        SCOPE.format(f" on {one}"),
    ]


def test_merged_shards_are_of_several_machines(tmp_path):
    """Their merged file has no machine of its own, and is not the third of a class."""
    merged = of_machine("", 1.0)
    merged["breakeven"] = {"schema": 1, "parts": [{}, {}]}
    found = report(tmp_path, merged)
    assert sentences(found) == [SCOPE.format("")]
    found = report(tmp_path, merged, of_machine("a", 0.9), of_machine("b", 1.1))
    assert sentences(found) == [SCOPE.format("")]
