"""One run: what is built once, the skipped cases, and the refused timings."""

import dataclasses
import gc
import weakref

import pytest
import torch
from torch import nn

from breakeven.case import Budget, CaseKey
from breakeven.errors import MeasurementError, RecipeError
from breakeven.hardware.devices import Cpu
from breakeven.measure.outcomes import CaseSkipped, reason_for
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import Costs, SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.measure.timing import time_round
from breakeven.measure.workload import Workload
from support.small_workloads import PHASES, tiny

CPU = Cpu()


class Bench:
    """A runner on a simulated device, with a recipe that counts its calls."""

    def __init__(self, seconds=1.0, budget=None):
        self.clock = SimulatedClock()
        self.device = SimulatedDevice(self.clock)
        self.runner = Runner(budget or Budget(max_time_s=1e4, timeout_s=1e9), self.clock)
        self.built = []
        self.rounds = 0
        self.seconds = seconds

    def measure(self, batch_size=1, phase="train", device=None, workload="w", axes=()):
        device = device or self.device
        case = CaseKey.of(workload, batch_size, phase, device.name, axes)
        costs = Costs(*[self.seconds * batch_size] * 6)

        def recipe():
            self.built.append(case)
            return simulated_workload(self.device, costs)

        return self.runner.measure(case, device, recipe, self.time_rounds)

    def time_rounds(self, round_, plan):
        for _ in range(plan.rounds):
            time_round(round_, self.clock)
            self.rounds += 1

    def fail(self, error, **kwargs):
        case = CaseKey.of(
            kwargs.pop("workload", "w"),
            kwargs.pop("batch_size", 1),
            kwargs.pop("phase", "train"),
            "simulated",
        )
        return self.runner.note_failure(case, error)


def time_rounds(round_, plan):
    for _ in range(plan.rounds):
        time_round(round_)


def measure(workload, phase="train", device=CPU, batch_size=1):
    runner = Runner(Budget(max_time_s=0.05))
    return runner.measure(
        CaseKey.of("w", batch_size, phase, device.name), device, lambda: workload, time_rounds
    )


def test_one_model_per_cell():
    """It serves all phases and devices."""
    built = []
    runner = Runner(Budget())

    def recipe():
        built.append(1)
        return tiny(2)

    def run_once(batch_size, phase, device):
        case = CaseKey.of("w", batch_size, phase, device.name)
        runner.run_once(case, device, recipe, lambda round_, _: time_round(round_))

    for device in (CPU, Cpu(1)):
        for phase in PHASES:
            run_once(2, phase, device)
    assert len(built) == 1
    run_once(3, "train", CPU)
    assert len(built) == 2


def test_phases_start_from_the_same_weights():
    starts = []

    def keep_weights(round_, plan):
        starts.append([p.detach().clone() for p in round_.trainer.model.parameters()])
        time_rounds(round_, plan)

    runner = Runner(Budget(max_time_s=0.1))
    for phase in PHASES:
        case = CaseKey.of("w", 4, phase, "cpu")
        runner.measure(case, CPU, lambda: tiny(4), time_rounds)
        runner.run_once(case, CPU, lambda: tiny(4), keep_weights)
    for weights in starts[1:]:
        assert all(torch.equal(one, other) for one, other in zip(weights, starts[0], strict=True))


def test_parts_on_a_cpu():
    """Their seconds, and no device time."""
    facts = measure(tiny(1))
    assert list(facts["parts_s"]) == ["transfer", "zero_grad", "forward", "backward", "step"]
    assert all(seconds > 0 for seconds in facts["parts_s"].values())
    assert "device_time_s" not in facts
    assert "enqueue_s" not in facts  # on a CPU nothing is queued
    assert "parts_s" not in measure(tiny(1), "forward")


def test_spent_adds_up():
    bench = Bench()
    bench.measure()
    assert sum(bench.runner.spent.values()) == bench.clock.now
    assert all(seconds > 0 for seconds in bench.runner.spent.values())


