"""The progress of measuring processes, from the lines of their journal."""

import pytest

from breakeven.case import Budget, CaseKey
from breakeven.fitness import Load, Look
from breakeven.plugin.busy import busy_lines
from breakeven.plugin.estimate import DurationEstimate
from breakeven.plugin.progress import INTERVAL_S, REDRAW_S, RunProgress
from breakeven.runs.journal import JournalFile, Share, read_journal
from support.journals import begun, process, run_started, timed, untimed, write


class Reporter:
    """pytest's reporter, with what is drawn and written on it."""

    def __init__(self, is_terminal):
        self.isatty, self.drawn, self.lines = is_terminal, [], []

    def write_raw(self, text, flush=False):
        self.drawn.append(text.rstrip(" "))

    def write_line(self, line):
        self.lines.append(line)

    def ensure_newline(self): ...

    def flush(self): ...

    def texts(self):
        """Return the progress lines."""
        shown = self.drawn if self.isatty else self.lines
        return [text for text in shown if text.startswith("breakeven: process")]


class Run:
    """A journal of two cases in three processes, and its progress."""

    def __init__(self, path, is_terminal=True, **options):
        self.path, self.now = path, 100.0
        self.journal = read_journal(write(path, run_started()))
        self.reporter = Reporter(is_terminal)
        self.estimate = DurationEstimate(
            {name: CaseKey.of(name, 1, "train", "cpu") for name in "ab"}, Budget(), 3
        )
        self.progress = RunProgress(
            self.reporter, self.journal, self.estimate, "case {}".format, clock=lambda: self.now, **options
        )

    def show(self, *lines):
        file = JournalFile(self.path)
        for line in lines:
            file.write(line)
            for read in self.journal.read_on():
                self.progress.show(read)
        file.close()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that makes a run."""
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    return lambda *args, **options: Run(tmp_path / "run.json.journal", *args, **options)


def counts(text):
    """Return what comes before the time that is left."""
    return ", ".join(text.split(", ")[:2])


def test_text(run):
    """A case that the first process did not time is none of a later one; the last case stays the last."""
    run = run()
    run.progress.begin(Share(0))
    run.show(process(0))
    shown = [counts(run.progress.text())]
    for line in (untimed("a", 0, "skipped"), timed("b", 0, 1.0)):
        run.show(line)
        shown.append(counts(run.progress.text()))
    run.progress.begin(Share(1))
    shown.append(counts(run.progress.text()))
    assert shown == [
        "breakeven: process 1 of 3, case 1 of 2",
        "breakeven: process 1 of 3, case 2 of 2",
        "breakeven: process 1 of 3, case 2 of 2",
        "breakeven: process 2 of 3, case 1 of 1",
    ]
    assert run.progress.text().endswith(" left; last: timed, case b")


def test_time_left(run):
    """Later processes take only the cases that the first one timed."""
    run = run()
    run.progress.begin(Share(0))
    run.show(process(0), untimed("a", 0, "skipped"), timed("b", 0, 1.0))
    run.progress.begin(Share(1))
    run.show(process(1), timed("b", 1, 1.0), process(2))
    assert run.estimate.left().low_s > 0
    run.show(timed("b", 2, 1.0))
    assert (run.estimate.left().low_s, run.estimate.left().high_s) == (0.0, 0.0)


@pytest.mark.parametrize(("is_terminal", "interval_s"), [(True, REDRAW_S), (False, INTERVAL_S)])
def test_throttle(run, is_terminal, interval_s):
    """The line is written at most once in an interval, since the start of the run."""
    run, written = run(is_terminal), []
    for passed_s in (0.0, interval_s - 0.25, 0.25, 0.25, interval_s - 0.5, 0.25):
        run.now += passed_s
        run.show(begun("a"))
        written.append(len(run.reporter.texts()))
    assert written == [0, 0, 1, 1, 1, 2]


@pytest.mark.parametrize("is_quiet", [False, True])
def test_problems(run, is_quiet):
    """They are said at once, also in a quiet run; a skipped case is none."""
    run = run(is_quiet=is_quiet)
    look = Look(Load(2, 0.9, 0.0, 0.9))
    run.now += INTERVAL_S
    run.show(
        process(0, look=look.as_dict()), untimed("a", 0, "skipped"), untimed("a", 0, "oom"),
        *(untimed("b", 0, outcome, "why\n") for outcome in ("failed", "crashed", "timeout")),
    )  # fmt: skip
    assert run.reporter.lines == [
        *busy_lines(look),
        *(f"breakeven: case b {outcome}: why\\n" for outcome in ("failed", "crashed", "timeout")),
    ]
    assert len(run.reporter.texts()) == (not is_quiet)


def test_one_problem_of_many_cases(run):
    """It is said once."""
    run = run()
    run.show(*(untimed(case, 0, "failed", "no port") for case in "ab"))
    assert run.reporter.lines == ["breakeven: case a failed: no port"]


def test_text_of_a_group(tmp_path, monkeypatch):
    """It counts the cases of its device alone."""
    monkeypatch.setenv("COLUMNS", "200")
    cases = ("a", "b", "a@2xcpu", "b@2xcpu", "c@2xcpu")
    path = write(tmp_path / "j", run_started(cases, 2), timed("a", 0, 1.0), timed("a@2xcpu", 0, 1.0))
    keys = {case: CaseKey.of(case, 1, "train", case.partition("@")[2] or "cpu") for case in cases}
    estimate = DurationEstimate(keys, Budget(), 2)
    progress = RunProgress(None, read_journal(path), estimate, str)
    progress.begin(Share(0, "2xcpu"))
    assert counts(progress.text()) == "breakeven: process 1 of 2 (2xcpu), case 2 of 3"
    before_s = estimate.left().low_s
    progress.begin(Share(1))  # b and c of the first process are still to come, but not a of the group
    assert estimate.left().low_s < before_s


def test_close(run):
    """It leaves an empty line."""
    run = run()
    run.now += REDRAW_S
    run.show(begun("a"))
    run.progress.close()
    assert run.reporter.drawn[-1] == f"\r{' ' * 199}\r"


def test_other_reporter(run):
    """Nothing is shown on one that is not pytest's."""
    run = run()
    progress = RunProgress(None, run.journal, run.estimate, str)
    progress.begin(Share(0))
    progress.show(untimed("a", 0))
    progress.say("line")
    progress.close()
    assert run.reporter.drawn == run.reporter.lines == []
