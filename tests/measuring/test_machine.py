"""The machine's class holds what must be equal for two runs to be compared, and nothing volatile."""

import json
import os

import pytest
import torch

from breakeven.measuring import machine
from breakeven.measuring.machine import class_facts, cpu_name, digest, machine_facts, machine_state


def test_the_class_names_hardware_versions_and_numeric_modes():
    facts = class_facts()
    assert {
        "cpu",
        "cores",
        "threads",
        "gpu",
        "gpu_count",
        "torch",
        "python",
        "tf32",
        "deterministic",
    } <= facts.keys()
    assert facts["torch"] == torch.__version__
    assert facts["cores"] == os.cpu_count()


def test_the_facts_are_plain_json():
    facts = {**machine_facts(), "state": machine_state()}
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_volatile_facts_are_stored_and_never_hashed(monkeypatch):
    before = machine_facts()
    monkeypatch.setattr(machine, "load_average", lambda: [99.0, 99.0, 99.0])
    monkeypatch.setattr(machine.platform, "node", lambda: "another-box")
    after = machine_facts()
    assert machine_state()["load_average"] == [99.0, 99.0, 99.0]
    assert after["instance_id"] != before["instance_id"]
    assert after["class_id"] == before["class_id"]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda patch: patch.setenv("OMP_WAIT_POLICY", "other"), "omp_wait_policy"),
        (lambda patch: patch.setattr(machine, "cgroup_quota", lambda: 0.5), "quota"),
        (lambda patch: patch.setattr(machine, "usable_threads", lambda: 77), "threads"),
        (lambda patch: patch.setattr(torch, "get_float32_matmul_precision", lambda: "high"), "tf32"),
        (
            lambda patch: patch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True),
            "deterministic",
        ),
        (lambda patch: patch.setattr(torch, "__version__", "99.0"), "torch"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_changes_the_numbers_changes_the_class(monkeypatch, change, key):
    before = class_facts()
    change(monkeypatch)
    after = class_facts()
    assert {name for name in before if before[name] != after[name]} == {key}
    assert digest(after) != digest(before)


def test_the_order_of_facts_does_not_matter():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_the_cpus_name_comes_from_the_kernel_where_it_tells(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\n")
    assert cpu_name(info) == "Fast CPU @ 3 GHz"
    assert cpu_name(tmp_path / "absent")
