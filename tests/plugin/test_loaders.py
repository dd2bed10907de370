"""A loader whose worker hangs, in real measuring processes and in pytest's own."""

from pathlib import Path

import pytest

from support.projects import Project

SOURCE = """
import dataclasses
from torch.utils.data import DataLoader, Dataset

class Waiting(Dataset):
    def __len__(self):
        return 100

    def __getitem__(self, index):
        if index > 20:
            pathlib.Path(f"worker-{os.getpid()}").touch()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1000)
        return torch.ones(4), torch.zeros(2)

@pytest.mark.sweep(batch_size=[2], timeout=[0, 1000])
def bench_waiting(train_benchmark, batch_size, timeout):
    train_benchmark(lambda: dataclasses.replace(
        workload(batch_size),
        loader=DataLoader(Waiting(), batch_size=batch_size, num_workers=2, timeout=timeout),
    ))
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 1])
def test_hanging_worker(tmp_path, processes):
    """The case ends in its time, by the loader's timeout or as any case that hangs, and no worker is left.

    In pytest's own process nothing can end a case with a longer timeout of the user's own.
    """
    project = Project(tmp_path, SOURCE)
    options = ["-k", "2-0"] if processes == 0 else []
    project.run(
        f"--breakeven-processes={processes}", "--breakeven-phases=load", "--breakeven-timeout=4", *options
    )
    reasons = project.outcomes()
    outcome, reason = reasons.pop("waiting[2-0-cpu@1-load]")
    assert (outcome, "the loader's workers gave no batch in" in reason) == ("timeout", True)
    if processes:
        outcome, reason = reasons.pop("waiting[2-1000-cpu@1-load]")
        assert (outcome, "took more than 4.0 s without an end" in reason) == ("timeout", True)
    assert reasons == {}
    workers = [path.name.removeprefix("worker-") for path in tmp_path.glob("worker-*")]
    assert workers
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
