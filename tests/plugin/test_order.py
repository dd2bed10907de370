"""The order in which a run takes its cells, and the cell that is timed again at its end."""

import itertools
import re
from types import SimpleNamespace

import pytest

from breakeven.case import Axes, Budget, CaseKey, Cell
from breakeven.errors import UsageError
from breakeven.measure.round_plan import RoundPlan
from breakeven.measure.timing import time_round
from breakeven.plugin import retiming
from breakeven.plugin.order import parse_seed, run_order
from breakeven.plugin.summary import Timing
from breakeven.stats.intervals import MedianInterval

GRID = """
@pytest.mark.sweep(batch_size=[1, 2, 3, 4], width=[4, 8])
def bench_grid(train_benchmark, batch_size, width):
    note(f"grid:{batch_size}:{width}")
    train_benchmark(lambda: workload(batch_size, width))

@pytest.mark.sweep(batch_size=[1, 2])
def bench_other(train_benchmark, batch_size):
    note(f"other:{batch_size}")
    train_benchmark(lambda: workload(batch_size))
"""
PAIR = """
@pytest.mark.sweep(batch_size=[1, 2])
def bench_pair(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""
CELLS = [Cell(name, Axes({"width": width}), size) for name in "ab" for size in (1, 2) for width in (8, 4)]


def distinct(notes):
    """The notes without repetitions that follow each other."""
    return [note for note, _ in itertools.groupby(notes)]


def test_every_cell_once():
    assert sorted(map(Cell.label, run_order([*CELLS, *CELLS], 3))) == sorted(map(Cell.label, CELLS))


@pytest.mark.parametrize("seed", range(5))
def test_largest_of_each_workload_first(seed):
    assert {cell.label() for cell in run_order(CELLS, seed)[:2]} == {
        "a batch=2 width=4", "b batch=2 width=4"
    }  # fmt: skip


def test_seed_decides():
    """One seed gives one order; over several, workloads and the other cells change places."""
    orders = [run_order(CELLS, seed) for seed in range(20)]

    assert orders == [run_order(CELLS, seed) for seed in range(20)]
    assert {order[0].workload for order in orders} == {"a", "b"}
    assert {order[2].workload for order in orders} == {"a", "b"}
    assert len({tuple(order[2:]) for order in orders}) > 15


def test_run(bench):
    """Cells run in the recorded order, with their devices and phases together; the file keeps the sweep's."""
    bench.write(GRID)
    options = ("--breakeven-devices=cpu@1,cpu", "--breakeven-phases=transfer,forward", "--breakeven-seed=7")

    assert bench.run(*options).ret == 0

    [process] = bench.file()["breakeven"]["processes"]
    assert process["seed"] == 7
    assert len(process["order"]) == len(set(process["order"])) == 10
    assert {order.split()[0] for order in process["order"][:2]} == {"grid", "other"}
    notes = distinct(bench.notes())
    cells = [note.split(":") for note in notes]
    labels = [f"{c[0]} batch={c[1]}" + (f" width={c[2]}" if len(c) > 2 else "") for c in cells]
    assert labels == process["order"]
    assert bench.timed() == bench.ids("bench", *options)

    notes_before = len(bench.notes())
    bench.run(*options[:2], "--breakeven-seed=8")
    assert distinct(bench.notes()[notes_before:]) != notes


def test_default_seed(bench):
    bench.write().run()

    [process] = bench.file()["breakeven"]["processes"]
    assert process == {"seed": 0, "order": ["plain batch=16", "plain batch=1"]}


def test_thousands_of_digits():
    """They are refused as any other number is; Python would not convert them, and no line holds them."""
    with pytest.raises(UsageError) as error:
        parse_seed("9" * 5000)
    assert len(str(error.value)) < 200


def test_ini_seed(bench):
    bench.write().pytester.makeini("[pytest]\nbreakeven_seed = 4294967295\n")

    bench.run()

    assert bench.file()["breakeven"]["processes"][0]["seed"] == 2**32 - 1


