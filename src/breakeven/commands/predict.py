"""`breakeven predict`: a run of this CPU, and cards -> the training steps of machines that are not here."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import starmap
from typing import TYPE_CHECKING, Any

from breakeven.commands.arguments import directory_path, file_path, price, whole_number
from breakeven.commands.base import NOT_JUDGED, OK, add_format, notify, print_line, show, version
from breakeven.commands.compare import append_to_summary
from breakeven.commands.find_card import find_card
from breakeven.errors import UsageError
from breakeven.format import joined, one_line

if TYPE_CHECKING:
    from breakeven.predict.cards import Card
    from breakeven.predict.prediction import Predictions

MAX_STEPS = 10**12
"""More steps are a mistake: at a microsecond each they take 11 days."""

EPILOG = """\
examples:
  breakeven predict                           list the machines that can be
                                              predicted
  breakeven predict run.json --on h100-16core from which batch size would that
                                              GPU beat this CPU?
  breakeven predict bench_mine.py --on h100-16core
                                              measure on this CPU first; under
                                              two minutes for a small model
  breakeven predict run.json --on h100-16core,h200-16core
                                              two machines; --on can be repeated
  breakeven predict run.json --on card.json   a card that `breakeven card` wrote
  breakeven predict run.json --on their.json  a run of the machine, from which a
                                              card is made
  breakeven predict run.json --on h100-16core --steps 200000 \\
    --price cpu=0.20/h --price h100-16core=2.00/h
                                              hours and dollars of a training,
                                              and from where on it is cheaper

The CPU is measured and never predicted. The accelerator's training step is
predicted from what the step does (counted without a GPU) and from a card: a few
rates of a machine that was measured. Every prediction has a 90% band, and every
break-even is a range of batch sizes. Where the band includes 1x, the answer is
to measure: what to rent for how many minutes is printed. A prediction is never
compared with runs, and never enters a history.

A run file without counts gets them from the benchmarks of the same names: those
of the command that made it, or --bench DIR. They are executed, with the axes of
the file as arguments. A file can only name benchmarks inside the working
directory, and no options: predict files of others where you trust what is
there.
Options of pytest for a measurement follow --, as in
`predict bench_mine.py --on h100-16core -- -k mlp`.

exit codes:
  0  written, also when cells are undecided
  2  bad usage, or a file that cannot be used
  3  nothing could be predicted
