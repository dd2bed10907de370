"""Options of a workload: applied if the device supports them, else a reason to skip."""

import dataclasses
import functools
import subprocess
import warnings

import pytest
import torch
from torch import nn

from breakeven.case import Budget, CaseKey
from breakeven.errors import MeasurementError, RecipeError, UsageError
from breakeven.hardware.devices import Accelerator, Cpu
from breakeven.hardware.float32 import read_silently
from breakeven.measure import cuda_graphs
from breakeven.measure.cells import in_effect
from breakeven.measure.cuda_graphs import make_trainer, prepare_graphs
from breakeven.measure.outcomes import UnsupportedError, outcome_of, reason_for
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import Costs, SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.measure.timing import time_round
from breakeven.measure.trainer import has_compiled
from breakeven.measure.workload import Workload, build, mlp
from breakeven.phases import Phase
from support.small_workloads import OPTIMIZERS

CPU = Cpu()


def time_rounds(round_, plan):
    for _ in range(plan.rounds):
        time_round(round_)


def measure(workload, phase="train", device=CPU, timer=time_rounds, clock=None):
    runner = Runner(Budget(max_time_s=0.3), *([clock] if clock else []))
    case = CaseKey.of("w", 1, phase, device.name)
    return runner.measure(case, device, lambda: workload, timer)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tf32": True}, r"^tf32=True: cpu@1 has no TF32, which is a mode of NVIDIA GPUs$"),
        ({"cuda_graph": True}, r"^cuda_graph=True: cpu@1 cannot capture CUDA graphs$"),
    ],
)
def test_cpu_refuses_gpu_features(fields, reason, monkeypatch):
    """Before a model is copied."""
    monkeypatch.setattr("breakeven.measure.cells.make_trainer", lambda *_: pytest.fail("made a trainer"))
    with pytest.raises(UnsupportedError, match=reason) as caught:
        measure(dataclasses.replace(mlp(2, width=4), **fields), device=Cpu(1))
    assert outcome_of(caught.value) == "skipped"


def test_refusal_makes_no_skip_rule():
    """Other batch sizes, phases and devices are still tried."""
    runner = Runner(Budget(max_time_s=0.3))
    graphed = dataclasses.replace(mlp(2, width=4), cuda_graph=True)
    for batch_size, phase in ((1, "forward"), (1, "train"), (2, "train")):
        case = CaseKey.of("w", batch_size, phase, "cpu")
        with pytest.raises(UnsupportedError, match="cannot capture CUDA graphs") as caught:
            runner.measure(case, CPU, lambda: graphed, time_rounds)
        runner.note_failure(case, caught.value)
    assert runner.measure(CaseKey.of("w", 4, "train", "cpu"), CPU, lambda: mlp(4, width=4), time_rounds)


@pytest.mark.parametrize(
    ("capability", "override", "reason"),
    [
        ((9, 0), None, None),
        ((8, 0), None, None),
        ((7, 5), None, "cuda has compute capability 7.5, TF32 needs 8.0"),
        ((9, 0), "0", "NVIDIA_TF32_OVERRIDE is set, which overrides torch's setting"),
    ],
)
def test_why_no_tf32(monkeypatch, capability, override, reason):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    if override is not None:
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
    assert Accelerator("cuda").why_no_tf32() == reason


def test_other_accelerators(monkeypatch):
    """They have neither TF32 nor graphs."""
    assert "xpu has no TF32" in Accelerator("xpu").why_no_tf32()
    assert Accelerator("xpu").graph_recorder() is None
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert "cuda has no TF32" in Accelerator("cuda").why_no_tf32()


def tf32_is_on():
    """The value of the old switch, about which torch 2.9 warns."""
    return read_silently(lambda: torch.backends.cuda.matmul.allow_tf32)


@pytest.mark.parametrize("wanted", [True, False, None])
def test_tf32_is_set_for_cuda_only(wanted):
    workload = dataclasses.replace(mlp(2, width=4), tf32=wanted)
    before = tf32_is_on()
    with in_effect(workload, Accelerator("cuda")):
        assert tf32_is_on() is (before if wanted is None else wanted)
    with in_effect(workload, CPU):
        assert tf32_is_on() is before


