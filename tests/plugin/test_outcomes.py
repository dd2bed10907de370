"""How cases end that give no timing: what is printed, the exit code, and what stands in the run file."""

import signal
from unittest.mock import Mock

import pytest

# Raises WHAT in the seventh timed round of batch 16, and nowhere else.
IN_ROUND_7 = """
NOW = {}

class Fails(torch.nn.Linear):
    def forward(self, inputs):
        stats = NOW["benchmark"].stats
        if len(inputs) == 16 and stats and len(stats.stats.data) == 6:
            WHAT
        return super().forward(inputs)

@pytest.mark.sweep(batch_size=[1, 16, 64])
def bench_fails(train_benchmark, benchmark, batch_size):
    NOW["benchmark"] = benchmark
    def recipe():
        note(batch_size)
        return workload(batch_size, model=Fails(4, 2))
    train_benchmark(recipe)
"""
RAISE_RUNTIME_ERROR = "raise RuntimeError({!r})"
OTHER = """
@pytest.mark.sweep(batch_size=[1])
def bench_other(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""


def fails(batch_size, phase="train"):
    return f"bench_fails[{batch_size}-cpu@1-{phase}]"


@pytest.fixture
def in_round_7(bench):
    """Return a function that runs benchmarks which do `what` in the seventh timed round of batch 16."""

    def run(what, *options):
        bench.write(IN_ROUND_7.replace("WHAT", what) + OTHER)
        return bench.run("--benchmark-min-rounds=8", *options)

    return run


@pytest.mark.parametrize(
    "what",
    [
        "raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 GiB')",
        RAISE_RUNTIME_ERROR.format("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        "raise MemoryError",
    ],
)
def test_out_of_memory_in_round_7_is_recorded_and_larger_batches_are_not_tried(bench, in_round_7, what):
    result = in_round_7(what)

    assert result.ret == 0
    result.assert_outcomes(passed=2, skipped=2)
    assert bench.timed() == [fails(1), "bench_other[1-cpu@1-train]"]
    outcomes = bench.outcomes()
    assert list(outcomes) == [fails(16), fails(64)]
    assert outcomes[fails(16)][0] == "oom"
    assert outcomes[fails(16)][1].split(":")[0] in what
    assert outcomes[fails(64)] == ("skipped", "not tried: train at batch 16: out of memory")
    assert bench.notes() == ["1", "16"]  # the recipe of the larger batch is not called


def test_other_phases_of_the_batch_that_ran_out_of_memory_are_still_tried(bench, in_round_7):
    in_round_7("raise MemoryError", "--breakeven-phases=transfer,forward,train")

    assert [name for name in bench.timed() if "16" in name] == [fails(16, "transfer")]
    assert {name: ending[0] for name, ending in bench.outcomes().items() if "16" in name} == {
        fails(16, "forward"): "oom",
        fails(16, "train"): "oom",
    }


def test_out_of_memory_in_a_recipe_is_out_of_memory_too(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=[1, 16, 64])
def bench_fails(train_benchmark, batch_size):
    def recipe():
        note(batch_size)
        if batch_size > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return workload(batch_size)
    train_benchmark(recipe)
""")

    assert bench.run("--breakeven-phases=forward,train").ret == 0
    assert {name: ending[0] for name, ending in bench.outcomes().items()} == {
        fails(16, "forward"): "oom",
        fails(16, "train"): "oom",
        fails(64, "forward"): "skipped",
        fails(64, "train"): "skipped",
    }
    assert bench.notes() == ["1", "16"]


def test_a_lost_device_is_a_crash_and_nothing_more_is_tried_on_it(bench, in_round_7):
    result = in_round_7(RAISE_RUNTIME_ERROR.format("CUDA error: an illegal memory access was encountered"))

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert bench.timed() == [fails(1)]
    outcomes = bench.outcomes()
    assert outcomes[fails(16)][0] == "crashed"
    assert "illegal memory access" in outcomes[fails(16)][1]
    for name in (fails(64), "bench_other[1-cpu@1-train]"):
        assert outcomes[name][0] == "skipped"
        assert outcomes[name][1].startswith("not tried: cpu@1 was lost in fails train cpu@1 batch=16")
    assert bench.notes() == ["1", "16"]


def test_a_model_that_raises_fails_its_case_in_one_line_and_the_others_are_timed(bench, in_round_7):
    result = in_round_7("raise ValueError('first line\\nsecond line')")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert bench.timed() == [fails(1), fails(64), "bench_other[1-cpu@1-train]"]
    assert bench.outcomes() == {fails(16): ("failed", "ValueError: first line")}
    result.stdout.fnmatch_lines(
        ["fails train cpu@1 batch=16: ValueError: first line; --tb=short shows where"]
    )
    assert "Traceback" not in result.stdout.str()
    result.stdout.no_fnmatch_line("*bench_mine.py:[0-9]*")


