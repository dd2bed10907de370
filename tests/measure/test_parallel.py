"""A rank's trainer, of one rank over gloo in this process: it trains as a trainer alone does."""

import dataclasses
from functools import partial

import pytest
import torch
from torch import nn

from breakeven.case import Budget, CaseKey
from breakeven.measure.outcomes import UnsupportedError, reason_for
from breakeven.measure.parallel import ParallelTrainer
from breakeven.measure.runner import Runner
from breakeven.measure.state import local_of
from breakeven.measure.timing import time_round
from breakeven.measure.trainer import MAX_STEPS
from breakeven.measure.workload import build
from breakeven.phases import STEP_PARTS, Phase
from support.ranks import joined_alone
from support.small_workloads import OPTIMIZERS, PHASES, losses, tiny, train

BOTH = pytest.mark.parametrize("fsdp", [False, True], ids=["ddp", "fsdp"])


@pytest.fixture
def together(monkeypatch):
    """The only rank of 1xcpu."""
    joined = joined_alone(monkeypatch, "1xcpu")
    with joined.device.active():
        yield joined
    joined.leave()


def normed(batch_size=8, **changes):
    """A model with buffers, in blocks."""
    model = nn.Sequential(nn.Linear(10, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))
    return dataclasses.replace(tiny(batch_size, "adam"), model=model, **changes)


def ready(together, workload):
    trainer = ParallelTrainer(workload, together.device)
    trainer.move_model()
    trainer.start()
    return trainer


def after(trainer, phase, rounds, steps=1):
    """The losses of some rounds."""
    seen = []
    for _ in range(rounds):
        trainer.prepare(phase, steps)
        trainer.run(phase, steps)
        seen.append(trainer.loss_value())
    return seen


def local(trainer):
    return [local_of(one).detach().clone() for one in trainer.trained()]


@BOTH
@pytest.mark.parametrize("optimizer", ["momentum", "adam", "adam_fused"])
def test_it_trains_as_a_trainer_alone(together, fsdp, optimizer):
    def recipe():
        return normed(optimizer=OPTIMIZERS[optimizer], fsdp=fsdp)

    trainer = ready(together, build(recipe))
    assert train(trainer, 5) == pytest.approx(losses(build(recipe), 5), rel=1e-6)


@BOTH
def test_the_state_returns_to_the_first_step(together, fsdp):
    """Every few hundred steps, and for the next case: parameters, buffers, moments."""
    trainer = ready(together, build(lambda: normed(fsdp=fsdp)))
    first = after(trainer, Phase.TRAIN, MAX_STEPS + 2)
    assert first[MAX_STEPS : MAX_STEPS + 2] == first[2:4]  # the second step is not timed after a return
    assert first[MAX_STEPS - 1] < first[2]
    trainer.start()
    assert after(trainer, Phase.TRAIN, 3) == first[:3]


@BOTH
def test_a_case_without_synchronization_leaves_nothing_behind(together, fsdp):
    trainer = ready(together, build(lambda: normed(fsdp=fsdp)))
    first = after(trainer, Phase.TRAIN, 4)
    for phase in (Phase.TRAIN_NO_SYNC, Phase.FORWARD):
        trainer.start()
        after(trainer, phase, 3)
        trainer.start()
        assert after(trainer, Phase.TRAIN, 4) == first


def test_the_state_is_this_ranks_part(together):
    """Operations on a sharded tensor would wait for the other ranks."""
    trainer = ready(together, build(lambda: normed(fsdp=True)))
    after(trainer, Phase.TRAIN, 2)
    trainer.prepare(Phase.TRAIN)
    tensors = list(trainer.state_tensors())
    assert len(tensors) > 10
    assert not any(hasattr(tensor, "to_local") for tensor in tensors)


def test_without_synchronization_replicas_train_all_the_same(together):
    trainer = ready(together, build(normed))
    first = after(trainer, Phase.TRAIN, 4)
    trainer.start()
    assert after(trainer, Phase.TRAIN_NO_SYNC, 4) == first


def test_without_synchronization_shards_keep_whole_parameters(together):
    """The optimizer steps the parts, with gradients of 0; those of the whole are dropped in each step."""
    trainer = ready(together, build(lambda: normed(fsdp=True, optimizer=partial(torch.optim.SGD, lr=0.1))))
    parts = trainer.trained()
    before = [local_of(part).clone() for part in parts]
    after(trainer, Phase.TRAIN_NO_SYNC, 3)
    whole = trainer.trained()
    assert not any(hasattr(one, "to_local") for one in whole)
    once = [one.grad.clone() for one in whole]
    trainer.prepare(Phase.TRAIN_NO_SYNC)
    trainer.run(Phase.TRAIN_NO_SYNC)
    assert all(torch.allclose(one.grad, kept) for one, kept in zip(whole, once, strict=True))
    assert all(local_of(part.grad).count_nonzero() == 0 for part in parts)
    assert all(torch.equal(local_of(part), kept) for part, kept in zip(parts, before, strict=True))


def test_a_long_loop_without_synchronization_of_shards(together):
    """It returns to the first step, too, and its optimizer still has gradients."""
    trainer = ready(together, build(lambda: normed(fsdp=True)))
    parts = trainer.trained()
    after(trainer, Phase.TRAIN_NO_SYNC, 3, steps=MAX_STEPS // 2)
    assert all(part.grad is not None for part in parts)


def test_blocks_are_sharded_on_their_own(together):
    from torch.distributed.fsdp import FSDPModule

    class Nested(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(10, 5)
            self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(5, 5), nn.ReLU()), nn.ReLU()])
            self.last = nn.Linear(5, 2)

        def forward(self, value):
            value = self.first(value)
            for block in self.blocks:
                value = block(value)
            return self.last(value)

    trainer = ready(together, dataclasses.replace(tiny(8), model=Nested(), fsdp=True))
    model = trainer._module
    sharded = [name for name, module in model.named_modules() if isinstance(module, FSDPModule)]
    assert sharded == ["", "blocks.0"]