def test_out_of_memory_skips_larger_batches():
    bench = Bench()
    outcome, _ = bench.fail(
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), batch_size=64
    )
    assert outcome == "oom"
    with pytest.raises(CaseSkipped, match="not tried: train at batch 64: out of memory"):
        bench.measure(batch_size=128, phase="forward")
    assert bench.built == []
    bench.measure(batch_size=32)
    bench.measure(batch_size=64, phase="transfer")
    bench.measure(batch_size=128, workload="another")
    bench.measure(batch_size=128, axes=(("width", 2),))
    assert len(bench.built) == 4


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "oom"),
        (MemoryError(), "oom"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), "oom"),
        (RuntimeError("MPS backend out of memory"), "oom"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), "oom"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "crashed"),
        (RuntimeError("CUDA error: device-side assert triggered"), "crashed"),
        (RuntimeError("mat1 and mat2 must have the same dtype"), "failed"),
        (ValueError("out of memory of what I wanted to say"), "failed"),
        (CaseSkipped("too long"), "skipped"),
        (MeasurementError("the loss is nan"), "failed"),
    ],
)
def test_ending_of_an_error(error, outcome):
    assert Bench().fail(error)[0] == outcome


def test_lost_device():
    bench = Bench()
    bench.fail(RuntimeError("CUDA error: an illegal memory access was encountered"))
    with pytest.raises(CaseSkipped, match=r"simulated was lost in w train .*needs a restart"):
        bench.measure(workload="another")


def test_memory_of_a_failed_case(collecting):
    """While its error is alive, the traceback holds the model and the batch, and no memory is given back."""
    bench, models, left = Bench(), [], []

    class Full(nn.Linear):
        def forward(self, inputs):
            self.cycle = [self]  # only the garbage collector frees such a model
            models.append(weakref.ref(self))
            raise torch.OutOfMemoryError("CUDA out of memory")

    bench.device.release_memory = lambda: left.append([model() for model in models])
    workload = Workload(Full(2, 1), nn.MSELoss(), torch.optim.Adam, torch.ones(1, 2), torch.ones(1, 1))
    case = CaseKey.of("w", 1, "train", "simulated")
    try:
        bench.runner.measure(case, bench.device, lambda: workload, bench.time_rounds)
    except torch.OutOfMemoryError as error:
        bench.runner.note_failure(case, error)
    bench.measure(workload="another")
    assert left[0] == [None] * len(models) != []


class Host(SimulatedDevice):
    is_accelerator = False


@pytest.mark.parametrize("device_type", [SimulatedDevice, Host])
def test_over_budget(device_type):
    """Two calls after the first decide, on every device."""
    bench = Bench(seconds=10.0, budget=Budget(max_time_s=1.0))
    bench.device = device_type(bench.clock)
    bench.measure(phase="transfer")  # the first case of a model is always timed
    rounds, synchronizations = bench.rounds, bench.device.synchronizations
    with pytest.raises(CaseSkipped, match="would take too long: 6 rounds of about 50 s"):
        bench.measure(phase="train_sync")
    assert bench.rounds == rounds
    assert bench.device.synchronizations == synchronizations + 3 * 2  # three rounds


def test_first_case_of_a_model_is_timed():
    """However slow it is."""
    bench = Bench(seconds=10.0, budget=Budget(max_time_s=1.0))
    for workload in ("one", "other"):
        assert bench.measure(phase="forward", workload=workload)["planned_rounds"] == 2
        with pytest.raises(CaseSkipped, match="would take too long"):
            bench.measure(phase="backward", workload=workload)


def test_compiling_calls_are_not_over_budget(monkeypatch):
    bench = Bench(seconds=0.001, budget=Budget(max_time_s=1.0))
    calls = []

    def compiling(module):
        def compiled(inputs):
            calls.append(1)
            if len(calls) <= 4:
                bench.device.enqueue(10.0)
            return module(inputs)

        return compiled

    monkeypatch.setattr(torch, "compile", compiling)
    costs = Costs(*[0.001] * 6)
    workload = dataclasses.replace(simulated_workload(bench.device, costs), compile=True)
    bench.measure(phase="transfer")
    case = CaseKey.of("w", 1, "forward", "simulated")
    assert bench.runner.measure(case, bench.device, lambda: workload, bench.time_rounds)["planned_rounds"] > 6


