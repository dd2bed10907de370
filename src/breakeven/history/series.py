"""Turns the tracks of a store into series: time, peak memory, break-even batch, largest batch.

A run without a value is a gap in its series: the case was not measured, the devices do not cross, or no batch
ran out of memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from breakeven.case import CaseKey, Model
from breakeven.device_names import choose_baseline, device_order
from breakeven.history.query import Track, TrackOutcome
from breakeven.phases import HEADLINE
from breakeven.stats.crossing import CrossingStatus, gaps_before, last_crossing

Array = NDArray[np.float64]


class Quantity(StrEnum):
    """The quantity in a series."""

    TIME = "time"
    MEMORY = "peak memory"
    BREAK_EVEN = "break-even batch"
    LARGEST = "largest batch that fits"

    @property
    def worse(self) -> int:
        """1 if a larger value is worse, -1 if a smaller one is."""
        return -1 if self is Quantity.LARGEST else 1


@dataclass(frozen=True)
class Series:
    """One quantity of one case over the runs of one machine class.

    `run` holds ascending indices into the archive's runs, `values` the quantity there, finite and above 0.
    A break-even also has its `status` in each of the runs `status_run`: crosses, always or never.
    `is_headline` is whether it is the time of the headline phase, which is watched first.
    """

    class_id: str
    quantity: Quantity
    case: str
    run: NDArray[np.intp]
    values: Array
    status_run: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=int))
    status: tuple[CrossingStatus, ...] = ()
    is_headline: bool = False

    @property
    def worse(self) -> int:
        """1 if a larger value is worse, -1 if a smaller one is."""
        return self.quantity.worse

    @property
    def logs(self) -> Array:
        """The logarithms, whose differences are ratios."""
        return np.log(self.values)


def series_of(tracks: Sequence[Track]) -> list[Series]:
    """Return every series with at least one value or status, by quantity, class and case."""
    found = [
        _series(
            track.class_id,
            Quantity.TIME,
            track.case,
            track.run,
            track.time_s,
            is_headline=track.key is not None and track.key.phase == HEADLINE,
        )
        for track in tracks
    ]
    found += [
        _series(
            track.class_id,
            Quantity.MEMORY,
            f"{Quantity.MEMORY} of {track.case}",
            track.run,
            track.peak_memory_bytes,
        )
        for track in tracks
    ]
    for (class_id, model), members in _by_model(tracks).items():
        found += _break_evens(class_id, model, members)
        found += _largest(class_id, model, members)
    return [series for series in found if len(series.run) or series.status]


def _series(
    class_id: str, quantity: Quantity, case: str, run: NDArray[np.intp], values: Array, **facts: Any
) -> Series:
    known = np.isfinite(values) & (values > 0)
    return Series(class_id, quantity, case, run[known], values[known], **facts)


def _by_model(tracks: Iterable[Track]) -> dict[tuple[str, Model], dict[CaseKey, Track]]:
    """Return the tracks of the headline phase, by class id and model."""
    models: dict[tuple[str, Model], dict[CaseKey, Track]] = {}
    for track in tracks:
        if track.key is not None and track.key.phase == HEADLINE:
            models.setdefault((track.class_id, track.key.model), {})[track.key] = track
    return models


def _name(quantity: Quantity, model: Model, devices: str) -> str:
    head = f"{quantity} of {model.workload} {HEADLINE} {devices}"
    return f"{head} {model.axes}" if model.axes else head


def _break_evens(class_id: str, model: Model, tracks: Mapping[CaseKey, Track]) -> Iterator[Series]:
    """Yield the break-even of every device with the baseline, interpolated as in a report."""
    timed = {key.device for key, track in tracks.items() if np.isfinite(track.time_s).any()}
    devices = sorted(timed, key=device_order)
    baseline = choose_baseline(devices)
    runs = _runs_of(tracks.values())
    for candidate in devices:
        if baseline is None or baseline == candidate:
            continue
        batches = sorted({key.batch_size for key in tracks if key.device in (baseline, candidate)})
        times = [_grid(tracks, device, batches, runs) for device in (baseline, candidate)]
        crossing, statuses = _crossings(np.array(batches, dtype=float), *times)
        known = [i for i, status in enumerate(statuses) if status]
        yield _series(
            class_id,
            Quantity.BREAK_EVEN,
            _name(Quantity.BREAK_EVEN, model, f"{candidate} over {baseline}"),
            runs,
            crossing,
            status_run=runs[known],
            status=tuple(status for status in statuses if status),
        )


def _runs_of(tracks: Iterable[Track]) -> NDArray[np.intp]:
    return np.unique(np.concatenate([track.run for track in tracks]))


def _grid(
    tracks: Mapping[CaseKey, Track], device: str, batches: Sequence[int], runs: NDArray[np.intp]
) -> Array:
    """Return a device's times, shape (runs, batches), NaN where unknown."""
    grid = np.full((len(runs), len(batches)), np.nan)
    for key, track in tracks.items():
        if key.device == device:
            grid[np.searchsorted(runs, track.run), batches.index(key.batch_size)] = track.time_s
    return grid


def _crossings(
    batches: Array, baseline: Array, candidate: Array
) -> tuple[Array, list[CrossingStatus | None]]:
    """Return where each run crosses, NaN if it does not, and its status, None if unknown.

    Runs with the same batch sizes are computed together. A batch size that only one device has is a hole; a
    crossing there is unknown.
    """
    lead = baseline - candidate
    known = np.isfinite(lead)
    holes = np.isfinite(baseline) ^ np.isfinite(candidate)
    crossing = np.full(len(lead), np.nan)
    statuses: list[CrossingStatus | None] = [None] * len(lead)
    for pattern in np.unique(np.hstack([known, holes]), axis=0):
        both, hole = np.split(pattern, 2)
        if not both.any():
            continue
        rows = np.flatnonzero((known == both).all(axis=1) & (holes == hole).all(axis=1))
        found, starts = last_crossing(batches[both], lead[np.ix_(rows, np.flatnonzero(both))])
        in_hole = gaps_before(batches[both], [int(batch) for batch in batches[hole]])[starts]
        for row, at, is_unknown in zip(rows, found, in_hole, strict=True):
            if at == -np.inf:
                statuses[row] = CrossingStatus.ALWAYS
            elif at == np.inf:
                statuses[row] = CrossingStatus.NEVER
            elif not is_unknown:
                statuses[row], crossing[row] = CrossingStatus.CROSSES, at
    return crossing, statuses


def _largest(class_id: str, model: Model, tracks: Mapping[CaseKey, Track]) -> Iterator[Series]:
    """Yield each device's largest timed batch size, in runs where a larger one ran out of memory."""
    runs = _runs_of(tracks.values())
    for device in dict.fromkeys(key.device for key in tracks):
        fits, too_large = np.zeros(len(runs)), np.zeros(len(runs))
        for key, track in tracks.items():
            if key.device == device:
                at = np.searchsorted(runs, track.run)
                timed, oom = (at[track.outcome == one] for one in (TrackOutcome.TIMED, TrackOutcome.OOM))
                fits[timed] = np.maximum(fits[timed], key.batch_size)
                too_large[oom] = np.maximum(too_large[oom], key.batch_size)
        values = np.where(too_large > fits, fits, np.nan)
        yield _series(class_id, Quantity.LARGEST, _name(Quantity.LARGEST, model, device), runs, values)
