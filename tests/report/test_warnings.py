"""The warnings beside the numbers: flags, break-evens, and what was disturbed."""

from dataclasses import replace

import pytest

from breakeven.render.summary_tables import tables
from breakeven.report.warnings import warnings_of
from support.reports import box, only, report
from support.run_files import affine_run, benchmark, outcome, run


def report_on(tmp_path, *flags, speedup=1.5):
    """A report on one cell for each of `flags`, which are those of the other device."""
    rows = []
    for number, of in enumerate(flags):
        rows.append(benchmark([speedup] * 9, batch_size=2**number))
        rows.append(benchmark([1.0] * 9, device="cuda", batch_size=2**number, flags=list(of)))
    return report(tmp_path, run(rows))


@pytest.mark.parametrize(
    "flag", ["contended", "throttled", "clock", "drift", "shared_gpu", "unsteady", "subnormal"]
)
def test_a_disturbed_speedup_is_marked(tmp_path, flag):
    table = tables(report_on(tmp_path, (), (flag,)))[0]
    assert table.title.startswith("train: cuda against cpu (*")
    assert [row[-1] for row in table.rows] == ["faster", "faster *"]


@pytest.mark.parametrize("flag", ["noisy", "budget", "few_rounds"])
def test_what_the_interval_shows_is_not_marked(tmp_path, flag):
    table = tables(report_on(tmp_path, (flag,)))[0]
    assert table.title == "train: cuda against cpu"
    assert [row[-1] for row in table.rows] == ["faster"]


@pytest.mark.parametrize(
    ("speedup", "flag", "verdict"),
    [
        (3.0, "drift", "faster"),
        (2.0, "drift", "faster *"),
        (0.3, "subnormal", "slower"),
        (0.5, "subnormal", "slower *"),
        (100.0, "contended", "faster *"),
        (0.01, "shared_gpu", "slower *"),
        (1.0, "drift", "same *"),
        (1.0, "noisy", "same"),
    ],
)
def test_only_what_may_change_the_verdict_is_marked(tmp_path, speedup, flag, verdict):
    """Drifting by a factor of 2 does not change which of two devices is three times faster."""
    (row,) = tables(report_on(tmp_path, (flag,), speedup=speedup))[0].rows
    assert row[-1] == verdict


def test_a_verdict_on_disturbed_times(tmp_path):
    """The answer counts them if they are more than a quarter."""
    few = report_on(tmp_path / "few", ("contended",), (), (), ())
    assert "isturb" not in few.verdict
    many = report_on(tmp_path / "many", ("contended",), ("drift", "noisy"), (), ())
    assert many.answer.lines[1].endswith("Disturbances may have changed 2 of 4 speedups.")
    certain = report_on(tmp_path / "certain", ("drift",), ("drift", "noisy"), (), (), speedup=3.0)
    assert "isturb" not in certain.verdict


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, batches=[64]), "one_batch"),
        (affine_run({"cpu": (33, 0.2), "cuda": (1, 1)}), "loses_large"),
        (
            affine_run({"cpu": (1.0, 0.1), "cuda": (5.0, 0.2)}, batches=(1, 8))
            | {"breakeven": {"schema": 1, "outcomes": [outcome("oom", device="cuda", batch_size=64)]}},
            "cut_short",
        ),
        (
            affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, batches=[1, 64])
            | {"breakeven": {"schema": 1, "outcomes": [outcome("oom", device="cuda", batch_size=8)]}},
            "hole",
        ),
    ],
)
def test_break_evens(tmp_path, content, kind):
    """Each limit of a break-even is a warning."""
    found = report(tmp_path, content)
    line = only(found.break_evens)
    assert kind in line.crossing.warnings
    assert len(found.warnings) == len(line.crossing.warnings)
    for warning in found.warnings:
        assert warning.startswith("mlp width=128 train (cuda against cpu): ")


def test_a_shared_cause_is_one_warning(tmp_path):
    """It names the places, and their machines where there are several."""
    content = run()
    for width in (1, 2):
        content["benchmarks"] += affine_run({"cpu": (1, 1), "cuda": (9, 9)}, [1], axes={"w": width})[
            "benchmarks"
        ]
    places = "mlp w=1 train (cuda against cpu) and mlp w=2 train (cuda against cpu): "
    assert only(report(tmp_path, content).warnings).startswith(places)


