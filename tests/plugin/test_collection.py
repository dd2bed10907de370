"""Which files and functions become cases, and under which names."""

import pytest

SWEEP = """
@pytest.mark.sweep(batch_size=[1, 16], width=[4])
def bench_mine(train_benchmark, batch_size, width):
    train_benchmark(lambda: workload(batch_size, width))
"""
TRAIN = ("--breakeven-devices=cpu@1", "--breakeven-phases=train")
IDS = ["bench_mine[1-4-cpu@1-train]", "bench_mine[16-4-cpu@1-train]"]


def test_ids_hold_the_marks_arguments_in_its_order_then_the_device_then_the_phase(bench):
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


def test_every_phase_is_collected_on_two_devices_at_least_when_none_are_named(bench):
    names = bench.write(SWEEP).ids()

    phases = [name.rstrip("]").rsplit("-", 1)[1] for name in names[:5]]
    assert phases == ["transfer", "forward", "backward", "step", "train"]
    assert len(names) >= 2 * 2 * 5


def test_parametrize_arguments_come_first_so_that_the_phases_of_a_cell_stay_together(bench):
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
def test_a_case_is_collected_once_however_its_file_is_named(bench, typed, ini):
    bench.write(SWEEP).pytester.makeini(f"[pytest]\nnorecursedirs = link\n{ini}\n")
    (bench.pytester.path / "link").symlink_to("bench")

    assert bench.ids(*typed.format(root=bench.pytester.path).split(), *TRAIN) == IDS


def test_one_case_can_be_named_by_its_id(bench):
    assert bench.write(SWEEP).ids(f"bench/bench_mine.py::{IDS[1]}", *TRAIN) == IDS[1:]


def test_a_package_can_be_named_by_its_import_name(bench):
    bench.write(SWEEP, "benches/bench_mine.py").write("", "benches/__init__.py", head="")
    bench.pytester.syspathinsert()

    assert bench.ids("--pyargs", "benches", *TRAIN) == IDS


@pytest.mark.parametrize("arguments", [(), ("other",)])
def test_benchmarks_are_left_alone_where_their_path_is_not_typed(bench, arguments):
    bench.write(SWEEP)
    (bench.pytester.path / "other").mkdir()

    assert bench.ids("-q", *arguments) == []


def test_testpaths_do_not_count_as_typed(bench):
    bench.write(SWEEP).pytester.makeini("[pytest]\ntestpaths = bench\n")

    assert bench.ids("-q") == []


def test_functions_without_a_sweep_are_left_alone(bench):
    bench.write(
        SWEEP + "def bench_other(train_benchmark): ...\ndef test_other(): ...\nclass TestIt:\n    pass\n"
    )

    assert bench.ids("bench", *TRAIN) == IDS


def test_what_the_projects_own_patterns_match_is_still_collected(bench):
    bench.write(SWEEP + "def test_other(): ...\nclass TestIt:\n    def test_it(self): ...\n")

    assert bench.ids("bench/bench_mine.py", *TRAIN) == [*IDS, "test_other", "TestIt::test_it"]


def test_a_file_that_does_not_mention_a_sweep_is_not_imported(bench):
    bench.write(SWEEP).write("raise SystemExit('imported')", "bench/bench_other.py", head="")

    assert bench.ids("bench", *TRAIN) == IDS


def test_files_of_other_names_are_not_imported(bench):
    bench.write(SWEEP).write("raise SystemExit('a sweep')", "bench/helpers.py", head="")

    assert bench.ids("bench", *TRAIN) == IDS


def test_a_swept_test_function_is_a_case_too(bench):
    bench.write(SWEEP.replace("bench_mine", "test_mine"), "test_mine.py")

    assert bench.ids("test_mine.py", *TRAIN) == [name.replace("bench_", "test_") for name in IDS]


def test_doctests_of_a_benchmark_file_do_not_hide_its_cases(bench):
    assert bench.write(SWEEP).ids("bench", "--doctest-modules", *TRAIN) == IDS


def test_collecting_alone_prints_no_plan_and_measures_nothing(bench):
    result = bench.write(
        "@pytest.mark.sweep(batch_size=[1])\ndef bench_x(train_benchmark, batch_size): note('x')"
    ).run("--collect-only")

    assert result.ret == 0
    result.stdout.no_fnmatch_line("breakeven:*")
    assert bench.notes() == []
    assert not (bench.pytester.path / "run.json").exists()


