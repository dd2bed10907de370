"""The runs of `ab` and their comparison, with fake commands and a fake clock."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from breakeven.commands.compare import FAIL_ON, exit_code
from breakeven.compare.comparison import compare
from breakeven.errors import DifferentMachinesError, UsageError
from breakeven.experiment.ab import Experiment, run_ab
from breakeven.experiment.looks import UNCHANGED_P
from breakeven.experiment.run_command import CommandError, CommandRunner
from breakeven.experiment.schedule import Limits, Side
from breakeven.experiment.workspace import open_workspace
from support.fake_commands import CASES, Machine, side_of
from support.reports import box

COMMANDS = {Side.BASE: "base {out}", Side.CANDIDATE: "candidate {out}"}
SLOW = {"candidate": {CASES[3]: 1.3}}


def ab(path, machine, limits=None, vary=(), lines=None, fresh=False, fail_on=None, **options):
    """The comparison of `breakeven ab`; `lines` gets its messages, `options` are those of `compare`.

    The exit code stops nothing unless `fail_on` names verdicts.
    """
    with open_workspace(Path(path), COMMANDS, "today", fresh=fresh, keeps_finished=True) as workspace:
        runner = CommandRunner(workspace, machine, machine.clock)
        notify = ([] if lines is None else lines).append
        experiment = Experiment(runner, COMMANDS, limits or Limits(), vary, notify)
        code = partial(exit_code, fail_on=fail_on) if fail_on else None
        found = run_ab(experiment, partial(compare, vary=vary, **options), code)
        workspace.finish()
        return found


def verdicts(found):
    return {change.case: change.verdict for change in found.cases}


def figures(found):
    """Everything but the samples, whose arrays cannot be compared."""
    return [found.verdict, found.common_shift, *(replace(change, key=None) for change in found.cases)]


def names(machine):
    return [job.out.stem for job in machine.jobs]


def test_schedule(tmp_path, monkeypatch):
    """All cases are timed five times in alternating order, then only those that are undecided.

    Paths are absolute, since commands may change their directory.
    """
    monkeypatch.chdir(tmp_path)
    machine = Machine(SLOW, noise=0.05)
    found = ab("ab", machine, Limits(7))
    assert all(job.out.is_absolute() and job.command.split()[1] == str(job.out) for job in machine.jobs)
    assert Path(machine.jobs[-1].environment["BREAKEVEN_CASES"]).is_absolute()
    assert names(machine) == [
        "stage1-01-base", "stage1-02-candidate", "stage1-03-candidate", "stage1-04-base",
        "stage1-05-base", "stage1-06-candidate", "stage1-07-candidate", "stage1-08-base",
        "stage1-09-base", "stage1-10-candidate", "stage2-11-candidate", "stage2-12-base",
        "stage2-13-base", "stage2-14-candidate",
    ]  # fmt: skip
    assert [job.environment["BREAKEVEN_PROCESSES"] for job in machine.jobs] == ["1"] * 14
    assert "".join(job.environment["BREAKEVEN_SEED"] for job in machine.jobs) == "11223344556677"
    asked = machine.asked
    assert asked[:10] == [None] * 10
    assert asked[10] == asked[11]
    assert asked[12] == asked[13]
    assert set(CASES) > set(asked[10]) >= set(asked[12])
    assert verdicts(found)[CASES[3]] == "regressed"
    assert CASES[3] not in asked[10]  # decided
    assert found.verdict == "regressed"


def test_decided_cases_keep_their_verdict(tmp_path):
    """What the others show later does not change them; a case that is not retested has five runs a side."""
    machine = Machine(SLOW, noise=0.05)
    five, ten = ab(tmp_path / "5", Machine(SLOW, noise=0.05), Limits(5)), ab(tmp_path / "10", machine)
    retested = machine.asked[10]
    for before, after in zip(five.cases, ten.cases, strict=True):
        assert before.case == after.case
        assert (after.case in retested) == (after.n_baseline > 5)
        if after.case not in retested:
            assert (before.ratio, before.low, before.verdict) == (after.ratio, after.low, after.verdict)
        elif before.verdict == "unchanged":
            assert before.p <= UNCHANGED_P
    assert 0 < len(retested) < 20


def test_q_is_corrected_for_looks(tmp_path):
    """One look needs no correction; the first of several counts twice."""
    slow = {"candidate": {CASES[3]: 1.5}}
    five, six = (ab(tmp_path / str(n), Machine(slow, noise=0.05), Limits(n)) for n in (5, 6))
    plain = compare(five.baseline, five.candidate)
    q = [next(change.q for change in found.cases if change.case == CASES[3]) for found in (plain, five, six)]
    assert q[1] == q[0]
    assert q[2] == 2 * q[0]


def test_fewer_than_five_pairs(tmp_path):
    """They decide nothing: six runs of times in two groups look like a change too often."""
    for pairs in (1, 3, 4):
        machine, lines = Machine({"candidate": dict.fromkeys(CASES, 1.3)}), []
        found = ab(tmp_path / str(pairs), machine, Limits(pairs), lines=lines)
        assert len(machine.jobs) == 2 * pairs
        assert {(change.verdict, change.reason) for change in found.cases} == {
            ("inconclusive", "were timed in fewer than 5 pairs")
        }
        assert {change.n_baseline for change in found.cases} == {pairs}
        assert "too few for a verdict, which needs 5" in lines[0]
        assert any("cannot decide any case" in warning for warning in found.warnings)


def test_case_in_fewer_than_five_pairs(tmp_path):
    """It is timed again, though both sides have five processes."""

    class Sometimes(Machine):
        def measure(self, job, name, wanted=None):
            number = int(name.split("-")[1])
            has = set(CASES) - ({CASES[3]} if number in (2, 9) else set())
            super().measure(job, name, has & (set(wanted) if wanted is not None else has))

    machine = Sometimes(SLOW, noise=0.001)
    found = ab(tmp_path / "ab", machine)
    assert machine.asked == [None] * 10 + [[CASES[3]]] * 2
    (change,) = [change for change in found.cases if change.case == CASES[3]]
    assert (change.verdict, change.n_baseline, change.n_candidate) == ("regressed", 5, 5)


class TwoGroups(Machine):
    """The first case of a process takes one of two times, a factor of 3 apart."""

    groups: ClassVar = {"base": {1, 4}, "candidate": set()}  # 3, 3, 1, 1, 1 against 1, 1, 1, 1, 1
    both: ClassVar = {}

    def measure(self, job, name, wanted=None):
        number, side = int(name.split("-")[1]), side_of(job)
        factor = 3.0 if number in self.groups[side] else 1.0
        self.slower = {side: {CASES[0]: factor * self.both.get(side, 1.0)}}
        super().measure(job, name, wanted)


def test_two_groups(tmp_path):
    """A case whose times fall into two groups on one side stays inconclusive, and is timed again."""
    machine = TwoGroups(noise=0.01)
    found = ab(tmp_path / "ab", machine, Limits(6))
    (change,) = [change for change in found.cases if change.case == CASES[0]]
    assert (change.verdict, change.reason) == ("inconclusive", "have times in two groups")
    assert machine.asked[-1] == [CASES[0]]
    (warning,) = [warning for warning in found.warnings if "two groups" in warning]
    assert warning.startswith("times of the baseline fall into two groups at least ")
    assert CASES[0] in warning
    assert CASES[1] not in warning


def test_two_groups_that_a_change_exceeds(tmp_path):
    """All times of the candidate are above those of the baseline."""
    machine = TwoGroups(noise=0.01)
    machine.both = {"candidate": 30.0}
    found = ab(tmp_path / "ab", machine, Limits(10))
    (change,) = [change for change in found.cases if change.case == CASES[0]]
    assert (change.verdict, change.reason) == ("regressed", "")
    assert any("two groups" in warning for warning in found.warnings)


def test_exit_code_that_cannot_change(tmp_path):
    """A regression is enough where --fail-on names it: the other cases are not timed again."""
    for name, fail_on, jobs in (("a", FAIL_ON, 10), ("b", ("regressed",), 10), ("c", ("missing",), 10)):
        machine = Machine(SLOW, noise=0.05)
        found = ab(tmp_path / name, machine, Limits(8), fail_on=fail_on)
        assert len(machine.jobs) == jobs
        assert any(warning.startswith("stopped after 5 pairs: ") for warning in found.warnings)
    machine = Machine(SLOW, noise=0.05)
    found = ab(tmp_path / "d", machine, Limits(8), fail_on=("improved", "inconclusive"))
    assert len(machine.jobs) > 10
    assert not any("stopped" in warning for warning in found.warnings)


def test_last_pair_is_not_called_a_stop(tmp_path):
    found = ab(tmp_path / "ab", Machine(SLOW, noise=0.05), Limits(5), fail_on=FAIL_ON)
    assert found.verdict == "regressed"
    assert not any("stopped" in warning for warning in found.warnings)


def test_stored_pairs_count_although_the_exit_code_is_certain(tmp_path):
    machine = Machine(SLOW, noise=0.05, events={13: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        ab(tmp_path / "ab", machine)
    found = ab(tmp_path / "ab", machine, fail_on=FAIL_ON)
    assert len(machine.jobs) == 13
    assert len(found.baseline) == 6


def test_stopped_experiment_goes_on_without_fail_on(tmp_path):
    stopped, whole = Machine(SLOW, noise=0.05), Machine(SLOW, noise=0.05)
    ab(tmp_path / "ab", stopped, Limits(7), fail_on=FAIL_ON)
    assert len(stopped.jobs) == 10
    expected = ab(tmp_path / "whole", whole, Limits(7))
    assert figures(ab(tmp_path / "ab", stopped, Limits(7))) == figures(expected)
    assert names(stopped) == names(whole)


@pytest.mark.parametrize(
    ("slower", "options"),
    [
        (SLOW, {"limits": Limits(7)}),
        (SLOW, {"limits": Limits(8), "fail_on": FAIL_ON}),
        ({}, {"limits": Limits(budget_s=500.0)}),
        ({}, {"limits": Limits(budget_s=5000.0)}),
        (SLOW, {"limits": Limits(3)}),
        (SLOW, {"limits": Limits(5)}),
    ],
)
def test_finished_experiment_is_compared_again(tmp_path, slower, options):
    """Without measuring, and with the same result, also where the limits would now differ."""
    machine, lines = Machine(slower, noise=0.05), []
    first = ab(tmp_path / "ab", machine, **options)
    jobs = len(machine.jobs)
    machine.now += 10_000.0
    again = ab(tmp_path / "ab", machine, lines=lines, **options)
    assert len(machine.jobs) == jobs
    assert figures(again) == figures(first)
    assert again.warnings == first.warnings
    assert len(lines) == 1
    assert lines[0] == (
        f"finished in {tmp_path / 'ab'}: {jobs} runs since today are compared again (--fresh measures again)"
    )
    if "limits" in options and options["limits"].pairs != 8:
        assert figures(ab(tmp_path / "ab", machine, Limits(50))) == figures(first)
        assert len(machine.jobs) == jobs
    ab(tmp_path / "ab", machine, fresh=True, **options)
    assert len(machine.jobs) == 2 * jobs


def test_finished_experiment_that_lost_a_run(tmp_path):
    """It is measured again."""
    machine = Machine(noise=0.001)
    first = ab(tmp_path / "ab", machine)
    (tmp_path / "ab" / "stage1-10-candidate.json").unlink()
    assert figures(ab(tmp_path / "ab", machine)) == figures(first)
    assert names(machine)[10:] == ["stage1-10-candidate"]


def test_runs_keep_what_they_judge(tmp_path):
    machine = Machine(SLOW, noise=0.05)
    found = ab(tmp_path / "ab", machine, Limits(8))
    asked = [cases or CASES for cases in machine.asked]
    for change in found.cases:
        times = sum(change.case in cases for cases in asked) / 2
        assert (change.n_baseline, change.n_candidate) == (times, times)
        for side in (found.baseline, found.candidate):
            assert sum(change.case in run.cases for run in side) == times
    assert {change.n_baseline for change in found.cases} > {5}
    (note,) = [warning for warning in found.warnings if "undecided" in warning]
    again = sum(change.n_baseline > 5 for change in found.cases)
    assert re.findall(r"\d+", note) == [str(again), "5", "8", "4"]


def test_commands_that_ignore_the_list_of_cases(tmp_path):
    """The verdicts are the same."""
    keeping, ignoring = (Machine(SLOW, noise=0.05, keeps_to_cases=keeps) for keeps in (True, False))
    assert figures(ab(tmp_path / "a", keeping)) == figures(ab(tmp_path / "b", ignoring))
    assert len(keeping.jobs) > 10


def test_nothing_to_retest(tmp_path):
    machine, lines = Machine(noise=0.001), []
    found = ab(tmp_path / "ab", machine, Limits(budget_s=600.0), lines=lines)
    assert len(machine.jobs) == 10
    assert found.warnings == ()
    assert found.verdict == "unchanged"
    assert lines[:2] == [  # the number of runs is not known
        "as many pairs as fit in 10 min: 5 of all cases, the others of those that are undecided",
        "run 1: base (pair 1), 40 s; at most about 9 min left",
    ]


def test_budget_too_short(tmp_path):
    """The user learns it once, after one pair, and the minimum runs."""
    machine, lines = Machine({"candidate": dict.fromkeys(CASES, 1.3)}), []
    ab(tmp_path / "ab", machine, Limits(budget_s=60.0), lines=lines)
    assert len(machine.jobs) == 10
    assert [line.partition(" (")[0] for line in lines if "too short" in line] == [lines[3].partition(" (")[0]]
    assert "(about 7 min)" in lines[3]


def test_slow_commit_stops_long_before_its_budget(tmp_path):
    machine = Machine({"candidate": dict.fromkeys(CASES[:15], 1.2)}, seconds=28.5)
    found = ab(tmp_path / "ab", machine, Limits(budget_s=20 * 60), fail_on=FAIL_ON)
    assert found.counts["regressed"] == 15
    assert machine.now == 1000.0 + 10 * 28.5


def test_common_shift_is_of_all_cases(tmp_path):
    found = ab(tmp_path / "ab", Machine({"candidate": dict.fromkeys(CASES[:4], 1.3)}, noise=0.05), Limits(8))
    first = compare(found.baseline[:5], found.candidate[:5])
    assert found.common_shift == first.common_shift
    assert len(found.baseline) > 5


def drifting(*slow):
    """A machine whose canary and cases are slower in the candidate's runs of these numbers."""

    class Drifting(Machine):
        def measure(self, job, name, wanted=None):
            factor = 1.2 if "candidate" in name and int(name.split("-")[1]) in slow else 1.0
            canary = {"median_s": factor, "low_s": 0.999 * factor, "high_s": 1.001 * factor}
            self.machine = box("here", state={"canary": {"cpu": {"start": canary}}})
            self.slower = {"candidate": dict.fromkeys(CASES, factor)}
            super().measure(job, name, wanted)

    return Drifting(noise=0.005)


