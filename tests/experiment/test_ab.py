"""The runs of `ab` and their comparison, with fake commands and a fake clock."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from breakeven.compare.comparison import compare
from breakeven.errors import DifferentMachinesError, UsageError
from breakeven.experiment.ab import Experiment, run_ab
from breakeven.experiment.run_command import CommandError, CommandRunner
from breakeven.experiment.schedule import Limits, Side
from breakeven.experiment.workspace import open_workspace
from support.fake_commands import CASES, Machine, cases_of
from support.reports import box

COMMANDS = {Side.BASE: "base {out}", Side.CANDIDATE: "candidate {out}"}
SLOW = {"candidate": {CASES[3]: 1.3}}


def ab(path, machine, limits=None, vary=(), lines=None, fresh=False, **options):
    """The comparison of `breakeven ab`; `lines` gets its messages, `options` are those of `compare`."""
    with open_workspace(Path(path), COMMANDS, "today", fresh=fresh) as workspace:
        runner = CommandRunner(workspace, machine, machine.clock)
        notify = ([] if lines is None else lines).append
        experiment = Experiment(runner, COMMANDS, limits or Limits(), vary, notify)
        return run_ab(experiment, partial(compare, vary=vary, **options))


def verdicts(found):
    return {change.case: change.verdict for change in found.cases}


def figures(found):
    """Everything but the samples, whose arrays cannot be compared."""
    return [found.verdict, found.common_shift, *(replace(change, key=None) for change in found.cases)]


def names(machine):
    return [job.out.stem for job in machine.jobs]


def test_schedule(tmp_path, monkeypatch):
    """All cases are timed in alternating order, then only those not clearly unchanged.

    Paths are absolute, since commands may change their directory.
    """
    monkeypatch.chdir(tmp_path)
    machine = Machine(SLOW)
    found = ab("ab", machine)
    assert all(job.out.is_absolute() and job.command.split()[1] == str(job.out) for job in machine.jobs)
    assert Path(machine.jobs[-1].environment["BREAKEVEN_CASES"]).is_absolute()
    change = next(change for change in found.cases if change.case == CASES[3])
    assert change.p < change.q <= change.p * len(cases_of(machine.jobs[-1])) + 1e-15
    assert names(machine) == [
        "stage1-01-base", "stage1-02-candidate", "stage1-03-candidate", "stage1-04-base",
        "stage1-05-base", "stage1-06-candidate", "stage2-07-candidate", "stage2-08-base",
        "stage2-09-base", "stage2-10-candidate", "stage2-11-candidate", "stage2-12-base",
        "stage2-13-base", "stage2-14-candidate", "stage2-15-candidate", "stage2-16-base",
    ]  # fmt: skip
    asked = [cases_of(job) for job in machine.jobs]
    assert asked[:6] == [None] * 6
    assert asked[6:] == [asked[6]] * 10
    assert CASES[3] in asked[6]
    assert len(asked[6]) < len(CASES) / 2
    assert verdicts(found) == dict.fromkeys(CASES, "unchanged") | {CASES[3]: "regressed"}
    assert found.verdict == "regressed"


def test_retested_cases_are_judged_on_new_runs_only(tmp_path):
    class Lucky(Machine):
        """Slow only while all cases are timed, like noise that the first stage selected."""

        def measure(self, job, name, wanted=None):
            self.slower = SLOW if wanted is None else {}
            super().measure(job, name, wanted)

    found = ab(tmp_path / "ab", Lucky())
    change = next(change for change in found.cases if change.case == CASES[3])
    assert (change.verdict, change.n_baseline, change.n_candidate) == ("unchanged", 5, 5)
    assert 0.95 < change.ratio < 1.05


def test_merged_runs_keep_what_they_judge(tmp_path):
    machine = Machine(SLOW)
    found = ab(tmp_path / "ab", machine)
    again = cases_of(machine.jobs[-1])
    counts = {change.case: (change.n_baseline, change.n_candidate) for change in found.cases}
    assert counts == {case: (5, 5) if case in again else (3, 3) for case in CASES}
    assert (len(found.baseline), len(found.candidate)) == (8, 8)
    (note,) = found.warnings
    assert re.findall(r"\d+", note) == [str(len(again)), "3", "5", str(20 - len(again)), "3"]
    for change in found.cases:
        for side, n in ((found.baseline, change.n_baseline), (found.candidate, change.n_candidate)):
            assert sum(change.case in run.cases for run in side) == n


def test_commands_that_ignore_the_list_of_cases(tmp_path):
    """The verdicts are the same."""
    keeping, ignoring = Machine(SLOW), Machine(SLOW, keeps_to_cases=False)
    assert figures(ab(tmp_path / "a", keeping)) == figures(ab(tmp_path / "b", ignoring))


def test_nothing_to_retest(tmp_path):
    machine, lines = Machine(noise=0.001), []
    found = ab(tmp_path / "ab", machine, Limits(budget_s=600.0), lines=lines)
    assert len(machine.jobs) == 6
    assert found.warnings == ("no case needed to be timed again after 3 pairs",)
    assert found.verdict == "unchanged"
    assert lines[:2] == [  # the number of runs is not known
        "as many pairs as fit in 10 min: the first 3 time all cases, the rest those not clearly unchanged",
        "run 1: base (pair 1), 40 s; at most about 9 min left",
    ]


def test_budget_too_short(tmp_path):
    """The user learns it once, after one pair, and the minimum runs."""
    machine, lines = Machine({"candidate": dict.fromkeys(CASES, 1.3)}), []
    ab(tmp_path / "ab", machine, Limits(budget_s=60.0), lines=lines)
    assert len(machine.jobs) == 8
    assert [line.partition(" (")[0] for line in lines if "too short" in line] == [lines[3].partition(" (")[0]]
    assert "(about 5 min)" in lines[3]


def test_no_pairs_left_to_retest(tmp_path):
    machine = Machine(SLOW)
    found = ab(tmp_path / "ab", machine, Limits(2))
    assert [job.out.name.split("-")[0] for job in machine.jobs] == ["stage1"] * 4
    assert {(change.n_baseline, change.n_candidate) for change in found.cases} == {(2, 2)}
    assert found.warnings[0].endswith("could not be timed again: no pairs left after the first 2")
    assert verdicts(found)[CASES[3]] == "regressed"


def test_all_cases_retested(tmp_path):
    """The common shift is that of the new runs."""
    machine = Machine({"candidate": dict.fromkeys(CASES, 1.2)})
    found = ab(tmp_path / "ab", machine)
    assert cases_of(machine.jobs[-1]) == list(CASES)
    assert set(verdicts(found).values()) == {"regressed"}
    assert re.findall(r"\d+", found.warnings[0]) == ["20", "3", "5"]
    again = compare(found.baseline[3:], found.candidate[3:])
    assert found.common_shift == again.common_shift


def test_common_shift_is_of_all_cases(tmp_path):
    found = ab(tmp_path / "ab", Machine({"candidate": dict.fromkeys(CASES[:4], 1.3)}))
    assert found.counts["regressed"] == 4
    assert abs(found.common_shift.log_ratio) < 0.02


@pytest.mark.parametrize(("stage", "changed"), [("stage", ("cpu",)), ("stage2", ("cpu",)), ("stage1", ())])
def test_changed_machine(tmp_path, stage, changed):
    """The new runs decide whether the machine changed."""

    class Drifting(Machine):
        def measure(self, job, name, wanted=None):
            slow = 1.2 if "candidate" in name and name.startswith(stage) else 1.0
            canary = {"median_s": slow, "low_s": 0.999 * slow, "high_s": 1.001 * slow}
            self.machine = box("here", state={"canary": {"cpu": {"start": canary}}})
            self.slower = {"candidate": dict.fromkeys(CASES, 1.2)}
            super().measure(job, name, wanted)

    found = ab(tmp_path / "ab", Drifting())
    assert found.changed_machines == changed
    assert found.verdict == ("inconclusive" if changed else "regressed")
    assert found.counts[found.verdict] == len(CASES)


def test_missing_case_is_not_retested(tmp_path):
    class Shorter(Machine):
        def measure(self, job, name, wanted=None):
            has = set(CASES[1:]) if "candidate" in name else set(CASES)
            super().measure(job, name, has & (set(wanted) if wanted is not None else has))

    machine = Shorter(SLOW)
    found = ab(tmp_path / "ab", machine)
    assert verdicts(found)[CASES[0]] == "missing"
    assert CASES[0] not in cases_of(machine.jobs[-1])
    other = Shorter(noise=0.001)
    assert ab(tmp_path / "other", other).counts["missing"] == 1
    assert len(other.jobs) == 6


def test_failing_case(tmp_path):
    machine = Machine(SLOW, ended={"candidate": {CASES[7]: "failed"}})
    found = ab(tmp_path / "ab", machine)
    assert verdicts(found)[CASES[7]] == "error"
    assert verdicts(found)[CASES[3]] == "regressed"
    (first, *_) = [note for note in found.warnings if "failed" in note]
    log = tmp_path / "ab" / "stage1-02-candidate.log"
    assert first.startswith(f"the candidate command in run 2 of 16: {CASES[7]} failed (see {log})")


def test_case_without_new_runs(tmp_path):
    class Forgetful(Machine):
        def measure(self, job, name, wanted=None):
            super().measure(job, name, None if wanted is None else set(wanted) - {CASES[3]})

    found = ab(tmp_path / "ab", Forgetful({"candidate": dict.fromkeys(CASES[3:5], 1.3)}))
    (change,) = [change for change in found.cases if change.case == CASES[3]]
    assert (change.verdict, change.reason) == ("inconclusive", "not timed again")
    assert (change.ratio, change.n_baseline) == (None, 0)


def test_budget(tmp_path):
    machine = Machine({"candidate": dict.fromkeys(CASES, 1.3)}, seconds=30.0)
    found = ab(tmp_path / "ab", machine, Limits(budget_s=7 * 60 + 20))
    assert len(machine.jobs) == 14
    assert machine.now == 1000.0 + 14 * 30.0
    assert {change.n_baseline for change in found.cases} == {4}


def test_messages(tmp_path):
    machine, lines = Machine(SLOW), []
    ab(tmp_path / "ab", machine, lines=lines)
    assert lines[:4] == [
        "up to 8 pairs (16 runs): the first 3 time all cases, the rest those not clearly unchanged",
        "run 1 of 16: base (pair 1), 40 s; at most about 10 min left",
        "run 2 of 16: candidate (pair 1), 40 s; at most about 9 min left",
        "run 3 of 16: candidate (pair 2), 40 s; at most about 9 min left",
    ]
    assert lines[7].startswith(f"timing {len(cases_of(machine.jobs[-1]))} cases again: {CASES[3]}")
    assert lines[-2:] == [
        "run 15 of 16: candidate (pair 8), 6.0 s; about 6.0 s left",
        "run 16 of 16: base (pair 8), 6.0 s",
    ]


@pytest.mark.parametrize("stopped_in", [1, 2, 6, 7, 8, 13, 16])
def test_resume(tmp_path, stopped_in):
    """The result is that of an uninterrupted experiment."""
    whole = ab(tmp_path / "whole", Machine(SLOW))
    machine = Machine(SLOW, events={stopped_in: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        ab(tmp_path / "ab", machine)
    assert len(list((tmp_path / "ab").glob("stage*.json"))) == stopped_in - 1
    lines = []
    resumed = ab(tmp_path / "ab", machine, lines=lines)
    assert len(machine.jobs) == 17
    assert figures(resumed) == figures(whole)
    assert resumed.warnings == whole.warnings
    if stopped_in > 1:
        assert lines[0].startswith(f"resuming in {tmp_path / 'ab'}: {stopped_in - 1} completed run")


def test_cases_to_retest_are_chosen_once(tmp_path):
    """Even if the first stage were judged differently after an interruption, as with a new noise floor."""
    machine = Machine(SLOW, events={8: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        ab(tmp_path / "ab", machine)
    again = cases_of(machine.jobs[-1])
    ab(tmp_path / "ab", machine, resolution=1e-4)
    assert cases_of(machine.jobs[-1]) == again
    assert len(again) < len(CASES)


def test_pairs_of_all_cases_are_chosen_once(tmp_path):
    """Even if the limits would allow more of them after an interruption."""
    machine = Machine(SLOW, events={7: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        ab(tmp_path / "ab", machine, Limits(4))
    ab(tmp_path / "ab", machine, Limits(8))
    assert len(list((tmp_path / "ab").glob("stage1-*.json"))) == 4
    assert len(list((tmp_path / "ab").glob("stage2-*.json"))) == 12


def test_started_retest_pair_is_completed(tmp_path):
    machine = Machine(SLOW, events={12: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        ab(tmp_path / "ab", machine)
    found = ab(tmp_path / "ab", machine, Limits(budget_s=1.0))
    assert names(machine)[-1] == "stage2-12-base"
    assert max(change.n_baseline for change in found.cases) == 3
    assert len(found.baseline) == len(found.candidate) == 6


def test_budget_counts_earlier_runs(tmp_path):
    slow = {"candidate": dict.fromkeys(CASES, 1.3)}
    limits = Limits(budget_s=7 * 60 + 20)
    whole, stopped = Machine(slow, seconds=30.0), Machine(slow, seconds=30.0, events={9: KeyboardInterrupt()})
    ab(tmp_path / "whole", whole, limits)
    with pytest.raises(KeyboardInterrupt):
        ab(tmp_path / "ab", stopped, limits)
    stopped.now += 5000.0  # interrupted for a night
    ab(tmp_path / "ab", stopped, limits)
    assert names(stopped)[9:] == names(whole)[8:]


def test_started_pair_is_completed(tmp_path):
    """Even if the budget would not allow it now."""
    machine = Machine(noise=0.001, seconds=30.0, events={6: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        ab(tmp_path / "ab", machine, Limits(budget_s=300.0))
    found = ab(tmp_path / "ab", machine, Limits(budget_s=1.0))
    assert len(found.baseline) == 3


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
        "the base command in run 4 of 16 failed (exit status 2), last output: collecting | ImportError: no "
        f"module named x | 1 error in 0.02s (log: {log})"
    )
    assert failed.value.exit_code == 2
    assert ab(tmp_path / "ab", machine).verdict == "regressed"
    assert len(machine.jobs) == 17


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

    with pytest.raises(CommandError, match=r"run 4 of 16 wrote the same run as \S+stage1-01-base.json"):
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

    assert len(ab(tmp_path / "ab", Updated(SLOW), vary=["torch"]).class_warnings) == 1
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
