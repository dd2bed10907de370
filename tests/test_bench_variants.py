"""The sweep `variants` of ``bench/``: its cases, and their outcomes on a CPU."""

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


def test_variants_and_plain_forms(shipped):
    """Every variant is measured along with its plain form."""
    ids = shipped.ids("bench", "--breakeven-sweep=variants")
    names = cells(ids)
    assert {"bench_tf32[16-1024-False", "bench_tf32[16-1024-True"} <= set(names)
    assert {"bench_mlp[64-512-2-float32", "bench_mlp[64-512-2-bfloat16"} <= set(names)
    assert {f"bench_transformer[8-128-32-adam_{form}" for form in ("loop", "foreach", "fused")} <= set(names)
    launches = [name for name in names if name.startswith("bench_launches[16-")]
    assert {name.split("-", 2)[2] for name in launches} == {
        f"{compiled}-{graphs}" for compiled in (False, True) for graphs in (False, True)
    }
    backward = [name for name in names if name.startswith("bench_backward[")]
    assert backward == ["bench_backward[16-512-False", "bench_backward[16-512-True"]
    # Without a mark of its own, a function would run its whole default sweep beside them.
    assert len(names) <= 25


def test_default_sweep(shipped):
    """It has no variants."""
    names = cells(shipped.ids("bench"))
    assert not any(name.startswith(("bench_tf32", "bench_launches", "bench_backward")) for name in names)


SMALL = "--breakeven-sweep=variants batch_size=2 width=8"


def test_variants_without_a_gpu_are_skipped(shipped):
    result = shipped.run(SMALL, "-k", "(tf32 or launches) and not True-False")
    assert result.ret == 0
    no_graphs = ("skipped", "cuda_graph=True: cpu@1 cannot capture CUDA graphs")
    no_tf32 = ("skipped", "tf32=True: cpu@1 has no TF32, which is a mode of NVIDIA GPUs")
    assert shipped.outcomes() == {
        "bench_launches[2-8-False-True-cpu@1-train]": no_graphs,
        "bench_launches[2-8-True-True-cpu@1-train]": no_graphs,
        "bench_tf32[2-8-True-cpu@1-train]": no_tf32,
    }
    facts = {item["name"]: item["extra_info"] for item in shipped.file()["benchmarks"]}
    assert list(facts) == ["bench_tf32[2-8-False-cpu@1-train]", "bench_launches[2-8-False-False-cpu@1-train]"]
    assert not any("compile_s" in found for found in facts.values())


@pytest.mark.slow
def test_compiled_on_a_cpu(shipped):
    """It is timed, with the time of compiling, or skipped without a compiler."""
    case = "bench_launches[2-8-True-False-cpu@1-train]"
    result = shipped.run(SMALL, "-k", "launches and True-False")
    assert result.ret == 0
    facts = {item["name"]: item["extra_info"] for item in shipped.file()["benchmarks"]}
    if facts:
        assert facts[case]["compile_s"] > 0
    else:
        assert "not supported here" in shipped.outcomes()[case][1]
