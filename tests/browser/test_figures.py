"""Figures of two columns on wide and narrow screens."""

import pytest

from support.run_files import affine_run


@pytest.mark.parametrize(("width", "pictures"), [(390, 2), (1280, 1)])
def test_columns(show, width, pictures):
    """A narrow screen shows the columns below each other, and text is legible on both."""
    shown = show(affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}), width=width)
    every = [svg.bounding_box() for svg in shown.page.locator("#speedup figure svg").all()]
    drawn = sorted((box for box in every if box and box["width"] > 0), key=lambda box: box["y"])
    assert len(drawn) == pictures
    assert drawn[-1]["y"] >= drawn[0]["y"] + (pictures - 1) * drawn[0]["height"]
    assert all(8 * pictures * box["width"] / 684 > 7.5 for box in drawn), "pixels of the smallest text"
    assert shown.overflow() <= 0
