"""Burst and sustained in a report: one line for each case that has both."""

import pytest

from breakeven.render.report_markdown import to_markdown
from breakeven.render.report_page import to_html
from support.reports import box, report
from support.run_files import benchmark, run

FACTS = {
    "load_s": 31.4, "burst_s": 1e-3, "burst_low_s": 0.99e-3, "burst_high_s": 1.01e-3,
    "sustained_s": 1.2e-3, "sustained_low_s": 1.19e-3, "sustained_high_s": 1.21e-3,
    "burst_clock_mhz": 1980, "sustained_clock_mhz": 1755,
}  # fmt: skip


def lines(tmp_path, **changes):
    facts = {key: value for key, value in {**FACTS, **changes}.items() if value is not ...}
    cases = [benchmark([1.1e-3] * 9, device="cuda", **facts), benchmark([1.0] * 9)]
    return report(tmp_path, run(cases, machine=box())).sustained_sentences


def test_line(tmp_path):
    [line] = lines(tmp_path)

    assert line == (
        "On the GPU (cuda), mlp, width 128, batch 64: burst 1.00 ms, sustained 1.20 ms after 31 s: "
        "20% slower, clocks 1,980 -> 1,755 MHz."
    )


@pytest.mark.parametrize(
    ("changes", "ending"),
    [
        ({"sustained_low_s": 1.0e-3}, ": no difference shown, clocks 1,980 -> 1,755 MHz."),
        ({"sustained_s": 8e-4, "sustained_low_s": 7e-4, "sustained_high_s": 9e-4, "burst_clock_mhz": ...},
         ": 20% faster."),
        ({"burst_low_s": None, "sustained_clock_mhz": "?"}, ": too few rounds to compare."),
    ],
)  # fmt: skip
def test_difference(tmp_path, changes, ending):
    """Only disjoint intervals show one."""
    [line] = lines(tmp_path, **changes)

    assert line.endswith(ending)


@pytest.mark.parametrize("missing", ["load_s", "burst_s", "sustained_s"])
@pytest.mark.parametrize("value", [..., None, 0, -1, "1", float("nan")])
def test_no_line(tmp_path, missing, value):
    assert lines(tmp_path, **{missing: value}) == ()


def test_sections(tmp_path):
    case = benchmark([1.1e-3] * 9, device="cuda", **FACTS)
    found = report(tmp_path, run([case, benchmark([1.0] * 9)], machine=box()))

    shown = to_markdown(found, "1").partition("<summary>Burst and sustained</summary>\n\n")[2]
    assert shown.startswith("- On the GPU")
    assert "<summary>Burst and sustained</summary>" in to_html(found, "1", {}, tmp_path)
