"""`infer`: what the model does in it, and what it leaves alone."""

import dataclasses

import pytest
import torch
from torch import nn

from breakeven.case import Budget, CaseKey
from breakeven.hardware.devices import Cpu
from breakeven.measure.cuda_graphs import make_trainer, prepare_graphs
from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import Costs, SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.measure.timing import Round, time_round
from breakeven.measure.workload import Workload
from breakeven.phases import Phase
from support.small_workloads import ready

LAUNCH_S = 0.25


class Watched(nn.Module):
    """Dropout and batch normalization; `seen` has the mode of each call."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm, self.dropout = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)
        self.seen = []

    def forward(self, inputs):
        out = self.dropout(self.norm(self.linear(inputs)))
        zeros = int((out == 0).sum())
        self.seen.append((self.training, torch.is_inference_mode_enabled(), out.requires_grad, zeros > 0))
        return out


def workload(model=None, **changes):
    torch.manual_seed(0)
    batch = {"inputs": torch.randn(32, 4), "targets": torch.randn(32, 4)}
    return Workload(model or Watched(), nn.MSELoss(), torch.optim.SGD, **{**batch, **changes})


def infer(trainer, rounds=2, steps=3):
    for _ in range(rounds):
        time_round(Round(Phase.INFER, trainer, steps))


def test_mode():
    """Evaluation in inference mode, without a graph and without dropout; the next case trains."""
    trainer = ready(workload())
    infer(trainer)
    assert trainer.model.seen == 6 * [(False, True, False, False)]
    assert trainer.loss_value() is None
    trainer.start()
    trainer.model.seen.clear()
    time_round(Round(Phase.TRAIN, trainer))
    assert trainer.model.seen == [(True, False, True, True)]


def test_nothing_is_trained():
    """Weights, running statistics, the optimizer and the order of random numbers stay as they are."""
    trainer = ready(workload())
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    generator = torch.get_rng_state()
    infer(trainer)
    after = trainer.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert not trainer.optimizer.state
    assert torch.equal(torch.get_rng_state(), generator)
    assert not trainer.has_stepped


def test_outputs_are_those_of_the_trained_model():
    source = workload()
    trainer = ready(source)
    infer(trainer, rounds=1, steps=1)
    expected = source.model.eval()(source.inputs)
    assert torch.equal(trainer.outputs, expected)


@pytest.mark.parametrize("inplace", [False, True])
def test_inputs_are_copied_on_a_cpu_only_if_the_model_changes_them(inplace):
    source = workload(nn.Sequential(nn.ReLU(inplace=inplace), nn.Linear(4, 4)))
    trainer = ready(source)
    inputs = source.inputs.clone()
    infer(trainer)
    assert torch.equal(source.inputs, inputs)
    assert (trainer.batch is not source.inputs) is inplace


def test_batches_are_taken_in_turn():
    batches = [(torch.full((2, 4), float(index)), torch.ones(2, 4)) for index in range(3)]
    trainer = ready(workload(nn.Linear(4, 4), inputs=None, targets=None, batches=batches))
    seen = []
    trainer.model.register_forward_pre_hook(lambda _, inputs: seen.append(float(inputs[0][0, 0])))
    assert trainer.cycle(Phase.INFER) == 3
    infer(trainer, rounds=2, steps=3)
    assert seen == [0, 1, 2, 0, 1, 2]


def test_keyword_inputs_and_autocast():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, values, scale):
            return self.linear(values) * scale[0]

    named = {"values": torch.ones(2, 4), "scale": [2.0]}
    source = workload(Named(), inputs=named, host_inputs=("scale",), autocast=torch.bfloat16)
    trainer = ready(source)
    infer(trainer)
    assert trainer.outputs.dtype is torch.bfloat16


def test_own_step_has_no_inference():
    trainer = ready(workload(training_step=lambda training: training.model(training.inputs).sum()))
    with pytest.raises(UnsupportedError, match=r"^infer is not timed: training_step does the whole step"):
        infer(trainer)


@pytest.mark.parametrize("graphs", [False, True])
def test_simulated_time(graphs):
    """A copy and a forward pass, queued back to back, and how long the host is busy queueing them."""
    device = SimulatedDevice(SimulatedClock(), LAUNCH_S)
    costs = Costs()
    seen = []

    def rounds(round_, _plan):
        seen.append(time_round(round_, device.clock))

    facts = Runner(Budget(max_time_s=1e5, timeout_s=1e9), device.clock).measure(
        CaseKey.of("w", 1, "infer", device.name),
        device,
        lambda: dataclasses.replace(simulated_workload(device, costs), cuda_graph=graphs),
        rounds,
    )
    work_s = costs.forward if graphs else costs.infer  # the simulated copy into a graph's memory is free
    assert seen[0].latency_s == pytest.approx(work_s + LAUNCH_S / facts["steps"])
    assert facts["steps"] == seen[0].steps
    assert facts["enqueue_s"] == pytest.approx(LAUNCH_S if graphs else 2 * LAUNCH_S)
    assert facts["device_time_s"] == pytest.approx(work_s, abs=LAUNCH_S)
    assert facts["flops"] == 2 * 2
    assert "loss_compared" not in facts


def test_graph_of_inference():
    """It is captured before the first round, once, and reads each batch from one place."""
    device = SimulatedDevice(SimulatedClock())
    trainer = make_trainer(dataclasses.replace(simulated_workload(device), cuda_graph=True), device)
    trainer.start()
    prepare_graphs(trainer, device.clock)
    captured = trainer._inference
    infer(trainer, rounds=3)
    assert captured is None
    assert trainer._inference is not None
    replay = trainer._inference
    infer(trainer)
    assert trainer._inference is replay
    trainer.start()
    assert trainer._inference is None


@pytest.mark.slow
def test_compiled():
    """It is compiled again for inference, which the first call pays for."""
    runner = Runner(Budget(max_time_s=0.2))
    facts = runner.measure(
        CaseKey.of("w", 32, "infer", "cpu"),
        Cpu(),
        lambda: workload(compile=True, model=nn.Linear(4, 4)),
        lambda round_, _: time_round(round_),
    )
    assert facts["compile_s"] > 0
    assert facts["first_call_s"] >= facts["compile_s"] / 2


@pytest.mark.slow
def test_mode_of_a_compiled_model():
    """The wrapper around the model has a mode of its own."""
    trainer = ready(workload(nn.Linear(4, 4), compile=True))
    for _ in range(2):
        trainer.start()
        assert trainer._module.training
        infer(trainer)
        assert not trainer._module.training
