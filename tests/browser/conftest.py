"""Pages of reports in Chromium, driven by Playwright.

If either is missing, these tests are skipped with that reason, unless BREAKEVEN_REQUIRE_BROWSER is set, as in
CI.
"""

import os
import shutil

import pytest

from breakeven.render.report_files import write_report
from support.reports import answered, report

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Options that keep the browser from making requests of its own."""


def unavailable(reason):
    """Skip, or fail where a browser is required."""
    if os.environ.get("BREAKEVEN_REQUIRE_BROWSER"):
        pytest.fail(f"{reason}, and BREAKEVEN_REQUIRE_BROWSER is set", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        unavailable("the Python package playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        unavailable("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe():
    """The accessibility checks of axe-core."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        unavailable("the Python package axe-playwright-python is not installed")
    return Axe()


class Shown:
    """An opened page with its report, its requests and its errors."""

    def __init__(self, page, found):
        self.page, self.report = page, found
        self.requests, self.errors = [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on(
            "console", lambda message: self.errors.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: self.errors.append(dialog.message) or dialog.dismiss())

    def rows(self, column):
        """The texts of that column in the rows that are shown; of a fold, what is seen while it is closed."""
        return self.page.evaluate(
            """column => [...document.querySelectorAll('#cases tbody tr')].filter(row => !row.hidden)
                .map(row => (row.cells[column].querySelector('summary') || row.cells[column]).textContent)""",
            column,
        )

    def overflow(self):
        """The number of pixels by which the page is wider than its window."""
        return self.page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")


@pytest.fixture
def show(browser, tmp_path):
    """Return a function that writes the report of some contents and opens its page."""
    contexts = []

    def show(*contents, width=1440, force=False, answer=None, **options):
        found = report(tmp_path, *contents, force=force)
        found = answered(found, answer) if answer else found
        *_, path = write_report(found, tmp_path / "out", "1")
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        shown = Shown(context.new_page(), found)
        shown.page.goto(path.as_uri())
        return shown

    yield show
    for context in contexts:
        context.close()
