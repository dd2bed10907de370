"""``BREAKEVEN_CASES`` is a file, and of all collected benchmarks only those that it lists are run."""

import json
import re
from enum import Enum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.case import CaseKey
from breakeven.errors import UsageError
from breakeven.experiment.run_command import PROCESSES_VARIABLE
from breakeven.plugin.options import SETTINGS
from breakeven.plugin.selection import Selection, read_selection
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

    def write(*lines):
        text = "".join(f"{line}\n" for line in lines)
        (pytester.path / "cases.txt").write_text(text, encoding="utf-8")
        monkeypatch.setenv("BREAKEVEN_CASES", "cases.txt")

    return write


def test_only_listed_cases(bench, listed, monkeypatch):
    """Only they are planned and timed."""
    for name in SETTINGS:
        if name != PROCESSES_VARIABLE:  # five fresh processes would take a minute
            monkeypatch.delenv(name, raising=False)
    listed("# what regressed", "", f"  {CASE}  ", "plain train cpu@1 batch=1", CASE)

    result = bench.write(TWO).run("--breakeven-devices=cpu@1,cpu", "--breakeven-phases=forward,train")

    result.assert_outcomes(passed=2, deselected=18)
    result.stdout.fnmatch_lines(["breakeven: 2 cases (2 models in 2 cells: train) on cpu@1; about *"])
    assert bench.timed() == ["bench_wide[16-8-cpu@1-train]", "bench_plain[1-cpu@1-train]"]
    assert bench.outcomes() == {}
    assert bench.file()["breakeven"]["command"].startswith(
        "BREAKEVEN_CASES=cases.txt BREAKEVEN_PROCESSES=0 pytest "
    )
    result.stdout.no_fnmatch_line("*not collected*")
    bench.run("-k", "plain").assert_outcomes(passed=1, deselected=4)


def test_missing_cases(bench, listed):
    """Listed cases that were not collected are counted on one line."""
    bench.write(TWO)
    listed(CASE, "wide train cuda batch=16 width=8", "gone train cpu@1 batch=1", CASE)
    result = bench.run()
    result.assert_outcomes(passed=1, deselected=4)
    assert (
        result.outlines.count("breakeven: 2 of the 3 cases in BREAKEVEN_CASES='cases.txt' were not collected")
        == 1
    )

    listed(CASE, "gone train cpu@1 batch=1")
    bench.run("--collect-only").stdout.fnmatch_lines(["breakeven: 1 of the 2 cases in * was not collected"])


def test_plain_benchmarks(bench, listed):
    """They are listed by their full name; other tests run."""
    bench.write(TWO).write(THEIRS, "bench/test_theirs.py", head="")
    listed("bench/test_theirs.py::test_sum[2]", CASE)

    bench.run().assert_outcomes(passed=3, deselected=5)

    assert [item["fullname"] for item in bench.file()["benchmarks"]] == [
        "bench/bench_mine.py::bench_wide[16-8-cpu@1-train]",
        "bench/test_theirs.py::test_sum[2]",
    ]


def test_only_plain_benchmarks(bench, listed):
    """No case is planned."""
    bench.write(TWO).write(THEIRS, "bench/test_theirs.py", head="")
    listed("bench/test_theirs.py::test_sum[2]")

    result = bench.run()

    result.assert_outcomes(passed=2, deselected=6)
    result.stdout.no_fnmatch_line("breakeven: *")
    assert "breakeven" not in bench.file()


def test_project_without_a_sweep(pytester, listed):
    """Its benchmarks are selected without importing anything heavy."""
    pytester.makeconftest(HEAVY)
    pytester.makepyfile(test_theirs=THEIRS)
    listed("test_theirs.py::test_sum[2]", "test_theirs.py::test_gone")

    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "--benchmark-json=run.json")

    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.fnmatch_lines(["breakeven: 1 of the 2 cases in * was not collected", "heavy:"])
    [timed] = json.loads((pytester.path / "run.json").read_text())["benchmarks"]
    assert timed["fullname"] == "test_theirs.py::test_sum[2]"


def test_invalid_sweep_not_listed(bench, listed):
    bench.write(TWO + "@pytest.mark.sweep(batch_size=8)\ndef bench_wrong(train_benchmark, batch_size): ...")
    listed(CASE)

    bench.run().assert_outcomes(passed=1, deselected=5)


def test_invalid_sweep_listed(bench, listed):
    """It fails with its problem, instead of a message about missing cases."""
    bench.write(TWO + "@pytest.mark.sweep(batch_size=8)\ndef bench_wrong(train_benchmark, batch_size): ...")
    listed("wrong train cpu@1 batch=8")

    result = bench.run()

    result.assert_outcomes(failed=1, deselected=5)
    result.stdout.fnmatch_lines(["bench_wrong: sweep(batch_size=8): *"])


