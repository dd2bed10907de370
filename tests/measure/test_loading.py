"""Batches of a loader: what they may be, how its errors are told, and that its workers end."""

import gc
import multiprocessing
import os
import re
import signal
import time
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from breakeven import Workload
from breakeven.case import Budget, CaseKey, OutcomeKind
from breakeven.errors import RecipeError
from breakeven.hardware.devices import Cpu
from breakeven.hardware.load import own_cpu_s
from breakeven.measure.loader_errors import reason_of
from breakeven.measure.loading import Batches
from breakeven.measure.outcomes import CaseTimeout, is_out_of_memory
from breakeven.measure.runner import Runner
from breakeven.measure.timing import time_round
from breakeven.measure.workload import build


class Numbers(Dataset):
    """Pairs of a number and its square; `act` is called with each index first."""

    def __init__(self, count=10, act=None):
        self.count, self.act = count, act

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if self.act is not None:
            self.act(index)
        return torch.tensor([float(index)]), torch.tensor([float(index**2)])


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.arange(5.0)[:, None])


class Graphs:
    """A batch with its own `to`."""

    def __init__(self):
        self.x = torch.ones(2, 1)

    def to(self, *_args, **_kwargs):
        return self


def workload(loader, **changes):
    return Workload(nn.Linear(1, 1), nn.MSELoss(), torch.optim.SGD, loader=loader, **changes)


def taken(batches, count):
    return [[float(value) for value in batches.take()[0].flatten()] for _ in range(count)]


def test_passes():
    """A smaller last batch is one too, and a pass follows the other."""
    batches = Batches(DataLoader(Numbers(5), batch_size=2))
    assert batches.per_pass == 3
    assert taken(batches, 4) == [[0, 1], [2, 3], [4], [0, 1]]


def test_length_of_a_stream():
    """It is known once a pass has ended."""
    batches = Batches(DataLoader(Stream(), batch_size=2))
    assert batches.per_pass is None
    batches.make_room(4)  # would fit into no pass
    assert taken(batches, 3) == [[2, 3], [4], [0, 1]]
    assert batches.per_pass == 3
    assert set(batches.facts()) == {"loader_workers", "loader_batches", "loader_start_s"}


def test_room():
    """A round stays within a pass; without workers the pass's first batch was loaded before the round."""
    batches = Batches(DataLoader(Numbers(5)))
    firsts = []
    for _ in range(3):
        batches.make_room(2)
        firsts.append(taken(batches, 2)[0])
    assert firsts == [[1], [3], [1]]


def test_round_as_long_as_a_pass():
    """It starts a pass as often as a training loop does: once for each of its batches, not twice."""
    starts = []

    class Pair:
        def __len__(self):
            return 2

        def __iter__(self):
            starts.append(self)
            return iter([torch.ones(1), torch.ones(1)])

    batches = Batches(Pair)
    for _ in range(3):
        batches.make_room(2)
        batches.take()
        batches.take()
    assert len(starts) == 1 + 3


@pytest.mark.parametrize(("persistent", "start_s"), [(False, [5.0, 1.0]), (True, [2.0, None])])
def test_start_of_a_pass(persistent, start_s):
    """It is timed once a case, by the case's clock; workers that persist are not started by each pass."""
    now, starts_s = [0.0], iter([5.0, 2.0, 1.0])

    class One:
        persistent_workers = persistent

        def __iter__(self):
            now[0] += next(starts_s)
            return iter([torch.ones(1)])

    batches = Batches(One)
    found = []
    for passes in (2, 1):
        batches.begin(clock=lambda: now[0])
        taken(batches, passes)
        found.append(batches.start_s)
    assert found == start_s


def test_each_case_has_the_same_batches():
    """Also with a generator of the loader's own."""
    generator = torch.Generator().manual_seed(3)
    batches = Batches(DataLoader(Numbers(), shuffle=True, generator=generator))
    orders = []
    for _ in range(2):
        batches.begin()
        orders.append(taken(batches, 20))
    assert orders[0] == orders[1]


PACKED = namedtuple("PACKED", "data to")


@pytest.mark.parametrize(
    ("batch", "inputs", "has_targets"),
    [
        ((torch.ones(1), torch.ones(2)), torch.Tensor, True),
        ([torch.ones(1), torch.ones(2)], torch.Tensor, True),
        ({"ids": torch.ones(1)}, dict, False),
        (torch.ones(1), torch.Tensor, False),
        ((torch.ones(1), torch.ones(1), torch.ones(1)), tuple, False),
        (Graphs(), Graphs, False),
        (PACKED(torch.ones(1), lambda *_: None), PACKED, False),
    ],
    ids=["pair", "list", "mapping", "tensor", "three", "movable", "movable pair"],
)
def test_batch(batch, inputs, has_targets):
    pair = Batches(lambda: [batch]).take()
    assert isinstance(pair[0], inputs)
    assert (pair[1] is not None) is has_targets


