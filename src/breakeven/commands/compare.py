"""`breakeven compare`: two sides of runs -> a verdict on every case, and on the whole."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.commands.arguments import directory_path, file_path, names, share
from breakeven.commands.base import NOT_JUDGED, OBJECTION, OK, Command, show, version
from breakeven.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.compare.comparison import Comparison
    from breakeven.compare.noise_floor import Floor
    from breakeven.runs.readings import Run

NOISE = ".breakeven/noise"
"""Where `breakeven calibrate` puts noise floors, a file a machine class."""

FAIL_ON = "regressed,missing,inconclusive"
VERDICTS = ("regressed", "improved", "unchanged", "inconclusive", "missing", "new", "error")

_EPILOG = """\
examples:
  breakeven compare base.json head.json       one run a side; needs a noise
                                              floor (see breakeven calibrate)
  breakeven compare --baseline base*.json --candidate head*.json
                                              several runs a side: what a
                                              verdict should rest on
  breakeven compare a.json b.json --vary driver
                                              the driver may differ
  breakeven compare ... --format markdown     for a pull request; also put into
                                              $GITHUB_STEP_SUMMARY
  breakeven compare ... --fail-on regressed   inconclusive and missing cases
                                              exit 0

Any pytest-benchmark file will do, of version 3.4 or later; without breakeven's
keys a case is its fullname.

A case has regressed where its ratio is beyond the threshold at a false
discovery rate of 5%. What is judged is the run, never the round: five runs a
side, made alternately, are a good start (`breakeven ab` makes them). Otherwise
it is unchanged, or inconclusive where its interval is wider than the
resolution.

exit codes:
  0  nothing of what --fail-on names
  1  a regression
  2  bad usage, or a run file that cannot be read
  3  what else --fail-on names (missing includes errors: the timing is missing),
     runs of different machine classes, or no case that both sides timed (unless
     the baseline has none, or with --fail-on none)
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="*", type=file_path, metavar="BASE CAND", help="two run files")
    parser.add_argument(
        "--baseline", nargs="+", type=file_path, metavar="RUN", help="the baseline's runs, instead of BASE"
    )
    parser.add_argument(
        "--candidate", nargs="+", type=file_path, metavar="RUN", help="the candidate's runs, instead of CAND"
    )
    add_judging(parser)


def add_judging(parser: argparse.ArgumentParser) -> None:
    """Add what says how sides are judged and shown; `breakeven ab` takes the same."""
    parser.add_argument(
        "--threshold", type=share, default=0.02, metavar="2%",
        help="a change up to this is nobody's concern (default: 2%%)",
    )  # fmt: skip
    parser.add_argument(
        "--resolution", type=share, default=0.10, metavar="10%",
        help="a case whose interval is wider, to each side, is inconclusive (default: 10%%)",
    )  # fmt: skip
    parser.add_argument(
        "--fail-on", type=verdicts, default=verdicts(FAIL_ON), metavar="VERDICTS",
        help=f"comma-separated, of {', '.join(VERDICTS)}; or none (default: {FAIL_ON})",
    )  # fmt: skip
    parser.add_argument(
        "--vary", type=names, default=(), metavar="FIELDS",
        help="comma-separated fields of the machine class that may differ, as gpu,driver (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--noise", type=noise_floors, default=Path(NOISE), metavar="DIR",
        help=f"where `breakeven calibrate` stored noise floors (default: {NOISE})",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("terminal", "markdown", "json"), default="terminal",
        help="what standard output gets (default: terminal)",
    )  # fmt: skip


def _run(arguments: argparse.Namespace) -> int:
    from breakeven.compare.comparison import compare
    from breakeven.runs.readings import read_side

    paths = _sides(arguments)
    baseline, candidate = map(read_side, paths)
    found = compare(
        baseline,
        candidate,
        floor=floor_for([*baseline, *candidate], arguments.noise),
        threshold=arguments.threshold,
        resolution=arguments.resolution,
        vary=arguments.vary,
    )
    return present(found, arguments)