class SlowSynchronizations(SimulatedDevice):
    """A device whose synchronizations with the numbers in `slow` take `seconds` longer: a busy neighbor."""

    def __init__(self, clock, slow, seconds=1.0):
        super().__init__(clock)
        self.slow, self.seconds, self.calls = slow, seconds, 0

    def synchronize(self):
        self.calls += 1
        if self.calls in self.slow:
            self.clock.advance(self.seconds)
        super().synchronize()


@pytest.mark.parametrize("slow", [{7}, {7, 9, 11}], ids=["one", "three in a row"])
def test_few_slow_rounds(slow):
    """A round synchronizes twice; 7 is the run of the second one."""
    bench = Bench(seconds=0.01, budget=Budget(max_time_s=1.0))
    bench.device = SlowSynchronizations(bench.clock, slow)
    assert bench.measure(phase="train_sync")["warmup_rounds"] > 6
    assert bench.device.calls > max(slow)


def test_all_rounds_slow():
    """A later case takes too long, unless a larger batch did not; the first one of its model is timed."""
    bench = Bench(seconds=0.01, budget=Budget(max_time_s=1.0))
    quiet, bench.device = bench.device, SlowSynchronizations(bench.clock, range(7, 10_000))
    bench.measure(phase="forward")
    with pytest.raises(CaseSkipped, match="would take too long"):
        bench.measure(phase="train_sync")
    slow, bench.device = bench.device, quiet
    bench.measure(batch_size=2, phase="step")
    bench.device = slow
    assert bench.measure(phase="train_sync")["planned_rounds"] >= 2


def test_some_rounds_slow():
    """Where the fastest round is not too slow, the others are the fault of other programs."""
    bench = Bench(seconds=0.01, budget=Budget(max_time_s=1.0))
    bench.measure(phase="transfer")
    bench.device = SlowSynchronizations(bench.clock, range(9, 1000, 2))
    assert bench.measure(phase="train_sync")["planned_rounds"] >= 2


def test_slow_batches_in_the_end():
    """From the second case on, once half a minute has passed: larger batches, and later phases."""
    bench = Bench(seconds=10.0, budget=Budget(max_time_s=1.0))
    bench.measure()
    for phase, batch_size in (("forward", 1), ("backward", 1), ("train_sync", 2)):
        built = len(bench.built)
        with pytest.raises(CaseSkipped) as caught:
            bench.measure(batch_size, phase)
        bench.fail(caught.value, batch_size=batch_size, phase=phase)
        assert ("not tried: forward at batch 1" in str(caught.value)) is (phase != "forward")
        assert len(bench.built) == built


def test_headline_is_not_predicted():
    """It is timed however long smaller batches let expect."""
    bench = Bench(seconds=0.001, budget=Budget(max_time_s=1.0))
    for batch_size in (1, 10, 10000):
        assert bench.measure(batch_size=batch_size)["planned_rounds"] >= 2


def test_raising_recipe_is_called_once():
    calls = []

    def recipe():
        calls.append(1)
        raise ValueError("no such width")

    runner = Runner(Budget())
    for phase in PHASES:
        with pytest.raises(RecipeError, match="no such width"):
            runner.measure(CaseKey.of("w", 1, phase, "cpu"), CPU, recipe, time_rounds)
    assert len(calls) == 1


@pytest.mark.parametrize("phase", ["forward", "backward", "step", "train"])
@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (None, "the loss is None"),
        (3.0, "the loss is a float"),
        (torch.ones(4, 3), r"a tensor of shape \(4, 3\), expected one number"),
        (torch.tensor(float("nan"), requires_grad=True), r"the loss is nan.*learning rate"),
    ],
    ids=["None", "a float", "a matrix", "nan"],
)
def test_bad_loss(phase, loss, message):
    workload = Workload(nn.Linear(2, 1), lambda *_: loss, torch.optim.Adam, torch.ones(1, 2), None)
    with pytest.raises(MeasurementError, match=message):
        measure(workload, phase)