def test_unpack():
    assert Batches(lambda: [{"x": 1, "y": 2}], lambda batch: (batch["x"], batch["y"])).take() == (1, 2)


def test_first_batch():
    """A workload with a loader alone trains on it, in memory of its own."""
    built = build(lambda: workload(DataLoader(Numbers(), batch_size=3)))
    ((inputs, targets),) = built.host_batches
    assert (inputs.tolist(), targets.tolist()) == ([[0], [1], [2]], [[0], [1], [4]])
    given = workload(DataLoader(Numbers(act=pytest.fail)), inputs=torch.ones(1, 1), targets=torch.ones(1, 1))
    assert build(lambda: given) is given


class Items(Dataset):
    def __init__(self, item):
        self.item = item

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.item


REMEDY = ": let Workload(unpack=...) return (inputs, targets)"
X = torch.ones(1)


def reason_of_first_call(item, phase="train", **own):
    recipe = lambda: workload(DataLoader(Items(item)), **own)  # noqa: E731
    runner = Runner(Budget(max_time_s=0.01))
    case = CaseKey.of("w", 1, phase, "cpu")
    with pytest.raises(Exception) as raised:
        runner.measure(case, Cpu(), recipe, lambda one, _: time_round(one))
    return runner.note_failure(case, raised.value)


@pytest.mark.parametrize("phase", ["train", "infer", "epoch"])
@pytest.mark.parametrize(
    ("item", "structure"), [((X, X, "a.png"), "a list of 3"), ({"image": X, "label": X}, "a dict of 2")]
)
def test_batch_that_the_model_does_not_take(item, structure, phase):
    """Structures that only `unpack` can turn into a pair are named with that remedy."""
    outcome, reason = reason_of_first_call(item, phase)
    assert outcome is OutcomeKind.FAILED
    assert reason.startswith("TypeError: ")
    assert reason.endswith(f"; a batch of the loader is {structure}{REMEDY}")
    assert reason.count("unpack") == 1


def test_batch_without_targets():
    _, reason = reason_of_first_call(X)
    assert reason.endswith(f"; a batch of the loader is a tensor{REMEDY}")


def test_other_errors_of_a_first_call():
    """A pair, one that `unpack` made, or an error in the model have no such remedy."""
    for item, own in (
        (("a", X), {"inputs": (X, X), "targets": X}),
        ((X, X, X), {"unpack": lambda batch: (batch[:2], None)}),
        (torch.ones(3), {}),
    ):
        assert "unpack" not in reason_of_first_call(item, **own)[1]


def test_batch_that_a_lazy_model_does_not_take():
    lazy = Workload(nn.LazyLinear(1), nn.MSELoss(), torch.optim.SGD, loader=DataLoader(Items((X, X, X))))
    with pytest.raises(RecipeError, match=r"raised TypeError: .*; a batch of the loader is a list of 3: let"):
        build(lambda: lazy)


def test_first_batch_of_a_lazy_model():
    lazy = Workload(nn.LazyLinear(1), nn.MSELoss(), torch.optim.SGD, loader=DataLoader(Numbers()))
    assert build(lambda: lazy).parameters == 2


def raise_value_error(index):
    raise ValueError(f"no image {index}\nand no second line")


@pytest.mark.parametrize(
    ("loader", "changes", "message"),
    [
        (
            DataLoader(Numbers(0), shuffle=False),
            {},
            "^the loader is empty: a pass over it has no batch",
        ),
        (lambda: 3, {}, "returned 3, expected a torch.utils.data.DataLoader; let the function return it"),
        (lambda: iter([1]), {}, "not an iterator over it"),
        (lambda: 1 / 0, {}, r"test_loading.py:\d+: the loader raised ZeroDivisionError: division by zero$"),
        (DataLoader(Numbers(act=raise_value_error)), {}, r"the loader raised ValueError: no image 0$"),
        (
            DataLoader(Numbers()),
            {"unpack": lambda batch: batch[0]},
            "unpack=...) returned a tensor",
        ),
        (DataLoader(Numbers()), {"unpack": lambda _: (3, 4)}, "first batch has 3 for inputs, expected a"),
        (DataLoader(Numbers()), {"host_inputs": ("a",)}, "first batch: .*'a' is not one of the inputs"),
    ],
    ids=["empty", "a number", "an iterator", "function", "dataset", "unpack", "no tensor", "host_inputs"],
)
def test_unusable(loader, changes, message):
    with pytest.raises(RecipeError) as raised:
        build(lambda: workload(loader, **changes))
    assert "\n" not in str(raised.value)
    assert re.search(message.replace("...)", r"\.\.\.\)"), str(raised.value))


