"""Earlier results stay until a whole new file replaces them; a run that is ended keeps what it has."""

import io
import resource
import signal
from functools import partial
from unittest.mock import Mock

import pytest
from _pytest._io import TerminalWriter

from breakeven.plugin.terminal import outlive_readers
from breakeven.runs.reader import read
from support.projects import Project

YESTERDAYS = "yesterday's"


@pytest.fixture
def yesterday(bench):
    """The run file of the run before."""
    path = bench.pytester.path / "run.json"
    path.write_text(YESTERDAYS)
    return path


def test_full_disk(bench, yesterday, tmp_path, monkeypatch):
    """The old file stays whole, and the results are saved elsewhere."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("breakeven.files.os.fsync", fail)

    result = bench.write().run()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert yesterday.read_text() == YESTERDAYS
    [saved] = tmp_path.glob("breakeven-run-*.json")
    assert len(read([saved]).runs[0].cases) == 2
    assert not list(bench.pytester.path.glob(".breakeven*"))


def test_write_that_fails_half_way(bench, yesterday):
    """A limit of the file's size ends pytest-benchmark's write after its first bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    bench.pytester.makeconftest("""
import resource
def pytest_benchmark_update_json():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
""")
    try:
        result = bench.write().run("-p", "no:logging")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert yesterday.read_text() == YESTERDAYS
    assert not list(bench.pytester.path.glob(".breakeven*"))


def test_interrupted_write(bench, yesterday):
    """What is written when the run is interrupted is not put in place."""
    bench.write("""
class Interrupting:
    strings = ["once"]
    def __str__(self):
        if self.strings:
            raise KeyboardInterrupt(self.strings.pop())
        return "again"
    __repr__ = __str__

@pytest.mark.sweep(batch_size=[1])
def bench_plain(train_benchmark, batch_size, benchmark):
    train_benchmark(lambda: workload(batch_size))
    benchmark.extra_info["mine"] = Interrupting()
""")

    with pytest.raises(KeyboardInterrupt, match="once"):
        bench.run()

    assert yesterday.read_text() == YESTERDAYS
    assert not list(bench.pytester.path.glob(".breakeven*"))


def test_link_and_permissions_stay(bench, yesterday):
    elsewhere = bench.pytester.path / "elsewhere.json"
    yesterday.rename(elsewhere)
    elsewhere.chmod(0o600)
    yesterday.symlink_to(elsewhere)

    assert bench.write().run().ret == 0

    assert yesterday.is_symlink()
    assert len(read([elsewhere]).runs[0].cases) == 2
    assert elsewhere.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "option",
    [
        *("--collect-only", "--setup-plan", "--setup-only", "--fixtures", "--fixtures-per-test", "--markers"),
        *("--help", "--version", "--benchmark-disable", "--benchmark-skip", "--breakeven-shard=2/2"),
    ],
)
def test_nothing_is_timed(bench, yesterday, option):
    """A run that cannot time anything leaves the file of one that did."""
    bench.write("""
@pytest.mark.sweep(batch_size=[1])
def bench_plain(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
""").run(option)

    assert yesterday.read_text() == YESTERDAYS


EXITS = {
    "recipe": "train_benchmark(lambda: pytest.exit('enough', returncode=7))",
    "model": """
    class Exiting(torch.nn.Linear):
        def forward(self, inputs):
            pytest.exit("enough", returncode=7)
    train_benchmark(lambda: workload(batch_size, model=Exiting(4, 2)))""",
    "optimizer": """
    train_benchmark(lambda: workload(
        batch_size, optimizer=lambda parameters: pytest.exit("enough", returncode=7)))""",
    "loss": """
    train_benchmark(lambda: workload(
        batch_size, loss=lambda outputs, targets: pytest.exit("enough", returncode=7)))""",
    "function": "pytest.exit('enough', returncode=7)",
}

SIMILAR = ("optimizer", "loss")


@pytest.mark.usefixtures("sweep_order")
@pytest.mark.parametrize(
    "where", [pytest.param(name, marks=pytest.mark.slow) if name in SIMILAR else name for name in EXITS]
)
def test_pytest_exit(bench, yesterday, where):
    """It ends the run with what there is."""
    result = bench.write(f"""
@pytest.mark.sweep(batch_size=[1])
def bench_before(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))

@pytest.mark.sweep(batch_size=[1])
def bench_exits(train_benchmark, batch_size):
    {EXITS[where]}

@pytest.mark.sweep(batch_size=[1])
def bench_later(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
""").run()

    assert result.ret == 7
    assert bench.timed() == ["bench_before[1-cpu@1-train]"]
    assert {outcome for outcome, _ in bench.outcomes().values()} == {"skipped"}
    assert bench.file()["breakeven"]["complete"] is False
    assert len(read([yesterday]).runs[0].cases) == 1


