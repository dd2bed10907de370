"""Speedups, their verdicts, and their break-evens."""

from dataclasses import replace

import numpy as np
import pytest

from breakeven.case import CaseKey
from breakeven.report.break_even import break_evens
from breakeven.report.estimates import estimates
from breakeven.report.speedup import baselines, speedups, verdict_of
from breakeven.report.waiting import waiting_costs
from breakeven.runs.machine import Machine
from breakeven.runs.schema import CaseResult, Run
from breakeven.stats.intervals import RatioInterval
from support.ar1 import correlated
from support.reports import only, report, what_ifs
from support.run_files import affine_run, benchmark, outcome, run


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(1.03, 1.05, "faster"), (1.001, 1.03, "faster"), (0.9, 0.97, "slower"), (0.97, 0.999, "slower"),
     (0.99, 1.01, "same"), (1.005, 1.015, "same"), (0.985, 0.995, "same"), (1 / 1.02, 1.02, "same"),
     (0.99, 1.03, "undecided"), (1.0, 1.05, "undecided"), (0.95, 1.0, "undecided"),
     (None, None, "undecided")],
)  # fmt: skip
def test_verdict_of(low, high, verdict):
    assert verdict_of(RatioInterval(low, 1.0, high)) == verdict


def devices(row):
    """The baseline and the candidate of a row."""
    return row.baseline.device, row.candidate.device


@pytest.mark.parametrize(("baseline", "speedup", "verdict"), [(None, 2.0, "faster"), ("cuda", 0.5, "slower")])
def test_speedup(tmp_path, baseline, speedup, verdict):
    """Baseline time over candidate time."""
    content = run([benchmark([4.0] * 9), benchmark([2.0] * 9, device="cuda")])
    row = only(report(tmp_path, content, baseline=baseline).speedups)
    assert (row.speedup, row.low, row.high, row.verdict) == (speedup, speedup, speedup, verdict)
    assert row.baseline.device == (baseline or "cpu") != row.candidate.device


@pytest.mark.parametrize("other", [{"batch_size": 1}, {"axes": {"width": "128"}}])
def test_one_sided_cell(tmp_path, other):
    found = report(tmp_path, run([benchmark([4.0] * 9), benchmark([2.0] * 9, device="cuda", **other)]))
    assert (found.speedups, found.headline) == ((), None)


def run_of(times):
    """A run as the reader gives it: `times` maps (workload, batch size, device) to rounds in seconds."""
    keys = {
        CaseKey.of(name, batch, "train", device, machine="id"): t
        for (name, batch, device), t in times.items()
    }
    cases = {
        key.label(): CaseResult(key.label(), key, np.array(t), float(np.median(t))) for key, t in keys.items()
    }
    return Run("run.json", Machine("box", "id", {}), cases)


def replicated(runs, models, devices, noise, batches=(64,), seed=0):
    """Runs in which each time of each device is multiplied by independent noise."""
    rng = np.random.default_rng([runs, seed])
    return [
        run_of(
            {
                (f"mlp{model}", batch, device): (floor + slope * batch)
                * np.exp(noise * rng.standard_normal())
                * (1 + 0.001 * np.arange(-3, 4))
                for model in range(models)
                for batch in batches
                for device, (floor, slope) in devices.items()
            }
        )
        for _ in range(runs)
    ]


def compared(runs):
    """The estimates of runs, and the speedups over the CPU."""
    cases = estimates(runs)
    return cases, speedups(cases, baselines(cases))


@pytest.mark.parametrize("runs", [2, 3, 4, 5])
def test_equal_devices_over_few_runs(runs):
    """They are reported as faster or slower in at most 8% of cells."""
    _, rows = compared(replicated(runs, models=400, devices={"cpu": (1, 0), "cuda": (1, 0)}, noise=0.05))
    wrong = sum(row.verdict in ("faster", "slower") for row in rows)
    assert len(rows) == 400
    assert wrong / 400 <= 0.08


@pytest.mark.parametrize("runs", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 5))])
def test_break_even_over_few_runs(runs):
    """Its interval contains the true one in at least 91% of models."""
    equal_at_100 = {"cpu": (20, 1), "cuda": (100, 0.2)}
    cases, rows = compared(replicated(runs, 200, equal_at_100, noise=0.02, batches=(1, 4, 16, 64, 256, 1024)))
    lines = break_evens(cases, rows, [])
    found = [line.crossing for line in lines if line.crossing.status == "crosses"]
    hits = sum((one.low or 0) <= 100 <= (one.high or np.inf) for one in found)
    assert len(found) >= 150
    assert hits / len(found) >= 0.91