def test_seed_of_an_experiment(bench, monkeypatch):
    """`breakeven ab` gives each run its seed in an environment variable; an option overrides it."""
    monkeypatch.setenv("BREAKEVEN_SEED", "5")
    bench.write().pytester.makeini("[pytest]\nbreakeven_seed = 3\n")
    bench.run()
    assert bench.file()["breakeven"]["processes"][0]["seed"] == 5
    bench.run("--breakeven-seed=1")
    assert bench.file()["breakeven"]["processes"][0]["seed"] == 1


def test_other_tests_stay(bench):
    """Tests without a sweep, and functions with an invalid one, keep their places."""
    names = ("test_a", "test_b", "test_c")
    swept = "@pytest.mark.sweep(batch_size=[1, 2])\ndef NAME(train_benchmark, batch_size):\n"
    plain = "def NAME():\n    note('NAME')\n"
    broken = swept.replace("[1, 2]", "0").replace("NAME", "test_invalid") + "    ...\n"
    source = [
        plain.replace("NAME", names[0]),
        swept.replace("NAME", "test_s") + "    note(batch_size)\n    train_benchmark(lambda: workload(1))\n",
        broken,
        plain.replace("NAME", names[1]),
    ]
    bench.write("\n".join(source), "bench/test_mine.py")

    result = bench.run("-v")

    shown = [
        line.split("::")[1].split()[0]
        for line in result.outlines
        if "test_mine.py::" in line and "%]" in line
    ]
    assert shown == ["test_a", "test_s[2-cpu@1-train]", "test_s[1-cpu@1-train]", "test_invalid", "test_b"]
    assert bench.notes() == ["test_a", "2", "1", "test_b"]


def test_failed_first(bench):
    """Where another plugin changes the order of collection, the order of the run is recorded."""
    bench.write(PAIR.replace("    train", "    assert batch_size == 2\n    train")).run()
    assert bench.file()["breakeven"]["processes"][0]["order"] == ["pair batch=2", "pair batch=1"]

    bench.run("--ff")

    assert bench.file()["breakeven"]["processes"][0]["order"] == ["pair batch=1", "pair batch=2"]


SHUFFLES = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    items.reverse()
"""


@pytest.mark.slow
def test_other_orders_do_not_matter(bench):
    """A plugin that shuffles tests changes nothing: a machine's drift is that of the seeded order."""
    bench.write(GRID).run("--breakeven-seed=3")
    order, timed = bench.file()["breakeven"]["processes"][0]["order"], bench.timed()

    bench.pytester.makeconftest(SHUFFLES)
    bench.run("--breakeven-seed=3")

    assert bench.file()["breakeven"]["processes"][0]["order"] == order
    assert bench.timed() == timed


def test_headline_first(bench):
    """In each cell and on each device, the time of a whole step is known before the other phases."""
    bench.write(PAIR)
    result = bench.run("-v", "--breakeven-phases=forward,train", "--breakeven-devices=cpu@1,cpu@2")
    shown = [line.split("[")[1].split("]")[0] for line in result.outlines if "bench_pair[" in line]
    assert shown == [
        f"{batch}-{device}-{phase}"
        for batch in (2, 1)
        for device in ("cpu@1", "cpu@2")
        for phase in ("train", "forward")
    ]


def test_deselected_cells_have_no_place(bench):
    bench.write(GRID).run("-k", "grid and 4-8")

    assert bench.file()["breakeven"]["processes"][0]["order"] == ["grid batch=4 width=8"]


def test_outcomes_and_table_in_sweep_order(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=[1, 2, 3, 4])
def bench_half(train_benchmark, batch_size):
    if batch_size > 2:
        pytest.skip(f"no {batch_size}")
    train_benchmark(lambda: workload(batch_size))
