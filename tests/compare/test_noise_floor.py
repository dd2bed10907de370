"""The noise that runs of the same code show, what can be detected in it, and the file that stores it."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from breakeven.compare.noise_floor import (
    NoiseFloor,
    busy_warnings,
    check_one_class,
    detectable,
    floor_of,
    floor_warnings,
    log_sds,
    noise_levels,
    read_floor,
    write_floor,
)
from breakeven.errors import DifferentMachinesError, RunFileError, UsageError
from breakeven.fitness import Load, Look
from breakeven.runs.machine import Machine, machine_of
from breakeven.runs.reader import read_run
from breakeven.stats.regression import effects
from support.reports import box
from support.run_files import benchmark, run, write


def floor(noise, class_id="c1"):
    """The floor of log times, shape (cases, runs)."""
    medians = {f"case{i}": np.exp(row).tolist() for i, row in enumerate(np.atleast_2d(noise))}
    return NoiseFloor(class_id, {"cpu": "EPYC"}, np.atleast_2d(noise).shape[1], "2026-01-02", "cmd", medians)


def of(class_id, **facts):
    """A machine class."""
    return Machine("", class_id, facts)


def runs_of(tmp_path, *medians, machine=None):
    """A run for each list of medians, with a case for each of them."""
    return [
        read_run(
            write(
                tmp_path / f"{i}.json",
                run([benchmark([m] * 6, f"m{j}") for j, m in enumerate(row)], machine=machine or box()),
            )
        )
        for i, row in enumerate(medians)
    ]


def detection_rate(sds, change, runs, floor_logs=None, suites=400, seed=3):
    """How often `effects` calls a case of median noise regressed, if it is slower by `change`."""
    rng = np.random.default_rng(seed)
    cases, hits = len(sds), 0
    count = max(1, round(0.05 * cases))
    for _ in range(suites):
        sides = [sds[:, None] * rng.standard_normal((cases, runs)) for _ in range(2)]
        slower = np.argsort(np.abs(sds - np.median(sds)))[:count]
        sides[1][slower] += math.log1p(change)
        known = floor_logs(rng) if floor_logs is not None else None
        hits += (effects(*sides, known).q[slower] <= 0.05).sum()
    return hits / (suites * count)


def typical(sds, runs, floors=20, floor_runs=10, seed=4):
    """The detectable slowdown of the median case, the median over simulated floors."""
    rng = np.random.default_rng(seed)
    rows = [
        detectable(floor(sds[:, None] * rng.standard_normal((len(sds), floor_runs))), [runs])[0]
        for _ in range(floors)
    ]
    return float(np.median([row.typical for row in rows]))


@pytest.mark.parametrize("runs", [1, 3, 5, 10])
@pytest.mark.parametrize("cases", [20, 100])
def test_detected_four_times_in_five(cases, runs):
    """A slowdown of the detectable size is detected with about 80% probability."""
    sds = np.full(cases, 0.02)
    change = typical(sds, runs)
    known = (lambda rng: sds[:, None] * rng.standard_normal((cases, 10))) if runs == 1 else None
    assert 0.70 < detection_rate(sds, change, runs, known, suites=8000 // cases) < 0.90


def test_more_runs_detect_smaller_changes():
    """Never one below the threshold."""
    noise = 0.02 * np.random.default_rng(1).standard_normal((40, 10))
    rows = detectable(floor(noise), [1, 3, 5, 10, 1000])
    changes = [row.typical for row in rows]
    assert changes == sorted(changes, reverse=True)
    assert changes[-1] == pytest.approx(0.02, abs=0.005)
    assert all(row.noisy >= row.typical for row in rows)


def test_one_run_per_side_by_hand():
    """A case alone, one run per side: 80% of a noncentral t(9) at 2.697 are above 1.833."""
    noise = np.array([0.01, -0.01] * 5)
    sd = noise.std(ddof=1)
    (row,) = detectable(floor(noise), [1])
    assert row.typical == pytest.approx(1.02 * math.exp(2.6969 * sd * math.sqrt(2)) - 1, rel=1e-3)


def test_nothing_is_detectable():
    """It is infinite, without a warning of numpy."""
    assert detectable(floor(np.array([[500.0, -500.0]])), [1])[0].typical == math.inf


def test_noise_levels():
    """The median case, and the one at nine in ten."""
    noise = np.array([[sd, -sd] for sd in np.linspace(0.01, 0.11, 11)]) / math.sqrt(2)
    assert noise_levels(floor(noise)) == pytest.approx((0.06, 0.10))


def test_log_sds():
    """Normal distributions with the 95% intervals of Student's; a case that it lacks is as the others."""
    noise = 0.05 * np.random.default_rng(0).standard_normal((200, 5))
    known = floor(noise)
    found = log_sds(known, ["case0", "case7", "unknown"])
    assert found == pytest.approx([0.05] * 3, rel=0.25)
    alone = floor(np.array([[0.1, -0.1]]))
    student, normal = 12.706, 1.960
    assert log_sds(alone, ["case0"]) == pytest.approx([0.1 * math.sqrt(2) * student / normal], rel=1e-3)
    assert log_sds(alone, ["unknown", "case0"])[0] == 0.0


