"""Green, amber or red: may these numbers stand side by side."""

import json

import pytest

from breakeven.render.report_data import to_csv, to_json
from support.reports import box, report
from support.run_files import affine_run, benchmark, run

GPU = {"gpu": "H100", "cudnn_tf32": True, "driver": "580", "power_limit_w": 700.0, "cuda": "13.0"}
DEVICES = {"cpu": (1, 1), "cuda": (33, 0.2)}


def two(tmp_path, one=None, other=None, **options):
    """The record of two machines whose facts differ as given."""
    machines = box("one", **{**GPU, **(one or {})}), box("two", **{**GPU, **(other or {})})
    contents = [affine_run(DEVICES, machine=machine, seed=i) for i, machine in enumerate(machines)]
    return report(tmp_path, *contents, **options)


def texts(found, level):
    """The reasons of one level."""
    return [reason.text for reason in found.comparability.reasons if reason.level == level]


def test_one_machine_and_two_alike_are_green(tmp_path):
    one = report(tmp_path / "a", affine_run(DEVICES, machine=box("one", **GPU)))
    for found in (one, two(tmp_path / "b")):
        assert found.comparability.level == "green"
        assert found.comparability.reasons == ()
        assert not any("comparability" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("fact", "value"),
    [("tf32", True), ("amp", "cuda float16"), ("deterministic", True), ("cudnn_tf32", False)],
)
def test_another_numeric_mode_is_red_and_refuses_every_ratio(tmp_path, fact, value):
    found = two(tmp_path, one={"amp": False}, other={"amp": False, fact: value})
    assert found.comparability.level == "red"
    assert fact in texts(found, "red")[0]
    assert found.refused
    assert not found.judged
    assert (found.speedups, found.break_evens, found.what_ifs) == ((), (), ())
    assert len(found.cases) == 16, "what was timed is kept"
    assert found.verdict.startswith("These numbers do not compare, so no speedup is given.")
    assert "--force" in found.verdict


def test_cudnns_mode_says_nothing_of_a_machine_without_a_gpu(tmp_path):
    assert two(tmp_path, other={"cudnn_tf32": False, "gpu": None}).comparability.level != "red"


@pytest.mark.parametrize(
    ("fact", "value"),
    [("torch", "2.14"), ("driver", "999"), ("cuda", "12"), ("threads", 7), ("power_limit_w", 350.0)],
)
def test_versions_threads_and_power_limits_are_amber_and_refuse_nothing(tmp_path, fact, value):
    found = two(tmp_path, one={"threads": 2}, other={"threads": 2, fact: value})
    assert found.comparability.level == "amber"
    (text,) = texts(found, "amber")
    assert fact in text
    assert str(value) in text
    assert found.speedups
    assert any(text in warning for warning in found.warnings)


def test_power_limits_of_different_gpus_are_no_difference_to_mend(tmp_path):
    assert two(tmp_path, other={"gpu": "L4", "power_limit_w": 72.0}).comparability.level == "green"


def test_a_fact_that_one_machine_does_not_have_is_passed_over(tmp_path):
    assert two(tmp_path, other={"driver": None, "gpu": None}).comparability.level == "green"


def test_a_machine_that_tells_no_mode_beside_another_is_amber(tmp_path):
    silent = affine_run(DEVICES, machine={"node": "old", "cpu": {"brand_raw": "old box", "count": 4}})
    assert report(tmp_path / "alone", silent).comparability.level == "green"
    found = report(tmp_path / "both", silent, affine_run(DEVICES, machine=box("new"), seed=1))
    assert found.comparability.level == "amber"
    assert texts(found, "amber")[0].startswith("old box, 4 cores: the run file tells nothing")


@pytest.mark.parametrize(
    ("flag", "says"), [("throttled", "ran throttled"), ("shared_gpu", "shared their GPU")]
)
def test_a_throttled_or_shared_device_is_amber(tmp_path, flag, says):
    content = run([benchmark([1.0] * 9, flags=[flag]), benchmark([2.0] * 9, device="cuda")])
    found = report(tmp_path, content)
    assert found.comparability.level == "amber"
    assert texts(found, "amber")[0].startswith(f"1 case {says}")


@pytest.mark.parametrize("fact", ["parameters", "flops"])
def test_a_cell_of_one_name_with_other_parameters_or_flops_is_red(tmp_path, fact):
    def of(cpu, cuda):
        return run([benchmark([1.0] * 9, **{fact: cpu}), benchmark([2.0] * 9, device="cuda", **{fact: cuda})])

    assert report(tmp_path / "same", of(10, 10)).comparability.level == "green"
    assert report(tmp_path / "unknown", of(10, None)).comparability.level == "green"
    found = report(tmp_path / "other", of(10, 11))
    assert found.comparability.level == "red"
    assert texts(found, "red")[0].startswith("mlp width=128 batch=64: ")
    assert fact in texts(found, "red")[0]


def test_flops_of_another_phase_or_batch_are_no_difference(tmp_path):
    content = run(
        [benchmark([1.0] * 9, phase=p, batch_size=b, flops=f)
         for p, b, f in (("forward", 1, 1), ("backward", 1, 2), ("forward", 2, 3))]
    )  # fmt: skip
    assert report(tmp_path, content).comparability.level == "green"


def test_force_gives_the_ratios_and_marks_each_of_them(tmp_path):
    found = two(tmp_path, other={"tf32": True}, force=True)
    assert found.forced
    assert found.judged
    assert found.verdict.startswith("NOT COMPARABLE, forced: ")
    assert all("not_comparable" in row.flags for row in found.speedups)
    assert all("not_comparable" in row["flags"] for row in json.loads(to_json(found))["speedup"])
    rows = [line for line in to_csv(found).splitlines() if ",cuda," in line]
    assert rows
    assert all("not_comparable" in row for row in rows)


def test_force_marks_nothing_that_compares(tmp_path):
    found = two(tmp_path, force=True)
    assert not found.forced
    assert "NOT COMPARABLE" not in found.verdict
    assert not any("not_comparable" in row.flags for row in found.speedups)
