"""Which machine classes can be compared."""

from hashlib import sha256

import pytest

from breakeven.compare.machine_class import check_classes
from breakeven.errors import DifferentMachinesError
from breakeven.runs.machine import differences
from breakeven.runs.reader import read_run
from support.comparisons import a_run, machine
from support.run_files import CPU_BOX, write

LEVELS = {("train", 1): 1.0}

CLASS = {
    "cpu": "AMD EPYC", "cores": 16, "threads": 8, "affinity_threads": 8, "quota": None,
    "omp_wait_policy": None, "gomp_spincount": None, "gpu": "NVIDIA H100", "gpu_count": 1,
    "gpu_memory_bytes": 85_000_000_000, "compute_capability": "9.0", "power_limit_w": 700, "mig": False,
    "ecc": True, "driver": "580.1", "cuda": "13.0", "cudnn": 91000, "torch": "2.11.0", "torch_git":
    "abc", "python": "3.12.1", "tf32": False, "cudnn_tf32": True, "amp": False, "deterministic": False,
    "cudnn_benchmark": False, "flush_denormal": False,
}  # fmt: skip
"""Every field of a class, as a GPU machine records it."""


def run_of(tmp_path, name, **changed):
    """A run of a machine that differs from `FACTS` in these fields, and therefore in its class id."""
    class_id = sha256(repr(sorted(changed.items(), key=str)).encode()).hexdigest()
    return read(tmp_path, name, machine(class_id, **changed))


def read(tmp_path, name, machine_info):
    """A run of that machine."""
    return read_run(write(tmp_path / f"{name}.json", a_run(LEVELS, machine_info=machine_info)))


def fields(runs):
    """The fields that differ between runs."""
    return differences(run.machine for run in runs)


def other(value):
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    return f"{value}x" if isinstance(value, str) else (value or 0) + 1


@pytest.mark.parametrize("field", CLASS)
def test_any_field(tmp_path, field):
    """A change of any one field is refused with its name, unless --vary allows it."""
    runs = [run_of(tmp_path, "a", **CLASS), run_of(tmp_path, "b", **CLASS | {field: other(CLASS[field])})]
    assert list(fields(runs)) == [field]
    with pytest.raises(DifferentMachinesError, match=rf"--vary {field}\Z") as refused:
        check_classes(runs)
    assert refused.value.exit_code == 3
    assert len(str(refused.value).splitlines()) == 1
    assert len(check_classes(runs, vary=[field])) == 1


def test_field_of_one_side(tmp_path):
    """A field that only one side records is a warning, not a difference."""
    runs = [run_of(tmp_path, "a"), run_of(tmp_path, "b", quota=2.0, numa_nodes=1)]
    assert fields(runs) == {}
    (warning,) = check_classes(runs)
    assert warning.startswith("only some of the files record quota, numa_nodes, ")


def test_false_none_and_zero(tmp_path):
    """They are three distinct values."""
    for before, after in ((False, None), (0, False), (None, "null ")):
        runs = [run_of(tmp_path, "a", tf32=before), run_of(tmp_path, "b", tf32=after)]
        assert list(fields(runs)) == ["tf32"]


def test_vary(tmp_path):
    """A field that may vary allows no other difference, and one without effect is named."""
    runs = [
        run_of(tmp_path, "a", driver="1", gpu="L4"),
        run_of(tmp_path, "b", driver="2", gpu="H100"),
    ]
    with pytest.raises(DifferentMachinesError) as refused:
        check_classes(runs, vary=["gpu", "gpus"])
    assert "driver (1 and 2)" in str(refused.value)
    assert "gpu (" not in str(refused.value)
    assert "--vary gpus has no effect" in str(refused.value)
    assert len(check_classes(runs, vary=["gpu", "driver"])) == 2


def test_class_without_facts(tmp_path):
    """Classes that record no facts differ in their id."""
    runs = [read(tmp_path, name, CPU_BOX | {"breakeven": {"class_id": name}}) for name in ("a", "b")]
    assert fields(runs) == {"class_id": ["a", "b"]}
    assert len(check_classes(runs, vary=["class_id"])) == 1


def test_unknown_class(tmp_path):
    """A run that does not record its class is compared, with a warning."""
    unknown = read(tmp_path, "n", {"node": "box"})
    (warning,) = check_classes([unknown, run_of(tmp_path, "b")])
    assert warning.startswith(f"{tmp_path / 'n.json'}: ")


def test_long_values(tmp_path):
    """Values are compared before they are shortened."""
    runs = [run_of(tmp_path, "a", gpu="x" * 90 + "1"), run_of(tmp_path, "b", gpu="x" * 90 + "2")]
    assert list(fields(runs)) == ["gpu"]


def plain(tmp_path, name, cpu="Apple M1 Pro", python="3.13.1", **changed):
    """A run of a machine that pytest-benchmark alone recorded."""
    info = {"machine": "arm64", "system": "Darwin", "python_version": python, "cpu": {"brand_raw": cpu}}
    return read(tmp_path, name, info | changed)


def test_plain_files(tmp_path):
    """What pytest-benchmark recorded of the machine is its class."""
    assert check_classes([plain(tmp_path, "a", node="x"), plain(tmp_path, "b", node="y")]) == []
    other = plain(tmp_path, "c", "AMD EPYC", "3.10.0", system="Linux", machine="x86_64")
    with pytest.raises(DifferentMachinesError) as refused:
        check_classes([plain(tmp_path, "a"), other])
    assert (
        "cpu (Apple M1 Pro and AMD EPYC); arch (arm64 and x86_64); system (Darwin and Linux); "
        "python (3.13.1 and 3.10.0);"
    ) in str(refused.value)
    assert len(check_classes([plain(tmp_path, "a"), other], ["cpu", "arch", "system", "python"])) == 4


def test_plain_file_without_cpu(tmp_path):
    """Other fields are compared, but machines may still differ."""
    runs = [plain(tmp_path, name, cpu=None, system=name) for name in ("Linux", "Linux2")]
    with pytest.raises(DifferentMachinesError, match="system"):
        check_classes(runs)
    assert len(check_classes([runs[0], runs[0]])) == 1


def test_plain_against_measured(tmp_path):
    """The fields that both files record decide; the others are named once."""
    ours = run_of(tmp_path, "a", cpu="AMD EPYC", cores=2, python="3.12.3", torch="2.13.0")
    (warning,) = check_classes([ours, plain(tmp_path, "b", "AMD EPYC", "3.12.3")])
    assert "torch" in warning
    with pytest.raises(DifferentMachinesError, match=r"classes: python \(3.12.3 and 3.12.4\); measure"):
        check_classes([ours, plain(tmp_path, "c", "AMD EPYC", "3.12.4")])
