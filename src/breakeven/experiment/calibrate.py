"""One command again and again: the course of `breakeven calibrate`."""

from __future__ import annotations

from collections.abc import Callable

from breakeven.compare.noise_floor import check_one_class
from breakeven.experiment.run_command import Recorder
from breakeven.experiment.schedule import duration
from breakeven.format import plural
from breakeven.runs.readings import Run


def repeat(recorder: Recorder, command: str, count: int, say: Callable[[str], None]) -> list[Run]:
    """Return so many runs of the command; those that lie in the folder are not measured again.

    Raises:
        BreakevenError: the command failed, or the machine class is not the same in all runs.
        KeyboardInterrupt: what was measured stays.
    """
    folder = recorder.folder
    if folder.runs:
        say(
            f"going on in {folder.path}: {plural(len(folder.runs), 'whole run')} from "
            f"{folder.plan['started']} on count; --fresh measures anew"
        )
    else:
        say(f"{plural(count, 'run')} of the same command; the time left is told after each")
    runs: list[Run] = []
    spent_s: list[float] = []
    for number in range(1, count + 1):
        name = f"run-{number:02}"
        is_new = name not in folder.runs
        if is_new:
            recorder.record(name, f"the command in run {number} of {count}", command, {}, runs)
        runs.append(folder.read(name))
        spent_s.append(folder.runs[name]["seconds"])
        if is_new:
            left_s = (count - number) * sum(spent_s) / len(spent_s)
            left = f"; about {duration(left_s)} left" if number < count else ""
            say(f"run {number} of {count}: {duration(spent_s[-1])}{left}")
        check_one_class(runs)  # better told after two runs than after ten
    return runs
