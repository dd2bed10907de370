"""A pytest process that counts the wanted cells of benchmarks, instead of timing them."""

import json
import subprocess
import sys
from importlib import import_module

import pytest

from breakeven.case import Axes, Cell
from breakeven.experiment.count_request import VARIABLE, CountRequest

MINE = """
@pytest.mark.sweep(batch_size=[1, 16], width=[4, 8])
def bench_mine(train_benchmark, batch_size, width):
    train_benchmark(lambda: workload(batch_size, width))
"""


@pytest.fixture
def count(bench, tmp_path, monkeypatch):
    """Return a function that counts cells, and returns the facts of each or why it has none."""

    def answers(*cells, options=(), path="bench"):
        request = CountRequest(tmp_path)
        request.write(cells)
        request.answers.write_text("")
        monkeypatch.setenv(VARIABLE, str(tmp_path))
        answers.result = bench.raw("--continue-on-collection-errors", *options, path)
        found = {}
        for answer in map(json.loads, request.answers.read_text().splitlines()):
            found[cells[answer["cell"]]] = answer.get("unknown") or answer["facts"]
        return found

    return answers


def mine(batch_size, workload="mine", **axes):
    return Cell(workload, Axes(axes), batch_size)


def test_facts_of_a_step(bench, count):
    """A linear layer of 4 x 2 in float32, trained on a batch of 16 by SGD."""
    bench.write(MINE)
    cell = mine(16, width=4)

    facts = count(cell, options=["-W", "error", "--benchmark-only"])[cell]

    assert count.result.ret == 0
    products = 2 * 16 * 4 * 2  # forward, and for the gradient of the weights; the inputs have none
    assert facts["flops_by_format"] == {"float32": 2 * products}
    assert facts["batch_bytes"] == 4 * 16 * (4 + 2)
    assert facts["operators"] > 0
    assert facts["moved_bytes"] > facts["batch_bytes"]


@pytest.mark.parametrize("cells", [None, "", "[[1]]", "{", "[" * 5000, '[["a", 1, 1]]'])
def test_a_variable_by_hand(bench, tmp_path, monkeypatch, cells):
    """It is one line, and exit code 4."""
    bench.write(MINE)
    if cells is not None:
        (tmp_path / "cells").write_text(cells)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    result = bench.raw("bench")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    [line] = [line for line in result.errlines if line]
    assert line.startswith(f"ERROR: {VARIABLE}=")
    assert "does not name a directory with cells to count" in line


def test_what_is_counted_is_noted(bench, count, tmp_path):
    """The parent process learns which cell ended this one, or took too long."""
    bench.write(
        f"""
@pytest.mark.sweep(batch_size=[1, 16])
def bench_mine(train_benchmark, batch_size):
    note(open({str(tmp_path / "current")!r}).read())
    train_benchmark(lambda: workload(batch_size, 4))
"""
    )
    count(mine(16), mine(1))
    assert sorted(bench.notes()) == ["0", "1"]


def test_a_cell_that_takes_too_long(tmp_path):
    """The process ends, also in compiled code, and the other one learns why."""
    script = f"""
import time
from pathlib import Path
from breakeven.experiment import count_request
count_request.MAX_S = 0.05
request = count_request.CountRequest(Path({str(tmp_path)!r}))
with request.current(0):
    pass
with request.current(1):
    time.sleep(60)
"""
    request = CountRequest(tmp_path)
    with request.current(0):
        assert request.interrupted() == (0, False)
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 1
    assert request.interrupted() == (1, True)