def test_tf32_during_the_whole_case(monkeypatch):
    """The switches are read in every call of the model, and after the case."""
    seen = []
    device = SimulatedDevice(SimulatedClock())
    device.why_no_tf32 = lambda: None
    monkeypatch.setattr(
        "breakeven.measure.runner.in_effect",
        lambda workload, _: in_effect(workload, Accelerator("cuda")),
    )
    workload = dataclasses.replace(simulated_workload(device, Costs(*[1e-3] * 6)), tf32=True)
    workload.model.register_forward_hook(lambda *_: seen.append(tf32_is_on()))
    measure(workload, device=device, clock=device.clock, timer=lambda round_, _: time_round(round_))
    assert set(seen[:2]) == {True}
    assert tf32_is_on() is False


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_single_threaded_backward(single, before):
    """In every pass of the case; False leaves what the process has set."""
    seen = []

    def look(_module, _args, outputs):
        outputs.register_hook(lambda _: seen.append(torch._C._is_multithreading_enabled()))

    workload = dataclasses.replace(mlp(2, width=4), single_threaded_backward=single)
    workload.model.register_forward_hook(look)
    with torch.autograd.set_multithreading_enabled(before):
        measure(workload, timer=lambda round_, _: time_round(round_))
        assert torch._C._is_multithreading_enabled() is before
    assert set(seen) == {before and not single}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tf32": "yes"}, "tf32=.* must be True, False or None, got a str"),
        ({"tf32": 1}, "tf32=.* must be True, False or None, got 1"),
        ({"cuda_graph": None}, "cuda_graph=.* must be True or False, got None"),
        ({"compile": "yes"}, "compile=.* must be True or False, got a str"),
        ({"single_threaded_backward": 0}, "single_threaded_backward=.* must be True or False, got 0"),
    ],
)
def test_invalid_field(fields, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(mlp(2, width=4), **fields)


def test_missing_fused_optimizer_is_a_skip():
    """Torch's own message, from a device without a fused Adam."""
    weight = nn.Parameter(torch.ones(1, device="meta"))
    weight.grad = torch.ones(1, device="meta")
    with pytest.raises(RuntimeError) as caught:
        torch.optim.Adam([weight], fused=True).step()
    assert outcome_of(caught.value) == "skipped"
    assert reason_for(caught.value).startswith("not supported here: `fused=True` requires")


@pytest.mark.parametrize(
    "words",
    [
        "backend='inductor' raised:\nInvalidCxxCompiler: No working C++ compiler found in torch._inductor",
        "\nRuntimeError: Failed to find C compiler. Please specify via CC environment variable.\n\nSet TORCH",
        "Cannot find a working triton installation. Either the package is not installed or it is too old.",
        "\nFound Tesla P100 which is too old to be supported by the triton GPU compiler, which is used",
        "CalledProcessError: Command '['/usr/bin/gcc', '/tmp/x.c', '-O3']' returned non-zero exit status 1.",
    ],
)
def test_missing_compiler_is_a_skip(words):
    """The reason is the line of torch's message that names the compiler."""
    error = RuntimeError(words)
    assert outcome_of(error) == "skipped"
    assert reason_for(error).startswith("not supported here: ")
    assert "\n" not in reason_for(error)
    assert "backend=" not in reason_for(error)
    assert outcome_of(ValueError(words)) == "failed"


LINK = ["/usr/bin/gcc", "/tmp/x/cuda_utils.c", "-O3", "-shared", "-o", "/tmp/x/cuda_utils.so"]
NO_DRIVER = [
    AssertionError("libcuda.so cannot found!\nPossible files are located at ['/lib64/libcuda.so.1']."),
    RuntimeError("0 active drivers ([]). There should only be one."),
    RuntimeError("Failed to open libcuda.so.1"),
    ImportError("libcuda.so.1: cannot open shared object file: No such file or directory"),
    OSError("libcuda.so.1: cannot open shared object file: No such file or directory"),
    RuntimeError("gcc failed\n/usr/bin/ld: cannot find -lcuda: No such file or directory\ncollect2: error"),
    subprocess.CalledProcessError(1, [*LINK, "-lcuda", "-L/lib64"]),
    subprocess.CalledProcessError(1, [*LINK, "-l:libcuda.so.1", "-L/lib64"]),
]


@pytest.mark.parametrize("error", NO_DRIVER, ids=lambda error: f"{type(error).__name__} {error}"[:60])
@pytest.mark.parametrize("wrapped", ["raised", "compiler", "recipe"])
def test_triton_without_a_driver_is_a_skip(error, wrapped):
    """From a kernel of the model, through `torch.compile`, and from a recipe that imports a kernel."""
    if wrapped == "compiler":
        error = RuntimeError(
            f"backend='inductor' raised:\n{type(error).__name__}: {error}\n\nSet TORCHDYNAMO_VERBOSE=1"
        )
    if wrapped == "recipe":

        def recipe():
            raise error

        with pytest.raises(RecipeError) as caught:
            build(recipe)
        error = caught.value
    assert outcome_of(error) == "skipped"
    reason = reason_for(error)
    assert reason.startswith("not supported here: ")
    assert any(sign in reason for sign in ("libcuda", "-lcuda", "active drivers", "CalledProcessError"))
    assert "\n" not in reason


@pytest.mark.parametrize(
    "error",
    [
        AssertionError("the batch must be even"),
        FileNotFoundError(2, "No such file or directory", "weights.pt"),
        subprocess.CalledProcessError(1, ["git", "lfs", "pull"]),
        RuntimeError("2 active drivers ([<class 'CudaDriver'>, <class 'HIPDriver'>])"),
        KeyError("libcuda.so cannot found!"),
    ],
)
def test_other_errors_of_these_types_fail(error):
    assert outcome_of(error) == "failed"
    assert reason_for(error).startswith(f"{type(error).__name__}: ")


def test_lost_device_beside_the_library_is_a_crash():
    """torch may print the stack of the driver."""
    error = RuntimeError(
        "CUDA error: an illegal memory access was encountered\nframe #3: /usr/lib/libcuda.so.1"
    )
    assert outcome_of(error) == "crashed"


def test_compiler_warnings_are_ignored():
    """Those of the model are not."""
    remark = "TensorFloat32 tensor cores for float32 matrix multiplication available but not enabled."
    with in_effect(dataclasses.replace(mlp(2, width=4), compile=True), CPU):
        warnings.warn(remark, UserWarning, stacklevel=1)
        warnings.warn_explicit("outdated", DeprecationWarning, "x.py", 1, module="torch._inductor.x")
        with pytest.raises(UserWarning, match="mine"):
            warnings.warn("mine", UserWarning, stacklevel=1)
    with in_effect(mlp(2, width=4), CPU), pytest.raises(UserWarning, match="TensorFloat32"):
        warnings.warn(remark, UserWarning, stacklevel=1)


def test_one_compilation_per_cell(monkeypatch):
    """Torch keeps at most eight compiled forms of a model's code, and would run the ninth uncompiled.

    Before anything is compiled there is nothing to reset, which would load the compiler.
    """
    counters, resets = {}, []
    monkeypatch.setattr("torch._dynamo.utils.counters", counters)
    monkeypatch.setattr(torch.compiler, "reset", lambda: resets.append(1))
    monkeypatch.setattr(torch, "compile", lambda module: counters.update(frames={"total": 1}) or module)
    seen = []
    for compile in (False, True, True, False):
        trainer = make_trainer(dataclasses.replace(mlp(2, width=4), compile=compile), CPU)
        for _ in range(3):
            trainer.start()
        seen.append(len(resets))
    assert seen == [0, 0, 1, 2]


def test_has_compiled():
    """Torch counts what it compiles, also for a backend that is not its own."""
    torch.compile(lambda value: value + 1, backend="eager")(torch.ones(2))
    assert has_compiled()


# ---------------------------------------------------------------------------------------------------
# CUDA graphs, on the simulated device, whose replays compute what was captured.


def simulated(workload):
    """The trainer of a workload on a simulated device, with its graphs captured."""
    device = SimulatedDevice(SimulatedClock())
    trainer = make_trainer(dataclasses.replace(workload, cuda_graph=True), device)
    trainer.move_model()
    trainer.start()
    prepare_graphs(trainer, device.clock)
    return trainer


def train(trainer, steps):
    """The losses and the weights after some training steps."""
    losses = []
    for _ in range(steps):
        trainer.run(Phase.TRAIN)
        losses.append(trainer.loss_value())
    return losses, [parameter.detach().clone() for parameter in trainer.model.parameters()]


def convolution():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)
    )
    return dataclasses.replace(mlp(2, width=4), model=model, inputs=torch.randn(2, 3, 8, 8))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
