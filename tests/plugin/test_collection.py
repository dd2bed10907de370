"""Which files and functions become cases, and under which names."""

import shlex

import pytest

SWEEP = """
@pytest.mark.sweep(batch_size=[1, 16], width=[4])
def bench_mine(train_benchmark, batch_size, width):
    train_benchmark(lambda: workload(batch_size, width))
"""
OTHERS = """
def bench_other(train_benchmark): ...
def test_other(): ...
class TestIt:
    def test_it(self): ...
"""
TRAIN = ("--breakeven-devices=cpu@1", "--breakeven-phases=train")
IDS = ["bench_mine[1-4-cpu@1-train]", "bench_mine[16-4-cpu@1-train]"]


def test_ids(bench):
    """They have the mark's arguments in its order, then the device, then the phase."""
    bench.write("""
@pytest.mark.sweep(width=[8, 4], batch_size=[2])
def bench_mine(train_benchmark, batch_size, width): ...
""")

    assert bench.ids("bench", "--breakeven-devices=cpu@1,cpu", "--breakeven-phases=train,forward") == [
        "bench_mine[8-2-cpu@1-forward]",
        "bench_mine[8-2-cpu@1-train]",
        "bench_mine[8-2-cpu-forward]",
        "bench_mine[8-2-cpu-train]",
        "bench_mine[4-2-cpu@1-forward]",
        "bench_mine[4-2-cpu@1-train]",
        "bench_mine[4-2-cpu-forward]",
        "bench_mine[4-2-cpu-train]",
    ]


def test_default_devices_and_phases(bench):
    """They are at least two devices, and every phase."""
    names = bench.write(SWEEP).ids()

    phases = [name.rstrip("]").rsplit("-", 1)[1] for name in names[:5]]
    assert phases == ["transfer", "forward", "backward", "step", "train"]
    assert len(names) >= 2 * 2 * 5


@pytest.mark.parametrize(
    ("option", "missing"),
    [((), "default sweep"), (("--breakeven-sweep=short",), "sweep 'short'")],
    ids=["default", "short"],
)
def test_functions_without_the_sweep(bench, option, missing):
    """The sweeps that they have are printed, in place of nothing."""
    bench.write("""
@pytest.mark.sweep("wide", batch_size=[1])
def bench_wide(train_benchmark, batch_size): ...
@pytest.mark.sweep("deep", batch_size=[1])
def bench_deep(train_benchmark, batch_size): ...
""")

    result = bench.run(*option)

    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    hint = f"breakeven: no function has a {missing}; choose with --breakeven-sweep=deep|wide"
    assert hint in result.outlines


def test_parametrize(bench):
    """Its arguments come first, so that the phases of a cell stay together."""
    bench.write("""
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.sweep(batch_size=[1])
@pytest.mark.parametrize("optimizer", ["sgd"])
def bench_mine(train_benchmark, batch_size, depth, optimizer): ...
""")

    assert bench.ids("bench", "--breakeven-devices=cpu", "--breakeven-phases=step,train") == [
        "bench_mine[sgd-1-1-cpu-step]",
        "bench_mine[sgd-1-1-cpu-train]",
        "bench_mine[sgd-2-1-cpu-step]",
        "bench_mine[sgd-2-1-cpu-train]",
    ]


@pytest.mark.parametrize(
    "typed",
    [
        "bench",
        ".",
        "bench/bench_mine.py",
        "bench/../bench",
        "{root}/bench",
        "link",
        "bench/bench_mine.py::bench_mine",
        "bench/bench_mine.py bench",
        "bench --doctest-modules",
    ],
)
@pytest.mark.parametrize("ini", ["", "python_files = bench_*.py\npython_functions = bench_*"])
def test_collected_once(bench, typed, ini):
    """A case is collected once, however its file is typed."""
    bench.write(SWEEP).pytester.makeini(f"[pytest]\nnorecursedirs = link\n{ini}\n")
    (bench.pytester.path / "link").symlink_to("bench")

    assert bench.ids(*typed.format(root=bench.pytester.path).split(), *TRAIN) == IDS


def test_pyargs(bench):
    bench.write(SWEEP, "benches/bench_mine.py").write("", "benches/__init__.py", head="")
    bench.pytester.syspathinsert()

    assert bench.ids("--pyargs", "benches", *TRAIN) == IDS


@pytest.mark.parametrize(("ini", "arguments"), [("", ()), ("", ("other",)), ("testpaths = bench", ())])
def test_untyped_path(bench, ini, arguments):
    """Benchmarks are not collected where their path was not typed; `testpaths` do not count as typed."""
    bench.write(SWEEP).pytester.makeini(f"[pytest]\n{ini}\n")
    (bench.pytester.path / "other").mkdir()

    assert bench.ids("-q", *arguments) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("bench", IDS),
        (f"bench/bench_mine.py::{IDS[1]}", IDS[1:]),
        ("bench -k 16", IDS[1:]),
        ("bench -m sweep", IDS),
        ("bench -m 'not sweep'", []),
        (f"bench --deselect=bench/bench_mine.py::{IDS[0]}", IDS[1:]),
        ("bench/bench_mine.py", [*IDS, "test_other", "TestIt::test_it"]),
        ("test_mine.py", [*(name.replace("bench_", "test_") for name in IDS), "test_it"]),
    ],
)
def test_what_is_collected(bench, arguments, expected):
    """It is swept, or matches the project's own patterns; a file without a sweep is not imported."""
    swept_tests = SWEEP.replace("bench_mine", "test_mine") + (
        "@pytest.mark.sweep(batch_size=8)\ndef helper(train_benchmark, batch_size): ...\ndef test_it(): ..."
    )
    bench.write(SWEEP + OTHERS).write(swept_tests, "test_mine.py")
    bench.write("raise SystemExit('imported')", "bench/bench_other.py", head="")
    bench.write("raise SystemExit('a sweep')", "bench/helpers.py", head="")

    assert bench.ids(*shlex.split(arguments), *TRAIN) == expected


def test_collect_only(bench):
    result = bench.write(
        "@pytest.mark.sweep(batch_size=[1])\ndef bench_x(train_benchmark, batch_size): note('x')"
    ).run("--collect-only")

    assert result.ret == 0
    result.stdout.no_fnmatch_line("breakeven:*")
    assert bench.notes() == []
    assert not (bench.pytester.path / "run.json").exists()


def test_sweep_without_train_benchmark(bench):
    """It is an invalid sweep, unless the project's own patterns match the function."""
    bench.write("@pytest.mark.sweep(batch_size=[1])\ndef bench_wrong(batch_size): ...\n")

    result = bench.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["bench_wrong: *'train_benchmark'*"])

    bench.pytester.makeini(
        "[pytest]\npython_files = bench_*.py\npython_functions = bench_*\nmarkers = sweep: ours"
    )
    bench.pytester.makeconftest("import pytest\n@pytest.fixture\ndef batch_size(): return 1")
    result = bench.raw("bench")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*breakeven: *")