TRACEBACK = """Caught {error} in DataLoader worker process 3.
Original Traceback (most recent call last):
  File "/lib/torch/worker.py", line 9, in loop
    data = fetch()
  File "/home/me/data.py", line 12, in __getitem__
    raise {error}("x")
{message}
"""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            ValueError(TRACEBACK.format(error="ValueError", message="ValueError: no image 7\nmore")),
            "/home/me/data.py:12: the loader's worker process 3 raised ValueError: no image 7",
        ),
        (
            RuntimeError("DataLoader worker (pid 12) is killed by signal: Segmentation fault. "),
            "a worker of the loader was killed by signal: Segmentation fault",
        ),
        (
            RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. "),
            "a worker of the loader was killed by signal: Killed, as when memory runs out",
        ),
        (
            RuntimeError("DataLoader worker (pid(s) 12, 13) exited unexpectedly"),
            "a worker of the loader exited unexpectedly",
        ),
    ],
    ids=["raised", "segmentation fault", "killed", "exited"],
)
def test_reason(error, reason):
    found = reason_of(error)
    assert isinstance(found, RecipeError)
    assert str(found) == reason


def test_signal_of_the_cause():
    error = RuntimeError("DataLoader worker (pid(s) 12) exited unexpectedly")
    error.__cause__ = RuntimeError("DataLoader worker (pid 12) is killed by signal: Bus error. It is")
    assert str(reason_of(error)).endswith("was killed by signal: Bus error")


@pytest.mark.parametrize(
    ("code", "reason"),
    [(-9, "was killed by signal: Killed, as when"), (-11, "was killed by signal: Segm"), (0, "exited unexp")],
)
def test_worker_that_died_while_it_handed_over_a_batch(code, reason):
    """Only the connection to it is known to be lost."""

    class Lost:
        _workers = (SimpleNamespace(join=lambda **_: None, exitcode=code, pid=7),)

        def __next__(self):
            raise ConnectionResetError("Connection reset by peer")

        def _shutdown_workers(self):
            pass

    class Loader:
        def __iter__(self):
            return Lost()

    with pytest.raises(RecipeError, match=f"^a worker of the loader {reason}"):
        Batches(Loader).take()


def test_timeout_and_memory():
    assert isinstance(reason_of(RuntimeError("DataLoader timed out after 30 seconds")), CaseTimeout)
    error = MemoryError(TRACEBACK.format(error="MemoryError", message="MemoryError"))
    with pytest.raises(RecipeError) as raised:
        raise reason_of(error) from error
    assert is_out_of_memory(raised.value)


def test_timeout_of_a_loader_within_a_loader():
    """A loader of the user's own has no workers of torch's to end."""

    def wrapped():
        yield torch.ones(1)
        raise RuntimeError("DataLoader timed out after 5 seconds")

    batches = Batches(lambda: Wrapped(wrapped))
    batches.take()
    with pytest.raises(CaseTimeout, match="no batch in 5 s"):
        batches.take()


class Wrapped:
    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return self.batches()


@pytest.mark.parametrize("own_s", [0, 50])
def test_time_left(own_s):
    """Each round may wait for what is left of the case then, unless the loader has a timeout of its own."""
    left_s = iter([9.5, 4.2, 4.2, 0.1])
    batches = Batches(DataLoader(Numbers(), num_workers=1, timeout=own_s))
    batches.begin(lambda: next(left_s))
    waits_s = []
    for _ in range(3):
        batches.make_room(2)
        waits_s.append(batches._iterator._timeout)
    batches.close()
    assert waits_s == ([5, 5, 1] if own_s == 0 else [50] * 3)


def kill(number):
    def act(index):
        if index > 20:
            os.kill(os.getpid(), number)

    return act


def hang(index):
    if index > 20:
        time.sleep(1000)


def exit_silently(index):
    if index > 20:
        os._exit(0)


def late_error(index):
    if index > 20:
        raise_value_error(index)


