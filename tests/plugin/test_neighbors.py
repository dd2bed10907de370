"""Plugins and fixtures of users beside a sweep: no case is lost, timed twice, or timed and failed."""

import signal
from types import SimpleNamespace

import pytest

from breakeven import analyze, read_runs

# As plugins that run a test again where it has failed: pytest-rerunfailures, pytest-retry, flaky.
RERUNS = """
import pytest
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for attempt in range(3):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if attempt < 2 and any(report.failed for report in reports):
            continue
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        return True
"""
FLAKY = """
CALLS = []

@pytest.mark.sweep(batch_size=[1, 2])
def bench_flaky(train_benchmark, batch_size):
    CALLS.append(batch_size)
    first = CALLS.count(batch_size) == 1
    BEFORE
    train_benchmark(lambda: workload(batch_size))
    AFTER
"""


@pytest.fixture
def rerun(bench):
    """Run a benchmark that fails in its first attempt, before or after it is timed."""

    def run(before="pass", after="pass", *options):
        bench.pytester.makeconftest(RERUNS)
        bench.write(FLAKY.replace("BEFORE", before).replace("AFTER", after))
        return bench.run(*options)

    return run


FAILS = "assert not first, 'flaky'"


@pytest.mark.parametrize(("before", "after"), [(FAILS, "pass"), ("pass", FAILS)])
def test_rerun_that_passes(rerun, bench, before, after):
    """Its last attempt counts."""
    rerun(before, after).assert_outcomes(passed=2)
    assert bench.timed() == [f"bench_flaky[{batch}-cpu@1-train]" for batch in (1, 2)]
    assert bench.outcomes() == {}


def test_rerun_that_fails_later(rerun, bench):
    """A case with a timing in its first attempt only has none."""
    result = rerun("assert first, 'only once'", "assert False, 'after it'")
    result.assert_outcomes(failed=2)
    assert bench.timed() == []
    assert set(bench.outcomes().values()) == {("failed", "AssertionError: only once")}


def test_rerun_in_the_wide_table(rerun):
    result = rerun("pass", FAILS, "--benchmark-columns=min")
    assert sum(line.startswith("bench_flaky[") for line in result.outlines) == 2


OWN = """
import pytest

@pytest.fixture
def train_benchmark(REQUEST):
    return USE
"""
SWEPT = """
@pytest.mark.sweep(batch_size=[1])
def bench_swept(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""


@pytest.fixture
def own(bench):
    """Run benchmarks in a project with its own fixture `train_benchmark`."""

    def run(request="", use="lambda recipe: None", source=SWEPT, ini="", files=("bench",)):
        bench.pytester.makeconftest(OWN.replace("REQUEST", request).replace("USE", use))
        bench.pytester.makeini(f"[pytest]\nmarkers = sweep: ours\n{ini}")
        bench.write(source)
        return bench.raw(*files, "--breakeven-devices=cpu@1", "--breakeven-phases=train")

    return run


def test_own_fixture(own):
    """A sweep that only breakeven collects fails, with the remedy."""
    result = own()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        "bench_swept: the fixture train_benchmark of conftest replaces breakeven's; rename it, or let it "
        "request train_benchmark"
    ])  # fmt: skip


def test_own_fixture_of_a_module(bench):
    bench.write(OWN.replace("REQUEST", "").replace("USE", "print") + SWEPT)
    result = bench.raw("bench")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the fixture train_benchmark of *bench_mine replaces breakeven's*"])


def test_own_fixture_and_mark(own):
    """What pytest collects without breakeven stays as it is, whatever its mark of that name has."""
    source = """
@pytest.mark.sweep(anything="goes")
@pytest.mark.parametrize("value", [1, 2])
def bench_theirs(train_benchmark, value):
    assert train_benchmark(None) is None
"""
    own(source=source, ini="python_files = bench_*.py\npython_functions = bench_*").assert_outcomes(passed=2)


def test_extended_fixture(own):
    own("train_benchmark", "lambda recipe: train_benchmark(recipe)").assert_outcomes(passed=1)


# As pytest-timeout, whose default implementation of the hook has no effect here.
TIMEOUT = """
import pytest
from collections import namedtuple

METHODS = []

class Hooks:
    @pytest.hookspec(firstresult=True)
    def pytest_timeout_set_timer(item, settings): ...

def pytest_addhooks(pluginmanager):
    pluginmanager.add_hookspecs(Hooks)

@pytest.hookimpl(trylast=True)
def pytest_timeout_set_timer(item, settings):
    METHODS.append((item.name, settings.method))
    return True

def pytest_runtest_setup(item):
    settings = namedtuple("Settings", "timeout method")(1.0, "METHOD")
    assert item.ihook.pytest_timeout_set_timer(item=item, settings=settings)

def pytest_unconfigure():
    print("methods:", METHODS)
"""
PLAIN = "\ndef test_plain(): ...\n"


@pytest.mark.parametrize("method", ["thread", "signal"])
@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no such signal")
def test_timeout_method(bench, method):
    """Its thread would end the process, with the timings of all other cases; other tests keep it."""
    bench.pytester.makeconftest(TIMEOUT.replace("METHOD", method))
    bench.pytester.makepyfile(test_plain=PLAIN)
    result = bench.write(SWEPT).run("test_plain.py", "-p", "no:timeout")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [f"methods: *'bench_swept?1-cpu@1-train?', 'signal'*('test_plain', '{method}')*"]
    )


def test_timeout_method_without_signals(bench, monkeypatch):
    from breakeven.plugin import hooks

    monkeypatch.setattr(hooks, "signal", SimpleNamespace())
    bench.pytester.makeconftest(TIMEOUT.replace("METHOD", "thread"))
    result = bench.write(SWEPT).run("-p", "no:timeout")
    result.stdout.fnmatch_lines(["methods: *'bench_swept?1-cpu@1-train?', 'thread'*"])


IGNORING = """
@pytest.mark.sweep(batch_size=[1, 4, 64])
def bench_ignoring(train_benchmark, batch_size):
    train_benchmark(lambda: workload(BATCH))
"""


@pytest.mark.parametrize(("batch", "same"), [("3", "1 and 64"), ("min(batch_size, 4)", "4 and 64")])
def test_ignored_batch_size(bench, batch, same):
    """It is timed all the same: how its batches should grow is the user's to know."""
    result = bench.write(IGNORING.replace("BATCH", batch)).run()
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines([
        f"breakeven: ignoring: batches {same} are equally large; build inputs and targets with batch_size "
        "samples, else its break-even means nothing"
    ])  # fmt: skip
    report = analyze(read_runs([bench.pytester.path / "run.json"]))
    assert sum(f"batches {same} are equally large" in warning for warning in report.warnings) == 1


def test_heeded_batch_size(bench):
    result = bench.write(IGNORING.replace("BATCH", "batch_size")).run()
    result.stdout.no_fnmatch_line("*equally large*")
    sizes = [item["extra_info"]["batch_bytes"] for item in bench.file()["benchmarks"]]
    assert sizes == [24 * batch for batch in (1, 4, 64)]  # four inputs and two targets of 4 bytes
