"""Machine classes: their labels and what identifies them."""

import pytest

from breakeven.runs.machine import Machine, classes_of, machine_of, partly_recorded, with_unique_labels
from support.run_files import CPU_BOX

OURS = {"class": {"cpu": "Xeon", "cores": 8, "gpu": "NVIDIA H200", "gpu_count": 2}, "class_id": "abc"}
SEVERAL = {**OURS["class"], "gpu": ["NVIDIA L4", "NVIDIA H200", "NVIDIA L4"], "gpu_count": 3}


@pytest.mark.parametrize(
    ("info", "label"),
    [
        ({"breakeven": OURS}, "Xeon, 8 cores, 2 x NVIDIA H200"),
        ({"breakeven": {"class": SEVERAL}}, "Xeon, 8 cores, 2 x NVIDIA L4, NVIDIA H200"),
        (
            {"breakeven": {"class": {"cpu": "Xeon", "cores": 1, "gpu": "L4", "gpu_count": 1}}},
            "Xeon, 1 core, L4",
        ),
        (CPU_BOX, "AMD EPYC, 2 cores"),
        ({"processor": "x86_64"}, "x86_64"),
        ({"node": "box"}, "box"),
        ({"node": "box", "cpu": {"count": True}}, "box"),
        ({"cpu": 3}, "unknown machine"),
        (None, "unknown machine"),
    ],
)
def test_label(info, label):
    """The CPU with its cores and the GPUs; the node if the CPU is unknown."""
    assert (machine_of(info).label, machine_of(info).hardware) == (label, label)


def test_recorded_class():
    machine = machine_of({"breakeven": OURS})
    assert (machine.class_id, machine.facts, machine.is_recorded) == ("abc", OURS["class"], True)


def test_hashed_class():
    """Without a class id, the hardware decides, not the host name."""
    machine = machine_of(CPU_BOX)
    assert machine.class_id == machine_of(CPU_BOX | {"node": "other"}).class_id
    others = ({"cpu": {"brand_raw": "Xeon"}}, {"system": "Darwin"}, {"breakeven": {"class": {"gpu": "L4"}}})
    ids = {machine_of(CPU_BOX | other).class_id for other in others}
    assert len({machine.class_id, *ids}) == 4


PLAIN = {
    "node": "runner-7", "processor": "", "machine": "arm64", "system": "Darwin", "release": "24.1",
    "python_implementation": "CPython", "python_version": "3.13.1", "python_build": ["main", ""],
    "cpu": {"brand_raw": "Apple M1 Pro", "arch": "ARM_8", "count": 10, "hz_actual": [3_200_000_000, 0]},
}  # fmt: skip


def test_plain_class():
    """The machine that pytest-benchmark records is the class, without what changes by itself."""
    machine = machine_of(PLAIN)
    assert machine.is_recorded
    assert machine.facts == {
        "cpu": "Apple M1 Pro", "cores": 10, "arch": "arm64", "system": "Darwin", "python": "3.13.1",
        "python_implementation": "CPython",
    }  # fmt: skip
    assert machine.class_id == machine_of(PLAIN | {"node": "x", "release": "25", "python_build": []}).class_id


def test_machine_without_cpu():
    """Where no CPU is recorded, other machines may look the same."""
    machine = machine_of({"system": "Linux", "cpu": {}})
    assert (machine.is_recorded, machine.facts) == (False, {"system": "Linux"})


def classes(*facts):
    """The id of the class of each machine with these facts, whose own ids are 0, 1, ..."""
    machines = [Machine("", str(i), each) for i, each in enumerate(facts)]
    return "".join(machine.class_id for machine in classes_of(machines))


@pytest.mark.parametrize(
    ("facts", "ids"),
    [
        (({"cpu": "A"}, {"cpu": "A", "smt": True}), "00"),
        (({"cpu": "A"}, {"cpu": "B", "smt": True}), "01"),
        (({"cpu": "A", "quota": None}, {"cpu": "A"}), "00"),
        (({"cpu": "A", "quota": None}, {"cpu": "A", "quota": 2.0}), "01"),
        (({"cpu": "A", "tf32": 1}, {"cpu": "A", "tf32": True}), "01"),
        (({"cpu": "A"}, {"cpu": "A", "smt": True}, {"cpu": "A", "smt": False}), "002"),
        (({"cpu": "A", "smt": True}, {"cpu": "A"}, {"cpu": "A", "numa": 2}, {"cpu": "A", "numa": 1}), "0003"),
        (({}, {}), "01"),
        (({"cpu": "A"}, {"torch": "2"}), "01"),
        (({"cpu": ["A", "B"]}, {"cpu": ["A", "B"]}, {"cpu": ["B", "A"]}), "002"),
    ],
)
def test_classes(facts, ids):
    """Two classes are the same where all facts that both record agree; None was recorded."""
    assert classes(*facts) == ids


def test_class_of_one_id():
    """One id is one class whatever is recorded, as of a plain file in a store of version 1."""
    known, more = classes_of([Machine("x", "a", {}), Machine("y", "a", {"cpu": "A"})])
    assert known is more
    assert (known.label, known.facts) == ("x", {"cpu": "A"})
    later = Machine("z", "b", {"cpu": "A"})
    assert {machine.class_id for machine in classes_of([known, later])} == {"a"}


def test_partly_recorded():
    machines = [Machine("", str(i), facts) for i, facts in enumerate(({"a": 1}, {"a": 1, "b": None}, {}))]
    assert partly_recorded(machines) == ["b"]


def test_unique_labels():
    """Two classes with the same label get a distinguishing part of their ids."""
    machines = [Machine("EPYC", class_id, {}) for class_id in ("abcdefgh1", "abcdefgh2", "x")]
    labels = [machine.label for machine in with_unique_labels([*machines, Machine("Xeon", "y", {})])]
    assert labels == ["EPYC #abcdefgh1", "EPYC #abcdefgh2", "EPYC #x", "Xeon"]
    six = [Machine("EPYC", class_id, {}) for class_id in ("1234567", "7654321")]
    assert [machine.label for machine in with_unique_labels(six)] == ["EPYC #123456", "EPYC #765432"]
