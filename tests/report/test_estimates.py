"""Estimates: the median of a case over its runs, and what goes with it."""

import numpy as np
import pytest

from breakeven.report.estimates import estimates
from breakeven.runs.reader import read
from support.reports import only
from support.run_files import affine_run, benchmark, run, write


def estimates_of(tmp_path, *contents):
    """The estimates of run files with these contents."""
    return estimates(
        read([write(tmp_path / f"{i}.json", content) for i, content in enumerate(contents)]).runs
    )


def test_one_run(tmp_path):
    facts = {"flops": 5, "flags": ["noisy"]}
    case = only(estimates_of(tmp_path, run([benchmark([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], **facts)])))
    assert (case.key.label(), case.n, case.runs, case.median_s) == (
        "mlp train cpu batch=64 width=128",
        7,
        1,
        4.0,
    )
    assert case.low_s <= 4.0 <= case.high_s
    assert (case.flags, case.facts.flops, case.judged) == (("noisy",), 5.0, True)


def test_several_runs(tmp_path):
    """The median of the runs' medians, all rounds counted, the facts as medians, the flags of any run."""
    contents = [
        run([benchmark([2.0 + i] * n, peak_memory_bytes=peak, flags=flags)])
        for i, (n, peak, flags) in enumerate(
            ((9, 100, []), (8, 300, ["drift"]), (7, 200, ["noisy", "drift"]))
        )
    ]
    case = only(estimates_of(tmp_path, *contents))
    assert (case.n, case.runs, case.median_s, case.facts.peak_memory_bytes) == (24, 3, 3.0, 200.0)
    assert case.flags == ("drift", "noisy")
    assert case.low_s < 3.0 < case.high_s


@pytest.mark.parametrize(
    ("times", "flags"), [([1.0] * 5, ("few_rounds",)), ([0.0] * 9, ("zero_time",)), ([1.0] * 6, ())]
)
def test_flags(tmp_path, times, flags):
    """Too few rounds and a median of zero are flagged here, and not judged."""
    case = only(estimates_of(tmp_path, run([benchmark(times)])))
    assert case.flags == flags
    assert case.judged == (not flags)


def test_order_of_the_file(tmp_path):
    """It decides the order of the estimates and none of their numbers."""
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, phases=("train", "forward"))
    backwards = {**content, "benchmarks": content["benchmarks"][::-1]}
    one, other = estimates_of(tmp_path / "a", content), estimates_of(tmp_path / "b", backwards)
    assert [case.key for case in one] == [case.key for case in other][::-1]
    for case, same in zip(one, other[::-1], strict=True):
        assert (case.median_s, case.low_s, case.high_s) == (same.median_s, same.low_s, same.high_s)
        assert np.array_equal(case.draws, same.draws)


