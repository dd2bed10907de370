"""The runs of `breakeven calibrate`: one command, several times."""

from __future__ import annotations

from collections.abc import Callable

from breakeven.compare.noise_floor import check_one_class
from breakeven.experiment.run_command import CommandRunner
from breakeven.format import duration, plural
from breakeven.runs.schema import Run


def run_repeatedly(
    runner: CommandRunner, command: str, count: int, notify: Callable[[str], None]
) -> list[Run]:
    """Return `count` runs of the command; those in the workspace are reused.

    Raises:
        BreakevenError: the command failed, or the machine class is not the same in all runs.
        KeyboardInterrupt: completed runs are kept in the workspace.
    """
    workspace = runner.workspace
    notify(workspace.resume_message if workspace.runs else f"{plural(count, 'run')} of the same command")
    runs: list[Run] = []
    spent_s = 0.0
    for number in range(1, count + 1):
        name = f"run-{number:02}"
        is_new = name not in workspace.runs
        if is_new:
            runs.append(runner.run(name, f"the command in run {number} of {count}", command, {}, runs))
        else:
            runs.append(workspace.read(name))
        seconds = workspace.runs[name].seconds
        spent_s += seconds
        if is_new:
            left_s = (count - number) * spent_s / number
            left = f"; about {duration(left_s)} left" if number < count else ""
            notify(f"run {number} of {count}: {duration(seconds)}{left}")
        check_one_class(runs)  # after each run: fail as early as possible
    return runs
