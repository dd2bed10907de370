"""What pytest's own options mean for our cases."""

from types import SimpleNamespace

import pytest

from breakeven.plugin.options import Options


def options(**given):
    """Options of a session in which nothing was asked for but these."""
    config = SimpleNamespace(
        getoption=lambda _name, default=None: default,
        getini=lambda _name: "",
        option=SimpleNamespace(**{"fulltrace": False, "usepdb": False, "tbstyle": "auto", **given}),
    )
    return Options(config)


@pytest.mark.parametrize(
    "given", [{"fulltrace": True}, {"usepdb": True}, *({"tbstyle": s} for s in ("long", "short", "native"))]
)
def test_who_asks_pytest_for_more_of_an_error_gets_the_error_itself(given):
    assert options(**given).wants_traceback


@pytest.mark.parametrize("style", ["auto", "line", "no"])
def test_otherwise_an_error_is_one_line(style):
    assert not options(tbstyle=style).wants_traceback
