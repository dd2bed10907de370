"""The break-even in dollars and at another threshold than equal times."""

import json

import numpy as np
import pytest

from breakeven.cli import main
from breakeven.errors import UsageError
from breakeven.render.report_data import to_json
from breakeven.render.report_markdown import to_markdown
from breakeven.render.table import MAX_ROWS
from breakeven.render.what_if_table import cost_table
from breakeven.report.money import Money, Price, Worth
from breakeven.report.report import analyze
from breakeven.runs.reader import read
from support.answers import line
from support.reports import box, only, what_ifs
from support.run_files import affine_run, benchmark, outcome, run, write
from support.training_loops import loop_run

QUIET = {"noise": 0.001}
GPU = affine_run({"cpu": (1, 1), "cuda": (33, 0.1)}, **QUIET)


def priced(tmp_path, *contents, worth=None, baseline=None, **prices):
    """A report with these prices; `__` in a name is a slash."""
    paths = [write(tmp_path / f"run{i}.json", content) for i, content in enumerate(contents)]
    money = Money(tuple(Price(name.replace("__", "/"), usd) for name, usd in prices.items()), worth)
    return analyze(read(paths), baseline, money=money)


def scenario(found, name):
    """The only what-if of that name."""
    return only(row for row in what_ifs(found) if row.scenario == name)


def test_break_even_in_dollars(tmp_path):
    """The GPU is faster from batch 32 / 0.9, and at twice the price cheaper from 65 / 0.8."""
    found = priced(tmp_path, GPU, cpu=0.2, cuda=0.4)
    time, cost = only(found.break_evens).crossing, only(found.in_dollars.break_evens).crossing
    assert time.batch_size == pytest.approx(32 / 0.9, rel=0.01)
    assert cost.batch_size == pytest.approx(65 / 0.8, rel=0.01)  # 1 + b = 2 (33 + b / 10)
    assert cost.low < 65 / 0.8 < cost.high
    row = scenario(found, "in dollars at cpu $0.20/h, cuda $0.40/h")
    assert (row.line, row.other) == (only(found.break_evens), only(found.in_dollars.break_evens))


def test_interval_of_a_cost(tmp_path):
    found = priced(tmp_path, GPU, cuda=7200.0)
    cost = found.in_dollars.costs[0]
    assert (cost.low_usd, cost.step_usd, cost.high_usd) == (
        2 * cost.case.low_s,
        2 * cost.case.median_s,
        2 * cost.case.high_s,
    )
    assert cost.low_usd < cost.step_usd < cost.high_usd


def test_other_work(tmp_path):
    """Inference and epochs are priced per batch, a step of several passes by all of its samples."""
    times = {"train": 8.0, "infer": 1.0, "epoch": 2.0, "load": 1.0, "forward": 1.0}
    rows = [benchmark([t] * 9, phase=p, batch_size=10, axes={}, accumulate=4) for p, t in times.items()]
    found = priced(tmp_path, run(rows), cpu=3600.0)
    costs = {cost.key.phase: (cost.step_usd, cost.million_samples_usd) for cost in found.in_dollars.costs}
    assert costs == {"train": (8.0, 200_000.0), "infer": (1.0, 100_000.0), "epoch": (2.0, 200_000.0)}
    assert cost_table(found).columns[:3] == ("model", "batch", "phase")
    assert [row[2] for row in cost_table(found).rows] == ["epoch", "infer", "train"]


def test_headline_costs_first(tmp_path):
    found = priced(tmp_path, loop_run(infer={"cpu": (1, 1), "cuda": (1, 1)}), cpu=1.0)
    assert [row[2] for row in cost_table(found).rows] == ["train"] * 4 + ["infer"] * 4


def test_price_of_any_number_of_threads(tmp_path):
    """The price of the CPU is known where only some of its threads were timed."""
    content = affine_run({"cpu@1": (1, 1), "cuda": (33, 0.1)}, **QUIET)
    found = priced(tmp_path, content, cpu=0.2)
    assert {cost.key.device: cost.usd_per_hour for cost in found.in_dollars.costs} == {"cpu@1": 0.2}


def test_cost_table_of_many_cases(tmp_path):
    """It has the headline phase, and counts what it leaves out."""
    batches = range(1, MAX_ROWS)
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.1)}, batches, phases=("train", "train_sync"), n=6)
    table = cost_table(priced(tmp_path, content, cpu=0.2, cuda=0.4))
    assert (len(table.rows), table.cut) == (MAX_ROWS, 2 * len(batches) - MAX_ROWS)


def test_worth(tmp_path):
    found = priced(tmp_path, GPU, worth=4.0)
    assert found.in_dollars is None
    assert only(found.worth.break_evens).crossing.batch_size == pytest.approx(131 / 0.6, rel=0.01)
    assert scenario(found, "4x faster").other == only(found.worth.break_evens)


