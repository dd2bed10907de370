"""`breakeven card`: a machine's run files -> a card, from which `breakeven predict` predicts its steps."""

from __future__ import annotations

import argparse
from pathlib import Path

from breakeven.commands.arguments import file_path
from breakeven.commands.base import OK, print_line, show
from breakeven.errors import RunFileError, UsageError
from breakeven.format import one_line

EPILOG = """\
examples:
  breakeven card run.json -o h100.json          what predicts this machine
  breakeven card monday.json friday.json -o h100.json
                                                better: more processes, on other
                                                days
  breakeven predict laptop.json --on h100.json  predict with it

A training step takes as long as the slower one of the host, which launches each
operator, and of the device, which computes and moves bytes; then its batch is
copied. The card has the rates of that (launches, arithmetic by format, memory,
copy), fitted to the training steps that the runs measured, never taken from a
datasheet, and how far they miss models that were left out. The host belongs to
it: with another host, the same GPU needs another card.

The runs are of one machine class. A card needs steps of several models, small
and large: `pytest bench --breakeven-sweep=full` measures such. What each step
does is in the run file; for runs of older versions it is counted from their
benchmarks, without a device. Models that cannot be counted are printed.

exit codes:
  0  written
  2  bad usage, a run file that cannot be read or has too little to fit, or a
     fit that no hardware has
  3  the machine classes of the runs differ
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "runs", nargs="+", type=file_path, metavar="RUN", help="run files of one machine with an accelerator"
    )
    parser.add_argument(
        "-o", "--output", type=file_path, required=True, metavar="FILE",
        help="the card to write; an existing one is replaced, and no other file",
    )  # fmt: skip
    parser.add_argument("--name", help="the name of the card (default: that of its file)")
    parser.add_argument(
        "--device", help="the accelerator, where the runs have several (default: the only one, such as cuda)"
    )
    parser.add_argument(
        "--bench", type=file_path, metavar="DIR",
        help="folder or file of the benchmarks, for run files without counts (default: what the run's "
        "command names)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from breakeven.commands.find_card import fitted
    from breakeven.predict.cards import write_card
    from breakeven.render.predict_tables import cards_table
    from breakeven.render.terminal import table_section
    from breakeven.runs import reader

    output = Path(arguments.output)
    _raise_if_other(output)
    runs = reader.read(arguments.runs)
    card = fitted(runs, arguments.bench, arguments.name or output.stem, arguments.device)
    try:
        write_card(card, output)
    except OSError as error:
        raise UsageError(
            f"{arguments.output} cannot be written ({error.strerror or error}); name another file with -o"
        ) from None
    show(table_section(cards_table([card], "The card"), ""))
    print_line(f"written to {arguments.output}")
    return OK


def _raise_if_other(output: Path) -> None:
    """Raise an error if a card would replace something else, such as a run file."""
    from breakeven.predict.cards import is_card
    from breakeven.runs.json_files import load_json

    if not output.is_file() or not output.stat().st_size:
        return
    try:
        is_replaced = is_card(load_json(str(output)))
    except RunFileError:
        is_replaced = False
    if not is_replaced:
        raise UsageError(f"-o {one_line(output, 200)} exists and is not a card; name another file")
