"""Rank 0: what it announces, what it makes of the others' answers, and the time it shows."""

import dataclasses

import pytest
import torch

from breakeven.case import Budget, OutcomeKind
from breakeven.errors import MeasurementError
from breakeven.measure.group import UNKNOWN, Failure, GroupBrokenError
from breakeven.measure.leading import Leader, LeadingTrainer
from breakeven.measure.outcomes import RankError
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import SimulatedClock, simulated_workload
from breakeven.measure.timing import Round, time_round
from breakeven.measure.together import Together
from breakeven.phases import Phase
from support.known_work import COSTS
from support.ranks import OwnPart, OwnTrainer, ScriptedGroup, Two, case_of, measure, runner_of

OOM = Failure(1, OutcomeKind.OOM, "rank 1: OutOfMemoryError: no memory")


@pytest.fixture
def device():
    return Two(SimulatedClock(), name="2xsimulated")


def leading(device, group):
    part = OwnPart(0, 2)
    cell = case_of().cell
    trainer = LeadingTrainer(
        cell, lambda: part.trainer(cell, simulated_workload(device), device), Leader(group), device.clock
    )
    trainer.move_model()
    trainer.start()
    return trainer


def test_everything_of_a_case_is_announced(device):
    group = ScriptedGroup()
    measure(device, group)
    names = [command[0] for command in group.announced]
    assert names[:7] == ["build", "move_model", "start", "prepare", "run", "loss_value", "prepare"]
    assert names[7] == "parameters"  # once the first step is done
    assert names.count("parameters") == names.count("start") == names.count("build") == 1
    assert names[-2:] == ["release", "end"]
    assert group.announced[0] == ["build", "w batch=2"]
    steps = {tuple(command[1:]) for command in group.announced if command[0] == "run"}
    assert ("train", 1) in steps


def test_every_command_but_the_end_is_answered(device):
    group = ScriptedGroup()
    measure(device, group)
    assert len(group.exchanged) == len(group.announced) - 1


def test_a_rank_waits_for_its_device_before_it_answers(device):
    """Else it would wait where the others cannot hear of an error."""
    group = ScriptedGroup()
    idle = []
    exchange = group.exchange

    def exchange_when_idle(*args):
        idle.append(device.clock.now >= device.busy_until)
        return exchange(*args)

    group.exchange = exchange_when_idle
    measure(device, group)
    assert all(idle)


def test_a_round_begins_together(device):
    group = ScriptedGroup()
    measure(device, group)
    assert group.barriers == sum(command[0] == "run" for command in group.announced)


@pytest.mark.parametrize(("other_s", "shown_s"), [(1000.0, 1000.0), (1.0, COSTS.train)])
def test_a_round_takes_as_long_as_the_slowest_rank(device, other_s, shown_s):
    """By its own clock, the other may be faster or slower."""
    trainer = leading(device, ScriptedGroup(others=6 * [(other_s, None)]))
    assert time_round(Round(Phase.TRAIN, trainer), device.clock).latency_s == shown_s


def test_the_slowest_rank_is_found_in_each_round(device):
    trainer = leading(device, ScriptedGroup(others=[(0.0, None)] * 4 + [(50.0, None)]))
    round_ = Round(Phase.TRAIN, trainer)
    first, second = (time_round(round_, device.clock).latency_s for _ in range(2))
    assert (first, second) == (50.0, COSTS.train)


def test_steps_of_a_loop_share_the_slowest_time(device):
    trainer = leading(device, ScriptedGroup(others=[(0.0, None)] * 4 + [(500.0, None)]))
    assert time_round(Round(Phase.TRAIN, trainer, steps=5), device.clock).latency_s == 100.0


@pytest.mark.parametrize("at", range(1, 8))
def test_another_rank_fails(device, at):
    """Whatever it was doing, the case ends with its reason at once."""
    group = ScriptedGroup(others=[(0.0, None)] * (at - 1) + [(0.0, OOM)])
    with pytest.raises(RankError, match=r"^rank 1: OutOfMemoryError: no memory$"):
        measure(device, group)
    is_first_call = group.announced[at - 1][0] in ("prepare", "run") and at < 6
    assert len(group.exchanged) == at + is_first_call  # after which a loss may be the better reason
    assert group.announced[-1] == ["end"]


def test_the_outcome_is_that_of_the_rank(device):
    runner, _ = runner_of(device, ScriptedGroup())
    assert runner.note_failure(case_of(), RankError(OOM.outcome, OOM.reason)) == (
        OutcomeKind.OOM,
        "rank 1: OutOfMemoryError: no memory",
    )