def test_changed_machine(tmp_path):
    """No case on it is decided, and all are timed again."""
    machine = drifting(*range(40))
    found = ab(tmp_path / "ab", machine, Limits(6))
    assert found.changed_machines == ("cpu",)
    assert {change.verdict for change in found.cases} == {"inconclusive"}
    assert names(machine)[-1] == "stage1-12-base"


def test_missing_case_is_not_retested(tmp_path):
    class Shorter(Machine):
        def measure(self, job, name, wanted=None):
            has = set(CASES[1:]) if "candidate" in name else set(CASES)
            super().measure(job, name, has & (set(wanted) if wanted is not None else has))

    machine = Shorter(SLOW, noise=0.05)
    found = ab(tmp_path / "ab", machine)
    assert verdicts(found)[CASES[0]] == "missing"
    assert CASES[0] not in machine.asked[-1]
    other = Shorter(noise=0.001)
    assert ab(tmp_path / "other", other).counts["missing"] == 1
    assert len(other.jobs) == 10


def test_failing_case(tmp_path):
    machine = Machine(SLOW, ended={"candidate": {CASES[7]: "failed"}})
    found = ab(tmp_path / "ab", machine)
    assert verdicts(found)[CASES[7]] == "error"
    assert not any(CASES[7] in (cases or ()) for cases in machine.asked)
    assert verdicts(found)[CASES[3]] == "regressed"
    (first, *_) = [note for note in found.warnings if "failed" in note]
    log = tmp_path / "ab" / "stage1-02-candidate.log"
    assert first.startswith(f"the candidate command in run 2 of at most 20: {CASES[7]} failed (see {log})")