""")

    result = bench.run("--breakeven-seed=1")

    assert list(bench.outcomes()) == ["bench_half[3-cpu@1-train]", "bench_half[4-cpu@1-train]"]
    rows = [re.match(r" (?:half| {4}) +(\d) ", line) for line in result.outlines]
    assert [row[1] for row in rows if row] == ["1", "2"]
    result.stdout.fnmatch_lines(["skipped x1: no 3", "skipped x1: no 4"])


def retimed(bench):
    return bench.file()["machine_info"]["breakeven"]["state"]["retimed"]


def test_first_cell_is_timed_again(bench):
    """It is the headline phase, on every device, with the interval of both times."""
    bench.write(PAIR).run("--breakeven-devices=cpu@1,cpu", "--breakeven-phases=forward,train")

    found = retimed(bench)
    assert [(one["case"], one["device"]) for one in found] == [
        ("pair train cpu@1 batch=2", "cpu@1"),
        ("pair train cpu batch=2", "cpu"),
    ]
    for one in found:
        assert 0 < one["first_low_s"] <= one["first_s"] <= one["first_high_s"]
        assert 0 < one["again_low_s"] <= one["again_s"] <= one["again_high_s"]
        [case] = [
            item["stats"]["median"]
            for item in bench.file()["benchmarks"]
            if item["name"] == f"bench_pair[2-{one['device']}-train]"
        ]
        assert one["first_s"] == case
        assert one["again_s"] != case


@pytest.mark.parametrize(
    ("phases", "again"),
    [
        ("transfer,forward,backward", "backward"),
        ("step,transfer", "step"),
        ("train,train_sync", "train"),
        ("transfer", None),
    ],
)
def test_phase_that_is_timed_again(bench, phases, again):
    """Without the headline phase it is the last one with a speedup, and never transfer."""
    bench.write(PAIR).run(f"--breakeven-phases={phases}")

    assert [one["case"].split()[1] for one in retimed(bench)] == ([again] if again else [])


@pytest.mark.parametrize("options", [("-k", "2-cpu"), ("--benchmark-disable",), ("--benchmark-skip",)])
def test_nothing_between(bench, options):
    """A single cell is not timed again, nor is anything in a run without timings."""
    bench.write(PAIR).run(*options)

    assert retimed(bench) == []


def test_first_timed_cell(bench):
    """A cell that failed is passed over."""
    bench.write(GRID.replace('    note(f"other', "    pytest.skip('no')\n    note(f\"other")).run()

    [one] = retimed(bench)
    assert one["case"] == "grid train cpu@1 batch=4 width=8"


@pytest.mark.parametrize(
    "ending", ["raise KeyboardInterrupt", "pytest.exit('enough')", "pytest.fail('stop')"]
)
def test_stopped_run(bench, ending):
    """Nothing is timed after Ctrl-C, `pytest.exit` or -x."""
    source = PAIR.replace("[1, 2]", "[1, 2, 3]")
    source = source.replace("    train", f"    if batch_size == 1:\n        {ending}\n    train")
    bench.write(source).run("-x", "--breakeven-seed=1")

    assert len(bench.timed()) == 2
    assert retimed(bench) == []


AGAIN = """
CALLS = []

def recipe(batch_size):
    CALLS.append(batch_size)
    if CALLS.count(3) == 2:
        WHAT
    return workload(batch_size)

@pytest.mark.sweep(batch_size=[1, 2, 3])
def bench_again(train_benchmark, batch_size):
    train_benchmark(lambda: recipe(batch_size))