def of_processes(levels, rounds=9, **identity):
    """A benchmark whose processes have these levels, in seconds."""
    times = [level * (1 + 0.001 * (i - rounds // 2)) for level in levels for i in range(rounds)]
    return benchmark(times, processes=[rounds] * len(levels), **identity)


def test_five_processes(tmp_path):
    """Student's interval of the processes' log medians: one case has nothing to shrink its variance with."""
    levels = [1.1, 1.3, 1.2, 1.6, 0.8]
    case = only(estimates_of(tmp_path, run([of_processes(levels)])))
    logs = np.log(levels)
    half = 2.7764451 * logs.std(ddof=1) / 5**0.5
    assert (case.low_s, case.high_s) == pytest.approx(np.exp([logs.mean() - half, logs.mean() + half]))
    assert (case.median_s, case.processes, case.runs, case.n) == (1.2, 5, 1, 45)
    assert (case.log_sd, case.df) == (pytest.approx(logs.std(ddof=1)), 4.0)
    assert case.process_medians_s == pytest.approx(levels)


def test_two_processes(tmp_path):
    """A single case has no interval, which is no lack of rounds; with another it has one."""
    case = only(estimates_of(tmp_path, run([of_processes([1.0, 1.2])])))
    assert (case.median_s, case.low_s, case.high_s, case.df) == (1.1, None, None, None)
    assert (case.judged, case.flags) == (False, ())
    pair = [of_processes([1.0, 1.2]), of_processes([2.0, 2.1], batch_size=1)]
    assert all(case.judged for case in estimates_of(tmp_path / "b", run(pair)))


def test_mixed_files(tmp_path):
    """Runs with several processes, with one, and of version 1: each process counts once."""
    contents = [run([of_processes([1.0, 1.1, 1.2])]), run([of_processes([1.3])]), run([benchmark([1.4] * 8)])]
    case = only(estimates_of(tmp_path, *contents))
    assert (case.processes, case.runs, case.n, case.median_s) == (5, 3, 44, 1.2)
    assert case.process_medians_s == pytest.approx([1.0, 1.1, 1.2, 1.3, 1.4])


def test_fewer_processes(tmp_path):
    """A phase that some processes did not time takes the others, also where only one timed it."""
    rng = np.random.default_rng(0)
    cells = [
        of_processes(np.exp(0.1 * rng.standard_normal(5)), batch_size=b, phase=phase)
        for b in range(1, 30)
        for phase in ("train", "forward")
    ]
    for cell, counts in ((cells[1], [9, 9, 9, 0, 0]), (cells[3], [0, 9, 0, 0, 0])):
        cell["stats"]["data"] = cell["stats"]["data"][: sum(counts)]
        cell["extra_info"]["processes"] = counts
    cases = estimates_of(tmp_path, run(cells))
    assert [case.processes for case in cases[:4]] == [5, 3, 5, 1]
    assert np.isfinite(cases[3].process_medians_s).tolist() == [False, True, False, False, False]
    widths = [np.log(case.high_s / case.low_s) for case in cases[:4]]
    assert widths[3] > 1.4 * widths[1] > 1.4 * widths[0]
    assert cases[3].log_sd == pytest.approx(0.1, rel=0.3)


def test_noise_by_bottleneck(tmp_path):
    """The noise of launch-bound cells does not widen the intervals of compute-bound ones, nor of a CPU's."""
    rng = np.random.default_rng(1)
    content = run(
        [
            of_processes(
                np.exp(sd * rng.standard_normal(5)), device=device, workload=f"{name}{i}", enqueue_s=s
            )
            for name, device, sd, s in (
                ("launch", "cuda", 0.3, 0.9),
                ("compute", "cuda", 0.003, 0.1),
                ("cpu", "cpu", 0.03, ...),
            )
            for i in range(30)
        ]
    )
    found = estimates_of(tmp_path, content)
    sds = [float(np.median([case.log_sd for case in found[i : i + 30]])) for i in (0, 30, 60)]
    assert sds == pytest.approx([0.3, 0.003, 0.03], rel=0.35)
    assert [found[i].bound for i in (0, 30, 60)] == ["launch-bound", "compute-bound", None]


def test_bottleneck_along_batch_sizes(tmp_path):
    """A model is judged at all batch sizes, in any order of the file: at 512 the host waits."""
    steps = ((512, 9.0, 8.5), (1, 1.0, 0.9), (64, 1.6, 0.9))
    rows = [
        benchmark([train_s] * 9, device="cuda", batch_size=batch, enqueue_s=queued_s)
        for batch, train_s, queued_s in steps
    ]
    found = {case.key.batch_size: case.bound for case in estimates_of(tmp_path, run(rows))}
    assert found == {512: "compute-bound", 1: "launch-bound", 64: "undecided"}


def test_floor_widens_one_process(tmp_path):
    """The noise between processes adds to that of the rounds of one; several processes show it themselves."""
    content = run([benchmark([0.9, 0.95, 1.0, 1.0, 1.05, 1.1])])
    runs = read([write(tmp_path / "a.json", content)]).runs
    plain = only(estimates(runs))
    wide = only(estimates(runs, {plain.key: 0.2}))
    assert np.log(wide.high_s) == pytest.approx(np.hypot(np.log(plain.high_s), 1.959964 * 0.2), rel=1e-5)
    assert np.log(wide.low_s) == pytest.approx(-np.hypot(np.log(plain.low_s), 1.959964 * 0.2), rel=1e-5)
    assert np.log(wide.draws).std() == pytest.approx(np.hypot(np.log(plain.draws).std(), 0.2), rel=0.05)
    five = read([write(tmp_path / "b.json", run([of_processes([1.1, 1.3, 1.2, 1.6, 0.8])]))]).runs
    [key] = [case.key for case in estimates(five)]
    assert only(estimates(five, {key: 0.2})).low_s == only(estimates(five)).low_s


@pytest.mark.parametrize(("slow", "known"), [(990.0, True), (1010.0, False)])
def test_rounds_too_far_apart(tmp_path, slow, known):
    """The interval of one process is unknown where its ends are more than a factor of 1,000 apart."""
    case = only(estimates_of(tmp_path, run([benchmark([1.0, slow] * 10)])))
    assert (case.low_s, case.high_s) == ((1.0, slow) if known else (None, None))
    assert case.judged == known
