"""Which machine classes may be held against each other."""

import pytest
from breakeven.runs.readings import read_run

from breakeven.compare.machine_class import check_classes
from breakeven.errors import DifferentMachinesError
from support.comparisons import FACTS, a_run, machine
from support.run_files import CPU_BOX, write

LEVELS = {("train", 1): 1.0}

CLASS = {
    "cpu": "AMD EPYC",
    "cores": 16,
    "threads": 8,
    "affinity_threads": 8,
    "quota": None,
    "omp_wait_policy": None,
    "gomp_spincount": None,
    "gpu": "NVIDIA H100",
    "gpu_count": 1,
    "gpu_memory_bytes": 85_000_000_000,
    "compute_capability": "9.0",
    "power_limit_w": 700,
    "mig": False,
    "ecc": True,
    "driver": "580.1",
    "cuda": "13.0",
    "cudnn": 91000,
    "torch": "2.11.0",
    "torch_git": "abc",
    "python": "3.12.1",
    "tf32": False,
    "cudnn_tf32": True,
    "amp": False,
    "deterministic": False,
    "cudnn_benchmark": False,
    "flush_denormal": False,
}
"""Every field of a class, as a GPU machine records it."""


def told(tmp_path, name, **changed):
    """A run of a machine that differs from `FACTS` as told, and whose class id therefore differs."""
    return read(tmp_path, name, machine(repr(sorted(changed.items(), key=str)), **changed))


def read(tmp_path, name, machine_info):
    """A run of that machine."""
    return read_run(write(tmp_path / f"{name}.json", a_run(LEVELS, machine_info=machine_info)))


def test_runs_of_one_class_are_held_against_each_other_without_a_word(tmp_path):
    assert check_classes([told(tmp_path, "a"), told(tmp_path, "b")]) == []


def other(value):
    """Another value of the same kind."""
    return (
        (not value)
        if isinstance(value, bool)
        else f"{value}x"
        if isinstance(value, str)
        else (value or 0) + 1
    )


@pytest.mark.parametrize("field", CLASS)
def test_a_change_of_any_one_field_is_refused_by_its_name_unless_it_may_vary(tmp_path, field):
    before = told(tmp_path, "a", **CLASS)
    after = told(tmp_path, "b", **CLASS | {field: other(CLASS[field])})
    with pytest.raises(DifferentMachinesError) as refused:
        check_classes([before, after])
    assert refused.value.exit_code == 3
    message = str(refused.value)
    assert f"machine classes: {field} (" in message
    assert message.endswith(f"--vary {field}")
    assert "\n" not in message
    (said,) = check_classes([before, after], vary=[field])
    assert said.startswith(f"{field} is not the same (")


def test_a_field_that_only_one_side_tells_differs(tmp_path):
    with pytest.raises(DifferentMachinesError, match=r"quota \(not told and 2\.0\)"):
        check_classes([told(tmp_path, "a"), told(tmp_path, "b", quota=2.0)])


def test_false_and_none_and_zero_are_three_values(tmp_path):
    for before, after in ((False, None), (0, False), (None, "null ")):
        with pytest.raises(DifferentMachinesError, match="tf32"):
            check_classes([told(tmp_path, "a", tf32=before), told(tmp_path, "b", tf32=after)])


def test_values_that_differ_only_far_behind_are_still_different(tmp_path):
    with pytest.raises(DifferentMachinesError, match="gpu"):
        check_classes([told(tmp_path, "a", gpu="x" * 90 + "1"), told(tmp_path, "b", gpu="x" * 90 + "2")])


def test_what_may_vary_excuses_no_other_field_and_is_said_to_be_idle_where_it_is(tmp_path):
    runs = [told(tmp_path, "a"), told(tmp_path, "b", driver="2", gpu="H100")]
    with pytest.raises(DifferentMachinesError) as refused:
        check_classes(runs, vary=["gpu", "gpus"])
    assert "driver (not told and 2)" in str(refused.value)
    assert "gpu (" not in str(refused.value)
    assert "--vary names gpus in vain" in str(refused.value)
    assert len(check_classes(runs, vary=["gpu", "driver"])) == 2


def test_two_classes_on_one_side_are_refused_too(tmp_path):
    runs = [told(tmp_path, "a"), told(tmp_path, "b", cores=4), told(tmp_path, "c")]
    with pytest.raises(DifferentMachinesError, match=r"cores \(2 and 4\)"):
        check_classes(runs)


def test_classes_that_tell_no_fact_differ_in_their_id(tmp_path):
    runs = []
    for name in ("a", "b"):
        info = CPU_BOX | {"breakeven": {"class_id": name}}
        runs.append(read(tmp_path, name, info))
    with pytest.raises(DifferentMachinesError, match=r"class_id \(a and b\)"):
        check_classes(runs)
    assert check_classes(runs, vary=["class_id"])


def test_volatile_facts_are_never_asked(tmp_path):
    runs = []
    for name in ("a", "b"):
        info = machine(**FACTS)
        info["breakeven"] |= {"instance_id": name, "state": {"gpu": {"temperature_c": len(runs)}}}
        runs.append(read(tmp_path, name, info | {"node": name}))
    assert check_classes(runs) == []


def test_a_run_that_tells_no_class_is_warned_about_and_let_through(tmp_path):
    nobody = read(tmp_path, "n", CPU_BOX)
    (said,) = check_classes([nobody, told(tmp_path, "b")])
    assert "n.json" in said
    assert "nothing tells the machine class" in said
