"""`breakeven compare`: judges every case of two sets of runs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.commands.arguments import directory_path, file_path, fraction, names
from breakeven.commands.base import NOT_JUDGED, OK, REGRESSED, add_format, notify, show, version
from breakeven.errors import UsageError
from breakeven.stats.verdict import RESOLUTION, THRESHOLD, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.compare.comparison import Comparison
    from breakeven.compare.noise_floor import NoiseFloor
    from breakeven.runs.schema import Run

NOISE = ".breakeven/noise"
"""The default directory of the noise floors that `breakeven calibrate` stores."""

FAIL_ON = (Verdict.REGRESSED, Verdict.MISSING, Verdict.INCONCLUSIVE)

EPILOG = """\
examples:
  breakeven compare base.json head.json       one run per side; needs a noise
                                              floor (see breakeven calibrate)
  breakeven compare --baseline base*.json --candidate head*.json
                                              several runs per side, which is
                                              more reliable
  breakeven compare a.json b.json --vary driver
                                              the driver may differ
  breakeven compare ... --format markdown     for a pull request; also appended
                                              to $GITHUB_STEP_SUMMARY
  breakeven compare ... --fail-on regressed   exit 0 for inconclusive and
                                              missing cases

Run files of any pytest-benchmark from version 3.4 on can be compared. Cases
that breakeven did not measure are identified by their fullname.

A case regressed if its ratio exceeds the threshold at a false discovery rate of
5%. Otherwise it is unchanged, or inconclusive if its interval is wider than the
resolution. The intervals are over runs, not over rounds: five runs per side,
alternating, are a good start (see breakeven ab). The processes of one run share
the state of the machine at that time, so that a run counts once in a test; the
column n, as in 5+5, has the processes of both sides. One run per side is judged
by a noise floor; without one every case is inconclusive.

Where both sides counted the operators and the floating point operations of a
step, a change of them is shown too, and no verdict rests on it.

exit codes:
  0  no verdict that --fail-on names
  1  a regression
  2  bad usage, or a run file that cannot be read
  3  another verdict that --fail-on names (missing includes errors: the timing
     is missing), runs of different machine classes, or no case that both sides
     timed (unless with --fail-on none)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("runs", nargs="*", type=file_path, metavar="BASE CAND", help="two run files")
    parser.add_argument(
        "--baseline", nargs="+", type=file_path, metavar="RUN", help="the baseline's runs, instead of BASE"
    )
    parser.add_argument(
        "--candidate", nargs="+", type=file_path, metavar="RUN", help="the candidate's runs, instead of CAND"
    )
    add_judging(parser)


def add_judging(parser: argparse.ArgumentParser) -> None:
    """Add the options for judging and showing a comparison, for `compare` and `ab`."""
    parser.add_argument(
        "--threshold", type=fraction, default=THRESHOLD, metavar="2%",
        help=f"ignore changes up to this size (default: {THRESHOLD:.0%})".replace("%", "%%"),
    )  # fmt: skip
    parser.add_argument(
        "--resolution", type=fraction, default=RESOLUTION, metavar="10%",
        help="a case is inconclusive if its interval is wider than this in each direction (default: "
        f"{RESOLUTION:.0%})".replace("%", "%%"),
    )  # fmt: skip
    parser.add_argument(
        "--fail-on", type=verdicts, default=FAIL_ON, metavar="VERDICTS",
        help=f"comma-separated, from {', '.join(Verdict)}; or none (default: {','.join(FAIL_ON)})",
    )  # fmt: skip
    parser.add_argument(
        "--vary", type=names, default=(), metavar="FIELDS",
        help="comma-separated fields of the machine class that may differ, as in gpu,driver (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--noise", type=existing_directory, default=Path(NOISE), metavar="DIR",
        help=f"where `breakeven calibrate` stored noise floors (default: {NOISE})",
    )  # fmt: skip
    add_format(parser, ("terminal", "markdown", "json"))


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from breakeven.runs.reader import newer_journals, read_side

    baseline, candidate = map(read_side, _sides(arguments))
    for line in newer_journals(run.path for run in (*baseline, *candidate)):
        notify(line)
    return present(compare_with(arguments, baseline, candidate), arguments)


