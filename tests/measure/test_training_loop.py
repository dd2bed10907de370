"""Several batches, accumulated, clipped and scaled gradients, and a scheduler: as a loop written by hand."""

import dataclasses
import itertools
import json
import warnings
from collections import Counter
from functools import partial
from statistics import median

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau, SequentialLR, StepLR

from breakeven.case import Budget, CaseKey
from breakeven.errors import MeasurementError, RecipeError
from breakeven.hardware.devices import Cpu
from breakeven.measure.cuda_graphs import why_no_graphs
from breakeven.measure.flops import count_flops
from breakeven.measure.loss_check import first_losses
from breakeven.measure.outcomes import CaseSkipped, UnsupportedError, reason_for
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import Costs, SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.measure.timing import Round, time_round
from breakeven.measure.trainer import MAX_STEPS, Trainer
from breakeven.measure.workload import Workload, build
from breakeven.phases import Phase
from support.small_workloads import ready

COSTS = Costs()
BRIEF = Budget(max_time_s=0.1)
SCHEDULERS = {
    "none": None,
    "step": partial(StepLR, step_size=2, gamma=0.5),
    "one-cycle": partial(OneCycleLR, max_lr=0.1, total_steps=2000),  # changes the momentum too
    "lambda": partial(LambdaLR, lr_lambda=lambda step: 1 / (1 + step)),
    "sequence": lambda optimizer: SequentialLR(
        optimizer, [StepLR(optimizer, 2), StepLR(optimizer, 3)], milestones=[3]
    ),
}


def batches_of(lengths):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(n, 6, generator=generator), torch.randint(3, (n,), generator=generator)) for n in lengths
    ]


def workload_of(lengths=(4,), **fields):
    """A small classifier, trained on batches of these lengths."""
    torch.manual_seed(0)
    batches = batches_of(lengths)
    data = {"batches": batches} if len(batches) > 1 else {"inputs": batches[0][0], "targets": batches[0][1]}
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
    return Workload(model, nn.CrossEntropyLoss(), optimizer, **data, **fields)


