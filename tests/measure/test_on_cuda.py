"""Tests that need a real GPU: memory and running out of it, transfers, dtypes, NVML, TF32, graphs, compiling.

Bounds are ratios and generous; no absolute time is asserted. That every synchronization waits is shown in
`test_known_work`, on this device too.
"""

import dataclasses
import re
import threading
from functools import partial
from statistics import median

import pytest
import torch
from torch import nn

from breakeven.case import Budget, CaseKey
from breakeven.hardware.devices import Cpu, parse_device
from breakeven.hardware.float32 import read_silently, tf32_set
from breakeven.hardware.machine import machine_facts
from breakeven.hardware.nvml import REASONS, THROTTLING, gpu_class, gpu_state
from breakeven.measure.cuda_graphs import make_trainer, prepare_graphs
from breakeven.measure.monitor import evidence_of
from breakeven.measure.outcomes import is_unsupported, reason_for
from breakeven.measure.runner import Runner
from breakeven.measure.timing import Round, time_once, time_round
from breakeven.measure.workload import Workload, build, mlp
from breakeven.phases import Phase
from breakeven.report.bound import Bound, Spread, Step, bounds_along
from breakeven.runs.schema import CaseFacts
from support.known_work import NEEDS_CUDA
from support.small_workloads import OPTIMIZERS, PHASES, SIZES, bench_file, shipped, tiny

pytestmark = list(NEEDS_CUDA)

MIB = 2**20
AUTOCAST = (None, torch.bfloat16)


@pytest.fixture
def gpu():
    """The first CUDA device, current, with its cache released before and after."""
    device = parse_device("cuda")
    device.initialize()
    device.release_memory()
    with device.active():
        yield device
    device.release_memory()


class Measured:
    """A runner, and the rounds of its last case."""

    def __init__(self, max_time_s=0.3):
        self.runner = Runner(Budget(max_time_s=max_time_s))
        self.latencies = []

    def __call__(self, recipe, device, phase="train", batch_size=1, workload="w"):
        case = CaseKey.of(workload, batch_size, phase, device.name)
        try:
            return self.runner.measure(case, device, recipe, self._time)
        except Exception as error:
            self.outcome = self.runner.note_failure(case, error)
            raise

    def _time(self, round_, plan):
        self.latencies = [time_round(round_).latency_s for _ in range(min(plan.rounds, 60))]

    @property
    def median_s(self):
        return median(self.latencies)


@pytest.fixture
def measure():
    measured = Measured()
    yield measured
    measured.runner.close()


def ready(workload, device):
    """The trainer of a workload, ready for its rounds."""
    trainer = make_trainer(workload, device)
    trainer.move_model()
    trainer.start()
    prepare_graphs(trainer, lambda: 0.0)
    device.synchronize()
    return trainer


# ---------------------------------------------------------------------------------------------------
# Synchronization, on a real model.


def _seconds_of(work):
    return time_once(work, Cpu())  # whose synchronize does nothing


# ---------------------------------------------------------------------------------------------------
# Memory.


SAMPLE = 64 * MIB
"""Bytes of a sample of `big`: more than libraries keep as workspaces."""


class Means(nn.Module):
    """(batch, width) -> (batch, 4), the means of the quarters."""

    def forward(self, inputs):
        return inputs.reshape(len(inputs), 4, -1).mean(2)


def big(batch_size):
    """A model whose batch is much larger than its weights."""
    width = SAMPLE // 4
    return Workload(
        nn.Sequential(Means(), nn.Linear(4, 1)),
        nn.MSELoss(),
        partial(torch.optim.SGD, lr=0.01),
        torch.ones(batch_size, width),
        torch.zeros(batch_size, 1),
    )


def held():
    """Bytes that are allocated now; libraries keep workspaces until the process ends."""
    return torch.cuda.memory_allocated()


def test_peak_memory(gpu, measure):
    """It holds the batch and grows with it."""
    before = held()
    peaks = [measure(lambda n=n: big(n), gpu, "forward", batch_size=n)["peak_memory_bytes"] for n in (1, 4)]
    assert SAMPLE <= peaks[0] - before < 4 * SAMPLE
    assert 4 * SAMPLE <= peaks[1] - before < 8 * SAMPLE
    assert 2 * SAMPLE < peaks[1] - peaks[0] < 4 * SAMPLE


