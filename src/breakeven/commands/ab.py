"""`breakeven ab`: two commands by turns on this machine -> the verdict of `breakeven compare`."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from breakeven.commands.arguments import whole_number
from breakeven.commands.base import Command
from breakeven.commands.compare import add_judging, compare_with, present
from breakeven.commands.experiments import add_folder_options, in_folder, say
from breakeven.experiment.schedule import FIRST_PAIRS, MIN_PAIRS, PAIRS, Limits, seconds_of

if TYPE_CHECKING:
    from breakeven.experiment.run_command import Recorder

OUTPUT = "breakeven-ab"

_EPILOG = f"""\
examples:
  git worktree add base main && git worktree add head my-branch
  breakeven ab --budget 20m \\
    --base 'cd base && python -m pytest bench --benchmark-json={{out}}' \\
    --candidate 'cd head && python -m pytest bench --benchmark-json={{out}}'
                                           two commits, in twenty minutes
  breakeven ab --pairs 6 \\
    --base 'python -m pytest bench --benchmark-json={{out}}' \\
    --candidate 'FUSED=1 python -m pytest bench --benchmark-json={{out}}'
                                           one commit, another setting
  breakeven ab --base CMD --candidate CMD  the same command twice: what this
                                           machine calls a change

Each command runs in a shell and writes a run file to {{out}}, which stands
without quotes and is replaced by an absolute path. They alternate: base,
candidate, candidate, base, ... A pair is one run of each. See to it that each
imports its own code: what is installed in the environment is the same for both.

First up to {FIRST_PAIRS} pairs time all cases. Those that are not clearly unchanged are
suspects: they alone are timed again (breakeven's plugin keeps to the file that
BREAKEVEN_CASES names), at least {MIN_PAIRS} pairs, and decided on these fresh runs. What
a command says goes to a log beside its run file.

A command that exits with 1 since a case of its own failed counts, and the case
is an error; any other exit status but 0 stops the whole. What was measured
stays, and the same command goes on from there.

exit codes:
  0    nothing of what --fail-on names
  1    a regression
  2    bad usage, or a command that failed or wrote no run file
  3    what else --fail-on names, nothing that could be judged, or different
       machine classes
  130  interrupted; the same command goes on from there
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--base", required=True, metavar="CMD", help="the baseline's command, with {out} in it"
    )
    parser.add_argument("--candidate", required=True, metavar="CMD", help="the candidate's, likewise")
    parser.add_argument(
        "--pairs",
        type=whole_number,
        metavar="N",
        help=f"so many pairs at most (default: {PAIRS}, or what the budget holds)",
    )
    parser.add_argument(
        "--budget",
        metavar="TIME",
        help="no pair is begun that would not end in this time, such as 20m or 1h30m (default: no limit)",
    )
    add_judging(parser)
    add_folder_options(parser, OUTPUT)


def _run(arguments: argparse.Namespace) -> int:
    from breakeven.experiment.shell import check_command

    check_command(arguments.base, "--base")
    check_command(arguments.candidate, "--candidate")
    limits = Limits(arguments.pairs, seconds_of(arguments.budget) if arguments.budget is not None else None)
    asked = {
        "the task": "ab",
        "--base": arguments.base,
        "--candidate": arguments.candidate,
        "--threshold": arguments.threshold,  # both decide who is a suspect
        "--resolution": arguments.resolution,
    }
    return in_folder(arguments, asked, partial(_measure, arguments, limits))


def _measure(arguments: argparse.Namespace, limits: Limits, recorder: Recorder) -> int:
    from breakeven.experiment.ab import Experiment
    from breakeven.experiment.schedule import BASE, CANDIDATE

    commands = {BASE: arguments.base, CANDIDATE: arguments.candidate}
    return present(
        Experiment(recorder, commands, limits, partial(compare_with, arguments), arguments.vary, say).run(),
        arguments,
    )


AB = Command(
    "ab",
    "run a base and a candidate by turns on this machine, and compare them",
    _EPILOG,
    _add_arguments,
    _run,
)