def by_hand(workload, steps):
    """The weights after some steps of the loop that a user writes."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = workload.scheduler and workload.scheduler(optimizer)
    scaler = torch.amp.GradScaler("cpu", enabled=bool(workload.grad_scaler))
    data = itertools.cycle(workload.host_batches)
    for _ in range(steps):
        optimizer.zero_grad()
        for _ in range(workload.accumulate):
            inputs, targets = next(data)
            with torch.autocast("cpu", torch.float16, enabled=workload.autocast is not None):
                loss = criterion(model(inputs), targets) / workload.accumulate
            scaler.scale(loss).backward()
        if workload.clip_grad_norm:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), workload.clip_grad_norm)
        scaler.step(optimizer)
        scaler.update()
        if scheduler:
            scheduler.step()
    return list(model.parameters())


def same(some, others):
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


@pytest.mark.parametrize("lengths", [(4,), (4, 2, 4)], ids=["one batch", "batches"])
@pytest.mark.parametrize("scaler", [False, True], ids=["plain", "scaled"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("norm", [None, 0.05], ids=["unclipped", "clipped"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_it_trains_as_a_loop_by_hand(accumulate, norm, scheduler, scaler, lengths):
    """Every bit of the weights, after steps of which a scaler skips none."""
    fields = {"autocast": torch.float16, "grad_scaler": True} if scaler else {}
    workload = workload_of(
        lengths, accumulate=accumulate, clip_grad_norm=norm, scheduler=SCHEDULERS[scheduler], **fields
    )
    trainer = ready(workload)
    trainer.run(Phase.TRAIN, steps=5)
    assert same(trainer.trained(), by_hand(workload, 5))
    assert not same(trainer.trained(), by_hand(workload, 4))


@pytest.mark.parametrize("field", ["accumulate", "clip_grad_norm", "scheduler", "autocast", "batches"])
def test_each_field_changes_the_weights(field):
    """So the comparison above would notice a field without an effect."""
    changes = {
        "accumulate": 2,
        "clip_grad_norm": 0.05,
        "scheduler": SCHEDULERS["lambda"],
        "autocast": torch.float16,
    }
    plain = by_hand(workload_of((4,)), 5)
    changed = workload_of((4, 2) if field in ("batches", "accumulate") else (4,))
    if field in changes:
        changed = dataclasses.replace(changed, **{field: changes[field]})
    trainer = ready(changed)
    trainer.run(Phase.TRAIN, steps=5)
    assert not same(trainer.trained(), plain)


# On the simulated device


class Measured:
    """What a runner finds of the cases of a simulated workload; the launches are free."""

    def __init__(self, samples=(1,), costs=COSTS, budget=None, **fields):
        self.device = SimulatedDevice(SimulatedClock())
        self.recipe = lambda: simulated_workload(self.device, costs, samples, **fields)
        self.runner = Runner(budget or Budget(max_time_s=1e4, timeout_s=1e9), self.device.clock)
        self.rounds = []
        self.facts = {}

    def of(self, phase):
        """The time of a phase, which is the same in every round."""
        self.rounds = []
        case = CaseKey.of("w", 1, phase, self.device.name)
        self.facts = self.runner.measure(case, self.device, self.recipe, self.time_rounds)
        assert max(self.rounds) == pytest.approx(min(self.rounds), rel=1e-12)
        return median(self.rounds)

    def time_rounds(self, round_, plan):
        clock = self.device.clock
        self.rounds += [time_round(round_, clock).latency_s for _ in range(plan.rounds)]


PARTS = ("transfer", "zero_grad", "forward", "backward", "step")


def test_time_of_accumulated_steps():
    """A step has three passes; the phases of a pass time one."""
    measured = Measured(accumulate=3)
    passes = 3 * (COSTS.transfer + COSTS.forward + COSTS.backward)
    assert measured.of("train") == passes + COSTS.zero_grad + COSTS.step
    assert measured.facts["accumulate"] == 3
    assert measured.of("train_sync") == passes + COSTS.zero_grad + COSTS.step
    for phase in ("transfer", "forward", "backward", "step"):
        assert measured.of(phase) == getattr(COSTS, phase)


def test_parts_of_accumulated_steps():
    """They are totals of the step."""
    measured = Measured(accumulate=3)
    measured.of("train")
    once = {part: getattr(COSTS, part) for part in PARTS}
    assert measured.facts["parts_s"] == {
        part: seconds * (1 if part in ("zero_grad", "step") else 3) for part, seconds in once.items()
    }
    assert measured.facts["device_time_s"] == sum(measured.facts["parts_s"].values())


@pytest.mark.parametrize("accumulate", [1, 2, 3, 4])
@pytest.mark.parametrize("samples", [(1, 3), (1, 2, 6)])
def test_time_of_several_batches(samples, accumulate):
    """Each round has each batch equally often, in every phase, so its time is the mean."""
    mean = sum(samples) / len(samples)
    measured = Measured(samples, accumulate=accumulate)
    of_pass = mean * (COSTS.transfer + COSTS.forward + COSTS.backward)
    step_s = accumulate * of_pass + COSTS.zero_grad + COSTS.step
    assert measured.of("train") == pytest.approx(step_s)
    assert measured.facts["steps"] * accumulate % len(samples) == 0
    assert measured.facts["parts_s"]["forward"] == pytest.approx(accumulate * mean * COSTS.forward)
    assert measured.facts["enqueue_transfer_s"] == 0.0
    assert measured.of("train_sync") == pytest.approx(step_s)
    assert "steps" not in measured.facts
    for phase in ("transfer", "forward", "backward"):
        assert measured.of(phase) == pytest.approx(mean * getattr(COSTS, phase))
    assert measured.of("step") == pytest.approx(COSTS.step)


def test_steps_of_a_loop_are_whole_cycles():
    costs = Costs(*[1e-4] * 6)
    measured = Measured((1, 2, 3), costs, Budget(max_time_s=1.0))
    measured.of("train")
    assert measured.facts["steps"] % 3 == 0
    assert measured.facts["steps"] > 3
    assert measured.facts["batches"] == measured.facts["batch_shapes"] == 3


def test_all_batches_in_turn_across_returns_to_the_first_step():
    """A phase that is not a loop takes each batch equally often in each round, however many there are."""
    device = SimulatedDevice(SimulatedClock())
    trainer = Trainer(simulated_workload(device, samples=(1, 2, 6), accumulate=2), device)
    trainer.start()
    round_ = Round(Phase.FORWARD, trainer, clock=device.clock)
    for _ in range(3):
        time_round(round_, device.clock)
    times = {time_round(round_.of(1), device.clock).latency_s for _ in range(2 * MAX_STEPS // 3)}
    assert {round(seconds, 9) for seconds in times} == {3 * COSTS.forward}


def test_a_round_with_all_batches_counts_its_preparation():
    device = SimulatedDevice(SimulatedClock())
    trainer = Trainer(simulated_workload(device, samples=(1, 3)), device)
    trainer.start()
    round_ = Round(Phase.FORWARD, trainer, clock=device.clock).of(1)
    time_round(round_, device.clock)
    before = device.clock.now
    timed = time_round(round_, device.clock)
    assert timed.latency_s == 2 * COSTS.forward
    assert timed.total_s == device.clock.now - before
    assert trainer._steps == 4  # so that the return to the first step comes in time
    assert timed.steps == 1


def test_too_many_batches():
    """What a round would take is known before the first one."""
    measured = Measured((1,) * 100, budget=Budget(max_time_s=50.0, timeout_s=1e9))
    measured.of("transfer")  # of a model, the first case is always timed
    began_s = measured.device.clock.now
    with pytest.raises(CaseSkipped, match="would take too long"):
        measured.of("forward")
    assert measured.device.clock.now - began_s < 10 * COSTS.train


def test_facts_of_batches():
    """Only what is above 1 is recorded."""
    measured = Measured((2, 2))
    measured.of("forward")
    assert measured.facts["batches"] == 2
    assert not measured.facts.keys() & {"accumulate", "batch_shapes"}
    measured = Measured()
    measured.of("forward")
    assert not measured.facts.keys() & {"accumulate", "batches", "batch_shapes"}


def test_moved_bytes():
    """The mean of the batches; a clipped step moves its gradients three times more."""
    measured = Measured((1, 3))
    measured.of("transfer")
    assert measured.facts["moved_bytes"] == 2 * (2 + 1) * 4
    measured.of("step")
    assert measured.facts["moved_bytes"] == 3 * 3 * 4
    measured = Measured(clip_grad_norm=1.0)
    measured.of("step")
    assert measured.facts["moved_bytes"] == (3 + 3) * 3 * 4
    measured = Measured(grad_scaler=True, autocast=torch.float16)
    measured.of("step")
    assert measured.facts["moved_bytes"] == (3 + 2) * 3 * 4


def test_operations():
    """Those of the mean batch, in each pass."""
    one, three = (count_flops(workload_of(lengths)) for lengths in [(2,), (6,)])
    both = count_flops(workload_of((2, 6)))
    assert (both.forward, both.backward) == (
        (one.forward + three.forward) / 2,
        (one.backward + three.backward) / 2,
    )
    assert count_flops(workload_of((2, 2, 6, 6))) == both
    measured = Measured((1, 3), accumulate=3)
    measured.of("train")
    whole = measured.facts["flops"]
    measured.of("forward")
    forward = measured.facts["flops"]
    measured.of("backward")
    assert whole == 3 * (forward + measured.facts["flops"])


# The state of training


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("scaler", [False, True], ids=["plain", "scaled"])
def test_the_state_returns_with_scheduler_scaler_and_order(scheduler, scaler):
    """The second step after a return is the second step."""
    fields = {"autocast": torch.float16, "grad_scaler": True} if scaler else {}
    workload = workload_of(
        (4, 2, 4, 3, 5), accumulate=2, scheduler=SCHEDULERS[scheduler], clip_grad_norm=0.5, **fields
    )
    trainer = ready(workload)
    for _ in range(2):
        trainer.prepare(Phase.TRAIN)
        trainer.run(Phase.TRAIN)
    second = [one.detach().clone() for one in trainer.trained()]
    rate, batch = trainer.optimizer.param_groups[0]["lr"], trainer._turns.at
    for _ in range(7):
        trainer.prepare(Phase.TRAIN)
        trainer.run(Phase.TRAIN)
    assert not same(trainer.trained(), second)
    trainer.restore()
    assert same(trainer.trained(), second)
    assert (trainer.optimizer.param_groups[0]["lr"], trainer._turns.at) == (rate, batch)
    if scaler:
        assert trainer.scaler.get_scale() == 65536.0
        assert trainer.scaler._growth_tracker.item() == 2


def overflowing(workload, scale):
    """A workload whose scaler begins with a scale that is too large."""
    return dataclasses.replace(
        workload, grad_scaler=lambda kind: torch.amp.GradScaler(kind, init_scale=scale)
    )


@pytest.mark.parametrize("scheduler", [None, SCHEDULERS["step"]], ids=["constant", "scheduled"])
def test_skipped_first_steps_are_repeated(scheduler):
    """The state is kept after the first step that the scaler did not skip, on the same batches."""
    lengths = (4, 2, 3, 5, 6, 7, 8)
    plain = workload_of(lengths, autocast=torch.float16, grad_scaler=True, scheduler=scheduler)
    trainer = ready(overflowing(plain, 2.0**22))
    initial = [one.detach().clone() for one in trainer.trained()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.prepare(Phase.TRAIN)
        trainer.run(Phase.TRAIN)
        assert same(trainer.trained(), initial)  # it was skipped
        trainer.prepare(Phase.TRAIN)
    assert trainer.has_stepped
    assert trainer._turns.at == 1
    assert not same(trainer.trained(), initial)
    assert scheduler or same(trainer.trained(), by_hand(plain, 1))
    assert trainer.scaler.get_scale() < 2.0**22


def test_a_scaler_that_never_fits():
    workload = workload_of(autocast=torch.float16, grad_scaler=True)
    trainer = ready(overflowing(workload, 2.0**60))
    trainer.prepare(Phase.TRAIN)
    trainer.run(Phase.TRAIN)
    with pytest.raises(MeasurementError, match="skipped the first 20 steps"):
        trainer.prepare(Phase.TRAIN)


@pytest.mark.parametrize("phase", ["train", "forward", "backward"])
@pytest.mark.parametrize("scale", [2.0**10, 2.0**22], ids=["fits", "is too large"])
def test_both_devices_compute_the_same_losses(phase, scale):
    """Those of the last pass of the first two steps that the scaler did not skip."""
    recipe = lambda: overflowing(  # noqa: E731
        workload_of((4, 2, 3), accumulate=2, autocast=torch.float16, grad_scaler=True), scale
    )
    device = SimulatedDevice(SimulatedClock())
    case = CaseKey.of("w", 4, phase, device.name)
    facts = Runner(BRIEF).measure(case, device, recipe, lambda *_: None)
    assert facts["loss_compared"] is True
    assert facts["loss"] == first_losses(build(recipe))[1]
    assert first_losses(build(recipe)) == pytest.approx(
        first_losses(workload_of((4, 2, 3), accumulate=2)), rel=1e-2
    )


def test_a_wrong_loss_is_found_in_the_last_pass():
    """The recipe's loss is another one on the device."""
    device = SimulatedDevice(SimulatedClock())
    calls = Counter()

    class Other(nn.Module):
        def forward(self, outputs, targets):
            calls["all"] += 1
            wrong = 1.0 if calls["all"] == 2 else 0.0
            return nn.functional.cross_entropy(outputs, targets) + wrong

    def recipe():
        calls.clear()
        return dataclasses.replace(workload_of((4, 2), accumulate=2), loss=Other())

    case = CaseKey.of("w", 4, "train", device.name)
    with pytest.raises(MeasurementError, match="a different result than the CPU: first loss"):
        Runner(BRIEF).measure(case, device, recipe, lambda *_: None)


