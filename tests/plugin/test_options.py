"""Our own options, the ini keys of the same names, and what pytest's own options mean for our cases."""

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from breakeven.fitness import Load, Look
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


@pytest.mark.parametrize(
    ("choice", "function", "expected"),
    [
        ("", "both", ["2-4", "2-8"]),
        ("", "named", []),  # it has no default sweep
        ("smoke", "named", ["4-sgd-0.1-None", "4-sgd-0.1-2", "4-adam-0.1-None", "4-adam-0.1-2"]),
        ("full", "both", ["1-64", "8-64"]),
        ("full dtype=bfloat16", "default", ["3-dtype0-True", "3-dtype0-False"]),  # its default one
        ("batch_size=1,64 width=128", "both", ["1-128", "64-128"]),
        ("batch_size=1 dtype=bfloat16 bias=False", "default", ["1-dtype0-False"]),
        ("full batch_size=5", "both", ["5-64"]),
        ("batch_size=5 smoke optimizer=sgd lr=1 depth=None,7", "named", ["5-sgd-1-None", "5-sgd-1-7"]),
    ],
)
def test_choice(bench, choice, function, expected):
    """A name chooses a sweep, values replace its own, and what cannot be typed is chosen by name."""
    found = bench.write(SWEEPS).ids(*FAST, f"--breakeven-sweep={choice}")

    ours = [name for name in found if name.startswith(f"bench_{function}[")]
    assert [name.split("[")[1].removesuffix("-cpu-train]") for name in ours] == expected


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
    """It is that of a training step, however they are listed."""
    bench.write()

    names = bench.ids("bench", "--breakeven-devices=cpu", "--breakeven-phases=train, transfer", "-k", "16")

    assert names == ["bench_plain[16-cpu-transfer]", "bench_plain[16-cpu-train]"]


def test_help_and_markers(bench):
    bench.raw("--help").stdout.fnmatch_lines(["breakeven: *", "*--breakeven-sweep=NAME|KEY=VALUES*"])
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
    """The options of a session in which pytest was given only these."""
    config = SimpleNamespace(
        getoption=lambda _name, default=None: default,
        getini=lambda _name: "",
        option=SimpleNamespace(**{"fulltrace": False, "usepdb": False, "tbstyle": "auto", **given}),
    )
    return Options(config)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"fulltrace": True}, True),
        ({"usepdb": True}, True),
        *(({"tbstyle": style}, True) for style in ("long", "short", "native")),
        *(({"tbstyle": style}, False) for style in ("auto", "line", "no")),
    ],
)
def test_wants_traceback(given, wanted):
    assert options(**given).wants_traceback is wanted


@pytest.mark.parametrize(("option", "limit_s"), [((), 0.0), (("--breakeven-wait-idle=1h30m",), 5400.0)])
def test_busy_machine(bench, monkeypatch, option, limit_s):
    """The run waits if that was requested, warns before its first case, and records what it saw."""
    look = Look(Load(2, 0.9, 0.0, 0.9), 2, 1e-4, 103e-4, spins=True)
    waited = []
    monkeypatch.setattr("breakeven.plugin.measuring.take_look", lambda devices: look if devices else None)
    monkeypatch.setattr(
        "breakeven.plugin.measuring.wait_until_idle",
        lambda limit_s, notify: waited.append(limit_s) or notify("waiting"),
    )

    result = bench.write().run(*option)

    assert result.ret == 0
    assert waited == [limit_s] * bool(option)
    assert ("breakeven: waiting" in result.outlines) is bool(option)
    lines = [line for line in result.outlines if "cannot be trusted" in line]
    assert lines == [f"breakeven: these numbers cannot be trusted: {problem}" for problem in look.found]
    state = bench.file()["machine_info"]["breakeven"]["state"]
    assert Look.from_dict(state["look"]) == look


def test_no_look_where_nothing_is_timed(bench, monkeypatch):
    monkeypatch.setattr("breakeven.plugin.measuring.take_look", lambda _: pytest.fail("looked"))
    assert bench.write().run("--benchmark-disable").ret == 0


def test_wait_idle_as_an_ini_key(bench, monkeypatch):
    waited = []
    monkeypatch.setattr(
        "breakeven.plugin.measuring.wait_until_idle", lambda limit_s, _: waited.append(limit_s)
    )
    bench.write().pytester.makeini("[pytest]\nbreakeven_wait_idle = 5m\n")
    assert bench.run().ret == 0
    assert waited == [300.0]


def test_bad_wait(bench, usage_error):
    assert "--breakeven-wait-idle: 'soon'" in usage_error(bench.write().run("--breakeven-wait-idle=soon"))
