"""The course of `ab`, by fake commands and a fake clock: what runs when, and what is made of it."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from breakeven.compare.comparison import compare
from breakeven.errors import DifferentMachinesError, UsageError
from breakeven.experiment.ab import Experiment
from breakeven.experiment.run_command import CommandError, Recorder
from breakeven.experiment.schedule import Limits
from breakeven.experiment.workspace import opened
from support.fake_commands import CASES, Machine, cases_of
from support.reports import box

COMMANDS = {"base": "base {out}", "candidate": "candidate {out}"}
SLOW = {"candidate": {CASES[3]: 1.3}}


def ab(path, machine, limits=None, vary=(), lines=None, fresh=False):
    """What `breakeven ab` finds."""
    with opened(Path(path), COMMANDS, "today", fresh=fresh) as folder:
        recorder = Recorder(folder, machine, machine.clock)
        said = [] if lines is None else lines
        judge = partial(compare, vary=vary)
        return Experiment(recorder, COMMANDS, limits or Limits(), judge, vary, said.append).run()


def verdicts(found):
    return {change.case: change.verdict for change in found.changes}


def figures(found):
    """Everything but the samples, whose arrays do not compare."""
    return [found.verdict, found.common_shift, *(replace(change, sample=None) for change in found.changes)]


def names(machine):
    return [job.out.stem for job in machine.jobs]


def test_all_cases_are_timed_by_turns_and_then_the_suspects_alone(tmp_path):
    machine = Machine(SLOW)
    found = ab(tmp_path / "ab", machine)
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


def test_paths_are_absolute_since_commands_may_go_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    machine = Machine(SLOW)
    ab("ab", machine)
    for job in machine.jobs:
        assert job.command.split()[1] == str(job.out)
        assert job.out.is_absolute()
    assert Path(machine.jobs[-1].environment["BREAKEVEN_CASES"]).is_absolute()


def test_suspects_are_decided_on_the_fresh_runs_alone(tmp_path):
    class Shy(Machine):
        """Slow only as long as all cases are timed: what a selection makes of noise."""

        def measure(self, job, name, wanted=None):
            self.slower = SLOW if wanted is None else {}
            super().measure(job, name, wanted)

    found = ab(tmp_path / "ab", Shy())
    change = next(change for change in found.changes if change.case == CASES[3])
    assert (change.verdict, change.n_baseline, change.n_candidate) == ("unchanged", 5, 5)
    assert 0.95 < change.ratio < 1.05


def test_the_record_says_which_cases_rest_on_how_many_runs(tmp_path):
    machine = Machine(SLOW)
    found = ab(tmp_path / "ab", machine)
    again = cases_of(machine.jobs[-1])
    counts = {change.case: (change.n_baseline, change.n_candidate) for change in found.changes}
    assert counts == {case: (5, 5) if case in again else (3, 3) for case in CASES}
    assert (len(found.baseline), len(found.candidate)) == (8, 8)
    (note,) = [note for note in found.notes if "decided on" in note]
    assert note == (
        f"{len(again)} cases decided on 5 fresh pairs of runs, not clearly unchanged after the first 3 "
        f"pairs, which decided the other {20 - len(again)}"
    )
    for change in found.changes:  # the runs of the record hold what decided, and nothing else
        for side, n in ((found.baseline, change.n_baseline), (found.candidate, change.n_candidate)):
            assert sum(change.case in run.readings for run in side) == n


def test_a_command_that_knows_no_list_of_cases_gives_the_same_verdicts(tmp_path):
    keeping, ignoring = Machine(SLOW), Machine(SLOW, keeps_to_cases=False)
    assert figures(ab(tmp_path / "a", keeping)) == figures(ab(tmp_path / "b", ignoring))


def test_the_false_discovery_rate_is_held_over_the_suspects(tmp_path):
    machine = Machine(SLOW)
    found = ab(tmp_path / "ab", machine)
    change = next(change for change in found.changes if change.case == CASES[3])
    assert change.p < change.q <= change.p * len(cases_of(machine.jobs[-1])) + 1e-15


def test_without_suspects_it_ends_early_and_says_so(tmp_path):
    machine = Machine(noise=0.001)
    found = ab(tmp_path / "ab", machine)
    assert len(machine.jobs) == 6
    assert found.notes == ("no case was a suspect after 3 pairs: none was timed again",)
    assert found.verdict == "unchanged"


def test_so_few_pairs_that_none_is_left_for_suspects_decide_on_all_cases_and_say_so(tmp_path):
    machine = Machine(SLOW)
    found = ab(tmp_path / "ab", machine, Limits(2))
    assert [job.out.name.split("-")[0] for job in machine.jobs] == ["stage1"] * 4
    assert {(change.n_baseline, change.n_candidate) for change in found.changes} == {(2, 2)}
    assert "2 pairs leave none to time the " in found.notes[0]
    assert verdicts(found)[CASES[3]] == "regressed"


def test_where_all_cases_are_suspects_all_are_timed_again_and_the_fresh_shift_stands(tmp_path):
    machine = Machine({"candidate": dict.fromkeys(CASES, 1.2)})
    found = ab(tmp_path / "ab", machine)
    assert cases_of(machine.jobs[-1]) == list(CASES)
    assert set(verdicts(found).values()) == {"regressed"}
    assert found.notes == (
        "every case was a suspect after 3 pairs: 20 cases decided on 5 fresh pairs of runs",
    )
    again = compare(found.baseline[3:], found.candidate[3:])
    assert found.common_shift == again.common_shift


def test_the_common_shift_is_that_of_all_cases_and_not_of_the_suspects(tmp_path):
    found = ab(tmp_path / "ab", Machine({"candidate": dict.fromkeys(CASES[:4], 1.3)}))
    assert found.counts["regressed"] == 4
    assert abs(found.common_shift.log_ratio) < 0.02


def test_a_machine_that_changed_is_said_by_the_fresh_runs(tmp_path):
    class Drifting(Machine):
        def measure(self, job, name, wanted=None):
            slow = 1.2 if "candidate" in name else 1.0
            song = {"median_s": slow, "low_s": 0.999 * slow, "high_s": 1.001 * slow}
            self.machine = box("here", state={"canary": {"cpu": {"start": song}}})
            self.slower = {"candidate": dict.fromkeys(CASES, 1.2)}
            super().measure(job, name, wanted)

    found = ab(tmp_path / "ab", Drifting())
    assert found.changed_machines == ("cpu",)
    assert found.verdict == "inconclusive"
    assert found.counts["inconclusive"] == len(CASES)


def test_a_case_that_the_candidate_never_had_is_missing_and_not_asked_for_again(tmp_path):
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


def test_a_case_that_fails_is_an_error_with_a_warning_and_the_others_are_judged(tmp_path):
    machine = Machine(SLOW, ended={"candidate": {CASES[7]: "failed"}})
    found = ab(tmp_path / "ab", machine)
    assert verdicts(found)[CASES[7]] == "error"
    assert verdicts(found)[CASES[3]] == "regressed"
    (first, *_) = [note for note in found.notes if "failed" in note]
    log = tmp_path / "ab" / "stage1-02-candidate.log"
    assert first == (
        f"the candidate's command in run 2 of 16: {CASES[7]} failed, see {log}; the other cases count"
    )


def test_a_suspect_that_no_fresh_run_tells_of_is_inconclusive(tmp_path):
    class Forgetful(Machine):
        def measure(self, job, name, wanted=None):
            super().measure(job, name, None if wanted is None else set(wanted) - {CASES[3]})

    found = ab(tmp_path / "ab", Forgetful({"candidate": dict.fromkeys(CASES[3:5], 1.3)}))
    (change,) = [change for change in found.changes if change.case == CASES[3]]
    assert (change.verdict, change.reason) == ("inconclusive", "not timed again among the suspects")
    assert (change.ratio, change.n_baseline) == (None, 0)


def test_a_budget_ends_it_by_the_clock(tmp_path):
    machine = Machine({"candidate": dict.fromkeys(CASES, 1.3)}, seconds=30.0)
    found = ab(tmp_path / "ab", machine, Limits(budget_s=7 * 60 + 20))
    assert len(machine.jobs) == 14
    assert machine.now == 1000.0 + 14 * 30.0
    assert {change.n_baseline for change in found.changes} == {4}


def test_a_budget_that_is_too_small_is_told_after_one_pair_and_the_fewest_pairs_are_run(tmp_path):
    machine, lines = Machine({"candidate": dict.fromkeys(CASES, 1.3)}), []
    ab(tmp_path / "ab", machine, Limits(budget_s=60.0), lines=lines)
    assert len(machine.jobs) == 8
    assert lines[3] == (
        "the budget does not hold the fewest pairs there can be, 2 of all cases and 2 of the suspects, in "
        "about 5 min: they are run all the same"
    )


def test_a_line_before_and_after_each_run_tells_how_far_it_is(tmp_path):
    machine, lines = Machine(SLOW), []
    ab(tmp_path / "ab", machine, lines=lines)
    assert lines[:4] == [
        "up to 8 pairs, 16 runs: 3 pairs of all cases, then the suspects alone; the time left is told after "
        "each run",
        "run 1 of 16: base (pair 1), 40 s; at most about 10 min left",
        "run 2 of 16: candidate (pair 1), 40 s; at most about 9 min left",
        "run 3 of 16: candidate (pair 2), 40 s; at most about 9 min left",
    ]
    assert lines[7].startswith(f"{len(cases_of(machine.jobs[-1]))} suspects to time again: ")
    assert lines[-2:] == [
        "run 15 of 16: candidate (pair 8), 6.0 s; about 6.0 s left",
        "run 16 of 16: base (pair 8), 6.0 s",
    ]


def test_by_time_alone_nobody_knows_how_many_runs_there_will_be(tmp_path):
    machine, lines = Machine(SLOW), []
    ab(tmp_path / "ab", machine, Limits(budget_s=600.0), lines=lines)
    assert lines[:2] == [
        "as many pairs as 10 min hold: 3 pairs of all cases, then the suspects alone; the time left is told "
        "after each run",
        "run 1: base (pair 1), 40 s; at most about 9 min left",
    ]


@pytest.mark.parametrize("stopped_in", [1, 2, 6, 7, 8, 13, 16])
def test_interrupted_anywhere_the_same_command_ends_as_if_nothing_had_happened(tmp_path, stopped_in):
    whole = ab(tmp_path / "whole", Machine(SLOW))
    machine = Machine(SLOW, events={stopped_in: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        ab(tmp_path / "ab", machine)
    assert len(list((tmp_path / "ab").glob("stage*.json"))) == stopped_in - 1
    lines = []
    resumed = ab(tmp_path / "ab", machine, lines=lines)
    assert len(machine.jobs) == 17
    assert figures(resumed) == figures(whole)
    assert resumed.notes == whole.notes
    if stopped_in > 1:
        assert lines[0].startswith(f"going on in {tmp_path / 'ab'}: {stopped_in - 1} whole run")


def test_the_time_of_runs_before_an_interruption_counts_in_the_budget(tmp_path):
    slow = {"candidate": dict.fromkeys(CASES, 1.3)}
    limits = Limits(budget_s=7 * 60 + 20)
    whole, stopped = Machine(slow, seconds=30.0), Machine(slow, seconds=30.0, events={9: KeyboardInterrupt()})
    ab(tmp_path / "whole", whole, limits)
    with pytest.raises(KeyboardInterrupt):
        ab(tmp_path / "ab", stopped, limits)
    stopped.now += 5000.0  # a night in between
    ab(tmp_path / "ab", stopped, limits)
    assert names(stopped)[9:] == names(whole)[8:]


def test_a_pair_that_was_measured_counts_though_the_budget_would_not_begin_it_now(tmp_path):
    machine = Machine(noise=0.001, seconds=30.0, events={6: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        ab(tmp_path / "ab", machine, Limits(budget_s=300.0))
    found = ab(tmp_path / "ab", machine, Limits(budget_s=1.0))
    assert len(found.baseline) == 3


def test_what_fails_names_command_run_status_last_words_and_remedy_and_loses_nothing(tmp_path):
    def fail(job):
        job.log.write_text("collecting\nImportError: no module named x\n==== 1 error in 0.02s ====\n")
        return 2

    machine = Machine(SLOW, events={4: fail})
    with pytest.raises(CommandError) as failed:
        ab(tmp_path / "ab", machine)
    log = tmp_path / "ab" / "stage1-04-base.log"
    assert str(failed.value) == (
        "the base's command in run 4 of 16 failed (exit status 2), saying: collecting | ImportError: no "
        f"module named x | 1 error in 0.02s (all in {log}); mend it and repeat the same command, which goes "
        "on with this run"
    )
    assert failed.value.exit_code == 2
    assert ab(tmp_path / "ab", machine).verdict == "regressed"
    assert len(machine.jobs) == 17


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (None, "wrote nothing to {out}, though it exited with 0"),
        ("", "wrote no whole run file"),
        ('{"benchmarks": [', "is cut off in line 1"),
    ],
)
def test_a_command_that_leaves_no_whole_file_is_refused(tmp_path, left, said):
    def leave(job):
        if left is not None:
            job.out.write_text(left)
        return 0

    machine = Machine(events={1: leave})
    with pytest.raises(CommandError) as failed:
        ab(tmp_path / "ab", machine)
    assert said in str(failed.value)
    assert not list((tmp_path / "ab").glob("stage*.json"))


@pytest.mark.parametrize("status", [1, 3, -9, 137])
def test_another_exit_status_is_refused_though_the_file_is_whole(tmp_path, status):
    def end(job):
        Machine().measure(job, job.out.stem)
        return status

    with pytest.raises(
        CommandError, match="ended by SIGKILL" if status in (-9, 137) else f"exit status {status}"
    ):
        ab(tmp_path / "ab", Machine(events={1: end}))


def test_exit_1_with_failed_cases_counts_but_another_status_does_not(tmp_path):
    def end(status, job):
        Machine(ended={"base": {CASES[0]: "crashed"}}).measure(job, job.out.stem)
        return status

    with pytest.raises(CommandError, match="exit status 2"):
        ab(tmp_path / "a", Machine(events={1: partial(end, 2)}))
    ab(tmp_path / "b", Machine(events={1: partial(end, 1)}))


def test_a_command_that_writes_an_old_run_again_is_refused(tmp_path):
    def copy(job):
        job.out.write_text((tmp_path / "ab" / "stage1-01-base.json").read_text())
        return 0

    machine = Machine(events={4: copy})
    with pytest.raises(CommandError, match=r"run 4 of 16 wrote the same run as \S+stage1-01-base.json"):
        ab(tmp_path / "ab", machine)
    assert len(list((tmp_path / "ab").glob("stage*.json"))) == 3


def test_machines_that_do_not_compare_are_refused_after_one_pair(tmp_path):
    class Two(Machine):
        def measure(self, job, name, wanted=None):
            self.machine = box("here", class_id=f"id-{'candidate' in name}", torch=name[-4:])
            super().measure(job, name, wanted)

    machine = Two()
    with pytest.raises(DifferentMachinesError, match="torch"):
        ab(tmp_path / "ab", machine)
    assert len(machine.jobs) == 2
    assert ab(tmp_path / "ab", machine, vary=["torch"]).identity_warnings


def test_runs_of_several_commits_on_one_side_are_said(tmp_path):
    def commit(job):
        Machine().measure(job, job.out.stem)
        job.out.write_text(job.out.read_text().replace("0123456789abcdef", "fedcba9876543210"))
        return 0

    found = ab(tmp_path / "ab", Machine(noise=0.001, events={4: commit}))
    (note,) = [note for note in found.notes if "commits" in note]
    assert note == (
        "the base's runs come from several commits (0123456789ab, fedcba987654): --fresh measures anew"
    )


def test_a_disk_that_is_full_is_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(UsageError, match=r"No space left on device.*give it room and repeat the command"):
        ab(tmp_path / "ab", Machine(events={3: full}))
