"""The time left, the progress line on pytest's terminal, and which dots and letters remain there."""

import re
from unittest.mock import Mock

import pytest

from breakeven.case import Budget, CaseKey
from breakeven.plugin import progress
from breakeven.plugin.estimate import DurationEstimate
from breakeven.plugin.live_line import MAX_SHARE, LiveLine, Pace
from breakeven.plugin.progress import INTERVAL_S, Progress, clock_time


class Clock:
    """Seconds that pass only when a test advances them."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def make(clock, count=10):
    """Progress of cases named by their number."""
    cases = {str(number): CaseKey.of("w", number + 1, "transfer", "cpu") for number in range(count)}
    return Progress(DurationEstimate(cases, Budget()), clock)


def run(progress, clock, *costs_s, start=0):
    """Run a case for each cost."""
    for number, cost_s in enumerate(costs_s, start):
        progress.start(str(number))
        clock.now += cost_s
        progress.end(str(number), f"1 s, case-{number}")


def left(progress):
    return re.search(r", (\S+) left", progress.line())[1]


def test_line(clock):
    """Before the first result it is a range."""
    progress = make(clock)
    progress.start("0")
    assert progress.line() == "breakeven: case 1 of 10, 0:01 to 0:12 left"
    run(progress, clock, 1.0, 1.0, 1.0)
    progress.start("3")
    assert progress.line() == "breakeven: case 4 of 10, 0:07 left; last: 1 s, case-2"


def test_line_is_cut(monkeypatch):
    """It never exceeds the terminal, and ends with an ellipsis where something was cut."""
    written = []
    reporter = Mock(isatty=True, write_raw=lambda text, **_: written.append(text))
    for columns in range(1, 12):
        monkeypatch.setattr("breakeven.plugin.live_line._columns", lambda columns=columns: columns)
        LiveLine(reporter).draw("whole line")
        assert written[-1] == (
            "whole line".ljust(columns) if columns > 9 else f"{'whole line'[: columns - 1]}…"
        )


@pytest.mark.parametrize(
    ("duration_s", "shown"),
    [(0.0, "0:00"), (0.1, "0:01"), (59.0, "0:59"), (59.5, "1:00"), (60.0, "1:00"), (3599.5, "1:00:00")],
)
def test_clock_time(duration_s, shown):
    assert clock_time(duration_s) == shown


def test_time_between_cases(clock):
    """It counts for no case: another test may have used it."""
    progress = make(clock)
    run(progress, clock, 1.0)
    clock.now += 1000.0
    run(progress, clock, 1.0, start=1)
    progress.start("2")
    assert left(progress) == "0:08"


def test_canary(clock):
    """It counts for no case, and for two more."""
    progress = make(clock)
    progress.start("0")
    clock.now += 6.0
    progress.end("0", "1 s, case-0", canary_s=5.0)
    progress.start("1")
    assert left(progress) == "0:19"


def test_case_run_again(clock):
    """It is one case, and its times add up."""
    progress = make(clock, count=2)
    run(progress, clock, 10.0)
    progress.start("0")
    assert progress.line().startswith("breakeven: case 1 of 2, ")
    clock.now += 16.0
    progress.end("0", "1 s, case-0")
    assert not progress.is_complete
    progress.start("1")
    assert left(progress) == "0:26"


def test_interval(clock):
    """Plain lines are at least the interval apart."""
    progress = make(clock, count=100)
    start, written = clock.now, []
    for number in range(100):
        progress.start(str(number))
        if progress.line_if_due() is not None:
            written.append(clock.now - start)
        clock.now += 4.0
        progress.end(str(number), "")
    assert written == [12.0 * count for count in range(1, 34)]


def test_due(clock):
    """A line is due as soon as the interval has passed, and once."""
    progress = make(clock, count=1)
    clock.now += INTERVAL_S
    progress.start("0")
    assert progress.line_if_due() == progress.line() == "breakeven: case 1 of 1, 0:01 to 0:02 left"
    assert progress.line_if_due() is None


LIVE_TERMINAL = """

def pytest_collection_finish(session):
    session.config.pluginmanager.get_plugin("terminalreporter").isatty = True
"""
OTHER_REPORTER = """
import pytest
from _pytest.terminal import TerminalReporter

class Other(TerminalReporter): ...

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    manager = config.pluginmanager
    manager.unregister(manager.get_plugin("terminalreporter"))
    manager.register(Other(config), "terminalreporter")
"""
OTHERS = """
def test_one(): ...
def test_two(): ...
"""
ENDINGS = """
@pytest.mark.sweep(batch_size=[1, 2, 3, 4])
def bench_ends(train_benchmark, batch_size):
    if batch_size == 2:
        raise ValueError("broken")
    if batch_size == 3:
        pytest.skip("not today")
    train_benchmark(lambda: workload(batch_size))

@pytest.fixture
def broken():
    yield
    raise ValueError("too late")

@pytest.mark.sweep(batch_size=[1])
def bench_late(train_benchmark, broken, batch_size):
    train_benchmark(lambda: workload(batch_size))

