"""Invalid input ends the run, or fails its function, with one line in `plugin-errors.txt`."""

import re

import pytest

SWEEPS = """
@pytest.mark.sweep("full", batch_size=[1, 8], width=[64])
@pytest.mark.sweep(batch_size=[2], width=[4, 8])
def bench_both(train_benchmark, batch_size, width): note("called")

@pytest.mark.sweep("smoke", batch_size=[3], dtype=[torch.float32, torch.bfloat16], bias=[True, False])
def bench_named(train_benchmark, batch_size, dtype, bias): note("called")
"""
UNUSABLE = (
    "--breakeven-devices=tpu",
    "--breakeven-devices=cuda:99",
    "--breakeven-devices=cpu,cuda",
    "--breakeven-devices=cpu@0",
    "--breakeven-devices=cpu,cpu",
    "--breakeven-phases=backwards",
    "--breakeven-phases=train,train",
    "--breakeven-sweep=huge",
    "--breakeven-sweep=height=1",
    "--breakeven-sweep=batch_size=0",
    "--breakeven-sweep=batch_size=many",
    "--breakeven-sweep=batch_size=1,1",
    "--breakeven-sweep=batch_size=1,",
    "--breakeven-sweep=width=wide",
    "--breakeven-sweep=smoke dtype=float8",
    "--breakeven-sweep=smoke bias=maybe",
    "--breakeven-sweep=smoke full",
    "--breakeven-sweep=width='4",
    "--breakeven-seed=-1",
    "--breakeven-seed=1.5",
    "--breakeven-seed=4294967296",
    "--breakeven-seed=²",
    "-o breakeven_seed=today",
    "--benchmark-timer=time.process_time",
    "--benchmark-max-time=0",
    "--benchmark-max-time=inf",
    "--benchmark-json=bench",
    "--benchmark-json=bench/bench_mine.py/run.json",
    "--benchmark-json=/proc/run.json",  # the permissions would let root write there
    f"--benchmark-json={'x' * 300}",
    "-o breakeven_phases=nap",
)
INVALID = (
    "sweep()",
    "sweep(width=[1])",
    "sweep(batch_size=[0])",
    "sweep(batch_size=[True])",
    "sweep(batch_size=['64'])",
    "sweep(batch_size=64)",
    "sweep(batch_size=[])",
    "sweep(batch_size=[2, 2])",
    "sweep([1, 2])",
    "sweep(batch_size=[1], depth=[1])",
    "sweep(batch_size=[1], device=['cpu'])",
    "sweep(batch_size=[1], fixed=[1])",
    "parametrize('batch_size', [1])\n@pytest.mark.sweep(batch_size=[1])",
    "parametrize('device', [1])\n@pytest.mark.sweep(batch_size=[1])",
    "sweep(batch_size=[1])\n@pytest.mark.sweep(batch_size=[2])",
    "sweep('a', batch_size=[1])\n@pytest.mark.sweep('a', batch_size=[2])",
)


@pytest.fixture(autouse=True)
def no_accelerator(monkeypatch):
    monkeypatch.setattr("breakeven.hardware.devices.accelerator_kind", lambda: None)


def refused(bench, usage_error):
    """The lines of the options that end a run with exit code 4 before anything is measured."""
    for option in UNUSABLE:
        line = usage_error(bench.raw("bench", *option.split(" ", option.startswith("-o "))))
        assert bench.notes() == []
        yield f"$ pytest bench {option}\n{line}\n"


def failed(bench):
    """The lines of the functions with an invalid sweep, while all others run."""
    for number, mark in enumerate(INVALID):
        function = f"def bench_{number}(train_benchmark, batch_size, device=0, fixed=0): ..."
        bench.write(f"@pytest.mark.{mark}\n{function}\n", f"bench/bench_{number}.py")
    result = bench.run()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert bench.notes() == ["called"] * 2
    assert "Traceback" not in result.stdout.str()
    outcomes = bench.outcomes()
    for number, mark in enumerate(INVALID):
        outcome, reason = outcomes[f"bench_{number}"]
        assert outcome == "failed"
        assert reason.startswith(f"bench_{number}: ")
        assert result.outlines.count(reason) == 1
        yield f"@pytest.mark.{mark}\n{reason}\n"


def test_errors_are_golden(bench, usage_error, golden):
    bench.write(SWEEPS)
    text = "\n".join([*refused(bench, usage_error), *failed(bench)])
    text = re.sub(r"torch \d[\w.+]*", "torch VERSION", text)
    golden("plugin-errors.txt", re.sub("x{300}", "x...", text))


def test_toml_list(bench, usage_error):
    """An ini key with a list ends the run too, where its value is expected as text."""
    bench.write(SWEEPS).pytester.path.joinpath("tox.ini").unlink()
    bench.pytester.makepyprojecttoml('[tool.pytest.ini_options]\nbreakeven_devices = ["cpu@1", "cpu"]\n')

    line = usage_error(bench.raw("bench", "-W", "ignore::DeprecationWarning"))

    assert line.startswith("breakeven_devices=['cpu@1', 'cpu']: ")
    assert line.endswith('breakeven_devices = "cpu@1"')


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest reads the types of TOML from version 9 on")
def test_toml_number(bench, usage_error):
    """pytest's own error about the type ends the run with one line, not with an error per file."""
    bench.write(SWEEPS).pytester.path.joinpath("tox.ini").unlink()
    bench.pytester.makepyprojecttoml("[tool.pytest]\nbreakeven_devices = 3\n")

    line = usage_error(bench.raw("bench"))

    assert line.startswith("breakeven_devices: ")
    assert "3" in line


def test_two_equal_cases(bench, usage_error):
    sweep = """
@pytest.mark.sweep(batch_size=[1], width=[4])
def bench_mine(train_benchmark, batch_size, width): ...
"""
    line = usage_error(bench.write(sweep).write(sweep, "bench/bench_twin.py").run())

    assert "bench/bench_mine.py::bench_mine[1-4-cpu@1-train]" in line
    assert "bench/bench_twin.py::bench_mine[1-4-cpu@1-train]" in line
    assert "mine train cpu@1 batch=1 width=4;" in line


def test_invalid_sweep_and_unknown_choice(bench):
    """If every mark is invalid, each function fails with its message, for any chosen sweep."""
    bench.write("@pytest.mark.sweep(batch_size=8)\ndef bench_wrong(train_benchmark, batch_size): ...")

    result = bench.run("--breakeven-sweep=full")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["bench_wrong: sweep(batch_size=8): *"])