def test_a_loss_that_is_not_finite():
    workload = workload_of(autocast=torch.float16, grad_scaler=True, accumulate=2)
    workload.host_batches[0][0].fill_(float("inf"))
    with pytest.raises(MeasurementError, match="the loss is nan"):
        Runner(Budget()).measure(CaseKey.of("w", 4, "train", "cpu"), Cpu(), lambda: workload, None)


# What is refused


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "scheduler",
            partial(ReduceLROnPlateau, patience=3),
            "ReduceLROnPlateau.step needs 'metrics', so it",
        ),
        ("scheduler", lambda _: None, "returned None, expected a scheduler with step"),
        ("scheduler", lambda _: StepLR, "returned type, expected a scheduler with step"),
        ("grad_scaler", lambda _: None, "returned None, expected a scaler with scale"),
        ("grad_scaler", lambda _: SCHEDULERS, "returned dict, expected a scaler with scale"),
    ],
)
def test_factories_that_return_something_else(field, value, message):
    workload = dataclasses.replace(workload_of(autocast=torch.float16), **{field: value})
    with pytest.raises(RecipeError, match=message) as raised:
        ready(workload)
    assert "\n" not in str(raised.value)


def test_a_scheduler_that_ends():
    """A run's schedule is longer than a round."""
    trainer = ready(workload_of(scheduler=partial(OneCycleLR, max_lr=0.1, total_steps=20)))
    with pytest.raises(ValueError, match="Tried to step") as raised:
        trainer.run(Phase.TRAIN, steps=30)
    reason = reason_for(raised.value)
    assert reason.endswith("give the scheduler at least 10,000")
    assert "\n" not in reason