def present(found: Comparison, arguments: argparse.Namespace) -> int:
    """Print the comparison in the asked-for format and return its exit code."""
    from breakeven.render import compare as faces

    if arguments.format == "json":
        sys.stdout.write(faces.to_json(found))
    elif arguments.format == "markdown":
        text = faces.to_markdown(found, version())
        sys.stdout.write(text)
        append_to_summary(f"{text}\n")  # a blank line, so that the next step's words begin anew
    else:
        show(faces.renderables(found))
    return code_of(found, arguments.fail_on)


def code_of(found: Comparison, fail_on: Sequence[str]) -> int:
    """Return the exit code of Contract 2."""
    counts = found.counts
    if "regressed" in fail_on and counts["regressed"]:
        return OBJECTION
    if found.only_new:
        return NOT_JUDGED if "new" in fail_on else OK
    if fail_on and not any(change.is_judged for change in found.changes):
        return NOT_JUDGED  # whatever it names, it wanted to know of something
    failed = {verdict for verdict in VERDICTS if counts[verdict]} | {found.verdict}
    if any(change.verdict == "error" and change.n_baseline for change in found.changes):
        failed.add("missing")
    return NOT_JUDGED if failed & set(fail_on) else OK


def floor_for(runs: Sequence[Run], directory: Path) -> Floor | None:
    """Return the noise floor of the runs' class, where they have one class and it was calibrated."""
    from breakeven.compare.noise_floor import read_floor

    classes = {run.class_id for run in runs}
    return read_floor(directory, classes.pop()) if len(classes) == 1 else None


def append_to_summary(text: str) -> None:
    """Append markdown to the summary of a GitHub job, where one is running.

    Raises:
        UsageError: the file that ``GITHUB_STEP_SUMMARY`` names cannot be written.
    """
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as stream:  # noqa: PTH123 - may be a device
            stream.write(text)
    except OSError as error:
        raise UsageError(
            f"GITHUB_STEP_SUMMARY={path} cannot be written ({error.strerror or error}); unset it or "
            "give it room"
        ) from None


def noise_floors(text: str) -> Path:
    """Read the path of a directory that is there: who names one does not want to do without."""
    named = directory_path(text)
    if not os.path.isdir(text):  # noqa: PTH112 - which bears any text
        raise argparse.ArgumentTypeError(
            f"{text!r} is not there; `breakeven calibrate CMD --noise DIR` makes one, or leave the option out"
        )
    return named


def verdicts(text: str) -> tuple[str, ...]:
    """Read a list of verdicts; ``none`` is the empty one."""
    asked = names(text)
    if not asked:  # as an unset variable leaves it: nothing would ever fail
        raise argparse.ArgumentTypeError(
            f"{text!r} names no verdict; use some of {', '.join(VERDICTS)}, or none"
        )
    if asked == ("none",):
        return ()
    for name in asked:
        if name not in VERDICTS:
            raise argparse.ArgumentTypeError(
                f"{name!r} is no verdict; use some of {', '.join(VERDICTS)}, or none"
            )
    return asked


def _sides(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    if arguments.runs and (arguments.baseline or arguments.candidate):
        raise UsageError(
            f"{arguments.runs[0]!r} beside --baseline and --candidate belongs to neither side; "
            "give two files, or name every run with the options"
        )
    if arguments.runs:
        if len(arguments.runs) != 2:
            raise UsageError(
                f"{len(arguments.runs)} run files cannot be told apart; give two, BASE and CAND, or several "
                "a side with --baseline A... --candidate B..."
            )
        return [arguments.runs[0]], [arguments.runs[1]]
    if not arguments.baseline or not arguments.candidate:
        raise UsageError(
            "nothing to compare; give two run files, BASE and CAND, or --baseline A... --candidate B..."
        )
    return arguments.baseline, arguments.candidate


COMPARE = Command(
    "compare",
    "tell which cases regressed or improved between two sides of runs",
    _EPILOG,
    _add_arguments,
    _run,
)
