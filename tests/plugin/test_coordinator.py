"""The coordinator: which processes it starts, and what it makes of the ways in which they end."""

from itertools import count

import pytest

from breakeven.case import SCHEMA
from breakeven.errors import UsageError
from breakeven.plugin.coordinator import Coordinator
from breakeven.plugin.worker import JOURNAL_FAILED, RESTART
from breakeven.runs.journal import (
    CaseEnded,
    CaseStarted,
    JournalFile,
    JournalUnwritableError,
    ProcessEnded,
    ProcessStarted,
    RunStarted,
    read_journal,
)

MACHINE = {"class": {"cpu": "one", "torch": "2"}, "class_id": "a"}


def identity(name, phase="train"):
    return {"workload": name, "phase": phase, "device": "cpu", "batch_size": 1, "axes": {}, "schema": 1}


class Time:
    """Seconds that pass only while the coordinator sleeps."""

    def __init__(self):
        self.now = 0.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Script:
    """A process that journals its lines, one at each poll, and then ends with a code; None hangs.

    It journals `late` when it is asked for its stack.
    """

    def __init__(self, file, lines, code, stack=(), late=()):
        self._file, self._lines, self.code, self._stack = file, list(lines), code, list(stack)
        self._late = late
        self.ended = None

    def poll(self):
        if self.ended is None and self._lines:
            self._file.write(self._lines.pop(0))
        elif self.ended is None:
            self.ended = self.code
        return self.ended

    def terminate(self):
        self.ended = -15

    def kill(self):
        self.ended = -9 if self.ended is None else self.ended

    def stack(self):
        for line in self._late:
            self._file.write(line)
        return self._stack

    def last_line(self):
        return "ImportError: no torch"

    def close(self):
        pass


class Run:
    """A journal, and the scripts of the processes that the coordinator will start."""

    def __init__(self, path, cases, processes):
        self.file = JournalFile(path)
        self.file.write(
            RunStarted(
                schema=SCHEMA, pid=1, began="", command="", processes=processes, seed=0,
                cases={name: identity(name) for name in cases}, sources={}, settings={}, machine_info={},
                commit_info={},
            )
        )  # fmt: skip
        self.journal = read_journal(path)
        self.time = Time()
        self.scripts, self.started, self.shown, self.looked = [], [], [], []

    def script(self, *events, code=0, machine=MACHINE, stack=(), late=()):
        """Add a process: ``a+`` times case a, ``a!`` begins it, ``a-`` fails it, ``end`` ends in order."""
        self.scripts.append((events, code, machine, stack, late))

    def launch(self, process):
        events, code, machine, stack, late = self.scripts.pop(0)
        self.started.append((process, self.journal.left(process)))
        lines = [ProcessStarted(process=process, pid=1, seed=process, order=[], machine=machine)]
        for event in events:
            if event == "end":
                lines.append(ProcessEnded(process=process, state={}, spent_s={}, wall_s=1.0, settings={}))
                continue
            name, kind = event[:-1], event[-1]
            lines.append(CaseStarted(process=process, case=name))
            if kind == "+":
                lines.append(CaseEnded(process=process, case=name, outcome="timed", data=[1.0, 2.0]))
            elif kind in "-*":
                outcome = {"-": "failed", "*": "crashed"}[kind]
                lines.append(CaseEnded(process=process, case=name, outcome=outcome, reason="why"))
        return Script(self.file, lines if events else [], code, stack, late)

    def begin_process(self, process):
        self.shown.append(process)

    def show(self, line):
        pass

    def look(self, *, is_first):
        self.looked.append(is_first)

    def run(self, timeout_s=600.0, max_failures=0):
        Coordinator(
            self.journal,
            self.file,
            self.launch,
            timeout_s,
            max_failures,
            self,
            self.look,
            self.time.clock,
            self.time.sleep,
        ).run()
        assert not self.scripts

    def outcomes(self, case):
        return {process: one.outcome for process, one in self.journal.ended[case].items()}


@pytest.fixture
def new(tmp_path):
    """Return a function that makes a run of some cases and processes."""
    paths = (tmp_path / f"run{number}.json.journal" for number in count())
    return lambda cases, processes=1: Run(next(paths), cases, processes)


def test_each_process_once(new):
    run = new("ab", 3)
    for order in (("a+", "b+"), ("b+", "a+"), ("a+", "b+")):
        run.script(*order, "end")
    run.run()
    assert run.started == [(0, ["a", "b"]), (1, ["a", "b"]), (2, ["a", "b"])]
    assert run.looked == [True, False, False]
    assert run.journal.is_complete


def test_untimed_cases_are_not_tried_again(new):
    run = new("ab", 2)
    run.script("a-", "b+", "end")
    run.script("b+", "end")
    run.run()
    assert run.started[1] == (1, ["b"])
    assert run.outcomes("a") == {0: "failed"}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (-11, "its process was ended by SIGSEGV"),
        (-9, "its process was ended by SIGKILL, as when memory runs out"),
        (3, "its process exited with 3"),
        (-99, "its process was ended by signal 99"),
    ],
)
def test_a_death_costs_one_case(new, code, reason):
    """The next process goes on after it; later ones leave it out."""
    run = new("abc", 2)
    run.script("a+", "b!", code=code)
    run.script("c+", "end")
    run.script("a+", "c+", "end")
    run.run()
    assert run.started == [(0, ["a", "b", "c"]), (0, ["c"]), (1, ["a", "c"])]
    assert (run.journal.ended["b"][0].outcome, run.journal.ended["b"][0].reason) == ("crashed", reason)


