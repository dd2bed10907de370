"""``BREAKEVEN_CASES`` names a file, and of all collected benchmarks only those that it lists are run."""

import json
from enum import Enum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.case import Case, case_text
from breakeven.errors import UsageError
from breakeven.plugin.invocation import SETTINGS
from breakeven.plugin.selection import Selection, selection_in
from breakeven.plugin.sweeps import axis_value

TWO = """
@pytest.mark.sweep(batch_size=[1, 16], width=[4, 8])
def bench_wide(train_benchmark, batch_size, width):
    train_benchmark(lambda: workload(batch_size, width))

@pytest.mark.sweep(batch_size=[1])
def bench_plain(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""
THEIRS = """
import pytest

@pytest.mark.parametrize("n", [1, 2])
def test_sum(benchmark, n):
    benchmark.pedantic(sum, ([n],), rounds=2)

def test_other(): ...
"""
HEAVY = """
import sys

def pytest_unconfigure(config):
    print("heavy:", *[name for name in ("torch", "pandas", "numpy") if name in sys.modules])
"""
CASE = "wide train cpu@1 batch=16 width=8"


@pytest.fixture
def listed(pytester, monkeypatch):
    """Return a function that lists these lines in a file and selects it."""

    def write(*lines, encoding="utf-8"):
        text = "".join(f"{line}\n" for line in lines)
        (pytester.path / "cases.txt").write_bytes(text.encode(encoding))
        monkeypatch.setenv("BREAKEVEN_CASES", "cases.txt")

    return write


def test_only_the_listed_cases_are_planned_and_timed(bench, listed):
    listed("# what regressed", "", f"  {CASE}  ", "plain train cpu@1 batch=1", CASE)

    result = bench.write(TWO).run("--breakeven-devices=cpu@1,cpu", "--breakeven-phases=forward,train")

    result.assert_outcomes(passed=2, deselected=18)
    result.stdout.fnmatch_lines(["breakeven: 2 cases (2 models in 2 cells: train) on cpu@1; about *"])
    assert bench.timed() == ["bench_wide[16-8-cpu@1-train]", "bench_plain[1-cpu@1-train]"]
    assert bench.outcomes() == {}
    result.stdout.no_fnmatch_line("*not collected*")


def test_the_recorded_command_repeats_the_selection(bench, listed, monkeypatch):
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    listed(CASE)

    bench.write(TWO).run()

    assert bench.file()["breakeven"]["command"].startswith("BREAKEVEN_CASES=cases.txt pytest ")


@pytest.mark.parametrize("value", [None, ""])
def test_an_unset_and_an_empty_variable_select_nothing(bench, monkeypatch, value):
    monkeypatch.delenv("BREAKEVEN_CASES", raising=False)
    if value is not None:
        monkeypatch.setenv("BREAKEVEN_CASES", value)

    bench.write(TWO).run().assert_outcomes(passed=5)


def test_listed_cases_that_are_not_here_are_counted_on_one_line(bench, listed):
    bench.write(TWO)
    listed(CASE, "wide train cuda batch=16 width=8", "gone train cpu@1 batch=1", CASE)
    result = bench.run()
    result.assert_outcomes(passed=1, deselected=4)
    line = "breakeven: 2 of the 3 cases that BREAKEVEN_CASES='cases.txt' lists were not collected"
    assert result.outlines.count(line) == 1

    listed(CASE, "gone train cpu@1 batch=1")
    bench.run("--collect-only").stdout.fnmatch_lines(["breakeven: 1 of the 2 cases that * was not collected"])


def test_what_a_keyword_deselects_stays_deselected(bench, listed):
    listed(CASE, "plain train cpu@1 batch=1")

    bench.write(TWO).run("-k", "plain").assert_outcomes(passed=1, deselected=4)


def test_a_list_saved_by_windows_is_read_too(bench, listed):
    listed(f"{CASE}\r", encoding="utf-8-sig")

    bench.write(TWO).run().assert_outcomes(passed=1, deselected=4)


def test_ordinary_benchmarks_are_listed_by_their_full_name_and_other_tests_are_left_alone(bench, listed):
    bench.write(TWO).write(THEIRS, "bench/test_theirs.py", head="")
    listed("bench/test_theirs.py::test_sum[2]", CASE)

    bench.run().assert_outcomes(passed=3, deselected=5)

    assert [item["fullname"] for item in bench.file()["benchmarks"]] == [
        "bench/bench_mine.py::bench_wide[16-8-cpu@1-train]",
        "bench/test_theirs.py::test_sum[2]",
    ]


def test_where_only_ordinary_benchmarks_are_listed_no_case_is_planned(bench, listed):
    bench.write(TWO).write(THEIRS, "bench/test_theirs.py", head="")
    listed("bench/test_theirs.py::test_sum[2]")

    result = bench.run()

    result.assert_outcomes(passed=2, deselected=6)
    result.stdout.no_fnmatch_line("breakeven: *")
    assert "breakeven" not in bench.file()


def test_a_project_without_a_sweep_is_selected_from_without_loading_anything_heavy(pytester, listed):
    pytester.makeconftest(HEAVY)
    pytester.makepyfile(test_theirs=THEIRS)
    listed("test_theirs.py::test_sum[2]", "test_theirs.py::test_gone")

    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "--benchmark-json=run.json")

    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.fnmatch_lines(["breakeven: 1 of the 2 cases that * lists was not collected", "heavy:"])
    [timed] = json.loads((pytester.path / "run.json").read_text())["benchmarks"]
    assert timed["fullname"] == "test_theirs.py::test_sum[2]"


def test_a_wrong_mark_of_a_workload_that_is_not_listed_is_deselected(bench, listed):
    bench.write(TWO + "@pytest.mark.sweep(batch_size=8)\ndef bench_wrong(train_benchmark, batch_size): ...")
    listed(CASE)

    bench.run().assert_outcomes(passed=1, deselected=5)


def test_a_wrong_mark_that_hides_what_is_listed_fails_and_says_why(bench, listed):
    bench.write(TWO + "@pytest.mark.sweep(batch_size=8)\ndef bench_wrong(train_benchmark, batch_size): ...")
    listed("wrong train cpu@1 batch=8")

    result = bench.run()

    result.assert_outcomes(failed=1, deselected=5)
    result.stdout.fnmatch_lines(["bench_wrong: sweep(batch_size=8) is no list of values; *"])


def test_a_file_that_cannot_be_imported_is_told_instead_of_its_missing_cases(bench, listed, usage_error):
    bench.write(TWO).write("raise ValueError('a broken sweep')", "bench/bench_broken.py", head="")
    listed("broken train cpu@1 batch=1")

    result = bench.run()

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*ValueError: a broken sweep"])
    assert "was not collected" in usage_error(bench.run("--continue-on-collection-errors"))


def test_two_cases_of_one_identity_cost_nothing_where_they_are_not_listed(bench, listed, usage_error):
    bench.write(TWO).write(TWO.split("\n\n")[1], "bench/bench_twin.py")
    listed(CASE)
    bench.run().assert_outcomes(passed=1, deselected=5)

    listed("plain train cpu@1 batch=1")
    assert "are the same case, plain train cpu@1 batch=1; rename one" in usage_error(bench.run())


REMEDY = (
    "; name a text file that lists one case a line, such as 'mlp train cpu batch=64 width=128', or unset "
    "BREAKEVEN_CASES"
)
DEAD = {
    "absent.txt": "BREAKEVEN_CASES='absent.txt' cannot be read: No such file or directory" + REMEDY,
    "bench": "BREAKEVEN_CASES='bench' cannot be read: Is a directory" + REMEDY,
    "latin.txt": "BREAKEVEN_CASES='latin.txt' is not UTF-8 (byte 4)" + REMEDY,
    "blank.txt": "BREAKEVEN_CASES='blank.txt' lists no case" + REMEDY,
    "empty.txt": "BREAKEVEN_CASES='empty.txt' lists no case" + REMEDY,
}


@pytest.mark.parametrize("name", DEAD)
def test_a_dead_file_ends_the_run_with_one_line_before_anything_is_imported(
    bench, usage_error, monkeypatch, name
):
    bench.write("raise SystemExit('imported: a sweep')", head="")
    (bench.pytester.path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    (bench.pytester.path / "blank.txt").write_text("\n  \n# mlp train cpu batch=64\n")
    (bench.pytester.path / "empty.txt").touch()
    monkeypatch.setenv("BREAKEVEN_CASES", name)

    assert usage_error(bench.run()) == DEAD[name]


def test_a_file_that_may_not_be_read_is_a_usage_error(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    with pytest.raises(
        UsageError, match=r"^BREAKEVEN_CASES='secret' cannot be read: Permission denied; name "
    ):
        selection_in({"BREAKEVEN_CASES": "secret"})


def test_a_list_of_which_nothing_was_collected_ends_the_run_with_one_line(bench, listed, usage_error):
    bench.write(TWO)
    listed("wide train cuda batch=16 width=8")
    assert usage_error(bench.run()) == (
        "BREAKEVEN_CASES='cases.txt': the one case that it lists, 'wide train cuda batch=16 width=8', was "
        "not collected; what was collected begins with 'wide train cpu@1 batch=1 width=4'; name the files, "
        "devices and phases of the listed cases, or correct the list"
    )
    assert not (bench.pytester.path / "run.json").exists()

    listed("wide train cuda batch=16 width=8", "gone", "gone too")
    assert usage_error(bench.run()).startswith(
        "BREAKEVEN_CASES='cases.txt': none of the 3 cases that it lists was collected, the first is 'wide "
    )


def test_a_list_for_a_project_without_any_benchmark_is_a_usage_error(bench, listed, usage_error):
    bench.write("def test_it(): ...", "test_it.py", head="")
    listed(CASE)

    assert "was not collected; no benchmark was collected; name the files" in usage_error(
        bench.raw("test_it.py")
    )


def test_only_a_line_feed_ends_a_line_since_a_name_may_hold_what_else_does(tmp_path):
    path = tmp_path / "cases.txt"
    path.write_text("test_it.py::test_it[a\u2028b]\nmlp\n", encoding="utf-8")

    assert selection_in({"BREAKEVEN_CASES": str(path)}).names == ("test_it.py::test_it[a\u2028b]", "mlp")


def test_a_complaint_stays_short_and_on_one_line():
    selection = Selection("a\nb", ("x" * 5000,))
    with pytest.raises(UsageError) as caught:
        selection.check(["y\nz" * 5000])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


class Word(str, Enum):  # noqa: UP042 - whose text is "Word.FAST" and whose JSON is "fast"
    FAST = "fast"


class Number(int, Enum):
    MANY = 7


class Fraction(float, Enum):
    HALF = 0.5


class Dtype:
    def __repr__(self):
        return "torch.bfloat16"


STRANGE = [
    True, False, None, 0, -7, 10**30, 0.1, 1e22, -0.0, 5e-324, float("nan"), float("-inf"),
    "", " a  b ", "True", "None", "nan", "7", "0.5", 'say "x"', "k=v", "a\nb", "\\n", "é", "a\u2028b", "\x85",
    "\ud800", "\N{GRINNING FACE}", "#", Word.FAST, Number.MANY, Fraction.HALF, Dtype(), len, [1, "a"],
    np.float64(0.1), np.int64(3), np.str_("a b"), np.bool_(True),
]  # fmt: skip


def read_back(case):
    """The case's text as a reader of the run file makes it."""
    info = json.loads(json.dumps(case.as_extra_info(), allow_nan=False))
    keys = ("workload", "phase", "device", "batch_size", "axes")
    return case_text(*(info[key] for key in keys))