@pytest.mark.parametrize("recipe", [lambda: mlp(4, width=8), convolution])
def test_graphs_train_one_step_ahead(recipe, optimizer):
    workload = dataclasses.replace(build(recipe), optimizer=OPTIMIZERS[optimizer])
    plain = make_trainer(workload, CPU)
    plain.start()
    losses, weights = train(plain, 5)
    found, same = train(simulated(workload), 4)
    assert found == pytest.approx(losses[1:], rel=1e-6)
    assert all(torch.allclose(one, other, rtol=1e-5) for one, other in zip(weights, same, strict=True))


class Counting(nn.Module):
    """A model with a buffer that each call changes, as batch normalization does."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.linear(x) * self.calls


def test_buffers_are_restored():
    workload = Workload(
        Counting(),
        nn.MSELoss(),
        functools.partial(torch.optim.SGD, lr=0.01),
        torch.ones(4, 2),
        torch.zeros(4, 1),
    )
    trainer = simulated(workload)
    assert trainer.model.calls == 1
    train(trainer, 2)
    assert trainer.model.calls == 3


def test_reset_captures_again():
    """The batch keeps its place in memory."""
    trainer = simulated(mlp(4, width=8))
    trainer.transfer()
    place_of_batch = trainer.batch[0].data_ptr()
    first, _ = train(trainer, 3)
    trainer.start()
    prepare_graphs(trainer, trainer.device.clock)
    again, _ = train(trainer, 3)
    assert again == first
    trainer.transfer()
    assert trainer.batch[0].data_ptr() == place_of_batch
    assert torch.equal(trainer.batch[0], trainer.host_batches[0][0])


def test_facts_of_a_case_with_graphs(monkeypatch):
    """Losses are compared; peak memory is omitted, because it would miss the memory of the capture."""
    device = SimulatedDevice(SimulatedClock())
    monkeypatch.setattr(device, "peak_memory_bytes", lambda: 7)
    costs = Costs(*[1e-3] * 6)

    def of(**fields):
        workload = dataclasses.replace(simulated_workload(device, costs), **fields)
        return measure(
            workload, device=device, clock=device.clock, timer=lambda round_, _: time_round(round_)
        )

    facts = of(cuda_graph=True)
    assert facts["loss_compared"] is True
    assert facts["capture_s"] == pytest.approx(
        3 * 3e-3
    )  # three steps of three parts; the capture costs nothing here
    assert "peak_memory_bytes" not in facts
    assert "compile_s" not in facts
    plain = of()
    assert plain["peak_memory_bytes"] == 7
    assert "capture_s" not in plain
    assert facts["loss"] != plain["loss"]  # a step ahead


def test_wrong_replay_is_an_error(monkeypatch):
    """Only the replay is wrong: the eager steps are the CPU's."""

    class Forgetful(cuda_graphs.GraphedTrainer):
        def step(self):
            pass

    device = SimulatedDevice(SimulatedClock())
    monkeypatch.setattr(cuda_graphs, "GraphedTrainer", Forgetful)
    workload = dataclasses.replace(simulated_workload(device, Costs(*[1e-3] * 6)), cuda_graph=True)
    with pytest.raises(MeasurementError, match="second loss"):
        measure(workload, device=device, clock=device.clock)


