"""Any pytest-benchmark file: what is read of it, what is refused, when two files are one run."""

import json

import pytest
from breakeven.runs.readings import read_run, read_side

from breakeven.errors import BreakevenError, RunFileError, UsageError
from support.run_files import benchmark, outcome, run, write


def foreign(fullname="tests/test_x.py::test_sort", **stats):
    """A benchmark that breakeven never saw."""
    return {"name": fullname.split("::")[-1], "fullname": fullname, "extra_info": {}, "stats": stats}


def test_a_case_of_ours_goes_by_its_one_name_and_another_by_its_fullname(tmp_path):
    content = run([benchmark([1.0, 2.0, 9.0], axes={"width": 8, "depth": 2}), foreign(data=[4.0, 6.0])])
    read = read_run(write(tmp_path / "r.json", content))
    ours, other = read.readings.values()
    assert ours.case == "mlp train cpu batch=64 depth=2 width=8"
    assert (ours.median_s, ours.sample.phase) == (2.0, "train")
    assert (other.case, other.median_s, other.sample) == ("tests/test_x.py::test_sort", 5.0, None)


def test_without_rounds_the_median_that_the_file_tells_is_read(tmp_path):
    kept = benchmark([1.0])
    kept["stats"] = {"median": 0.25, "rounds": 9}
    read = read_run(write(tmp_path / "r.json", run([kept, foreign(median=0.5, rounds=3)])))
    assert [reading.median_s for reading in read.readings.values()] == [0.25, 0.5]
    assert [len(reading.times_s) for reading in read.readings.values()] == [0, 0]


def test_a_file_as_version_3_4_wrote_it_is_read(tmp_path):
    old = {
        "machine_info": {"node": "box", "processor": "x86_64", "cpu": {"count": 2}},
        "commit_info": {"id": "abc", "time": None, "dirty": False, "project": "p", "branch": "b"},
        "benchmarks": [
            {
                "group": None,
                "name": "test_sort",
                "fullname": "test_x.py::test_sort",
                "params": None,
                "param": None,
                "stats": {
                    "min": 1.0,
                    "max": 3.0,
                    "mean": 2.0,
                    "median": 2.0,
                    "rounds": 3,
                    "data": [1.0, 2.0, 3.0],
                },
            }
        ],
        "datetime": "2021-05-01T00:00:00",
        "version": "3.4.1",
    }
    read = read_run(write(tmp_path / "r.json", old))
    assert (read.commit, read.class_id, list(read.readings)) == ("abc", None, ["test_x.py::test_sort"])


def test_cases_that_gave_no_timing_go_by_the_same_name(tmp_path):
    content = run([benchmark([1.0], batch_size=1)], [outcome("oom", "too large", batch_size=4096)])
    read = read_run(write(tmp_path / "r.json", content))
    assert read.ended["mlp train cpu batch=4096 width=128"].reason == "too large"


def test_a_case_that_was_timed_did_not_end_without_a_timing(tmp_path):
    content = run([benchmark([1.0])], [outcome("failed", "in its teardown")])
    assert read_run(write(tmp_path / "r.json", content)).ended == {}


def test_a_file_without_benchmarks_is_an_empty_run(tmp_path):
    assert read_run(write(tmp_path / "r.json", run())).readings == {}


def test_one_run_is_known_again_in_another_order_and_another_place(tmp_path):
    benchmarks = [benchmark([1.0, 2.0], batch_size=b) for b in (1, 2)]
    first = read_run(write(tmp_path / "a.json", run(benchmarks)))
    again = read_run(write(tmp_path / "b.json", run(benchmarks[::-1])))
    later = read_run(write(tmp_path / "c.json", run(benchmarks, when="2026-01-02T03:05:00+00:00")))
    assert first.digest == again.digest
    assert first.digest != later.digest


def test_the_same_run_twice_on_a_side_is_refused(tmp_path):
    content = run([benchmark([1.0, 2.0])])
    first, copy = write(tmp_path / "a.json", content), write(tmp_path / "b.json", content)
    with pytest.raises(UsageError, match=r"a\.json is given twice on one side.*leave it out"):
        read_side([first, first])
    with pytest.raises(UsageError, match=r"b\.json holds the same run as .*a\.json"):
        read_side([first, copy])


@pytest.mark.parametrize(
    ("benchmarks", "words"),
    [
        ([foreign(), foreign()], ["stats.median", "None is no time"]),
        ([foreign(median=float("nan"))], ["stats.median", "nan"]),
        ([foreign(data=[])], ["stats.data", "is empty"]),
        ([foreign(data=[1.0, -1.0])], ["stats.data[1]", "-1.0"]),
        ([foreign(data=[1.0]), foreign(data=[2.0])], ["stands twice", "tests/test_x.py::test_sort"]),
        ([{"stats": {"median": 1.0}}], ["fullname", "is missing"]),
        ([{"fullname": "a", "stats": None}], ["stats", "is missing"]),
        ([benchmark([1.0], workload=...)], ["extra_info.workload", "is missing"]),
        ([7], ["benchmarks[0]", "7 is not an object"]),
    ],
)
def test_what_cannot_be_is_refused_with_file_field_and_remedy(tmp_path, benchmarks, words):
    with pytest.raises(RunFileError) as refused:
        read_run(write(tmp_path / "r.json", run(benchmarks)))
    message = str(refused.value)
    assert "r.json" in message
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"benchmarks": 1}', "\x00\x01", json.dumps([1])])
def test_cut_empty_and_foreign_files_are_refused_in_one_line(tmp_path, text):
    with pytest.raises(BreakevenError) as refused:
        read_run(write(tmp_path / "r.json", text))
    assert "r.json" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_run_at_all_is_refused():
    with pytest.raises(UsageError, match="no run file"):
        read_side([])