def test_a_run_without_a_case(tmp_path):
    """Shared noise cancels in the runs that have both devices, if any run lacks one."""
    levels = (1.0, 1.3, 0.8, 1.1)
    contents = [
        run([benchmark([2 * x] * 9), benchmark([x] * 9, device="cuda"), benchmark([x] * 9, batch_size=1)])
        for x in levels
    ]
    for gap in range(4):
        cut = [{**c, "benchmarks": c["benchmarks"][2 * (i == gap) :]} for i, c in enumerate(contents)]
        row = only(report(tmp_path / str(gap), *cut).speedups)
        assert (row.low, row.high) == (pytest.approx(2.0, rel=1e-5), pytest.approx(2.0, rel=1e-5))
        assert row.processes == 3


def test_a_run_that_timed_zero(tmp_path):
    contents = [run([benchmark([2.0] * 9), benchmark([x] * 9, device="cuda")]) for x in (1.0, 0.0, 1.1)]
    row = only(report(tmp_path, *contents).speedups)
    assert (row.speedup, row.low, row.verdict) == (2.0, None, "undecided")


def test_runs_of_few_rounds(tmp_path):
    """The rounds of all runs together count: six have an interval, and five have none."""
    contents = [run([benchmark([2.0 + i / 100]), benchmark([1.0], device="cuda")]) for i in range(6)]
    assert only(report(tmp_path, *contents).speedups).verdict == "faster"
    assert only(report(tmp_path, *contents[:5]).speedups).verdict == "undecided"


def test_break_even(tmp_path):
    # 1 + b = 33 + b / 5 at b = 40
    line = only(report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, noise=0.001)).break_evens)
    assert line.crossing.status == "crosses"
    assert line.crossing.batch_size == pytest.approx(40, rel=0.01)
    assert line.crossing.low <= 40 <= line.crossing.high
    assert line.batches == (1, 8, 64, 512)


def test_hole(tmp_path):
    """A batch size that failed on one device is not interpolated, whether or not the file has a reason."""
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, batches=[1, 8, 64])
    gone = content["benchmarks"][3]
    assert (gone["extra_info"]["device"], gone["extra_info"]["batch_size"]) == ("cuda", 8)
    ended = outcome("oom", device="cuda", batch_size=8)
    for outcomes in ([ended], None):
        without = {**content, "benchmarks": [b for b in content["benchmarks"] if b is not gone]}
        if outcomes:
            without["breakeven"] = {"schema": 1, "outcomes": outcomes}
        found = report(tmp_path, without)
        line = only(found.break_evens)
        assert (line.holes, line.crossing.status, line.crossing.bracket) == ((8,), "undecided", (1, 64))
        assert "hole" in line.crossing.warnings


@pytest.mark.parametrize(("rho", "least"), [(0.0, 0.93), (0.5, 0.90)])
def test_coverage(rho, least):
    """The interval of one run's speedup contains a true ratio of two, also if rounds are correlated."""
    one = run_of(
        {
            (f"mlp{seed}", 64, device): side * np.exp(correlated(rho, 100, 0.05, [8, seed, side]))
            for seed in range(400)
            for device, side in (("cuda", 1), ("cpu", 2))
        }
    )
    _, rows = compared([one])
    hits = sum(row.low <= 2 <= row.high for row in rows)
    assert len(rows) == 400
    assert hits / 400 >= least


def lines_of(tmp_path, speedups):
    """The report on a model whose candidate has exactly these speedups at three batch sizes."""
    rows = [
        benchmark([time] * 9, device=device, batch_size=batch)
        for batch, speedup in zip((1, 64, 512), speedups, strict=True)
        for device, time in (("cpu", float(batch)), ("cuda", batch / speedup))
    ]
    return report(tmp_path, run(rows))


@pytest.mark.parametrize(
    ("speedups", "status", "bracket"),
    [
        ((0.5, 1.01, 1.005), "undecided", (1, None)),
        ((0.5, 0.99, 0.995), "undecided", (1, None)),
        ((2.0, 2.0, 0.995), "undecided", (None, None)),
        ((2.0, 1.01, 1.005), "undecided", (None, None)),
        ((0.5, 2.0, 1.01), "undecided", (1, None)),
        ((0.99, 1.005, 1.01), "undecided", (None, None)),
        ((2.0, 1.005, 2.0), "undecided", (None, 512)),
        ((0.99, 1.01, 2.0), "undecided", (None, 512)),
        ((0.5, 1.01, 2.0), "crosses", (1, 64)),
        ((0.5, 0.99, 2.0), "crosses", (64, 512)),
        ((2.0, 0.99, 0.5), "never", (512, None)),
        ((1.01, 0.5, 0.5), "never", (512, None)),
        ((2.0, 2.0, 2.0), "always", (None, 1)),
        ((0.5, 0.5, 0.5), "never", (512, None)),
    ],
)
def test_break_even_within_2_percent(tmp_path, speedups, status, bracket):
    """No break-even is based on cells that are equal within 2%."""
    found = lines_of(tmp_path, speedups)
    line = only(found.break_evens)
    assert (line.crossing.status, line.crossing.bracket) == (status, bracket)
    if status == "undecided":
        assert (abs(speedups[-1] - 1) < 0.02) == ("within 2%" in found.verdict)


