"""Two real ranks over gloo, each in a process of its own."""

import json

import pytest
import torch

from breakeven.measure.group import FAILURE_VARIABLE, LEFT_ALONE
from support.ranks import run_ranks
from support.small_workloads import losses, tiny

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo"),
]

RECIPE = """
def recipe(fsdp=False, **changes):
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
    inputs, targets = torch.randn(8, 4), torch.randn(8, 2)
    return Workload(model, nn.MSELoss(), optimizer, inputs, targets, fsdp=fsdp, **changes)
"""


def test_the_slowest_rank_decides():
    """Each round of every phase; the pooled rounds of both ranks would be a third faster."""
    first, second = run_ranks("""
class Slow(nn.Linear):
    def forward(self, value):
        time.sleep(0.002 + 0.01 * rank)
        return super().forward(value)

def recipe():
    return Workload(Slow(4, 2), nn.MSELoss(), torch.optim.SGD, torch.randn(8, 4), torch.randn(8, 2))

found = {}
for phase in ("forward", "train", "train_no_sync"):
    measure(recipe, phase, times=found.setdefault(phase, []))
answer(found)
leave()
""")
    assert (first.code, second.code) == (0, 0)
    assert all(min(times) >= 0.012 for times in first.answer.values())
    assert all(len(times) >= 2 for times in first.answer.values())


def test_every_phase_with_replicas_and_with_shards():
    """All facts of a case with batch normalization, whose first loss agrees with the CPU's."""
    first, second = run_ranks(
        RECIPE
        + """
found = {}
for fsdp in (False, True):
    for phase in PHASES:
        found[f"{phase} {fsdp}"] = measure(partial(recipe, fsdp), phase, workload=str(fsdp))
answer(found)
leave()
"""
    )
    assert (first.code, second.code) == (0, 0), first.err + second.err
    for case, facts in first.answer.items():
        assert isinstance(facts, dict), (case, facts)
        assert (facts["ranks"], facts["threads"], facts["device_name"]) == (2, 1, "2xcpu")
        assert facts["init_s"] > 0
        has_loss = case.split()[0] not in ("transfer", "infer")
        assert facts.get("loss_compared") is (True if has_loss else None), case
    flops = {case: facts.get("flops") for case, facts in first.answer.items()}
    assert flops["forward False"] == flops["forward True"] == 2 * 8 * (4 * 8 + 8 * 2)
    moved = {case: facts.get("moved_bytes") for case, facts in first.answer.items()}
    parameters = 4 * 8 + 8 + 8 + 8 + 8 * 2 + 2
    assert moved["step False"] == 2 * 5 * 4 * parameters  # each rank steps all parameters
    assert moved["step True"] <= 1.3 * 5 * 4 * parameters  # or its part of each, padded


def test_what_is_communicated():
    """In train gradients; in train_no_sync nothing of any kind, and each rank keeps its own gradients."""
    first, second = run_ranks(
        RECIPE
        + """
from torch.profiler import profile
from breakeven.measure.parallel import ParallelTrainer
found = {}
for fsdp in (False, True):
    torch.manual_seed(0)
    whole = recipe(fsdp)
    share = together.share(CaseKey.of("w", 8, "train", device.name).cell, whole)
    with device.active():
        trainer = ParallelTrainer(share, device)
        trainer.move_model()
        for phase in (Phase.TRAIN, Phase.TRAIN_NO_SYNC):
            trainer.start()
            for _ in range(2):
                trainer.prepare(phase)
                trainer.run(phase)
            trainer.prepare(phase)
            with profile() as profiled:
                trainer.run(phase)
            names = {event.key for event in profiled.key_averages()}
            sent = sorted(name for name in names if name.startswith(("gloo:", "nccl:", "c10d::")))
            grads = [one.grad.sum().item() for one in trainer.trained()] if not fsdp else []
            found[f"{phase} {fsdp}"] = sent, grads
answer(found)
together._leader.group.barrier()
"""
    )
    assert (first.code, second.code) == (0, 0)
    sent, grads = first.answer["train False"]
    # Batch normalization has buffers, which rank 0 sends before each forward pass.
    assert {"gloo:all_reduce", "gloo:broadcast"} <= set(sent)
    assert grads == second.answer["train False"][1]
    sent, grads = first.answer["train_no_sync False"]
    assert sent == []
    assert grads != second.answer["train_no_sync False"][1]
    assert any("reduce_scatter" in name for name in first.answer["train True"][0])
    assert any("allgather" in name or "all_gather" in name for name in first.answer["train True"][0])
    assert first.answer["train_no_sync True"][0] == second.answer["train_no_sync True"][0] == []


