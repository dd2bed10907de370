"""Which nodes can measure, by class, and what is said of the others."""

import pytest

from breakeven.errors import UsageError
from breakeven.fleet.plan import mismatch, plan, select, size_text
from support.fleets import CLASSES, VERSION, facts, node, probe

A, B = CLASSES


def test_groups_by_class_with_different_machines_first():
    probes = {
        "id0": probe(A, "box1"), "id1": probe(A, "box1"), "id2": probe(A, "box2"), "id3": probe(B, "box3"),
    }  # fmt: skip
    found = plan([node(number) for number in range(4)], probes, VERSION)
    names = {class_id: [place.name for place in places] for class_id, places in found.classes.items()}
    assert names == {A: ["box1", "box2", "box1-2"], B: ["box3"]}
    assert found.classes[A][2].run_name == f"{A}/box1-2/run"
    assert [place.label for place in found.classes[A]] == ["host0", "host2", "host1, node 2"]
    sizes = [size_text(places) for places in found.classes.values()]
    assert sizes == ["2 machines with 3 Ray nodes", "1 machine"]
    assert (found.problems, found.difference()) == ((), "cpu (aaaa, bbbb)")


def test_another_torch_is_another_class():
    probes = {"id0": probe(A, torch="2.13.0"), "id1": probe(B, torch="2.12.0", cpu="aaaa")}
    found = plan([node(0), node(1)], probes, VERSION)
    assert len(found.classes) == 2
    assert found.difference() == "torch (2.13.0, 2.12.0)"
    assert [machine.label for machine in found.machines] == ["aaaa, 8 cores #aaaaaa", "aaaa, 8 cores #bbbbbb"]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "it did not answer; look at `ray status` and its logs"),
        (
            {"problem": "No module named breakeven"},
            "No module named breakeven; install there what is here: pip install breakeven==1.0 torch",
        ),
        (probe(version="0.9"), "it has breakeven 0.9, and here is 1.0; install 1.0 there"),
        (
            probe(shell={"affinity_threads": 4}),
            "a process there may use 8 CPUs and Ray's own 4; start Ray without a CPU affinity",
        ),
        (
            probe(gpu_count=1),
            "Ray offers 2 GPUs and torch finds 1; install a torch that can use them, or start Ray there with "
            "--num-gpus=0",
        ),
    ],
)
def test_a_node_that_cannot_measure_is_named_and_the_others_go_on(answer, problem):
    probes = {"id1": probe()} | ({} if answer is None else {"id0": answer})
    found = plan([node(0, gpus=2.0), node(1)], probes, VERSION)
    assert found.problems == (f"node host0 is left out: {problem}",)
    assert [place.node.host for place in found.classes[A]] == ["host1"]


@pytest.mark.parametrize("gpus", [0.0, 1.0])
def test_a_node_with_its_gpus_and_cpus_can_measure(gpus):
    answer = probe(gpu_count=1, shell={"affinity_threads": 8})
    assert plan([node(0, gpus=gpus)], {"id0": answer}, VERSION).problems == ()


def test_select_by_label():
    nodes = [node(0, kind="a", zone="x"), node(1, kind="b"), node(2, kind="a")]
    assert [one.host for one in select(nodes, {"kind": "a"})] == ["host0", "host2"]
    assert [one.host for one in select(nodes, {"kind": "a", "zone": "x"})] == ["host0"]
    assert select(nodes, {}) == nodes


def test_a_label_that_no_node_has():
    with pytest.raises(UsageError) as error:
        select([node(0, kind="a"), node(1, kind="b")], {"kind": "c"})
    assert str(error.value) == (
        "no node of 2 has --label kind=c; the labels there are kind=a, kind=b; start nodes with `ray start "
        "--labels`"
    )


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, None),
        ({"threads": 1}, "threads is 1 and was 8"),
        (
            {"affinity_threads": 2, "gpu_count": 1},
            "affinity_threads is 2 and was 8, gpu_count is 1 and was 0",
        ),
        ({"openmp": "OMP_NUM_THREADS=8"}, None),  # the node recorded nothing of it
        ({"cores": 4}, "cores is 4 and was 8"),
    ],
)
def test_a_run_must_have_the_settings_of_its_node(changed, problem):
    (place,) = plan([node(0)], {"id0": probe(A)}, VERSION).classes[A]
    class_id = A if not changed else "other"
    assert mismatch(place, {"breakeven": facts(class_id, **{"cpu": "aaaa", **changed})}) == problem


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"class_id": "../../x"}, "its answer is damaged (Expected `str` matching regex"),
        ({"instance_id": ["i0"]}, "its answer is damaged (Expected `str`, got `array`"),
        (
            {"class": {"gpu_count": "2"}},
            "its answer is damaged (Expected `int | null`, got `str` - at `$.machine.class.gpu_count`)",
        ),
    ],
)
def test_damaged_answer(change, problem):
    """What a node answers names a directory: it never leads out of the workspace."""
    answer = probe(A)
    answer["machine"] |= change
    found = plan([node(0)], {"id0": answer}, VERSION)
    assert found.classes == {}
    assert problem in found.problems[0]
