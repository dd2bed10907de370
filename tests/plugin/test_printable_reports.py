"""What pytest prints of a benchmark, line by line: no terminal and no log of a CI job interprets it."""

import pytest

from breakeven.plugin import terminal
from support.hostile import check

HOSTILE = """
import sys, warnings

def recipe():
    try:
        raise ValueError("a\\n::error::inner\\u202e")
    except ValueError as error:
        raise RuntimeError("##[error]b\\n ::error::outer\\x1b[2J") from error

@pytest.mark.sweep(batch_size=[1], name=["##[group]c"])
def bench_fails(train_benchmark, batch_size, name):
    print("::error::printed \\x9b31m")
    sys.stderr.write("##vso[a]b\\r::error::\\u2028::error::")
    warnings.warn("first\\n::error::warned\\x1b[2J")
    LAST = "::error::local\\n::error::"
    train_benchmark(recipe)
"""


@pytest.mark.parametrize("style", ["short", "long", "native", "line", "no"])
def test_failing_benchmark(bench, style):
    """The chained exceptions, the output, the warning, and the name of the case."""
    bench.write(HOSTILE)

    result = bench.run(f"--tb={style}", "-v", "--showlocals", "-Wdefault")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    check(printed := result.stdout.str())
    check(result.stderr.str())
    shown = {
        r":\x3aerror::printed \x9b31m": style != "no",
        r"#\x23vso[a]b": style != "no",
        r"\x3aerror::warned\x1b[2J": True,
        "x23[group]c": True,
        "outer\\x1b[2J": style in ("short", "long", "native"),
        "inner\\u202e": style in ("short", "long", "native"),
        "first.*": False,
    }
    assert {text: text in printed for text in shown} == shown


def test_file_that_cannot_be_collected(bench):
    bench.write("# a sweep\nraise ValueError('a\\n::error::b\\x1b[2J')")
    result = bench.raw("bench")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    check(printed := result.stdout.str())
    assert "b\\x1b[2J" in printed


def test_other_tests_stay_as_they_are(bench, monkeypatch):
    """What pytest prints of them is pytest's."""
    monkeypatch.setattr(terminal, "printable", lambda _: "changed")
    bench.pytester.makepyfile(test_mine="def test_other():\n    assert 'as it' == 'is'")
    bench.write()
    printed = bench.raw("test_mine.py", "bench/bench_mine.py", "-k", "other or 1-cpu").stdout.str()
    assert "assert 'as it' == 'is'" in printed
    assert "changed" not in printed


def test_printable_lines():
    """Of all texts in a structure; tabs are as wide as in a terminal."""
    made = terminal.printable_lines({"a": ["b\tc\r\nd\n", ("\x1b",), 1, None, ""]})
    assert made == {"a": ["b       c\nd\n", (r"\x1b",), 1, None, ""]}