def test_peak_memory_is_reset(gpu, measure):
    large = measure(lambda: big(4), gpu, "forward", batch_size=4)["peak_memory_bytes"]
    small = measure(lambda: tiny(1), gpu, workload="small")["peak_memory_bytes"]
    assert 0 < small < large - 2 * SAMPLE


def test_round_releases_the_last_batch(gpu):
    """Two batches at a time would double the peak."""
    trainer = ready(build(lambda: big(4)), gpu)
    before = held()
    round_ = Round(Phase.TRANSFER, trainer)
    for _ in range(2):
        time_round(round_)
    gpu.reset_peak_memory()
    for _ in range(3):
        time_round(round_)
    assert gpu.peak_memory_bytes() - before < 1.5 * 4 * SAMPLE


def test_graphs_leave_later_peaks_unchanged(gpu, measure):
    """Each capture has its own pool and is released; the stream, with its workspaces, is shared."""
    measure(lambda: tiny(1), gpu, workload="plain before")
    measure(lambda: with_graphs("adam"), gpu, workload="first")
    before = held()
    for name in ("second", "third"):
        measure(lambda: with_graphs("adam"), gpu, workload=name)
    measure(lambda: tiny(1), gpu, workload="plain")
    assert held() - before < MIB


# ---------------------------------------------------------------------------------------------------
# Out of memory.

