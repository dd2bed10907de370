"""How one value of the command line is read."""

from argparse import ArgumentTypeError

import pytest

from breakeven.commands.arguments import share
from breakeven.commands.compare import verdicts


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("0%", 0.0), ("99.9%", 0.999), ("1e-3", 0.001)])
def test_a_share_is_a_number_or_a_percentage_from_zero_to_below_one(text, value):
    assert share(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["1", "100%", "-1%", "nan", "inf", "%", "", "2 %%", "1e400"])
def test_what_is_no_share_is_refused_with_an_example(text):
    with pytest.raises(ArgumentTypeError, match=r"is no share between 0 and 1; write 2% or 0\.02"):
        share(text)


def test_none_is_no_verdict_and_stands_alone():
    assert verdicts("none") == verdicts(" none ") == ()
    assert verdicts("regressed, new") == ("regressed", "new")
    with pytest.raises(ArgumentTypeError, match="'none'"):
        verdicts("none,new")
