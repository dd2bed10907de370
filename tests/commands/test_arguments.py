"""How one value of the command line is read."""

import re
from argparse import ArgumentTypeError

import pytest

from breakeven.commands.arguments import fraction
from breakeven.commands.compare import verdicts


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("0%", 0.0), ("99.9%", 0.999), ("1e-3", 0.001)])
def test_share(text, value):
    """It is a number or a percentage from zero to below one."""
    assert fraction(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["1", "100%", "-1%", "nan", "inf", "%", "", "2 %%", "1e400"])
def test_bad_share(text):
    with pytest.raises(ArgumentTypeError, match=f"^{re.escape(repr(text))} "):
        fraction(text)


def test_verdicts():
    """`none` is an empty list, and cannot be combined."""
    assert verdicts("none") == verdicts(" none ") == ()
    assert verdicts("regressed, new") == ("regressed", "new")
    with pytest.raises(ArgumentTypeError, match="'none'"):
        verdicts("none,new")
