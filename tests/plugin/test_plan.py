"""What is said of a run before its first case begins."""

from types import SimpleNamespace

import pytest

from breakeven.case import Budget, CaseKey
from breakeven.errors import UsageError
from breakeven.phases import Phase
from breakeven.plugin.plan import CasePlan

CPU = SimpleNamespace(name="cpu", is_accelerator=False, threads=2)
CUDA = SimpleNamespace(name="cuda", is_accelerator=True, threads=99)


@pytest.fixture
def plan(monkeypatch):
    """Return a function: cases as ``(batch size, phase, device)`` -> their agenda, on two usable CPUs."""
    monkeypatch.setattr("breakeven.plugin.plan.usable_threads", lambda: 2)

    def of(*cases, devices=(CPU, CUDA), max_time_s=1.0, times=True):
        phases = (Phase.FORWARD, Phase.TRAIN)
        budget = Budget(max_time_s=max_time_s)
        made = CasePlan(SimpleNamespace(devices=devices, phases=phases, times=times, budget=lambda: budget))
        for number, case in enumerate(cases):
            made.add(str(number), case and CaseKey.of("mlp", *case))
        return made

    return of


def test_the_line_counts_cases_models_and_cells_and_says_where_and_how_long(plan):
    assert plan((1, "train", "cpu"), (1, "train", "cuda"), (8, "train", "cpu")).told() == (
        "breakeven: 3 cases (1 model in 2 cells: train) on cpu, cuda; about 4 s"
    )


def test_only_devices_and_phases_with_cases_are_named(plan):
    one = plan((1, "forward", "cuda"))

    assert one.told() == "breakeven: 1 case (1 model in 1 cell: forward) on cuda; about 3 s"
    assert one.devices == [CUDA]


def test_where_no_case_is_known_all_that_was_asked_for_is_named(plan):
    wrong = plan(None)

    assert wrong.told() == "breakeven: 0 cases (0 models in 0 cells: forward, train) on cpu, cuda; about 3 s"
    assert wrong.devices == [CPU, CUDA]
    assert wrong.progress() is None


@pytest.mark.parametrize(
    ("max_time_s", "told"), [(0.1, "about 6 s"), (1.0, "about 33 s"), (60.0, "about 33 s")]
)
def test_less_time_for_a_case_makes_the_run_shorter_and_more_does_not_make_it_longer(plan, max_time_s, told):
    cases = [(size, "train", "cpu") for size in range(1, 151)]

    assert plan(*cases, max_time_s=max_time_s).told().endswith(told)


def test_an_accelerators_case_takes_twice_as_long_and_a_long_run_is_told_in_minutes(plan):
    cases = [(size, "train", "cuda") for size in range(1, 201)]

    assert plan(*cases).told().endswith("about 1.4 min")


def test_nothing_is_promised_where_nothing_is_timed(plan):
    untimed = plan((1, "train", "cpu"), times=False)

    assert untimed.told().endswith(" on cpu; nothing is timed")
    assert untimed.progress() is None


def test_a_device_that_asks_for_more_threads_than_there_are_is_told_on_a_line_of_its_own(plan):
    wide = SimpleNamespace(name="cpu@3", is_accelerator=False, threads=3)

    lines = plan(*((1, "train", name) for name in ("cpu", "cpu@3", "cuda")), devices=(CPU, wide, CUDA)).told()

    assert lines.splitlines()[1:] == [
        "breakeven: cpu@3 asks for more threads than the 2 this process may use"
    ]


def test_a_case_that_stands_there_twice_is_refused_and_a_wrong_mark_never_is(plan):
    plan(None, None)

    with pytest.raises(UsageError, match=r"1 and 0 are the same case, mlp train cpu batch=1; rename"):
        plan((1, "train", "cpu"), (1, "train", "cpu"))
