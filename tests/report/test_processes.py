"""What the answer shows of the processes that it rests on."""

import json

import numpy as np
import pytest

from breakeven.case import CaseKey
from breakeven.render.how_made import how_made
from breakeven.render.report_data import to_json
from breakeven.render.report_markdown import to_markdown
from breakeven.render.summary_tables import tables
from breakeven.report.processes import one_process_sentences, one_process_text
from breakeven.report.report import analyze
from breakeven.report.text import speedup_text, time_text
from breakeven.runs.machine import machine_of
from breakeven.runs.reader import read
from support.reports import box, only, report
from support.run_files import affine_run, benchmark, outcome, run, write

ONE = "one process: another run may differ"
SHOWS = "One process: --breakeven-processes=5 shows by how much another run differs."
WIDENED = "One process: the intervals are widened by the noise floor that `breakeven calibrate` stored."


def processes(levels, n=8, noise=0.001, seed=0, **identity):
    """A benchmark with a process for each of these levels, n rounds each; None gave no round."""
    rng = np.random.default_rng(seed)
    counts = [0 if level is None else n for level in levels]
    data = [level * np.exp(noise * rng.standard_normal(n)) for level in levels if level is not None]
    return benchmark(np.concatenate(data).tolist(), processes=counts, **identity)


def two_devices(cpu, cuda, **identity):
    """The benchmarks of one cell on two devices, with the levels of each process."""
    return [
        processes(levels, device=device, seed=seed, **identity)
        for seed, (device, levels) in enumerate((("cpu", cpu), ("cuda", cuda)))
    ]


def test_one_process(tmp_path):
    """It is beside the verdict in every output; more processes, in one file or in two, are not."""
    devices = {"cpu": (1, 1), "cuda": (33, 0.2)}
    alone = report(tmp_path / "a", affine_run(devices))
    assert SHOWS in alone.answer.notes
    assert all(
        ONE in text for text in (alone.verdict, to_json(alone), to_markdown(alone, "1").replace("\\", ""))
    )
    two = report(tmp_path / "b", affine_run(devices), affine_run(devices, seed=1))
    assert ONE not in two.verdict
    five = report(tmp_path / "c", run(two_devices([1.0, 1.1, 1.0, 1.2, 1.1], [0.5] * 5)))
    assert ONE not in five.verdict


def test_machine_without_cases():
    """Nothing there rests on one process."""
    machines = [machine_of(box("one"))]
    assert one_process_text(machines, [], ()) is None
    assert list(one_process_sentences(machines, [], ())) == []


def test_one_process_of_several_machines(tmp_path):
    """Only the machines that rest on one process are named."""
    one = run(two_devices([1.0], [0.5]), machine=box("one"))
    other = run(two_devices([1.0, 1.1], [0.5, 0.5]), machine=box("other"))
    found = report(tmp_path / "a", one, other)
    assert f"{ONE} (one)." in found.verdict
    note = "One process on one: --breakeven-processes=5 shows by how much another run differs."
    assert note in found.answer.notes
    both = report(tmp_path / "b", one, run(two_devices([1.0], [0.4]), machine=box("other")))
    assert f"{ONE}." in both.verdict


def test_noise_floor(tmp_path):
    """It widens the intervals of one process, and of no other; the verdict rests on the wider ones."""
    one = read([write(tmp_path / "one.json", run(two_devices([1.0], [0.9])))])
    key = CaseKey.of("mlp", 64, "train", "cpu", {"width": 128}, one.machines[0].class_id)
    plain, widened = analyze(one), analyze(one, floor_sd={key: 0.1})
    assert only(plain.speedups).verdict == "faster"
    assert only(widened.speedups).verdict == "undecided"
    assert WIDENED in widened.answer.notes
    assert ONE not in widened.verdict
    cpu = next(row.estimate for row in widened.rows if row.key.device == "cpu")
    assert np.log([cpu.low_s, cpu.high_s]) == pytest.approx([-0.196, 0.196], abs=0.02)
    five = read([write(tmp_path / "five.json", run(two_devices([1.0] * 5, [0.9] * 5)))])
    assert only(analyze(five, floor_sd={key: 0.1}).speedups).verdict == "faster"


def test_phases_of_fewer_processes(tmp_path):
    levels = [1.0, 1.1, 1.0, 1.2, 1.1]
    fewer = [*levels[:3], None, None]
    content = run(
        [
            *two_devices(levels, levels),
            *(row for phase in ("forward", "step") for row in two_devices(fewer, fewer, phase=phase)),
        ]
    )
    assert (
        how_made(report(tmp_path, content), "1")[-1] == "forward and step were timed in 3 of the 5 processes"
    )
    lines = how_made(report(tmp_path / "all", run(two_devices(levels, levels))), "1")
    assert not any("timed in" in line for line in lines)