def test_budget(tmp_path):
    machine = TwoGroups(noise=0.01, seconds=30.0)
    found = ab(tmp_path / "ab", machine, Limits(budget_s=5 * 60 + 20))
    # 5 pairs of a minute; a pair of all cases would not fit any more
    assert len(machine.jobs) == 10
    other = TwoGroups(noise=0.01, seconds=30.0)
    found = ab(tmp_path / "b", other, Limits(budget_s=6 * 60 + 4))
    # the first pair of a single case takes 3 s, though it might take a minute
    assert len(other.jobs) == 10 + 2 * 21
    assert other.now == 1000.0 + 5 * 60 + 21 * 3
    assert {change.n_baseline for change in found.cases} == {5, 26}


def test_messages(tmp_path):
    machine, lines = TwoGroups(noise=0.01), []
    ab(tmp_path / "ab", machine, Limits(6), lines=lines)
    assert lines[:3] == [
        "up to 6 pairs (12 runs): 5 of all cases, the others of those that are undecided",
        "run 1 of at most 12: base (pair 1), 40 s; at most about 7 min left",
        "run 2 of at most 12: candidate (pair 1), 40 s; at most about 7 min left",
    ]
    assert lines[11] == f"19 cases decided after 5 pairs; timing 1 case again: {CASES[0]}"
    assert lines[-2:] == [
        "run 11 of at most 12: candidate (pair 6), 2.0 s; at most about 2.0 s left",
        "run 12 of at most 12: base (pair 6), 2.0 s",
    ]


