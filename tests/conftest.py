"""Fixtures of several test modules.

`bench` is a project with benchmarks that pytest runs inside this process. `golden` compares a text with a
golden file. `history` and `check` run the command of that name.
"""

import difflib
import gc
import json
import os
import signal
import threading
from pathlib import Path
from unittest.mock import Mock

import pytest

pytest_plugins = ["pytester"]

GOLDENS = Path(__file__).parent / "goldens"


def pytest_configure():
    """Let inner runs measure in pytest's own process: each measuring process loads torch.

    They do not belong to pytest-xdist, if it runs the tests: pytest-benchmark would time nothing.
    """
    # A shell without job control ignores Ctrl-C in what it runs in the background.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["BREAKEVEN_PROCESSES"] = "0"
    os.environ.pop("PYTEST_XDIST_WORKER", None)


def pytest_addoption(parser):
    """Add the option that rewrites the golden files."""
    parser.addoption(
        "--regenerate-goldens",
        action="store_true",
        help="rewrite the files in tests/goldens; review the diff",
    )


def pytest_collection_finish():
    """Hide what was imported and collected from the garbage collector, which would walk it in many tests."""
    gc.collect()
    gc.freeze()


HEAD = '''
import pytest, torch
from breakeven import Workload

def workload(batch_size, width=4, model=None, **fields):
    """A linear layer on ones: as fast as a case can be."""
    return Workload(**{
        "model": model or torch.nn.Linear(width, 2), "loss": torch.nn.functional.mse_loss,
        "optimizer": torch.optim.SGD, "inputs": torch.ones(batch_size, width),
        "targets": torch.zeros(batch_size, 2), **fields,
    })

def note(text):
    """Record that this line was reached."""
    with open("notes.txt", "a") as file:
        file.write(f"{text}\\n")
'''

PLAIN = """
@pytest.mark.sweep(batch_size=[1, 16])
def bench_plain(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""

# py-cpuinfo and git take longer than all cases together.
QUICK_FACTS = """
def pytest_benchmark_generate_machine_info():
    return {"node": "inner"}

def pytest_benchmark_generate_commit_info():
    return {"id": "inner"}
"""


class Bench:
    """A project whose ``bench/bench_mine.py`` is HEAD plus code of a test. By default one phase is timed on
    one thread, with low precision: no test here depends on times.
    """

    def __init__(self, pytester):
        self.pytester = pytester
        pytester.makeini("[pytest]\n")
        pytester.makeconftest(QUICK_FACTS)

    max_time_s = 0.02
    """What `run` allows for a case; None for the default."""

    def write(self, source=PLAIN, path="bench/bench_mine.py", head=HEAD):
        """Write a benchmark file."""
        file = self.pytester.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(head + source, encoding="utf-8")
        return self

    def run(self, *options, path="bench"):
        """Run pytest on the benchmarks; later options override the ones that make it fast."""
        return self.raw(
            path,
            "--benchmark-json=run.json",
            "--breakeven-devices=cpu@1",
            "--breakeven-phases=train",
            *(() if self.max_time_s is None else (f"--benchmark-max-time={self.max_time_s}",)),
            *options,
        )

    def raw(self, *arguments):
        """Run pytest with these arguments alone, with low precision.

        Hypothesis is disabled, because every inner run would import it again, and assertions are not
        rewritten.
        """
        quick = (
            "--benchmark-precision=0.9", "-p", "no:hypothesispytest", "-p", "no:randomly", "--assert=plain"
        )  # fmt: skip
        return self.pytester.runpytest_inprocess(*quick, *arguments, no_reraise_ctrlc=True)

    def ids(self, *options):
        """Return the ids that pytest collects, without their file."""
        result = self.raw("--collect-only", "-q", *(options or ("bench",)))
        assert result.ret in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        return [line.partition("::")[2] for line in result.outlines if "::" in line]

    def file(self, name="run.json"):
        """Return the run file; NaN and infinity are refused, as by any strict reader."""
        return json.loads(
            (self.pytester.path / name).read_text(encoding="utf-8"), parse_constant=_refuse_constant
        )

    def timed(self):
        """Return the names of the timed cases in the run file."""
        return [item["name"] for item in self.file()["benchmarks"]]

    def outcomes(self):
        """Return ``{name: (outcome, reason)}`` of the cases without a timing in the run file."""
        listed = self.file()["breakeven"]["outcomes"]
        return {item["fullname"].partition("::")[2]: (item["outcome"], item["reason"]) for item in listed}

    def notes(self):
        """Return what the benchmarks recorded with ``note``."""
        path: Path = self.pytester.path / "notes.txt"
        return path.read_text().split() if path.exists() else []


@pytest.fixture(scope="session")
def torch_is_loaded():
    """Import torch before any `pytester`, which unloads later imports; torch cannot be imported twice."""
    import torch

    import breakeven.plugin.measuring
    import breakeven.plugin.replaying
    import breakeven.render.compare
    import breakeven.render.report_terminal  # noqa: F401 - and with it rich, for the commands of later tests

    torch.optim.SGD([torch.nn.Parameter(torch.ones(1))])  # the first optimizer imports the rest of torch


@pytest.fixture
def pytester(pytester):
    """Return pytest's own, whose subprocesses do without pytest-randomly: it shuffles, and loads numpy."""
    pytester.plugins.append("no:randomly")
    return pytester