@pytest.mark.parametrize(
    ("processes", "low_s", "start"),
    [
        (2, None, "2 cases with two processes: "),
        (2, 1.0, None),
        (1, None, "2 cases with times that are too far apart: "),
        (3, 1.0, None),
        (3, None, "2 cases with times that are too far apart: "),
    ],
)
def test_no_interval(tmp_path, processes, low_s, start):
    """Several processes without an interval are a warning, with what to do."""
    found = report(tmp_path, affine_run({"cpu": (1, 1)}, batches=(1, 8)))
    cases = [replace(row.estimate, processes=processes, low_s=low_s) for row in found.rows]
    starts = [line[: len(start or "")] for line in warnings_of(found.machines, found.runs, cases, [], [])]
    assert starts == ([] if start is None else [start])


@pytest.mark.parametrize("times", [[1.0, 1.1, 1.2], [0.0] * 3 + [1.0] * 6])
def test_other_reasons_for_no_interval(tmp_path, times):
    """Too few rounds, and a process that took no time, are not times that are too far apart."""
    found = report(tmp_path, run([benchmark(times, processes=[len(times) // 3] * 3)]))
    assert (found.rows[0].estimate.processes, found.rows[0].estimate.low_s) == (3, None)
    assert not any("too far apart" in warning for warning in found.warnings)


def test_uncounted_operations(tmp_path):
    """A model whose operations could not be counted is named once, with the reason."""
    content = run(
        [benchmark([1.0] * 9, phase=p, flops_unknown="needs numbers") for p in ("forward", "train")]
    )
    warning = only([warning for warning in report(tmp_path, content).warnings if "needs numbers" in warning])
    assert warning.startswith("mlp width=128: ")


def test_lost_rounds(tmp_path):
    """The flag's warning lists why each process lost them, once."""
    reasons = {"evidence": {"lost": {"processes": {"3": "crashed: SIGSEGV"}}}, "flags": ["lost"]}
    rows = [benchmark([1.0] * 9, batch_size=2**i, **(reasons if i else {})) for i in range(3)]
    found = only(line for line in report(tmp_path, run(rows)).warnings if "flagged lost" in line)
    assert found.startswith("2 of 3 cases are flagged lost (mlp batch=2 width=128 train cpu and mlp batch=4 ")
    assert found.count("(process 3 crashed: SIGSEGV)") == 1


def test_most_damaging_first(tmp_path):
    """Flags that may mean any other time come first, and noise last."""
    found = report_on(tmp_path, ("noisy",), ("noisy", "drift"), ("noisy", "contended"))
    names = [line.split(" flagged ")[1].partition(" ")[0] for line in found.warnings if " flagged " in line]
    assert names == ["contended", "drift", "noisy"]
    last = only(line for line in found.warnings if "flagged noisy" in line)
    assert last.startswith("3 of 6 cases are flagged noisy (mlp batch=1 width=128 train cuda and 2 more): ")


@pytest.mark.parametrize(("policy", "is_advised"), [(None, True), ("PASSIVE", False)])
def test_advice_that_was_followed(tmp_path, policy, is_advised):
    rows = [benchmark([1.0] * 9, flags=["contended"])]
    found = report(tmp_path, run(rows, machine=box("box", omp_wait_policy=policy)))
    assert any("OMP_WAIT_POLICY=passive" in line for line in found.warnings) == is_advised


def test_example_of_the_headline(tmp_path):
    """A training step is named before its parts, where one has the flag or the limit."""
    rows = [
        benchmark([seconds] * 9, phase=phase, device=device, flags=["noisy"])
        for phase in ("backward", "train")
        for device, seconds in (("cpu", 1.0), ("cuda", 2.0))
    ]
    found = report(tmp_path, run(rows))
    assert any("noisy (mlp batch=64 width=128 train cpu and 3 more)" in line for line in found.warnings)
    places = "mlp width=128 train (cuda against cpu) and mlp width=128 backward (cuda against cpu): "
    assert any(line.startswith(places) for line in found.warnings)
