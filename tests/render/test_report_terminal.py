"""The terminal: the chart, the answer, what needs attention, and the next command."""

from dataclasses import replace

from breakeven.report.answer import Answer, Trust
from breakeven.report.money import Money, Price
from breakeven.report.processes_needed import ProcessesNeeded
from breakeven.report.report import analyze
from breakeven.runs.reader import read
from support.charts import chart_of, sixty
from support.reports import answered, report
from support.run_files import affine_run, benchmark, outcome, run, write
from support.terminals import terminal_lines

DEVICES = {"cpu": (1, 1), "cuda": (33, 0.2)}


def shown(found):
    """The lines of the terminal."""
    return terminal_lines(found).splitlines()


def test_order(tmp_path):
    content = affine_run(DEVICES, noise=0)
    content["benchmarks"].append(benchmark([1.0, 2.0], batch_size=4096, flags=["noisy"]))
    ended = [outcome("oom", device="cuda", batch_size=4096), outcome("skipped", phase="step")]
    content["breakeven"] = {"schema": 1, "outcomes": ended}
    found = replace(report(tmp_path, content), warnings=("a", "b"))
    found = answered(found, Answer(("It wins.", "One process.")))
    assert " ".join(shown(found)[0].split()) == "CPU faster GPU faster GPU wins from best speedup"
    assert shown(found)[1].split()[-4:] == ["[40–40]", "3.79x", "at", "512"]
    assert shown(found)[-5:] == [
        "It wins.",
        "One process.",
        "",
        "on the page and in summary.md: 2 cases not timed (1 out of memory, 1 skipped), 2 warnings",
        f"next: breakeven report {found.runs[0].path} --open",
    ]


def test_what_to_measure_next(tmp_path):
    """Where more processes would decide what is open, that is the next command."""
    needed = ProcessesNeeded(processes=9, decides=1, open=2)
    found = replace(report(tmp_path, affine_run(DEVICES)), processes_needed=needed)
    last = "next: measure again with --breakeven-processes=9, which would decide 1 of 2 open models"
    assert shown(found)[-1] == last
    undecidable = replace(found, processes_needed=ProcessesNeeded(processes=None, decides=0, open=2))
    assert shown(undecidable)[-1].endswith("--open")


def test_unfit(tmp_path):
    """No chart and no tables: the answer, and the first notes on it."""
    notes = ("The canary ran 990x slower.", "Close other programs.", "Third.", "Fourth.")
    unfit = Answer(("This run cannot be trusted.",), Trust.UNFIT, notes)
    found = answered(report(tmp_path, affine_run(DEVICES)), unfit)
    assert shown(found)[:4] == ["This run cannot be trusted.", *notes[:3]]
    assert shown(found)[-1] == "next: stop what disturbed the machine, and measure again"
    assert len(shown(found)) < 8


def test_nothing_timed(tmp_path):
    """There is nothing more to see on the page."""
    assert shown(report(tmp_path, run([], [outcome("failed")])))[-1] == (
        "next: fix what failed, and measure again"
    )


def test_money(tmp_path):
    """What was asked for is answered; a run that cannot be trusted has no such answer."""
    path = write(tmp_path / "run.json", affine_run(DEVICES, noise=0))
    prices = (Price("cpu", 1.0), Price("cuda", 2.0))
    found = analyze(read([path]), money=Money(prices, worth=3.0))
    asked = [
        "In dollars at cpu $1.00/h, cuda $2.00/h: 109 [108–109] (without: 40 [40–40]).",
        "3x faster: 245 [245–245] (without: 40 [40–40]).",
    ]
    assert [line for line in shown(found) if "without" in line] == asked
    unfit = answered(found, Answer(("This run cannot be trusted.",), Trust.UNFIT))
    assert not [line for line in shown(unfit) if "without" in line]


def test_a_price_of_one_side(tmp_path):
    """A break-even in dollars needs both; its absence is a warning on the page."""
    path = write(tmp_path / "run.json", affine_run(DEVICES, noise=0))
    found = analyze(read([path]), money=Money((Price("cuda", 2.0),)))
    assert not [line for line in shown(found) if "dollars" in line]


def test_fits_a_screen(tmp_path):
    found = replace(report(tmp_path, affine_run(DEVICES)), chart=chart_of(*sixty()))
    assert len(shown(found)) < 50