def test_a_scheduler_of_the_users_own():
    """Anything with a step."""
    seen = []

    class Own:
        def step(self, *_, **__):
            seen.append(1)

    trainer = ready(workload_of(scheduler=lambda _: Own()))
    trainer.run(Phase.TRAIN, steps=3)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"accumulate": 2}, "accumulate=2 adds up gradients"),
        ({"scheduler": SCHEDULERS["step"]}, "scheduler=... changes the learning rate"),
        ({"grad_scaler": True, "autocast": torch.float16}, "grad_scaler=... waits for the device"),
        ({"samples": (1, 2)}, "batches=... have different shapes"),
    ],
)
def test_what_a_graph_cannot_capture_is_skipped(fields, reason):
    with pytest.raises(UnsupportedError, match=reason):
        Measured(**fields, cuda_graph=True).of("train")


def test_a_graph_reads_inputs_on_the_host_once():
    """When it is captured; so there must not be several of them."""
    pairs = [((torch.ones(2, 6), torch.tensor([1, length])), torch.zeros(2)) for length in (1, 2)]
    made = partial(Workload, nn.Linear(6, 1), nn.MSELoss(), torch.optim.SGD, host_inputs=(1,))
    assert "host_inputs=... are read" in why_no_graphs(made(batches=pairs))
    assert why_no_graphs(made(batches=pairs[:1])) is None
    assert why_no_graphs(made(*pairs[0])) is None