class Scaled(nn.Module):
    """A loss with a parameter."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, outputs, targets):
        return (self.scale * outputs - targets).square().mean()


def test_a_loss_with_parameters_is_trained_together(together):
    workload = build(lambda: dataclasses.replace(tiny(8), loss=Scaled()))
    trainer = ready(together, workload)
    assert type(trainer._criterion) is type(trainer.model) is nn.parallel.DistributedDataParallel
    assert train(trainer, 3) == pytest.approx(losses(workload, 3), rel=1e-6)


def test_a_loss_that_shares_parameters_is_skipped(together):
    class Holding(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, outputs, targets):
            return (outputs - targets).square().mean() + self.model[0].weight.square().sum()

    def recipe():
        workload = tiny(8)
        return dataclasses.replace(workload, loss=Holding(workload.model))

    trainer = ParallelTrainer(build(recipe), together.device)
    with pytest.raises(
        UnsupportedError, match=r"^the loss shares parameters with the model, which 1xcpu cannot"
    ):
        trainer.start()


def test_frozen_parts_are_not_wrapped(together):
    workload = tiny(8)
    workload.model[0].requires_grad_(False)
    trainer = ready(together, dataclasses.replace(workload, fsdp=True))
    assert len(train(trainer, 3)) == 3


def test_parameters_as_a_text(together):
    """It depends on every bit, and is empty where ranks may differ."""
    trainer = ready(together, build(normed))
    before = trainer.parameters_text()
    assert before == ready(together, build(normed)).parameters_text()
    with torch.no_grad():
        trainer.trained()[-1].add_(1e-6)
    assert trainer.parameters_text() != before
    trainer.start()
    trainer.prepare(Phase.TRAIN_NO_SYNC)
    assert trainer.parameters_text() == ""
    assert ready(together, build(lambda: normed(fsdp=True))).parameters_text() == ""


@BOTH
def test_a_runner_times_every_phase(together, fsdp):
    """Model with batch normalization, whose CPU losses agree; the state after it has no sharded tensors."""
    runner = Runner(Budget(max_time_s=0.02), together=together)
    device = together.device
    for phase in PHASES:
        case = CaseKey.of("w", 8, phase, device.name)
        times = []

        def rounds(round_, plan, times=times):
            times.extend(time_round(round_).latency_s for _ in range(plan.rounds))

        facts = runner.measure(case, device, lambda: normed(fsdp=fsdp), rounds)
        assert min(times) > 0
        assert facts.get("loss_compared") is (True if phase.takes_steps else None)
        assert facts["init_s"] == together.init_s
        assert (facts["ranks"], facts["device_name"]) == (1, "1xcpu")
    runner.close()


def test_graphs_are_skipped(together):
    runner = Runner(Budget(max_time_s=0.02), together=together)
    case = CaseKey.of("w", 8, "train", "1xcpu")
    with pytest.raises(UnsupportedError, match=r"^cuda_graph=True: 1xcpu cannot capture CUDA graphs$"):
        runner.measure(case, together.device, lambda: normed(cuda_graph=True), lambda *_: None)
    together.end_case()


def test_every_part_is_done_once(together):
    """A trainer that wraps its model still has the parts of a step."""
    trainer = ready(together, build(normed))
    done = []
    trainer.prepare(Phase.TRAIN)
    trainer.run_marked(Phase.TRAIN, done.append)
    assert done == ["", *STEP_PARTS]


class Partial(nn.Linear):
    """A model of which two parameters take no part."""

    def __init__(self):
        super().__init__(10, 2)
        self.spare = nn.Linear(3, 3)


@pytest.mark.parametrize(
    ("fsdp", "phase"),
    [(False, Phase.TRAIN), (False, Phase.FORWARD), (False, Phase.TRAIN_NO_SYNC), (True, Phase.TRAIN)],
)
def test_parameters_that_take_no_part(together, fsdp, phase):
    """Only replicas need a gradient of each, after the first step, and only where they average them."""
    trainer = ready(together, dataclasses.replace(tiny(8, "sgd"), model=Partial(), fsdp=fsdp))
    if fsdp or phase is Phase.TRAIN_NO_SYNC:
        assert len(after(trainer, phase, 3)) == 3
    else:
        with pytest.raises(UnsupportedError, match=r"^spare.weight, spare.bias took no part in a step"):
            after(trainer, phase, 3)


def test_parameters_that_take_no_part_in_a_later_step(together):
    class Once(Partial):
        def forward(self, inputs):
            spared, self.spare = self.spare, nn.Identity()
            return super().forward(inputs) + spared(inputs[:, :3]).sum()

    trainer = ready(together, dataclasses.replace(tiny(8, "sgd"), model=Once()))
    with pytest.raises(RuntimeError) as raised:
        after(trainer, Phase.TRAIN, 4)
    assert reason_for(raised.value).startswith("some parameters took no part in a step")


def test_parameters_that_are_not_trained(together):
    """They need no gradient."""
    model = Partial()
    model.spare.requires_grad_(False)
    assert len(after(ready(together, dataclasses.replace(tiny(8, "sgd"), model=model)), Phase.TRAIN, 3)) == 3
