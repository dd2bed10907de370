"""Exact changes of operators and operations: in every format, whatever the times are."""

import html
import json

import pytest

from breakeven import cli
from breakeven.compare.work_changes import Quantity, change_lines, work_changes
from breakeven.runs.reader import read_side
from support.comparisons import machine
from support.run_files import benchmark, run, write

TIMES = [0.010, 0.011, 0.012] * 4


@pytest.fixture
def side(tmp_path):
    """Return a function that writes a run of cases, each with facts, and returns its path."""
    made = []

    def write_side(*cases):
        made.append(None)
        times = [time + 1e-9 * len(made) for time in TIMES]  # no two runs have the same rounds
        content = run([benchmark(times, **case) for case in cases], machine=machine())
        return write(tmp_path / f"{len(made)}.json", content)

    return write_side


def lines(baseline, candidate):
    return change_lines(work_changes(read_side([baseline]), read_side([candidate])))


def test_one_case(side):
    base = side({"operators": 214, "flops": 1000})
    head = side({"operators": 231, "flops": 1000})
    (change,) = work_changes(read_side([base]), read_side([head]))
    assert change.case == "mlp train cpu batch=64 width=128"
    assert (change.quantity, change.baseline, change.candidate) == (Quantity.OPERATORS, 214, 231)
    assert lines(base, head) == ["mlp width=128: 214 -> 231 operators in train"]


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (1.2e9, 1.5e9, "1.20 GFLOP -> 1.50 GFLOP"),
        (1_200_000_000, 1_200_000_001, "1,200,000,000 -> 1,200,000,001 FLOPs"),
        (0, 5, "0 FLOP -> 5.00 FLOP"),
    ],
)
def test_operations(side, before, after, text):
    """A change of one operation in a billion is shown."""
    assert lines(side({"flops": before}), side({"flops": after})) == [f"mlp width=128: {text} in train"]


def test_cases_that_changed_alike_share_a_line(side):
    """Models of one workload, phases, devices and batch sizes; each quantity has a line of its own."""

    def cases(train, forward, flops):
        return [
            {"axes": {"width": width}, "phase": phase, "batch_size": batch, "device": device}
            | {"operators": train if phase != "forward" else forward, "flops": flops * batch}
            for width in (64, 128)
            for phase in ("train", "train_sync", "forward")
            for batch in (1, 64)
            for device in ("cpu", "cuda")
        ]

    assert lines(side(*cases(214, 60, 1000)), side(*cases(231, 64, 1250))) == [
        "mlp width=64, mlp width=128: 214 -> 231 operators in train and train_sync; "
        "60 -> 64 operators in forward",
        "mlp width=64, mlp width=128: +25% FLOPs in train, train_sync and forward",
    ]


def test_batch_sizes_that_changed_differently(side):
    base = side(*({"batch_size": batch, "operators": 100} for batch in (1, 2)))
    head = side(*({"batch_size": batch, "operators": 100 + 5 * batch} for batch in (1, 2)))
    assert lines(base, head) == ["mlp width=128: +5% to +10% operators in train"]
    head = side({"batch_size": 1, "operators": 0}, {"batch_size": 2, "operators": 110})
    assert lines(base, head) == ["mlp width=128: 100 -> 0 operators, 100 -> 110 operators in train"]


@pytest.mark.parametrize("facts", [{}, {"operators": None}, {"operators": "214"}, {"operators": -1}])
def test_files_without_counts_show_nothing(side, facts):
    assert lines(side(facts), side({"operators": 231})) == []
    assert lines(side({"operators": 231}), side(facts)) == []


def test_runs_of_a_side_must_agree(side):
    """Runs of one side with two counts are not of one program."""
    baseline, candidate = [side({"operators": n}) for n in (214, 214)], [side({"operators": 231})]
    assert len(work_changes(read_side(baseline), read_side(candidate))) == 1
    baseline[1] = side({"operators": 215})
    assert work_changes(read_side(baseline), read_side(candidate)) == []


def test_a_case_of_one_side_only(side):
    new = {"operators": 3, "phase": "forward"}
    assert lines(side({"operators": 214}), side(new)) == []


@pytest.mark.parametrize("form", ["terminal", "markdown", "json"])
def test_formats(side, form, capsys):
    """Changes are shown though no time changed, and nothing about them where none changed."""
    base, head = side({"operators": 214}), side({"operators": 231})

    def printed(one, other):
        cli.main(["compare", one, other, "--fail-on", "none", "--format", form])
        return capsys.readouterr().out

    changed, same = printed(base, head), printed(base, side({"operators": 214}))
    if form == "json":
        case = "mlp train cpu batch=64 width=128"
        row = {"case": case, "quantity": "operators", "baseline": 214.0, "candidate": 231.0}
        assert json.loads(changed)["work_changes"] == [row]
        assert json.loads(same)["work_changes"] == []
    else:
        text = html.unescape(changed).replace("\\", "")
        assert "Counts of a step that changed" in text
        assert "mlp width=128: 214 -> 231 operators in train" in text
        assert "Counts of a step" not in same
