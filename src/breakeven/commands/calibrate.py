"""`breakeven calibrate`: one command again and again -> the noise floor of this machine class."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.commands.arguments import directory_path, whole_number
from breakeven.commands.base import OK, Command, show
from breakeven.commands.compare import NOISE
from breakeven.commands.experiments import add_folder_options, in_folder, say
from breakeven.errors import UsageError

if TYPE_CHECKING:
    from breakeven.experiment.run_command import Recorder

OUTPUT = "breakeven-calibrate"
RUNS, MIN_PAIRS = 10, 2

TOLD = (1, 3, 5, 10)
"""For so many runs a side it is told what can be seen."""

_EPILOG = """\
examples:
  breakeven calibrate 'python -m pytest bench --benchmark-json={out}'
  breakeven calibrate --runs 20 --noise /shared/noise \\
    'python -m pytest bench --benchmark-json={out}'

The command runs in a shell and writes a run file to {out}, which stands without
quotes and is replaced by an absolute path. Nothing may change between the runs:
whatever differs is noise. It is stored as CLASS.json in the directory of noise
floors, and `breakeven compare` judges one run a side against it.

exit codes:
  0    stored
  2    bad usage, or a command that failed or wrote no run file
  3    the runs are of different machine classes
  130  interrupted: what was measured stays, and the same command goes on there
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("command", metavar="CMD", help="what measures, with {out} in it")
    parser.add_argument(
        "--runs", type=whole_number, default=RUNS, metavar="N", help=f"how many runs (default: {RUNS})"
    )
    parser.add_argument(
        "--noise", type=directory_path, default=Path(NOISE), metavar="DIR",
        help=f"where noise floors are stored (default: {NOISE})",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("terminal", "json"), default="terminal",
        help="what standard output gets (default: terminal)",
    )  # fmt: skip
    add_folder_options(parser, OUTPUT)


def _run(arguments: argparse.Namespace) -> int:
    from breakeven.experiment.shell import check_command

    check_command(arguments.command, "CMD")
    if arguments.runs < MIN_PAIRS:
        raise UsageError(
            f"--runs {arguments.runs} tells nothing of the noise between runs; use {MIN_PAIRS} or more, "
            f"better {RUNS}"
        )
    asked = {"the task": "calibrate", "CMD": arguments.command}
    return in_folder(arguments, asked, partial(_measure, arguments))


def _measure(arguments: argparse.Namespace, recorder: Recorder) -> int:
    from breakeven.compare.noise_floor import detectable, floor_of, floor_warnings, read_floor, write_floor
    from breakeven.experiment.calibrate import repeat
    from breakeven.render import calibrate

    runs = repeat(recorder, arguments.command, arguments.runs, say)
    floor = floor_of(runs, arguments.command)
    before = read_floor(arguments.noise, floor.class_id)
    path = write_floor(floor, arguments.noise)
    seen = detectable(floor, TOLD)
    warnings = [*recorder.folder.warnings, *floor_warnings(floor, before)]
    if arguments.format == "json":
        sys.stdout.write(calibrate.to_json(floor, seen, path, warnings))
    else:
        show(calibrate.renderables(floor, seen, path, warnings))
    return OK


CALIBRATE = Command(
    "calibrate",
    "run one command several times, and store the noise of this machine",
    _EPILOG,
    _add_arguments,
    _run,
)