@pytest.mark.parametrize(
    ("cpu", "cuda", "found", "flags"),
    [
        ([4.0] * 5, [2.0] * 9, (2.0, None, "undecided"), ("few_rounds",)),
        ([4.0] * 9, [0.0] * 9, (None, None, "undecided"), ("zero_time",)),
        ([0.0] + [4.0] * 30, [2.0] * 30, (2.0, 2.0, "faster"), ()),
    ],
    ids=["few rounds", "median of zero", "one round of zero"],
)
def test_unusual_rounds(tmp_path, cpu, cuda, found, flags):
    content = report(tmp_path, run([benchmark(cpu), benchmark(cuda, device="cuda")]))
    row = only(content.speedups)
    assert ((row.speedup, row.low, row.verdict), row.flags) == (found, flags)
    assert only(content.break_evens).crossing.status == ("undecided" if flags else "always")


@pytest.mark.parametrize(
    ("benchmarks", "outcomes"),
    [
        ([benchmark([9.0] * 9, batch_size=8), benchmark([34.6] * 3, device="cuda", batch_size=8)], []),
        ([], [outcome("skipped", device=d, batch_size=8) for d in ("cpu", "cuda")]),
    ],
    ids=["few rounds", "both skipped"],
)
def test_other_holes(tmp_path, benchmarks, outcomes):
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, batches=[1, 64], outcomes=outcomes)
    content["benchmarks"] += benchmarks
    line = only(report(tmp_path, content).break_evens)
    assert (line.batches, line.holes, line.crossing.status) == ((1, 64), (8,), "undecided")


def in_processes(base, candidate, rounds=9, **identity):
    """Two devices with these levels in each process, in seconds."""
    return [
        benchmark(
            np.repeat(levels, rounds).tolist(), device=device, processes=[rounds] * len(levels), **identity
        )
        for device, levels in (("cpu", base), ("cuda", candidate))
    ]


SHARED = np.array([1.0, 1.5, 0.7, 2.0, 1.2])


def test_pairing(tmp_path):
    """What a process shares cancels exactly; the rest is a paired t-test."""
    exact = only(report(tmp_path / "a", run(in_processes(4 * SHARED, 2 * SHARED))).speedups)
    assert (exact.speedup, exact.low, exact.high) == pytest.approx((2.0, 2.0, 2.0), rel=1e-5)
    own = np.array([1.02, 0.97, 1.05, 0.99, 1.01])
    row = only(report(tmp_path / "b", run(in_processes(4 * SHARED * own, 2 * SHARED))).speedups)
    logs = np.log(2 * own)
    half = 2.7764451 * logs.std(ddof=1) / 5**0.5
    assert (row.low, row.high) == pytest.approx(tuple(np.exp([logs.mean() - half, logs.mean() + half])))
    assert (row.speedup, row.processes, row.df) == (pytest.approx(2.02), 5, 4.0)
    assert row.log_sd == pytest.approx(logs.std(ddof=1))


def test_pairs_are_processes_of_one_file(tmp_path):
    """The second processes of two files are two pairs, and a process without one device is none."""
    first, second = in_processes(4 * SHARED, 2 * SHARED), in_processes(4 * SHARED[::-1], 2 * SHARED[::-1])
    second[1]["stats"]["data"] = second[1]["stats"]["data"][9:]
    second[1]["extra_info"]["processes"] = [0, 9, 9, 9, 9]
    row = only(report(tmp_path, run(first), run(second)).speedups)
    assert row.processes == 9
    assert (row.low, row.high) == pytest.approx((2.0, 2.0), rel=1e-5)


def test_speedup_and_break_even_agree(tmp_path):
    """A candidate that is shown to be faster from a batch size on crosses below it, and so in every draw."""
    rng = np.random.default_rng(3)
    rows = [
        one
        for model in range(20)
        for batch in (1, 10, 100, 1000)
        for one in in_processes(
            (20 + batch) * SHARED * np.exp(0.1 * rng.standard_normal(5)),
            (100 + 0.2 * batch) * SHARED * np.exp(0.1 * rng.standard_normal(5)),
            batch_size=batch,
            workload=f"mlp{model}",
        )
    ]
    lines = report(tmp_path, run(rows)).break_evens
    crossing = [line for line in lines if line.crossing.status == "crosses"]
    assert len(crossing) >= 15
    for line in crossing:
        for row in line.rows:
            if row.verdict == "faster":
                assert line.crossing.high <= row.batch_size
            if row.verdict == "slower":
                assert line.crossing.low >= row.batch_size