def test_floor_of(tmp_path):
    """A floor has the median of every case in every run."""
    found = floor_of(runs_of(tmp_path, [1.0, 2.0], [1.1], [1.2, 2.2]), "cmd")
    assert [list(values) for values in found.medians_s.values()] == [[1.0, 1.1, 1.2], [2.0, None, 2.2]]
    assert (found.class_id, found.runs, found.command) == ("id-box", 3, "cmd")
    logs = found.logs([*found.medians_s, "unknown"])
    assert logs.shape == (3, 3)
    assert np.isnan(logs).sum() == 4


@pytest.mark.parametrize("rows", [[[1.0]], [[1.0], []], [[0.0], [0.0]]])
def test_no_noise_known(tmp_path, rows):
    """At least one case must have been timed twice."""
    with pytest.raises(UsageError, match="--runs 5 or more"):
        floor_of(runs_of(tmp_path, *rows))


def test_several_classes(tmp_path):
    """They are refused, naming what differs."""
    one = runs_of(tmp_path / "a", [1.0], machine=box("x", "one", torch="2.12"))
    two = runs_of(tmp_path / "b", [1.0], machine=box("x", "two", torch="2.13"))
    for refusing in (check_one_class, floor_of):
        with pytest.raises(DifferentMachinesError, match=r"torch \(2.12 and 2.13\)"):
            refusing([*one, *two])
    check_one_class([*one, *one])


def test_unknown_class_differs(tmp_path):
    """A run that does not record its class is not of a recorded one."""
    known = runs_of(tmp_path / "a", [1.0])
    unknown = runs_of(tmp_path / "b", [1.1], machine={"node": "x"})
    with pytest.raises(DifferentMachinesError):
        floor_of([*known, *unknown])


def test_busy_machine(tmp_path):
    """A floor from a busy machine hides regressions on an idle one."""
    idle = runs_of(tmp_path, [1.0], [1.1])
    look = Look(Load(2, 0.9, 0.0, 0.9), 2, 1e-4, 2e-4, spins=True).as_dict()
    busy = replace(idle[0], state={"look": look})
    [warning] = busy_warnings([busy, *idle])
    assert warning.startswith(
        "1 of 3 runs were measured on a busy machine (other programs used 0.90 of 2 CPUs)"
    )
    assert busy_warnings(idle) == []


def test_unknown_class(tmp_path):
    """Its floor is stored under that name, with a warning."""
    found = floor_of(runs_of(tmp_path, [1.0], [1.1], machine={"node": "x"}))
    assert len(floor_warnings(found)) == 1
    assert floor_warnings(floor([[0.0, 0.1]])) == []
    assert write_floor(found, tmp_path / "noise").name == "unknown.json"
    assert read_floor(tmp_path / "noise", machine_of({"node": "y"})) == found


def test_round_trip(tmp_path):
    """What is written is read back."""
    found = floor_of(runs_of(tmp_path, [1.0, 2.0], [1.1], [1.2, 2.2]), "cmd {out}")
    path = write_floor(found, tmp_path / "deep" / "noise")
    assert path.name == "id-box.json"
    directory = tmp_path / "deep" / "noise"
    assert read_floor(directory, of("id-box")) == found
    assert read_floor(directory, of("another")) is None
    assert read_floor(directory, machine_of({"node": "x"})) is None


def test_floor_of_the_same_class(tmp_path):
    """A machine of which more is recorded now has another id, and still its noise floor: the newest."""
    now = of("new", cpu="EPYC", cores=2, smt=True)
    for class_id, cores, date in (("a", 2, "2026-01-02"), ("b", 4, "2026-01-04"), ("c", 2, "2026-01-03")):
        write_floor(replace(floor([[0.0, 0.1]], class_id), facts={"cores": cores}, datetime=date), tmp_path)
    (tmp_path / "damaged.json").write_text("{")
    assert read_floor(tmp_path, now).class_id == "c"
    write_floor(floor([[0.0, 0.1]], "new"), tmp_path)
    assert read_floor(tmp_path, now).class_id == "new"
    assert read_floor(tmp_path, replace(now, is_recorded=False)) is None


