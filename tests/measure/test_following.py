"""The other ranks: they obey, report their errors, and end where nobody can hear them."""

import dataclasses
import gc

import pytest
import torch

from breakeven.case import CaseKey, OutcomeKind
from breakeven.measure.following import Follower
from breakeven.measure.group import Failure, GroupBrokenError
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice, simulated_workload
from support.known_work import COSTS
from support.ranks import OwnPart, ScriptedGroup, Two, measure
from support.small_workloads import PHASES

is_multithreaded = torch.autograd.is_multithreading_enabled
CELL = CaseKey.of("w", 2, "train", "2xsimulated").cell
BUILT = [["build", CELL.label()], ["move_model"], ["start"]]
ROUND = [["prepare", "train", 3], ["run", "train", 3]]
END, LEAVE = ["end"], ["leave"]


@pytest.fixture
def device():
    return SimulatedDevice(SimulatedClock(), name="2xsimulated")


def follower_of(device, *commands, **group):
    """A follower that rank 0 sends these commands."""
    group = ScriptedGroup(rank=1, commands=commands, **group)
    return Follower(group, device, OwnPart(1, 2), device.clock), group


def test_it_reports_the_seconds_of_a_round_by_its_own_clock(device):
    follower, group = follower_of(device, *BUILT, *ROUND, END)
    follower.follow(CELL, lambda: simulated_workload(device))
    assert group.exchanged == [(0.0, None)] * 4 + [(3 * COSTS.train, None)]
    assert group.barriers == 1


def test_it_does_the_same_steps(device):
    """Its trainer ends where rank 0's does."""
    follower, _ = follower_of(device, *BUILT, *ROUND, *ROUND, ["loss_value"], ["release"], END)
    follower.follow(CELL, lambda: simulated_workload(device))
    assert follower._trainer._steps == 6
    assert follower._trainer.loss is None


def test_parameters_are_compared_by_rank_0(device):
    follower, group = follower_of(device, *BUILT, ["parameters"], END)
    gathered = []
    group.gather = gathered.append
    follower.follow(CELL, lambda: simulated_workload(device))
    assert gathered == ["same"]


def test_a_case_that_rank_0_skips(device):
    """Nothing is built."""
    follower, group = follower_of(device, END)
    follower.follow(CELL, None)
    assert group.exchanged == []


def test_the_next_case_of_a_cell_uses_its_trainer(device):
    follower, _ = follower_of(device, *BUILT, END, ["start"], *ROUND, END)
    follower.follow(CELL, lambda: simulated_workload(device))
    trainer = follower._trainer
    follower.follow(CELL, lambda: simulated_workload(device))
    assert follower._trainer is trainer


def test_an_error_is_reported(device):
    def recipe():
        raise ValueError("no data here")

    follower, group = follower_of(device, BUILT[0], END)
    follower.follow(CELL, recipe)
    [(_, failure)] = group.exchanged
    assert (failure.rank, failure.outcome) == (1, OutcomeKind.FAILED)
    assert failure.reason.startswith("rank 1: ")
    assert failure.reason.endswith("the recipe raised ValueError: no data here")


def test_after_an_error_it_follows_the_next_case(device):
    recipes = iter([None, lambda: simulated_workload(device)])
    follower, group = follower_of(device, BUILT[0], END, *BUILT, *ROUND, END)
    follower.follow(CELL, next(recipes))
    other = CaseKey.of("v", 2, "train", "2xsimulated").cell
    group._commands = iter([["build", other.label()], *BUILT[1:], *ROUND, END])
    follower.follow(other, next(recipes))
    assert group.exchanged[0][1].outcome == OutcomeKind.FAILED
    assert [failure for _, failure in group.exchanged[1:]] == 5 * [None]


def test_another_case_than_rank_0s(device):
    follower, group = follower_of(device, ["build", "other batch=2"], END)
    follower.follow(CELL, lambda: simulated_workload(device))
    assert group.exchanged[0][1].reason == (
        "rank 1: rank 0 measures other batch=2, this rank w batch=2; let every rank collect the same cases"
    )


@pytest.mark.parametrize("own", [True, False])
def test_the_others_do_not_answer(device, own):
    """It ends, with its own reason, or with what it knows of rank 0's end."""
    failure = Failure(1 if own else -1, OutcomeKind.CRASHED, "why")
    follower, group = follower_of(device, *BUILT, others=[(0.0, None), GroupBrokenError(failure)])
    with pytest.raises(SystemExit):
        follower.follow(CELL, lambda: simulated_workload(device))
    assert group.left is failure


def test_cases_that_are_timed_again(device):
    """After its last case it follows any cell it knows, until rank 0 leaves."""
    again = [BUILT[0], ["move_model"], ["start"], *ROUND, END]
    other = CaseKey.of("v", 2, "train", "2xsimulated").cell
    follower, group = follower_of(device, *BUILT, END, END, *again, END, LEAVE)
    follower.follow(CELL, lambda: simulated_workload(device))
    follower.follow(other, None)
    follower.follow_rest()
    assert len(group.exchanged) == 3 + 5
    assert all(failure is None for _, failure in group.exchanged)


def test_the_last_case_is_timed_again(device):
    """With the trainer that there is: rank 0 does not build it again."""
    follower, group = follower_of(device, *BUILT, END, ["start"], *ROUND, END, LEAVE)
    follower.follow(CELL, lambda: simulated_workload(device))
    follower.follow_rest()
    assert group.exchanged == [(0.0, None)] * 5 + [(3 * COSTS.train, None)]


@pytest.mark.parametrize("commands", [[LEAVE], [*BUILT, LEAVE]])
def test_rank_0_leaves_before_the_last_case(device, commands):
    """After Ctrl-C, for example: nothing more is waited for."""
    follower, group = follower_of(device, *commands)
    for _ in range(2):
        follower.follow(CELL, lambda: simulated_workload(device))
    follower.follow_rest()
    assert len(group.exchanged) == len(commands) - 1


def test_settings_of_a_recipe_are_in_effect(device):
    """As on rank 0, for its own cases alone."""

    def recipe():
        torch.use_deterministic_algorithms(True)
        return simulated_workload(device)

    follower, group = follower_of(device, *BUILT, END)
    seen = []
    group.exchange = lambda *_: seen.append(torch.are_deterministic_algorithms_enabled())
    follower.follow(CELL, recipe)
    assert seen == [True, True, True]
    assert not torch.are_deterministic_algorithms_enabled()


def test_options_of_a_workload_are_in_effect_and_garbage_is_left(device):
    """As on rank 0: one rank that collects would slow down all."""
    workload = dataclasses.replace(simulated_workload(device), single_threaded_backward=True)
    follower, group = follower_of(device, *BUILT, END)
    seen = []
    group.exchange = lambda *_: seen.append((is_multithreaded(), gc.isenabled()))
    follower.follow(CELL, lambda: workload)
    assert seen == 3 * [(False, False)]
    assert (is_multithreaded(), gc.isenabled()) == (True, True)


@pytest.mark.slow
def test_every_command_of_a_leader_is_known(device):
    """Whatever a runner lets rank 0 do of a phase, this rank does without an error."""
    for phase in PHASES:
        leading = ScriptedGroup()
        measure(Two(SimulatedClock(), name="2xsimulated"), leading, phase)
        follower, group = follower_of(device, *leading.announced)
        follower.follow(CELL, lambda: simulated_workload(device))
        assert [failure for _, failure in group.exchanged if failure] == []
        assert len(group.exchanged) == len(leading.exchanged)