"""


def _renderer(name: str) -> Any:
    return import_module(f"breakeven.render.predict_{name}")


def _show_markdown(text: str) -> None:
    sys.stdout.write(text)
    append_to_summary(f"{text}\n")


FORMATS: dict[str, Callable[[Predictions], object]] = {
    "terminal": lambda found: show(_renderer("terminal").renderables(found)),
    "json": lambda found: sys.stdout.write(_renderer("data").to_json(found)),
    "csv": lambda found: sys.stdout.write(_renderer("data").to_csv(found)),
    "markdown": lambda found: _show_markdown(_renderer("markdown").to_markdown(found)),
}
"""The values of ``--format``, each with the function that writes a prediction to standard output."""

CARD_FORMATS: dict[str, Callable[[Sequence[Card]], object]] = {
    "terminal": lambda cards: show(_renderer("terminal").cards(cards)),
    "json": lambda cards: sys.stdout.write(_renderer("data").cards_json(cards)),
    "csv": lambda cards: sys.stdout.write(_renderer("data").cards_csv(cards)),
    "markdown": lambda cards: sys.stdout.write(_renderer("markdown").cards_markdown(cards)),
}
"""Likewise for the cards that are listed without ``--on``."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.rest = "pytest"  # type: ignore[attr-defined]  # of breakeven.commands.base.Parser
    parser.add_argument(
        "runs", nargs="*", type=file_path, metavar="RUN",
        help="run files of one machine whose CPU was measured; or a benchmark file or folder, which is "
        "measured on this CPU first",
    )  # fmt: skip
    parser.add_argument(
        "--on", type=file_path, action="append", default=[], metavar="MACHINE",
        help="what to predict: the name of a card that comes with breakeven, a card file, or a run file of "
        "the machine; repeatable, names also separated by commas (default: list the cards)",
    )  # fmt: skip
    parser.add_argument(
        "--bench", type=file_path, metavar="DIR",
        help="the benchmarks of a run file without counts (default: those of the command that made it)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=directory_path, metavar="DIR",
        help="also write a page, the chart, and predictions.json, .csv and .md into this directory (default: "
        "print only)",
    )  # fmt: skip
    parser.add_argument(
        "--baseline", metavar="[MACHINE/]DEVICE",
        help="the measured CPU that all is compared with (default: cpu, or the one with the most threads)",
    )  # fmt: skip
    parser.add_argument(
        "--price", type=price, action="append", default=[], metavar="NAME=USD/h",
        help="what the CPU or a machine costs, such as cpu=0.20/h and h100-16core=2.00/h (repeatable): adds "
        "from which batch size a machine is cheaper (default: no prices)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=training_steps, metavar="N",
        help="also predict the hours of a training of N steps, and its dollars with --price (default: none)",
    )  # fmt: skip
    add_format(parser, tuple(FORMATS))


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Raises:
        UsageError: a machine is unknown or named twice; and as the functions it calls.
    """
    from breakeven.commands.bench_paths import pytest_arguments
    from breakeven.commands.counted import counted
    from breakeven.commands.measured import measured
    from breakeven.predict.cards import all_shipped
    from breakeven.predict.costs import check_names
    from breakeven.predict.prediction import predict
    from breakeven.report.money import Price
    from breakeven.report.report import analyze
    from breakeven.runs import reader

    if not arguments.on:
        cards = all_shipped()
        CARD_FORMATS[arguments.format](cards)
        what = shlex.quote(one_line((*arguments.runs, "bench_mine.py")[0], 200))
        notify(f"to predict one: breakeven predict {what} --on {cards[0].name}")
        return OK
    if not arguments.runs:
        raise UsageError(
            "nothing to predict: give a run file of this CPU, or a benchmark file, as in `breakeven predict "
            f"bench_mine.py --on {one_line(arguments.on[0], 100)}`"
        )
    prices = tuple(starmap(Price, arguments.price))
    cards = _cards(arguments.on, arguments.bench)  # a wrong name must not cost a measurement
    check_names(prices, cards)
    runs = reader.read(measured(arguments.runs, arguments.pytest))
    found = predict(
        analyze(runs),
        counted(runs, arguments.bench),
        cards,
        prices=prices,
        steps=arguments.steps,
        baseline=arguments.baseline,
        pytest=pytest_arguments(runs.runs, arguments.bench),
        warnings=runs.warnings,
    )
    FORMATS[arguments.format](found)
    if arguments.output is not None:
        from breakeven.render.predict_files import write_prediction

        written = write_prediction(found, arguments.output, version())
        stream = sys.stdout if arguments.format == "terminal" else sys.stderr
        *others, page = written
        names = ", ".join(path.name for path in others)
        print_line(f"written to {arguments.output}{os.sep}: {names}", stream)
        print_line(f"the page: {page}", stream)
    return OK if found.cells else NOT_JUDGED


def training_steps(text: str) -> int:
    """Read the number of steps of a training.

    >>> training_steps("200000"), training_steps("200_000")
    (200000, 200000)
    """
    steps = whole_number(text)
    if not 1 <= steps <= MAX_STEPS:
        raise argparse.ArgumentTypeError(
            f"{text[:40]} is not a number of steps from 1 to {MAX_STEPS:,}; pass one such as 200000"
        )
    return steps


def _cards(named: Sequence[str], bench: str | None) -> list[Card]:
    """Return the card of each machine that ``--on`` names."""
    from breakeven.predict.rent import cases_file

    names = [
        name
        for text in named
        for name in ([text] if os.path.exists(text) else filter(None, text.split(",")))  # noqa: PTH110 - any text
    ]
    if not names:
        raise UsageError(
            f"--on {one_line(','.join(named), 80)!r} names no machine; `breakeven predict` lists some"
        )
    cards = [find_card(name.strip(), bench) for name in names]
    files = [cases_file(card).lower() for card in cards]  # of alike names, one would replace the other's
    if twice := [card.name for card, file in zip(cards, files, strict=True) if files.count(file) > 1]:
        named = one_line(joined(list(dict.fromkeys(twice))), 160)
        raise UsageError(
            f"--on: two machines are named {named}; give each once, or change the `name` in a card's file"
        )
    return cards
