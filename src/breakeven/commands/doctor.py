"""`breakeven doctor`: checks that this machine is fit for timing, and breakeven's measurements on it."""

from __future__ import annotations

import argparse
import sys

import breakeven.hardware.cpus  # noqa: F401 - reads the affinity before torch is loaded
from breakeven.commands.base import NOT_JUDGED, OK, REGRESSED, add_format, show, status

EPILOG = """\
examples:
  breakeven doctor                   what would disturb timing here?
  breakeven doctor --selftest        does breakeven measure correctly?
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

exit codes:
  0  fit; with --selftest, every figure is within its bounds
  1  with --selftest, a figure is out of bounds
  2  bad usage
  3  unfit
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--selftest", action="store_true",
        help="check breakeven on this machine against known results, in under a minute",
    )  # fmt: skip
    add_format(parser, ("terminal", "json"), "format of standard output")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    if arguments.selftest:
        return _selftest(arguments)
    from breakeven.doctor import facts, output, rules

    found = rules.examine(facts.read_facts())
    if arguments.format == "json":
        sys.stdout.write(output.checkup_json(found))
    else:
        show(output.checkup_renderables(found))
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
