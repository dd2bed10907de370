"""Which files and functions become cases, and under which names."""

import pytest

SWEEP = """
@pytest.mark.sweep(batch_size=[1, 16], width=[4])
def bench_mine(train_benchmark, batch_size, width):
    train_benchmark(lambda: workload(batch_size, width))
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
    ],
)
@pytest.mark.parametrize("ini", ["", "python_files = bench_*.py\npython_functions = bench_*"])
def test_collected_once(bench, typed, ini):
    """A case is collected once, in whatever form its path is given."""
    bench.write(SWEEP).pytester.makeini(f"[pytest]\nnorecursedirs = link\n{ini}\n")
    (bench.pytester.path / "link").symlink_to("bench")

    assert bench.ids(*typed.format(root=bench.pytester.path).split(), *TRAIN) == IDS


def test_one_id(bench):
    assert bench.write(SWEEP).ids(f"bench/bench_mine.py::{IDS[1]}", *TRAIN) == IDS[1:]


def test_pyargs(bench):
    bench.write(SWEEP, "benches/bench_mine.py").write("", "benches/__init__.py", head="")
    bench.pytester.syspathinsert()

    assert bench.ids("--pyargs", "benches", *TRAIN) == IDS


@pytest.mark.parametrize("arguments", [(), ("other",)])
def test_untyped_path(bench, arguments):
    """Benchmarks are not collected if their path was not given."""
    bench.write(SWEEP)
    (bench.pytester.path / "other").mkdir()

    assert bench.ids("-q", *arguments) == []


def test_testpaths(bench):
    """They do not count as given."""
    bench.write(SWEEP).pytester.makeini("[pytest]\ntestpaths = bench\n")

    assert bench.ids("-q") == []


def test_functions_without_a_sweep(bench):
    bench.write(
        SWEEP + "def bench_other(train_benchmark): ...\ndef test_other(): ...\nclass TestIt:\n    pass\n"
    )

    assert bench.ids("bench", *TRAIN) == IDS


def test_project_patterns(bench):
    """What they match is collected too."""
    bench.write(SWEEP + "def test_other(): ...\nclass TestIt:\n    def test_it(self): ...\n")

    assert bench.ids("bench/bench_mine.py", *TRAIN) == [*IDS, "test_other", "TestIt::test_it"]


def test_file_without_a_sweep(bench):
    """It is not imported."""
    bench.write(SWEEP).write("raise SystemExit('imported')", "bench/bench_other.py", head="")

    assert bench.ids("bench", *TRAIN) == IDS


def test_file_of_another_name(bench):
    """It is not imported."""
    bench.write(SWEEP).write("raise SystemExit('a sweep')", "bench/helpers.py", head="")

    assert bench.ids("bench", *TRAIN) == IDS


def test_swept_test_function(bench):
    bench.write(SWEEP.replace("bench_mine", "test_mine"), "test_mine.py")

    assert bench.ids("test_mine.py", *TRAIN) == [name.replace("bench_", "test_") for name in IDS]


def test_doctest_modules(bench):
    """They do not hide the cases of a file."""
    assert bench.write(SWEEP).ids("bench", "--doctest-modules", *TRAIN) == IDS


def test_collect_only(bench):
    result = bench.write(
        "@pytest.mark.sweep(batch_size=[1])\ndef bench_x(train_benchmark, batch_size): note('x')"
    ).run("--collect-only")

    assert result.ret == 0
    result.stdout.no_fnmatch_line("breakeven:*")
    assert bench.notes() == []
    assert not (bench.pytester.path / "run.json").exists()


def test_deselection(bench):
    bench.write(SWEEP)

    assert bench.ids("bench", "-k", "16", *TRAIN) == IDS[1:]
    assert bench.ids("bench", "-m", "sweep", *TRAIN) == IDS
    assert bench.ids("bench", "-m", "not sweep", *TRAIN) == []
    assert bench.ids("bench", f"--deselect=bench/bench_mine.py::{IDS[0]}", *TRAIN) == IDS[1:]


def test_two_thousand_cases(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=range(1, 2001))
def bench_mine(train_benchmark, batch_size): ...
""")

    assert len(bench.ids("bench", *TRAIN)) == 2000


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


def test_swept_helper(bench):
    """A swept function that the project's patterns exclude is not collected."""
    bench.write(
        "@pytest.mark.sweep(batch_size=8)\ndef helper(train_benchmark, batch_size): ...\ndef test_it(): ...",
        "test_mine.py",
    )

    assert bench.ids("test_mine.py") == ["test_it"]