def compare_with(
    arguments: argparse.Namespace, baseline: Sequence[Run], candidate: Sequence[Run]
) -> Comparison:
    """Return the comparison of two sides, with the options that `add_judging` added."""
    from breakeven.compare.comparison import compare

    return compare(
        baseline,
        candidate,
        floor=_floor_for([*baseline, *candidate], arguments.noise),
        threshold=arguments.threshold,
        resolution=arguments.resolution,
        vary=arguments.vary,
    )


def _floor_for(runs: Sequence[Run], directory: Path) -> NoiseFloor | None:
    """Return the noise floor of the runs' class, None where they have several or it was not calibrated."""
    from breakeven.compare.machine_class import class_of
    from breakeven.compare.noise_floor import read_floor

    machine = class_of(runs)
    return None if machine is None else read_floor(directory, machine)


def present(found: Comparison, arguments: argparse.Namespace) -> int:
    """Print the comparison in the requested format, and return the exit code."""
    from breakeven.render import compare as renderers

    if arguments.format == "json":
        sys.stdout.write(renderers.to_json(found))
    elif arguments.format == "markdown":
        text = renderers.to_markdown(found, version())
        sys.stdout.write(text)
        append_to_summary(f"{text}\n")  # a blank line, to separate it from the next step's text
    else:
        show(renderers.renderables(found))
    return exit_code(found, arguments.fail_on)


def exit_code(found: Comparison, fail_on: Sequence[str]) -> int:
    """Return the exit code of a comparison, as described in the help."""
    counts = found.counts
    if Verdict.REGRESSED in fail_on and counts[Verdict.REGRESSED]:
        return REGRESSED
    if fail_on and not found.judged:
        return NOT_JUDGED
    failed = {verdict for verdict in Verdict if counts[verdict]} | {found.verdict}
    if any(case.n_baseline for case in found.with_verdict(Verdict.ERROR)):
        failed.add(Verdict.MISSING)
    return NOT_JUDGED if failed & set(fail_on) else OK


def append_to_summary(text: str) -> None:
    """Append markdown to the summary of a GitHub job, if one is running.

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
            f"GITHUB_STEP_SUMMARY={path} cannot be written ({error.strerror or error}); unset it, or free "
            "some space"
        ) from None


def existing_directory(text: str) -> Path:
    """Read the path of a directory that must exist, unless it is the default."""
    path = directory_path(text)
    if not os.path.isdir(text):  # noqa: PTH112 - accepts any text
        raise argparse.ArgumentTypeError(
            f"{text!r} does not exist; create it with `breakeven calibrate CMD --noise DIR`, or omit it"
        )
    return path


def verdicts(text: str) -> tuple[Verdict, ...]:
    """Read a list of verdicts; ``none`` is the empty one.

    >>> verdicts("regressed, new"), verdicts("none")
    ((<Verdict.REGRESSED: 'regressed'>, <Verdict.NEW: 'new'>), ())
    """
    given = names(text)
    if given == ("none",):
        return ()
    unknown = [name for name in given if name not in set(Verdict)]
    if unknown or not given:  # an empty string, from an unset variable, must not mean none
        raise argparse.ArgumentTypeError(
            f"{(unknown or [text])[0]!r} is not a verdict; use some of {', '.join(Verdict)}, or none"
        )
    return tuple(map(Verdict, given))


def _sides(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    if arguments.runs and (arguments.baseline or arguments.candidate):
        raise UsageError(
            f"{arguments.runs[0]!r} beside --baseline and --candidate belongs to neither side; give two "
            "files, or name every run with the options"
        )
    if arguments.runs:
        if len(arguments.runs) != 2:
            raise UsageError(
                f"expected two run files, BASE and CAND, got {len(arguments.runs)}; give several runs per "
                "side with --baseline A... --candidate B..."
            )
        return [arguments.runs[0]], [arguments.runs[1]]
    if not arguments.baseline or not arguments.candidate:
        raise UsageError(
            "nothing to compare; give two run files, BASE and CAND, or --baseline A... --candidate B..."
        )
    return arguments.baseline, arguments.candidate
