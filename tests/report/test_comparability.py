"""Whether numbers may be compared: green, amber or red."""

import json

import pytest

from breakeven.flags import Flag
from breakeven.render.report_data import to_csv, to_json
from breakeven.report.notes import UNSTEADY
from support.reports import box, only, report
from support.run_files import affine_run, benchmark, run

GPU = {"gpu": "H100", "cudnn_tf32": True, "driver": "580", "power_limit_w": 700.0, "cuda": "13.0"}
DEVICES = {"cpu": (1, 1), "cuda": (33, 0.2)}


def two(tmp_path, one=None, other=None, **options):
    """The report on two machines whose facts differ as given."""
    machines = box("one", **{**GPU, **(one or {})}), box("two", **{**GPU, **(other or {})})
    contents = [affine_run(DEVICES, machine=machine, seed=i) for i, machine in enumerate(machines)]
    return report(tmp_path, *contents, **options)


def texts(found, level):
    """The reasons of one level."""
    return [reason.text for reason in found.comparability.reasons if reason.level == level]


def test_green(tmp_path):
    one = report(tmp_path / "a", affine_run(DEVICES, machine=box("one", **GPU)))
    for found in (one, two(tmp_path / "b")):
        assert found.comparability.level == "green"
        assert found.comparability.reasons == ()
        assert not any("comparability" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("fact", "value"),
    [("tf32", True), ("amp", "cuda float16"), ("deterministic", True), ("cudnn_tf32", False)],
)
def test_numeric_modes_are_red(tmp_path, fact, value):
    """No ratio is given, and the option that forces it is named."""
    found = two(tmp_path, one={"amp": False}, other={"amp": False, fact: value})
    assert found.comparability.level == "red"
    assert fact in texts(found, "red")[0]
    assert found.refused
    assert not found.judged
    assert (found.speedups, found.break_evens, found.changes) == ((), (), ())
    assert (found.variants, found.paybacks) == ((), ())
    assert len(found.rows) == 16, "what was timed is kept"
    assert found.verdict.startswith(f"These numbers are not comparable: {fact} differs ")
    assert "--force" in found.answer.notes[-1]


@pytest.mark.parametrize(
    "other",
    [
        {"cudnn_tf32": False, "gpu": None},
        {"gpu": "L4", "power_limit_w": 72.0},
        {"driver": None, "gpu": None},
        {},
    ],
    ids=["no GPU", "another GPU", "unknown fact", "nothing"],
)
def test_what_does_not_matter(tmp_path, other):
    found = two(tmp_path, other=other, force=True)
    assert (found.comparability.level, found.forced) == ("green", False)
    assert not any("not_comparable" in row.flags for row in found.speedups)


@pytest.mark.parametrize(
    ("fact", "value"),
    [("torch", "2.14"), ("driver", "999"), ("cuda", "12"), ("threads", 7), ("power_limit_w", 350.0)],
)
def test_versions_are_amber(tmp_path, fact, value):
    """Versions, threads and power limits are named, and nothing is refused."""
    found = two(tmp_path, one={"threads": 2}, other={"threads": 2, fact: value})
    assert found.comparability.level == "amber"
    (text,) = texts(found, "amber")
    assert fact in text
    assert str(value) in text
    assert found.speedups
    assert any(text in warning for warning in found.warnings)


def test_unknown_modes(tmp_path):
    """A machine whose modes are not recorded is amber beside another."""
    silent = affine_run(DEVICES, machine={"node": "old", "cpu": {"brand_raw": "old box", "count": 4}})
    assert report(tmp_path / "alone", silent).comparability.level == "green"
    found = report(tmp_path / "both", silent, affine_run(DEVICES, machine=box("new"), seed=1))
    assert found.comparability.level == "amber"
    assert texts(found, "amber")[0].startswith("old: ")