GREEDY = """
class Greedy(torch.nn.Linear):
    def forward(self, inputs):
        if len(inputs) == 16:
            torch.empty(2**46, dtype=torch.uint8, device=inputs.device)  # 64 TiB
        return super().forward(inputs)

@pytest.mark.sweep(batch_size=[1, 16, 64])
def bench_greedy(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size, model=Greedy(4, 2)))

@pytest.mark.sweep(batch_size=[16])
def bench_other(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""


def test_out_of_memory_is_an_outcome(bench):
    """It costs the case alone: all others are timed. The largest batch came first."""
    result = bench.write(GREEDY).run("--breakeven-devices=cuda", "--breakeven-phases=transfer,forward,train")
    assert result.ret == 0
    greedy = {f"bench_greedy[16-cuda-{phase}]" for phase in ("forward", "train")}
    cells = ("greedy[1", "greedy[16", "greedy[64", "other[16")
    cases = {f"bench_{cell}-cuda-{phase}]" for cell in cells for phase in ("transfer", "forward", "train")}
    assert set(bench.timed()) == cases - greedy
    outcomes = bench.outcomes()
    assert outcomes.keys() == greedy
    for outcome, reason in outcomes.values():
        assert outcome == "oom"
        assert "out of memory" in reason


def test_memory_is_given_back(gpu, measure):
    total = torch.cuda.get_device_properties(gpu.torch_device).total_memory
    before, limit = held(), torch.cuda.memory_reserved() + 512 * MIB
    torch.cuda.set_per_process_memory_fraction(limit / total)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            measure(lambda: big(16), gpu, "transfer", batch_size=16)  # 1 GiB
        assert measure.outcome[0] == "oom"
        left = held() - before
        facts = measure(lambda: big(1), gpu, "transfer")  # 64 MiB
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert left < SAMPLE
    assert facts["moved_bytes"] == SAMPLE + 4
    assert measure.latencies


# ---------------------------------------------------------------------------------------------------
# Transfer.


def test_pinned_memory(gpu, measure):
    """The host continues while it is copied."""
    seconds = {}
    for pinned in (False, True):
        trainer = ready(dataclasses.replace(build(lambda: big(1)), pin_memory=pinned), gpu)
        assert [tensor.is_pinned() for tensor in trainer.host_batches[0]] == [pinned] * 2
        round_ = Round(Phase.TRANSFER, trainer)
        whole, bare = [], []
        for _ in range(9):
            whole.append(time_round(round_).latency_s)
            round_.setup()
            bare.append(_seconds_of(lambda trainer=trainer: trainer.transfer()))
            gpu.synchronize()
        assert torch.equal(trainer.batch[0].cpu(), trainer.workload.inputs)
        seconds[pinned] = (median(whole), median(bare))
    assert seconds[True][1] < 0.5 * seconds[True][0]  # without the synchronize: almost nothing
    assert seconds[True][0] < 1.5 * seconds[False][0]  # pinned is faster, or at least not slower
    for pinned in (False, True):
        workload = dataclasses.replace(build(lambda: big(1)), pin_memory=pinned)
        facts = measure(lambda workload=workload: workload, gpu, "transfer", workload=f"pinned={pinned}")
        assert facts["moved_bytes"] == SAMPLE + 4


# ---------------------------------------------------------------------------------------------------
# Every recipe, optimizer and dtype.


@pytest.mark.parametrize("autocast", AUTOCAST, ids=str)
@pytest.mark.parametrize("name", SIZES)
def test_every_recipe(gpu, measure, name, autocast):
    """It trains and agrees with the CPU."""
    facts = measure(lambda: dataclasses.replace(shipped(name, 4)(), autocast=autocast), gpu)
    assert facts["loss_compared"] is True
    assert facts["device_name"] == torch.cuda.get_device_name()
    assert 0 < facts["device_time_s"] < 3 * max(measure.latencies)
    assert 0 < facts["enqueue_transfer_s"] < facts["enqueue_s"]


@pytest.mark.parametrize("optimizer", bench_file("transformer").OPTIMIZERS)
def test_every_optimizer(gpu, measure, optimizer):
    """It trains and agrees with the CPU."""
    facts = measure(shipped("transformer", 4, optimizer=optimizer), gpu, "step")
    assert facts["loss_compared"] is True


def in_dtype(dtype, **fields):
    """A model whose weights and batch are of that dtype."""
    workload = mlp(32, width=64)
    return dataclasses.replace(
        workload, model=workload.model.to(dtype), inputs=workload.inputs.to(dtype), **fields
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_every_dtype(gpu, measure, dtype):
    """It trains and agrees with the CPU."""
    facts = measure(lambda: in_dtype(dtype), gpu)
    assert facts["loss_compared"] is True
    assert facts["peak_memory_bytes"] > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast(gpu, measure, dtype):
    def recipe():
        return dataclasses.replace(mlp(32, width=64), autocast=dtype)

    assert measure(recipe, gpu)["loss_compared"] is True
    trainer, seen = ready(build(recipe), gpu), []
    trainer.model.register_forward_hook(lambda _module, _args, out: seen.append((out.dtype, out.device.type)))
    trainer.transfer()
    trainer.forward()
    assert seen == [(dtype, "cuda")]


# ---------------------------------------------------------------------------------------------------
# NVML.


def test_nvml_state(gpu):
    """Every value is read, or the reason is."""
    state = gpu_state(gpu.torch_device)
    unreadable = state.pop("unreadable", {})
    assert "nvml" not in unreadable, unreadable
    for name, value in state.items():
        assert value is not None or name in unreadable or "gpu" in unreadable, name
    if state["sm_clock_mhz"] is not None:
        assert 50 < state["sm_clock_mhz"] < 10_000
    for reason in state["event_reasons"] or ():
        assert reason in REASONS.values() or reason.startswith("0x")
    if state["other_processes"] is not None:
        assert state["other_processes"] >= 0


def test_nvml_class(gpu):
    facts = gpu_class(gpu.torch_device)
    assert facts["driver"]
    assert facts["power_limit_w"] is None or facts["power_limit_w"] > 0
    ours = machine_facts()["class"]
    assert ours["gpu"] == torch.cuda.get_device_name()
    assert ours["driver"] == facts["driver"]


def test_flags_follow_from_the_state(gpu, measure):
    facts = measure(lambda: mlp(1024, width=1024), gpu)
    state = facts["state"]
    assert state["gpu_before"].keys() >= {"sm_clock_mhz", "event_reasons", "other_processes"}
    assert facts["evidence"] == evidence_of(state, is_accelerator=True)
    assert facts["evidence"].keys() <= {"contended", "throttled", "clock", "shared_gpu"}
    # A state with a reason for throttling gives the flag.
    slowed = {**state, "gpu_after": {**state["gpu_after"], "event_reasons": [THROTTLING[0]]}}
    assert THROTTLING[0] in evidence_of(slowed, is_accelerator=True)["throttled"]["event_reasons"]


# ---------------------------------------------------------------------------------------------------
# Variants.


@pytest.fixture
def with_tf32(gpu):
    reason = gpu.why_no_tf32()
    if reason is not None:
        pytest.skip(reason)
    return gpu


def test_tf32_set(with_tf32):
    """Products and convolutions are rounded inside, and not afterwards."""
    before = machine_facts()["class_id"]
    one, other = (torch.randn(512, 512, device="cuda") for _ in range(2))
    image, kernel = torch.randn(4, 32, 32, 32, device="cuda"), torch.randn(32, 32, 3, 3, device="cuda")
    exact = (one.double() @ other.double(), nn.functional.conv2d(image.double(), kernel.double()))
    errors = {}
    for wanted in (True, False):
        with tf32_set(wanted):
            found = (one @ other, nn.functional.conv2d(image, kernel))
            errors[wanted] = [float((a.double() - b).abs().max()) for a, b in zip(found, exact, strict=True)]
    assert errors[True][0] > 10 * errors[False][0]
    # Without TF32, no convolution of cuDNN rounds like TF32.
    assert errors[False][1] < errors[True][0] / 10
    assert machine_facts()["class_id"] == before


@pytest.mark.parametrize("wanted", [True, False])
def test_case_with_tf32(with_tf32, measure, wanted):
    seen = []

    class Looks(nn.Linear):
        def forward(self, inputs):
            if inputs.is_cuda:
                seen.append(read_silently(lambda: torch.backends.cuda.matmul.allow_tf32))
            return super().forward(inputs)

    def recipe():
        workload = mlp(64, width=256)
        return dataclasses.replace(workload, model=nn.Sequential(Looks(256, 10)), tf32=wanted)

    before = machine_facts()["class_id"]
    assert measure(recipe, with_tf32)["loss_compared"] is True
    assert set(seen) == {wanted}
    assert machine_facts()["class_id"] == before


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adam_fused"])
def test_graphs_agree_with_the_cpu(gpu, measure, optimizer, phase):
    recipe = partial(with_graphs, optimizer)
    facts = measure(recipe, gpu, phase)
    assert facts.get("loss_compared", phase == "transfer") is True
    assert facts["capture_s"] > 0
    assert "peak_memory_bytes" not in facts


@pytest.mark.parametrize("single", [False, True])
def test_thread_of_the_backward_pass(gpu, measure, single):
    threads = set()

    class Looks(nn.Linear):
        def forward(self, inputs):
            outputs = super().forward(inputs)
            if outputs.is_cuda:
                outputs.register_hook(lambda _: threads.add(threading.get_ident()))
            return outputs

    def recipe():
        workload = mlp(4, width=8)
        return dataclasses.replace(workload, model=Looks(8, 10), single_threaded_backward=single)

    assert measure(recipe, gpu)["loss_compared"] is True
    assert (threads == {threading.get_ident()}) is single
    assert len(threads) == 1


def with_graphs(optimizer, **fields):
    workload = mlp(32, width=64)
    return dataclasses.replace(workload, optimizer=OPTIMIZERS[optimizer], cuda_graph=True, **fields)


@pytest.mark.parametrize("autocast", AUTOCAST, ids=str)
@pytest.mark.parametrize("name", ["seed_net", "cnn", "transformer"])
def test_graphs_of_recipes(gpu, measure, name, autocast):
    def recipe():
        return dataclasses.replace(shipped(name, 4)(), autocast=autocast, cuda_graph=True)

    assert measure(recipe, gpu)["loss_compared"] is True


def test_graphs_of_a_tiny_model(gpu, measure):
    """Not slower, and less work for the host."""
    plain = measure(lambda: tiny(64), gpu)
    plain_s = measure.median_s
    recorded = measure(lambda: dataclasses.replace(tiny(64), cuda_graph=True), gpu, workload="recorded")
    assert recorded["enqueue_s"] < plain["enqueue_s"]
    assert measure.median_s < 1.1 * plain_s


ASKS = """
class Asks(torch.nn.Linear):
    def forward(self, inputs):
        return super().forward(inputs) * (1.0 if inputs.sum().item() else 2.0)  # waits for the device