def case_with(value):
    """A case with this value, as the plugin makes it."""
    return Case("mlp", 64, "train", "cpu", (("key", axis_value(value)), ("a", 1)))


@pytest.mark.parametrize("value", STRANGE, ids=ascii)
def test_a_case_is_called_the_same_by_the_plugin_the_run_file_and_the_list(tmp_path, value):
    text = str(case_with(value))
    assert read_back(case_with(value)) == text

    path = tmp_path / "cases.txt"
    path.write_text(f"{text}\n", encoding="utf-8")
    assert selection_in({"BREAKEVEN_CASES": str(path)}) == Selection(str(path), (text,))


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text())
def test_any_plain_value_is_read_back_as_it_was_listed(value):
    text = str(case_with(value))
    assert read_back(case_with(value)) == text
    assert text.isprintable()
    text.encode()


def test_cases_that_a_run_file_holds_are_found_again_from_what_it_says(bench, listed):
    bench.write("""
from enum import Enum
class Word(str, Enum):
    FAST = "fast"

@pytest.mark.sweep(batch_size=[1], dtype=[torch.float32, torch.bfloat16])
@pytest.mark.parametrize("odd", [True, "True", None, 0.1, "two words", "a\\u2028b", Word.FAST])
def bench_odd(train_benchmark, batch_size, dtype, odd):
    train_benchmark(lambda: workload(batch_size))
""")
    bench.run().assert_outcomes(passed=14)
    keys = ("workload", "phase", "device", "batch_size", "axes")
    found = {
        item["name"]: case_text(*(item["extra_info"][key] for key in keys))
        for item in bench.file()["benchmarks"]
    }
    assert len(set(found.values())) == 14

    some = list(found)[1::2]
    listed(*(found[name] for name in some))
    bench.run().assert_outcomes(passed=7, deselected=7)
    assert bench.timed() == some
