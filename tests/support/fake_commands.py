"""Fake commands: a seeded executor that writes synthetic run files, without processes or sleeps."""

import re
import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from support.reports import box
from support.run_files import benchmark, outcome, run, write

CASES = tuple(f"model{number:02} train cpu batch=64 width=128" for number in range(20))


@dataclass
class Machine:
    """An executor with its own clock: a run takes `seconds`, and every case has a true time.

    `slower` maps the first word of a command (`base`, `candidate`) to the cases that it slows down, each by a
    factor. `noise` is the run-to-run standard deviation of a log time. `events` maps the number of a run to
    an exception to raise, or to a function of the job that returns an exit status. `jobs` are those that ran,
    `asked` the cases that each was limited to, None for all.
    """

    slower: dict = field(default_factory=dict)
    noise: float = 0.02
    seconds: float = 40.0
    seed: int = 1
    events: dict = field(default_factory=dict)
    ended: dict = field(default_factory=dict)
    machine: dict = field(default_factory=lambda: box("here"))
    keeps_to_cases: bool = True
    now: float = 1000.0
    jobs: list = field(default_factory=list)
    asked: list = field(default_factory=list)

    def clock(self):
        return self.now

    def __call__(self, job):
        name = job.out.stem
        number = int(re.search(r"\d+", name.removeprefix("stage1-").removeprefix("stage2-"))[0])
        self.jobs.append(job)
        self.asked.append(cases_of(job))
        job.log.write_text(f"output of {name}\n")
        event = self.events.pop(number, None)
        if isinstance(event, BaseException):
            raise event
        wanted = cases_of(job) if self.keeps_to_cases else None
        self.now += self.seconds * (1.0 if wanted is None else len(wanted) / len(CASES))
        if event is not None:
            return event(job)
        self.measure(job, name, wanted)
        return int(any(wanted is None or case in wanted for case in self.ended.get(side_of(job), ())))

    def measure(self, job, name, wanted=None):
        side = side_of(job)
        rng = np.random.default_rng([self.seed, *name.encode()])  # the same run at each call
        level = {case: 0.01 * np.exp(self.noise * rng.standard_normal()) for case in CASES}
        ended = self.ended.get(side, {})
        write(
            job.out,
            run(
                [
                    benchmark([level[case] * self.slower.get(side, {}).get(case, 1.0)] * 6, case.split()[0])
                    for case in CASES
                    if (wanted is None or case in wanted) and case not in ended
                ],
                [
                    outcome(word, "it broke", workload=case.split()[0])
                    for case, word in ended.items()
                    if wanted is None or case in wanted
                ],
                machine=self.machine,
                when=datetime.fromtimestamp(self.now, UTC).isoformat(),
            ),
        )


def install(monkeypatch, machine):
    """Let `ab` and `calibrate` run their commands on this machine, with its clock."""
    monkeypatch.setattr("breakeven.experiment.shell.run_in_shell", lambda job, **_: machine(job))
    monkeypatch.setattr("breakeven.commands.base.monotonic", machine.clock)
    return machine


def side_of(job):
    """The side of a job: the first word of its command."""
    return shlex.split(job.command)[0]


def cases_of(job):
    """The cases that the job is limited to; None where it is not limited."""
    path = job.environment.get("BREAKEVEN_CASES")
    return None if path is None else Path(path).read_text().splitlines()