def test_graphs_of_several_batches_and_clipping():
    """They train as without graphs, on each batch in turn; the second case of a cell too."""
    device = SimulatedDevice(SimulatedClock())
    recipe = lambda: workload_of((4, 4, 4), clip_grad_norm=0.05, cuda_graph=True)  # noqa: E731
    runner = Runner(BRIEF)
    for phase in ("train", "forward"):
        case = CaseKey.of("w", 4, phase, device.name)
        facts = runner.measure(case, device, recipe, lambda *_: None)
        assert facts["loss_compared"] is True
    clipped = first_losses(recipe())
    assert clipped != first_losses(dataclasses.replace(recipe(), clip_grad_norm=None))


# Through pytest

BENCH = """
import pytest, torch
from functools import partial
from torch import nn
from breakeven import Workload

@pytest.mark.sweep(batch_size=[4], accumulate=[1, 2], grad_scaler=[False, True])
def bench_loop(train_benchmark, batch_size, accumulate, grad_scaler):
    train_benchmark(lambda: Workload(
        model=nn.Linear(6, 3),
        loss=nn.MSELoss(),
        optimizer=partial(torch.optim.SGD, lr=0.1),
        batches=[(torch.randn(batch_size, n, 6), torch.randn(batch_size, n, 3)) for n in (2, 5)],
        accumulate=accumulate,
        clip_grad_norm=1.0,
        scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=100),
        grad_scaler=grad_scaler,
        autocast=torch.float16 if grad_scaler else None,
    ))
"""


def test_fields_are_axes_of_a_sweep(bench):
    """Every case is timed, and its facts are in the run file."""
    result = bench.write(BENCH, "bench_loop.py", head="").raw(
        "bench_loop.py",
        "-Werror",
        "--breakeven-devices=cpu",
        "--breakeven-phases=forward,train",
        "--benchmark-max-time=0.1",
        "--benchmark-min-rounds=2",
        "--benchmark-json=run.json",
    )
    result.assert_outcomes(passed=8)
    found = bench.file()["benchmarks"]
    assert len({json.dumps(item["extra_info"]["axes"]) for item in found}) == 4
    for facts in (item["extra_info"] for item in found):
        assert facts["batches"] == facts["batch_shapes"] == 2
        assert facts.get("accumulate", 1) == facts["axes"]["accumulate"]
        assert facts["loss_compared"] is True
        products = (
            2 * facts["axes"]["accumulate"] if facts["phase"] == "train" else 1
        )  # of weights, forward too
        assert facts["flops"] == products * 2 * (4 * 3.5 * 6 * 3)
