"""Machine classes: their labels and what identifies them."""

import pytest

from breakeven.runs.machine import Machine, machine_of, with_unique_labels
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
    assert machine_of(info).label == label


def test_recorded_class():
    machine = machine_of({"breakeven": OURS})
    assert (machine.class_id, machine.facts, machine.is_recorded) == ("abc", OURS["class"], True)


def test_hashed_class():
    """Without a class id, the hardware decides, not the host name."""
    machine = machine_of(CPU_BOX)
    assert not machine.is_recorded
    assert machine.class_id == machine_of(CPU_BOX | {"node": "other"}).class_id
    others = ({"cpu": {"brand_raw": "Xeon"}}, {"system": "Darwin"}, {"breakeven": {"class": {"gpu": "L4"}}})
    ids = {machine_of(CPU_BOX | other).class_id for other in others}
    assert len({machine.class_id, *ids}) == 4


def test_unique_labels():
    """Two classes with the same label get a distinguishing part of their ids."""
    machines = [Machine("EPYC", class_id, {}) for class_id in ("abcdefgh1", "abcdefgh2", "x")]
    labels = [machine.label for machine in with_unique_labels([*machines, Machine("Xeon", "y", {})])]
    assert labels == ["EPYC #abcdefgh1", "EPYC #abcdefgh2", "EPYC #x", "Xeon"]
    six = [Machine("EPYC", class_id, {}) for class_id in ("1234567", "7654321")]
    assert [machine.label for machine in with_unique_labels(six)] == ["EPYC #123456", "EPYC #765432"]