@pytest.mark.parametrize("shared", [0.0, 0.3])
def test_break_even_of_five_processes(shared):
    """Its interval contains the true one in at least 91% of 200 models, whatever the processes share."""
    rng = np.random.default_rng(5)
    together = np.exp(shared * rng.standard_normal(5))
    times, equal_at_100 = {}, {"cpu": (20, 1), "cuda": (100, 0.2)}
    for model in range(200):
        for batch in (1, 4, 16, 64, 256, 1024):
            for device, (floor, slope) in equal_at_100.items():
                levels = (floor + slope * batch) * together * np.exp(0.02 * rng.standard_normal(5))
                times[f"mlp{model}", batch, device] = np.repeat(levels, 7)
    one = run_of(times)
    cases = {name: replace(case, processes=(7,) * 5) for name, case in one.cases.items()}
    found, rows = compared([replace(one, cases=cases)])
    crossing = [line.crossing for line in break_evens(found, rows, [])]
    hits = sum(one.status == "crosses" and one.low <= 100 <= one.high for one in crossing)
    assert hits / 200 >= 0.91


def test_noise_of_similar_pairs(tmp_path):
    """The noise of one phase's kind or bottleneck does not widen the speedups of another."""
    rng = np.random.default_rng(6)
    kinds = (
        ("launch", "train", 0.2, {"enqueue_s": 0.9}),
        ("compute", "train", 0.002, {"enqueue_s": 0.1}),
        ("compute", "forward", 0.02, {}),
    )
    rows = [
        one
        for name, phase, sd, facts in kinds
        for model in range(30)
        for one in in_processes(
            4 * SHARED,
            SHARED * np.exp(sd * rng.standard_normal(5)),
            workload=f"{name}{model}",
            phase=phase,
            steps=10,
            **facts,
        )
    ]
    found = report(tmp_path, run(rows)).speedups
    for name, phase, sd, _ in kinds:
        own = [r.log_sd for r in found if r.phase == phase and r.candidate.cell.workload.startswith(name)]
        assert len(own) == 30
        assert float(np.median(own)) == pytest.approx(sd, rel=0.35)


@pytest.mark.parametrize("what", ["waiting", "variants", "flat", "resident"])
def test_other_ratios_are_paired(tmp_path, what):
    """What a process shares cancels in every ratio of two phases, variants or batch sizes of one device."""
    loud = np.array([1.0, 3.0, 0.5, 2.0, 0.3])

    def timed(level, **identity):
        return benchmark(np.repeat(level * loud, 9).tolist(), processes=[9] * 5, device="cuda", **identity)

    rows = {
        "waiting": [timed(1.0, steps=10), timed(1.5, phase="train_sync")],
        "variants": [timed(1.0, axes={"compile": False}), timed(0.5, axes={"compile": True})],
        "flat": [timed(1.0, steps=10), timed(1.01, batch_size=128, steps=10)],
        "resident": [
            timed(1.0, steps=10),
            timed(0.5, phase="transfer"),
            benchmark(np.repeat(2 * loud, 9).tolist(), processes=[9] * 5),
        ],
    }[what]
    found = report(tmp_path, run(rows))
    if what == "waiting":
        cost = only(waiting_costs(estimates(found.runs))).ratio
        assert (cost.low, cost.high) == pytest.approx((1.5, 1.5), rel=1e-5)
    elif what == "variants":
        row = only(found.variants).row
        assert (row.low, row.high) == pytest.approx((2.0, 2.0), rel=1e-5)
    elif what == "flat":
        assert only(found.bottlenecks).flat_to == 128
    else:
        row = only(only(what_ifs(found)).other.rows)
        assert (row.low, row.high) == pytest.approx((4.0, 4.0), rel=1e-4)


def test_break_even_of_pairs(tmp_path):
    """It takes the ratios within processes, also where one device was timed in fewer of them."""
    rows = []
    for batch in (1, 10, 1000):
        base, cand = in_processes((20 + batch) * SHARED, (100 + 0.2 * batch) * SHARED, batch_size=batch)
        cand["stats"]["data"] = cand["stats"]["data"][:27]
        cand["extra_info"]["processes"] = [9, 9, 9, 0, 0]
        rows += [base, cand]
    crossing = only(report(tmp_path, run(rows)).break_evens).crossing
    assert (crossing.batch_size, crossing.low, crossing.high) == pytest.approx((100, 100, 100), rel=1e-3)