def test_a_loss_that_becomes_nan_in_the_timed_rounds_is_no_timing(bench, in_round_7):
    result = in_round_7("self.weight.data.fill_(float('nan'))", "-k", "fails and not 64")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert bench.timed() == [fails(1)]
    outcome, reason = bench.outcomes()[fails(16)]
    assert (outcome, reason.split(":")[0]) == ("failed", "the loss is nan")


def test_ctrl_c_in_a_timed_round_keeps_the_finished_cases_and_names_the_rest(bench, in_round_7):
    result = in_round_7("raise KeyboardInterrupt")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert bench.timed() == [fails(1)]
    reason = "not reached: the run was stopped before it"
    unreached = (fails(16), fails(64), "bench_other[1-cpu@1-train]")
    assert bench.outcomes() == dict.fromkeys(unreached, ("skipped", reason))
    assert "INTERNALERROR" not in result.stdout.str()


def test_ctrl_c_before_the_measuring_keeps_the_finished_cases_too(bench):
    bench.write(
        OTHER
        + """
@pytest.mark.sweep(batch_size=[1])
def bench_zzz(train_benchmark, batch_size):
    raise KeyboardInterrupt
"""
    )

    assert bench.run().ret == pytest.ExitCode.INTERRUPTED
    assert bench.timed() == ["bench_other[1-cpu@1-train]"]
    assert list(bench.outcomes()) == ["bench_zzz[1-cpu@1-train]"]


@pytest.mark.parametrize(
    ("what", "ending", "code"),
    [
        ("pytest.skip('not today')", ("skipped", "not today"), 0),
        ("pytest.fail('too bad')", ("failed", "too bad"), 1),
        ("pytest.xfail('known')", ("skipped", "known"), 0),
    ],
)
def test_pytests_own_words_inside_a_timed_round_lose_no_other_result(bench, in_round_7, what, ending, code):
    assert in_round_7(what).ret == code
    assert bench.timed() == [fails(1), fails(64), "bench_other[1-cpu@1-train]"]
    assert bench.outcomes() == {fails(16): ending}


def test_the_first_failure_stops_the_run_where_that_is_asked_for(bench, in_round_7):
    assert in_round_7("raise ValueError", "-x").ret == pytest.ExitCode.TESTS_FAILED
    assert bench.timed() == [fails(1)]
    assert bench.outcomes()[fails(16)] == ("failed", "ValueError")
    assert bench.outcomes()[fails(64)] == ("skipped", "not reached: the run was stopped before it")


RECIPES = {
    "raise ValueError('no\\nsuch file')": "the recipe raised ValueError: no",
    "return None": "the recipe returned None, expected a breakeven.Workload; pass a function that",
    "return torch.nn.Linear(4, 2)": "the recipe returned a Linear, expected a breakeven.Workload",
    "return Workload(torch.nn.Linear(4, 2), None, torch.optim.SGD, torch.ones(1, 4), None)": (
        "the recipe raised UsageError: Workload(loss=...) must be callable, got None"
    ),
}


@pytest.mark.parametrize("body", RECIPES)
def test_a_bad_recipe_is_called_once_a_cell_and_fails_in_one_line_with_file_and_line(bench, body):
    bench.write(f"""
@pytest.mark.sweep(batch_size=[1, 2])
def bench_bad(train_benchmark, batch_size):
    def recipe():
        note(batch_size)
        {body}
    train_benchmark(recipe)
{OTHER}""")
    source = (bench.pytester.path / "bench/bench_mine.py").read_text().splitlines()
    raised = "the recipe raised" in RECIPES[body]
    line = 1 + [text.strip() for text in source].index(body if raised else "def recipe():")

    result = bench.run("--breakeven-phases=forward,train")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert bench.notes() == ["1", "2"]
    reason = f"{bench.pytester.path}/bench/bench_mine.py:{line}: {RECIPES[body]}"
    outcomes = bench.outcomes()
    assert list(outcomes) == [
        f"bench_bad[{n}-cpu@1-{phase}]" for n in (1, 2) for phase in ("forward", "train")
    ]
    for outcome, told in outcomes.values():
        assert outcome == "failed"
        assert told.startswith(reason)
    result.stdout.fnmatch_lines([f"bad train cpu@1 batch=2: {reason}*"])
    assert "Traceback" not in result.stdout.str()
    assert bench.timed() == ["bench_other[1-cpu@1-forward]", "bench_other[1-cpu@1-train]"]


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ("workload(1)", "train_benchmark got a Workload, expected a recipe, a function that returns"),
        ("None", "train_benchmark got None, expected a recipe, a function that returns a Workload;"),
        ("torch.nn.ReLU()", "a ReLU: the recipe raised TypeError"),
    ],
)
def test_what_is_no_recipe_is_named_without_its_contents(bench, recipe, told):
    bench.write(f"""
@pytest.mark.sweep(batch_size=[1])
def bench_bad(train_benchmark, batch_size):
    train_benchmark({recipe})
""")

    assert bench.run().ret == pytest.ExitCode.TESTS_FAILED
    [(_, reason)] = bench.outcomes().values()
    assert reason.startswith(told)
    assert "\n" not in reason
    assert len(reason) < 200