def test_compile_and_capture_seconds(monkeypatch):
    device = SimulatedDevice(SimulatedClock())

    def compiling(module):
        calls = []

        def compiled(inputs):
            if not calls:
                device.enqueue(100.0)
            calls.append(1)
            return module(inputs)

        return compiled

    monkeypatch.setattr(torch, "compile", compiling)
    workload = dataclasses.replace(
        simulated_workload(device, Costs(*[1e-3] * 6)), compile=True, cuda_graph=True
    )
    facts = measure(workload, device=device, clock=device.clock, timer=lambda round_, _: time_round(round_))
    assert facts["compile_s"] == pytest.approx(100.0)
    assert facts["capture_s"] == pytest.approx(3 * 3e-3)


@pytest.mark.parametrize("graphs", [False, True])
def test_casts_are_not_kept_in_graphs(graphs):
    """A replay must cast the current weight."""
    kept = []
    workload = dataclasses.replace(mlp(2, width=4), autocast=torch.bfloat16, cuda_graph=graphs)
    trainer = make_trainer(workload, SimulatedDevice(SimulatedClock()))
    trainer.model.register_forward_hook(lambda *_: kept.append(torch.is_autocast_cache_enabled()))
    trainer.start()
    prepare_graphs(trainer, trainer.device.clock)
    trainer.run(Phase.TRAIN)
    assert set(kept) == {not graphs}


def test_waiting_step_cannot_be_captured():
    class Refusing(SimulatedDevice):
        def graph_recorder(self):
            raised = super().graph_recorder()

            def run_eagerly(work):
                raise RuntimeError("called a synchronizing CUDA operation")

            raised.run_eagerly = run_eagerly
            return raised

    workload = dataclasses.replace(mlp(2, width=4), cuda_graph=True)
    trainer = make_trainer(workload, Refusing(SimulatedClock()))
    trainer.start()
    with pytest.raises(
        MeasurementError,
        match=r"cannot be captured as a graph: RuntimeError: called .*remove .*\.item\(\)",
    ):
        prepare_graphs(trainer, trainer.device.clock)


