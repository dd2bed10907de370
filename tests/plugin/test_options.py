"""The plugin's options, its ini keys, and pytest's own options as they apply to its cases."""

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from breakeven.plugin.options import Options, command_line, words_of

SWEEPS = """
@pytest.mark.sweep("full", batch_size=[1, 8], width=[64])
@pytest.mark.sweep(batch_size=[2], width=[4, 8])
def bench_both(train_benchmark, batch_size, width): ...

@pytest.mark.sweep(batch_size=[3], dtype=[torch.float32, torch.bfloat16], bias=[True, False])
def bench_default(train_benchmark, batch_size, dtype, bias): ...

@pytest.mark.sweep("smoke", batch_size=[4], optimizer=["sgd", "adam"], lr=[0.1], depth=[None, 2])
def bench_named(train_benchmark, batch_size, optimizer, lr, depth): ...
"""
FAST = ("bench", "--breakeven-devices=cpu", "--breakeven-phases=train")


@pytest.fixture
def ids(bench):
    """A function that returns the ids for a ``--breakeven-sweep``, without what all have in common."""
    bench.write(SWEEPS)

    def collect(choice, function):
        found = bench.ids(*FAST, f"--breakeven-sweep={choice}")
        return [name.split("[")[1].removesuffix("-cpu-train]") for name in found if name.startswith(function)]

    return collect


def test_default_sweep(ids):
    """It runs where none is named; a function without one has no cases."""
    assert ids("", "bench_both") == ["2-4", "2-8"]
    assert ids("", "bench_named") == []


def test_named_sweep(ids):
    assert ids("smoke", "bench_named") == ["4-sgd-0.1-None", "4-sgd-0.1-2", "4-adam-0.1-None", "4-adam-0.1-2"]


def test_functions_without_the_named_sweep(ids):
    """They run their default one."""
    assert ids("full", "bench_both") == ["1-64", "8-64"]
    assert len(ids("full", "bench_default")) == 4


def test_values(ids):
    """They replace those of the functions that have the key."""
    assert ids("batch_size=1,64 width=128", "bench_both") == ["1-128", "64-128"]
    assert len(ids("batch_size=1,64 width=128", "bench_default")) == 8


def test_name_and_values(ids):
    assert ids("full batch_size=5", "bench_both") == ["5-64"]
    assert ids("batch_size=5 smoke optimizer=sgd lr=1 depth=None,7", "bench_named") == [
        "5-sgd-1-None",
        "5-sgd-1-7",
    ]


def test_values_by_name(ids):
    """Values without a literal are chosen by name."""
    assert ids("dtype=bfloat16 bias=False", "bench_default") == ["3-dtype0-False"]


def test_dtype_by_name(bench):
    """The function is given the dtype itself."""
    bench.write("""
@pytest.mark.sweep(batch_size=[1], dtype=[torch.float32, torch.bfloat16])
def bench_mine(train_benchmark, batch_size, dtype):
    note(repr(dtype))
    train_benchmark(lambda: workload(batch_size, autocast=dtype))
""")

    assert bench.run("--breakeven-sweep=dtype=bfloat16").ret == 0
    assert bench.notes() == ["torch.bfloat16"]
    assert bench.file()["benchmarks"][0]["extra_info"]["axes"] == {"dtype": "bfloat16"}


def test_ini_keys(bench):
    """They replace the defaults, and options replace them."""
    bench.write(SWEEPS).pytester.makeini(
        "[pytest]\nbreakeven_devices = cpu@1, cpu\nbreakeven_phases = step\nbreakeven_sweep = full\n"
    )

    assert [name for name in bench.ids("bench") if "both" in name] == [
        "bench_both[1-64-cpu@1-step]",
        "bench_both[1-64-cpu-step]",
        "bench_both[8-64-cpu@1-step]",
        "bench_both[8-64-cpu-step]",
    ]
    assert [name for name in bench.ids(*FAST, "--breakeven-sweep=batch_size=7") if "both" in name] == [
        "bench_both[7-4-cpu-train]",
        "bench_both[7-8-cpu-train]",
    ]


def test_order_of_phases(bench):
    """It is that of a training step, regardless of the option's order."""
    bench.write()

    names = bench.ids("bench", "--breakeven-devices=cpu", "--breakeven-phases=train, transfer", "-k", "16")

    assert names == ["bench_plain[16-cpu-transfer]", "bench_plain[16-cpu-train]"]


def test_help(bench):
    result = bench.raw("--help")

    result.stdout.fnmatch_lines(["breakeven: *", "*--breakeven-sweep=NAME|KEY=VALUES*"])


def test_markers(bench):
    bench.raw("--markers").stdout.fnmatch_lines(
        ["@pytest.mark.sweep(name=None, /, batch_size, [*][*]axes): *"]
    )


def test_command_line():
    """Settings that change what is measured come first; others are left out."""
    environment = {
        "CUDA_VISIBLE_DEVICES": "",  # hides every GPU
        "OMP_NUM_THREADS": "2",
        "PYTEST_ADDOPTS": "--breakeven-sweep=smoke -x",
        "BREAKEVEN_CASES": "my cases.txt",
        "OMP_WAIT_POLICY": "passive",
        "PASSWORD": "secret",
    }
    assert command_line(["bench", "--benchmark-json=run.json"], environment) == (
        "PYTEST_ADDOPTS='--breakeven-sweep=smoke -x' BREAKEVEN_CASES='my cases.txt' OMP_WAIT_POLICY=passive "
        "OMP_NUM_THREADS=2 CUDA_VISIBLE_DEVICES='' pytest bench --benchmark-json=run.json"
    )


def test_command_line_is_quoted():
    """A shell reads the same arguments back."""
    arguments = [
        Path("my bench"),
        "-k",
        "mlp and not 'cpu'",
        "--breakeven-sweep=batch_size=1,64 width=128",
        "$HOME",
    ]
    line = command_line(arguments, {})
    assert shlex.split(line) == ["pytest", *map(str, arguments)]
    assert "\n" not in line


def test_words_of():
    """They come from the command line, the ini file and the environment."""
    assert words_of([Path("bench"), "-q"], ["-x"], {"PYTEST_ADDOPTS": "--tb=short -k 'a b'"}) == [
        "bench",
        "-q",
        "-x",
        "--tb=short",
        "-k",
        "a b",
    ]


def options(**given):
    """The options of a session with only these arguments."""
    config = SimpleNamespace(
        getoption=lambda _name, default=None: default,
        getini=lambda _name: "",
        option=SimpleNamespace(**{"fulltrace": False, "usepdb": False, "tbstyle": "auto", **given}),
    )
    return Options(config)


@pytest.mark.parametrize(
    "given", [{"fulltrace": True}, {"usepdb": True}, *({"tbstyle": s} for s in ("long", "short", "native"))]
)
def test_wants_traceback(given):
    assert options(**given).wants_traceback


@pytest.mark.parametrize("style", ["auto", "line", "no"])
def test_wants_no_traceback(style):
    assert not options(tbstyle=style).wants_traceback
