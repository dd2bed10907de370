"""What the cells of run files do in a step: recorded, or counted in a pytest process."""

import shlex
import sys
from pathlib import Path

import pytest

from breakeven.case import Axes, Cell
from breakeven.commands.counted import counted
from breakeven.errors import UsageError
from breakeven.experiment.count_request import VARIABLE, CountRequest
from breakeven.runs.reader import read
from support.run_files import benchmark, run, write


def cell(batch_size, workload="mlp", **axes):
    return Cell(workload, Axes(axes or {"width": 128}), batch_size)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A directory with benchmarks, and a function that writes and reads run files in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench").mkdir()

    def runs(*benchmarks, command="pytest bench"):
        content = run([benchmark([0.01], **one) for one in benchmarks], outcomes=[])
        content["breakeven"]["command"] = command
        return write(tmp_path / f"run-{len([*tmp_path.glob('run-*')])}.json", content)

    return runs


def answering(answer=lambda index: {"operators": 10 + index}, code=0, output=""):
    """Return a stand-in for the process, and the jobs that it was given."""
    jobs = []

    def execute(job):
        request = CountRequest(Path(job.environment[VARIABLE]))
        jobs.append((job.command, request.cells()))
        for index, _ in enumerate(request.cells()):
            if (given := answer(index)) is not None:
                request.answer(index, given)
        job.log.write_text(output)
        return code

    return execute, jobs


def unused(job):
    raise AssertionError(job)


def test_recorded_counts(project):
    """No process starts: also for cells of other runs that have no counts, and unknown ones."""
    first = project(
        {"batch_size": 1, "operators": 7, "batch_bytes": 5, "flops_by_format": {"tf32": 3}},
        {"batch_size": 8, "operators_unknown": "a compiled model"},
    )
    second = project(
        {"batch_size": 1, "device": "cuda"},
        {"batch_size": 1, "device": "cuda:1", "operators_unknown": "it took too long"},
        {"batch_size": 64, "device": "2xcuda"},
    )

    found = counted(read([first, second]), execute=unused)

    assert found.of.keys() == {cell(1)}
    facts = found.of[cell(1)]
    assert (facts.operators, facts.batch_bytes, facts.flops_by_format) == (7, 5, {"tf32": 3})
    assert found.unknown == {cell(8): "a compiled model"}


def test_counts_of_a_run(project, capsys):
    """Each cell with a training step, once, from the folder in the run's command."""
    execute, jobs = answering()
    path = project(
        {"batch_size": 1}, {"batch_size": 1, "device": "cuda"}, {"batch_size": 8, "operators": 7},
        {"batch_size": 64, "phase": "forward"}, {"batch_size": 512},
        command="BREAKEVEN_CASES=cases.txt pytest bench --breakeven-sweep=full",
    )  # fmt: skip

    found = counted(read(path), execute=execute)

    ((command, cells),) = jobs
    assert shlex.split(command) == [
        sys.executable, "-m", "pytest", "-W", "ignore", "--continue-on-collection-errors", "--maxfail=0",
        "bench",
    ]  # fmt: skip
    assert cells == [cell(1), cell(512)]
    assert {one: facts.operators for one, facts in found.of.items()} == {
        cell(1): 10,
        cell(512): 11,
        cell(8): 7,
    }
    assert (
        capsys.readouterr().err == "breakeven: counting what a step does in 2 cells of 1 model, from bench\n"
    )


def test_selection_of_the_environment(project):
    """It restricts runs, and nothing else."""
    seen = []
    execute, _ = answering()
    counted(read(project({})), execute=lambda job: seen.append(job.environment) or execute(job))
    assert seen[0]["BREAKEVEN_CASES"] == ""


def test_given_benchmarks(project, tmp_path):
    """They are those of all runs, wherever they are."""
    execute, jobs = answering()
    runs = read([project({"batch_size": 1}, command=""), project({"batch_size": 8})])

    assert len(counted(runs, "/", execute).of) == 2
    assert len(jobs) == 1
    assert jobs[0][0].endswith(" /")
    with pytest.raises(UsageError, match="--bench 'gone' does not exist"):
        counted(runs, "gone", unused)


def test_another_directory(project, tmp_path):
    execute, jobs = answering()
    (tmp_path / "a b/-bench").mkdir(parents=True)
    counted(read(project({}, command="cd 'a b' && pytest -- ./-bench")), execute=execute)
    assert jobs[0][0].startswith(f"cd '{tmp_path}/a b' && ")
    assert jobs[0][0].endswith(" ./-bench")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("", "(it records no command); give the folder of its benchmarks by --bench DIR"),
        ("pytest gone", "(its command is 'pytest gone'); give the folder of its benchmarks by --bench DIR"),
    ],
)
def test_benchmarks_that_are_not_here(project, command, why):
    """One line for their cells; those of other runs are counted."""
    execute, _ = answering()
    path = project({"batch_size": 1}, {"batch_size": 8}, command=command)

    found = counted(read([path, project({"batch_size": 8})]), execute=execute)

    assert found.of.keys() == {cell(8)}
    assert found.unknown == {cell(1): f"{path} has no counts, and its benchmarks are not here {why}"}