"""


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("raise ValueError('the file is gone')", "ValueError: the file is gone"),
        ("raise torch.OutOfMemoryError('CUDA out of memory')", "CUDA out of memory"),
        ("pytest.skip('not twice')", "not twice"),
        ("pytest.fail('not twice')", "not twice"),
        ("return workload(batch_size, loss=lambda outputs, targets: (outputs * float('nan')).sum())", "nan"),
    ],
)
def test_failure_the_second_time(bench, what, reason):
    """It is recorded, and the run and its timings stay as they are."""
    result = bench.write(AGAIN.replace("WHAT", what)).run()

    assert result.ret == 0
    assert len(bench.timed()) == 3
    assert bench.outcomes() == {}
    [one] = retimed(bench)
    assert reason in one["failed"]
    assert "\n" not in one["failed"]
    assert "again_s" not in one
    assert one["first_s"] > 0


def test_ctrl_c_the_second_time(bench):
    result = bench.write(AGAIN.replace("WHAT", "raise KeyboardInterrupt")).run()

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert len(bench.timed()) == 3
    assert retimed(bench) == []


def test_silent_the_second_time(bench, capfd):
    """What the model prints or warns of is not shown between the cases and the summary."""
    what = "print('loud'); import sys, warnings; sys.stderr.write('loud'); warnings.warn('loud')"
    result = bench.write(AGAIN.replace("WHAT", what)).run("-W", "error")

    assert "failed" not in retimed(bench)[0]
    assert result.ret == 0
    assert "loud" not in result.stdout.str() + result.stderr.str()


class RecordedRunner:
    """A runner that records the budget and the case of each call, and times nothing but six rounds of 3 s."""

    def __init__(self):
        self.budget = None
        self.measured = []

    def measure(self, case, device, recipe, time_rounds):
        self.measured.append((self.budget, case, device, recipe))
        clock = iter(range(0, 999, 3))
        round_ = SimpleNamespace(setup=lambda: None, run=lambda: None, steps=1, clock=None)
        retiming.time_round = lambda round_: time_round(round_, lambda: float(next(clock)))
        time_rounds(round_, RoundPlan(rounds=6, lead_in=2))


def test_budget_of_the_case(monkeypatch):
    """Another case's mark does not change what the first one may take; the lead-in is not a round."""
    monkeypatch.setattr(retiming, "time_round", time_round)
    runner = RecordedRunner()
    again = retiming.Retiming(runner)
    first, second = CaseKey.of("w", 1, "train", "cpu"), CaseKey.of("w", 2, "train", "cpu")
    interval = MedianInterval(1.0, 2.0, 3.0, 9)
    for case, rounds in ((first, 7), (second, 8)):
        runner.budget = Budget(min_rounds=rounds, max_time_s=20.0)
        again.keep(Timing(case, interval, ()), "device", "recipe")

    assert again.time_again() == [
        {
            "case": "w train cpu batch=1", "device": "cpu",
            "first_s": 2.0, "first_low_s": 1.0, "first_high_s": 3.0,
            "again_s": 3.0, "again_low_s": 3.0, "again_high_s": 3.0,
        }
    ]  # fmt: skip
    assert runner.measured == [(Budget(min_rounds=7, max_time_s=20.0), first, "device", "recipe")]


def test_slow_cell_is_passed_over():
    """To time it again would take too long; each device has a cell of its own."""
    runner, seconds = RecordedRunner(), {("cpu", 4): 9.0, ("cpu", 2): 0.1, ("cpu", 1): 0.1, ("cuda", 4): 0.1}
    runner.budget = Budget()
    again = retiming.Retiming(runner)
    for (device, batch_size), median_s in seconds.items():
        case = CaseKey.of("w", batch_size, "train", device)
        again.keep(Timing(case, MedianInterval(median_s, median_s, median_s, 9), ()), device, "recipe")

    assert [(one["device"], one["case"]) for one in again.time_again()] == [
        ("cpu", "w train cpu batch=2"), ("cuda", "w train cuda batch=4")
    ]  # fmt: skip


def test_retracted_case_is_not_timed_again(bench):
    """A function that called `train_benchmark` twice has no timing to compare with."""
    source = PAIR.replace("[1, 2]", "[1, 2, 3]")
    twice = "    if batch_size == 3:\n        train_benchmark(lambda: workload(batch_size))\n"
    bench.write(source + twice).run()

    [one] = retimed(bench)
    assert "batch=3" not in one["case"]
