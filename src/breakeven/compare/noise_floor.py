"""The noise floor of a machine class: how times vary between runs of the same code.

`breakeven calibrate` stores it, one JSON file for each class, and `breakeven compare` judges single runs by
it. The file has the median of every case in every run, so that every estimate can be computed again; of a
run of several processes it has a list, the median of each. They share the state of the machine at that time,
so that a run is one replicate, however many processes it has.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import nctdtrinc, stdtrit

from breakeven.case import SCHEMA
from breakeven.compare.machine_class import difference_text
from breakeven.errors import DifferentMachinesError, RunFileError, UsageError
from breakeven.files import write_whole
from breakeven.format import one_line, plural
from breakeven.runs.json_files import Place, load_json, mapping
from breakeven.runs.look import problems_of
from breakeven.runs.machine import Machine, agree, differences
from breakeven.runs.schema import NO_TIME, CaseResult, Run, is_time
from breakeven.stats.empirical_bayes import pooled_df
from breakeven.stats.regression import ALPHA, MAX_DF, CaseNoise, estimate_noise, posterior_variances
from breakeven.stats.verdict import THRESHOLD

Array = NDArray[np.float64]

POWER = 0.8
"""The probability with which a detectable change is detected."""

CHANGED_SHARE = 0.05
"""The share of cases that are assumed to change at once."""

UNKNOWN_CLASS = "unknown"
"""The class id of runs that do not record one."""

_MAX_DF = 1e4
"""With more degrees of freedom the noncentral t distribution is normal to four digits."""

_CALIBRATE = "calibrate again with `breakeven calibrate`"

MedianS = float | list[float | None] | None
"""The median of a case in one run, or a list with one for each of its processes; None where unknown."""


@dataclass(frozen=True)
class NoiseFloor:
    """Runs of the same code: `medians_s[case]` has an entry for each run."""

    class_id: str
    facts: Mapping[str, Any]
    runs: int
    datetime: str
    command: str
    medians_s: Mapping[str, Sequence[MedianS]]

    def logs(self, cases: Sequence[str], processes: Sequence[int | None] = ()) -> Array:
        """Return log seconds, shape (cases, runs), NaN where a run lacks the case or its median is zero.

        Those of a run are the mean over its processes.

        Args:
            cases: their names.
            processes: for each case, how many of a run's processes count at most, because the mean over more
                is less noisy than the runs to judge. Where the floor's runs have fewer, its noise is too
                large, and a test by it finds less.
        """
        limits = processes or [None] * len(cases)
        rows = [self._row(case, limit) for case, limit in zip(cases, limits, strict=True)]
        return np.array(rows, dtype=float).reshape(len(cases), self.runs)

    def includes(self, case: str) -> bool:
        """Return whether at least two runs timed the case, so that its noise is known."""
        return sum(map(math.isfinite, self._row(case))) > 1

    def _row(self, case: str, processes: int | None = None) -> list[float]:
        return [_mean_log(median_s, processes) for median_s in self.medians_s.get(case, [None] * self.runs)]


def _mean_log(median_s: MedianS, processes: int | None) -> float:
    of_processes = median_s if isinstance(median_s, list) else [median_s]
    logs = [math.log(seconds) for seconds in of_processes if seconds][:processes]
    return sum(logs) / len(logs) if logs else math.nan


@dataclass(frozen=True)
class Detectable:
    """The relative slowdown that is detected with 80% probability, with `runs` runs per side.

    `typical` is for a case of median noise, `noisy` for one noisier than nine in ten.
    """

    runs: int
    typical: float
    noisy: float


def check_one_class(runs: Sequence[Run]) -> None:
    """Reject runs of several machine classes, which differ by more than noise.

    Raises:
        DifferentMachinesError: naming the fields that differ.
    """
    different = differences(run.machine for run in runs)
    if different:
        raise DifferentMachinesError(
            f"the runs come from different machine classes: {difference_text(different)}; a noise floor is "
            "of one class: start over with --fresh, and change nothing between the runs"
        )


def floor_of(runs: Sequence[Run], command: str = "") -> NoiseFloor:
    """Return the noise floor of runs of one class.

    Raises:
        UsageError: fewer than two runs, or no case was timed twice.
        DifferentMachinesError: as `check_one_class`.
    """
    check_one_class(runs)
    cases = dict.fromkeys(case for run in runs for case in run.cases)
    medians_s = {case: [_median_s(run.cases.get(case)) for run in runs] for case in cases}
    last = runs[-1]
    class_id = last.machine.class_id if last.machine.is_recorded else UNKNOWN_CLASS
    floor = NoiseFloor(class_id, last.machine.facts, len(runs), last.datetime, command, medians_s)
    if not any(map(floor.includes, cases)):
        raise UsageError(
            f"{plural(len(runs), 'run')} with no case timed twice cannot show the noise between runs; "
            "calibrate with --runs 5 or more"
        )
    return floor


def _median_s(case: CaseResult | None) -> MedianS:
    if case is None:
        return None
    medians_s = [seconds if math.isfinite(seconds) else None for seconds in case.process_medians_s.tolist()]
    return medians_s if len(medians_s) > 1 else medians_s[0]


def floor_warnings(floor: NoiseFloor, before: NoiseFloor | None = None) -> list[str]:
    """Return warnings about the floor; `before` is the one that it replaces."""
    warnings = []
    if before is not None and before.runs > floor.runs:
        warnings.append(
            f"this noise floor of {floor.runs} runs replaces a more precise one of {before.runs}; calibrate "
            f"with --runs {before.runs} or more"
        )
    if floor.class_id == UNKNOWN_CLASS:
        warnings.append(
            "the run files do not record the machine class: this noise floor is used for every run that "
            "records none, on any machine; measure with breakeven's plugin"
        )
    return warnings


def busy_warnings(runs: Sequence[Run]) -> list[str]:
    """Return a warning if any of a floor's runs was measured on a busy machine."""
    busy = [problems[0] for run in runs if (problems := problems_of(run.state))]
    if not busy:
        return []
    return [
        f"{len(busy)} of {len(runs)} runs were measured on a busy machine ({busy[0].seen}), so the noise "
        "floor is that of a busy machine; calibrate again on an idle one"
    ]


