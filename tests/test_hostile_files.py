"""Files that no run wrote: each is one line and exit code 2, and one bad file stops no other."""

import copy
import json
import os
import shutil
from pathlib import Path

import duckdb
import pytest

from breakeven import cli
from breakeven.runs.json_files import MAX_DEPTH
from support.histories import add, files_of, medians, timed
from support.run_files import affine_run, benchmark, outcome, run, write

GOOD = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, batches=(1, 64), outcomes=[])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A working directory with a run file."""
    monkeypatch.chdir(tmp_path)
    write(Path("good.json"), GOOD)
    return tmp_path


@pytest.fixture(scope="module")
def slower(tmp_path_factory):
    """A store of a case that became slower."""
    return add(tmp_path_factory.mktemp("slower"), timed(medians(24, step=1.5, at=12)))


def nested(levels, kind):
    """A value of this many levels of lists or objects, as JSON."""
    opened, closed = ("[", "]") if kind is list else ('{"a":', "}")
    return opened * levels + "1" + closed * levels


def code_of(*arguments):
    """The exit code of a command, none of which takes a file for a reason to fail in another way."""
    code = cli.main([str(argument) for argument in arguments])
    assert code in (0, 2, 3)
    return code


def put(content, path, value):
    """The content with another value at a path."""
    content = copy.deepcopy(content)
    at = content
    for key in path[:-1]:
        at = at[key] if isinstance(at, list) else at.setdefault(key, {})
    at[path[-1]] = value
    return content


PLACES = [
    ("benchmarks", 0, "extra_info", "axes", "width"),
    ("benchmarks", 0, "extra_info", "flags"),
    ("benchmarks", 0, "extra_info", "unknown"),
    ("machine_info", "breakeven", "class"),
    ("machine_info", "breakeven", "state"),
    ("commit_info", "time"),
    ("breakeven", "parts"),
    ("breakeven", "processes"),
]


@pytest.mark.parametrize(
    ("levels", "kind"), [(MAX_DEPTH + 1, list), (500, dict), (1020, list), (1020, dict), (100_000, list)]
)
def test_deep_values(levels, kind, capsys):
    """Every command refuses them, wherever they are."""
    for number, place in enumerate(PLACES):
        text = json.dumps(put(GOOD, place, "HERE")).replace('"HERE"', nested(levels, kind))
        Path("deep.json").write_text(text)
        for command in (
            ("report", "deep.json", "-o", f"out{number}"),
            ("compare", "deep.json", "good.json"),
            ("history", "add", "deep.json", "--store", "store"),
            ("merge", "deep.json", "good.json", "-o", "whole.json"),
        ):
            assert code_of(*command) == 2
            [line] = capsys.readouterr().err.splitlines()
            assert "deep.json: is nested too deeply" in line
    assert sorted(item.name for item in Path().iterdir()) == ["deep.json", "good.json"]


@pytest.mark.parametrize("kind", [dict, list])
def test_values_as_deep_as_allowed(kind, capsys):
    """They are read, written into a store and shown."""
    for number, place in enumerate(PLACES):
        content = put(GOOD, place, "HERE")
        content["datetime"] = f"2026-01-0{number + 1}T00:00:00+00:00"
        levels = MAX_DEPTH - len(place)
        Path("deep.json").write_text(json.dumps(content).replace('"HERE"', nested(levels, kind)))
        assert code_of("report", "deep.json", "--format", "json") == 0
        assert code_of("history", "add", "deep.json", "--store", "store") == 0
    assert code_of("history", "check", "--store", "store") == 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("time_s", [5e-324, 1e-300, 1e-150, 1e-16, 1.1e9, 1e300])
def test_times_that_no_clock_gives(time_s, capsys):
    content = put(GOOD, ("benchmarks", 0, "stats", "data"), [time_s] * 3)
    path = write(Path("odd.json"), content)
    median = write(Path("median.json"), put(GOOD, ("benchmarks", 0, "stats"), {"median": time_s}))
    for command in (
        ("report", path, "-o", "out"),
        ("compare", path, "good.json"),
        ("compare", "good.json", median),
        ("history", "add", path, "--store", "store"),
    ):
        assert code_of(*command) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert f"{time_s} is not the time of a round (seconds: 0, or from 1e-15 to 1e+09)" in line


@pytest.mark.parametrize(("time_s", "only"), [(0.0, "cuda"), (1e-15, "cpu"), (1e9, ""), (1e9, "cuda")])
def test_the_shortest_and_longest_times(time_s, only):
    """They are reported, drawn, compared and stored like any others."""
    content = copy.deepcopy(GOOD)
    for item in content["benchmarks"]:
        if item["extra_info"]["device"] == only or not only:
            item["stats"]["data"] = [time_s, time_s, time_s]
    path = write(Path("odd.json"), content)
    assert code_of("report", path, "-o", "out") == 0
    assert code_of("compare", path, "good.json") == 3
    assert code_of("compare", "good.json", path) == 3
    assert code_of("history", "add", path, "--store", "store") == 0


@pytest.mark.parametrize("amount", [5e-324, 1e-300, 1e300])
def test_amounts_that_nothing_has(amount):
    """A fact that makes no sense is left out."""
    for fact in ("flops", "first_call_s", "steps", "enqueue_s", "parameters", "burst_s", "peak_memory_bytes"):
        path = write(Path("odd.json"), put(GOOD, ("benchmarks", 0, "extra_info", fact), amount))
        assert code_of("report", path, "--format", "json") == 0


FOREIGN = {
    "a text as the date": "* REPLACE ('abc' AS \"datetime\")",
    "a date that no calendar has": "* REPLACE ('290000-01-01'::TIMESTAMP AS \"datetime\")",
    "a date before Christ": "* REPLACE ('2000-01-01 (BC)'::TIMESTAMP AS \"datetime\")",
    "no date": '* REPLACE (NULL::TIMESTAMP AS "datetime")',
    "a text as the schema": "* REPLACE ('abc' AS \"schema\")",
    "a list as the schema": '* REPLACE ([1] AS "schema")',
    "schema 0": '* REPLACE (0 AS "schema")',
    "a list as the case": '* REPLACE (["case"] AS "case")',
    "bytes as the case": '* REPLACE ("case"::BLOB AS "case")',
    "a list as the class": "* REPLACE (['a'] AS class_id)",
    "an object as the branch": "* REPLACE ({'a': 1} AS branch)",
    "a number as the rounds": "* REPLACE (1.5 AS times_s)",
    "rounds of NaN": "* REPLACE (['nan'::DOUBLE] AS times_s)",
    "negative rounds": "* REPLACE ([-1.0] AS times_s)",
    "a gap in the rounds": "* REPLACE ([1.0, NULL]::DOUBLE[] AS times_s)",
    "processes of other rounds": "* REPLACE ([1000]::BIGINT[] AS processes)",
    "a peak that no device has": "* REPLACE (1e308 AS peak_memory_bytes)",
    "a batch size below 1": "* REPLACE (-5::BIGINT AS batch_size)",
    "other columns": "1 AS a",
}
GAP = 'SELECT * FROM of_file UNION ALL BY NAME SELECT 1::INTEGER AS "schema"'
TWO = "SELECT * FROM of_file UNION ALL SELECT * REPLACE ('b' AS digest) FROM of_file"
TWICE = "SELECT * FROM of_file UNION ALL SELECT * FROM of_file"


QUERIES = {
    **{name: f"SELECT {columns} FROM of_file" for name, columns in FOREIGN.items()},
    "a gap in the rows": GAP, "two runs": TWO, "a case twice": TWICE,
}  # fmt: skip
DAILY = ("a text as the date", "a list as the case", "a gap in the rounds", "a gap in the rows", "two runs")


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(query, id=name, marks=() if name in DAILY else pytest.mark.slow)
        for name, query in QUERIES.items()
    ],
)
def test_foreign_files_in_a_store(slower, query, capsys):
    """Such a file is named and set aside; the others are judged."""
    store = str(shutil.copytree(slower, "store"))
    victim = files_of(store)[3]
    original = files_of(slower)[3]
    source = f"WITH of_file AS (FROM read_parquet('{original}', hive_partitioning = false))"
    duckdb.execute(f"COPY ({source} {query}) TO '{victim}' (FORMAT parquet)")
    assert code_of("history", "check", "--store", store, "--format", "json") == 2
    shown = capsys.readouterr()
    [line] = shown.err.splitlines()
    assert line.startswith(f"breakeven: error: {victim} cannot be used: ")
    assert len(json.loads(shown.out)["changes"]) == 1


def test_a_pipe_in_a_store(here):
    """It is not a file of a run, and nothing waits for it."""
    store = add(here, timed(medians(2)))
    os.mkfifo(files_of(store)[0].with_name("20260101T000000Z-ffff.parquet"))
    assert code_of("history", "check", "--store", store) == 3


def test_devices_and_pipes_as_files(here, capsys):
    """A device is refused, and a pipe is read until it is closed."""
    os.mkfifo("pipe")
    for path in ("/dev/full", "/dev/zero", "pipe"):
        for command in (("report", path), ("compare", path, "good.json"), ("recover", path)):
            assert code_of(*command) == 2
            [line] = capsys.readouterr().err.splitlines()
            assert line.startswith(f"breakeven: error: {path}: ")
    read, written = os.pipe()
    os.write(written, json.dumps(run([benchmark([1.0])], [outcome()])).encode())
    os.close(written)
    assert code_of("report", f"/dev/fd/{read}", "--format", "json") == 0
    os.close(read)
    assert (
        code_of("history", "check", "--accepted", "/dev/zero", "--store", add(here, timed(medians(2)))) == 2
    )


@pytest.mark.parametrize(
    "content", [nested(1000, list), '{"schema": 1, "accepted": ' + nested(900, list) + "}"]
)
def test_deep_accepted_changes(here, content, capsys):
    store = add(here, timed(medians(2)))
    Path(store, "accepted.json").write_text(content)
    assert code_of("history", "check", "--store", store) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "accepted.json: is nested too deeply" in line
