"""The coordinator: which processes it starts, and what it makes of the ways in which they end."""

import os
from itertools import count

import pytest
import torch

import breakeven
from breakeven.case import SCHEMA, OutcomeKind
from breakeven.errors import UnforeseenError, UsageError
from breakeven.measure.group import Failure
from breakeven.plugin.cause import death
from breakeven.plugin.coordinator import TERMINATE_S, Coordinator
from breakeven.plugin.worker import JOURNAL_FAILED, RESTART
from breakeven.runs.journal import (
    CaseEnded,
    CaseStarted,
    JournalFile,
    JournalUnwritableError,
    ProcessEnded,
    ProcessStarted,
    RunStarted,
    Share,
    read_journal,
)

MACHINE = {"class": {"cpu": "one", "torch": "2"}, "class_id": "a"}


def identity(name):
    """A capital letter is a case of two processes, ``X`` one with a batch that they cannot divide."""
    device, batch_size = "2xcpu" if name.isupper() else "cpu", 3 if name == "X" else 4
    return {
        "workload": name, "phase": "train", "device": device, "batch_size": batch_size, "axes": {},
        "schema": 1,
    }  # fmt: skip


class Time:
    """Seconds that pass only while the coordinator sleeps."""

    def __init__(self):
        self.now = 0.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Script:
    """A process that journals its lines, one at each poll, and ends with a code at the last; None hangs.

    At a line that is None it journals nothing.

    It journals `late` when it is asked for its stack.
    """

    def __init__(self, file, lines, code, stack=(), late=()):
        self._file, self._lines, self.code, self._stack = file, list(lines), code, list(stack)
        self._late = late
        self.failure = None
        self.ended, self.is_closed, self._polls_left = None, False, 20_000

    def poll(self):
        self._polls_left -= 1
        assert self._polls_left, "nobody ends it"
        if self.ended is None and self._lines:
            line = self._lines.pop(0)
            if line is not None:
                self._file.write(line)
        if self.ended is None and not self._lines:
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

    def cause(self, code):
        return self.failure or Failure(0, OutcomeKind.CRASHED, death(code))

    def last_line(self):
        return "ImportError: no torch"

    def close(self):
        self.is_closed = True


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
        self.scripts, self.started, self.running, self.looked = [], [], [], []
        self.shown, self.lines = [], []

    def script(self, *events, code=0, machine=MACHINE, stack=(), late=(), failure=None):
        """Add a process: ``a+`` times case a, ``a!`` begins it, ``a-`` fails it, ``end`` ends in order,
        and ``stop`` ends the run.

        A number is that of the polls at which nothing happens.
        """
        self.scripts.append((events, code, machine, stack, late, failure))

    def launch(self, share):
        events, code, machine, stack, late, failure = self.scripts.pop(0)
        process, device = share
        self.started.append(
            (*share, self.journal.left(share)) if device else (process, self.journal.left(share))
        )
        of = {"process": process, "device": device}
        lines = [ProcessStarted(**of, pid=1, seed=process, order=[], machine=machine)]
        for event in events:
            if isinstance(event, int):
                lines += [None] * event
                continue
            if event in ("end", "stop"):
                stopped = "enough" if event == "stop" else ""
                lines.append(
                    ProcessEnded(**of, state={}, spent_s={}, wall_s=1.0, settings={}, stopped=stopped)
                )
                continue
            name, kind = event[:-1], event[-1]
            lines.append(CaseStarted(process=process, case=name))
            if kind == "+":
                lines.append(CaseEnded(process=process, case=name, outcome="timed", data=[1.0, 2.0]))
            elif kind in "-*":
                outcome = {"-": "failed", "*": "crashed"}[kind]
                lines.append(CaseEnded(process=process, case=name, outcome=outcome, reason="why"))
        self.running.append(Script(self.file, lines if events else [], code, stack, late))
        self.running[-1].failure = failure
        return self.running[-1]

    def begin(self, share):
        self.shown.append(share)

    def show(self, line):
        self.lines.append(line)

    def look(self, *, is_first):
        self.looked.append(is_first)

    def run(self, timeout_s=600.0, max_failures=0):
        self.stop = Coordinator(
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
        assert all(running.is_closed for running in self.running)

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
    assert run.shown == [(0, ""), (1, ""), (2, "")]
    assert [type(line) for line in run.lines[:6]] == [
        ProcessStarted, CaseStarted, CaseEnded, CaseStarted, CaseEnded, ProcessEnded
    ]  # fmt: skip
    assert len(run.lines) == 18
    assert run.journal.is_complete


def test_each_line_is_flushed(new):
    """At once, by the coordinator: the measuring process does not wait for the disk."""
    run, flushed = new("a", 1), []
    run.file.flush = lambda: flushed.append(run.journal.path.stat().st_size)
    run.script("a+", 5, "end")
    run.run()
    assert len(flushed) == 4
    assert flushed[-1] == run.journal.path.stat().st_size


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
    assert run.looked == [True, False, False]
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


@pytest.mark.parametrize("file", [torch.__file__, breakeven.__file__, os.__file__, None])
def test_a_case_that_only_takes_long(new, file):
    """What runs in a library, or cannot be seen, does not wait for anything of the user's."""
    run = new("a")
    stack = [f'File "{file}", line 3 in backward', 'File "/x/y.py", line 9 in run']
    run.script("a!", code=None, stack=stack if file else [])
    run.run(timeout_s=60.0)
    assert run.journal.whole("a", 0).reason == (
        "took more than 60 s without an end, still running; measure smaller batches, or use "
        "--breakeven-timeout=120"
    )


def test_a_case_that_hangs(new):
    """It has its time limit and a tenth of it; its stack is kept."""
    run = new("ab")
    run.script("a!", code=None, stack=['File "/x/y.py", line 3 in forward', 'File "/x/z.py", line 9 in run'])
    run.script("b+", "end")
    run.run(timeout_s=60.0)
    ended = run.journal.whole("a", 0)
    assert ended.outcome == "timeout"
    assert ended.reason.startswith(
        'took more than 60 s without an end, in File "/x/y.py", line 3 in forward; fix what waits, measure'
    )
    assert ended.stack == ['File "/x/y.py", line 3 in forward', 'File "/x/z.py", line 9 in run']
    assert 66.0 < run.time.now < 67.0
    assert run.running[0].ended == -9
    assert run.outcomes("b") == {0: "timed"}


def test_short_limit(new):
    """A process has at least a second to end a case at its limit."""
    run = new("a")
    run.script("a!", code=None)
    run.run(timeout_s=2.0)
    assert run.outcomes("a") == {0: "timeout"}
    assert 3.0 < run.time.now < 3.5


@pytest.mark.parametrize(("timeout_s", "silent_s"), [(10.0, 60.0), (600.0, 660.0)])
def test_hanging_between_two_cases(new, timeout_s, silent_s):
    """It has the time of a case, and at least a minute; no case is charged."""
    run = new("ab")
    run.script("a+", code=None)
    run.script("b+", "end")
    run.run(timeout_s)
    assert silent_s < run.time.now < silent_s + 1.5
    assert run.running[0].ended == -9
    assert (run.outcomes("a"), run.outcomes("b")) == ({0: "timed"}, {0: "timed"})


def test_a_slow_start(new):
    """A process that has not yet begun a case may take its time, also after one that was quick."""
    run = new("a", 2)
    for _ in range(2):
        run.script(2000, "a+", "end")
    run.run(timeout_s=10.0)
    assert run.outcomes("a") == {0: "timed", 1: "timed"}


def test_time_counts_from_the_last_line(new):
    """Cases that together take longer than the limit do not hang."""
    run = new("abc")
    run.script("a+", 500, "b+", 500, "c+", "end")
    run.run(timeout_s=60.0)
    assert run.time.now > 100.0
    assert len(run.started) == 1


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


def test_a_later_process_that_cannot_start(new):
    """What the one before it did does not count."""
    run = new("a", 2)
    run.script("a+", "end")
    run.script(code=4)
    with pytest.raises(UsageError, match="measuring process 2 did not start"):
        run.run()


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
    run.script(code=-9)  # which is not a death in that case
    run.script("a+", "b+", "end")
    run.run()
    assert run.started == [(0, ["a", "b"])] * 2
    assert run.outcomes("a") == {0: "timed"}


def test_asked_to_stop(new):
    """A process that ends in order with cases left was asked to, by -x for example."""
    run = new("ab", 3)
    run.script("a-", "end", code=1)
    run.run()
    assert len(run.started) == 1
    assert run.journal.left(Share(0)) == ["b"]


@pytest.mark.parametrize("events", [("a+", "stop"), ("a+", "b+", "stop")])
def test_stopped(new, events):
    """A process that ends the run, by pytest.exit() for example, is the last, also in its last case."""
    run = new("ab", 2)
    run.script(*events, code=7)
    run.run()
    assert len(run.started) == 1
    assert run.stop == ("enough", 7)


@pytest.mark.parametrize("max_failures", [0, 2, 3])
def test_max_failures(new, max_failures):
    """Those of all processes count, and a crash is one of them."""
    run = new("abc")
    run.script("a-", "b!", code=-11)
    if max_failures != 2:
        run.script("c+", "end")
    run.run(max_failures=max_failures)
    assert run.journal.left(Share(0)) == (["c"] if max_failures == 2 else [])


def test_an_error_of_pytest(new):
    """It is an error here too, not the end of a run that was asked to stop."""
    run = new("ab")
    run.script("a+", "end", code=3)
    with pytest.raises(UsageError, match="measuring process 1 ended with an error of pytest or a plugin"):
        run.run()
    assert run.outcomes("a") == {0: "timed"}


@pytest.mark.parametrize("events", [["a+", "end"], ["a+", "b+", "end"], []])
def test_an_error_of_breakeven_itself(new, events):
    """Where it happened in no case, it ends the run: the next process would have the same."""
    run = new("ab", 2)
    run.script(*events, code=70)
    with pytest.raises(UnforeseenError, match=r"^measuring process 1: its process "):
        run.run()
    assert len(run.started) == 1


def test_an_error_of_breakeven_itself_in_a_case(new):
    """It costs that case, whose reason is the process's last line."""
    run = new("ab")
    run.script("a!", code=70, failure=Failure(0, OutcomeKind.CRASHED, "an error of breakeven itself"))
    run.script("b+", "end")
    run.run()
    assert run.outcomes("a") == {0: "crashed"}
    assert run.journal.ended["a"][0].reason == "an error of breakeven itself"
    assert run.outcomes("b") == {0: "timed"}


def test_hanging_before_the_first_case(new):
    """A process has ten minutes to start; the next one may be luckier."""
    run = new("a")
    run.script(code=None)
    run.script("a+", "end")
    run.run(timeout_s=10.0)
    assert 600.0 < run.time.now < 602.0
    assert run.outcomes("a") == {0: "timed"}


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


@pytest.mark.parametrize(("is_stubborn", "ended"), [(False, -15), (True, -9)])
def test_ctrl_c_ends_the_process(new, is_stubborn, ended):
    """It is asked to, and killed where it does not within some seconds."""
    run = new("ab")
    run.script("a+", "b!", code=None)
    is_interrupted = False

    def launch(share):
        running = run.launch(share)
        if is_stubborn:
            running.terminate = lambda: None
        return running

    def interrupted(seconds):
        nonlocal is_interrupted
        if not is_interrupted and run.journal.begun is not None and run.journal.begun.case == "b":
            is_interrupted = True
            raise KeyboardInterrupt
        run.time.sleep(seconds)

    arguments = (run.journal, run.file, launch, 600.0, 0, run, run.look, run.time.clock, interrupted)
    coordinator = Coordinator(*arguments)
    with pytest.raises(KeyboardInterrupt):
        coordinator.run()
    assert (run.running[0].ended, run.running[0].is_closed) == (ended, True)
    assert run.time.now == pytest.approx(0.4 + is_stubborn * TERMINATE_S, abs=0.15)
    assert run.outcomes("a") == {0: "timed"}


def test_groups(new):
    """A group for each device of several follows each process, with its own start."""
    run = new("aBA", 2)
    for events in ("a+",), ("A+", "B-"), ("a+",), ("A+",):
        run.script(*events, "end")
    run.run()
    assert run.started == [(0, ["a"]), (0, "2xcpu", ["B", "A"]), (1, ["a"]), (1, "2xcpu", ["A"])]
    assert run.shown == [(0, ""), (0, "2xcpu"), (1, ""), (1, "2xcpu")]
    assert set(run.journal.started) == set(run.journal.finished) == set(run.journal.shares)
    assert run.outcomes("B") == {0: "failed"}


def test_a_batch_that_cannot_be_divided(new):
    """It is skipped, and nothing is started for it."""
    run = new("aX", 2)
    run.script("a+", "end")
    run.script("a+", "end")
    run.run()
    assert [share[0] for share in run.started] == [0, 1]
    ended = run.journal.whole("X", 0)
    assert (ended.outcome, ended.reason) == (
        "skipped", "batch 3 cannot be divided among 2 processes; use a multiple"
    )  # fmt: skip


def test_a_rank_that_dies(new):
    """The case ends as the group knows it; a new group goes on."""
    run = new("AB")
    run.script("A!", code=9)
    run.script("B+", "end")
    launch = run.launch

    def with_cause(share):
        running = launch(share)
        running.failure = Failure(1, OutcomeKind.OOM, "rank 1: out of memory")
        return running

    run.launch = with_cause
    run.run()
    ended = run.journal.whole("A", 0)
    assert (ended.outcome, ended.reason) == ("oom", "rank 1: out of memory")
    assert [share[2] for share in run.started] == [["A", "B"], ["B"]]


@pytest.mark.parametrize(("code", "death"), [(4, "exited with 4"), (-6, "was ended by SIGABRT")])
def test_a_group_that_cannot_start(new, code, death):
    """Its cases fail, at the first try; those of other devices and groups are timed."""
    run = new("aAB", 2)
    run.script("a+", "end")
    run.script(code=code)
    run.script("a+", "end")
    run.run()
    assert run.outcomes("a") == {0: "timed", 1: "timed"}
    reasons = {run.journal.whole(case, 0).reason for case in "AB"}
    assert reasons == {f"the processes of 2xcpu did not start (its process {death}: ImportError: no torch)"}
    assert run.journal.is_complete


def test_what_ends_just_before_ctrl_c(new):
    """It is known afterwards, and the journal is not taken for an empty one."""
    run = new("a")
    run.script("a!", code=None)

    def interrupted(seconds):
        if run.journal.begun is not None:
            run.file.write(CaseEnded(process=0, case="a", outcome="timed", data=[1.0, 2.0]))
            raise KeyboardInterrupt
        run.time.sleep(seconds)

    arguments = (run.journal, run.file, run.launch, 600.0, 0, run, run.look, run.time.clock, interrupted)
    with pytest.raises(KeyboardInterrupt):
        Coordinator(*arguments).run()
    assert run.outcomes("a") == {0: "timed"}
