"""Cases without a timing: the output, the exit code, and the run file."""

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
    """A function that runs benchmarks which do `what` in the seventh timed round of batch 16."""

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
def test_out_of_memory_in_a_round(bench, in_round_7, what):
    """It is recorded, and larger batches are not tried."""
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


def test_out_of_memory_and_other_phases(bench, in_round_7):
    """They are still tried at that batch size."""
    in_round_7("raise MemoryError", "--breakeven-phases=transfer,forward,train")

    assert [name for name in bench.timed() if "16" in name] == [fails(16, "transfer")]
    assert {name: outcome[0] for name, outcome in bench.outcomes().items() if "16" in name} == {
        fails(16, "forward"): "oom",
        fails(16, "train"): "oom",
    }


def test_out_of_memory_in_a_recipe(bench):
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
    assert {name: outcome[0] for name, outcome in bench.outcomes().items()} == {
        fails(16, "forward"): "oom",
        fails(16, "train"): "oom",
        fails(64, "forward"): "skipped",
        fails(64, "train"): "skipped",
    }
    assert bench.notes() == ["1", "16"]


def test_lost_device(bench, in_round_7):
    """It is a crash, and no other case is tried on it."""
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


def test_exception_in_a_round(bench, in_round_7):
    """It fails its case in one line, and the others are timed."""
    result = in_round_7("raise ValueError('first line\\nsecond line')")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert bench.timed() == [fails(1), fails(64), "bench_other[1-cpu@1-train]"]
    assert bench.outcomes() == {fails(16): ("failed", "ValueError: first line")}
    result.stdout.fnmatch_lines(
        ["fails train cpu@1 batch=16: ValueError: first line; --tb=short shows where"]
    )
    assert "Traceback" not in result.stdout.str()
    result.stdout.no_fnmatch_line("*bench_mine.py:[0-9]*")


def test_loss_becomes_nan(bench, in_round_7):
    """A loss that becomes NaN in the timed rounds fails its case."""
    result = in_round_7("self.weight.data.fill_(float('nan'))", "-k", "fails and not 64")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert bench.timed() == [fails(1)]
    outcome, reason = bench.outcomes()[fails(16)]
    assert (outcome, reason.split(":")[0]) == ("failed", "the loss is nan")


def test_ctrl_c_in_a_round(bench, in_round_7):
    """The finished cases are kept, and the others listed."""
    result = in_round_7("raise KeyboardInterrupt")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert bench.timed() == [fails(1)]
    reason = "not reached: the run was stopped before it"
    unreached = (fails(16), fails(64), "bench_other[1-cpu@1-train]")
    assert bench.outcomes() == dict.fromkeys(unreached, ("skipped", reason))
    assert "INTERNALERROR" not in result.stdout.str()


def test_ctrl_c_between_cases(bench):
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
    ("what", "outcome", "code"),
    [
        ("pytest.skip('not today')", ("skipped", "not today"), 0),
        ("pytest.fail('too bad')", ("failed", "too bad"), 1),
        ("pytest.xfail('known')", ("skipped", "known"), 0),
    ],
)
def test_skip_and_fail_in_a_round(bench, in_round_7, what, outcome, code):
    """The other results are kept."""
    assert in_round_7(what).ret == code
    assert bench.timed() == [fails(1), fails(64), "bench_other[1-cpu@1-train]"]
    assert bench.outcomes() == {fails(16): outcome}


def test_exitfirst(bench, in_round_7):
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
def test_bad_recipe(bench, body):
    """It is called once per cell, and fails in one line with its file and line."""
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
    for outcome, recorded in outcomes.values():
        assert outcome == "failed"
        assert recorded.startswith(reason)
    result.stdout.fnmatch_lines([f"bad train cpu@1 batch=2: {reason}*"])
    assert "Traceback" not in result.stdout.str()
    assert bench.timed() == ["bench_other[1-cpu@1-forward]", "bench_other[1-cpu@1-train]"]


@pytest.mark.parametrize(
    ("recipe", "start"),
    [
        ("workload(1)", "train_benchmark got a Workload, expected a recipe, a function that returns"),
        ("None", "train_benchmark got None, expected a recipe, a function that returns a Workload;"),
        ("torch.nn.ReLU()", "a ReLU: the recipe raised TypeError"),
    ],
)
def test_not_a_recipe(bench, recipe, start):
    """It is named without its contents."""
    bench.write(f"""
@pytest.mark.sweep(batch_size=[1])
def bench_bad(train_benchmark, batch_size):
    train_benchmark({recipe})
""")

    assert bench.run().ret == pytest.ExitCode.TESTS_FAILED
    [(_, reason)] = bench.outcomes().values()
    assert reason.startswith(start)
    assert "\n" not in reason
    assert len(reason) < 200