def test_file_with_an_error(bench, listed, usage_error):
    """Its error is shown instead of the missing cases."""
    bench.write(TWO).write("raise ValueError('a broken sweep')", "bench/bench_broken.py", head="")
    listed("broken train cpu@1 batch=1")

    result = bench.run()

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*ValueError: a broken sweep"])
    assert "was not collected" in usage_error(bench.run("--continue-on-collection-errors"))


def test_two_equal_cases(bench, listed, usage_error):
    """They are refused only where they are listed."""
    bench.write(TWO).write(TWO.split("\n\n")[1], "bench/bench_twin.py")
    listed(CASE)
    bench.run().assert_outcomes(passed=1, deselected=5)

    listed("plain train cpu@1 batch=1")
    assert "the same case, plain train cpu@1 batch=1;" in usage_error(bench.run())


def selection_of(tmp_path, content):
    """What a file with this content selects."""
    path = tmp_path / "cases.txt"
    path.write_bytes(content)
    return read_selection({"BREAKEVEN_CASES": str(path)})


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (f"\ufeff{CASE}\r\n".encode(), (CASE,)),  # as on Windows
        ("test_it.py::test_it[a\u2028b]\nmlp\n".encode(), ("test_it.py::test_it[a\u2028b]", "mlp")),
    ],
)
def test_read_selection(tmp_path, content, names):
    """Only line feeds end lines: a name may contain other line separators."""
    assert selection_of(tmp_path, content).names == names
    assert read_selection({}) is read_selection({"BREAKEVEN_CASES": ""}) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("caf\xe9".encode("latin-1"), "(byte 4)"),
        (b"\n  \n# mlp train cpu batch=64\n", "no case"),
        (b"", "no case"),
    ],
)
def test_unusable_content(tmp_path, content, reason):
    with pytest.raises(UsageError, match=re.escape(reason)):
        selection_of(tmp_path, content)


@pytest.mark.parametrize(
    ("name", "reason"), [("absent.txt", "No such file or directory"), ("bench", "Is a directory")]
)
def test_unusable_file(bench, usage_error, monkeypatch, name, reason):
    """It ends the run before anything is imported."""
    bench.write("raise SystemExit('imported: a sweep')", head="")
    monkeypatch.setenv("BREAKEVEN_CASES", name)

    line = usage_error(bench.run())
    assert line.startswith(f"BREAKEVEN_CASES='{name}' ")
    assert reason in line


def test_nothing_of_the_list(bench, listed, usage_error):
    bench.write(TWO)
    listed("wide train cuda batch=16 width=8")
    line = usage_error(bench.run())
    assert line.startswith("BREAKEVEN_CASES='cases.txt': ")
    assert "'wide train cuda batch=16 width=8'" in line
    assert "'wide train cpu@1 batch=1 width=4'" in line  # the first of those that were collected
    assert not (bench.pytester.path / "run.json").exists()

    listed("wide train cuda batch=16 width=8", "gone", "gone too")
    line = usage_error(bench.run())
    assert "none of its 3 cases" in line
    assert "'wide train cuda batch=16 width=8'" in line


def test_project_without_benchmarks(bench, listed, usage_error):
    bench.write("def test_it(): ...", "test_it.py", head="")
    listed(CASE)

    assert "no benchmark was collected" in usage_error(bench.raw("test_it.py"))


def test_message_is_one_short_line():
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
    """The label of the case as a reader of the run file makes it."""
    info = json.loads(json.dumps(case.as_extra_info(), allow_nan=False))
    keys = ("workload", "batch_size", "phase", "device", "axes")
    return CaseKey.of(*(info[key] for key in keys)).label()


def case_with(value):
    """A case with this value, as the plugin makes it."""
    return CaseKey.of("mlp", 64, "train", "cpu", {"key": axis_value(value), "a": 1})


@pytest.mark.parametrize("value", STRANGE, ids=ascii)
def test_label_of_strange_values(tmp_path, value):
    """The plugin, the run file and the list use the same name for a case."""
    text = str(case_with(value))
    assert read_back(case_with(value)) == text

    path = tmp_path / "cases.txt"
    path.write_text(f"{text}\n", encoding="utf-8")
    assert read_selection({"BREAKEVEN_CASES": str(path)}) == Selection(str(path), (text,))


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text())
def test_label_of_any_value(value):
    text = str(case_with(value))
    assert read_back(case_with(value)) == text
    assert text.isprintable()
    text.encode()


@pytest.mark.slow
def test_select_from_a_run_file(bench, listed):
    """The cases of a run file can be listed by its labels."""
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
    keys = ("workload", "batch_size", "phase", "device", "axes")
    found = {
        item["name"]: CaseKey.of(*(item["extra_info"][key] for key in keys)).label()
        for item in bench.file()["benchmarks"]
    }
    assert len(set(found.values())) == 14

    some = list(found)[1::2]
    listed(*(found[name] for name in some))
    bench.run().assert_outcomes(passed=7, deselected=7)
    assert bench.timed() == some
