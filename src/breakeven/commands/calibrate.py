"""`breakeven calibrate`: run one command several times, and store the noise of this machine class."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.commands.arguments import directory_path, whole_number
from breakeven.commands.base import OK, add_format, add_workspace_options, in_workspace, notify, show
from breakeven.commands.compare import NOISE
from breakeven.errors import UsageError

if TYPE_CHECKING:
    from breakeven.experiment.run_command import CommandRunner

OUTPUT = "breakeven-calibrate"
DEFAULT_RUNS, MIN_RUNS = 10, 2

RUNS_A_SIDE = (1, 3, 5, 10)
"""The numbers of runs per side for which the smallest detectable change is shown."""

EPILOG = """\
examples:
  breakeven calibrate --runs 5 'python -m pytest bench --benchmark-json={out}'
  breakeven compare base.json head.json
                                        the quickest right answer: calibrate a
                                        machine once, then compare one run of
                                        each side
  breakeven calibrate --runs 20 --noise /shared/noise \\
    'python -m pytest bench --benchmark-json={out}'

The command runs in a shell and writes a run file to {out}, which needs no
quotes and is replaced by an absolute path. A run is one measuring process, in
an order of its own: `calibrate` sets BREAKEVEN_PROCESSES=1 and BREAKEVEN_SEED.
Change nothing between the runs: every difference counts as noise. The result is
stored as CLASS.json in the directory of noise floors; `breakeven compare` uses
it where a side has only one run.

exit codes:
  0    stored
  2    bad usage, or the command failed or wrote no run file
  3    the machine classes of the runs differ
  130  interrupted; run the same command to resume
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("command", metavar="CMD", help="the benchmark command; contains {out}")
    parser.add_argument(
        "--runs", type=whole_number, default=DEFAULT_RUNS, metavar="N",
        help=f"number of runs, of one process each (default: {DEFAULT_RUNS})",
    )  # fmt: skip
    parser.add_argument(
        "--noise", type=directory_path, default=Path(NOISE), metavar="DIR",
        help=f"directory of noise floors (default: {NOISE})",
    )  # fmt: skip
    add_format(parser, ("terminal", "json"), "format of standard output")
    add_workspace_options(parser, OUTPUT)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from breakeven.experiment.shell import check_command

    check_command(arguments.command, "CMD")
    if arguments.runs < MIN_RUNS:
        raise UsageError(
            f"--runs {arguments.runs} does not show the noise between runs; use at least {MIN_RUNS}, better "
            f"{DEFAULT_RUNS}"
        )
    asked = {"the task": "calibrate", "CMD": arguments.command}
    return in_workspace(arguments, asked, partial(_measure, arguments))


def _measure(arguments: argparse.Namespace, runner: CommandRunner) -> int:
    from breakeven.compare.noise_floor import (
        busy_warnings,
        detectable,
        floor_of,
        floor_warnings,
        read_floor,
        write_floor,
    )
    from breakeven.experiment.run_command import run_repeatedly
    from breakeven.render import calibrate

    runs = run_repeatedly(runner, arguments.command, arguments.runs, notify)
    floor = floor_of(runs, arguments.command)
    before = read_floor(arguments.noise, runs[-1].machine)
    path = write_floor(floor, arguments.noise)
    seen = detectable(floor, RUNS_A_SIDE)
    warnings = [*runner.workspace.warnings, *busy_warnings(runs), *floor_warnings(floor, before)]
    if arguments.format == "json":
        sys.stdout.write(calibrate.to_json(floor, seen, path, warnings))
    else:
        show(calibrate.renderables(floor, seen, path, warnings))
    return OK