def test_keywords_marks_and_ids_select_among_the_cases(bench):
    bench.write(SWEEP)

    assert bench.ids("bench", "-k", "16", *TRAIN) == IDS[1:]
    assert bench.ids("bench", "-m", "sweep", *TRAIN) == IDS
    assert bench.ids("bench", "-m", "not sweep", *TRAIN) == []
    assert bench.ids("bench", f"--deselect=bench/bench_mine.py::{IDS[0]}", *TRAIN) == IDS[1:]


def test_two_functions_of_one_identity_are_refused(bench, usage_error):
    line = usage_error(bench.write(SWEEP).write(SWEEP, "bench/bench_twin.py").run())

    assert "bench/bench_mine.py::bench_mine[1-4-cpu@1-train]" in line
    assert "bench/bench_twin.py::bench_mine[1-4-cpu@1-train]" in line
    assert "the same case, mine train cpu@1 batch=1 width=4; rename" in line


def test_two_thousand_cases_are_checked_against_each_other(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=range(1, 2001))
def bench_mine(train_benchmark, batch_size): ...
""")

    assert len(bench.ids("bench", *TRAIN)) == 2000


WRONG = {
    "sweep()": "the sweep names no batch_size; write @pytest.mark.sweep(batch_size=[1, 64])",
    "sweep(batch_size=[0])": "sweep: batch_size=0 is not an integer of at least 1",
    "sweep(batch_size=[True])": "sweep: batch_size=True is not an integer of at least 1",
    "sweep(batch_size=['64'])": "sweep: batch_size='64' is not an integer of at least 1",
    "sweep(batch_size=64)": "sweep(batch_size=64) is no list of values; write batch_size=[64]",
    "sweep(batch_size=[])": "sweep(batch_size=[]) is no list of values",
    "sweep(batch_size=[2, 2])": "sweep: batch_size has the value 2 twice",
    "sweep([1, 2])": "the only positional argument is the sweep's name",
    "sweep(batch_size=[1], depth=[1])": "has no argument 'depth'; write def bench_wrong(depth, ...)",
    "sweep(batch_size=[1], device=['cpu'])": "an argument 'device', the word is taken",
    "sweep(batch_size=[1], fixed=[1])": "the argument 'fixed' has a default",
    "parametrize('batch_size', [1])\n@pytest.mark.sweep(batch_size=[1])": "stands in sweep and in param",
    "parametrize('device', [1])\n@pytest.mark.sweep(batch_size=[1])": "cannot have an argument 'device', the",
    "sweep(batch_size=[1])\n@pytest.mark.sweep(batch_size=[2])": "two sweeps have no name; name one of them",
}


def test_a_wrong_mark_fails_its_own_function_in_one_line_and_the_others_are_timed(bench):
    functions = [
        f"@pytest.mark.{mark}\ndef bench_wrong(train_benchmark, batch_size, device=0, fixed=0): ...\n"
        for mark in WRONG
    ]
    for number, source in enumerate(functions):
        bench.write(
            source.replace("def bench_wrong", f"def bench_{number}_wrong"), f"bench/bench_{number}.py"
        )
    result = bench.write(SWEEP).run()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, failed=len(WRONG))
    assert bench.timed() == IDS
    outcomes = bench.outcomes()
    for number, expected in enumerate(WRONG.values()):
        name = f"bench_{number}_wrong"
        outcome, reason = outcomes[name]
        assert outcome == "failed"
        assert reason.startswith(f"{name}: ")
        assert expected.replace("bench_wrong", name) in reason
        assert result.outlines.count(reason) == 1
    assert "Traceback" not in result.stdout.str()


def test_a_sweep_without_the_benchmark_argument_is_a_wrong_mark_unless_the_project_collects_it(bench):
    bench.write("@pytest.mark.sweep(batch_size=[1])\ndef bench_wrong(batch_size): ...\n")

    result = bench.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["bench_wrong: the function has no argument 'train_benchmark'; *"])

    bench.pytester.makeini(
        "[pytest]\npython_files = bench_*.py\npython_functions = bench_*\nmarkers = sweep: ours"
    )
    bench.pytester.makeconftest("import pytest\n@pytest.fixture\ndef batch_size(): return 1")
    result = bench.raw("bench")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*breakeven: *")


def test_a_swept_function_that_the_projects_patterns_leave_out_is_left_alone(bench):
    bench.write(
        "@pytest.mark.sweep(batch_size=8)\ndef helper(train_benchmark, batch_size): ...\ndef test_it(): ...",
        "test_mine.py",
    )

    assert bench.ids("test_mine.py") == ["test_it"]
