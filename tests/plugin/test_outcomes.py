"""Cases that give no timing: what is printed, the exit code, and what the run file records."""

from unittest.mock import Mock

import pytest
import torch

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


@pytest.mark.usefixtures("sweep_order")
def test_out_of_memory_in_a_round(bench, in_round_7):
    """It is recorded, larger batches are not tried, and other phases of that batch size are."""
    result = in_round_7(
        "raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 GiB')",
        "--breakeven-phases=transfer,forward,train",
    )

    assert result.ret == 0
    assert [name for name in bench.timed() if "16" in name] == [fails(16, "transfer")]
    outcomes = bench.outcomes()
    for phase in ("forward", "train"):
        assert outcomes[fails(16, phase)] == (
            "oom",
            "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB",
        )
        assert outcomes[fails(64, phase)] == ("skipped", "not tried: forward at batch 16: out of memory")
    result.assert_outcomes(passed=7, skipped=5)
    assert bench.notes() == ["1", "16", "1"]  # the last is timed again; the larger one's recipe is not called


@pytest.mark.usefixtures("sweep_order")
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
    path = bench.pytester.path / "bench/bench_mine.py"
    lines = path.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "raise ValueError" in text)
    reason = f"{path}:{line}: ValueError: first line"
    assert bench.outcomes() == {fails(16): ("failed", reason)}
    result.stdout.fnmatch_lines([f"fails train cpu@1 batch=16: {reason}; --tb=short shows where"])
    assert "Traceback" not in result.stdout.str()


@pytest.mark.usefixtures("sweep_order")
def test_ctrl_c_in_a_round(bench, in_round_7):
    """The finished cases are kept, and the others listed."""
    result = in_round_7("raise KeyboardInterrupt")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert bench.timed() == [fails(1)]
    reason = "not reached: the run was stopped before it"
    unreached = (fails(16), fails(64), "bench_other[1-cpu@1-train]")
    assert bench.outcomes() == dict.fromkeys(unreached, ("skipped", reason))
    assert "INTERNALERROR" not in result.stdout.str()


@pytest.mark.parametrize(
    ("what", "ending", "code"),
    [
        ("pytest.skip('not today')", ("skipped", "not today"), 0),
        ("pytest.fail('too bad')", ("failed", "too bad"), 1),
        ("pytest.xfail('known')", ("skipped", "known"), 0),
    ],
)
def test_skip_and_fail_in_a_round(bench, in_round_7, what, ending, code):
    """The other results are kept."""
    assert in_round_7(what).ret == code
    assert bench.timed() == [fails(1), fails(64), "bench_other[1-cpu@1-train]"]
    assert bench.outcomes() == {fails(16): ending}


HERE = "{here}: the recipe "
OURS = "expected a recipe, a function that returns a Workload;"
BAD = {
    "train_benchmark(lambda: {}['no key'])": f"{HERE}raised KeyError: 'no key'",
    "train_benchmark(lambda: None)": f"{HERE}returned None, expected a breakeven.Workload",
    "train_benchmark(lambda: torch.nn.ReLU())": f"{HERE}returned a ReLU, expected a breakeven.Workload",
    "train_benchmark(lambda: Workload(torch.nn.ReLU(), 1, torch.optim.SGD, torch.ones(1), None))": (
        f"{HERE}raised UsageError: Workload(loss=...) must be a function, a loss module, "
        "or None where the model returns the loss, got 1"
    ),
    "train_benchmark(workload(1))": f"train_benchmark got a Workload, {OURS}",
    "train_benchmark(None)": f"train_benchmark got None, {OURS}",
    "train_benchmark(torch.nn.ReLU())": "a ReLU: the recipe raised TypeError",
    "train_benchmark(lambda: workload(1, targets=torch.full((1, 2), float('nan'))))": "the loss is nan: ",
    "train_benchmark(lambda: workload(1, loss=lambda outputs, targets: outputs - targets))": (
        "the loss is a tensor of shape (1, 2), expected one number; reduce it, e.g. with .mean()"
    ),
    "train_benchmark(lambda: workload(1, inputs=torch.arange(4).reshape(1, 4)))": "RuntimeError: mat1",
    "train_benchmark(lambda: workload(1)); train_benchmark(lambda: workload(2))": (
        "train_benchmark was called twice; call it once, and sweep or parametrize the differences"
    ),
    "pass": "bench_11[1-cpu@1-train] never called train_benchmark(recipe); call it once",
    "raise ValueError('mine')": "ValueError: mine",
}
"""Bodies of benchmark functions, and how the reason begins why each fails."""