@pytest.mark.sweep(batch_size=[1])
def bench_known(train_benchmark, batch_size):
    pytest.xfail("known")
"""
LETTERS = ["F ends train cpu@1 batch=2", "E late train cpu@1 batch=1", "x known train cpu@1 batch=1"]
"""The lines that ENDINGS leave: a case that neither passed nor was skipped keeps pytest's letter."""

LINE = r"breakeven: case (\d+) of (\d+), \d+:\d\d( to \d+:\d\d)? left(; last: .+)?"


@pytest.fixture
def plain(bench, monkeypatch):
    """A project that runs in a pipe, with a plain line before every case."""
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    return bench


class Terminal:
    """A project that runs on a terminal; what it writes is kept with its carriage returns."""

    def __init__(self, bench, capsys):
        self.bench = bench
        self.capsys = capsys
        self.text = ""

    def write(self, *arguments, **keywords):
        self.bench.write(*arguments, **keywords)
        return self

    def run(self, *options):
        return self._kept(self.bench.run(*options))

    def raw(self, *arguments):
        return self._kept(self.bench.raw(*arguments))

    def _kept(self, result):
        self.text = self.capsys.readouterr().out
        return result

    def writings(self):
        """Return every text that was written to the live line."""
        texts = self.text.replace("\n", "\r").split("\r")
        return [text for text in texts if text.startswith("breakeven: case")]

    def drawn(self):
        """Return those texts without their padding."""
        return [text.rstrip() for text in self.writings()]

    def screen(self):
        """Return the lines as they look at the end: after a carriage return, text covers text."""
        shown = []
        for line in self.text.split("\n"):
            cells = ""
            for text in line.split("\r"):
                cells = text + cells[len(text) :]
            shown.append(cells.rstrip())
        return shown


@pytest.fixture
def live(bench, monkeypatch, capsys):
    """A terminal of 100 columns, outside of CI."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    conftest = bench.pytester.path / "conftest.py"
    conftest.write_text(conftest.read_text() + LIVE_TERMINAL)
    return Terminal(bench, capsys)


def lines_of(result):
    return [line for line in result.outlines if re.fullmatch(LINE, line)]


def before_the_summary(lines):
    """The lines between the plan and the first empty line."""
    start = next(number for number, line in enumerate(lines) if re.match(r"breakeven: \d+ cases?", line))
    return lines[start + 1 : lines.index("", start)]


def test_short_run_in_a_pipe(bench):
    """It prints neither progress nor dots."""
    result = bench.write().run()

    assert lines_of(result) == []
    assert before_the_summary(result.outlines) == []
    assert not any("bench_mine.py" in line or "[100%]" in line for line in result.outlines)
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize("variable", ["CI", "BUILD_NUMBER"])
def test_ci(live, monkeypatch, variable):
    """A terminal in CI gets plain lines."""
    monkeypatch.setenv(variable, "true")
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)

    result = live.write().run()

    assert len(lines_of(result)) == 2
    assert "\r" not in live.text


@pytest.mark.slow
def test_other_tests_before_and_after(live):
    """They keep their file names, dots and percentages."""
    live.write().write(OTHERS, "test_before.py", head="").write(OTHERS, "zz/test_after.py", head="")

    result = live.raw(
        "test_before.py", "bench", "zz", "--breakeven-devices=cpu@1", "--breakeven-phases=train"
    )

    result.assert_outcomes(passed=6)
    shown = live.screen()
    [before] = [line for line in shown if line.startswith("test_before.py")]
    [after] = [line for line in shown if "test_after.py" in line]
    assert before == "test_before.py .."
    assert re.fullmatch(r"zz/test_after\.py \.\. +\[100%\]", after)
    assert not any("bench_mine.py" in line for line in shown)
    assert len(live.drawn()) == 2


@pytest.mark.slow
def test_percentage_after_our_cases(live):
    """pytest's last percentage stays within the line."""
    live.write().write(OTHERS, "test_before.py", head="")

    live.raw("test_before.py", "bench", "--breakeven-devices=cpu@1", "--breakeven-phases=train")

    shown = live.screen()
    last = shown[shown.index("test_before.py ..") + 1]
    assert last.strip() == "[100%]"
    assert len(last) < 100


def test_other_tests_in_the_same_file(live):
    """They keep their dots."""
    swept = """
@pytest.mark.sweep(batch_size=[1])
def test_swept(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""
    live.write(OTHERS + swept, "bench/test_mine.py")

    result = live.run()

    result.assert_outcomes(passed=3)
    assert [line for line in live.screen() if line.startswith("bench/test_mine.py ..")]


def test_quiet(plain):
    """pytest's dots replace the progress line."""
    result = plain.write().run("-q")

    assert lines_of(result) == []
    result.stdout.fnmatch_lines(["..*[[]100%]"])


