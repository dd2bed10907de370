"""`breakeven merge`: run files of one sweep, such as those of its shards -> one run file."""

from __future__ import annotations

import argparse
from pathlib import Path

from breakeven.commands.arguments import file_path
from breakeven.commands.base import OK, notify, print_line, status
from breakeven.commands.recipes import RECIPES
from breakeven.errors import UsageError
from breakeven.format import joined, one_line, plural

EPILOG = f"""\
examples:
  breakeven merge run-*.json -o run.json       join the shards of a sweep
  breakeven merge run.json more.json -o run.json
                                               add a file to a merged one

`pytest bench --breakeven-shard=K/N` measures the K-th of N shards of a sweep,
K from 1: a hash assigns each cell, with all its devices and phases, to one of
them. So N machines of one class share a sweep. A shard without cells exits with
5, which the recipes below accept, and writes no file.

The order of the files does not matter, and a file that is given twice, or is
already in a merged one, changes nothing: the bytes are the same. The result is
a run file for `report`, `compare`, `history add` and pytest-benchmark. It keeps
when, where and how each part was measured; no two parts share a process.

Files that do not belong together are refused: other machine classes, commits,
settings of torch or sweeps, a shard and a run without --breakeven-shard, models
of one name with other parameters, and a case that two files have with other
rounds.
Such a case was measured again, in further processes: `breakeven report a.json
b.json` and `breakeven compare --baseline a.json b.json --candidate c.json` take
the files side by side. A case that one file skipped and another timed is timed.

{RECIPES}
exit codes:
  0  written; a line on standard error lists missing shards
  2  bad usage, or a file that cannot be read or written
  3  the files do not belong together
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("runs", nargs="+", type=file_path, metavar="RUN", help="run files, also merged ones")
    parser.add_argument(
        "-o", "--output", type=file_path, required=True, metavar="FILE",
        help="the run file to write; an existing one is replaced, and may be a RUN",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from breakeven.files import write_whole
    from breakeven.runs.merging import merge

    with status(f"merging {plural(len(arguments.runs), 'file')}..."):
        merged = merge(arguments.runs)
        content = merged.as_json()
    try:
        write_whole(Path(arguments.output), content)
    except OSError as error:
        raise UsageError(
            f"{one_line(arguments.output, 300)} cannot be written ({one_line(error.strerror or error)}); "
            "name another file with -o"
        ) from None
    missing = merged.missing_shards()
    if missing:
        verb = "shard is" if len(missing) == 1 else "shards are"
        notify(f"{len(missing)} {verb} missing: {joined(missing, 6)}; merge again when measured")
    untimed = len(merged.untimed.keys() - merged.timed.keys())
    print_line(
        f"written to {arguments.output}: {plural(len(merged.timed), 'timed case')}, {untimed} without a "
        f"timing, of {plural(len(merged.parts), 'run')}"
    )
    return OK
