"""``--breakeven-shard=K/N`` keeps the cells of one shard, with all their devices and phases."""

import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.case import Axes, Cell
from breakeven.errors import UsageError
from breakeven.plugin.sharding import Shard, parse_shard
from breakeven.runs.journal import read_journal, refuse_differences
from breakeven.runs.recovery import run_file_of
from support.journals import run_started
from support.journals import write as write_journal

SIX = """
@pytest.mark.sweep(batch_size=[1, 2, 4], width=[4, 8])
def bench_wide(train_benchmark, batch_size, width):
    train_benchmark(lambda: workload(batch_size, width))
"""
THEIRS = """
import pytest

@pytest.mark.parametrize("n", range(8))
def test_sum(benchmark, n):
    benchmark.pedantic(sum, ([n],), rounds=2)

def test_other(): ...
"""
CELL = re.compile(r"bench_wide\[(\d+-\d+)-(cpu|cpu@1)-(\w+)\]")


def cells_of(names):
    """The devices and phases of each cell among the names of cases."""
    return Counter(CELL.fullmatch(name)[1] for name in names)


def test_every_cell_is_in_one_shard(bench):
    """All its devices and phases are with it."""
    bench.write(SIX)
    fast = ("bench", "--breakeven-devices=cpu@1,cpu", "--breakeven-phases=train,forward")
    shards = [cells_of(bench.ids(*fast, f"--breakeven-shard={k}/3")) for k in (1, 2, 3)]
    assert sum(shards, Counter()) == cells_of(bench.ids(*fast))
    assert {count for shard in shards for count in shard.values()} == {4}
    assert [sorted(shard) for shard in shards] == [["1-8", "2-4"], ["1-4", "4-8"], ["2-8", "4-4"]]


def test_nothing_else_decides(bench):
    """A cell stays in its shard with -k, another sweep, other devices, and beside other benchmarks."""
    bench.write(SIX)
    fast = ("bench", "--breakeven-devices=cpu", "--breakeven-phases=train", "--breakeven-shard=1/3")
    kept = set(cells_of(bench.ids(*fast)))
    for more in (
        ("-k", "4"),
        ("--breakeven-sweep=batch_size=4,2,1,16",),
        ("--breakeven-devices=cpu@1,cpu",),
        ("--breakeven-phases=",),
    ):
        found = set(cells_of(bench.ids(*fast, *more)))
        assert found
        assert {cell for cell in found if not cell.startswith("16-")} <= kept
    bench.write(SIX.replace("batch_size=[1, 2, 4], width=[4, 8]", "width=[8, 4], batch_size=[4, 2, 1]"))
    assert {"-".join(reversed(cell.split("-"))) for cell in cells_of(bench.ids(*fast))} == kept


def test_run_file(bench):
    """It records the shard and the sweep of which it is a part; all shards have the same sweep."""
    bench.write(SIX)
    found = []
    for k in (1, 2):
        assert bench.run(f"--breakeven-shard={k}/2").ret == 0
        content = bench.file()
        assert content["breakeven"]["outcomes"] == []
        assert content["breakeven"]["complete"] is True
        found.append(content["breakeven"]["shard"])
        assert (found[-1]["index"], found[-1]["count"]) == (k, 2)
        assert found[-1]["cells"] == len(content["benchmarks"])
    assert sum(shard["cells"] for shard in found) == 6
    assert found[0]["sweep_cells"] == found[1]["sweep_cells"] == 6
    assert found[0]["sweep_id"] == found[1]["sweep_id"]
    assert bench.run("--breakeven-shard=2/2", "-k", "8").ret == 0
    assert bench.file()["breakeven"]["shard"]["sweep_id"] != found[1]["sweep_id"]
    assert bench.run().ret == 0
    assert "shard" not in bench.file()["breakeven"]


def test_empty_shard(bench):
    """It exits with 5, prints why, and writes no file."""
    result = bench.write(SIX).run("--breakeven-shard=1/50")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED == 5
    assert result.outlines.count(
        "breakeven: shard 1/50 is empty: none of the sweep's 6 cells belongs to it, and the other shards "
        "have all of them"
    ) == 1  # fmt: skip
    assert not (bench.pytester.path / "run.json").exists()


def test_list_of_cases(bench, monkeypatch):
    """A shard of the listed cases has those that a shard of all has."""
    (bench.pytester.path / "cases.txt").write_text(
        "".join(f"wide train cpu@1 batch={batch} width=8\n" for batch in (1, 2, 4))
    )
    monkeypatch.setenv("BREAKEVEN_CASES", "cases.txt")
    bench.write(SIX).run("--breakeven-shard=1/3").assert_outcomes(passed=1, deselected=5)
    assert bench.timed() == ["bench_wide[1-8-cpu@1-train]"]


