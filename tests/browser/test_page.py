"""The page in a browser: offline, with and without scripts, by mouse and by keyboard."""

import json

import pytest

from breakeven.render.case_table import COLUMNS as ALL_COLUMNS
from breakeven.render.case_table import SAMPLES
from breakeven.render.figures import FIGURES
from breakeven.render.report_data import to_json
from breakeven.report.answer import Answer, Trust
from breakeven.report.text import speedup_text
from support.reports import box
from support.run_files import affine_run, benchmark, run

GPU = {"cpu": (1, 1), "cuda": (33, 0.2)}
HOSTILE = "<script>alert('x')</script>\"'&amp; שלום"
COLUMNS = [name for name in ALL_COLUMNS if name != SAMPLES]  # which only steps of several batches have
BATCH, PHASE, DEVICE, TIME = (COLUMNS.index(name) for name in ("batch", "phase", "device", "time"))
MODEL = COLUMNS.index("model")
SPEEDUP, VERDICT = COLUMNS.index("speedup"), COLUMNS.index("verdict")


def choice(page, column):
    """The list that filters by a column."""
    return page.locator(f"#filter select[data-column='{COLUMNS.index(column)}']")


@pytest.fixture
def content():
    """A run with two phases on two devices, 16 cases."""
    return affine_run(GPU, phases=("transfer", "train"))


def test_no_request_and_no_error(show, content):
    shown = show(content)
    assert [url.rpartition("/")[2] for url in shown.requests] == ["index.html"]
    assert shown.errors == []
    text = " ".join(shown.page.inner_text("#lines").split())
    assert text == " ".join(json.loads(to_json(shown.report))["verdict"].split())


def test_sort(show, content):
    """A click on a heading sorts by exact values, and another one reverses the order."""
    shown = show(content)
    before = shown.rows(TIME)
    heading = shown.page.locator("#cases th").nth(TIME)
    exact = [row.estimate.median_s for row in shown.report.rows]
    by_value = [text for _, text in sorted(zip(exact, before, strict=True), key=lambda item: item[0])]
    heading.get_by_role("button").click()
    assert shown.rows(TIME) == by_value
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.get_by_role("button").click()
    assert shown.rows(TIME) == by_value[::-1]
    assert heading.get_attribute("aria-sort") == "descending"


def test_unknown_values_come_last(show, content):
    shown = show(content)
    for falls in (False, True):
        shown.page.locator("#cases th").nth(SPEEDUP).get_by_role("button").click()
        values = shown.rows(SPEEDUP)
        assert values[-12:] == [""] * 12
        exact = {speedup_text(row): row.speedup for row in shown.report.speedups}
        numbers = [exact[value] for value in values[:4]]
        assert numbers == sorted(numbers, reverse=falls)
    shown.page.locator("#cases th").nth(BATCH).get_by_role("button").click()
    assert shown.rows(BATCH) == ["1"] * 4 + ["8"] * 4 + ["64"] * 4 + ["512"] * 4


def test_filter(show, content):
    """Words and choices filter together, and clear shows all rows again."""
    shown = show(content)
    page = shown.page
    page.locator("#filter").get_by_label("contains").fill("MLP 64")
    assert shown.rows(BATCH) == ["64"] * 4
    choice(page, "phase").select_option("train")
    choice(page, "device").select_option("cuda")
    assert (shown.rows(BATCH), shown.rows(PHASE), shown.rows(DEVICE)) == (["64"], ["train"], ["cuda"])
    assert page.inner_text("#count") == "1 of 16 cases"
    page.get_by_role("button", name="clear").click()
    page.wait_for_function("document.getElementById('count').textContent === '16 of 16 cases'")
    assert len(shown.rows(BATCH)) == 16


def test_choices(show, content):
    shown = show(content)
    options = choice(shown.page, "verdict").locator("option").all_inner_texts()
    assert options == ["all", "(none)", "faster", "slower"]
    choice(shown.page, "verdict").select_option(label="(none)")
    assert shown.rows(VERDICT) == [""] * 12


def test_keyboard(show, content):
    shown = show(content)
    page = shown.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the answer"
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        active = "document.activeElement"
        seen.append(
            page.evaluate(f"{active}.tagName + ' ' + ({active}.name || {active}.textContent.slice(0, 12))")
        )
        if seen[-1] == "BUTTON time":
            break
    assert "INPUT words" in seen
    page.keyboard.press("Enter")
    assert page.locator("#cases th").nth(TIME).get_attribute("aria-sort") == "ascending"
    assert any(name.startswith("DIV") for name in seen), "a table that scrolls can be scrolled by keys"
    assert seen.index("A summary.csv") < seen.index("INPUT words")


