"""The conclusions of the page, which take intervals into account."""

import pytest
from tables import OURS, RIVAL, verdict


def page_of(*ratios):
    """The conclusions on noisy cells with these ratios and intervals; None if a tool never reaches 2%."""
    usual = {"coverage": None, "interval": "claimed"}
    cells = [
        {
            "name": f"cell{at}",
            "noisy": True,
            "tools": {
                OURS: {**usual, "ratio": 1.0, "ratio_interval": None, "to_target_s": 1.0},
                RIVAL: {**usual, "ratio": ratio, "ratio_interval": interval, "to_target_s": ratio},
            },
        }
        for at, (ratio, interval) in enumerate(ratios)
    ]
    return verdict({"cells": cells})


@pytest.mark.parametrize(
    ("ratio", "interval", "word"),
    [(4.0, (3.1, 5.0), "reached"), (4.0, (2.5, 6.0), "undecided"), (2.0, (1.5, 2.9), "missed"),
     (2.0, (0.5, 6.0), "undecided"), (None, None, "reached")],
)  # fmt: skip
def test_aim_by_the_interval(ratio, interval, word):
    aim = page_of((ratio, interval))[0]
    for other in ("reached", "missed", "undecided"):
        assert f"{other} on {'cell0' if other == word else 'none'}" in aim


def test_faster_tools_by_the_interval():
    last = page_of((0.7, (0.5, 0.9)), (0.7, (0.2, 2.2)), (1.4, (0.4, 3.0)), (2.0, (1.5, 3.0)))[-1]
    less, undecided = last.split("; ")
    assert less.endswith(f"Needing less wall time than breakeven: {RIVAL} on cell0 (0.7x [0.5-0.9])")
    assert undecided == f"undecided: {RIVAL} on cell1 (0.7x [0.2-2.2]), {RIVAL} on cell2 (1.4x [0.4-3])."