def test_only_wanted_cells(bench, count, monkeypatch):
    """Other cells, other functions and the tests of a file do not run. No device is looked for."""
    monkeypatch.setattr("breakeven.plugin.stash._new_session", None)
    bench.write(
        """
@pytest.mark.sweep(batch_size=[1, 16], width=[4, 8])
def bench_mine(train_benchmark, batch_size, width):
    note(f"{batch_size}-{width}")
    train_benchmark(lambda: workload(batch_size, width))

@pytest.mark.sweep(batch_size=[1])
def bench_other(train_benchmark, batch_size):
    note("other")

def test_other():
    note("test")
"""
    )

    count(mine(16, width=8), mine(1, width=4), options=["-o", "python_files=bench_*.py"])

    assert sorted(bench.notes()) == ["1-4", "16-8"]
    assert not (bench.pytester.path / "run.json").exists()


def test_nothing_is_written(bench, count):
    """What the project asks of every pytest: a run file, a report, the last failures."""
    bench.write(MINE)
    bench.pytester.makeini("[pytest]\naddopts = --benchmark-json=run.json --junitxml=report.xml")

    count(mine(16, width=4), mine(1, width=99, depth=1))

    assert count.result.ret == 0
    written = {path.name for path in bench.pytester.path.iterdir()} - {".benchmarks"}  # an empty folder
    assert written == {"bench", "conftest.py", "tox.ini"}


def test_values_of_other_sweeps_and_of_the_command_line(bench, count):
    """Functions and classes are found by the label that the run file has."""
    bench.write("""
@pytest.mark.sweep(batch_size=[1], width=[4], optimizer=[torch.optim.SGD], dtype=[torch.float32])
@pytest.mark.sweep("full", batch_size=[2], width=[8], optimizer=[torch.optim.Adam, lambda p: None],
                   dtype=[torch.bfloat16, None])
def bench_mine(train_benchmark, batch_size, width, optimizer, dtype):
    note(f"{batch_size}-{width}-{optimizer.__name__}-{dtype}")
    train_benchmark(lambda: workload(batch_size, width, optimizer=optimizer))
""")

    found = count(
        mine(3, width=5, optimizer="Adam", dtype="bfloat16"),
        mine(7, width=5, optimizer="SGD", dtype=None),
        mine(7, width=5, optimizer="Lion", dtype=None),
    )

    assert bench.notes() == ["3-5-Adam-torch.bfloat16", "7-5-SGD-None"]
    assert found[mine(7, width=5, optimizer="Lion", dtype=None)] == (
        "bench_mine: no sweep has the run's optimizer=Lion, but Adam, <lambda>, SGD"
    )


def test_parametrize_and_fixtures(bench, count):
    """Axes may come from both; fixtures of a conftest work as in a run."""
    bench.pytester.makeconftest("""
import pytest

@pytest.fixture(params=["relu", "gelu"])
def activation(request):
    return request.param
""")
    bench.write("""
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.sweep(batch_size=[1, 2])
def bench_mine(train_benchmark, batch_size, depth, activation):
    note(f"{batch_size}-{depth}-{activation}")
    train_benchmark(lambda: workload(batch_size))
""")

    found = count(mine(1, depth=2, activation="gelu"), mine(2, depth=1, activation="relu"), mine(2, depth=1))

    assert sorted(bench.notes()) == ["1-2-gelu", "2-1-relu"]
    assert found[mine(2, depth=1)] == (
        "the run has the axes depth, and bench_mine has the axes activation, depth; give the benchmarks that "
        "were measured by --bench, or measure again"
    )


@pytest.mark.parametrize("axes", [{"size": 4}, {"width": 4, "depth": 2}, {}])
def test_other_axes(bench, count, axes):
    """Both sides are named, and other functions are counted."""
    bench.write(MINE + PLAIN)
    ours = f"the axes {', '.join(sorted(axes))}" if axes else "no axes"

    found = count(mine(1, **axes), mine(1, "plain"))

    assert found[mine(1, **axes)].startswith(f"the run has {ours}, and bench_mine has the axes width; ")
    assert found[mine(1, "plain")]["operators"] > 0