def test_without_scripts(show, content):
    """Every row is shown, and no control that would not work."""
    shown = show(content, java_script_enabled=False)
    page = shown.page
    assert page.locator("#cases tbody tr").count() == 16
    assert page.locator("#cases tbody tr").last.is_visible()
    assert not page.locator("#filter").is_visible()
    assert page.locator("#cases th button").count() == 0
    assert page.locator("figure svg").first.is_visible()
    assert not page.locator("#cases svg").first.is_visible()
    page.locator("#cases summary").first.click()
    assert page.locator("#cases svg").first.is_visible()


@pytest.mark.parametrize("width", [390, 1440])
def test_hostile_name(show, width):
    shown = show(
        affine_run(
            {"cpu": (1, 1), f"cuda{HOSTILE}": (33, 0.2)},
            workload=HOSTILE,
            axes={HOSTILE: "x" * 10_000},
            machine=box(HOSTILE),
        ),
        width=width,
    )
    assert shown.errors == []
    assert HOSTILE in shown.rows(MODEL)[0]
    assert shown.page.locator("script").count() == 1
    assert shown.overflow() <= 0


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_width(show, content, width):
    content["benchmarks"] += affine_run(GPU, axes={"width": 4096, "dtype": "bfloat16"})["benchmarks"]
    other = affine_run(GPU, machine=box("two", gpu="H100"), seed=2)
    assert show(content, other, width=width).overflow() <= 0


LONG = Answer((("The GPU wins from batch 64 [48–80] for mlp. " * 5)[:150], "One process: " + "x" * 55))
LIMITS = {1280: 900, 390: 1000}


@pytest.mark.parametrize("width", LIMITS)
def test_first_screen(show, content, width):
    """The chart begins on the first screen, also below the longest answer."""
    shown = show(content, width=width, answer=LONG)
    top = shown.page.evaluate("document.querySelector('figure').getBoundingClientRect().top")
    assert 0 < top < LIMITS[width]


@pytest.mark.parametrize("width", [320, 640, 1280])
def test_zoom(show, content, width):
    """At 200% and 400% of 1280 pixels nothing is beside the window, also with all folds open."""
    shown = show(content, width=width)
    shown.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert shown.overflow() <= 0


def test_one_heading(show, content):
    """Where a figure with a title begins a section, the section's heading is for screen readers alone."""
    headings = show(content).page.locator("main h2")
    heights = {one.inner_text(): one.bounding_box()["height"] for one in headings.all()}
    hidden = {name for name, height in heights.items() if height == 1}
    assert hidden - {"Speedup and step time"} == {"From which batch size"}
    assert heights["Comparability and machine"] > 1


def test_verdict_is_not_cut(show, content):
    """At 1280 pixels every column of one machine is within the window."""
    found = show(content, width=1280).page.locator("#all-cases .scroll")
    assert found.evaluate("one => one.scrollWidth - one.clientWidth") <= 0


def test_narrow_figure(show, content, monkeypatch):
    """A figure with a form for phones is shown in one form."""
    monkeypatch.setitem(FIGURES, "speedup_narrow", FIGURES["speedup"])
    for width, expected in ((390, [False, True]), (1280, [True, False])):
        figures = show(content, width=width).page.locator("figure.both svg")
        assert [figures.nth(i).is_visible() for i in range(2)] == expected


def test_cards(show, content):
    """On a phone a case is a card, whose values have their names; a list sorts."""
    page = show(content, width=390).page
    card = page.locator("#cases tbody tr").nth(1)
    cells = card.locator("td")
    assert card.bounding_box()["width"] <= 390
    assert not page.locator("#cases thead").is_visible()
    names = [
        cells.nth(i).evaluate("cell => getComputedStyle(cell, '::before').content")
        for i in range(1, cells.count())
    ]
    assert names == [f'"{name}"' for name in COLUMNS[1:-1]]
    page.locator("#order").select_option("batch")
    assert page.locator("#cases tbody tr td:nth-child(2)").all_inner_texts()[:5] == ["1"] * 4 + ["8"]
    page.locator("#order").select_option("")
    page.get_by_role("button", name="clear").click()


def test_link_to_a_filtered_case(show, content):
    """A link to a model whose first row is filtered out shows all rows again."""
    shown = show(content)
    page = shown.page
    page.locator("#filter").get_by_label("contains").fill("nothing")
    assert shown.rows(MODEL) == []
    page.get_by_text("As a table").click()
    page.locator("#break-even a[href='#mlp-width-128']").click()
    page.wait_for_function("document.getElementById('count').textContent === '16 of 16 cases'")
    assert page.locator("#mlp-width-128").is_visible()