@pytest.mark.parametrize("class_id", ["../../evil", "a/b", "", "x" * 65, "a\0b", "é", ".."])
def test_path_stays_in_the_directory(tmp_path, class_id):
    """Whatever the class id is."""
    path = write_floor(floor([[0.0, 0.1]], class_id), tmp_path / "noise")
    assert path.parent == tmp_path / "noise"
    assert len(list((tmp_path / "noise").iterdir())) == 1
    if class_id:
        assert read_floor(tmp_path / "noise", of(class_id)).runs == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"medians_s": []}, "medians_s"),
        ({"runs": True}, "runs"),
        ({"runs": 2.0}, "runs"),
        ({"medians_s": {"a": [1.0, -1.0]}}, "medians_s['a'][1]"),
        ({"medians_s": {"a": [1.0, "1"]}}, "medians_s['a'][1]"),
        ({"medians_s": {"a": [True, 1.0]}}, "medians_s['a'][0]"),
        ({"medians_s": {"a": [math.nan, 1.0]}}, "medians_s['a'][0]"),
        ({"medians_s": {"a": [1e31, 1.0]}}, "medians_s['a'][0]"),
        ({"medians_s": {"a": [1.0, [1.0, 1e-300]]}}, "medians_s['a'][1][1]"),
        ({"medians_s": {"a": [[1.0, -1.0], 1.0]}}, "medians_s['a'][0][1]"),
        ({"medians_s": {"a": [[1.0], [[1.0]]]}}, "medians_s['a'][1][0]"),
    ],
)
def test_damaged_file(tmp_path, change, field):
    """The message begins with the file and the field, and ends with the remedy."""
    path = write_floor(floor([[0.0, 0.1]]), tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RunFileError) as refused:
        read_floor(tmp_path, of("c1"))
    assert str(refused.value).startswith(f"{path}: {field}: ")
    assert str(refused.value).endswith("; calibrate again with `breakeven calibrate`")


@pytest.mark.parametrize("content", ["", "{", "[" * 500 + "]" * 500, "x", "\xff"])
def test_not_a_noise_floor(tmp_path, content):
    """The remedy is that of a noise floor, not of a run file."""
    (tmp_path / "c1.json").write_text(content, "latin-1")
    with pytest.raises(RunFileError, match=r"; calibrate again with `breakeven calibrate`$"):
        read_floor(tmp_path, of("c1"))


def test_unchecked_fields(tmp_path):
    """What is only shown does not matter: any value of it, or none, is read."""
    path = write_floor(floor([[0.0, 0.1]]), tmp_path)
    content = json.loads(path.read_text())
    for shown in ({"schema": "x", "class": 3, "datetime": 4, "command": None, "other": 1}, {}):
        kept = {key: content[key] for key in ("class_id", "runs", "medians_s")}
        path.write_text(json.dumps(kept | shown))
        assert read_floor(tmp_path, of("c1")).facts == {}


def test_cannot_be_written(tmp_path):
    write(tmp_path / "file", "")
    with pytest.raises(UsageError, match="--noise"):
        write_floor(floor([[0.0, 0.1]]), tmp_path / "file")


def test_includes():
    """The noise of a case is known from two runs that timed it on."""
    medians = {"two": [1.0, None, 1.1], "one": [1.0, None, None], "zero": [1.0, 0.0, None]}
    found = NoiseFloor("c1", {}, 3, "", "", medians)
    assert [found.includes(case) for case in (*medians, "unknown")] == [True, False, False, False]


def test_fewer_runs_than_before():
    """A floor that replaces one of more runs is warned about."""
    small, large = floor([[0.0, 0.1]]), floor([[0.0, 0.1, 0.2]])
    assert "--runs 3" in floor_warnings(small, large)[0]
    assert floor_warnings(large, small) == floor_warnings(small, small) == []


def test_runs_of_several_processes(tmp_path):
    """The median of each process is stored, and a run is one replicate: the mean over its processes."""
    contents = [
        run([benchmark([1.0] * 6 + [4.0] * 6, "m0", processes=[6, 6]), benchmark([2.0] * 6, "m1")]),
        run([benchmark([2.0] * 6, "m0", processes=[6, 0]), benchmark([3.0] * 6, "m1", processes=[6])]),
    ]
    runs = [read_run(write(tmp_path / f"{i}.json", content)) for i, content in enumerate(contents)]
    path = write_floor(floor_of(runs), tmp_path / "noise")
    found = read_floor(path.parent, runs[0].machine)
    assert list(found.medians_s.values()) == [[[1.0, 4.0], [2.0, None]], [2.0, 3.0]]
    names = list(found.medians_s)
    np.testing.assert_allclose(np.exp(found.logs(names)), [[2.0, 2.0], [2.0, 3.0]])
    np.testing.assert_allclose(np.exp(found.logs(names, [1, 5])), [[1.0, 2.0], [2.0, 3.0]])
    assert all(found.includes(name) for name in names)
    assert noise_levels(found)[0] == pytest.approx(math.log(1.5) / math.sqrt(2) / 2)