def noise_levels(floor: NoiseFloor) -> tuple[float, float]:
    """Return the run-to-run standard deviation of the median case, and of one noisier than nine in ten.

    They are of log times, each estimated from its own case alone.
    """
    sd = np.sqrt(estimate_noise([floor.logs(list(floor.medians_s))]).variances)
    return float(np.nanmedian(sd)), float(np.nanquantile(sd, 0.9))


def log_sds(floor: NoiseFloor, cases: Sequence[str]) -> list[float]:
    """Return by how much each case's log median varies between runs; for one it lacks, as for the others.

    They are the standard deviations of normal distributions whose 95% intervals are those of Student's, whose
    degrees of freedom are few where the floor has few runs; 0.0 where nothing is known.
    """
    known = list(floor.medians_s)
    absent = [case for case in cases if case not in floor.medians_s]
    variances, df = posterior_variances(estimate_noise([floor.logs([*known, *absent])]))
    widened = np.sqrt(variances) * stdtrit(np.clip(df, 1, MAX_DF), 0.975) / stdtrit(MAX_DF, 0.975)
    found = dict(zip([*known, *absent], np.where(df >= 1, widened, 0.0), strict=True))
    return [float(found[case]) for case in cases]


def detectable(floor: NoiseFloor, runs: Sequence[int], threshold: float = THRESHOLD) -> list[Detectable]:
    """Return the slowdown that each number of runs per side detects, given the floor's noise.

    The rule is that of `compare`: beyond the threshold, at a false discovery rate of 5%, when one case in
    twenty changes. One run per side is judged by the floor's noise, several by their own.
    """
    noise = estimate_noise([floor.logs(list(floor.medians_s))])
    variances, df = posterior_variances(noise)
    return [_detectable(np.sqrt(variances[df >= 1]), noise, df[df >= 1], n, threshold) for n in runs]


def _detectable(sd: Array, noise: CaseNoise, floor_df: Array, runs: int, threshold: float) -> Detectable:
    own = 2.0 * runs - 2
    # From the other cases, and from the runs themselves.
    posterior = floor_df - noise.df.max(initial=0.0) + own
    df = np.minimum(posterior, pooled_df(len(sd), own, noise.squared_correlation)) if runs > 1 else floor_df
    df = np.clip(df, 1, _MAX_DF)
    alpha = ALPHA * max(CHANGED_SHARE, 1 / len(sd))
    reach = nctdtrinc(df, 1 - POWER, stdtrit(df, 1 - alpha)) * sd * math.sqrt(2 / runs)
    logs = math.log1p(threshold) + np.quantile(reach, [0.5, 0.9])
    with np.errstate(over="ignore"):  # infinite where the noise is so large that nothing is detected
        typical, noisy = np.expm1(logs)
    return Detectable(runs, float(typical), float(noisy))


