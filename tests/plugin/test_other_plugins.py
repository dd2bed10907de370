"""Other projects are unchanged: nothing more is collected, and torch is not imported."""

import pytest

# Prints at the very end whether anything heavy was imported.
CONFTEST = """
import sys

def pytest_unconfigure(config):
    heavy = [name for name in ("torch", "pandas", "numpy", "scipy", "matplotlib") if name in sys.modules]
    print("heavy:", *heavy)
"""
THEIR_BENCH = """
raise SystemExit("imported, although it only mentions a sweep")
"""
THEIR_TEST = """
import pytest

class Proxy:
    def __getattribute__(self, name):
        raise RuntimeError("outside of its context")

request = Proxy()

@pytest.mark.sweep(batch_size=0, anything="goes")
@pytest.mark.parametrize("value", [1, 2])
def test_theirs(value): ...
"""


@pytest.fixture
def theirs(pytester):
    """Return a project with tests, a bench file and a ``sweep`` mark of its own."""
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\naddopts = --strict-markers\nmarkers = sweep(anything): ours\n")
    pytester.makepyfile(bench_other=THEIR_BENCH, test_theirs=THEIR_TEST)
    return pytester


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ([], ["test_theirs.py ..*", "*2 passed*"]),
        (["--collect-only"], ["collected 2 items", "*test_theirs?1*", "*test_theirs?2*"]),
        (["test_theirs.py", "--benchmark-disable"], ["*2 passed*"]),
        (["-p", "no:benchmark"], ["*2 passed*"]),
        (["-m", "sweep", "-W", "error"], ["*2 passed*"]),
    ],
    ids=" ".join,
)
def test_unrelated_project(theirs, arguments, lines):
    result = theirs.runpytest_subprocess("-p", "no:hypothesispytest", *arguments)

    assert result.ret == 0
    result.stdout.fnmatch_lines(lines)
    result.stdout.fnmatch_lines(["heavy:"])
    result.stdout.no_fnmatch_line("breakeven: *")


def test_bench_files_without_a_sweep(theirs):
    theirs.makepyfile(bench_other="raise SystemExit('imported')", test_theirs="def test_it(): ...")

    result = theirs.runpytest_subprocess("-p", "no:hypothesispytest", ".")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["heavy:"])


def test_other_sweep_mark(theirs):
    """A project that collects its own sweeps keeps them."""
    theirs.makepyfile(
        bench_other=THEIR_TEST.replace("test_theirs", "bench_theirs"), test_theirs="def test_it(): ..."
    )
    theirs.makeini("[pytest]\npython_files = bench_*.py\npython_functions = bench_*\nmarkers = sweep: ours")

    result = theirs.runpytest_subprocess("-p", "no:hypothesispytest", ".")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["heavy:"])


def test_plain_benchmarks(theirs):
    """They keep their table and their file."""
    theirs.makepyfile(
        bench_other="", test_theirs="def test_it(benchmark): benchmark.pedantic(sum, ([1],), rounds=2)"
    )

    result = theirs.runpytest_subprocess("-p", "no:hypothesispytest", "--benchmark-json=run.json")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["Name (time in*", "test_it *", "heavy:"])
    assert '"breakeven"' not in (theirs.path / "run.json").read_text()


def test_collection_error(bench):
    """The others are timed if the run continues after it."""
    bench.write().write("raise ValueError('a broken sweep')", "bench/bench_broken.py", head="")

    assert bench.run().ret == pytest.ExitCode.INTERRUPTED
    assert not (bench.pytester.path / "run.json").exists()

    assert bench.run("--continue-on-collection-errors").ret == pytest.ExitCode.TESTS_FAILED
    assert len(bench.timed()) == 2
    assert bench.file()["breakeven"]["outcomes"] == []


def test_no_terminal(bench):
    assert bench.write().run("-p", "no:terminal").ret == 0
    assert len(bench.timed()) == 2
