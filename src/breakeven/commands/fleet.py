"""`breakeven fleet`: measure a benchmark folder on every machine class of a Ray cluster."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from breakeven.commands import report
from breakeven.commands.arguments import file_path, key_value, whole_number
from breakeven.commands.base import (
    UNUSABLE,
    Parser,
    add_workspace_options,
    in_workspace,
    notify,
    version,
)
from breakeven.errors import UsageError
from breakeven.format import parse_duration, plural

if TYPE_CHECKING:
    from breakeven.experiment.run_command import CommandRunner
    from breakeven.fleet.bundle import Bundle
    from breakeven.fleet.collect import Collector
    from breakeven.fleet.plan import Plan
    from breakeven.fleet.ray_executor import RayExecutor
    from breakeven.fleet.schedule import Executor, Schedule

OUTPUT = "breakeven-fleet"
INSTANCES = 3
WAIT = "5m"

EPILOG = f"""\
examples:
  breakeven fleet bench                       on the Ray cluster that runs, or
                                              on this machine alone
  breakeven fleet bench --address 10.0.0.5:6379 -o out
                                              on another cluster; run files,
                                              logs and the report in out/
  breakeven fleet bench -- -k mlp --breakeven-sweep=smoke
                                              with options of pytest
  breakeven fleet bench --label accelerator=H100 --instances 5
                                              five machines of each class, only
                                              nodes with this label

A cluster takes two commands, on any machines that have breakeven and torch:
  ray start --head --labels accelerator=none           on the first
  ray start --address HEAD:6379 --labels accelerator=H100   on each other

Nodes whose hardware, driver, torch and numeric settings agree are one machine
class: a node with another torch is another class. Up to {INSTANCES} machines of each
class run `python -m pytest FOLDER` at the same time. A run takes a whole node,
in a process with the threads, CPUs and GPUs that a shell there has; a node
where these differ is an error. FOLDER must be below the working directory; its
files are copied to the nodes, with the pytest settings and conftest.py files
above it. Run files have the commit of the working directory.

DIR/CLASS/INSTANCE/ has run.json and run.log of each machine, DIR/report/ one
report on all. Files arrive while they are written: where a node dies, the cases
that it finished stay in the report and another node of its class measures
again. After Ctrl-C the same command resumes.

The report is about these machines. From three machines of a class on, its
intervals cover how much its machines differ. After a fleet without problems,
the same command shows the report again without Ray; another --instances,
--label or --address measures what is missing.

exit codes:
  0    every class was measured
  2    bad usage, no cluster, or a class of which no node could measure
  3    nothing was timed, or the classes do not compare
  130  interrupted; run the same command to resume
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    parser.rest = "pytest"
    parser.usage = "breakeven fleet FOLDER [options] [-- pytest options]"
    parser.add_argument("folder", type=file_path, metavar="FOLDER", help="what `pytest FOLDER` measures")
    parser.add_argument(
        "--address", type=file_path, metavar="HOST:PORT",
        help="the cluster (default: RAY_ADDRESS, the one that runs here, or a new one on this machine)",
    )  # fmt: skip
    parser.add_argument(
        "--label", type=key_value, action="append", default=[], metavar="KEY=VALUE",
        help="use only nodes with this Ray label; repeatable (default: all nodes)",
    )  # fmt: skip
    parser.add_argument(
        "--instances", type=whole_number, default=INSTANCES, metavar="N",
        help=f"the maximum number of machines of each class (default: {INSTANCES})",
    )  # fmt: skip
    parser.add_argument(
        "--wait", default=WAIT, metavar="TIME",
        help=f"how long a run waits for its node to be free (default: {WAIT})",
    )  # fmt: skip
    add_workspace_options(parser, OUTPUT)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from breakeven.fleet.bundle import bundle
    from breakeven.fleet.collect import check_whole

    if arguments.instances < 1:
        raise UsageError(f"--instances {arguments.instances} measures nothing; use at least 1")
    parse_duration(arguments.wait)
    files = bundle(arguments.folder)
    asked = {
        "the task": "fleet",
        "FOLDER": arguments.folder,
        "its content": files.digest[:12],
        "pytest options": arguments.pytest,
    }
    act = partial(_measure, arguments, files)
    return in_workspace(arguments, asked, act, keeps_finished=True, check=check_whole)