@pytest.mark.usefixtures("sweep_order")
@pytest.mark.parametrize(
    "name", ["SIGTERM", "SIGHUP", *(pytest.param(n, marks=pytest.mark.slow) for n in ("SIGQUIT", "SIGXCPU"))]
)
def test_signals(bench, request, name):
    """What ends a process ends a run as Ctrl-C does."""
    number = getattr(signal, name)
    request.addfinalizer(partial(signal.signal, number, signal.getsignal(number)))
    signal.signal(number, signal.SIG_DFL)  # one that is ignored, as under nohup, stays ignored

    result = bench.write(f"""
@pytest.mark.sweep(batch_size=[1, 2])
def bench_canceled(train_benchmark, batch_size):
    import os, signal
    if batch_size == 2:
        os.kill(os.getpid(), signal.{name})
    train_benchmark(lambda: workload(batch_size))
""").run()

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert bench.timed() == ["bench_canceled[1-cpu@1-train]"]
    assert signal.getsignal(number) is signal.SIG_DFL


class Unread(io.StringIO):
    """A file that takes some lines, and then fails as a pipe that nobody reads."""

    def flush(self):
        if self.tell() > 10:
            raise BrokenPipeError(32, "Broken pipe")


def test_unread_output():
    """It is discarded."""
    writer = TerminalWriter(Unread())
    cleanups = []
    outlive_readers(Mock(get_terminal_writer=lambda: writer, add_cleanup=cleanups.append))

    for number in range(10):
        writer.line(f"line {number}", flush=True)
    writer.flush()

    assert cleanups == [writer.flush]


BEFORE_AND_AFTER = """
@pytest.mark.sweep(batch_size=[1])
def bench_before(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))

@pytest.mark.sweep(batch_size=[2])
def bench_exits(train_benchmark, batch_size, tmp_path):
    train_benchmark(lambda: workload(batch_size, EXIT))

@pytest.mark.sweep(batch_size=[4])
def bench_later(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""


@pytest.mark.slow
def test_pytest_exit_in_a_measuring_process(tmp_path):
    """No other process starts, and the run ends with what there is and the exit code that was given."""
    exits = 'lambda: pytest.exit("enough", returncode=7)'
    project = Project(tmp_path, BEFORE_AND_AFTER.replace("EXIT", exits))

    code, output = project.run("--breakeven-processes=2", "--breakeven-seed=1")

    assert code == 7
    assert "Exit: enough" in output
    assert "crashed" not in output
    assert project.outcomes()["exits[2]"] == ("skipped", "pytest.exit() ended the run: enough")
    assert not (tmp_path / "run.json.journal").exists()


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 1])
def test_closed_standard_output(tmp_path, processes):
    """The run goes on when its output is not read anymore, as with ``| head``, and writes its file."""
    project = Project(tmp_path, BEFORE_AND_AFTER.replace("EXIT", "lambda: None"))
    process = project.start("-v", f"--breakeven-processes={processes}")
    while not process.stdout.readline().startswith("breakeven: 3 cases"):
        assert process.poll() is None
    process.stdout.close()

    assert process.wait(240) == 0
    assert set(project.rounds()) == {"before[1]", "exits[2]", "later[4]"}


STOPPED_REPLAY = """
@pytest.fixture
def exiting(request):
    yield
    if not request.config.pluginmanager.has_plugin("breakeven_worker"):  # not where the case is timed
        pytest.exit("enough")

@pytest.mark.sweep(batch_size=[1])
def bench_first(train_benchmark, batch_size, exiting):
    train_benchmark(lambda: workload(batch_size))

@pytest.mark.sweep(batch_size=[2])
def bench_second(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""


@pytest.mark.slow
def test_replay_that_is_stopped(tmp_path):
    """What was timed is in the run file also where pytest does not come to replay it."""
    project = Project(tmp_path, STOPPED_REPLAY)

    code, _ = project.run("--breakeven-processes=1")

    assert code == pytest.ExitCode.INTERRUPTED
    assert set(project.rounds()) == {"first[1]", "second[2]"}
    assert not (tmp_path / "run.json.journal").exists()
