"""What to rent: the cells in question, and an estimate like that of a run."""

import pytest

from breakeven.case import Budget
from breakeven.plugin.estimate import NOISE, STARTUP_S, case_s
from breakeven.predict.rent import PROCESSES
from breakeven.predict.text import rent_sentences
from support.predictions import L4, card, cpu_run, planted, prediction
from support.reports import only

__all__ = ["planted"]

BATCHES = (1, 16, 256, 4096)


def test_cells_in_question(planted, tmp_path):
    """Those whose band includes 1x, and those beside the range, which a break-even is interpolated from."""
    planted(h100_16core=(4e-3, 0.0, 2.0))  # between batch 20 and 80
    rent = only(prediction(tmp_path, cpu_run(batches=BATCHES)).rents)
    assert [one.batch_size for one in rent.cells] == [16, 256]
    assert rent.cases == ("mlp train cuda batch=16 width=64", "mlp train cuda batch=256 width=64")


def test_undecided_cells(planted, tmp_path):
    planted(h100_16core=(1.6e-3, 0.0, 2.0))  # between batch 8 and 32
    rent = only(prediction(tmp_path, cpu_run(batches=BATCHES)).rents)
    assert [one.batch_size for one in rent.cells] == [1, 16, 256]


def test_what_to_run(planted, tmp_path):
    """It is understood why there are more cells than undecided ones, and what the two names stand for."""
    planted(h100_16core=(1.6e-3, 0.0, 2.0))  # one undecided cell, at batch 16
    there, here = rent_sentences(prediction(tmp_path, cpu_run(batches=BATCHES)))
    assert "for 3 cells: those to measure, and those beside a break-even, which -o DIR lists in" in there
    assert (
        "`breakeven report RUN.json h100-16core.json --baseline RUN/cpu`, where RUN.json is the run file of "
        "this CPU"
    ) in here


def test_nothing_open(planted, tmp_path):
    """Nothing is to be rented where every band is clear of 1x, and the machine always wins."""
    planted(h100_16core=(1e-5, 0.0, 2.0))
    found = prediction(tmp_path, cpu_run(batches=BATCHES))
    assert found.rents == ()
    assert "measure there" not in found.verdict


def test_one_for_each_machine(planted, tmp_path):
    planted(h100_16core=(4e-3, 0.0, 2.0), l4=(1e-5, 0.0, 2.0))
    found = prediction(tmp_path, cpu_run(batches=BATCHES), card(), card("l4", L4))
    assert [rent.machine for rent in found.rents] == ["h100-16core"]


def test_slow_cpu(planted, tmp_path):
    """The rented CPU trains a step of each cell for the check of the loss."""
    planted(h100_16core=(10.0, 0.0, 2.0))
    rent = only(prediction(tmp_path, cpu_run(batches=(64,), slope=10.0 / 64)).rents)
    quick = sum(20.0 * PROCESSES * 6 for _ in rent.cells)  # of 20 s at most, on the accelerator
    assert rent.seconds - quick > 10.0 + 4.0 * PROCESSES


def test_command(planted, tmp_path):
    """It times the list of cases on the accelerator; a name that is not one of a file is made one."""
    planted(my_h100=(4e-3, 0.0, 2.0))
    found = prediction(tmp_path, cpu_run(), card("my-h100"), pytest=["bench", "--breakeven-sweep=a b"])
    assert only(found.rents).command == (
        "BREAKEVEN_CASES=cases-my-h100.txt pytest bench '--breakeven-sweep=a b' --breakeven-devices=cuda "
        "--breakeven-phases=train --benchmark-json=my-h100.json"
    )


@pytest.mark.parametrize("step_s", [1e-4, 1e-2, 0.3])
@pytest.mark.parametrize("count", [2, 60])
def test_estimate_is_that_of_a_run(planted, tmp_path, step_s, count):
    """It is within a half of what the run itself expects of these cells."""
    planted(h100_16core=(step_s, 0.0, 1.2))
    content = cpu_run(batches=tuple(range(1, count + 1)), slope=1e-9)
    for one in content["benchmarks"]:
        one["stats"]["data"] = [step_s * factor for factor in (0.9, 1.1) * 15]
    rent = only(prediction(tmp_path, content).rents)
    assert len(rent.cells) == count
    budget = Budget().shared_by(PROCESSES)
    first, *later = (
        STARTUP_S + count * case_s(1.2 * step_s, "train", "cuda", budget, NOISE, is_later=process > 0)
        for process in range(PROCESSES)
    )
    assert 0.5 < rent.seconds / (first + sum(later)) < 1.5