def _measure(arguments: argparse.Namespace, files: Bundle, runner: CommandRunner) -> int:
    from pytest_benchmark import utils

    from breakeven.fleet.collect import Collector
    from breakeven.fleet.ray_executor import RayExecutor, connected, load_ray
    from breakeven.fleet.schedule import unmeasured

    plan = runner.workspace.plan
    untyped: Any = utils
    collector = Collector(runner.workspace, untyped.get_commit_info(), resumes=not arguments.fresh)
    chosen = {
        "--address": arguments.address or os.environ.get("RAY_ADDRESS"),
        "--label": [list(label) for label in arguments.label],
        "--instances": arguments.instances,
    }
    if plan.finished and plan.chosen == chosen:
        notify(runner.workspace.finished_message("reported"))
        return _report(arguments, collector)
    if plan.runs:
        plan.finished = False
        notify(runner.workspace.resume_message)
    ray = load_ray()
    command = [Path(arguments.folder).as_posix(), *arguments.pytest]
    with connected(ray, arguments.address, notify):
        executor = RayExecutor(ray, files.archive, command)
        found = _plan(arguments, executor)
        schedule = _schedule(arguments, found, executor, collector)
    missing = list(unmeasured(schedule))
    plan.chosen = {} if missing or schedule.problems or found.problems else chosen
    code = _report(arguments, collector)
    for label in missing:
        notify(f"{label} was not measured")
    return UNUSABLE if missing else code


def _plan(arguments: argparse.Namespace, executor: RayExecutor) -> Plan:
    from breakeven.fleet.plan import plan, select, size_text

    nodes = select(executor.nodes(), dict(arguments.label))
    notify(f"asking {plural(len(nodes), 'Ray node')} for the machine class")
    found = plan(nodes, executor.probes(nodes), version())
    for problem in found.problems:
        notify(problem)
    if not found.classes:
        raise UsageError(f"none of {plural(len(nodes), 'node')} can measure: {found.problems[0]}")
    for places in found.classes.values():
        notify(f"{places[0].machine.label}: {size_text(places)}")
    if len(found.classes) > 1:
        notify(f"{len(found.classes)} machine classes, which differ in {found.difference()}")
    return found


def _schedule(
    arguments: argparse.Namespace, plan: Plan, executor: Executor, collector: Collector
) -> Schedule:
    from rich.console import Console

    from breakeven.fleet.schedule import Schedule
    from breakeven.fleet.table import Display

    schedule = Schedule(
        plan, arguments.instances, executor, collector, monotonic, parse_duration(arguments.wait), notify
    )
    console = Console(stderr=True, highlight=False)
    display = Display(schedule.rows.values, monotonic, notify, console if console.is_terminal else None)
    schedule.changed = display.changed
    with display:
        try:
            schedule.run()
        finally:
            schedule.stop()
    return schedule


def _report(arguments: argparse.Namespace, collector: Collector) -> int:
    """Write one report on every run file, and return the exit code."""
    files = collector.run_files()
    if not files:
        return UNUSABLE
    parser = Parser()
    report.add_arguments(parser)
    given = parser.parse_args([*map(str, files), "--output", str(arguments.output / "report")])
    return report.run(argparse.Namespace(**{**vars(given), "label": _labels(files)}))


def _labels(files: Sequence[Path]) -> list[tuple[str, str]]:
    """Return the hardware of each class as its name, with one of its files; the folders have ids as names."""
    from breakeven.fleet.collect import check_whole
    from breakeven.runs.machine import machine_of, with_unique_labels

    one_each = {file.parent.parent: str(file) for file in files}
    machines = [machine_of(check_whole(Path(file)).machine_info) for file in one_each.values()]
    labels = [machine.label.replace("/", "-") for machine in with_unique_labels(machines)]
    return list(zip(one_each.values(), labels, strict=True)) if len(labels) > 1 else []
