"""What runs of the same code tell of noise, what can be seen through it, and the file it is kept in."""

import json
import math

import numpy as np
import pytest
from breakeven.runs.readings import read_run

from breakeven.compare.noise_floor import (
    Floor,
    check_one_class,
    floor_of,
    floor_warnings,
    loudness,
    read_floor,
    visible,
    write_floor,
)
from breakeven.errors import DifferentMachinesError, NewerSchemaError, RunFileError, UsageError
from breakeven.stats.regression import effects
from support.reports import box
from support.run_files import benchmark, run, write


def floor(noise, class_id="c1", **kwargs):
    """The floor of log times, shape (cases, runs)."""
    medians = {f"case{i}": np.exp(row).tolist() for i, row in enumerate(np.atleast_2d(noise))}
    return Floor(class_id, {"cpu": "EPYC"}, np.atleast_2d(noise).shape[1], "2026-01-02", "cmd", medians)


def readings(tmp_path, *medians, machine=None):
    """A run for each list of medians, of as many cases."""
    return [
        read_run(
            write(
                tmp_path / f"{i}.json",
                run([benchmark([m] * 6, f"m{j}") for j, m in enumerate(row)], machine=machine or box()),
            )
        )
        for i, row in enumerate(medians)
    ]


def found_share(sds, change, runs, floor_logs=None, suites=400, seed=3):
    """How often `effects` calls a case of the middle noise regressed, if it is slower by `change`."""
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


def seen(sds, runs, floors=20, floor_runs=10, seed=4):
    """What `visible` tells for the middle case, the median over so many floors."""
    rng = np.random.default_rng(seed)
    rows = [
        visible(floor(sds[:, None] * rng.standard_normal((len(sds), floor_runs))), [runs])[0]
        for _ in range(floors)
    ]
    return float(np.median([row.typical for row in rows]))