def test_untrusted(show, content):
    """Where the machine was unfit, only the answer is seen, on screen and in print."""
    page = show(content, answer=Answer(("Another program used the CPU.",), Trust.UNFIT)).page
    for media in ("screen", "print"):
        page.emulate_media(media=media)
        assert page.get_by_text("Another program used the CPU.").is_visible()
        assert not page.locator("figure svg").first.is_visible()
        assert not page.locator("#cases").is_visible()
    page.emulate_media(media="screen")
    page.get_by_text("The measurements, which cannot be trusted").click()
    assert page.locator("figure svg").first.is_visible()


def luminance(color):
    """Relative luminance of ``rgb(r, g, b)``, after WCAG 2."""
    parts = [int(part) / 255 for part in color.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """WCAG's contrast of two colors, from 1 to 21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(show, content, scheme):
    """Text and figures are legible in light and dark."""
    shown = show(content, color_scheme=scheme)
    style = "([css, property]) => getComputedStyle(document.querySelector(css))[property]"
    read = lambda css, name: shown.page.evaluate(style, [css, name])  # noqa: E731
    paper = read("#answer", "backgroundColor")
    assert (luminance(paper) > 0.5) == (scheme == "light")
    for css, name in (
        ("#lines p", "color"),
        (".note", "color"),
        ("figcaption", "color"),
        ("figure svg text", "fill"),
    ):
        assert contrast(read(css, name), paper) >= 4.5, css
    level = read(".level", "backgroundColor")
    assert contrast(read(".level strong", "color"), level) >= 4.5
    for verdict in ("faster", "slower"):
        assert contrast(read(f"#cases td.{verdict}", "color"), paper) >= 4.5


def test_print(show, content):
    """Paper has all but the controls: folds are open, no table is cut, and headings are on every page."""
    shown = show(content, color_scheme="dark")
    page = shown.page
    page.emulate_media(media="print")
    assert not page.locator("#filter").is_visible()
    scrolled = "[...document.querySelectorAll('.scroll')].map(one => getComputedStyle(one).overflow)"
    assert set(page.evaluate(scrolled)) == {"visible"}
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("#quantities figcaption").first.is_visible()
    assert page.locator("#machines li").last.is_visible()
    assert not page.locator("#cases svg").first.is_visible(), "but the rounds of each case are not"
    heading = page.locator("#cases th button").first
    assert heading.evaluate("one => getComputedStyle(one).display") == "contents", "else it is not repeated"
    assert page.pdf().startswith(b"%PDF")


def test_print_width(show, content):
    """Every column of the cases is within the width of a page."""
    page = show(content, width=718).page  # A4 without its margins
    page.emulate_media(media="print")
    cells = "[...document.querySelectorAll('#cases tr > *')]"
    assert page.evaluate(f"Math.max(...{cells}.map(one => one.getBoundingClientRect().right))") <= 718


def test_red(show):
    contents = [
        affine_run(GPU, machine=box(name, tf32=tf32), seed=tf32) for name, tf32 in (("a", False), ("b", True))
    ]
    shown = show(*contents)
    assert shown.report.refused
    assert shown.report.answer.lines[0] in shown.page.inner_text("#lines")
    page = show(*contents, force=True).page
    page.mouse.wheel(0, 2000)
    assert page.locator(".watermark").is_visible()


@pytest.mark.slow
def test_many_rows(show):
    """If there are many rows, only the first are shown, until all are requested or printed."""
    cases = [
        benchmark([1e-3 * (1 + i % 7)] * 6, device=device, batch_size=1 + i, axes={})
        for i in range(500)
        for device in ("cpu", "cuda")
    ]
    shown = show(run(cases))
    page = shown.page
    choice(page, "device").select_option("cuda")
    page.locator("#cases th").nth(BATCH).get_by_role("button").dblclick()
    falling = [str(500 - i) for i in range(500)]
    assert shown.rows(BATCH) == falling[:200]
    assert page.inner_text("#count") == "500 of 1000 cases, the first 200 shown"
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert shown.rows(BATCH) == falling
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert len(shown.rows(BATCH)) == 200
    page.get_by_role("button", name="show all 500").click()
    assert shown.rows(BATCH) == falling
    assert page.inner_text("#count") == "500 of 1000 cases"
    assert not page.locator("#more").is_visible()