@pytest.mark.sweep(batch_size=[4])
def bench_asks(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size, model=Asks(4, 2), cuda_graph=True))

@pytest.mark.sweep(batch_size=[4], cuda_graph=[False, True])
def bench_next(train_benchmark, batch_size, cuda_graph):
    train_benchmark(lambda: workload(batch_size, cuda_graph=cuda_graph))
"""


def test_failed_capture_fails_alone(bench):
    """In a process of its own, because torch's allocator may remain in capture mode."""
    result = bench.write(ASKS).pytester.runpytest_subprocess(
        "bench",
        "--benchmark-json=run.json",
        "--benchmark-max-time=0.3",
        "--breakeven-devices=cuda",
        "--breakeven-phases=train",
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    [(name, (outcome, reason))] = bench.outcomes().items()
    assert (name, outcome) == ("bench_asks[4-cuda-train]", "failed")
    assert re.match(r"the step cannot be captured as a graph: .*synchroniz", reason)
    assert bench.timed() == ["bench_next[4-False-cuda-train]", "bench_next[4-True-cuda-train]"]
    assert all(item["extra_info"]["loss_compared"] for item in bench.file()["benchmarks"])


@pytest.mark.parametrize("graphs", [False, True], ids=["eager", "graphs"])
def test_compiled_model(gpu, measure, graphs):
    def recipe():
        return dataclasses.replace(mlp(16, width=32), compile=True, cuda_graph=graphs)

    measure.runner.budget = Budget(max_time_s=5.0)
    try:
        facts = measure(recipe, gpu, "train")
    except Exception as error:
        if not is_unsupported(error):
            raise
        pytest.skip(reason_for(error))
    assert facts["loss_compared"] is True
    assert facts["compile_s"] > 10 * measure.median_s
    assert ("capture_s" in facts) is graphs


def test_host_share_of_a_large_and_a_tiny_step(gpu, measure):
    shares = {}
    pinned = {"pin_memory": True}
    for name, recipe in {
        "tiny": lambda: dataclasses.replace(tiny(1), **pinned),
        "large": lambda: dataclasses.replace(mlp(8192, width=4096), **pinned),
    }.items():
        facts = measure(recipe, gpu, workload=name)
        step = Step.of(CaseFacts.of(facts), Spread(*[measure.median_s] * 3))
        [shares[name]] = bounds_along([step])
    assert shares["large"][0] is Bound.COMPUTE
    assert shares["tiny"][1].middle > 2 * shares["large"][1].middle


VARIANTS = """
from dataclasses import replace
from breakeven.measure.workload import mlp

@pytest.mark.sweep(batch_size=[4], tf32=[False, True], cuda_graph=[False, True])
def bench_variants(train_benchmark, batch_size, tf32, cuda_graph):
    train_benchmark(lambda: replace(mlp(batch_size, 64), tf32=tf32, cuda_graph=cuda_graph))
"""


def test_variants_do_not_change_the_class(bench):
    class_id = machine_facts()["class_id"]
    result = bench.write(VARIANTS).run("--breakeven-devices=cpu,cuda", "--breakeven-phases=train")
    assert result.ret == 0
    content = bench.file()
    axes = [item["extra_info"]["axes"] for item in content["benchmarks"] if "cuda" in item["name"]]
    supported = parse_device("cuda").why_no_tf32() is None
    assert len(axes) == (4 if supported else 2)
    assert len({tuple(sorted(item.items())) for item in axes}) == len(axes)
    assert content["machine_info"]["breakeven"]["class_id"] == class_id