@pytest.mark.parametrize(
    ("worth", "status"), [(0.05, "always"), (2, "crosses"), (12, "never"), (9, "beyond_range")]
)
def test_statuses(tmp_path, worth, status):
    """Times are 2 to 513 against 33.1 to 84.2: ratios from 0.06 to 6.09, and up to 10 beyond them."""
    assert only(priced(tmp_path, GPU, worth=worth).worth.break_evens).crossing.status == status


def test_the_same_at_the_threshold(tmp_path):
    """Cells within 2% of the threshold, not of 1, are the same and carry no status."""
    content = run(
        [
            benchmark([t, 1.001 * t] * 20, device=device, batch_size=batch, steps=10)
            for batch, cpu in ((1, 1.0), (64, 3.03))
            for device, t in (("cpu", cpu), ("cuda", 1.0))
        ]
    )
    found = priced(tmp_path, content, worth=3)
    line = only(found.worth.break_evens)
    assert [str(row.verdict) for row in line.rows] == ["slower", "same"]
    assert line.crossing.status == "undecided"
    assert [str(row.verdict) for row in only(found.break_evens).rows] == ["same", "faster"]


def test_equal_prices_and_a_factor_of_one_change_nothing(tmp_path):
    """The same draws give the same crossing."""
    found = priced(tmp_path, GPU, cpu=3.0, cuda=3.0, worth=1.0)
    time = only(found.break_evens).crossing
    assert only(found.in_dollars.break_evens).crossing == time
    assert only(found.worth.break_evens).crossing == time


def test_speedups_at_the_threshold(tmp_path):
    found = priced(tmp_path, GPU, worth=4.0)
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.1)}, batches=(64,), **QUIET)
    for item in content["benchmarks"]:
        item["extra_info"]["processes"] = [15, 15]
    pair = priced(tmp_path, content, worth=4.0)
    readings = only(only(pair.break_evens).rows).readings
    assert only(only(pair.worth.break_evens).rows).readings == tuple(one / 4 for one in readings)
    assert len(readings) == 2
    for row, scaled in zip(only(found.break_evens).rows, only(found.worth.break_evens).rows, strict=True):
        expected = [value / 4 for value in (row.low, row.speedup, row.high)]
        assert [scaled.low, scaled.speedup, scaled.high] == expected
        assert np.array_equal(scaled.draws, row.draws / 4)


def test_two_processes_without_an_interval(tmp_path):
    """Where nothing shows how far processes vary, a threshold does not either."""
    content = run(
        [
            benchmark([t] * 12, device=device, processes=[6, 6], steps=10)
            for device, t in (("cpu", 4.0), ("cuda", 1.0))
        ]
    )
    line = only(priced(tmp_path, content, worth=2).worth.break_evens)
    assert (line.crossing.status, only(line.rows).low) == ("undecided", None)


def test_rounds_that_took_no_time(tmp_path):
    """The speedup at batch 64 has no draws, so that the crossing uses the times, at their cost too."""
    content = run(
        [
            benchmark(rounds, device=device, batch_size=batch, steps=10)
            for batch, cpu, cuda in (
                (1, 1.0, [2.0] * 30),
                (64, 10.0, [8.0, 0.0, 8.0] * 9 + [8.0] * 3),
                (512, 99.0, [9.0] * 30),
            )
            for device, rounds in (("cpu", [cpu] * 30), ("cuda", cuda))
        ]
    )
    time, worth = (
        only(lines).crossing
        for found in [priced(tmp_path, content, worth=2)]
        for lines in (found.break_evens, found.worth.break_evens)
    )
    assert time.bracket == (1, 64)
    # 10 to 99 against 16 to 18: 6 of the 87 that the lead grows by.
    assert worth.batch_size == pytest.approx(64 + 448 * 6 / 87)
    assert worth.low == pytest.approx(worth.batch_size)


def test_holes_and_outcomes_stay(tmp_path):
    content = {**GPU, "breakeven": {"schema": 1, "outcomes": [outcome(device="cuda", batch_size=100)]}}
    assert only(priced(tmp_path, content, worth=2).worth.break_evens).holes == (100,)


