"""`breakeven ab`: run two commands alternately on this machine, then judge as `breakeven compare` does."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from breakeven.commands.arguments import whole_number
from breakeven.commands.base import add_workspace_options, in_workspace, notify
from breakeven.commands.compare import add_judging, compare_with, exit_code, present
from breakeven.experiment.schedule import DEFAULT_PAIRS, MIN_PAIRS, Limits, Side
from breakeven.format import parse_duration

if TYPE_CHECKING:
    from breakeven.experiment.run_command import CommandRunner

OUTPUT = "breakeven-ab"

EPILOG = f"""\
examples:
  git worktree add --detach base main      # the baseline's code
  git worktree add --detach head my-branch # the candidate's code
  breakeven ab --budget 20m \\
    --base 'cd base && python -m pytest bench --benchmark-json={{out}}' \\
    --candidate 'cd head && python -m pytest bench --benchmark-json={{out}}'
                                           compare two commits in 20 minutes
  breakeven ab \\
    --base 'python -m pytest bench --benchmark-json={{out}}' \\
    --candidate 'FUSED=1 python -m pytest bench --benchmark-json={{out}}'
                                           compare two settings of one commit
  breakeven ab --base CMD --candidate CMD  compare a command with itself: does
                                           this machine report false changes?

Each command runs in a shell and writes a run file to {{out}}, which needs no
quotes and is replaced by an absolute path. The order is base, candidate,
candidate, base, ...; a pair is one run of each. A run is one measuring process,
and the runs of a pair take their cells in one order: `ab` sets
BREAKEVEN_PROCESSES=1 and BREAKEVEN_SEED. Make sure that each command imports
its own code: both see the same installed packages.

The first {MIN_PAIRS} pairs time all cases; fewer give no verdict. A case that is decided
is timed no more, the others are timed again: for this `ab` sets BREAKEVEN_CASES
to a file that lists them, and breakeven's pytest plugin skips all others. Each
q-value is corrected for the number of looks at the growing data. `ab` ends when
all cases are decided, or when the undecided ones cannot change the exit code: a
regression is enough, unless --fail-on does not name it. A case whose times fall
into two groups is inconclusive. The output of each command goes to a log beside
its run file.

The same command shows a finished comparison again without measuring, also in
another --format; --fresh measures again. Where one run of each side is enough,
`breakeven calibrate` and then `breakeven compare` take less time.

A command may exit with 1 because a case failed: its other cases are judged, and
that case is an error. Any other nonzero exit status stops the experiment. The
completed runs stay: run the same command again to resume.

exit codes:
  0    no verdict that --fail-on names
  1    a regression
  2    bad usage, or a command failed or wrote no run file
  3    another verdict that --fail-on names, nothing could be judged, or the
       machine classes differ
  130  interrupted; run the same command to resume
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--base", required=True, metavar="CMD", help="the baseline's command; contains {out}")
    parser.add_argument(
        "--candidate", required=True, metavar="CMD", help="the candidate's command; contains {out}"
    )
    parser.add_argument(
        "--pairs", type=whole_number, metavar="N",
        help=f"maximum number of pairs: {MIN_PAIRS} of all cases, the others of the undecided ones "
        f"(default: {DEFAULT_PAIRS}; no maximum with --budget)",
    )  # fmt: skip
    parser.add_argument(
        "--budget", metavar="TIME",
        help="start no pair that would not end within this time, such as 20m or 1h30m (default: no limit)",
    )  # fmt: skip
    add_judging(parser)
    add_workspace_options(parser, OUTPUT)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from breakeven.experiment.shell import check_command

    check_command(arguments.base, "--base")
    check_command(arguments.candidate, "--candidate")
    budget_s = parse_duration(arguments.budget) if arguments.budget is not None else None
    limits = Limits(arguments.pairs, budget_s)
    asked = {
        "the task": "ab",
        "--base": arguments.base,
        "--candidate": arguments.candidate,
        "--threshold": arguments.threshold,  # with --resolution it decides which cases are timed again
        "--resolution": arguments.resolution,
    }
    return in_workspace(arguments, asked, partial(_measure, arguments, limits), keeps_finished=True)


def _measure(arguments: argparse.Namespace, limits: Limits, runner: CommandRunner) -> int:
    from breakeven.experiment.ab import Experiment, run_ab

    commands = {Side.BASE: arguments.base, Side.CANDIDATE: arguments.candidate}
    experiment = Experiment(runner, commands, limits, arguments.vary, notify)
    code = partial(exit_code, fail_on=arguments.fail_on) if arguments.fail_on else None
    return present(run_ab(experiment, partial(compare_with, arguments), code), arguments)