def test_bad_function(bench):
    """It fails in one line, with a recipe's file and line, and with a traceback where that is asked for."""
    functions = [
        f"@pytest.mark.sweep(batch_size=[1])\ndef bench_{number}(train_benchmark, batch_size):\n    {body}\n"
        for number, body in enumerate(BAD)
    ]
    bench.write("\n".join([*functions, OTHER]))
    path = bench.pytester.path / "bench/bench_mine.py"
    source = [line.strip() for line in path.read_text().splitlines()]

    result = bench.run()

    result.assert_outcomes(passed=1, failed=len(BAD))
    result.stdout.fnmatch_lines([f"breakeven: 1 timed (*disturbed), {len(BAD)} failed; *"])
    assert bench.timed() == ["bench_other[1-cpu@1-train]"]
    outcomes = bench.outcomes()
    for number, (body, start) in enumerate(BAD.items()):
        outcome, reason = outcomes[f"bench_{number}[1-cpu@1-train]"]
        assert outcome == "failed"
        assert reason.startswith(
            start.format(here=f"{path}:{source.index(body) + 1}") if "{here}" in start else start
        )
        assert "\n" not in reason
        assert len(reason) < 400
        hint = "; --tb=short shows where" * reason.startswith("RuntimeError")
        assert any(line.endswith(f"{reason}{hint}") for line in result.outlines)
    assert "Traceback" not in result.stdout.str()

    result = bench.run("--tb=short")
    result.stdout.fnmatch_lines(["*train_benchmark(lambda: {}?*no key*", "E*KeyError*"])
    result.stdout.fnmatch_lines(["bench/bench_mine.py:[0-9]*", "E *RuntimeError: mat1 and mat2*"])


def test_fixture_without_a_sweep(bench):
    bench.write("def test_it(train_benchmark): ...", "test_it.py")

    result = bench.raw("test_it.py")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["train_benchmark needs @pytest.mark.sweep(batch_size=[[]...[]]) on test_it"])


def test_ending_outside_a_round(bench):
    """Its reason is recorded."""
    bench.write("""
@pytest.fixture
def data():
    raise OSError("no such data set")

@pytest.mark.skip(reason="by mark")
@pytest.mark.sweep(batch_size=[1])
def bench_a(train_benchmark, batch_size): ...

@pytest.mark.sweep(batch_size=[1])
def bench_b(train_benchmark, batch_size):
    train_benchmark(lambda: pytest.skip("in the recipe"))

@pytest.mark.sweep(batch_size=[1])
def bench_c(train_benchmark, batch_size, data): ...
""")

    bench.run().assert_outcomes(skipped=2, errors=1)
    assert bench.outcomes() == {
        "bench_a[1-cpu@1-train]": ("skipped", "by mark"),
        "bench_b[1-cpu@1-train]": ("skipped", "in the recipe"),
        "bench_c[1-cpu@1-train]": ("failed", "OSError: no such data set"),
    }


@pytest.fixture
def slow(bench, monkeypatch):
    """A project, and a clock by which everything takes a second or more."""
    from breakeven.measure.runner import Runner

    ticks = iter(range(10**6))
    monkeypatch.setattr(
        "breakeven.plugin.measuring.Runner",
        lambda budget, together: Runner(budget, lambda: float(next(ticks)), together),
    )
    return bench.write()


@pytest.mark.usefixtures("sweep_order")
def test_too_long(slow):
    """The headline has two rounds, and other phases none."""
    result = slow.run("--benchmark-max-time=0.1", "--breakeven-phases=train,train_sync")

    assert result.ret == 0
    assert slow.timed() == [f"bench_plain[{batch}-cpu@1-train]" for batch in (1, 16)]
    assert [item["stats"]["rounds"] for item in slow.file()["benchmarks"]] == [2, 2]
    outcomes = slow.outcomes()
    assert outcomes["bench_plain[1-cpu@1-train_sync]"] == (
        "skipped",
        "would take too long: 6 rounds of about 4.0 s, 24 s in all; --benchmark-max-time=5 or more is enough",
    )
    assert outcomes["bench_plain[16-cpu@1-train_sync]"][1].startswith(
        "not tried: train at batch 16: would take too"
    )


@pytest.mark.parametrize("timeout_s", [2, 20])
def test_timeout(slow, timeout_s):
    """It ends the headline too, before the second call or before its rounds, and is a skip."""
    result = slow.run(f"--breakeven-timeout={timeout_s}")

    result.assert_outcomes(skipped=2)
    assert result.ret == 0
    assert slow.timed() == []
    assert {outcome for outcome, _ in slow.outcomes().values()} == {"timeout"}
    [reason] = {reason for _, reason in slow.outcomes().values()}
    shown = {2: "2.0 s", 20: "20 s"}[timeout_s]
    assert f"a case may take {shown}; measure smaller batches, or use --breakeven-timeout=" in reason


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "ten"])
def test_wrong_timeout(bench, usage_error, timeout):
    line = usage_error(bench.write().run(f"--breakeven-timeout={timeout}"))
    assert line == (
        f"--breakeven-timeout: {timeout!r} is not a positive number of seconds; write for example 600"
    )


