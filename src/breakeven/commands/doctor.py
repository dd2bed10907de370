"""`breakeven doctor`: checks that this machine is fit for timing, and breakeven's measurements on it."""

from __future__ import annotations

import argparse
import sys

import breakeven.hardware.cpus  # noqa: F401 - reads the affinity before torch is loaded
from breakeven.commands.arguments import file_path
from breakeven.commands.base import NOT_JUDGED, OK, REGRESSED, add_format, notify, show, status
from breakeven.errors import UsageError

CLASS = object()
"""The value of ``--against`` without one: the card of this machine's class."""

EPILOG = """\
examples:
  breakeven doctor                   what would disturb timing here?
  breakeven doctor --selftest        does breakeven measure correctly?
  breakeven doctor --against h100-16core
                                     is this H100 as fast as others?
  breakeven doctor --against         the same for the class of this machine
  breakeven doctor --format json     for programs, such as a CI job

A machine is unfit if something makes times wrong: another process uses more
than 10% of a core, or uses the GPU; throttling; a CPU quota that is not a whole
number of CPUs; one thread on several CPUs; a governor that fixes the lowest
clock; OpenMP threads that spin while other processes need the cores; a debug
build; tracing; synchronous CUDA launches; a device that does not start. Other
findings are noted, hints name what may make the CPU faster (threads, NUMA,
allocator), and unreadable facts are listed; the machine is then still fit. The
command changes no settings.

--selftest times a wait of known length and an empty phase with
pytest-benchmark, measures a simulated asynchronous device, and computes
statistics of seeded noise. It shows each figure with its bounds.

--against times probe steps on the accelerator, in up to three processes and
about half a minute, and compares four numbers with those of a card: the host's
time to launch an operator, arithmetic in each format, memory, and copies from
the host. The card is one that comes with breakeven (`breakeven predict` lists
them), a card file, a run file of another machine or day, or by default the one
of this machine's class, its host included. A number is inside if the card
predicts it: in 9 of 10 cases that is so on a normal machine, so repeat before
you conclude from a single number. Compare on an idle machine.

exit codes:
  0  fit; with --selftest, every figure is within its bounds; with --against,
     no number is slower than the card predicts
  1  with --selftest, a figure is out of bounds
  2  bad usage, or a card that cannot be used
  3  unfit; with --against, a number is slower, or nothing can be compared: no
     accelerator, or no card of its class
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--selftest", action="store_true",
        help="check breakeven on this machine against known results, in under a minute",
    )  # fmt: skip
    parser.add_argument(
        "--against", nargs="?", const=CLASS, type=file_path, metavar="CARD",
        help="compare the speed of this machine's accelerator with a card: its name, its file, or a run file "
        "(default: no comparison; without CARD, with that of this machine's class)",
    )  # fmt: skip
    add_format(parser, ("terminal", "json"), "format of standard output")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    if arguments.selftest and arguments.against is not None:
        raise UsageError("--selftest and --against check different things; give one of them at a time")
    if arguments.selftest:
        return _selftest(arguments)
    if arguments.against is not None:
        return _against(arguments)
    from breakeven.doctor import facts, output, rules

    found = rules.examine(facts.read_facts())
    if arguments.format == "json":
        sys.stdout.write(output.checkup_json(found))
    else:
        show(output.checkup_renderables(found))
    return OK if found.fit else NOT_JUDGED


def _against(arguments: argparse.Namespace) -> int:
    from breakeven.commands.find_card import find_card
    from breakeven.doctor import against, against_output
    from breakeven.experiment.shell import stopping_on_signals
    from breakeven.hardware.devices import accelerator_kind
    from breakeven.hardware.machine import class_facts
    from breakeven.predict.cards import card_of_class, differing_hardware

    if accelerator_kind() is None:
        notify("nothing to compare: torch sees no accelerator here; run this on a machine that has one")
        return NOT_JUDGED
    machine = class_facts()
    given = arguments.against
    card = card_of_class(machine) if given is CLASS else find_card(given, option="--against")
    if card is None:
        notify(
            f"nothing to compare: no card that comes with breakeven is of this class ({machine.get('gpu')}, "
            f"{machine.get('cpu')}, {machine.get('cores')} cores); name one with --against, or a run file"
        )
        return NOT_JUDGED
    differences = differing_hardware(card, machine)
    warnings = [f"the card is of other hardware: {'; '.join(differences)}"] if differences else []
    with stopping_on_signals(), status("probe steps") as shown:  # no process is left over
        found = against.compare_with(
            card, warnings, starting=lambda number: shown.update(f"probe steps, process {number + 1}")
        )
    if arguments.format == "json":
        sys.stdout.write(against_output.against_json(found))
    else:
        show(against_output.against_renderables(found))
    return OK if found.fit else NOT_JUDGED


def _selftest(arguments: argparse.Namespace) -> int:
    from breakeven.doctor import output, selftests
    from breakeven.doctor.selftests import suite

    with status("self-test") as shown:
        result = suite.run_selftests(
            selftests.SELF_TESTS, starting=lambda name: shown.update(f"self-test: {name}")
        )
    if arguments.format == "json":
        sys.stdout.write(output.selftest_json(result))
    else:
        show(output.selftest_renderables(result))
    return OK if result.passed else REGRESSED