def test_a_death_in_a_later_process(new):
    """A case that the first process timed is tried again by those after the one that lost it."""
    run = new("a", 3)
    run.script("a+", "end")
    run.script("a!", code=-6)
    run.script("a+", "end")
    run.run()
    assert run.outcomes("a") == {0: "timed", 1: "crashed", 2: "timed"}


def test_a_lost_device_takes_a_new_process(new):
    run = new("ab")
    run.script("a*", code=RESTART)
    run.script("b+", "end")
    run.run()
    assert run.started == [(0, ["a", "b"]), (0, ["b"])]


def test_a_death_between_two_cases(new):
    run = new("ab")
    run.script("a+", code=-9)
    run.script("b+", "end")
    run.run()
    assert run.outcomes("b") == {0: "timed"}


def test_a_case_that_hangs(new):
    """It has its time limit and a tenth of it; its stack is kept."""
    run = new("ab")
    run.script("a!", code=None, stack=['File "/x/y.py", line 3 in forward', 'File "/x/z.py", line 9 in run'])
    run.script("b+", "end")
    run.run(timeout_s=60.0)
    ended = run.journal.whole("a", 0)
    assert ended.outcome == "timeout"
    assert ended.reason.startswith(
        'took more than 60 s without an end, in File "/x/y.py", line 3 in forward;'
    )
    assert ended.stack == ['File "/x/y.py", line 3 in forward', 'File "/x/z.py", line 9 in run']
    assert 66.0 < run.time.now < 67.0
    assert run.outcomes("b") == {0: "timed"}


def test_a_case_that_ends_just_before_its_process_is_killed(new):
    """Its rounds stay, and the case that has begun after it is timed again."""
    run = new("ab")
    late = [
        CaseEnded(process=0, case="a", outcome="timed", data=[1.0, 2.0]), CaseStarted(process=0, case="b")
    ]  # fmt: skip
    run.script("a!", code=None, late=late)
    run.script("b+", "end")
    run.run(timeout_s=60.0)
    assert (run.outcomes("a"), run.outcomes("b")) == ({0: "timed"}, {0: "timed"})


def test_a_process_that_cannot_start(new):
    """It is an error at once, with its last words, not one for each case."""
    run = new("ab", 5)
    run.script(code=4)
    with pytest.raises(UsageError) as raised:
        run.run()
    assert str(raised.value) == (
        "measuring process 1 did not start (its process exited with 4: ImportError: no torch); "
        "--breakeven-processes=0 measures in pytest's own process and shows the error"
    )
    assert len(run.started) == 1


def test_killed_before_it_started(new):
    """It is started again, twice; a process that exits is not."""
    run = new("a")
    run.script(code=-9)
    run.script(code=-9)
    run.script("a+", "end")
    run.run()
    assert run.outcomes("a") == {0: "timed"}
    run = new("b")
    for _ in range(3):
        run.script(code=-9)
    with pytest.raises(UsageError, match="did not start"):
        run.run()


def test_resumed(new):
    """A case that had begun in a run that was killed is timed; it does not hang."""
    run = new("ab")
    run.file.write(CaseStarted(process=0, case="a"))
    list(run.journal.read_on())
    run.time.now = 1e6
    run.script("a+", "b+", "end")
    run.run()
    assert run.outcomes("a") == {0: "timed"}


def test_asked_to_stop(new):
    """A process that ends in order with cases left was asked to, by -x for example."""
    run = new("ab", 3)
    run.script("a-", "end", code=1)
    run.run()
    assert len(run.started) == 1
    assert run.journal.left(0) == ["b"]


def test_a_full_disk(new):
    run = new("ab", 2)
    run.script("a+", code=JOURNAL_FAILED)
    with pytest.raises(JournalUnwritableError, match="no torch"):
        run.run()


def test_another_machine(new):
    """Processes of two classes are not joined; the fields are named."""
    run = new("a", 2)
    run.script("a+", "end")
    run.script("a+", "end", machine={"class": {"cpu": "other", "torch": "2"}, "class_id": "b"})
    with pytest.raises(UsageError, match=r"cpu \(one and other\) differ"):
        run.run()


def test_ctrl_c_ends_the_process(new):
    run = new("ab")
    run.script("a+", "b!", code=None)
    running = []

    def launch(process):
        running.append(Run.launch(run, process))
        return running[0]

    def interrupted(_):
        if run.journal.begun is not None and run.journal.begun.case == "b" and running[0].ended is None:
            raise KeyboardInterrupt

    arguments = (run.journal, run.file, launch, 600.0, 0, run, run.look, run.time.clock, interrupted)
    coordinator = Coordinator(*arguments)
    with pytest.raises(KeyboardInterrupt):
        coordinator.run()
    assert running[0].ended == -15
    assert run.outcomes("a") == {0: "timed"}