@pytest.fixture
def quick_cells(monkeypatch):
    """Spare each cell what takes longer than its cases in this process, which has loaded torch, pytest twice
    and hypothesis.
    """
    import torch

    monkeypatch.setattr("breakeven.measure.cells.gc", Mock(spec=gc))
    # Without such a device, torch records each seed with its whole stack trace, which is deep here.
    for kind in (torch.cuda, torch.xpu, torch.mtia):
        if not kind.is_available():
            monkeypatch.setattr(kind, "manual_seed_all", lambda _: None)


@pytest.fixture
def bench(torch_is_loaded, quick_cells, pytester, monkeypatch):
    """Return a project with benchmarks."""
    from breakeven.fitness import Load, Look
    from breakeven.measure.warmup import MinWarmup

    # Whether this machine is busy concerns no test, and looking takes longer than the cases.
    monkeypatch.setattr("breakeven.plugin.measuring.take_look", lambda _: Look(Load(2, 0.0, 0.0, 0.0)))
    # No case needs warm caches, and no two canaries are compared.
    monkeypatch.setattr("breakeven.measure.runner.min_warmup", lambda *_, **__: MinWarmup(seconds=0))
    monkeypatch.setattr("breakeven.measure.canary.MAX_S", 0)
    # Counting what a step does takes longer than its rounds; `tests/measure` counts.
    monkeypatch.setattr("breakeven.measure.runner.CountedModels", lambda: Mock(facts=lambda *_: {}))
    return Bench(pytester)


@pytest.fixture
def sweep_order(monkeypatch):
    """Cases run in the order of their sweeps, for tests of what one case implies for the next."""
    monkeypatch.setattr("breakeven.plugin.measuring.order_cases", lambda *_: None)


@pytest.fixture
def usage_error():
    """Return a function that asserts exit code 4 and returns pytest's one line."""

    def line_of(result):
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        text = result.stdout.str() + result.stderr.str()
        assert "Traceback" not in text
        assert "INTERNALERROR" not in text
        [line] = [line for line in result.errlines if line.strip()]
        assert line.startswith("ERROR: ")
        return line.removeprefix("ERROR: ")

    return line_of


@pytest.fixture
def golden(request):
    """A function that compares a text with the golden file of a name, or rewrites that file on request."""

    def compare(name, text):
        path = GOLDENS / name
        if request.config.getoption("--regenerate-goldens"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        expected = path.read_bytes().decode() if path.exists() else ""
        if text != expected:
            lines = difflib.unified_diff(
                expected.splitlines(), text.splitlines(), name, "now", n=0, lineterm=""
            )
            pytest.fail("\n".join([*lines][:60]))

    return compare


@pytest.fixture
def history(capsys):
    """Run ``breakeven history`` and return (exit code, standard output, standard error)."""
    from breakeven import cli

    def call(*arguments):
        capsys.readouterr()
        code = cli.main(["history", *map(str, arguments)])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out, shown.err

    return call


@pytest.fixture
def check(history):
    """Run ``history check --format json`` and return (exit code, content); the schema is kept."""
    import jsonschema

    from breakeven.render.history_json import HistoryCheckJson
    from breakeven.render.json_output import json_schema

    def call(store, *arguments):
        code, out, _ = history("check", "--store", store, "--format", "json", *arguments)
        parsed = json.loads(out, parse_constant=_refuse_constant)
        jsonschema.validate(parsed, json_schema(HistoryCheckJson))
        return code, parsed

    return call


def _refuse_constant(word):
    raise AssertionError(f"{word} is in the JSON")