def test_inside_a_round():
    """One thread, no garbage collection, and a loss that becomes NaN is noticed."""
    seen = []

    def poison(round_, plan):
        time_round(round_)
        seen.append((torch.get_num_threads(), gc.isenabled()))
        round_.trainer.loss = torch.tensor(float("nan"), requires_grad=True)

    runner, one = Runner(Budget(max_time_s=0.1)), Cpu(1)
    with pytest.raises(MeasurementError, match="the loss is nan"):
        runner.measure(CaseKey.of("w", 1, "train", one.name), one, lambda: tiny(1), poison)
    assert seen == [(1, False)]
    assert gc.isenabled()


class WrongOnDevice(nn.Module):
    """Computes a different result after it was moved, like a broken kernel."""

    def __init__(self, factor):
        super().__init__()
        self.linear, self.factor, self.moved = nn.Linear(2, 1), factor, False

    def to(self, *args, **kwargs):
        self.moved = True
        return super().to(*args, **kwargs)

    def forward(self, x):
        return self.linear(x) * (self.factor if self.moved else 1.0)


def wrong_workload(factor, **kwargs):
    torch.manual_seed(3)
    return Workload(
        WrongOnDevice(factor),
        nn.MSELoss(),
        torch.optim.Adam,
        torch.ones(4, 2),
        torch.ones(4, 1),
        **kwargs,
    )


@pytest.mark.parametrize("phase", ["forward", "backward", "step", "train"])
def test_wrong_first_loss(phase):
    device = SimulatedDevice(SimulatedClock())
    with pytest.raises(
        MeasurementError, match=r"test_runner\.py:\d+: simulated computes a different result than the CPU"
    ):
        measure(wrong_workload(1.1), phase, device)


def test_wrong_second_loss():
    """The first loss agrees; only a step taken on the device shows the difference."""

    class Stubborn(torch.optim.SGD):
        def step(self, closure=None):
            if not self.param_groups[0]["params"][0].moved:
                super().step(closure)

    class Marked(WrongOnDevice):
        def __init__(self):
            super().__init__(1.0)
            self.linear.weight.moved = self.linear.bias.moved = False

        def to(self, *args, **kwargs):
            for parameter in self.parameters():
                parameter.moved = True
            return super().to(*args, **kwargs)

        def __deepcopy__(self, memo):
            copy = Marked()
            copy.load_state_dict(self.state_dict())
            return copy

    torch.manual_seed(3)
    workload = Workload(
        Marked(), nn.MSELoss(), lambda p: Stubborn(p, lr=0.1), torch.ones(4, 2), torch.ones(4, 1)
    )
    with pytest.raises(MeasurementError, match="second loss"):
        measure(workload, device=SimulatedDevice(SimulatedClock()))


def test_random_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 20), nn.Dropout(0.5), nn.Linear(20, 1))
    workload = Workload(model, nn.MSELoss(), torch.optim.Adam, torch.ones(4, 20), torch.ones(4, 1))
    assert measure(workload)["random"] is True
    rounding = measure(wrong_workload(1 + 1e-5), device=SimulatedDevice(SimulatedClock()))
    assert rounding["loss_compared"] is True
    assert "random" not in rounding


def test_run_once():
    bench = Bench()
    case = CaseKey.of("w", 1, "train", "simulated")
    bench.runner.run_once(case, bench.device, lambda: simulated_workload(bench.device), bench.time_rounds)
    assert bench.rounds == 1


class KeepsGraph(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.last = nn.Linear(2, 1), 0.0

    def forward(self, x):
        self.last = self.linear(x) + self.last
        return self.last


def test_graph_that_is_kept_between_steps():
    """Torch advises to retain the graph, which a workload cannot."""
    what = Workload(KeepsGraph(), nn.MSELoss(), torch.optim.Adam, torch.ones(4, 2), torch.ones(4, 1))
    with pytest.raises(RuntimeError) as caught:
        measure(what)
    assert reason_for(caught.value).startswith(
        "the backward pass reached the graph of an earlier step; detach"
    )