STEPPING_CLOCK = """
import time

readings = 0

def clock():
    # Every 6th reading is an hour before the one before it, as after a clock was set back.
    global readings
    readings += 1
    return time.perf_counter() - (3600 if readings % 6 == 0 else 0)
"""


def test_clock_steps_back(bench, monkeypatch):
    bench.pytester.makepyfile(stepping=STEPPING_CLOCK)
    monkeypatch.syspath_prepend(bench.pytester.path)

    assert bench.write().run("--benchmark-timer=stepping.clock").ret == 1

    assert bench.timed() == []
    assert all(outcome == "failed" for outcome, _ in bench.outcomes().values())
    assert all("the clock stepped back" in reason for _, reason in bench.outcomes().values())


def test_canary(bench, monkeypatch):
    """It runs first, halfway and last, after a cell was timed again."""
    from breakeven.measure.runner import Runner

    calls = []

    class Recording(Runner):
        def run_canary(self, when, devices):
            calls.append(when)
            super().run_canary(when, devices)

        def measure(self, *arguments):
            calls.append("case")
            return super().measure(*arguments)

    monkeypatch.setattr("breakeven.plugin.measuring.Runner", Recording)
    bench.write("""
@pytest.mark.sweep(batch_size=[1, 2, 3, 4, 5, 6])
def bench_six(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
""")

    assert bench.run().ret == 0

    assert calls == ["start", "case", "case", "case", "middle", "case", "case", "case", "case", "end"]


def test_wall_time(bench, monkeypatch):
    """It counts from the first case, not from the collection."""
    ticks = iter([100.0, 107.0, 110.0])  # begun, written, printed
    monkeypatch.setattr("breakeven.plugin.session.time", Mock(perf_counter=lambda: next(ticks)))

    result = bench.write().run()

    assert bench.file()["breakeven"]["wall_s"] == 7.0
    result.stdout.fnmatch_lines(["breakeven: 2 timed *; 10 s: *"])


def test_other_oserror(bench):
    """An OSError of another plugin is not taken for one about the results."""
    bench.write().pytester.makeconftest("""
def pytest_sessionfinish():
    raise OSError("theirs")
""")

    result = bench.run("--collect-only")

    assert "the results could not be written" not in result.stdout.str()
    assert "OSError: theirs" in result.stderr.str()


LEAKING = """
import torch

@pytest.mark.sweep(batch_size=[1])
def bench_a(train_benchmark, batch_size):
    torch.set_default_dtype(torch.float64)
    torch.autograd.set_detect_anomaly(True)
    torch.set_grad_enabled(False)
    train_benchmark(lambda: workload(batch_size))

@pytest.mark.sweep(batch_size=[1])
def bench_b(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""


@pytest.mark.usefixtures("sweep_order")
def test_settings_of_a_function(bench):
    """They are in effect for its own cases, recorded there, and not for the others; grad mode is not kept."""
    before = torch.get_default_dtype(), torch.is_anomaly_enabled(), torch.is_grad_enabled()

    bench.write(LEAKING).run("--breakeven-phases=forward,train")

    assert (torch.get_default_dtype(), torch.is_anomaly_enabled(), torch.is_grad_enabled()) == before
    settings = {
        (info["workload"], info["phase"]): info.get("settings", {})
        for info in (item["extra_info"] for item in bench.file()["benchmarks"])
    }
    changed = {"default_dtype": "float64", "anomaly_mode": "(True, True)"}
    assert settings == {
        ("a", "forward"): changed, ("a", "train"): changed, ("b", "forward"): {}, ("b", "train"): {}
    }  # fmt: skip
    assert bench.file()["breakeven"]["settings"]["default_dtype"] == "float32"


@pytest.mark.parametrize("traceback", ["--tb=auto", "--tb=short"])
def test_hostile_exception(bench, in_round_7, traceback):
    """What an exception's text has for a terminal or for the log of a CI job is escaped."""
    text = "\x1b[2J\u202e::error::a\n::error::b\r##[error]c"
    result = in_round_7(RAISE_RUNTIME_ERROR.format(text), traceback, "--breakeven-phases=train")
    assert result.ret == 1
    ours = [line for line in result.outlines if "failed x1" in line]
    assert len(ours) == 1
    assert r"\x1b[2J\u202e::error::a" in ours[0]