MODELS = {
    "a loss that is NaN": (
        "workload(1, targets=torch.full((1, 2), float('nan')))",
        "the loss is nan: timings of a model that does not train mean nothing; check inputs, targets",
    ),
    "a loss that is no number": (
        "workload(1, loss=lambda outputs, targets: outputs - targets)",
        "the loss is a tensor of shape (1, 2), expected one number; reduce it, e.g. with .mean()",
    ),
    "integer inputs": (
        "workload(1, inputs=torch.arange(4).reshape(1, 4))",
        "RuntimeError: mat1 and mat2 must have the same dtype",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_does_not_train_fails_in_one_line_and_with_a_traceback_where_asked(bench, name):
    source, reason = MODELS[name]
    bench.write(f"""
@pytest.mark.sweep(batch_size=[1])
def bench_bad(train_benchmark, batch_size):
    train_benchmark(lambda: {source})
{OTHER}""")

    result = bench.run("--breakeven-phases=forward")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert bench.timed() == ["bench_other[1-cpu@1-forward]"]
    [(outcome, told)] = bench.outcomes().values()
    assert (outcome, told[: len(reason)]) == ("failed", reason)
    hint = "; --tb=short shows where" if told.startswith("RuntimeError") else ""
    assert result.outlines.count(f"bad forward cpu@1 batch=1: {told}{hint}") == 1
    result.stdout.no_fnmatch_line("*.py:[0-9]*")

    result = bench.run("--tb=long", "--breakeven-phases=forward")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["bench/bench_mine.py:[0-9]*", f"E *Error: {told.removeprefix('RuntimeError: ')}*"]
    )


def test_a_recipes_own_traceback_is_shown_where_asked(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=[1])
def bench_bad(train_benchmark, batch_size):
    train_benchmark(lambda: {}["missing key"])
""")

    result = bench.run("--tb=short")

    result.stdout.fnmatch_lines(["*train_benchmark(lambda: {}?*missing key*", "E*KeyError*"])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("pass", "bench_bad[1-cpu@1-train] never called train_benchmark(recipe); call it once"),
        (
            "train_benchmark(lambda: workload(1)); train_benchmark(lambda: workload(2))",
            "train_benchmark was called twice; call it once, and sweep or parametrize what differs",
        ),
        ("raise ValueError('mine')", "ValueError: mine"),
    ],
)
def test_a_function_fails_that_does_not_call_its_benchmark_exactly_once(bench, body, reason):
    bench.write(f"""
@pytest.mark.sweep(batch_size=[1])
def bench_bad(train_benchmark, batch_size):
    {body}
{OTHER}""")

    result = bench.run()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["breakeven: 1 timed (*flagged), 1 failed; *"])
    assert bench.outcomes() == {"bench_bad[1-cpu@1-train]": ("failed", reason)}
    assert bench.timed() == ["bench_other[1-cpu@1-train]"]


def test_the_benchmark_argument_without_a_sweep_fails_with_the_remedy(bench):
    bench.write("def test_it(train_benchmark): ...", "test_it.py")

    result = bench.raw("test_it.py")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["train_benchmark needs @pytest.mark.sweep(batch_size=[[]...[]]) on test_it"])


def test_a_skip_outside_the_measuring_is_recorded_with_its_reason(bench):
    bench.write("""
@pytest.mark.skip(reason="by mark")
@pytest.mark.sweep(batch_size=[1])
def bench_a(train_benchmark, batch_size): ...

@pytest.mark.sweep(batch_size=[1])
def bench_b(train_benchmark, batch_size):
    train_benchmark(lambda: pytest.skip("in the recipe"))
""")

    result = bench.run()

    assert result.ret == 0
    result.assert_outcomes(skipped=2)
    assert bench.outcomes() == {
        "bench_a[1-cpu@1-train]": ("skipped", "by mark"),
        "bench_b[1-cpu@1-train]": ("skipped", "in the recipe"),
    }


def test_a_broken_fixture_is_a_recorded_failure(bench):
    bench.write("""
@pytest.fixture
def data():
    raise OSError("no such data set")

@pytest.mark.sweep(batch_size=[1])
def bench_a(train_benchmark, batch_size, data): ...
""")

    assert bench.run().ret == pytest.ExitCode.TESTS_FAILED
    assert bench.outcomes() == {"bench_a[1-cpu@1-train]": ("failed", "OSError: no such data set")}


def test_a_case_that_would_take_too_long_is_skipped_with_that_reason(bench, monkeypatch):
    from breakeven.measure.runner import Runner

    ticks = iter(range(10**6))  # a clock by which everything takes a second or more
    monkeypatch.setattr(
        "breakeven.plugin.session.Runner", lambda budget: Runner(budget, lambda: float(next(ticks)))
    )
    bench.write()

    result = bench.run("--benchmark-max-time=0.1")

    assert result.ret == 0
    assert bench.timed() == []
    outcomes = bench.outcomes()
    assert outcomes["bench_plain[1-cpu@1-train]"] == (
        "skipped",
        "would take too long: 6 rounds of about 0.67 s, 4 s in all; "
        "--benchmark-max-time=1 or more would time it",
    )
    assert outcomes["bench_plain[16-cpu@1-train]"][1].startswith(
        "not tried: train at batch 1: would take too"
    )


STEPPING_CLOCK = """
import time

readings = 0

def clock():
    # Every 20th reading is an hour before the one before it, as after a clock was set back.
    global readings
    readings += 1
    return time.perf_counter() - (3600 if readings % 20 == 0 else 0)
"""


def test_a_clock_that_steps_back_gives_no_timing_and_says_so(bench, monkeypatch):
    bench.pytester.makepyfile(stepping=STEPPING_CLOCK)
    monkeypatch.syspath_prepend(bench.pytester.path)

    assert bench.write().run("--benchmark-timer=stepping.clock").ret == 1

    assert bench.timed() == []
    assert all(outcome == "failed" for outcome, _ in bench.outcomes().values())
    assert all("the clock stepped back" in reason for _, reason in bench.outcomes().values())


def test_a_cancelled_job_keeps_what_it_measured_as_ctrl_c_does(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=[1, 2, 3])
def bench_canceled(train_benchmark, batch_size):
    import os, signal
    if batch_size == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    train_benchmark(lambda: workload(batch_size))
""")
    before = signal.getsignal(signal.SIGTERM)

    assert bench.run().ret == pytest.ExitCode.INTERRUPTED

    assert bench.timed() == ["bench_canceled[1-cpu@1-train]"]
    assert {outcome for outcome, _ in bench.outcomes().values()} == {"skipped"}
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_canary_is_timed_first_halfway_and_last(bench, monkeypatch):
    from breakeven.measure.runner import Runner

    heard = []

    class Listening(Runner):
        def run_canary(self, when, devices):
            heard.append(when)
            super().run_canary(when, devices)

        def measure(self, *arguments):
            heard.append("case")
            return super().measure(*arguments)

    monkeypatch.setattr("breakeven.plugin.session.Runner", Listening)
    bench.write("""
@pytest.mark.sweep(batch_size=[1, 2, 3, 4, 5, 6])
def bench_six(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
""")

    assert bench.run().ret == 0

    assert heard == ["start", "case", "case", "case", "middle", "case", "case", "case", "end"]


def test_the_wall_time_counts_from_the_first_case_and_not_from_the_collection(bench, monkeypatch):
    ticks = iter([0.0, 100.0, 107.0, 110.0])  # collected, begun, written, told
    monkeypatch.setattr("breakeven.plugin.session.time", Mock(perf_counter=lambda: next(ticks)))

    result = bench.write().run()

    assert bench.file()["breakeven"]["wall_s"] == 7.0
    result.stdout.fnmatch_lines(["breakeven: 2 timed *; 10.0 s: *"])


def test_an_error_that_is_not_of_our_results_is_not_told_as_one(bench):
    bench.write().pytester.makeconftest("""
def pytest_sessionfinish():
    raise OSError("theirs")
""")

    result = bench.run("--collect-only")

    assert "the results could not be written" not in result.stdout.str()
    assert "OSError: theirs" in result.stderr.str()
