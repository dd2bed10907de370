"""The search for the fastest number of threads, on a clock that counts what each step would take."""

from functools import partial
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from breakeven import Workload
from breakeven.case import Budget, CaseKey
from breakeven.hardware import devices, threads
from breakeven.hardware.devices import BestCpu
from breakeven.measure.runner import PREPARING, Runner
from breakeven.measure.simulated import SimulatedClock
from breakeven.measure.thread_search import ThreadSearch, fastest_threads


@pytest.fixture
def best(monkeypatch):
    """``cpu@best`` on a machine with 8 cores and 16 logical CPUs."""
    monkeypatch.setattr(threads, "_TORCH_DEFAULT", 8)
    for module in (devices, threads):
        monkeypatch.setattr(module, "usable_cpus", lambda: 16)
    return BestCpu()


class Steps:
    """Steps whose seconds depend on torch's number of threads; `tried` has those after the first step."""

    def __init__(self, seconds):
        self.seconds, self.seen = seconds, []

    def __call__(self):
        self.seen.append(torch.get_num_threads())
        return self.seconds(torch.get_num_threads())

    @property
    def tried(self):
        return list(dict.fromkeys(self.seen[1:]))


@pytest.mark.parametrize(
    ("seconds", "fastest", "tried"),
    [
        ({1: 8, 2: 4, 4: 2, 8: 1, 16: 1.2}, 8, [8, 4, 16]),  # 4 is clearly slower than 8
        ({1: 8, 2: 4, 4: 2, 8: 1, 16: 0.9}, 16, [8, 4, 16]),
        ({1: 1, 2: 1.1, 4: 1.4, 8: 1.6, 16: 0.1}, 16, [8, 4, 2, 1, 16]),
        ({1: 1, 2: 1.6, 4: 0.1, 8: 0.1, 16: 0.1}, 4, [8, 4, 2, 16]),
        ({1: 1, 2: 0.5, 4: 0.5, 8: 0.5, 16: 0.5}, 2, [8, 4, 2, 1, 16]),  # of the same, the smallest number
    ],
)
def test_fastest(best, seconds, fastest, tried):
    before = torch.get_num_threads()
    steps = Steps(lambda threads: 1e-3 * seconds[threads])
    assert fastest_threads(best, steps) == fastest
    assert steps.tried == tried
    assert torch.get_num_threads() == before
    assert best.threads == 8


def test_warmup_and_first_call_do_not_count(best):
    """The first steps of each number, and the very first call, take longer."""
    last = []

    def seconds(threads):
        last.append(threads)
        is_warming = last[-3:].count(threads) < 3
        return 5.0 if len(last) == 1 else 1e-3 / threads + 1e-2 * threads * is_warming

    assert fastest_threads(best, Steps(seconds)) == 16


@pytest.mark.parametrize(("step_s", "steps"), [(0.01, 5), (0.11, 5), (0.2, 3), (0.3, 2), (0.6, 1), (60.0, 1)])
def test_slow_steps_are_few(best, step_s, steps):
    """Half a second for each number of threads, or one step."""
    counted = Steps(lambda _: step_s)
    fastest_threads(best, counted)
    assert [counted.seen[1:].count(threads) for threads in (1, 2, 4, 8, 16)] == [steps] * 5


class CallingLayer(nn.Linear):
    """A layer that calls a function of torch's number of threads in each forward pass."""

    def __init__(self, watch):
        super().__init__(2, 1)
        self.watch = watch

    def forward(self, inputs):
        self.watch(torch.get_num_threads())
        return super().forward(inputs)


def workload_of(watch, **options):
    optimizer = partial(torch.optim.SGD, lr=0.01)
    return Workload(
        CallingLayer(watch), nn.MSELoss(), optimizer, torch.ones(1, 2), torch.zeros(1, 1), **options
    )


@pytest.fixture
def measured(best):
    """Return a function: seconds by number of threads, and phases -> facts by phase, and the runner."""
    clock = SimulatedClock()
    runner = Runner(Budget(max_time_s=0.1), clock)

    def measure(seconds, *phases, batch_size=1, fails=False):
        seen = []

        def watch(threads):
            if fails:
                raise ValueError("not this batch")
            seen.append(threads)
            clock.advance(seconds[threads])

        def time_rounds(round_, plan):
            seen.clear()
            for _ in range(plan.rounds):
                round_.setup()
                round_.run()

        facts = {}
        for phase in phases:
            case = CaseKey.of("slow", batch_size, phase, "cpu@best")
            facts[phase] = runner.measure(case, best, lambda: workload_of(watch), time_rounds)
            facts[phase]["seen"] = set(seen)
        return facts, runner

    return measure


FASTEST_4 = {1: 4e-3, 2: 2e-3, 4: 1e-3, 8: 2e-3, 16: 3e-3}
FASTEST_1 = {1: 1e-3, 2: 2e-3, 4: 3e-3, 8: 3e-3, 16: 3e-3}


def test_all_phases_of_a_cell(measured):
    """They have the threads of its training step, which are recorded; the search is done once."""
    facts, runner = measured(FASTEST_4, "forward", "train")
    assert {phase: of_one["threads"] for phase, of_one in facts.items()} == {"forward": 4, "train": 4}
    assert {phase: of_one["seen"] for phase, of_one in facts.items()} == {"forward": {4}, "train": {4}}
    assert runner.spent[PREPARING] > sum(FASTEST_4[threads] for threads in (1, 2, 4, 8))


def test_each_cell_has_its_own(measured):
    first, _ = measured(FASTEST_4, "train")
    second, _ = measured(FASTEST_1, "train", batch_size=2)
    assert (first["train"]["threads"], second["train"]["threads"]) == (4, 1)


def test_search_is_done_once(measured):
    _, runner = measured(FASTEST_4, "train")
    before = runner.spent[PREPARING]
    measured(FASTEST_1, "train")  # the same cell
    assert runner.spent[PREPARING] - before < 0.02  # the search takes 0.047 s


def test_threads_after_a_case(measured, best):
    """Torch's default again, so that the canary always has the same."""
    measured(FASTEST_4, "train")
    assert best.threads == 8


def test_compiled_model(best, monkeypatch):
    """The search does not compile: each number of threads would compile again."""
    monkeypatch.setattr(torch, "compile", Mock(side_effect=AssertionError("compiled")))
    clock = SimulatedClock()
    workload = workload_of(lambda threads: clock.advance(FASTEST_4[threads]), compile=True)
    search = ThreadSearch(clock)
    assert search.threads(CaseKey.of("slow", 1, "train", "cpu@best").cell, best, workload) == 4


def test_step_that_fails(measured):
    """The case that runs it fails with its own error; one that does not is timed with torch's default."""
    facts, _ = measured(FASTEST_4, "transfer", fails=True)
    assert facts["transfer"]["threads"] == 8
    with pytest.raises(ValueError, match="not this batch"):
        measured(FASTEST_4, "forward", fails=True)