@pytest.mark.parametrize("flag", ["throttled", "shared_gpu", "drift", "contended", "noisy"])
def test_flags(tmp_path, flag):
    """A disturbed device is amber, other flags are not."""
    content = run([benchmark([1.0] * 9, flags=[flag]), benchmark([2.0] * 9, device="cuda")])
    found = report(tmp_path, content)
    named = [f"1 case {Flag(flag).disturbed}"] if flag in ("throttled", "shared_gpu") else []
    assert [text.partition(";")[0] for text in texts(found, "amber")] == named
    assert found.comparability.level == ("amber" if named else "green")


def test_changed_machine_is_amber(tmp_path):
    """A note has it too, and the warnings have the canary's line once."""

    def sample(seconds):
        return {"median_s": seconds, "low_s": seconds, "high_s": seconds}

    state = {"canary": {"cpu": {"start": sample(1.0), "end": sample(1.5)}}}
    found = report(tmp_path, affine_run(DEVICES, machine=box("box", state=state)))
    assert found.comparability.level == "amber"
    assert "1.50x" in only(texts(found, "amber"))
    assert found.answer.notes[-1] == UNSTEADY
    assert len([warning for warning in found.warnings if "1.50x" in warning]) == 1


def test_several_changes_are_one_reason(tmp_path):
    again = [
        {"case": name, "device": "cpu", **{f"{when}_{key}": seconds for key in ("s", "low_s", "high_s")
         for when, seconds in (("first", 1.0), ("again", 1.5))}}
        for name in ("one", "two", "three")
    ]  # fmt: skip
    found = report(tmp_path, affine_run(DEVICES, machine=box("box", state={"retimed": again})))
    assert only(texts(found, "amber")).endswith(" measure again (2 more changes of this kind)")


@pytest.mark.parametrize("fact", ["parameters", "flops"])
def test_models_of_one_name(tmp_path, fact):
    """A cell of one name with other parameters or FLOPs is another model: red."""

    def of(cpu, cuda):
        return run([benchmark([1.0] * 9, **{fact: cpu}), benchmark([2.0] * 9, device="cuda", **{fact: cuda})])

    assert report(tmp_path / "same", of(10, 10)).comparability.level == "green"
    assert report(tmp_path / "unknown", of(10, None)).comparability.level == "green"
    found = report(tmp_path / "other", of(10, 11))
    assert found.comparability.level == "red"
    assert texts(found, "red")[0].startswith("mlp batch=64 width=128: ")
    assert fact in texts(found, "red")[0]


def test_networks_of_one_name(tmp_path):
    """Two runs are of two networks if a model has another number of parameters, also at other batch sizes."""

    def of(parameters, *batches):
        return run([benchmark([1.0 * b] * 9, batch_size=b, parameters=parameters) for b in batches])

    assert report(tmp_path / "same", of(650, 1, 2), of(650, 3)).comparability.level == "green"
    found = report(tmp_path / "other", of(650, 1, 2), of(3760, 3))
    assert found.refused
    text = only(texts(found, "red"))
    assert text.startswith("mlp width=128 has 650 parameters in ")
    assert " and 3,760 in " in text
    assert len(texts(report(tmp_path / "cell", of(650, 1, 2), of(3760, 1)), "red")) == 1


def test_flops_of_another_phase_or_batch(tmp_path):
    content = run(
        [benchmark([1.0] * 9, phase=p, batch_size=b, flops=f)
         for p, b, f in (("forward", 1, 1), ("backward", 1, 2), ("forward", 2, 3))]
    )  # fmt: skip
    assert report(tmp_path, content).comparability.level == "green"


def test_force(tmp_path):
    """It gives the ratios, and marks each of them in every output."""
    found = two(tmp_path, other={"tf32": True}, force=True)
    assert found.forced
    assert found.judged
    assert found.verdict.startswith("NOT COMPARABLE")
    assert all("not_comparable" in row.flags for row in found.speedups)
    assert all("not_comparable" in row["flags"] for row in json.loads(to_json(found))["speedup"])
    rows = [line for line in to_csv(found).splitlines() if ",cuda," in line]
    assert rows
    assert all("not_comparable" in row for row in rows)