@pytest.mark.parametrize("fsdp", [False, True], ids=["ddp", "fsdp"])
def test_ranks_train_as_one_process_on_the_whole_batch(fsdp):
    """The mean of the ranks' losses is that of the global batch, in every step."""
    ended = run_ranks(
        f"""
sys.path.insert(0, "")
from dataclasses import replace
from support.small_workloads import tiny, train
from breakeven.measure.parallel import ParallelTrainer
from breakeven.measure.workload import build
share = together.share(CaseKey.of("w", 8, "train", device.name).cell, build(lambda: tiny(8, "adam")))
with device.active():
    trainer = ParallelTrainer(replace(share, fsdp={fsdp}), device)
    trainer.move_model()
    trainer.start()
    answer(train(trainer, 4))
together._leader.group.barrier()
"""
    )
    from breakeven.measure.workload import build

    mean = [sum(pair) / 2 for pair in zip(*(one.answer for one in ended), strict=True)]
    assert mean == pytest.approx(losses(build(lambda: tiny(8, "adam")), 4), rel=1e-5)


def test_an_error_while_the_others_wait(tmp_path):
    """Rank 0 waits for gradients of rank 1, which reports its error and ends; that takes seconds."""
    first, second = run_ranks(
        """
class Failing(nn.Linear):
    def forward(self, value):
        if rank == 1:
            raise torch.OutOfMemoryError("no memory")
        return super().forward(value)

began = time.time()
outcome = measure(lambda: Workload(
    Failing(4, 2), nn.MSELoss(), torch.optim.SGD, torch.randn(8, 4), torch.randn(8, 2)
))
answer([outcome, together.is_broken, time.time() - began])
leave()
""",
        **{FAILURE_VARIABLE: str(tmp_path / "failure")},
    )
    reason = "rank 1: OutOfMemoryError: no memory"
    outcome, is_broken, seconds = first.answer
    assert (outcome, is_broken) == (["oom", reason], True)
    assert seconds < 20
    assert second.code == LEFT_ALONE
    assert second.err.endswith(f"breakeven: {reason}\n")
    assert json.loads((tmp_path / "failure").read_text()) == {"rank": 1, "outcome": "oom", "reason": reason}


def test_errors_that_all_hear_of():
    """A recipe, an optimizer and parameters on rank 1 alone: the case ends, the ranks go on."""
    first, second = run_ranks(
        RECIPE
        + """
def failing():
    if rank == 1:
        raise ValueError("no data here")
    return recipe()

def learning(parameters):
    return torch.optim.SGD(parameters, lr=0.1 * (1 + rank))

def optimizer(parameters):
    return None if rank == 1 else torch.optim.SGD(parameters)

from dataclasses import replace
found = [measure(failing, batch_size=2)]
found.append(measure(lambda: replace(recipe(), optimizer=learning), batch_size=4))
found.append(measure(lambda: replace(recipe(), optimizer=optimizer), batch_size=8))
found.append(isinstance(measure(recipe, workload="another"), dict))
answer([found, together.is_broken])
leave()
"""
    )
    assert (first.code, second.code) == (0, 0)
    (recipe, differing, optimizer, after), is_broken = first.answer
    assert recipe[0] == "failed"
    assert recipe[1].endswith("the recipe raised ValueError: no data here")
    assert differing[1].startswith("rank 1 holds other parameters than rank 0 after the first step")
    assert optimizer[1].startswith("rank 1: Workload(optimizer=...) returned None")
    assert after
    assert not is_broken


def test_a_rank_that_is_killed():
    first, second = run_ranks("""
class Dying(nn.Linear):
    def forward(self, value):
        if rank == 1:
            os.kill(os.getpid(), 9)
        return super().forward(value)

outcome = measure(lambda: Workload(
    Dying(4, 2), nn.MSELoss(), torch.optim.SGD, torch.randn(8, 4), torch.randn(8, 2)
))
answer([outcome, together.is_broken])
""")
    assert first.answer == [
        [
            "crashed",
            "another rank ended without a reason; if the system killed it for memory, dmesg shows it",
        ],
        True,
    ]
    assert second.code == -9


def test_a_compiled_model():
    first, second = run_ranks(RECIPE + "\nanswer(measure(partial(recipe, compile=True), 'train'))\nleave()\n")
    assert (first.code, second.code) == (0, 0), first.err + second.err
    if isinstance(first.answer, list):
        assert first.answer[0] == "skipped"  # without a compiler
    else:
        assert first.answer["loss_compared"] is True
        assert first.answer["compile_s"] > 0