def measured(loader, timeout_s=600.0, phase="load"):
    """How a case ends: its facts, or its outcome and reason."""
    runner = Runner(Budget(max_time_s=0.2, timeout_s=timeout_s))
    case = CaseKey.of("w", 2, phase, "cpu")
    inputs = {"inputs": torch.ones(2, 1), "targets": torch.ones(2, 1)}
    recipe = lambda: workload(loader, **inputs)  # noqa: E731
    try:
        return runner.measure(case, Cpu(), recipe, lambda one, _: time_round(one))
    except Exception as error:
        return runner.note_failure(case, error)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "outcome", "reason"),
    [
        (late_error, OutcomeKind.FAILED, "raised ValueError: no image "),
        (kill(signal.SIGSEGV), OutcomeKind.FAILED, "was killed by signal: Segmentation fault"),
        (kill(signal.SIGKILL), OutcomeKind.FAILED, "was killed by signal: Killed, as when memory runs out"),
        (exit_silently, OutcomeKind.FAILED, "a worker of the loader exited unexpectedly"),
        (hang, OutcomeKind.TIMEOUT, "the loader's workers gave no batch in"),
    ],
    ids=["error", "segmentation fault", "killed", "exit", "hang"],
)
@pytest.mark.parametrize("persistent", [False, True])
def test_bad_worker(act, outcome, reason, persistent):
    """It ends the case with its reason within the time, and leaves neither workers nor shared memory."""
    before = set(Path("/dev/shm").glob("torch_*"))
    loader = DataLoader(Numbers(100, act), batch_size=2, num_workers=2, persistent_workers=persistent)
    start_s = time.monotonic()
    kind, text = measured(loader, timeout_s=3.0)
    assert (kind, reason in text) == (outcome, True), text
    assert time.monotonic() - start_s < 7.0
    assert multiprocessing.active_children() == []
    assert set(Path("/dev/shm").glob("torch_*")) == before


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_case(method):
    """They collect garbage, count as own CPU time, end with the case, and leave the recipe's loader alone."""
    loader = DataLoader(
        Numbers(64, busy),
        batch_size=2,
        num_workers=2,
        multiprocessing_context=method,
        persistent_workers=method == "spawn",
        worker_init_fn=note_collector,
    )
    init, timeout = loader.worker_init_fn, loader.timeout
    before_s = own_cpu_s()
    facts = measured(loader, phase="epoch")
    assert own_cpu_s() - before_s > 0.1
    assert multiprocessing.active_children() == []
    assert (loader.worker_init_fn, loader.timeout, loader._iterator) == (init, timeout, None)
    assert (facts["loader_workers"], facts["loader_batches"]) == (2, 32)
    assert facts["loader_start_s"] > 0
    assert facts["steps"] % 4 == 0


def busy(_index):
    end_s = time.process_time() + 0.002
    while time.process_time() < end_s:
        pass


def note_collector(_worker):
    assert gc.isenabled()


@pytest.mark.slow
def test_workers_of_the_recipe():
    """A recipe that looks at a batch has started workers that persist; a case has its own."""
    loader = DataLoader(Numbers(), num_workers=1, persistent_workers=True)
    next(iter(loader))
    (its_worker,) = multiprocessing.active_children()
    batches = Batches(loader)
    batches.take()
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    assert multiprocessing.active_children() == [its_worker]
    assert float(next(iter(loader))[0]) == 0.0
    loader._iterator._shutdown_workers()


@pytest.mark.slow
def test_workers_hide_the_loading():
    """Two workers that sleep take half as long per batch as loading in the process."""
    alone = measured_s(DataLoader(Numbers(400, sleep), batch_size=2))
    shared = measured_s(DataLoader(Numbers(400, sleep), batch_size=2, num_workers=2))
    assert alone >= 0.02
    assert shared == pytest.approx(alone / 2, rel=0.3)


def sleep(_index):
    time.sleep(0.01)


def measured_s(loader):
    facts = measured(loader)
    return facts["step_s"]


@pytest.mark.slow
def test_workers_die_with_their_process():
    """However it ends: here it is killed while its worker hangs."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=load_forever, args=(sender,))
    process.start()
    (worker,) = receiver.recv()
    process.kill()
    process.join()
    end_s = time.monotonic() + 5.0
    while Path(f"/proc/{worker}").exists() and time.monotonic() < end_s:
        time.sleep(0.01)
    assert not Path(f"/proc/{worker}").exists()


def load_forever(sender):
    batches = Batches(DataLoader(Numbers(100, hang), batch_size=2, num_workers=1))
    batches.take()
    sender.send([child.pid for child in multiprocessing.active_children()])
    for _ in range(100):
        batches.take()
