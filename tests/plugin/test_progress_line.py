"""Progress on pytest's terminal: one line in place, plain lines, and whose dots and letters remain."""

import re

import pytest

from breakeven.plugin import progress

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
"""
BROKEN_TEARDOWN = """
@pytest.fixture
def broken():
    yield
    raise ValueError("too late")

@pytest.mark.sweep(batch_size=[1, 2])
def bench_late(train_benchmark, broken, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""
XFAIL = """
@pytest.mark.sweep(batch_size=[1])
def bench_known(train_benchmark, batch_size):
    pytest.xfail("known")
"""
LINE = r"breakeven: case (\d+) of (\d+)(, last: .+)?, \d+:\d\d left"


@pytest.fixture
def plain(bench, monkeypatch):
    """A project run into a pipe, where a plain line is due before every case."""
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    return bench


class Terminal:
    """A project that is run on a terminal; what it wrote there is kept with its returns."""

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
        """Return everything that was ever written to the line in place, one rewriting after the other."""
        texts = self.text.replace("\n", "\r").split("\r")
        return [text for text in texts if text.startswith("breakeven: case")]

    def drawn(self):
        """Return what those writings say."""
        return [text.rstrip() for text in self.writings()]

    def screen(self):
        """Return the lines as they stand there in the end: after a return, text covers what stood there."""
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
    """From the plan on, until the first empty line."""
    start = next(number for number, line in enumerate(lines) if re.match(r"breakeven: \d+ cases?", line))
    return lines[start + 1 : lines.index("", start)]


def test_in_a_pipe_a_short_run_prints_neither_progress_nor_dots(bench):
    result = bench.write().run()

    assert lines_of(result) == []
    assert before_the_summary(result.outlines) == []
    assert not any("bench_mine.py" in line or "[100%]" in line for line in result.outlines)
    result.assert_outcomes(passed=2)


def test_in_a_pipe_plain_lines_say_the_case_and_the_last_result(plain):
    result = plain.write().run()

    first, second = before_the_summary(result.outlines)
    assert re.fullmatch(r"breakeven: case 1 of 2, 0:\d\d left", first)
    assert re.fullmatch(
        r"breakeven: case 2 of 2, last: plain train cpu@1 batch=1 [\d.]+ [mµ]?s ±[\d.]+%, 0:\d\d left", second
    )


def test_plain_lines_hold_no_returns_and_no_escapes(plain, capsys):
    assert len(lines_of(plain.write().run())) == 2

    text = capsys.readouterr().out
    assert "\r" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("variable", ["CI", "BUILD_NUMBER"])
def test_in_ci_a_terminal_gets_plain_lines(live, monkeypatch, variable):
    monkeypatch.setenv(variable, "true")
    monkeypatch.setattr(progress, "EVERY_S", 0.0)

    result = live.write().run()

    assert len(lines_of(result)) == 2
    assert "\r" not in live.text


def test_on_a_terminal_one_line_is_rewritten_before_each_case_and_gone_in_the_end(live):
    result = live.write().run()

    assert [re.fullmatch(LINE, text)[1] for text in live.drawn()] == ["1", "2"]
    assert "last: plain train cpu@1 batch=1 " in live.drawn()[1]
    assert before_the_summary(live.screen()) == []
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize("columns", [60, 30])
def test_the_line_leaves_the_last_column_of_the_terminal_free(live, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))

    live.write().run()

    assert [len(text) for text in live.writings()] == [columns - 1] * 2


def test_a_failure_keeps_its_letter_on_a_line_with_its_case_and_the_others_leave_none(live):
    result = live.write(ENDINGS).run()

    assert before_the_summary(live.screen()) == ["F ends train cpu@1 batch=2"]
    assert [re.fullmatch(LINE, text)[1] for text in live.drawn()] == ["1", "2", "3", "4"]
    assert "last: ends train cpu@1 batch=2 failed, " in live.drawn()[2]
    assert "last: ends train cpu@1 batch=3 skipped, " in live.drawn()[3]
    result.assert_outcomes(passed=2, failed=1, skipped=1)


