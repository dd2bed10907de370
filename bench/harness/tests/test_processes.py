"""What a few of many processes claim: exact intervals, and coverage where the truth is known."""

import json
import math
import subprocess

import numpy as np
import pytest
from peers import (
    OF_ONE,
    OF_SEVERAL,
    STUDENT,
    WITHIN,
    Peer,
    bootstrapped_mean,
    independent,
    mean_and_error,
    mean_and_stddev,
    means_and_stddev,
    order_statistics,
    quartiles,
)
from processes import OURS, _row, analyzed, consecutive_fives, main, measured, processes_section, random_fives
from replicates import Claims, Interval, Levels, claim_of, joined, judged, of_processes, stability

from breakeven.case import Axes, CaseKey, Cell
from breakeven.runs.machine import machine_of
from breakeven.runs.reader import read_run
from breakeven.runs.schema import CaseResult, Run
from breakeven.stats.crossing import Crossing

MACHINE = machine_of({})
BATCHES = (1, 16, 64, 256)
SLOPES = {"cpu@1": (1e-4, 1e-5), "cpu": (4e-4, 6e-6)}  # they cross at batch 75


def key(device, batch, phase="train", width=1):
    return CaseKey(Cell("mlp", Axes({"width": width}), batch), phase, device, MACHINE.class_id)


def case(key, samples):
    samples = [np.asarray(sample, dtype=float) for sample in samples]
    times = np.concatenate(samples)
    return CaseResult(key.label(), key, times, float(np.median(times)), processes=tuple(map(len, samples)))


def run_of(*cases):
    return Run("run.json", MACHINE, {one.name: one for one in cases}, datetime="2026-01-01T00:00:00")