def test_start_drops_the_graphs():
    """Their memory is freed before the next capture, which has a recorder of its own."""
    trainer = simulated(mlp(4, width=8))
    recorder = trainer._recorder
    assert len(trainer._replays) == 3
    trainer.start()
    assert (trainer._replays, trainer._graph_loss) == ([], None)
    assert trainer._recorder is not recorder


class Asynchronous(SimulatedDevice):
    """A simulated device whose tensors are on the meta device, as those of a GPU are not on the CPU."""

    def __init__(self, clock):
        super().__init__(clock)
        self.torch_device = torch.device("meta")


@pytest.mark.parametrize(("device", "capturable"), [(Asynchronous, True), (SimulatedDevice, False)])
def test_optimizer_counts_on_the_device(device, capturable):
    workload = dataclasses.replace(mlp(2, width=4), optimizer=torch.optim.Adam, cuda_graph=True)
    trainer = make_trainer(workload, device(SimulatedClock()))
    trainer.move_model()
    trainer.start()
    assert [group["capturable"] for group in trainer.optimizer.param_groups] == [capturable]


def eager_steps(work, count=1):
    """The trainer of a workload with graphs after eager steps that do `work`."""
    trainer = make_trainer(
        dataclasses.replace(mlp(2, width=4), cuda_graph=True), SimulatedDevice(SimulatedClock())
    )
    trainer.start()
    trainer._recorder.run_eagerly = lambda step: (work(), step())
    for _ in range(count):
        trainer.eager_step()
    return trainer


def test_eager_steps():
    """Torch's remark on them is hidden, other warnings and errors are not; autograd keeps no graph."""
    remark = "This instance was constructed with capturable=True but some of all the params did not"
    assert eager_steps(lambda: warnings.warn(remark, UserWarning, stacklevel=1))._graph_loss is None
    with pytest.raises(UserWarning, match="mine"):
        eager_steps(lambda: warnings.warn("mine", UserWarning, stacklevel=1))

    def broken():
        raise RuntimeError("mat1 and mat2")

    with pytest.raises(RuntimeError, match="mat1"):
        eager_steps(broken)


def test_graphs_have_their_own_batch():
    """A replay must not read the host's memory."""
    trainer = simulated(mlp(2, width=4))
    assert trainer._graph_batch[0].data_ptr() != trainer.host_batches[0][0].data_ptr()
    trainer._graph_batch[0].zero_()
    assert trainer.host_batches[0][0].any()
    trainer.transfer()
    assert torch.equal(trainer._graph_batch[0], trainer.host_batches[0][0])


def test_gradients_stay_for_the_graphs():
    """They keep their place, and those of the inputs begin anew in each pass."""
    workload = mlp(2, width=4)
    trainer = simulated(dataclasses.replace(workload, inputs=workload.inputs.requires_grad_()))
    trainer.run(Phase.TRAIN)
    kept = [one.grad for one in trainer.trained()]
    inputs = trainer._graph_batch[0].grad.clone()
    trainer.zero_grad()
    trainer._return_to_first_step()
    assert [one.grad is grad for one, grad in zip(trainer.trained(), kept, strict=True)] == [True] * 6
    trainer.run(Phase.TRAIN)
    assert torch.equal(trainer._graph_batch[0].grad, inputs)


def test_slow_eager_step_is_no_compilation(monkeypatch):
    """Where the first step was not the slowest."""
    seconds = iter([1.0, 2.0, 3.0, 0.5])
    monkeypatch.setattr(cuda_graphs, "time_once", lambda *_: next(seconds))
    workload = dataclasses.replace(mlp(2, width=4), compile=True, cuda_graph=True)
    trainer = make_trainer(workload, SimulatedDevice(SimulatedClock()))
    assert prepare_graphs(trainer, trainer.device.clock) == {"capture_s": 6.5, "compile_s": 0.0}


class OwnDescent:
    """An optimizer that is no `torch.optim.Optimizer`."""

    def __init__(self, parameters):
        self.parameters = parameters

    def step(self):
        with torch.no_grad():
            for parameter in self.parameters:
                parameter.sub_(parameter.grad, alpha=0.01)

    def zero_grad(self):
        for parameter in self.parameters:
            parameter.grad = None


def test_graphs_of_an_own_optimizer():
    own, given = (
        dataclasses.replace(build(lambda: mlp(4, width=8)), optimizer=one)
        for one in (OwnDescent, OPTIMIZERS["sgd"])
    )
    assert train(simulated(own), 3)[0] == pytest.approx(train(simulated(given), 3)[0])
