"""A store's tracks -> the series that are watched: time, peak memory, break-even batch, largest batch.

Owns what each quantity is, how its series is named, and which direction is the bad one. A run that tells
nothing of a quantity is a gap: a case not measured, a pair of devices that does not cross, a model that never
ran out of memory. Judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from breakeven.case import axes_text
from breakeven.device_names import choose_baseline, device_order
from breakeven.history.query import OOM, Track
from breakeven.stats.crossing import gaps_before, last_crossing

Array = NDArray[np.float64]

TIME, MEMORY, BREAK_EVEN, LARGEST = "time", "peak memory", "break-even batch", "largest batch that fits"
WORSE = {TIME: 1, MEMORY: 1, BREAK_EVEN: 1, LARGEST: -1}
"""Every quantity that is watched: 1 where more of it is worse, -1 where less is."""

_WATCHED_PHASE = "train"

_Model = tuple[str, str, str]
"""Class id, workload, axes."""


@dataclass(frozen=True)
class Series:
    """One quantity of one case over the runs of one machine class.

    `run` are ascending indices of the archive's runs, `values` the quantity there, finite and above 0.
    `status` tells of a break-even, for each of `status_run`, ``crosses``, ``always`` or ``never``.
    """

    class_id: str
    quantity: str
    case: str
    run: NDArray[np.intp]
    values: Array
    status_run: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=int))
    status: tuple[str, ...] = ()

    @property
    def worse(self) -> int:
        """1 where more is worse, -1 where less is."""
        return WORSE[self.quantity]

    @property
    def logs(self) -> Array:
        """The logarithms, in which a ratio is a step."""
        return np.log(self.values)


def series_of(tracks: Sequence[Track]) -> list[Series]:
    """Return every series that has a value at all, by class, quantity and name."""
    found = [_series(track.class_id, TIME, track.case, track.run, track.time_s) for track in tracks]
    found += [
        _series(track.class_id, MEMORY, f"{MEMORY} of {track.case}", track.run, track.peak_memory_bytes)
        for track in tracks
    ]
    for model, members in _models(tracks).items():
        found += _break_evens(model, members)
        found += _largest(model, members)
    return [series for series in found if len(series.run) or series.status]


def _series(
    class_id: str, quantity: str, case: str, run: NDArray[np.intp], values: Array, **status: Any
) -> Series:
    known = np.isfinite(values) & (values > 0)
    return Series(class_id, quantity, case, run[known], values[known], **status)


def _models(tracks: Iterable[Track]) -> dict[_Model, list[Track]]:
    models: dict[_Model, list[Track]] = {}
    for track in tracks:
        if track.workload and track.batch_size and track.phase == _WATCHED_PHASE:
            models.setdefault((track.class_id, track.workload, track.axes), []).append(track)
    return models


def _name(quantity: str, model: _Model, devices: str) -> str:
    try:
        axes = axes_text(json.loads(model[2] or "{}"))
    except (ValueError, AttributeError):  # a file of the store that we did not write
        axes = model[2]
    return " ".join(filter(None, (f"{quantity} of {model[1]} {_WATCHED_PHASE} {devices}", axes)))


def _break_evens(model: _Model, tracks: Sequence[Track]) -> Iterator[Series]:
    """Yield the break-even of every candidate against the baseline, as a report interpolates it."""
    devices = sorted({track.device for track in tracks if np.isfinite(track.time_s).any()}, key=device_order)
    baseline = choose_baseline(devices)
    runs = np.unique(np.concatenate([track.run for track in tracks]))
    for candidate in devices:
        if baseline in (None, candidate):
            continue
        batches = sorted({track.batch_size for track in tracks if track.device in (baseline, candidate)})
        times = [_grid(tracks, device, batches, runs) for device in (str(baseline), candidate)]
        crossing, status = _crossings(np.array(batches, dtype=float), *times)
        known = [i for i, word in enumerate(status) if word]
        yield _series(
            model[0],
            BREAK_EVEN,
            _name(BREAK_EVEN, model, f"{candidate} over {baseline}"),
            runs,
            crossing,
            status_run=runs[known],
            status=tuple(status[i] for i in known),
        )


def _grid(tracks: Sequence[Track], device: str, batches: Sequence[int], runs: NDArray[np.intp]) -> Array:
    """Return a device's times, shape (runs, batches), NaN where there is none."""
    grid = np.full((len(runs), len(batches)), np.nan)
    for track in tracks:
        if track.device == device:
            grid[np.searchsorted(runs, track.run), batches.index(track.batch_size)] = track.time_s
    return grid


def _crossings(batches: Array, baseline: Array, candidate: Array) -> tuple[Array, list[str]]:
    """Return where each run crosses, NaN where it does not, and how it stands; empty where nothing is known.

    Runs that know the same batch sizes are reckoned together. A batch size that one device alone knows is a
    hole: no crossing is drawn across it.
    """
    lead = baseline - candidate
    known = np.isfinite(lead)
    holes = np.isfinite(baseline) ^ np.isfinite(candidate)
    crossing = np.full(len(lead), np.nan)
    status = [""] * len(lead)
    for pattern in np.unique(np.hstack([known, holes]), axis=0):
        both, hole = np.split(pattern, 2)
        if not both.any():
            continue
        rows = np.flatnonzero((known == both).all(axis=1) & (holes == hole).all(axis=1))
        found, starts = last_crossing(batches[both], lead[np.ix_(rows, np.flatnonzero(both))])
        in_hole = gaps_before(batches[both], [int(batch) for batch in batches[hole]])[starts]
        for row, at, unknown in zip(rows, found, in_hole, strict=True):
            word = "always" if at == -np.inf else "never" if at == np.inf else "crosses"
            status[row] = "" if unknown and word == "crosses" else word
            crossing[row] = at if status[row] == "crosses" else np.nan
    return crossing, status


def _largest(model: _Model, tracks: Sequence[Track]) -> Iterator[Series]:
    """Yield each device's largest timed batch, in runs where a larger one ran out of memory."""
    runs = np.unique(np.concatenate([track.run for track in tracks]))
    for device in dict.fromkeys(track.device for track in tracks):
        fits, bursts = np.zeros(len(runs)), np.zeros(len(runs))
        for track in tracks:
            if track.device == device:
                at = np.searchsorted(runs, track.run)
                timed = np.isfinite(track.time_s)
                fits[at[timed]] = np.maximum(fits[at[timed]], track.batch_size)
                out = at[track.ended == OOM]
                bursts[out] = np.maximum(bursts[out], track.batch_size)
        values = np.where(bursts > fits, fits, np.nan)
        yield _series(model[0], LARGEST, _name(LARGEST, model, device), runs, values)
