"""`pytest bench` with a device of several processes: real ranks over gloo, and ways in which they end."""

import signal
import time

import psutil
import pytest

from breakeven.runs.journal import read_journal
from support.projects import Project

pytestmark = pytest.mark.slow

FAULTS = """
@pytest.fixture
def fault(batch_size):
    return FAULTS.get(batch_size) if os.environ.get("RANK") == "1" else None

@pytest.mark.sweep(batch_size=[2, 4, 6, 8, 10, 12])
def bench_faults(train_benchmark, batch_size, fault):
    train_benchmark(lambda: workload(batch_size, fault or (lambda: None)))

FAULTS = {
    4: lambda: os.kill(os.getpid(), signal.SIGKILL),
    6: lambda: time.sleep(1000),
    8: fail,
    10: lambda: os._exit(3),
}
"""

PLAIN = """
@pytest.mark.sweep(batch_size=[2, 3, 4])
def bench_plain(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""

SUMMARY = """
def pytest_terminal_summary():
    with open("summaries", "a") as file:
        file.write("one ")
"""

SLOW = """
@pytest.mark.sweep(batch_size=[2, 4])
def bench_slow(train_benchmark, batch_size):
    wait = lambda: time.sleep(1000) if batch_size == 2 and not pathlib.Path("go").exists() else None
    train_benchmark(lambda: workload(batch_size, wait))
"""


@pytest.fixture
def project(tmp_path):
    return lambda source, conftest="": Project(tmp_path, source, conftest)


def batch_sizes(found):
    """Return outcomes or rounds by device and batch size."""
    return {
        tuple(name.partition("[")[2].removesuffix("-train]").split("-", 1)): one
        for name, one in found.items()
    }


def assert_gone(pids):
    deadline = time.monotonic() + 20
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, [
            psutil.Process(pid).cmdline() for pid in filter(is_running, pids)
        ]
        time.sleep(0.05)


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_run(project):
    """The device of one process and that of two, in two processes of a run, with their records."""
    made = project(PLAIN, SUMMARY)
    code, output = made.run("--breakeven-devices=cpu@1,2xcpu", "--breakeven-processes=2", "-v")

    assert code == 0, output
    content = made.content()
    timed = {
        (item["extra_info"]["device"], item["extra_info"]["batch_size"]): item["extra_info"]
        for item in content["benchmarks"]
    }
    assert set(timed) == {("cpu@1", 2), ("cpu@1", 3), ("cpu@1", 4), ("2xcpu", 2), ("2xcpu", 4)}
    assert all(len(info["processes"]) == 2 and 0 not in info["processes"] for info in timed.values())
    assert timed["2xcpu", 4]["ranks"] == 2
    assert timed["2xcpu", 4]["init_s"] > 0
    [outcome] = content["breakeven"]["outcomes"]
    assert outcome["outcome"] == "skipped"
    assert outcome["reason"] == "batch 3 cannot be divided among 2 processes; use a multiple"
    records = content["breakeven"]["processes"]
    assert [(one.get("device"), one["seed"]) for one in records] == [
        (None, 0),
        ("2xcpu", 0),
        (None, 1),
        ("2xcpu", 1),
    ]
    assert set(records[1]["canary"]) == {"2xcpu"}
    assert not (made.path / "run.json.journal").exists()
    assert (made.path / "summaries").read_text() == "one "  # the coordinator's
    # Also a run of groups only is of the machine's class, whatever threads its ranks have.
    code, _ = made.run("--breakeven-devices=2xcpu", "--benchmark-json=only.json", "-k", "2-2xcpu")
    assert code == 0
    classes = [
        made.content(name)["machine_info"]["breakeven"]["class_id"] for name in ("run.json", "only.json")
    ]
    assert classes[0] == classes[1]


def test_faults_of_one_rank(project):
    """Each ends its case with the reason, and costs no other one."""
    made = project(FAULTS)
    code, output = made.run("--breakeven-devices=2xcpu", "--breakeven-timeout=15")

    assert code == 1
    assert {
        batch for batch, _ in batch_sizes({item["name"]: 0 for item in made.content()["benchmarks"]})
    } == {"2", "12"}, output
    outcomes = {
        int(one["extra_info"]["batch_size"]): (one["outcome"], one["reason"])
        for one in made.content()["breakeven"]["outcomes"]
    }
    assert outcomes[4] == ("crashed", "rank 1 was ended by SIGKILL, as when memory runs out")
    assert outcomes[8] == ("failed", f"rank 1: {made.no_good}")
    assert outcomes[10] == ("crashed", "rank 1 exited with 3")
    kind, reason = outcomes[6]
    assert kind == "timeout"
    assert "took more than 15 s without an end, in File" in reason
    assert "bench_mine.py" in reason


def test_a_group_that_does_not_start(project):
    """It costs its own cases, with one line; those of other devices are written."""
    made = project(PLAIN, 'import os\nif os.environ.get("RANK") == "1": raise OSError("no port")')
    code, output = made.run("--breakeven-devices=cpu@1,2xcpu", "-k", "not 3")

    assert code == 1
    assert len(made.content()["benchmarks"]) == 2
    reasons = {one["reason"] for one in made.content()["breakeven"]["outcomes"]}
    assert len(reasons) == 1
    assert "the processes of 2xcpu did not start (rank 1 exited with 4: OSError: no port" in reasons.pop()
    assert sum("did not start" in line for line in output.splitlines()) < 6


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_coordinator_is_ended(project, number):
    """No rank survives it; what is left is measured by a resumed run."""
    made = project(SLOW)
    process = made.start_and_wait_for('"kind":"end"', "--breakeven-devices=2xcpu")
    pids = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    assert len(pids) >= 3  # the agent and two ranks

    process.send_signal(number)
    process.communicate(timeout=60)

    assert_gone(pids)
    assert len(read_journal(made.path / "run.json.journal").started) == 1
    (made.path / "go").touch()
    code, output = made.run("--breakeven-devices=2xcpu", "--breakeven-resume")
    assert code == 0, output
    assert len(made.content()["benchmarks"]) == 2
    assert made.content()["breakeven"]["complete"]


def test_stop_at_the_first_failure(project):
    made = project(FAULTS)
    code, output = made.run("--breakeven-devices=2xcpu", "-x", "-k", "8 or 2-")

    assert code == 1
    assert f"rank 1: {made.no_good}" in output