@pytest.mark.parametrize("stopped_in", [1, 2, 6, 10, 11, 12, 13, 16])
def test_resume(tmp_path, stopped_in):
    """The result is that of an uninterrupted experiment."""
    whole = ab(tmp_path / "whole", Machine(SLOW, noise=0.05), Limits(8))
    machine = Machine(SLOW, noise=0.05, events={stopped_in: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        ab(tmp_path / "ab", machine, Limits(8))
    assert len(list((tmp_path / "ab").glob("stage*.json"))) == stopped_in - 1
    lines = []
    resumed = ab(tmp_path / "ab", machine, Limits(8), lines=lines)
    assert len(machine.jobs) == 17
    assert figures(resumed) == figures(whole)
    assert resumed.warnings == whole.warnings
    if stopped_in > 1:
        assert lines[0].startswith(f"resuming in {tmp_path / 'ab'}: {stopped_in - 1} completed run")


@pytest.mark.parametrize("stopped_in", [8, 12])
def test_started_pair_is_completed(tmp_path, stopped_in):
    """Even if the limits would not allow it now."""
    machine = Machine(noise=0.05, seconds=30.0, events={stopped_in: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        ab(tmp_path / "ab", machine)
    found = ab(tmp_path / "ab", machine, Limits(stopped_in // 2 - 1))
    assert len(found.baseline) == len(found.candidate) == stopped_in // 2
    assert names(machine)[-1].split("-")[1] == f"{stopped_in:02}"


def test_budget_counts_earlier_runs(tmp_path):
    limits = Limits(budget_s=7 * 60 + 20)
    slow = {"candidate": dict.fromkeys(CASES, 1.04)}
    whole = Machine(slow, seconds=30.0, noise=0.05)
    stopped = Machine(slow, seconds=30.0, noise=0.05, events={9: KeyboardInterrupt()})
    ab(tmp_path / "whole", whole, limits)
    with pytest.raises(KeyboardInterrupt):
        ab(tmp_path / "ab", stopped, limits)
    stopped.now += 5000.0  # interrupted for a night
    ab(tmp_path / "ab", stopped, limits)
    assert names(stopped)[9:] == names(whole)[8:]
    assert 1000.0 + limits.budget_s - 60.0 < whole.now <= 1000.0 + limits.budget_s


def test_failing_command(tmp_path):
    """The error names command, run, status and last output; completed runs stay."""

    def fail(job):
        job.log.write_text("collecting\nImportError: no module named x\n==== 1 error in 0.02s ====\n")
        return 2

    machine = Machine(SLOW, events={4: fail})
    with pytest.raises(CommandError) as failed:
        ab(tmp_path / "ab", machine)
    log = tmp_path / "ab" / "stage1-04-base.log"
    assert str(failed.value).startswith(
        "the base command in run 4 of at most 20 failed (exit status 2), last output: collecting | "
        f"ImportError: no module named x | 1 error in 0.02s (log: {log})"
    )
    assert failed.value.exit_code == 2
    assert ab(tmp_path / "ab", machine, Limits(5)).verdict == "regressed"
    assert len(machine.jobs) == 11


def ends_with(status, content=None, **ended):
    """An event: write this content, or without one measure, and exit with a status."""

    def end(job):
        if content is None:
            Machine(ended=ended).measure(job, job.out.stem)
        elif content:
            job.out.write_text(content)
        return status

    return end


CRASHED = {"base": {CASES[0]: "crashed"}}


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (lambda _: 0, "exited with 0 but wrote nothing to {out}"),
        (lambda job: job.out.touch(), "wrote no complete run file"),
        (ends_with(0, '{"benchmarks": ['), "is cut off in line 1"),
        (ends_with(1), "exit status 1"),
        (ends_with(3), "exit status 3"),
        (ends_with(-9), "ended by SIGKILL"),
        (ends_with(137), "ended by SIGKILL"),
        (ends_with(2, **CRASHED), "exit status 2"),
    ],
)
def test_failing_run(tmp_path, event, reason):
    """A run counts if it exits with 0, or with 1 where cases failed, and wrote a complete file."""
    with pytest.raises(CommandError) as failed:
        ab(tmp_path / "ab", Machine(events={1: lambda job: event(job) or 0}))
    assert reason in str(failed.value)
    assert not list((tmp_path / "ab").glob("stage*.json"))


def test_exit_1_with_failed_cases(tmp_path):
    ab(tmp_path / "ab", Machine(events={1: ends_with(1, **CRASHED)}))


def test_copied_run(tmp_path):
    def copy(job):
        job.out.write_text((tmp_path / "ab" / "stage1-01-base.json").read_text())
        return 0

    with pytest.raises(
        CommandError, match=r"run 4 of at most 20 wrote the same run as \S+stage1-01-base.json"
    ):
        ab(tmp_path / "ab", Machine(events={4: copy}))
    assert len(list((tmp_path / "ab").glob("stage*.json"))) == 3


def test_full_disk(tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(UsageError, match="No space left on device"):
        ab(tmp_path / "ab", Machine(events={3: full}))


def test_different_machine_classes(tmp_path):
    class Two(Machine):
        def measure(self, job, name, wanted=None):
            self.machine = box("here", class_id=f"id-{'candidate' in name}", torch=name[-4:])
            super().measure(job, name, wanted)

    machine = Two()
    with pytest.raises(DifferentMachinesError, match="torch"):
        ab(tmp_path / "ab", machine)
    assert len(machine.jobs) == 2
    assert ab(tmp_path / "ab", machine, vary=["torch"]).class_warnings


def test_class_warnings_of_both_stages(tmp_path):
    class Updated(Machine):
        def measure(self, job, name, wanted=None):
            self.machine = box("here", class_id=f"id-{name[:6]}", torch=name[:6])
            super().measure(job, name, wanted)

    assert len(ab(tmp_path / "ab", Updated(SLOW, noise=0.05), vary=["torch"]).class_warnings) == 1
    assert ab(tmp_path / "quiet", Updated(noise=0.001), vary=["torch"]).class_warnings == ()


def test_several_commits_on_one_side(tmp_path):
    def commit(job):
        Machine().measure(job, job.out.stem)
        job.out.write_text(job.out.read_text().replace("0123456789abcdef", "fedcba9876543210"))
        return 0

    found = ab(tmp_path / "ab", Machine(noise=0.001, events={4: commit}))
    (note,) = [note for note in found.warnings if "commits" in note]
    assert "the base runs" in note
    assert "(0123456789ab, fedcba987654)" in note
