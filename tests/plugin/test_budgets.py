"""What pytest-benchmark's own options and mark still mean for our cases, and which table is shown."""

import importlib.util
import json

import pytest

from breakeven.case import Budget

USERS_OWN = """
def test_plain(benchmark):
    benchmark.pedantic(sum, ([1, 2],), rounds=3)
"""
WIDE = "*Name (time in*"
SHORT = "breakeven: train, median and half-width of its 95% interval (* flagged)"


def marked(mark):
    return f"""
@pytest.mark.benchmark({mark})
@pytest.mark.sweep(batch_size=[1])
def bench_plain(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""


@pytest.fixture
def budget(bench, monkeypatch):
    """Return a function: options and a ``benchmark`` mark -> the budget that a case was given."""
    from breakeven.measure.runner import Runner

    class Asking(Runner):
        def measure(self, *arguments):
            raise ValueError(self.budget)

    monkeypatch.setattr("breakeven.plugin.session.Runner", Asking)

    def given(*options, mark=""):
        bench.write(marked(mark)).run(*options)
        [(_, reason)] = bench.outcomes().values()
        return reason.removeprefix("ValueError: ")

    return given


def test_pytest_benchmarks_options_are_the_budget_of_a_case(budget):
    options = ("--benchmark-min-rounds=7", "--benchmark-max-time=0.25", "--benchmark-precision=0.01")

    assert budget(*options) == str(Budget(7, 0.25, 0.01))


def test_its_defaults_mean_six_rounds_since_five_give_no_interval(budget):
    assert budget("--benchmark-precision=0.02") == str(Budget(6, 1.0, 0.02))
    assert budget("--benchmark-min-rounds=2", "--benchmark-precision=0.02") == str(Budget(6, 1.0, 0.02))


def test_a_functions_own_mark_goes_before_the_options(budget):
    given = budget("--benchmark-min-rounds=7", mark="min_rounds=55, max_time=0.5, precision=0.5")

    assert given == str(Budget(55, 0.5, 0.5))


def test_at_least_the_wished_rounds_are_timed(bench):
    bench.write().run("--benchmark-min-rounds=77", "--benchmark-max-time=0.1")

    assert [item["stats"]["rounds"] for item in bench.file()["benchmarks"]] == [77, 77]


def test_a_precision_that_needs_more_rounds_than_there_is_time_for_is_flagged(bench):
    bench.write().run("--benchmark-precision=0.000001", "--benchmark-max-time=0.05", "-k", "16")

    [item] = bench.file()["benchmarks"]
    assert 6 <= item["stats"]["rounds"] < 1000
    assert item["extra_info"]["target_precision"] == 0.000001
    assert {"noisy", "budget"} <= set(item["extra_info"]["flags"])


def test_a_wish_that_cannot_be_kept_fails_its_own_function_in_one_line(bench):
    bench.write(marked("max_time=0"))

    result = bench.run()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    [(outcome, reason)] = bench.outcomes().values()
    assert (outcome, reason) == (
        "failed",
        "max_time_s=0.0 is not a positive number of seconds; use 1 or more",
    )
    assert "Traceback" not in result.stdout.str()


def test_the_short_table_replaces_the_wide_one(bench):
    result = bench.write().run()

    result.stdout.fnmatch_lines(
        [SHORT, "workload  batch*cpu@1", "plain         1 *s*", "plain        16 *s*"]
    )
    result.stdout.no_fnmatch_line(WIDE)


@pytest.mark.parametrize(
    "option", ["--benchmark-verbose", "--benchmark-columns=min,max", "--benchmark-sort=name"]
)
def test_the_wide_table_is_shown_where_something_was_asked_of_it(bench, option):
    result = bench.write().run(option)

    result.stdout.fnmatch_lines_random(
        [SHORT, WIDE, "bench_plain?1-cpu@1-train?*", "bench_plain?16-cpu@1-train?*"]
    )


@pytest.mark.parametrize("where", ["ini", "environment"])
def test_the_wide_table_can_be_asked_for_once_and_for_all(bench, monkeypatch, where):
    if where == "ini":
        bench.pytester.makeini("[pytest]\naddopts = --benchmark-columns=min\n")
    else:
        monkeypatch.setenv("PYTEST_ADDOPTS", "--benchmark-columns=min")

    bench.write().run().stdout.fnmatch_lines([WIDE])


def test_cases_can_be_grouped_by_phase_and_device(bench):
    result = bench.write().run("--benchmark-group-by=param:phase,param:device")

    result.stdout.fnmatch_lines(["*benchmark 'phase=train device=cpu@1': 2 tests*"])


def test_a_users_own_benchmarks_still_stand_in_the_wide_table_and_the_file(bench):
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


def test_rounds_before_a_failure_never_stand_in_the_wide_table(bench):
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


def test_only_benchmarks_can_be_run(bench):
    bench.write().write("def test_other(): ...", "test_other.py", head="")

    result = bench.raw(
        "bench", "test_other.py", "--benchmark-only", "--breakeven-devices=cpu@1", "--breakeven-phases=train"
    )

    result.assert_outcomes(passed=2, skipped=1)


def test_only_benchmarks_does_not_skip_the_complaint_about_a_wrong_mark(bench):
    bench.write("@pytest.mark.sweep(batch_size=8)\ndef bench_wrong(train_benchmark, batch_size): ...")

    bench.run("--benchmark-only").assert_outcomes(failed=1)


def test_skipping_benchmarks_calls_no_recipe(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=[1])
def bench_noting(train_benchmark, batch_size):
    note("called")
""")

    bench.run("--benchmark-skip").assert_outcomes(skipped=1)
    assert bench.notes() == []


def test_disabled_benchmarks_run_each_case_once(bench):
    bench.write("""
class Counts(torch.nn.Linear):
    def forward(self, inputs):
        note("forward")
        return super().forward(inputs)

@pytest.mark.sweep(batch_size=[1])
def bench_counting(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size, model=Counts(4, 2)))
""")

    bench.run("--benchmark-disable").assert_outcomes(passed=1)
    assert bench.notes() == ["forward"]


def test_disabled_benchmarks_still_fail_where_the_model_does(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=[1])
def bench_bad(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size, inputs=torch.ones(1, 5)))
""")

    bench.run("--benchmark-disable").assert_outcomes(failed=1)


def test_a_saved_run_can_be_compared_with_the_next(bench):
    bench.write().run("--benchmark-save=one")

    result = bench.run("--benchmark-compare", "--benchmark-autosave")

    assert result.ret == 0
    result.stdout.fnmatch_lines_random([WIDE, "bench_plain*(0001_one)*", "bench_plain*(NOW)*"])
    assert "machine_info is different" not in result.stdout.str() + result.stderr.str()
    assert len(list(bench.pytester.path.glob(".benchmarks/*/*.json"))) == 2


def test_a_comparison_can_fail_the_run(bench):
    bench.write().run("--benchmark-save=one")
    [path] = bench.pytester.path.glob(".benchmarks/*/*.json")
    saved = json.loads(path.read_text())
    for item in saved["benchmarks"]:
        item["stats"]["min"] = 1e-12
    path.write_text(json.dumps(saved))

    result = bench.run("--benchmark-compare", "--benchmark-compare-fail=min:5%")

    assert result.ret != 0
    assert "Performance has regressed" in result.stderr.str()


@pytest.mark.skipif(
    importlib.util.find_spec("pygal") is None, reason="pygal, which draws them, is not installed"
)
def test_a_histogram_is_drawn(bench):
    assert bench.write().run("--benchmark-histogram=drawn").ret == 0
    assert list(bench.pytester.path.glob("drawn*.svg"))
