"""What noise runs of the same code show on one machine class: the floor that single runs are judged against.

Owns the files that `breakeven calibrate` writes and `breakeven compare` reads: one JSON file a machine class,
with the median of every case in every run, so that whatever is made of them can be made anew.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import nctdtrinc, stdtrit

from breakeven.case import SCHEMA
from breakeven.compare.machine_class import differences
from breakeven.errors import DifferentMachinesError, NewerSchemaError, UsageError
from breakeven.files import write_whole
from breakeven.format import one_line
from breakeven.runs.json_files import Place, load_json
from breakeven.runs.readings import Run
from breakeven.runs.schema import is_amount
from breakeven.stats.empirical_bayes import pooled_df
from breakeven.stats.regression import ALPHA, THRESHOLD, CaseNoise, estimate_noise, posterior_variances

Array = NDArray[np.float64]

POWER = 0.8
"""With this chance a detectable change is detected."""

CHANGED = 0.05
"""The share of cases that are taken to change at once, when it is told what can be seen."""

UNKNOWN_CLASS = "unknown"
"""The class of runs that tell none."""

_MAX_DF = 1e4
"""The noncentral t distribution of more degrees of freedom is the normal one to four digits."""

_CALIBRATE = "calibrate again with `breakeven calibrate`"


@dataclass(frozen=True)
class Floor:
    """Runs of the same code: `medians_s[case]` has a median for each, in seconds, None where it has none."""

    class_id: str
    facts: Mapping[str, Any]
    runs: int
    datetime: str
    command: str
    medians_s: Mapping[str, Sequence[float | None]]

    def logs(self, cases: Sequence[str]) -> Array:
        """Return log seconds, shape (cases, runs), NaN where a run lacks the case or its median is zero."""
        nothing = [None] * self.runs
        rows = [[math.log(m) if m else math.nan for m in self.medians_s.get(case, nothing)] for case in cases]
        return np.array(rows, dtype=float).reshape(len(cases), self.runs)

    def knows(self, case: str) -> bool:
        """Return whether its runs tell of the noise of a case: two of them timed it."""
        return sum(bool(median) for median in self.medians_s.get(case, ())) > 1


@dataclass(frozen=True)
class Visible:
    """The relative slowdown that is found with 80% chance, with so many runs a side.

    `typical` is that of the middle case, `loud` that of the case louder than nine in ten.
    """

    runs: int
    typical: float
    loud: float


def check_one_class(runs: Sequence[Run]) -> None:
    """Refuse runs of several machine classes: what differs between those is no noise.

    Raises:
        DifferentMachinesError: naming the fields that differ.
    """
    unlike = differences(runs)
    if unlike:
        fields = "; ".join(f"{one_line(name, 40)} ({values})" for name, values in unlike.items())
        raise DifferentMachinesError(
            f"the runs come from different machine classes: {fields}; a noise floor is of one class: begin "
            "anew with --fresh, and change nothing between the runs"
        )


def floor_of(runs: Sequence[Run], command: str = "") -> Floor:
    """Return the floor that the runs of one class tell.

    Raises:
        UsageError: fewer than two runs, or no case that two of them timed.
        DifferentMachinesError: as `check_one_class`.
    """
    check_one_class(runs)
    cases = list(dict.fromkeys(case for run in runs for case in run.readings))
    medians = {
        case: [run.readings[case].median_s if case in run.readings else None for run in runs]
        for case in cases
    }
    if not any(sum(m is not None and m > 0 for m in values) > 1 for values in medians.values()):
        raise UsageError(
            f"{len(runs)} run{'s' * (len(runs) != 1)} with no case timed twice tell nothing of noise; "
            "calibrate with --runs 5 or more"
        )
    last = runs[-1]
    return Floor(last.class_id or UNKNOWN_CLASS, last.facts, len(runs), last.datetime, command, medians)


def floor_warnings(floor: Floor, before: Floor | None = None) -> list[str]:
    """Return what must be known to use the floor rightly, a line each; `before` is the one it replaces."""
    said = []
    if before is not None and before.runs > floor.runs:
        said.append(
            f"this floor of {floor.runs} runs replaces one of {before.runs}, which knew more; calibrate with "
            f"--runs {before.runs} or more to have as much again"
        )
    if floor.class_id != UNKNOWN_CLASS:
        return said
    return [
        *said,
        "nothing in the run files tells the machine class: this floor serves every run that tells none, "
        "wherever it was made; measure with breakeven's plugin",
    ]


def loudness(floor: Floor) -> tuple[float, float]:
    """Return the run-to-run standard deviations of the middle case and of one louder than nine in ten.

    They are of log times, each the case's own, not moderated.
    """
    sd = np.sqrt(estimate_noise([floor.logs(list(floor.medians_s))]).variances)
    return float(np.nanmedian(sd)), float(np.nanquantile(sd, 0.9))


def visible(floor: Floor, runs: Sequence[int], threshold: float = THRESHOLD) -> list[Visible]:
    """Return what slowdown can be seen with so many runs a side, given the floor's noise.

    The rule is `compare`'s: beyond the threshold, at a false discovery rate of 5%, when one case in twenty
    changes. One run a side has no noise of its own, and knows the floor's.
    """
    noise = estimate_noise([floor.logs(list(floor.medians_s))])
    variances, df = posterior_variances(noise)
    return [_visible(np.sqrt(variances[df >= 1]), noise, df[df >= 1], n, threshold) for n in runs]


def _visible(sd: Array, noise: CaseNoise, floor_df: Array, runs: int, threshold: float) -> Visible:
    own = 2.0 * runs - 2
    learnt = floor_df - noise.df.max(initial=0.0) + own  # what the other cases teach, and the runs themselves
    df = np.minimum(learnt, pooled_df(len(sd), own, noise.squared_correlation)) if runs > 1 else floor_df
    df = np.clip(df, 1, _MAX_DF)
    alpha = ALPHA * max(CHANGED, 1 / len(sd))
    reach = nctdtrinc(df, 1 - POWER, stdtrit(df, 1 - alpha)) * sd * math.sqrt(2 / runs)
    logs = math.log1p(threshold) + np.quantile(reach, [0.5, 0.9])
    with np.errstate(over="ignore"):  # noise so loud that nothing can be seen: infinite
        typical, loud = np.expm1(logs)
    return Visible(runs, float(typical), float(loud))


def write_floor(floor: Floor, directory: Path) -> Path:
    """Write the floor of its class, in place of an older one; never half of it.

    Raises:
        UsageError: it cannot be written.
    """
    path = directory / _name(floor.class_id)
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
            f"the noise floor {path} cannot be written ({one_line(error)}); give it room, or name another "
            "directory with --noise"
        ) from None
    return path


def read_floor(directory: Path, class_id: str | None) -> Floor | None:
    """Return the floor of a class, None where it was never calibrated.

    Raises:
        RunFileError: the file is damaged, or of a newer breakeven.
    """
    class_id = class_id or UNKNOWN_CLASS
    path = directory / _name(class_id)
    if not path.exists():
        return None
    place = Place(str(path))
    content = load_json(str(path))
    if not isinstance(content, dict) or not isinstance(content.get("medians_s"), dict):
        place.refuse("is no noise floor (no object `medians_s`)", _CALIBRATE)
    schema, runs = content.get("schema"), content.get("runs")
    if isinstance(schema, int) and schema > SCHEMA:
        place.at("schema").refuse(
            f"{schema} is newer than this breakeven reads ({SCHEMA})", "upgrade breakeven", NewerSchemaError
        )
    if not isinstance(runs, int) or isinstance(runs, bool) or runs < 2:
        place.at("runs").refuse(f"{one_line(repr(runs), 40)} is no count of at least 2", _CALIBRATE)
    for case, values in content["medians_s"].items():
        if not isinstance(values, list) or len(values) != runs or not all(map(_is_median, values)):
            place.at(f"medians_s[{case!r}]").refuse(f"is no list of {runs} times in seconds", _CALIBRATE)
    if content.get("class_id") != class_id:  # renamed, or copied in place of another class's
        told = one_line(repr(content.get("class_id")), 80)
        place.at("class_id").refuse(f"{told} is not {one_line(repr(class_id), 80)}", _CALIBRATE)
    facts = content.get("class")
    return Floor(
        class_id,
        facts if isinstance(facts, dict) else {},
        runs,
        one_line(content.get("datetime") or ""),
        one_line(content.get("command") or "", 2000),
        content["medians_s"],
    )


def _is_median(value: Any) -> bool:
    return value is None or is_amount(value)


def _name(class_id: str) -> str:
    """Return a file name that no class id, which comes from a file, can lead out of its directory."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", class_id):
        return f"{class_id}.json"
    return f"{hashlib.sha256(class_id.encode('utf-8', 'backslashreplace')).hexdigest()[:16]}.json"