def test_plain_lines_and_failures_stand_on_lines_of_their_own(plain):
    result = plain.write(ENDINGS).run()

    shown = before_the_summary(result.outlines)
    assert [line.split(" of 4")[0] for line in shown] == [
        "breakeven: case 1",
        "breakeven: case 2",
        "F ends train cpu@1 batch=2",
        "breakeven: case 3",
        "breakeven: case 4",
    ]


def test_an_error_after_a_timing_keeps_its_letter(plain):
    result = plain.write(BROKEN_TEARDOWN).run()

    assert [line for line in before_the_summary(result.outlines) if "case" not in line] == [
        "E late train cpu@1 batch=1",
        "E late train cpu@1 batch=2",
    ]
    result.assert_outcomes(passed=2, errors=2)


def test_an_expected_failure_keeps_its_letter(live):
    result = live.write(XFAIL).run()

    assert before_the_summary(live.screen()) == ["x known train cpu@1 batch=1"]
    result.assert_outcomes(xfailed=1)


def test_the_short_summary_of_skipped_cases_keeps_pytests_words(live):
    live.write(ENDINGS).run("-rs").stdout.fnmatch_lines(["SKIPPED [[]1] *: not today"])


def test_other_peoples_tests_keep_their_file_their_dots_and_their_percentage(live):
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


def test_where_our_cases_come_last_the_line_makes_room_for_the_percentage(live):
    live.write().write(OTHERS, "test_before.py", head="")

    live.raw("test_before.py", "bench", "--breakeven-devices=cpu@1", "--breakeven-phases=train")

    shown = live.screen()
    last = shown[shown.index("test_before.py ..") + 1]
    assert last.strip() == "[100%]"
    assert len(last) < 100


def test_other_peoples_tests_in_the_same_file_keep_their_dots_too(live):
    swept = """
@pytest.mark.sweep(batch_size=[1])
def test_swept(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""
    live.write(OTHERS + swept, "bench/test_mine.py")

    result = live.run()

    result.assert_outcomes(passed=3)
    assert [line for line in live.screen() if line.startswith("bench/test_mine.py ..")]


@pytest.mark.parametrize("option", ["-v", "-vv"])
def test_a_verbose_run_keeps_pytests_own_lines(live, option):
    result = live.write().run(option)

    assert live.drawn() == []
    result.stdout.fnmatch_lines(["bench/bench_mine.py::bench_plain?1-cpu@1-train? PASSED*"])


def test_a_quiet_run_keeps_pytests_dots_and_shows_no_line(plain):
    result = plain.write().run("-q")

    assert lines_of(result) == []
    result.stdout.fnmatch_lines(["..*[[]100%]"])


@pytest.mark.parametrize("option", ["--benchmark-disable", "--benchmark-skip"])
def test_a_run_that_times_nothing_shows_no_line(plain, option):
    result = plain.write().run(option)

    assert lines_of(result) == []
    result.stdout.fnmatch_lines(["bench/bench_mine.py *[[]100%]"])


def test_deselected_cases_are_no_part_of_the_count(live):
    live.write(ENDINGS).run("-k", "ends and not 2- and not 3-")

    assert [re.fullmatch(LINE, text).groups()[:2] for text in live.drawn()] == [("1", "2"), ("2", "2")]


def test_a_run_that_stops_at_its_first_failure_leaves_a_clean_line(live):
    result = live.write(ENDINGS).run("-x")

    assert before_the_summary(live.screen()) == ["F ends train cpu@1 batch=2"]
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])


def test_a_run_that_is_interrupted_leaves_a_clean_line(live):
    result = live.write("""
@pytest.mark.sweep(batch_size=[1, 2])
def bench_stops(train_benchmark, batch_size):
    raise KeyboardInterrupt
""").run()

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert len(live.drawn()) == 1
    assert before_the_summary(live.screen()) == []


def test_nothing_is_written_while_a_case_is_measured(live):
    """The line stands before the function is called, and changes after it has returned."""
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


def test_another_terminal_reporter_is_left_to_its_own_progress(live):
    conftest = live.bench.pytester.path / "conftest.py"
    conftest.write_text(conftest.read_text() + OTHER_REPORTER)

    result = live.write().run()

    assert live.drawn() == []
    result.stdout.fnmatch_lines(["bench/bench_mine.py ..*"])