def test_answers(project):
    """A reason, a workload that cannot be counted, and cells that have none because the process died."""
    given = {0: "no such function", 1: {"operators_unknown": "a closure"}, 2: {"operators": 3}}
    output = "collecting\nE   MemoryError: too much\nlast\n"
    execute, _ = answering(given.get, code=-11, output=output)

    found = counted(read(project(*({"batch_size": size} for size in (1, 2, 3, 4)))), execute=execute)

    assert found.of.keys() == {cell(3)}
    assert found.unknown == {
        cell(1): "no such function",
        cell(2): "a closure",
        cell(4): "pytest ended with exit code -11 before it was counted: MemoryError: too much",
    }


def test_cut_answers(project):
    """A line that a kill cut off does not count."""
    execute, _ = answering()

    def cut(job):
        execute(job)
        answers = job.environment[VARIABLE] + "/answers"
        Path(answers).write_bytes(Path(answers).read_bytes()[:-4])
        return -9

    found = counted(read(project({"batch_size": 1}, {"batch_size": 2})), execute=cut)

    assert found.of.keys() == {cell(1)}
    assert found.unknown == {cell(2): "pytest ended with exit code -9 before it was counted"}


HOSTILE = (
    b'{"cell": 99, "facts": {}}', b"{}", b'{"cell": -1, "unknown": "x"}', b'{"cell": [1]}', b"null", b"[]",
    b'{"cell": "x", "facts": []}', b"\xff", b"[" * 5000, b"",
)  # fmt: skip


def test_answers_of_others(project):
    """Lines that a benchmark wrote among the answers are ignored, and so is a file that it removed."""
    execute, _ = answering()

    def spoiled(job):
        with job.out.open("ab") as file:
            file.write(b"\n".join((*HOSTILE, b"")))
        return execute(job)

    def removed(job):
        execute(job)
        job.out.unlink()
        return 1

    path = project({"batch_size": 1}, {"batch_size": 2})
    assert counted(read(path), execute=spoiled).of.keys() == {cell(1), cell(2)}
    assert counted(read(path), execute=removed).unknown.keys() == {cell(1), cell(2)}


@pytest.mark.parametrize(
    ("late", "why"),
    [("", "pytest ended with exit code 139 before it was counted"), ("x", "took longer than 300 s")],
)
def test_a_function_that_ends_the_process(project, late, why):
    """It costs its own cells; those of other functions are counted in another process."""

    def execute(job):
        request = CountRequest(Path(job.environment[VARIABLE]))
        for index, one in enumerate(request.cells()):
            if one.workload == "crashing":
                (request.directory / "current").write_text(str(index))
                (request.directory / "late").write_text(late)
                return 139
            request.answer(index, {"operators": 1})
        return 0

    path = project(
        *({"batch_size": size, "workload": name} for name in ("a", "crashing", "z") for size in (1, 2))
    )
    found = counted(read(path), execute=execute)
    assert {one.workload for one in found.of} == {"a", "z"}
    assert [one.batch_size for one in found.unknown] == [1, 2]
    assert all(why in line for line in found.unknown.values())


def test_weak_sweeps(project):
    """The function has no argument for their axis, so they are counted as the same cells of other sweeps."""
    execute, jobs = answering()
    axes = {"width": 128, "batch": "rank"}

    found = counted(read(project({"batch_size": 1, "axes": axes}, {"batch_size": 1})), execute=execute)

    assert jobs[0][1] == [cell(1)]
    assert found.of.keys() == {cell(1), cell(1, **axes)}


def test_ctrl_c(project, tmp_path):
    """It passes through, and leaves no directory."""
    places = []

    def stopped(job):
        places.append(job.environment[VARIABLE])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        counted(read(project({})), execute=stopped)
    assert not Path(places[0]).exists()


@pytest.mark.slow
def test_a_real_process(project, tmp_path):
    """Counted in pytest, with its output in a log."""
    (tmp_path / "bench/bench_mine.py").write_text("""
import pytest, torch
from breakeven import Workload

@pytest.mark.sweep(batch_size=[1, 16], width=[128])
def bench_mlp(train_benchmark, batch_size, width):
    train_benchmark(lambda: Workload(
        torch.nn.Linear(width, 2), torch.nn.functional.mse_loss, torch.optim.SGD,
        torch.ones(batch_size, width), torch.zeros(batch_size, 2),
    ))
""")

    found = counted(read(project({"batch_size": 1}, {"batch_size": 16}, {"workload": "gone"})))

    assert [facts.flops_by_format for facts in found.of.values()] == [
        {"float32": 4 * size * 128 * 2} for size in (1, 16)
    ]
    assert [*found.unknown.values()] == ["no function bench_gone was collected"]