@pytest.mark.parametrize("runs", [1, 3, 5, 10])
@pytest.mark.parametrize("cases", [20, 100])
def test_what_is_told_to_be_seen_is_found_about_four_times_in_five(cases, runs):
    sds = np.full(cases, 0.02)
    change = seen(sds, runs)
    known = (lambda rng: sds[:, None] * rng.standard_normal((cases, 10))) if runs == 1 else None
    assert 0.70 < found_share(sds, change, runs, known, suites=8000 // cases) < 0.90


@pytest.mark.parametrize("runs", [3, 5])
def test_so_it_is_where_the_cases_noise_differs(runs):
    sds = np.exp(np.random.default_rng(5).normal(math.log(0.02), 0.5, 60))
    assert 0.68 < found_share(sds, seen(sds, runs), runs) < 0.92


@pytest.mark.parametrize("runs", [1, 5, 10])
def test_so_it_is_for_a_single_case(runs):
    sds = np.array([0.02])
    known = (lambda rng: sds[:, None] * rng.standard_normal((1, 10))) if runs == 1 else None
    assert 0.68 < found_share(sds, seen(sds, runs, floors=200), runs, known, suites=2000) < 0.92


def test_more_runs_see_smaller_changes_and_none_below_the_threshold():
    noise = 0.02 * np.random.default_rng(1).standard_normal((40, 10))
    rows = visible(floor(noise), [1, 3, 5, 10, 1000])
    typical = [row.typical for row in rows]
    assert typical == sorted(typical, reverse=True)
    assert typical[-1] == pytest.approx(0.02, abs=0.005)
    assert all(row.loud >= row.typical for row in rows)


def test_one_run_a_side_against_a_floor_sees_what_is_worked_out_by_hand():
    """A case alone, two runs: at 2.697 a noncentral t of 9 degrees of freedom is above 1.833 in 80%."""
    noise = np.array([0.01, -0.01] * 5)
    sd = noise.std(ddof=1)
    (row,) = visible(floor(noise), [1])
    assert row.typical == pytest.approx(1.02 * math.exp(2.6969 * sd * math.sqrt(2)) - 1, rel=1e-3)


def test_three_runs_a_side_rest_on_their_own_four_degrees_of_freedom():
    """A case alone: at 3.040 a noncentral t of 4 degrees of freedom is above 2.132 in 80%."""
    noise = np.array([0.01, -0.01] * 5)
    (row,) = visible(floor(noise), [3])
    reach = 3.0398 * noise.std(ddof=1) * math.sqrt(2 / 3)
    assert row.typical == pytest.approx(1.02 * math.exp(reach) - 1, rel=1e-3)


def test_noise_through_which_nothing_is_seen_is_infinite_and_no_warning():
    assert visible(floor(np.array([[500.0, -500.0]])), [1])[0].typical == math.inf


def test_loudness_is_that_of_the_middle_case_and_of_one_in_ten():
    noise = np.array([[sd, -sd] for sd in np.linspace(0.01, 0.11, 11)]) / math.sqrt(2)
    assert loudness(floor(noise)) == pytest.approx((0.06, 0.10))


def test_a_floor_keeps_the_median_of_every_case_in_every_run(tmp_path):
    runs = readings(tmp_path, [1.0, 2.0], [1.1], [1.2, 2.2])
    found = floor_of(runs, "cmd")
    assert [list(values) for values in found.medians_s.values()] == [[1.0, 1.1, 1.2], [2.0, None, 2.2]]
    assert (found.class_id, found.runs, found.command) == ("id-box", 3, "cmd")
    logs = found.logs([*found.medians_s, "unheard of"])
    assert logs.shape == (3, 3)
    assert np.isnan(logs).sum() == 4


@pytest.mark.parametrize("rows", [[[1.0]], [[1.0], []], [[0.0], [0.0]]])
def test_runs_that_tell_nothing_of_noise_are_refused(tmp_path, rows):
    with pytest.raises(UsageError, match=r"tell nothing of noise; calibrate with --runs 5 or more"):
        floor_of(readings(tmp_path, *rows))


def test_runs_of_several_classes_are_refused_naming_what_differs(tmp_path):
    one = readings(tmp_path / "a", [1.0], machine=box("x", "one", torch="2.12"))
    two = readings(tmp_path / "b", [1.0], machine=box("x", "two", torch="2.13"))
    for refusing in (check_one_class, floor_of):
        with pytest.raises(DifferentMachinesError, match=r"torch \(2.12 and 2.13\); a noise floor is of one"):
            refusing([*one, *two])
    check_one_class([*one, *one])


def test_a_run_that_tells_no_class_is_of_none_that_another_tells(tmp_path):
    told, untold = readings(tmp_path / "a", [1.0]), readings(tmp_path / "b", [1.1], machine={"node": "x"})
    with pytest.raises(DifferentMachinesError):
        floor_of([*told, *untold])


def test_a_floor_of_an_unknown_class_is_stored_as_that_and_warned_about(tmp_path):
    found = floor_of(readings(tmp_path, [1.0], [1.1], machine={"node": "x"}))
    assert "serves every run that tells none" in floor_warnings(found)[0]
    assert floor_warnings(floor([[0.0, 0.1]])) == []
    assert write_floor(found, tmp_path / "noise").name == "unknown.json"
    assert read_floor(tmp_path / "noise", None) == found


def test_what_is_written_is_read_again(tmp_path):
    found = floor_of(readings(tmp_path, [1.0, 2.0], [1.1], [1.2, 2.2]), "cmd {out}")
    path = write_floor(found, tmp_path / "deep" / "noise")
    assert path.name == "id-box.json"
    assert read_floor(tmp_path / "deep" / "noise", "id-box") == found
    assert read_floor(tmp_path / "deep" / "noise", "another") is None


@pytest.mark.parametrize("class_id", ["../../evil", "a/b", "", "x" * 65, "a\0b", "é", ".."])
def test_no_class_id_leads_out_of_the_directory(tmp_path, class_id):
    path = write_floor(floor([[0.0, 0.1]], class_id), tmp_path / "noise")
    assert path.parent == tmp_path / "noise"
    assert len(list((tmp_path / "noise").iterdir())) == 1
    if class_id:
        assert read_floor(tmp_path / "noise", class_id).runs == 2


def test_a_new_floor_takes_the_place_of_the_old_one(tmp_path):
    write_floor(floor([[0.0, 0.1]]), tmp_path)
    write_floor(floor([[0.0, 0.1, 0.2]]), tmp_path)
    assert read_floor(tmp_path, "c1").runs == 3


def test_a_floor_that_cannot_be_written_is_one_line(tmp_path):
    write(tmp_path / "file", "")
    with pytest.raises(UsageError, match=r"cannot be written .* name another directory with --noise"):
        write_floor(floor([[0.0, 0.1]]), tmp_path / "file")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"medians_s": []}, "is no noise floor"),
        ({"runs": 1}, "runs: 1 is no count"),
        ({"runs": True}, "runs: True is no count"),
        ({"runs": 3}, "is no list of 3 times"),
        ({"medians_s": {"a": [1.0, -1.0]}}, "is no list of 2 times"),
        ({"medians_s": {"a": [1.0, "1"]}}, "is no list of 2 times"),
        ({"medians_s": {"a": 1.0}}, "is no list of 2 times"),
        ({"class_id": "other"}, "class_id: 'other' is not 'c1'"),
    ],
)
def test_a_floor_that_cannot_be_is_refused_with_place_and_remedy(tmp_path, change, said):
    path = write_floor(floor([[0.0, 0.1]]), tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RunFileError) as refused:
        read_floor(tmp_path, "c1")
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(path))
    assert str(refused.value).endswith("calibrate again with `breakeven calibrate`")


def test_a_floor_of_a_newer_breakeven_asks_for_an_upgrade(tmp_path):
    path = write_floor(floor([[0.0, 0.1]]), tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 2}))
    with pytest.raises(NewerSchemaError, match="upgrade breakeven"):
        read_floor(tmp_path, "c1")
