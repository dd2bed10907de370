"""pytest-benchmark's options and mark as they apply to breakeven's cases, and which table is shown."""

import importlib.util
import json

import pytest

from breakeven.case import Budget

USERS_OWN = """
def test_plain(benchmark):
    benchmark.pedantic(sum, ([1, 2],), rounds=3)
"""
WIDE = "*Name (time in*"
SHORT = "breakeven: train, median and half-width of its 95% interval (* disturbed)"


def marked(mark):
    return f"""
@pytest.mark.benchmark({mark})
@pytest.mark.sweep(batch_size=[1])
def bench_plain(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""


@pytest.fixture
def budget(bench, monkeypatch):
    """A function from options and a ``benchmark`` mark to the budget of a case."""
    from breakeven.measure.runner import Runner

    class Asking(Runner):
        def measure(self, *arguments):
            raise ValueError(self.budget)

    monkeypatch.setattr("breakeven.plugin.measuring.Runner", Asking)

    def given(*options, mark=""):
        bench.max_time_s = None
        bench.write(marked(mark)).run(*options)
        [(_, reason)] = bench.outcomes().values()
        return reason.partition("ValueError: ")[2]

    return given


@pytest.mark.parametrize(
    ("options", "mark", "expected"),
    [
        ("min-rounds=7 max-time=0.25 precision=0.01", "", Budget(7, 0.25, 0.01)),
        ("precision=0.02", "", Budget(6, 1.0, 0.02)),  # five rounds, the default, give no interval
        ("min-rounds=2 precision=0.02", "", Budget(6, 1.0, 0.02)),
        ("min-rounds=7", "min_rounds=55, max_time=0.5, precision=0.5", Budget(55, 0.5, 0.5)),
    ],
)
def test_budget(budget, options, mark, expected):
    """A function's own mark overrides the options."""
    assert budget(*(f"--benchmark-{option}" for option in options.split()), mark=mark) == str(expected)


def test_rounds_and_flags(bench):
    """At least the minimum is timed; a precision that was not reached is flagged."""
    bench.write().run(
        "--benchmark-min-rounds=77", "--benchmark-max-time=0.05", "--benchmark-precision=0.000001"
    )

    for item in bench.file()["benchmarks"]:
        assert item["stats"]["rounds"] >= 77
        assert item["extra_info"]["target_precision"] == 0.000001
        assert "noisy" in item["extra_info"]["flags"]


def test_unusable_mark(bench):
    """A mark with a limit that cannot be kept fails its own function in one line."""
    bench.write(marked("max_time=0"))

    result = bench.run()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    [(outcome, reason)] = bench.outcomes().values()
    assert outcome == "failed"
    assert reason.startswith("max_time_s=0.0 ")
    assert "Traceback" not in result.stdout.str()


def test_short_table(bench):
    """It replaces pytest-benchmark's wide one."""
    result = bench.write().run()

    result.stdout.fnmatch_lines([SHORT, "*workload *batch *cpu@1", "* plain *1 *s*", "* 16 *s*"])
    result.stdout.no_fnmatch_line(WIDE)


@pytest.mark.parametrize(
    ("option", "where"),
    [
        ("--benchmark-verbose", "options"),
        ("--benchmark-columns=min", "ini"),
        ("--benchmark-sort=name", "environment"),
    ],
)
def test_wide_table(bench, monkeypatch, option, where):
    """It is shown where an option asks for it, also one of the ini file or of the environment."""
    if where == "ini":
        bench.pytester.makeini(f"[pytest]\naddopts = {option}\n")
    elif where == "environment":
        monkeypatch.setenv("PYTEST_ADDOPTS", option)

    result = bench.write().run(*[option] * (where == "options"))

    result.stdout.fnmatch_lines_random(
        [SHORT, WIDE, "bench_plain?1-cpu@1-train?*", "bench_plain?16-cpu@1-train?*"]
    )


def test_group_by(bench):
    result = bench.write().run("--benchmark-group-by=param:phase,param:device")

    result.stdout.fnmatch_lines(["*benchmark 'phase=train device=cpu@1': 2 tests*"])


