"""What bounds an epoch as sentences: the speedup of a step beside that of an epoch, and what would help."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from breakeven import format as fmt
from breakeven.case import CaseKey
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.report.loading import LONG_START, EpochBound, Loading, worst_of
from breakeven.report.speedup import DeviceVerdict, Speedup
from breakeven.report.text import ModelNames, place_name, times_text
from breakeven.runs.machine import Machine

_BOUNDS = {
    EpochBound.LOADER: "the loader bounds",
    EpochBound.STEP: "the step bounds",
    EpochBound.NEITHER: "neither the loader nor the step bounds",
}

_UNDECIDED = "the intervals do not show what bounds an epoch"

Speedups = Mapping[CaseKey, Speedup]


def loading_sentences(
    found: Sequence[Loading], speedups: Iterable[Speedup], machines: Sequence[Machine], models: ModelNames
) -> list[str]:
    """Return what bounds the epochs of each candidate's models, and of each baseline, and starting a pass.

    The cell of a model is the one whose epoch the loader slows most.
    """
    rows = {row.candidate: row for row in speedups}
    baselines = {(row.baseline.machine, row.baseline.device) for row in rows.values()}
    lines = grouped((row.key.line, row) for row in found).items()
    worst = [(worst_of(of_line), place_name(line.device, line.machine, machines)) for line, of_line in lines]
    others = [(row, device) for row, device in worst if (row.key.machine, row.key.device) not in baselines]
    at_base = grouped((device, row) for row, device in worst if (row, device) not in others)
    return [
        *(f"{_place(row, models)}: {_of_device(row, rows, device)}." for row, device in others),
        *(f"On {device}, {_of_baseline(of_device, models)}." for device, of_device in at_base.items()),
        *_starts(found, models),
    ]


def amdahl_texts(row: Loading, speedups: Speedups, device: str) -> Iterator[str]:
    """Yield clauses on a candidate whose epoch the loader bounds, from the longest; none for another one."""
    speeds = _speeds(row, speedups)
    if row.bound is not EpochBound.LOADER or not speeds:
        return
    text = f"at batch {fmt.batch_size(row.key.batch_size)} {speeds}: {_BOUNDS[row.bound]} it"
    yield from dict.fromkeys((text + _remedy(row, device), text + _brief_remedy(row, device), text))


def _place(row: Loading, models: ModelNames) -> str:
    return f"{models[row.key.model]} at batch {fmt.batch_size(row.key.batch_size)}"


def _of_device(row: Loading, rows: Speedups, device: str) -> str:
    """Return what bounds the epoch on a device, with its speedups or its times, and what would help."""
    speeds = _speeds(row, rows)
    bound = _UNDECIDED if row.bound is None else f"{_BOUNDS[row.bound]} {'it' if speeds else 'the epoch'}"
    return f"on {device} {speeds or _times(row)}: {bound}{_remedy(row, device)}"


def _speeds(row: Loading, rows: Speedups) -> str:
    """Return by how much the step and the epoch are faster, empty where that is unknown or undecided."""
    step, epoch = (rows.get(replace(row.key, phase=phase)) for phase in (HEADLINE, row.key.phase))
    if step is None or epoch is None or DeviceVerdict.UNDECIDED in (step.verdict, epoch.verdict):
        return ""
    one, other = _speed(step), _speed(epoch)
    word = one.rpartition(" ")[2]
    return f"the step is {one}, the epoch {other.removesuffix(f' {word}') if other[0].isdigit() else other}"


def _speed(row: Speedup) -> str:
    ratio = row.speedup or 1.0
    if row.verdict is DeviceVerdict.SAME:
        return "equally fast"
    return f"{times_text(ratio)} faster" if ratio >= 1 else f"{times_text(1 / ratio)} slower"


def _times(row: Loading) -> str:
    """Return the seconds of a batch in each of the phases that were timed."""
    load, train, epoch = "loading a batch", "training on it", "both in an epoch"
    if row.load_s is None:
        train, epoch = "training on a batch", "loading it too, in an epoch,"
    parts = ((load, row.load_s), (train, row.train_s), (epoch, row.epoch_s))
    known = [f"{name} takes {fmt.seconds(each_s)}" for name, each_s in parts if each_s is not None]
    return fmt.listed([known[0], *(text.replace(" takes", "") for text in known[1:])])


def _remedy(row: Loading, device: str) -> str:
    """Return what would feed a device that waits for its loader, after a semicolon."""
    brief = _brief_remedy(row, device)
    has_too_few = row.cpus is not None and (row.workers_needed or 0) > row.cpus
    return f"{brief}, but the machine has {row.cpus} CPUs" if brief and has_too_few else brief


def _brief_remedy(row: Loading, device: str) -> str:
    needed = row.workers_needed
    if row.bound is EpochBound.LOADER and row.load_s is None:
        return "; the phase load, which was not timed, shows how many workers would feed it"
    if needed is None:
        return ""
    workers = f"{fmt.plural(needed, 'worker')} would feed {device.partition(' (')[0]}"
    if row.takes_turns:
        overlaps = "one worker would overlap them" if needed == 1 else workers
        return f"; with num_workers=0 loading and training take turns, and {overlaps}"
    return f"; {workers}" if row.bound is EpochBound.LOADER else ""


def _of_baseline(found: Iterable[Loading], models: ModelNames) -> str:
    """Return what bounds the epochs of which models on a device that others are compared with."""
    by_bound = grouped((row.bound, models[row.key.model]) for row in found)
    texts = [f"{_BOUNDS[bound]} {_epochs(by_bound[bound])}" for bound in EpochBound if bound in by_bound]
    return "; ".join(texts) or _UNDECIDED


def _epochs(models: Sequence[str]) -> str:
    return f"the epoch of {models[0]}" if len(models) == 1 else f"the epochs of {len(models)} models"


def _starts(found: Iterable[Loading], models: ModelNames) -> Iterator[str]:
    """Yield how long starting a pass takes where that is longest, and what saves it."""
    long = [row for row in found if row.starts_long]
    if long:
        row = max(long, key=lambda one: one.start_share or 0.0)
        cells = len({one.key.cell for one in long}) - 1
        more = (
            f", and more than {fmt.percent(LONG_START)} in {fmt.plural(cells, 'more cell')}" if cells else ""
        )
        kept = "; persistent_workers=True keeps the workers" if row.workers else ""
        yield (
            f"{_place(row, models)}: starting a pass over the data takes {fmt.seconds(row.start_extra_s)}, "
            f"{fmt.percent(row.start_share or 0.0)} of a pass of {row.batches:,} batches{more}{kept}."
        )