def test_phases_of_fewer_processes_on_one_machine(tmp_path):
    """It is named beside another. A cell that lost a process leaves its phase as it is."""
    levels = [1.0, 1.1, 1.0, 1.2, 1.1]
    fewer = [*levels[:3], None, None]
    rows = [*two_devices(levels, levels), *two_devices(fewer, fewer, batch_size=1)]
    other = [*rows, *two_devices(fewer, fewer, phase="forward")]
    contents = run(rows, machine=box("one")), run(other, machine=box("other"))
    lines = [line for line in how_made(report(tmp_path, *contents), "1") if "timed in" in line]
    assert lines == ["forward was timed in 3 of the 5 processes on other"]


def test_interval_scope(tmp_path):
    """What an interval covers: all processes, those of one phase, or the rounds of one process."""
    levels = [1.0, 1.1, 1.0, 1.2, 1.1]
    rows = [*two_devices(levels, levels), *two_devices(levels[:3], levels[:3], phase="forward")]
    found = report(tmp_path / "a", run(rows))
    assert found.interval_scope() == "of 3 to 5 processes"
    assert found.interval_scope("train") == "of 5 processes"
    assert tables(found)[0].title == "train: cuda against cpu, 5 processes"
    alone = report(tmp_path / "b", affine_run({"cpu": (1, 1), "cuda": (2, 1)}))
    assert alone.interval_scope() == "within one process"
    mixed = [*two_devices(levels, levels), *two_devices(levels[:1], levels[:1], phase="forward")]
    assert report(tmp_path / "c", run(mixed)).interval_scope() == "of 1 to 5 processes"
    assert tables(alone)[0].title == "train: cuda against cpu"


@pytest.mark.parametrize(
    ("outcomes", "text"),
    [
        ([], "run0.json was interrupted: 0 of 2 cases have no timing."),
        ([outcome(batch_size=1)], "run0.json was interrupted: 1 of 3 cases has no timing."),
        ([outcome(batch_size=b) for b in (1, 2)], "run0.json was interrupted: 2 of 4 cases have no timing."),
    ],
)
def test_interrupted(tmp_path, outcomes, text):
    content = run(two_devices([1.0], [0.5]), outcomes)
    content["breakeven"]["complete"] = False
    assert text in report(tmp_path, content).answer.notes
    content["breakeven"]["complete"] = True
    assert "interrupted" not in report(tmp_path, content).verdict


@pytest.mark.parametrize(
    ("cpu", "cuda", "time", "speedup", "warning"),
    [
        ([1.0, 1.2], [0.5, 0.5], "(1.00 s and 1.20 s)", "(2.00x and 2.40x)", "two processes"),
        ([1e-9, 4e5], [0.5, 0.5], "(1.00 ns and 111 h)", "(500,000,000x slower and 799,000x)",
         "two processes"),
        ([1e-4, 1.0, 4e4], [0.5] * 3, "(unknown: 100 µs to 11.1 h in 3 processes)",
         "(unknown: 5,000x slower to 80,000x in 3 processes)", "too far apart"),
    ],
)  # fmt: skip
def test_processes_without_an_interval(tmp_path, cpu, cuda, time, speedup, warning):
    """A single case shows what its processes measured, and no interval, in no output."""
    found = report(tmp_path, run(two_devices(cpu, cuda)))
    case, row = found.rows[0].estimate, only(found.speedups)
    assert (case.low_s, case.high_s, case.log_sd, case.df) == (None,) * 4
    assert (row.low, row.high, row.verdict) == (None, None, "undecided")
    assert time in time_text(case)
    assert speedup in speedup_text(row)
    assert only(found.break_evens).crossing.status == "undecided"
    assert any(warning in line for line in found.warnings)
    break_even, compared = (json.loads(to_json(found))[key][0] for key in ("break_even", "speedup"))
    assert [each[end] for each in (break_even, compared) for end in ("low", "high")] == [None] * 4


def test_a_report_keeps_no_draws(tmp_path):
    """Those of thousands of cases take hundreds of MB, which drawing the page would add to."""
    rows = report(tmp_path, run([benchmark([1.0, 1.1, 1.2] * 4, processes=[6, 6])])).rows
    assert [(row.estimate.draws.size, row.estimate.pool.own.size) for row in rows] == [(0, 0)]