def test_interrupt(live):
    """The line is erased where the run is interrupted."""
    result = live.write("""
@pytest.mark.sweep(batch_size=[1, 2])
def bench_stops(train_benchmark, batch_size):
    raise KeyboardInterrupt
""").run()

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert len(live.drawn()) == 1
    assert before_the_summary(live.screen()) == []


@pytest.mark.usefixtures("sweep_order")
def test_silent_while_measuring(live):
    """The line is written before the function is called, and not while it runs."""
    live.write("""
@pytest.mark.sweep(batch_size=[1, 2])
def bench_looks(train_benchmark, request, batch_size):
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    written = []
    write, terminal.write_raw = terminal.write_raw, lambda *args, **kwargs: written.append(args)
    train_benchmark(lambda: workload(batch_size))
    terminal.write_raw = write
    note(f"{batch_size}:{len(written)}")
""")

    live.run()

    assert len(live.drawn()) == 2
    assert live.bench.notes() == ["1:0", "2:0"]


def test_other_reporter(live):
    """It draws its own progress."""
    conftest = live.bench.pytester.path / "conftest.py"
    conftest.write_text(conftest.read_text() + OTHER_REPORTER)

    result = live.write().run()

    assert live.drawn() == []
    result.stdout.fnmatch_lines(["bench/bench_mine.py ..*"])


@pytest.mark.usefixtures("sweep_order")
def test_plain_lines(plain, capsys):
    """They contain no carriage returns and no escapes; a failure has a line of its own among them."""
    shown = before_the_summary(plain.write(ENDINGS).run().outlines)

    assert [line for line in shown if "case" not in line] == LETTERS
    assert [line.split(" of 6")[0] for line in shown if "case" in line] == [
        f"breakeven: case {number}" for number in range(1, 7)
    ]
    assert re.fullmatch(r"breakeven: case 1 of 6, 0:\d\d to 0:\d\d left", shown[0])
    assert re.fullmatch(
        r"breakeven: case 2 of 6, 0:\d\d left; last: [\d.]+ [mµ]?s ±[\d.]+%, ends train cpu@1 batch=1",
        shown[1],
    )
    text = capsys.readouterr().out
    assert "\r" not in text
    assert "\x1b" not in text


@pytest.mark.usefixtures("sweep_order")
@pytest.mark.parametrize("columns", [100, 30])
def test_live_line(live, monkeypatch, columns):
    """It is rewritten before each case, leaves the last column free, and is erased at the end."""
    monkeypatch.setenv("COLUMNS", str(columns))

    live.write().run().assert_outcomes(passed=2)

    assert [len(text) for text in live.writings()] == [columns - 1] * 2
    assert live.drawn()[1].startswith("breakeven: case 2 of 2")
    assert live.drawn()[1].endswith(", plain train cpu@1 batch=1" if columns == 100 else "…")
    assert before_the_summary(live.screen()) == []


@pytest.mark.usefixtures("sweep_order")
def test_outcomes_on_a_terminal(live):
    """Those with a letter stay; `-rs` lists our skipped cases as pytest does."""
    result = live.write(ENDINGS).run("-rs")

    assert before_the_summary(live.screen()) == LETTERS
    assert [re.fullmatch(LINE, text)[1] for text in live.drawn()] == list("123456")
    assert live.drawn()[2].endswith("; last: failed, ends train cpu@1 batch=2")
    assert live.drawn()[3].endswith("; last: skipped, ends train cpu@1 batch=3")
    result.assert_outcomes(passed=3, failed=1, skipped=1, errors=1, xfailed=1)
    result.stdout.fnmatch_lines(["SKIPPED [[]1] *: not today"])


@pytest.mark.usefixtures("sweep_order")
def test_stopped_early(live):
    """The line is erased; deselected cases are not counted."""
    result = live.write(ENDINGS).run("-x", "-k", "ends and not 3-")

    assert [re.fullmatch(LINE, text).groups()[:2] for text in live.drawn()] == [("1", "3"), ("2", "3")]
    assert before_the_summary(live.screen()) == LETTERS[:1]
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])


def test_verbose(live):
    """pytest's own lines replace the progress line."""
    result = live.write().run("-v")

    assert live.drawn() == []
    result.stdout.fnmatch_lines(["bench/bench_mine.py::bench_plain?1-cpu@1-train? PASSED*"])


def test_untimed_run(plain):
    result = plain.write().run("--benchmark-disable")

    assert lines_of(result) == []
    result.stdout.fnmatch_lines(["bench/bench_mine.py *[[]100%]"])


def test_slow_line_is_made_rarely():
    """A line that took 0.5 s to make is made again when that is 2% of the time."""
    now = [0.0]

    def make():
        now[0] += 0.5
        return "line"

    pace = Pace(lambda: now[0])
    assert pace.text_if_due(make, 1.0) is None
    now[0] = 1.0
    assert pace.text_if_due(make, 1.0) == "line"
    now[0] = 1.0 + 0.5 / MAX_SHARE - 0.01
    assert pace.text_if_due(make, 1.0) is None
    now[0] += 0.02
    assert pace.text_if_due(make, 1.0) == "line"