MODELS = {
    "a loss that is NaN": (
        "workload(1, targets=torch.full((1, 2), float('nan')))",
        "the loss is nan: timings of a model that does not train mean nothing; check inputs, targets",
    ),
    "a loss that is not one number": (
        "workload(1, loss=lambda outputs, targets: outputs - targets)",
        "the loss is a tensor of shape (1, 2), expected one number; reduce it, e.g. with .mean()",
    ),
    "integer inputs": (
        "workload(1, inputs=torch.arange(4).reshape(1, 4))",
        "RuntimeError: mat1 and mat2 must have the same dtype",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_bad_model(bench, name):
    """It fails with one line, or with a traceback on request."""
    source, reason = MODELS[name]
    bench.write(f"""
@pytest.mark.sweep(batch_size=[1])
def bench_bad(train_benchmark, batch_size):
    train_benchmark(lambda: {source})
{OTHER}""")

    result = bench.run("--breakeven-phases=forward")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert bench.timed() == ["bench_other[1-cpu@1-forward]"]
    [(outcome, recorded)] = bench.outcomes().values()
    assert (outcome, recorded[: len(reason)]) == ("failed", reason)
    hint = "; --tb=short shows where" if recorded.startswith("RuntimeError") else ""
    assert result.outlines.count(f"bad forward cpu@1 batch=1: {recorded}{hint}") == 1
    result.stdout.no_fnmatch_line("*.py:[0-9]*")

    result = bench.run("--tb=long", "--breakeven-phases=forward")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["bench/bench_mine.py:[0-9]*", f"E *Error: {recorded.removeprefix('RuntimeError: ')}*"]
    )


def test_traceback_of_a_recipe(bench):
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
            "train_benchmark was called twice; call it once, and sweep or parametrize the differences",
        ),
        ("raise ValueError('mine')", "ValueError: mine"),
    ],
)
def test_not_called_once(bench, body, reason):
    """A function that does not call `train_benchmark` exactly once fails."""
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


def test_fixture_without_a_sweep(bench):
    bench.write("def test_it(train_benchmark): ...", "test_it.py")

    result = bench.raw("test_it.py")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["train_benchmark needs @pytest.mark.sweep(batch_size=[[]...[]]) on test_it"])


def test_skip_outside_a_round(bench):
    """Its reason is recorded."""
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


def test_broken_fixture(bench):
    bench.write("""
@pytest.fixture
def data():
    raise OSError("no such data set")

@pytest.mark.sweep(batch_size=[1])
def bench_a(train_benchmark, batch_size, data): ...
""")

    assert bench.run().ret == pytest.ExitCode.TESTS_FAILED
    assert bench.outcomes() == {"bench_a[1-cpu@1-train]": ("failed", "OSError: no such data set")}


def test_too_long(bench, monkeypatch):
    from breakeven.measure.runner import Runner

    ticks = iter(range(10**6))  # a clock with which everything takes a second or more
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
        "would take too long: 6 rounds of about 0.67 s, 4 s in all; --benchmark-max-time=1 or more is enough",
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


def test_clock_steps_back(bench, monkeypatch):
    bench.pytester.makepyfile(stepping=STEPPING_CLOCK)
    monkeypatch.syspath_prepend(bench.pytester.path)

    assert bench.write().run("--benchmark-timer=stepping.clock").ret == 1

    assert bench.timed() == []
    assert all(outcome == "failed" for outcome, _ in bench.outcomes().values())
    assert all("the clock stepped back" in reason for _, reason in bench.outcomes().values())


def test_sigterm(bench):
    """A canceled job keeps what it measured, as with Ctrl-C."""
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


def test_canary(bench, monkeypatch):
    """It runs first, halfway and last."""
    from breakeven.measure.runner import Runner

    calls = []

    class Recording(Runner):
        def run_canary(self, when, devices):
            calls.append(when)
            super().run_canary(when, devices)

        def measure(self, *arguments):
            calls.append("case")
            return super().measure(*arguments)

    monkeypatch.setattr("breakeven.plugin.session.Runner", Recording)
    bench.write("""
@pytest.mark.sweep(batch_size=[1, 2, 3, 4, 5, 6])
def bench_six(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
""")

    assert bench.run().ret == 0

    assert calls == ["start", "case", "case", "case", "middle", "case", "case", "case", "end"]


def test_wall_time(bench, monkeypatch):
    """It counts from the first case, not from the collection."""
    ticks = iter([100.0, 107.0, 110.0])  # begun, written, printed
    monkeypatch.setattr("breakeven.plugin.session.time", Mock(perf_counter=lambda: next(ticks)))

    result = bench.write().run()

    assert bench.file()["breakeven"]["wall_s"] == 7.0
    result.stdout.fnmatch_lines(["breakeven: 2 timed *; 10.0 s: *"])


def test_other_oserror(bench):
    """An OSError of another plugin is not mistaken for one about the results."""
    bench.write().pytester.makeconftest("""
def pytest_sessionfinish():
    raise OSError("theirs")
""")

    result = bench.run("--collect-only")

    assert "the results could not be written" not in result.stdout.str()
    assert "OSError: theirs" in result.stderr.str()