def simulated(processes, sd=0.05, models=4, seed=0, rounds=8, within=0.01):
    """A run whose processes differ by a log-sd of `sd`, half of which all cases share."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, sd / math.sqrt(2), processes)
    cases = []
    for width in range(models):
        for device, (floor, slope) in SLOPES.items():
            for batch in BATCHES:
                away = shared + rng.normal(0, sd / math.sqrt(2), processes)
                times = (floor + slope * batch) * np.exp(
                    away[:, None] + rng.normal(0, within, (processes, rounds))
                )
                cases.append(case(key(device, batch, width=width), times))
    return run_of(*cases)


def write_file(path, run):
    """Write a run as a file."""
    benchmarks = [
        {"name": one.name, "fullname": one.name, "stats": {"data": one.times_s.tolist()},
         "extra_info": {**one.key.as_extra_info(), "processes": list(one.processes)}}
        for one in run.cases.values()
    ]  # fmt: skip
    path.write_text(
        json.dumps({"benchmarks": benchmarks, "machine_info": {}, "datetime": "2026-01-01T00:00:00"})
    )
    return path


def test_joined():
    """The processes of all runs in their order, of the headline cases that all runs have."""
    one = run_of(case(key("cpu", 1), [[1, 2], [3]]), case(key("cpu", 2), [[1], [1]]))
    other = run_of(case(key("cpu", 1), [[4, 5, 6]]), case(key("cpu", 1, "forward"), [[1]]))
    [found] = joined([one, other]).cases.values()
    assert found.times_s.tolist() == [1, 2, 3, 4, 5, 6]
    assert (found.processes, found.median_s) == ((2, 1, 3), 3.0)


@pytest.mark.parametrize(
    "cases",
    [[case(key("cpu", 1, "forward"), [[1]])], [case(key("cpu", 1), [[1]]), case(key("cpu", 2), [[1], [1]])]],
    ids=["no headline", "unequal"],
)
def test_joined_refuses(cases):
    with pytest.raises(SystemExit):
        joined([run_of(*cases)])


def test_of_processes():
    run = run_of(case(key("cpu", 1), [[1], [2, 4], [9]]), case(key("cpu", 2), [[1], [], [1]]))
    few = of_processes(run, [1, 2]).cases[key("cpu", 1).label()]
    assert (few.times_s.tolist(), few.processes, few.median_s) == ([2, 4, 9], (2, 1), 6.0)
    [alone] = of_processes(run, [1]).cases.values()
    assert (alone.times_s.tolist(), alone.processes, alone.median_s) == ([2, 4], (), 3.0)


@pytest.mark.parametrize(
    ("crossing", "claim"),
    [
        (Crossing("crosses", 20.0, 10.0, 30.0), (10.0, 30.0)),
        (Crossing("crosses", 20.0, None, None), (-math.inf, math.inf)),
        (Crossing("always"), (-math.inf, 1.0)),
        (Crossing("never"), (64.0, math.inf)),
        (Crossing("beyond_range"), (64.0, math.inf)),
        (Crossing("undecided"), None),
    ],
)
def test_claim_of_a_break_even(crossing, claim):
    found = claim_of(crossing, (1, 64))
    assert claim == (found and (found.low, found.high))


def test_truth():
    """Median of the others, of the ratios process by process, and the crossing of the medians."""
    run = run_of(
        case(key("cpu@1", 1), [[1.0], [1.0], [9.0]]), case(key("cpu@1", 3), [[3.0], [3.0], [9.0]]),
        case(key("cpu", 1), [[2.0], [2.0], [3.0]]), case(key("cpu", 3), [[2.0], [2.0], [9.0]]),
    )  # fmt: skip
    levels = Levels.of(run, np.median)
    truth = levels.truth([0, 1])
    assert levels.baseline == "cpu@1"
    assert truth["medians"][key("cpu@1", 3)] == 3.0
    assert truth["speedups"] == {key("cpu", 1): 0.5, key("cpu", 3): 1.5}
    assert truth["break_evens"] == {key("cpu", 1).line: 2.0}
    assert levels.truth([2])["speedups"][key("cpu", 1)] == 3.0


def test_judged():
    a, b, c = (key("cpu", batch) for batch in (1, 2, 3))
    truth = {"medians": {a: 1.0, b: 1.0, c: 1.0}, "speedups": {a: 1.0}, "break_evens": {}}
    claims = Claims({a: Interval(0.9, 1.1, 1.0), b: Interval(1.1, 1.5, 1.3)})
    found = judged([claims, claims], [truth, truth])
    assert (found["medians"]["coverage"], found["medians"]["n"]) == (0.5, 4)
    assert found["medians"]["claimed"] == pytest.approx(2 / 3)
    assert (found["medians"]["low"], found["medians"]["high"]) == (0.0, 1.0)
    assert found["medians"]["half_width"] == pytest.approx((0.1 + 0.2 / 1.3) / 2)
    assert (found["speedups"]["coverage"], found["speedups"]["claimed"]) == (None, 0.0)


@pytest.mark.parametrize(
    ("interval_of", "low", "center", "high"),
    [
        (mean_and_stddev, 4 - math.sqrt(10), 4.0, 4 + math.sqrt(10)),
        (mean_and_error, 4 - 1.959964 * math.sqrt(2), 4.0, 4 + 1.959964 * math.sqrt(2)),
        (means_and_stddev, 11 / 3 - 10 / 3 * math.sqrt(0.5), 11 / 3, 11 / 3 + 10 / 3 * math.sqrt(0.5)),
        (quartiles, 2.0, 3.0, 5.0),
        (order_statistics, 1.0, 3.0, 9.0),
    ],
)
def test_intervals_of_peers(interval_of, low, center, high):
    found = interval_of([np.array([1.0, 3.0]), np.array([5.0, 2.0, 9.0])])
    assert (found.low, found.center, found.high) == pytest.approx((low, center, high))


def test_order_statistics_of_99():
    """Of 20 values the 4th and the 17th leave out .0013 on each side, the 5th and the 16th .0059."""
    found = order_statistics([np.arange(1.0, 21.0)])
    assert (found.low, found.center, found.high) == (4.0, 10.5, 17.0)


def test_bootstrapped_mean():
    """It is close to 1.96 standard errors of the mean."""
    values = np.random.default_rng(1).normal(10, 1, 400)
    found = bootstrapped_mean([values])
    error = values.std() / 20
    assert found.center == values.mean()
    assert (found.low, found.high) == pytest.approx(
        (found.center - 1.96 * error, found.center + 1.96 * error), abs=0.1 * error
    )


def test_independent_errors_of_a_ratio():
    """Half-widths of 3% and of 4% give one of 5%."""
    run = run_of(case(key("cpu@1", 1), [[1.0]]), case(key("cpu", 1), [[2.0]]))
    widths = {1.0: 0.03, 2.0: 0.04}

    def interval_of(samples):
        center = float(samples[0][0])
        return Interval(center * (1 - widths[center]), center * (1 + widths[center]), center)

    [found] = independent(interval_of)(run).speedups.values()
    assert found.center == 0.5
    assert found.half_width == pytest.approx(0.05, rel=0.05)


def test_student_is_paired():
    """Noise that both devices share cancels in their ratio."""
    shared = np.array([1.0, 1.2, 0.9, 1.1, 1.3])
    run = run_of(case(key("cpu@1", 1), shared[:, None]), case(key("cpu", 1), shared[:, None] * 2))
    claims = STUDENT.claims(run)
    reach = 2.776445 * np.log(shared).std(ddof=1) / math.sqrt(5)
    assert claims.medians[key("cpu", 1)].half_width == pytest.approx(math.sinh(reach))
    assert claims.speedups[key("cpu", 1)].half_width < 1e-9


def test_student_covers():
    """On noise that is normal, as it promises; order statistics of one process do not."""
    run = simulated(40, models=3)
    result = {(row["name"], row["from"]): row for row in analyzed(run, None, 20)["methods"]}
    for source in ("random fives", "consecutive fives"):
        found = result[STUDENT.name, source]
        assert 0.85 <= found["medians"]["coverage"] <= 0.99
        assert 0.85 <= found["speedups"]["coverage"] <= 0.99
        assert found["break_evens"]["coverage"] >= 0.85
        assert result[OURS.name, source]["medians"]["coverage"] >= 0.75
    alone = result[WITHIN.name, "single processes"]
    assert alone["medians"]["coverage"] < 0.4
    assert alone["medians"]["half_width"] < result[STUDENT.name, "random fives"]["medians"]["half_width"] / 3


def test_rows():
    """Each tool once, those of one process on the longer processes where there are some."""
    run = simulated(7, models=1)
    rows = analyzed(run, simulated(2, models=1, seed=1), 3)["methods"]
    sources = {(row["name"], row["from"]): row["n"] for row in rows}
    assert {source: n for (name, source), n in sources.items() if name == WITHIN.name} == {
        "single processes": 7, "one process, five times as long": 2,
    }  # fmt: skip
    for peer in OF_ONE:
        assert sources[peer.name, "one process, five times as long"] == 2
    for peer in OF_SEVERAL:
        assert sources[peer.name, "random fives"] == 3
    assert sources[OURS.name, "consecutive fives"] == 3
    short = {(row["name"], row["from"]) for row in analyzed(run, None, 3)["methods"]}
    assert (OF_ONE[0].name, "single processes") in short
    assert not any(source.startswith("one process") for _, source in short)


def test_too_few_processes():
    with pytest.raises(SystemExit, match="5 processes"):
        analyzed(simulated(5, models=1), None, 3)


def test_fives():
    assert consecutive_fives(7) == [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [2, 3, 4, 5, 6]]
    drawn = random_fives(40, 50)
    assert drawn == random_fives(40, 50)
    assert all(len(set(five)) == 5 and five == sorted(five) and max(five) < 40 for five in drawn)
    assert len(set(map(tuple, drawn))) > 45


def test_stability():
    run = run_of(
        case(key("cpu@1", 1), [[1.0], [math.e]]), case(key("cpu", 1), [[1.0], [math.e**3]]),
        case(key("cpu", 2), [[1.0], [math.e**5]]),
    )  # fmt: skip
    found = stability(Levels.of(run, np.median))
    assert found["cpu@1"]["log_sd"] == pytest.approx(math.sqrt(0.5))
    assert found["cpu"]["log_sd"] == pytest.approx(4 * math.sqrt(0.5))
    assert (found["cpu"]["min"], found["cpu"]["cases"]) == (pytest.approx(3 * math.sqrt(0.5)), 2)
    assert found["speedup of cpu"]["log_sd"] == pytest.approx(2 * math.sqrt(0.5))


def test_without_measuring(tmp_path, capsys):
    """A stored file gives the results again, with the median of every process."""
    run = simulated(7, models=1)
    path = write_file(tmp_path / "run.json", run)
    assert main(["--from", str(path), "--fives", "4", "-o", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "processes.json").read_text())
    label = key("cpu", 16, width=0).label()
    stored = joined([read_run(path)]).cases[label]
    assert result["medians_s"][label] == stored.process_medians_s.tolist()
    assert "data" not in result
    assert (result["cells"], result["speedups"], result["break_evens"], result["others"]) == (8, 4, 1, 2)
    text = (tmp_path / "processes.md").read_text()
    assert text == processes_section(result)
    assert text in capsys.readouterr().out
    assert "too few to judge by" in text
    assert "too few" not in processes_section({**result, "others": 20})


def test_command(tmp_path, monkeypatch):
    """Each of N processes has the time of a case in one of five: the run is given N times that."""
    commands = []

    def run(command, **_):
        commands.append(command)
        (tmp_path / "raw" / "run.json").touch()
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    path = measured(["bench"], 40, 0.2, tmp_path / "raw")
    assert commands[0][-4:] == [
        "bench", "--benchmark-max-time=8.0", "--breakeven-processes=40", f"--benchmark-json={path}",
    ]  # fmt: skip


def test_no_run_file(tmp_path, monkeypatch):
    """An old one is not taken for the new one."""
    (tmp_path / "run.json").touch()
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 4))
    with pytest.raises(SystemExit, match="exited with 4"):
        measured(["bench"], 40, 0.2, tmp_path)


@pytest.mark.parametrize(("value", "holds"), [(0.8, False), (0.9, True), (1.1, True), (1.2, False)])
def test_interval_holds(value, holds):
    assert Interval(0.9, 1.1).holds(value) is holds


def test_truth_of_a_speedup_is_paired():
    """Process by process, and a model of one batch size has no break-even."""
    run = run_of(case(key("cpu@1", 1), [[1.0], [2.0], [9.0]]), case(key("cpu", 1), [[1.0], [4.0], [3.0]]))
    truth = Levels.of(run, np.median).truth([0, 1, 2])
    assert truth["speedups"] == {key("cpu", 1): 1.0}
    assert truth["break_evens"] == {}


def test_the_others_judge():
    """The truth of processes 0 to 4 is the median of 5 and 6."""
    run = run_of(*(case(key(device, 1), [[k + 1.0] for k in range(7)]) for device in SLOPES))
    peer = Peer("", "", np.median, lambda _: Claims({key("cpu", 1): Interval(6.5, 6.5, 6.5)}))
    assert _row(peer, "", run, [[0, 1, 2, 3, 4]])["medians"]["coverage"] == 1.0


def test_student_needs_every_process():
    samples = [[1.0], [1.1], []]
    run = run_of(
        *(case(key(device, 1), [[1.0], [1.2], [1.1]]) for device in SLOPES), case(key("cpu", 2), samples)
    )
    assert set(STUDENT.claims(run).medians) == {key("cpu@1", 1), key("cpu", 1)}


def test_order_of_batches():
    """Break-evens do not depend on the order of the cases in the file."""
    run = simulated(6, models=1, sd=0.01)
    turned = run_of(*reversed(run.cases.values()))
    [found], [again] = (STUDENT.claims(one).break_evens.values() for one in (run, turned))
    assert found == again
    assert found.center == pytest.approx(75, rel=0.05)


def test_time_of_a_process(tmp_path, monkeypatch):
    """A fifth of a case's time in the grid, all of it in the longer processes."""
    stored, asked = write_file(tmp_path / "stored.json", simulated(6, models=1)), []

    def measured(_, processes, case_s, __):
        asked.append((processes, case_s))
        return stored

    monkeypatch.setattr("processes.measured", measured)
    main(["--processes", "6", "--longer", "2", "--max-time", "2", "--fives", "1", "-o", str(tmp_path)])
    assert asked == [(6, 0.4), (2, 2.0)]