def test_cost_of_a_step(tmp_path):
    """An hour of steps of 2 s costs 1,800 of them."""
    content = run(
        [
            benchmark([seconds] * 12, device=device, batch_size=5000, phase=phase, steps=10)
            for device, seconds in (("cpu", 2.0), ("cuda", 1.0))
            for phase in ("train", "forward")
        ]
    )
    found = priced(tmp_path, content, cpu=1.8, cuda=7.2)
    costs = {cost.key.device: cost for cost in found.in_dollars.costs}
    assert {cost.key.phase for cost in found.in_dollars.costs} == {"train"}, "parts of a step have no price"
    assert costs["cpu"].step_usd == pytest.approx(0.001)
    assert (costs["cpu"].low_usd, costs["cpu"].high_usd) == pytest.approx((0.001, 0.001))
    assert costs["cpu"].million_samples_usd == pytest.approx(0.2)
    assert costs["cuda"].million_samples_usd == pytest.approx(0.4)
    assert cost_table(found).rows == (
        ("mlp width=128", "5,000", "cpu", "$1.80/h", "$0.00100 [0.00100–0.00100]", "$0.20"),
        ("mlp width=128", "5,000", "cuda", "$7.20/h", "$0.00200 [0.00200–0.00200]", "$0.40"),
    )


def test_unknown_interval_of_a_cost(tmp_path):
    content = run([benchmark([1.0] * 3, device=device, steps=10) for device in ("cpu", "cuda")])
    found = priced(tmp_path, content, cpu=1.8)
    assert [(cost.low_usd, cost.high_usd) for cost in found.in_dollars.costs] == [(None, None)]
    assert only(cost_table(found).rows)[-2] == "$0.000500"


@pytest.mark.parametrize(
    ("factor", "text"),
    [(1e6, "1,000,000x faster"), (123457.0, "123,457x faster"), (10.0, "10x faster"), (2.5, "2.50x faster")],
)
def test_worth_as_text(factor, text):
    assert Worth(factor, ()).text(line()) == text


THREADS = affine_run({"cpu": (1, 1), "cpu@1": (1, 4), "cpu@best": (1, 1), "cuda": (33, 0.2)}, **QUIET)


def test_cpu_prices_every_number_of_threads(tmp_path):
    found = priced(tmp_path, THREADS, **{"cpu": 0.8, "cpu@1": 0.1})
    machine = found.machines[0].class_id
    prices = {"cpu": 0.8, "cpu@1": 0.1, "cpu@best": 0.8}
    assert found.in_dollars.prices == {(machine, device): usd for device, usd in prices.items()}


def test_device_without_a_price(tmp_path):
    """It has no dollars, and a warning names it."""
    found = priced(tmp_path, GPU, cpu=0.2)
    assert found.in_dollars.break_evens == ()
    assert {cost.key.device for cost in found.in_dollars.costs} == {"cpu"}
    assert "no dollars for cuda: without a price; add --price DEVICE=USD/h" in found.warnings


def two_machines():
    """A laptop and a server, each with both devices."""
    return [
        affine_run({"cpu": (1, 1), "cuda": (33, 0.1)}, machine=box(name), seed=i, **QUIET)
        for i, name in enumerate(("laptop", "server"))
    ]


def test_price_of_one_machine(tmp_path):
    """It wins over one without a machine, also where that one is more exact."""
    found = priced(tmp_path, *two_machines(), cpu=0.2, cuda=1.0, **{"lap__cuda": 0.5, "id-server__cuda": 3.0})
    assert found.in_dollars.prices == {
        ("id-laptop", "cpu"): 0.2,
        ("id-laptop", "cuda"): 0.5,
        ("id-server", "cpu"): 0.2,
        ("id-server", "cuda"): 3.0,
    }


def test_machine_wins_over_threads(tmp_path):
    content = affine_run({"cpu": (1, 1), "cpu@1": (1, 4)}, machine=box("laptop"), **QUIET)
    found = priced(tmp_path, content, **{"cpu@1": 1.0, "laptop__cpu": 2.0})
    assert set(found.in_dollars.prices.values()) == {2.0}


def test_prices_across_machines(tmp_path):
    """Each device has the price of its own machine."""
    found = priced(tmp_path, *two_machines(), baseline="laptop/cpu", cpu=0.2, cuda=1.0, server__cuda=0.4)
    line = only(
        line
        for line in found.in_dollars.break_evens
        if (line.candidate.device, line.candidate.machine) == ("cuda", "id-server")
    )
    assert line.crossing.batch_size == pytest.approx(65 / 0.8, rel=0.02)


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        ({"tpu": 1.0}, "--price 'tpu=1/h': no such device was measured; present: cpu, cuda"),
        ({"cpu@2": 1.0}, "--price 'cpu@2=1/h': no such device was measured; present: cpu, cuda"),
        (
            {"desk__cuda": 1.0},
            "--price 'desk/cuda=1/h': no such machine; give a label or a class id of: run0 (",
        ),
        (
            {"id__cuda": 1.0},
            "--price 'id/cuda=1/h': several machines match; give a label or a class id of: run0 (",
        ),
        ({"laptop__": 1.0}, "--price 'laptop/=1/h': no such device was measured; present: cpu, cuda"),
        ({"laptop__cuda": 1.0, "id-laptop__cuda": 2.0}, "--price 'id-laptop/cuda=2/h': another price was"),
    ],
)
def test_unusable_price(tmp_path, prices, message):
    with pytest.raises(UsageError) as caught:
        priced(tmp_path, *two_machines(), **prices)
    assert str(caught.value).startswith(message)


