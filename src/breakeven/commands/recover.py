"""`breakeven recover`: the journal of a run that died -> a run file of what it measured."""

from __future__ import annotations

import argparse
from pathlib import Path

from breakeven.commands.arguments import file_path
from breakeven.commands.base import NOT_JUDGED, OK, print_line
from breakeven.errors import UsageError
from breakeven.format import one_line, plural

EPILOG = """\
examples:
  breakeven recover run.json.journal          writes run.recovered.json
  breakeven recover run.json.journal -o a.json

`pytest bench --benchmark-json=run.json` writes each finished case to
run.json.journal at once, and removes that file when run.json is whole. After a
kill, a full disk or Ctrl-C, the same command with --breakeven-resume goes on
from it; `recover` makes a run file of what there is. Each missing case is
listed in it with the reason, and `"complete"` is false.

exit codes:
  0  written
  2  bad usage, or a journal that cannot be read
  3  written, but no case has a timing
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("journal", type=file_path, metavar="JOURNAL", help="RUN.json.journal")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE",
        help="the run file to write (default: RUN.recovered.json beside the journal)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from breakeven.files import write_whole
    from breakeven.runs.journal import read_journal
    from breakeven.runs.recovery import recovered_json, recovered_name, run_file_of

    journal = read_journal(arguments.journal)
    path = arguments.output or recovered_name(journal.path)
    content = run_file_of(journal)
    try:
        write_whole(path, recovered_json(content))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({one_line(error.strerror or error)}); name another file with -o"
        ) from None
    timed, missing = len(content["benchmarks"]), len(content["breakeven"]["outcomes"])
    ended = journal.run.processes - len({share.process for share in journal.shares if journal.left(share)})
    print_line(
        f"written to {path}: {plural(timed, 'timed case')}, {missing} without a timing; complete "
        f"processes: {ended} of {journal.run.processes}"
    )
    return OK if timed else NOT_JUDGED
