"""The sweep `variants` of ``bench/``: what it holds apart, and what a CPU says of it."""

import shutil
from pathlib import Path

import pytest

BENCH = Path(__file__).parent.parent / "bench"
FILES = sorted(path for path in BENCH.glob("bench_*.py"))


@pytest.fixture
def shipped(bench):
    """A project with the shipped benchmark files."""
    (bench.pytester.path / "bench").mkdir()
    for path in FILES:
        shutil.copy(path, bench.pytester.path / "bench")
    return bench


def cells(ids):
    """The names of cases without device and phase."""
    return list(dict.fromkeys(name.rpartition("-")[0].rpartition("-")[0] for name in ids))


def test_every_way_of_being_faster_stands_beside_the_plain_one(shipped):
    ids = shipped.ids("bench", "--breakeven-sweep=variants")
    names = cells(ids)
    assert {"bench_tf32[16-1024-False", "bench_tf32[16-1024-True"} <= set(names)
    assert {"bench_mlp[64-512-2-float32", "bench_mlp[64-512-2-bfloat16"} <= set(names)
    assert {f"bench_transformer[8-128-32-adam_{form}" for form in ("loop", "foreach", "fused")} <= set(names)
    launches = [name for name in names if name.startswith("bench_launches[16-")]
    assert {name.split("-", 2)[2] for name in launches} == {
        f"{compiled}-{graphs}" for compiled in (False, True) for graphs in (False, True)
    }
    # Without a mark of its own, a function would run its whole default sweep beside them.
    assert len(names) <= 25


def test_the_default_sweep_is_what_it_was(shipped):
    names = cells(shipped.ids("bench"))
    assert not any(name.startswith(("bench_tf32", "bench_launches")) for name in names)


def test_a_cpu_skips_what_only_a_gpu_has_and_times_the_rest(shipped):
    result = shipped.run("--breakeven-sweep=variants batch_size=2 width=8", "-k", "tf32 or launches")
    assert result.ret == 0
    outcomes = shipped.outcomes()
    no_graphs = ("skipped", "cuda_graph=True: cpu@1 records no CUDA graphs")
    assert outcomes.pop("bench_launches[2-8-False-True-cpu@1-train]") == no_graphs
    assert outcomes.pop("bench_launches[2-8-True-True-cpu@1-train]") == no_graphs
    assert outcomes.pop("bench_tf32[2-8-True-cpu@1-train]") == (
        "skipped",
        "tf32=True: cpu@1 has no TF32, which is a mode of NVIDIA GPUs",
    )
    facts = {item["name"]: item["extra_info"] for item in shipped.file()["benchmarks"]}
    compiled = facts.pop("bench_launches[2-8-True-False-cpu@1-train]", None)
    if compiled is None:  # a machine without a compiler says so
        assert "not supported here" in outcomes.pop("bench_launches[2-8-True-False-cpu@1-train]")[1]
    else:
        assert compiled["compile_s"] > 0
    assert outcomes == {}
    assert list(facts) == ["bench_tf32[2-8-False-cpu@1-train]", "bench_launches[2-8-False-False-cpu@1-train]"]
    assert not any("compile_s" in found for found in facts.values())