def test_json(tmp_path):
    """`break_even` never changes, and what was not asked for is absent."""
    plain, full = (
        json.loads(to_json(priced(tmp_path, GPU, **options)))
        for options in ({}, {"cpu": 0.2, "cuda": 0.4, "worth": 4.0})
    )
    new = {"break_even_usd", "dollars", "break_even_worth"}
    assert full.keys() - plain.keys() == new
    assert full["break_even"] == plain["break_even"]
    time, cost, worth = (only(full[name]) for name in ("break_even", "break_even_usd", "break_even_worth"))
    assert time.keys() == cost.keys() == worth.keys()
    assert (cost["status"], cost["bracket"]) == ("crosses", [64, 512])
    assert (cost["batch_size"], worth["batch_size"]) == pytest.approx((65 / 0.8, 131 / 0.6), rel=0.01)
    assert len(full["dollars"]) == 8
    first = full["dollars"][0]
    assert (first["device"], first["batch_size"], first["usd_per_hour"]) == ("cpu", 1, 0.2)
    assert first["step_usd"] == pytest.approx(0.2 * 2 / 3600, rel=0.01)


def test_only_worth_in_json(tmp_path):
    found = json.loads(to_json(priced(tmp_path, GPU, worth=4.0)))
    assert "break_even_worth" in found
    assert not {"break_even_usd", "dollars"} & found.keys()


def test_markdown(tmp_path):
    found = priced(tmp_path, GPU, cpu=0.2, cuda=0.4)
    assert "## Cost" in to_markdown(found, "1")
    assert "## Cost" not in to_markdown(priced(tmp_path, GPU), "1")


def test_command(tmp_path, capsys):
    path = write(tmp_path / "run.json", GPU)
    command = ["report", path, "--format", "json", "--price", "cpu=0.20/h", "--price", "cuda=.4/h"]
    assert main([*command, "--worth", "4x"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert only(found["break_even_usd"])["batch_size"] == pytest.approx(65 / 0.8, rel=0.01)
    assert only(found["break_even_worth"])["batch_size"] == pytest.approx(131 / 0.6, rel=0.01)


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            ("--price", f"cuda={text}")
            for text in ("", "2", "2.00/d", "x/h", "-1/h", "0/h", "nan/h", "inf/h")
        ),
        ("--price", "cuda"),
        ("--price", "=2/h"),
        ("--price", "cuda=1e7/h"),
        ("--price", "cuda=1/h", "--price", "cuda=2/h"),
        ("--price", "tpu=1/h"),
        *(("--worth", text) for text in ("", "x", "0", "nan", "inf", "10y")),
        ("--worth=-2x",),
    ],
)
def test_bad_usage(tmp_path, capsys, arguments):
    path = write(tmp_path / "run.json", GPU)
    assert main(["report", path, "--format", "json", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    option, _, value = arguments[0].partition("=")
    assert option in output.err
    assert (value or arguments[-1]) in output.err


def test_price_of_a_cpu_that_was_not_measured(tmp_path):
    with pytest.raises(UsageError, match="no such device was measured; present: cuda"):
        priced(tmp_path, affine_run({"cuda": (33, 0.1)}), cpu=1.0)


def test_price_of_several_processes(tmp_path):
    """N GPUs cost N times the price of one, unless they have their own; the CPU is the same machine."""
    devices = {
        "cpu": (1, 1),
        "2xcpu": (1, 0.6),
        "cuda": (33, 0.1),
        "2xcuda": (35, 0.05),
        "4xcuda": (40, 0.03),
    }
    found = priced(tmp_path, affine_run(devices, **QUIET), cpu=0.2, cuda=2.0, **{"4xcuda": 7.0})
    prices = {device: usd for (_, device), usd in found.in_dollars.prices.items()}
    assert prices == {"cpu": 0.2, "2xcpu": 0.2, "cuda": 2.0, "2xcuda": 4.0, "4xcuda": 7.0}


def test_price_of_a_device_that_only_groups_use(tmp_path):
    """The price of one GPU is enough, also where none was measured alone."""
    found = priced(tmp_path, affine_run({"cpu": (1, 1), "2xcuda": (33, 0.1)}, **QUIET), cuda=2.0)
    assert list(found.in_dollars.prices.values()) == [4.0]


def test_no_dollars_for_a_step_without_communication(tmp_path):
    """It does not train."""
    content = affine_run({"cpu": (1, 1), "2xcuda": (33, 0.1)}, phases=("train", "train_no_sync"), **QUIET)
    found = priced(tmp_path, content, cuda=2.0)
    assert {cost.key.phase for cost in found.in_dollars.costs} == {"train"}
