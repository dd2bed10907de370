"""`breakeven doctor`: is this machine fit for timing, and does the harness read truths that it knows."""

from __future__ import annotations

import argparse
import sys

from breakeven.commands.base import NOT_JUDGED, OBJECTION, OK, Command, show, status

_EPILOG = """\
examples:
  breakeven doctor                   before measuring: what would disturb timing
  breakeven doctor --selftest        does breakeven read right on this machine
  breakeven doctor --format json     for programs, such as a CI job

Not fit is what makes numbers wrong: another process that takes more than 10% of
a core, or that is on the GPU; throttling; a quota that splits a CPU; one thread
where there are more CPUs; a governor that pins the lowest clock; OpenMP threads
that spin while somebody else needs the cores; a debug build; tracing;
synchronous launches; a device that does not start. Anything else is noted, and
what cannot be read is listed as such; neither makes a machine unfit. No setting
is ever changed.

--selftest times a spin and an empty phase through pytest-benchmark, reads a
simulated asynchronous device, and puts seeded noise through the statistics:
every figure stands beside what it must be.

exit codes:
  0  fit; with --selftest, every figure is as it must be
  1  a figure of the self-test is not
  2  bad usage
  3  not fit
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--selftest",
        action="store_true",
        help="hold the harness against truths it knows, on this machine, in under a minute",
    )
    parser.add_argument(
        "--format",
        choices=("terminal", "json"),
        default="terminal",
        help="what standard output gets (default: terminal)",
    )


def _run(arguments: argparse.Namespace) -> int:
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
    from breakeven.doctor import output
    from breakeven.doctor.selftests import suite

    with status("self-test") as shown:
        result = suite.run_selftest(starting=lambda name: shown.update(f"self-test: {name}"))
    if arguments.format == "json":
        sys.stdout.write(output.selftest_json(result))
    else:
        show(output.selftest_renderables(result))
    return OK if result.passed else OBJECTION


DOCTOR = Command(
    "doctor",
    "tell whether this machine is fit for timing, and what to mend",
    _EPILOG,
    _add_arguments,
    _run,
)