def test_this_rank_fails(device):
    """It reports that to the others, and raises its own error."""
    group = ScriptedGroup()

    def recipe():
        workload = simulated_workload(device)
        return dataclasses.replace(workload, loss=lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        measure(device, group, recipe=recipe)
    line = recipe.__code__.co_firstlineno + 2
    assert [failure for _, failure in group.exchanged if failure] == [
        Failure(0, OutcomeKind.FAILED, f"rank 0: {__file__}:{line}: ZeroDivisionError: division by zero")
    ]


def test_both_fail(device):
    """The own error is the better reason: it has a traceback."""
    trainer = leading(device, ScriptedGroup(others=[(0.0, None)] * 3 + [(0.0, OOM)]))
    with pytest.raises(KeyError):
        trainer.run_marked(Phase.TRAIN, {}.__getitem__)


def broken_by(failure):
    return ScriptedGroup(others=[(0.0, None)] * 3 + [GroupBrokenError(failure)])


@pytest.mark.parametrize("failure", [OOM, Failure(UNKNOWN, OutcomeKind.CRASHED, "gone")])
def test_ranks_lose_each_other(device, failure):
    """The case ends with the reason that is known; so does everything after it, and nothing is sent."""
    group = broken_by(failure)
    trainer = leading(device, group)
    for _ in range(2):
        with pytest.raises(RankError) as error:
            trainer.prepare(Phase.TRAIN)
        assert (str(error.value), error.value.outcome) == (failure.reason, failure.outcome)
    assert [command[0] for command in group.announced] == ["build", "move_model", "start", "prepare"]


def test_the_others_never_hear_of_this_ranks_error(device):
    own = Failure(0, OutcomeKind.FAILED, "rank 0: KeyError: ''")
    trainer = leading(device, broken_by(own))
    with pytest.raises(KeyError):
        trainer.run_marked(Phase.TRAIN, {}.__getitem__)


def test_broken_ranks_are_known(device):
    group = ScriptedGroup(others=[GroupBrokenError(OOM)])
    runner, together = runner_of(device, group)
    assert not together.is_broken
    with pytest.raises(RankError):
        runner.measure(case_of(), device, lambda: simulated_workload(device), lambda *_: None)
    assert together.is_broken
    together.end_case()
    assert group.announced == [["build", "w batch=2"]]


def test_ranks_hold_other_parameters(device):
    with pytest.raises(
        MeasurementError, match=r"^rank 1 holds other parameters than rank 0 after the first step"
    ):
        measure(device, ScriptedGroup(texts=["a", "b"]))


def test_only_the_first_loss_is_compared(device):
    """After the first step, the weights are those of the global batch, which the CPU has not seen."""

    class Diverging(OwnTrainer):
        def loss_value(self):
            loss = super().loss_value()
            return loss if not self.has_stepped else 1e6

    group = ScriptedGroup()
    runner, together = runner_of(device, group)
    together._part.trainer = lambda _, *args: Diverging(*args)
    facts = runner.measure(case_of(), device, lambda: simulated_workload(device), lambda *_: None)
    assert facts["loss_compared"] is True
    assert "loss" not in facts


def test_work_is_that_of_all_ranks(device):
    """Twice that of rank 0's slice: what the device does, in the time of the slowest rank."""
    facts, _ = measure(device, ScriptedGroup())
    assert facts["flops"] == 2 * 2 * (2 * 2)
    facts, _ = measure(device, ScriptedGroup(), "step")
    assert facts["moved_bytes"] == 2 * 3 * (2 + 1) * 4


def test_parts_and_queueing_are_announced(device):
    """They run steps, in which the others must take part; rank 0 marks its own."""
    group = ScriptedGroup()
    facts, _ = measure(device, group)
    assert facts["parts_s"]["backward"] == COSTS.backward
    assert facts["device_time_s"] == COSTS.train
    assert "enqueue_s" in facts


def test_pytest_benchmark_reads_the_slowest_rank(device):
    from breakeven.plugin.case_clock import CaseClock

    trainer = leading(device, ScriptedGroup(others=[(0.0, None)] * 4 + [(500.0, None)]))
    round_ = Round(Phase.TRAIN, trainer, steps=5)
    clock = CaseClock(device.clock)
    clock.steps, clock.round_clock = round_.steps, round_.clock
    round_.setup()
    start = clock()
    round_.run()
    assert clock() - start == 100.0


def test_the_losses_of_a_slice(device):
    """The CPU's reference is computed of rank 0's slice, not of the whole batch."""

    class Half(OwnPart):
        def share(self, cell, workload):
            return dataclasses.replace(workload, inputs=workload.inputs[:1], targets=torch.zeros(1, 1))

    together = Together(ScriptedGroup(), device, 0.5, Half(0, 2), device.clock)
    runner = Runner(Budget(max_time_s=1e3), device.clock, together)

    def recipe():
        workload = simulated_workload(device)
        return dataclasses.replace(
            workload, inputs=torch.tensor([[1.0, 1.0], [9.0, 9.0]]), targets=torch.zeros(2, 1)
        )

    facts = runner.measure(case_of(), device, recipe, lambda *_: None)
    assert facts["loss_compared"] is True