def test_other_tests(bench):
    """Plain benchmarks are in one shard each; tests that time nothing, and invalid sweeps, in every one."""
    bench.write(SIX + "@pytest.mark.sweep(batch_size=8)\ndef bench_wrong(train_benchmark, batch_size): ...")
    bench.write(THEIRS, "bench/test_theirs.py", head="")
    shards = [bench.ids("bench", "--breakeven-devices=cpu@1", f"--breakeven-shard={k}/2") for k in (1, 2)]
    counts = Counter(name.partition("[")[0] for shard in shards for name in shard)
    assert counts["test_sum"] == 8
    assert counts["test_other"] == counts["bench_wrong"] == 2
    assert all("test_sum" in " ".join(shard) for shard in shards)


def test_ini_key(bench):
    bench.write(SIX).pytester.makeini("[pytest]\nbreakeven_shard = 3/3\n")
    assert bench.ids("bench", "--breakeven-devices=cpu@1", "--breakeven-phases=train") == [
        "bench_wide[2-8-cpu@1-train]",
        "bench_wide[4-4-cpu@1-train]",
    ]


@pytest.mark.parametrize(
    "text", ["3/2", "0/2", "1/0", "1", "a/b", "-1/2", "1/2/3", "1 /2", "\u0661/\u0662", "1/" + "9" * 400]
)
def test_bad_shard(bench, usage_error, text):
    line = usage_error(bench.write(SIX).run(f"--breakeven-shard={text}"))
    assert line.startswith("--breakeven-shard='")
    assert "is not K/N with integers 1 <= K <= N <= 100000; use for example 1/4 for" in line
    assert len(line) < 200


def test_shards_without_a_sweep(pytester):
    """A project without a sweep runs as if the option were not there."""
    pytester.makepyfile(test_theirs=THEIRS)
    pytester.runpytest_inprocess("--breakeven-shard=1/50").assert_outcomes(passed=9)


def test_parse():
    assert parse_shard("") is None
    assert parse_shard("12/345") == Shard(12, 345)
    with pytest.raises(UsageError):
        parse_shard("345/12")


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.integers(1, 40), st.text(max_size=5), st.integers(1, 10**6))
def test_shards_partition_all_cells(count, value, batch_size):
    label = Cell("mlp", Axes({"key": value, "a": 1}), batch_size).label()
    assert label == Cell("mlp", Axes({"a": 1, "key": value}), batch_size).label()
    assert sum(Shard(index, count).holds(label) for index in range(1, count + 1)) == 1


def test_shards_are_about_equal():
    labels = [Cell("mlp", Axes({"w": random.Random(i).random()}), i + 1).label() for i in range(4000)]
    sizes = [sum(map(Shard(index, 4).holds, labels)) for index in (1, 2, 3, 4)]
    assert all(900 < size < 1100 for size in sizes)


def test_journal(tmp_path):
    """A journal of another shard is not resumed, and a recovered run file records the shard."""
    shard = {"index": 1, "count": 2, "cells": 2, "sweep_cells": 4, "sweep_id": "x"}
    journal = read_journal(write_journal(tmp_path / "run.json.journal", run_started(shard=shard)))
    refuse_differences(journal, run_started(shard=shard))
    for other, text in (({**shard, "index": 2}, "2/2"), (None, "none")):
        with pytest.raises(UsageError, match=f"shard was 1/2 and is {text}"):
            refuse_differences(journal, run_started(shard=other))
    assert run_file_of(journal)["breakeven"]["shard"] == shard
    plain = read_journal(write_journal(tmp_path / "plain.journal", run_started()))
    assert "shard" not in run_file_of(plain)["breakeven"]


@pytest.mark.slow
def test_measuring_processes(bench):
    """Each process keeps the cells of the shard."""
    result = bench.write(SIX).pytester.runpytest_subprocess(
        "bench", "--benchmark-json=run.json", "--breakeven-devices=cpu@1", "--breakeven-phases=train",
        "--breakeven-processes=2", "--breakeven-shard=2/3", "--benchmark-max-time=0.05",
    )  # fmt: skip
    assert result.ret == 0
    assert sorted(cells_of(bench.timed())) == ["1-4", "4-8"]
    assert bench.file()["breakeven"]["shard"]["cells"] == 2
    assert all(len(item["extra_info"]["processes"]) == 2 for item in bench.file()["benchmarks"])