def write_floor(floor: NoiseFloor, directory: Path) -> Path:
    """Write the noise floor of its class, replacing an older one.

    Raises:
        UsageError: it cannot be written.
    """
    path = directory / _file_name(floor.class_id)
    content = {
        "schema": SCHEMA,
        "class_id": floor.class_id,
        "class": dict(floor.facts),
        "runs": floor.runs,
        "datetime": floor.datetime,
        "command": floor.command,
        "medians_s": {case: list(values) for case, values in floor.medians_s.items()},
    }
    try:
        write_whole(path, json.dumps(content, indent=1).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UsageError(
            f"the noise floor {path} cannot be written ({one_line(error)}); free some space, or name another "
            "directory with --noise"
        ) from None
    return path


class _Stored(msgspec.Struct):
    medians_s: dict[str, Any]
    runs: Annotated[int, msgspec.Meta(ge=2)]
    class_id: Any = None
    facts: Any = msgspec.field(name="class", default=None)
    datetime: Any = None
    command: Any = None


def read_floor(directory: Path, machine: Machine) -> NoiseFloor | None:
    """Return the noise floor of a class, None where it was never calibrated.

    Where none has the class's id, it is the newest of those whose facts agree with the class's.

    Raises:
        RunFileError: the file is damaged, or of a newer breakeven.
    """
    class_id = machine.class_id if machine.is_recorded else UNKNOWN_CLASS
    path = directory / _file_name(class_id)
    if not path.exists():
        same = [floor for floor in _other_floors(directory) if agree(floor.facts, machine.facts)]
        return max(same, key=lambda floor: floor.datetime, default=None) if machine.is_recorded else None
    floor = _read(path)
    if floor.class_id != class_id:  # the file was renamed or copied
        Place(str(path)).at("class_id").refuse(
            f"{one_line(repr(floor.class_id), 80)} is not {one_line(repr(class_id), 80)}", _CALIBRATE
        )
    return floor


def _other_floors(directory: Path) -> Iterator[NoiseFloor]:
    for path in sorted(directory.glob("*.json")):
        with contextlib.suppress(RunFileError):  # of another class, as far as can be known
            yield _read(path)


def _read(path: Path) -> NoiseFloor:
    place, content = Place(str(path)), load_json(str(path), _CALIBRATE)
    schema = content.get("schema") if isinstance(content, dict) else None
    if isinstance(schema, int):
        place.refuse_newer(schema)
    stored = place.decode(content, _Stored, _CALIBRATE)
    return NoiseFloor(
        stored.class_id,
        mapping(stored.facts),
        stored.runs,
        one_line(stored.datetime or ""),
        one_line(stored.command or "", 2000),
        {case: _medians(values, case, stored.runs, place) for case, values in stored.medians_s.items()},
    )


def _medians(values: Any, case: str, runs: int, place: Place) -> list[MedianS]:
    here = place.at(f"medians_s[{case!r}]")
    medians = here.decode(values, list[float | list[float | None] | None], _CALIBRATE)
    if len(medians) != runs:
        here.refuse(f"has {plural(len(medians), 'time')} for {runs} runs", _CALIBRATE)
    for run, median_s in enumerate(medians):
        for field, time_s in _indexed(median_s):
            if time_s is not None and not is_time(time_s):
                here.at(f"[{run}]{field}").refuse(f"{time_s} {NO_TIME}", _CALIBRATE)
    return medians


def _indexed(median_s: MedianS) -> list[tuple[str, float | None]]:
    if isinstance(median_s, list):
        return [(f"[{process}]", time_s) for process, time_s in enumerate(median_s)]
    return [("", median_s)]


def _file_name(class_id: str) -> str:
    """Return a file name; a class id from a file must not lead out of the directory."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", class_id):
        return f"{class_id}.json"
    return f"{hashlib.sha256(class_id.encode('utf-8', 'backslashreplace')).hexdigest()[:16]}.json"
