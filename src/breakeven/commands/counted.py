"""What each cell of run files does in a training step: as they record it, or counted from the benchmarks."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from breakeven.case import Cell
from breakeven.commands.base import notify, status
from breakeven.commands.bench_paths import REMEDY, BenchPaths, as_argument, given_paths, paths_in
from breakeven.device_names import processes_of
from breakeven.experiment.count_request import MAX_S, VARIABLE, CountRequest
from breakeven.experiment.shell import Executor, Job, run_in_shell, stopping_on_signals
from breakeven.format import one_line, plural
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.predict.work import CellCounts
from breakeven.runs.json_files import mapping, parsed
from breakeven.runs.reader import Runs
from breakeven.runs.schema import CaseFacts, Run
from breakeven.temporary import ScratchDirectory

POLL_S = 0.3

FactsOrWhy = CaseFacts | str
"""The facts of a step, or one line that states why they are unknown."""


def counted(runs: Runs, bench: str | None = None, execute: Executor | None = None) -> CellCounts:
    """Return the counts of the cells whose training step was timed.

    Cells without counts in their run files are counted from the benchmarks, in a pytest process.

    Args:
        runs: the run files.
        bench: a folder or a file of benchmarks; None for those that each run's command names.
        execute: runs that process; by default in a shell, with its output in a log.

    Raises:
        UsageError: `bench` does not exist.
        KeyboardInterrupt: the process was stopped.
    """
    given = None if bench is None else given_paths(bench)
    steps = [step for run in runs.runs for step in _steps(run)]
    answers: dict[Cell, FactsOrWhy] = {}
    for cell, facts, _ in steps:
        known = facts.operators_unknown if facts.operators is None else facts
        if known is not None and not isinstance(answers.get(cell), CaseFacts):
            answers[cell] = known
    missing = dict.fromkeys((given or run, cell) for cell, _, run in steps if cell not in answers)
    for source, cells in grouped(missing).items():
        place = source if isinstance(source, BenchPaths) else _place(source)
        left = [cell for cell in cells if not isinstance(answers.get(cell), CaseFacts)]
        if isinstance(place, str):
            answers |= dict.fromkeys(left, place)
        elif left:
            answers |= _counted_in(place, left, execute or partial(run_in_shell, notify=notify))
    return CellCounts(
        {cell: answer for cell, answer in answers.items() if isinstance(answer, CaseFacts)},
        {cell: answer for cell, answer in answers.items() if isinstance(answer, str)},
    )


def _steps(run: Run) -> Iterator[tuple[Cell, CaseFacts, Run]]:
    """Yield the cells whose training step was timed on one device, which trains all of its batch."""
    for case in run.cases.values():
        key = case.key
        if key is not None and key.phase == HEADLINE and processes_of(key.device) is None:
            yield key.cell, case.facts, run


def _place(run: Run) -> BenchPaths | str:
    place = paths_in(run.command)
    if place is not None:
        return place
    made = f"its command is {one_line(run.command, 80)!r}" if run.command else "it records no command"
    return f"{one_line(run.path, 200)} has no counts, and its benchmarks are not here ({made}); {REMEDY}"


def _counted_in(place: BenchPaths, cells: list[Cell], execute: Executor) -> dict[Cell, FactsOrWhy]:
    models = plural(len({cell.model for cell in cells}), "model")
    notify(f"counting what a step does in {plural(len(cells), 'cell')} of {models}, from {place.label()}")
    plain = {cell: _without_weak(cell) for cell in cells}
    answers: dict[Cell, FactsOrWhy] = {}
    while left := [cell for cell in dict.fromkeys(plain.values()) if cell not in answers]:
        answers |= _in_process(place, left, execute)
    return {cell: answers[plain[cell]] for cell in cells}


def _in_process(place: BenchPaths, cells: Sequence[Cell], execute: Executor) -> dict[Cell, FactsOrWhy]:
    """Return the answers of one process; where it died, those of the other functions are missing."""
    with closing(ScratchDirectory()) as scratch:
        request = CountRequest(scratch.path)
        request.write(cells)
        log = scratch.path / "log"
        job = Job(_command(place), log, request.answers, {VARIABLE: str(scratch.path), "BREAKEVEN_CASES": ""})
        with stopping_on_signals(), _progress(request, len(cells)):
            code = execute(job)
        answers = _read(request, cells)
        number, is_late = request.interrupted()
        problem = f"pytest ended with exit code {code} before it was counted{_last_error(log)}"
    if is_late:
        problem = f"counting it took longer than {MAX_S:.0f} s"
    is_known = number is not None and number < len(cells) and cells[number] not in answers
    lost = [one for one in cells if not is_known or one.workload == cells[number or 0].workload]
    return dict.fromkeys(lost, problem) | answers


def _without_weak(cell: Cell) -> Cell:
    """Return the cell as its function is called, which has no argument for the axis of a weak sweep."""
    return Cell(cell.workload, cell.model.without_weak.axes, cell.batch_size)


def _command(place: BenchPaths) -> str:
    # Warnings of the user's code, which a project may turn into errors, are shown by a run.
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        "-W",
        "ignore",
        "--continue-on-collection-errors",
        "--maxfail=0",
    ]
    line = shlex.join([*pytest, *map(as_argument, place.paths)])
    if place.directory == ".":
        return line
    return f"cd {shlex.quote(str(Path(place.directory).resolve()))} && {line}"


def _read(request: CountRequest, cells: Sequence[Cell]) -> dict[Cell, FactsOrWhy]:
    """Return the answer of each cell that has one; a line that a crash cut off, or of others, is none."""
    answers: dict[Cell, FactsOrWhy] = {}
    indices = dict(enumerate(cells))
    for line in request.lines():
        with suppress(ValueError, TypeError):  # TypeError: no index can be hashed
            found = mapping(parsed(line))
            cell = indices.get(found.get("cell", -1))
            facts = CaseFacts.of(mapping(found.get("facts")))
            why = found.get("unknown", facts.operators_unknown)
            if cell is not None:
                answers[cell] = facts if why is None else one_line(why, 400)
    return answers


def _last_error(log: Path) -> str:
    """Return the last error that pytest printed, or else its last line."""
    try:
        text = log.read_bytes()[-4000:].decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E  ", "ERROR", "INTERNALERROR"))]
    last = (errors or lines)[-1:]
    return "".join(f": {one_line(line.removeprefix('E  ').strip(), 200)}" for line in last)


@contextmanager
def _progress(request: CountRequest, total: int) -> Iterator[None]:
    """Show how many cells have an answer, on a terminal."""
    ended = threading.Event()

    def follow(update: Callable[[str], Any]) -> None:
        while not ended.wait(POLL_S):
            update(f"counted {len(request.lines())} of {total} cells")

    with status(f"counted 0 of {total} cells") as shown:
        thread = threading.Thread(target=follow, args=(shown.update,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