def test_plain_benchmarks(bench):
    """A user's other benchmarks are in the wide table and in the file."""
    bench.write().write(USERS_OWN, "test_own.py", head="")

    result = bench.raw(
        "bench",
        "test_own.py",
        "--benchmark-json=run.json",
        "--breakeven-devices=cpu@1",
        "--breakeven-phases=train",
    )

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines_random([SHORT, WIDE, "test_plain *"])
    result.stdout.no_fnmatch_line("bench_plain?1-*")
    assert bench.timed() == ["bench_plain[1-cpu@1-train]", "bench_plain[16-cpu@1-train]", "test_plain"]


def test_rounds_before_a_failure(bench):
    """They are never in the wide table."""
    bench.write("""
NOW = {}

class Fails(torch.nn.Linear):
    def forward(self, inputs):
        stats = NOW["benchmark"].stats
        if stats and len(stats.stats.data) == 6:
            raise ValueError
        return super().forward(inputs)

@pytest.mark.sweep(batch_size=[1])
def bench_fails(train_benchmark, benchmark, batch_size):
    NOW["benchmark"] = benchmark
    train_benchmark(lambda: workload(batch_size, model=Fails(4, 2)))
""")

    for options in ((), ("--benchmark-verbose",)):
        result = bench.run("--benchmark-min-rounds=8", *options)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.no_fnmatch_line("bench_fails?1-cpu@1-train? *[0-9]*")
        result.stdout.no_fnmatch_line(WIDE)


def test_benchmark_only(bench):
    """Other tests are skipped, and invalid sweeps still fail."""
    wrong = "@pytest.mark.sweep(batch_size=8)\ndef bench_wrong(train_benchmark, batch_size): ..."
    bench.write().write(wrong, "bench/bench_wrong.py").write("def test_other(): ...", "bench/test_other.py")

    bench.run("--benchmark-only").assert_outcomes(passed=2, skipped=1, failed=1)


def test_benchmark_skip(bench):
    """No function is called."""
    bench.write("""
@pytest.mark.sweep(batch_size=[1])
def bench_noting(train_benchmark, batch_size):
    note("called")
""")

    bench.run("--benchmark-skip").assert_outcomes(skipped=1)
    assert bench.notes() == []


def test_benchmark_disable(bench):
    """Each case runs once, and may fail."""
    bench.write("""
class Counts(torch.nn.Linear):
    def forward(self, inputs):
        note("forward")
        return super().forward(inputs)

@pytest.mark.sweep(batch_size=[1])
def bench_counting(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size, model=Counts(4, 2)))

@pytest.mark.sweep(batch_size=[1])
def bench_bad(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size, inputs=torch.ones(1, 5)))
""")

    bench.run("--benchmark-disable").assert_outcomes(passed=1, failed=1)
    assert bench.notes() == ["forward"]


def test_benchmark_compare(bench):
    """A saved run is compared with the next."""
    bench.write().run("--benchmark-save=one")

    result = bench.run("--benchmark-compare", "--benchmark-autosave")

    assert result.ret == 0
    result.stdout.fnmatch_lines_random([WIDE, "bench_plain*(0001_one)*", "bench_plain*(NOW)*"])
    assert "machine_info is different" not in result.stdout.str() + result.stderr.str()
    saved = [json.loads(path.read_text()) for path in bench.pytester.path.glob(".benchmarks/*/*.json")]
    assert [run["breakeven"]["outcomes"] for run in saved] == [[], []]


def test_benchmark_compare_fail(bench):
    bench.write().run("--benchmark-save=one")
    [path] = bench.pytester.path.glob(".benchmarks/*/*.json")
    saved = json.loads(path.read_text())
    for item in saved["benchmarks"]:
        item["stats"]["min"] = 1e-12
    path.write_text(json.dumps(saved))

    result = bench.run("--benchmark-compare", "--benchmark-compare-fail=min:5%")

    assert result.ret != 0
    assert "Performance has regressed" in result.stderr.str()


# `find_spec`, since importing pygal here would hide the entry points from every later inner run.
@pytest.mark.skipif(importlib.util.find_spec("pygal") is None, reason="pygal is not installed")
def test_benchmark_histogram(bench):
    options = ("--benchmark-histogram=drawn", "--breakeven-devices=cpu@1", "--breakeven-phases=train")

    assert bench.write().pytester.runpytest_subprocess("bench", *options).ret == 0

    assert list(bench.pytester.path.glob("drawn*.svg"))
