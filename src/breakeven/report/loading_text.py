"""What bounds an epoch as sentences: the speedup of a step beside that of an epoch, and what would help."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from breakeven import format as fmt
from breakeven.case import CaseKey
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.report.loading import EpochBound, Loading, worst_of
from breakeven.report.speedup import Speedup
from breakeven.report.text import ModelNames, place_name, times_text
from breakeven.runs.machine import Machine

_BOUNDS = {
    EpochBound.LOADER: "the loader bounds",
    EpochBound.STEP: "the step bounds",
    EpochBound.NEITHER: "neither the loader nor the step is shown to bound",
}

Speedups = Mapping[CaseKey, Speedup]


def loading_sentences(
    found: Sequence[Loading], speedups: Iterable[Speedup], machines: Sequence[Machine], models: ModelNames
) -> list[str]:
    """Return a sentence for each model and device on what bounds its epoch, then those on starting a pass.

    The cell is the one whose epoch the loader slows most.
    """
    rows = {row.candidate: row for row in speedups}
    lines = [group for _, group in grouped((row.key.line, row) for row in found).items()]
    worst = sorted(map(worst_of, lines), key=lambda row: row.key.device in _baselines(rows))
    hosts = grouped(((row.key.model, row.key.machine), row) for row in found if row.starts_long)
    starts = [max(group, key=lambda row: row.start_share or 0.0) for group in hosts.values()]
    names = {row.key: place_name(row.key.device, row.key.machine, machines) for row in found}
    return [
        *(f"{_place(row, models)}: {_of_device(row, rows, names[row.key])}." for row in worst),
        *(f"{_place(row, models)}: {_start(row)}." for row in starts),
    ]


def amdahl_texts(row: Loading, speedups: Speedups, device: str) -> Iterator[str]:
    """Yield clauses on a candidate whose epoch the loader bounds, from the longest; none for another one."""
    speeds = _speeds(row, speedups)
    if row.bound is not EpochBound.LOADER or not speeds:
        return
    text = f"at batch {fmt.batch_size(row.key.batch_size)} {speeds}: {_BOUNDS[row.bound]} it"
    yield "; ".join(filter(None, (text, _brief_remedy(row, device))))
    yield text


def start_text(row: Loading) -> str:
    """Return what starting a pass over the data takes, and of how much of it; empty where it is unknown.

    >>> from breakeven.stats.intervals import RatioInterval
    >>> unknown = RatioInterval(None, None, None)
    >>> row = Loading(CaseKey.of("mlp", 8, "epoch", "cpu"), 0.1, 0.2, 0.2, unknown, None, 2, 8, 5.0, 100)
    >>> start_text(row), start_text(replace(row, batches=None)), start_text(replace(row, start_s=None))
    ('5.00 s, 20% of a pass', '5.00 s', '')
    """
    if row.start_s is None:
        return ""
    share = "" if row.start_share is None else f", {fmt.percent(row.start_share)} of a pass"
    return f"{fmt.seconds(row.start_s)}{share}"


def _baselines(rows: Speedups) -> set[str]:
    return {row.baseline.device for row in rows.values()}


def _place(row: Loading, models: ModelNames) -> str:
    return f"{models[row.key.model]} at batch {fmt.batch_size(row.key.batch_size)}"


def _of_device(row: Loading, rows: Speedups, device: str) -> str:
    """Return what bounds the epoch on a device, which its speedups name, and what would help."""
    speeds = _speeds(row, rows)
    head = f"{speeds} on {device}" if speeds else f"on {device} {_times(row)}"
    bound = "" if row.bound is None else f": {_BOUNDS[row.bound]} {'it' if speeds else 'the epoch'}"
    return f"{head}{bound}{_remedy(row, device)}"


def _speeds(row: Loading, rows: Speedups) -> str:
    """Return by how much the step and the epoch are faster, empty where one of them was not compared."""
    step, epoch = (rows.get(replace(row.key, phase=phase)) for phase in (HEADLINE, row.key.phase))
    if step is None or epoch is None or not step.speedup or not epoch.speedup:
        return ""
    one, other = _speed(step.speedup), _speed(epoch.speedup)
    word = f" {one[1]}" if one[1] != other[1] else ""
    return f"the step is {one[0]} {one[1]}, the epoch {other[0]}{f' {other[1]}' if word else ''}"


def _speed(speedup: float) -> tuple[str, str]:
    return (times_text(speedup), "faster") if speedup >= 1 else (times_text(1 / speedup), "slower")


def _times(row: Loading) -> str:
    """Return the seconds of a batch in each of the phases that were timed."""
    parts = (
        ("loading a batch", row.load_s),
        ("training on it", row.train_s),
        ("both in an epoch", row.epoch_s),
    )
    known = [f"{name} takes {fmt.seconds(each_s)}" for name, each_s in parts if each_s is not None]
    return fmt.listed([known[0], *(text.replace(" takes", "") for text in known[1:])])


def _remedy(row: Loading, device: str) -> str:
    """Return what would feed a device that waits for its loader, after a semicolon."""
    brief = _brief_remedy(row, device)
    if not brief:
        return ""
    needed = row.workers_needed or 0
    many = f", and the machine has {row.cpus} CPUs" if row.cpus is not None and needed > row.cpus else ""
    return f"; {brief}{many}"


def _brief_remedy(row: Loading, device: str) -> str:
    needed = row.workers_needed
    if needed is None:
        return ""
    workers = f"{fmt.plural(needed, 'worker')} would feed {device}"
    if row.takes_turns:
        overlaps = "one worker would overlap them" if needed == 1 else workers
        return f"without workers (num_workers=0) loading and training take turns, {overlaps}"
    return workers if row.bound is EpochBound.LOADER else ""


def _start(row: Loading) -> str:
    """Return what starting a pass takes, and what saves it where there are workers to keep."""
    of = f"starting a pass over the data takes {start_text(row)} of {row.batches:,} batches"
    return of if row.takes_turns else f"{of}; persistent_workers=True keeps the workers"
