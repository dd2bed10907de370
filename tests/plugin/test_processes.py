"""How many measuring processes a run has, and where that is taken from."""

from types import SimpleNamespace

import pytest

from breakeven.errors import UsageError
from breakeven.plugin.processes import processes_of


def count(option=None, environment=None, ini="", usepdb=False, trace=False, **flags):
    options = {"breakeven_processes": option, **flags}
    config = SimpleNamespace(
        option=SimpleNamespace(usepdb=usepdb, trace=trace),
        getoption=lambda name, default=None: options.get(name, default),
        getini={"breakeven_processes": ini}.get,
    )
    return processes_of(config, {} if environment is None else {"BREAKEVEN_PROCESSES": environment})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), 5),
        (("2", "3", "4"), 2),
        ((None, "3", "4"), 3),
        ((None, None, "4"), 4),
        ((None, "", "4"), 4),
        (("0", "3"), 0),
        (("1000",), 1000),
    ],
)
def test_first_of_option_environment_and_ini(given, expected):
    assert count(*given) == expected


@pytest.mark.parametrize("flag", ["usepdb", "trace", "benchmark_disable", "benchmark_skip"])
def test_own_process(flag):
    assert count("3", **{flag: True}) == 0


@pytest.mark.parametrize("flag", ["usepdb", "benchmark_disable"])
@pytest.mark.parametrize("text", ["-1", "1001", "two", "1.0", "\N{SUPERSCRIPT TWO}", "9" * 5000, " "])
def test_invalid(text, flag):
    """It is refused also where it would not count, with the name of what gave it."""
    for given, name in ((text,), "--breakeven-processes"), ((None, text), "BREAKEVEN_PROCESSES"):
        with pytest.raises(UsageError, match=f"^{name}=.* is not an integer from 0 to 1000; use"):
            count(*given, **{flag: True})
