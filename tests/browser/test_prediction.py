"""The page of a prediction in Chromium: accessible, within the window, and its chart readable on a phone."""

import pytest

from breakeven.render.predict_files import write_prediction
from support.predictions import L4, card, cpu_run, planted, prediction

__all__ = ["planted"]  # the fixture

MODES = {
    "light": {"viewport": {"width": 1280, "height": 900}},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 700}},
}


@pytest.fixture
def page(browser, tmp_path, planted, request):
    """The opened page of a prediction of four models on two machines."""
    planted(h100_16core=(2e-3, 0.0, 2.0), l4=(8e-3, 0.0, 2.0))
    content = cpu_run(widths=(64, 128, 256, 512), batches=(1, 8, 32, 512))
    found = prediction(tmp_path, content, card(), card("l4", L4), steps=1000)
    *_, path = write_prediction(found, tmp_path / "out", "1.0")
    # The page's policy forbids scripts, such as axe.
    context = browser.new_context(bypass_csp=True, **request.param)
    opened = context.new_page()
    opened.goto(path.as_uri())
    yield opened
    context.close()


def modes(*every_day):
    """All modes, of which others than these are tested with the slow tests."""
    marks = {name: () if name in every_day else pytest.mark.slow for name in MODES}
    return pytest.mark.parametrize(
        "page", [pytest.param(MODES[name], id=name, marks=marks[name]) for name in MODES], indirect=True
    )


@modes("phone")
def test_accessible(page, axe):
    """No rule is violated, whether the folds are closed or open."""
    for is_open in ("false", "true"):
        page.evaluate(f"document.querySelectorAll('details').forEach(one => {{ one.open = {is_open}; }})")
        found = axe.run(page)
        assert found.violations_count == 0, found.generate_report()


@modes("phone")
def test_layout(page):
    """One form of the chart is shown, at the top, and nothing is wider than the window."""
    width = page.viewport_size["width"]
    assert page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth") <= 0
    forms = page.locator("#break-even figure svg")
    assert [form.is_visible() for form in forms.all()] == [width > 640, width <= 640]
    shown = next(form for form in forms.all() if form.is_visible())
    assert shown.bounding_box()["y"] < 500
    sizes = shown.evaluate(
        "svg => [...svg.querySelectorAll('text')].map(text => text.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 11