PLAIN = """
@pytest.mark.sweep(batch_size=[1])
def bench_plain(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("", "no function bench_mine was collected"),
        ("import gone  # sweep", "(bench/bench_mine.py: ModuleNotFoundError: No module named 'gone')"),
        ("pytest.skip('no data', allow_module_level=True)  # sweep", "(bench/bench_mine.py: no data)"),
        ("@pytest.mark.sweep(width=[4])\ndef bench_mine(train_benchmark, width): ...", "has no batch_size"),
        (MINE.replace("workload(", "(1 / 0)("), "bench_mine.py:20: the recipe raised ZeroDivisionError"),
        (MINE.replace("lambda: workload(batch_size, width)", "3"), "got 3, expected a recipe"),
        (MINE.partition("    train")[0] + "    raise ValueError('no')", "ValueError: no"),
        (MINE.partition("    train")[0] + "    pytest.skip('no GPU')", "no GPU"),
        (MINE.partition("    train")[0] + "    ...", "it never called train_benchmark(recipe); call it once"),
        (MINE + MINE.strip().splitlines()[-1], "called twice"),
        (MINE.replace("(batch_size, width))", "(batch_size, width, compile=True))"), "a compiled model"),
    ],
)  # fmt: skip
def test_what_cannot_be_counted(bench, count, source, line):
    """One line each; other files and functions are counted."""
    bench.write(source).write(PLAIN, path="bench/bench_plain.py")

    found = count(mine(1, width=4), mine(1, "plain"))

    reason = found[mine(1, width=4)]
    assert line in (reason["operators_unknown"] if isinstance(reason, dict) else reason)
    assert found[mine(1, "plain")]["operators"] > 0


def test_two_functions_of_one_name(bench, count):
    bench.write(MINE).write(MINE, path="bench/bench_again.py")

    assert count(mine(1, width=4))[mine(1, width=4)] == (
        "bench/bench_again.py::bench_mine[0] and bench/bench_mine.py::bench_mine[0] are the same case; give "
        "one of the files by --bench"
    )


def test_deselected_cells(bench, count):
    """They have no answer, and nothing else changes."""
    bench.write(MINE + PLAIN)

    assert [*count(mine(1, width=4), mine(1, "plain"), options=["-k", "plain"])] == [mine(1, "plain")]


def test_batch_sizes_on_a_line(bench, count, monkeypatch):
    """The two smallest and the largest batch size are traced, and the others are on the line through them."""
    traced = []
    counts = import_module("breakeven.measure.counts")
    step = counts.count_step
    monkeypatch.setattr(counts, "count_step", lambda *args: traced.append(args) or step(*args))
    bench.pytester.makeconftest("def pytest_collection_modifyitems(items):\n    items.reverse()\n")
    bench.write(MINE)
    cells = [mine(size, width=4) for size in (64, 2, 16, 32, 8)]

    found = count(*cells)

    sizes = [workload.inputs.shape[0] for workload, *_ in traced]
    assert sizes == [2, 8, 64]
    assert [found[cell]["flops_by_format"]["float32"] for cell in cells] == [
        2 * 2 * cell.batch_size * 4 * 2 for cell in cells
    ]
    assert len({found[cell]["operators"] for cell in cells}) == 1
    assert [found[cell]["batch_bytes"] for cell in cells] == [24 * cell.batch_size for cell in cells]


def test_settings_of_a_function(bench, count):
    """What a function changes of torch's settings changes no other cell."""
    bench.write("""
@pytest.mark.sweep(batch_size=[1, 2])
def bench_mine(train_benchmark, batch_size):
    note(torch.get_default_dtype())
    torch.set_default_dtype(torch.float64)
    train_benchmark(lambda: workload(batch_size))
""")

    found = count(mine(1), mine(2))

    assert bench.notes() == ["torch.float32"] * 2
    assert [*found[mine(2)]["flops_by_format"]] == ["float64"]


def test_environment(bench, count):
    """Programs of the benchmarks do not count."""
    bench.write(
        MINE.replace("    train", "    import os\n    note('BREAKEVEN_COUNT' in os.environ)\n    train")
    )

    count(mine(1, width=4))

    assert bench.notes() == ["False"]
