"""Devices of several processes: their phases, the sweep `weak`, and where they are refused."""

import pytest

SOURCE = """
@pytest.mark.sweep(batch_size=[1, 2], width=[4, 8])
def bench_mine(train_benchmark, batch_size, width): ...

@pytest.mark.sweep("weak", batch_size=[16])
@pytest.mark.sweep(batch_size=[1])
def bench_own(train_benchmark, batch_size): ...
"""

CLASHING = """
@pytest.mark.sweep(batch_size=[1], batch=["rank"])
def bench_mine(train_benchmark, batch_size, batch): ...
"""

BOTH = "--breakeven-devices=cpu@1,2xcpu"

DRY = "--breakeven-processes=2"  # nothing is measured


@pytest.fixture(autouse=True)
def _two_cpus(monkeypatch):
    monkeypatch.setattr("breakeven.hardware.several.usable_cpus", lambda: 2)


def names(found, function):
    """Return the ids of a function's cases."""
    return [one.split("[")[1].rstrip("]") for one in found if one.startswith(f"bench_{function}[")]


def test_default_phases(bench):
    """Only a device of several processes has the one without communication."""
    found = names(bench.write(SOURCE).ids("bench", DRY, BOTH), "own")
    defaults = ["transfer", "forward", "backward", "step", "train"]
    assert found == [f"1-{name}" for name in (
        *(f"cpu@1-{phase}" for phase in defaults),
        *(f"2xcpu-{phase}" for phase in (*defaults, "train_no_sync")),
    )]  # fmt: skip
    alone = names(bench.ids("bench", "--breakeven-devices=cpu@1"), "own")
    assert alone == [f"1-cpu@1-{phase}" for phase in defaults]


def test_named_phases(bench):
    """They replace the default ones on both."""
    found = bench.write(SOURCE).ids("bench", DRY, BOTH, "--breakeven-phases=train,train_no_sync")
    assert names(found, "own") == ["1-cpu@1-train", "1-2xcpu-train", "1-2xcpu-train_no_sync"]
    found = bench.ids("bench", DRY, BOTH, "--breakeven-phases=step")
    assert names(found, "own") == ["1-cpu@1-step", "1-2xcpu-step"]


def test_a_phase_that_no_device_has(bench, usage_error):
    bench.write()
    line = usage_error(bench.run("--breakeven-phases=train,train_no_sync"))
    assert line.endswith(
        "--breakeven-phases: the phase train_no_sync needs a device of several processes, which share the "
        "batch and exchange gradients; add one to --breakeven-devices, such as 2xcuda or 2xcpu"
    )


@pytest.mark.parametrize("option", [(), ("--pdb",), ("--breakeven-processes=2", "--trace")])
def test_in_one_process(bench, usage_error, option):
    """`bench` sets BREAKEVEN_PROCESSES to 0."""
    bench.write()
    line = usage_error(bench.run("--breakeven-devices=2xcpu", *option))
    assert line.endswith(
        "2xcpu is measured by processes of its own, which --breakeven-processes=0, --pdb and --trace "
        "exclude; remove that option, or measure other devices"
    )


def test_too_few_gpus(bench, usage_error):
    bench.write()
    assert "device '99xcuda' is not available" in usage_error(bench.run("--breakeven-devices=99xcuda"))


def test_disabled(bench):
    """Nothing is timed, so nothing is refused: the case is skipped in pytest's own process."""
    bench.write()
    result = bench.run(BOTH, "--benchmark-disable")
    assert result.ret == 0
    assert bench.outcomes()["bench_plain[1-2xcpu-train]"][0] == "skipped"


def test_weak(bench):
    """Batch sizes are those of a process; the ids have the whole ones."""
    found = bench.write(SOURCE).ids("bench", DRY, BOTH, "--breakeven-phases=train", "--breakeven-sweep=weak")
    assert names(found, "mine") == [
        f"{width}-{case}-train"
        for width in (4, 8)
        for case in ("1-rank-cpu@1", "2-rank-2xcpu", "2-rank-cpu@1", "4-rank-2xcpu")
    ]
    assert names(found, "own") == ["16-rank-cpu@1-train", "32-rank-2xcpu-train"]


def test_weak_with_other_values(bench):
    chosen = "--breakeven-sweep=weak batch_size=5"
    found = bench.write(SOURCE).ids("bench", DRY, BOTH, "--breakeven-phases=train", chosen)
    assert names(found, "own") == ["5-rank-cpu@1-train", "10-rank-2xcpu-train"]


def test_weak_cases(bench):
    """The function is given the whole batch, and the axis is that of every device."""
    bench.write("""
@pytest.mark.sweep(batch_size=[1, 2], width=[4])
def bench_mine(train_benchmark, batch_size, width):
    note(f"{batch_size},{width}")
    train_benchmark(lambda: workload(batch_size, width))
""")
    assert bench.run("--breakeven-sweep=weak").ret == 0
    assert sorted(bench.notes()) == ["1,4", "2,4"]
    infos = [item["extra_info"] for item in bench.file()["benchmarks"]]
    assert [info["batch_size"] for info in infos] == [1, 2]
    assert all(info["axes"] == {"width": 4, "batch": "rank"} for info in infos)


def test_weak_beside_an_own_axis(bench, usage_error):
    bench.write(CLASHING)
    line = usage_error(bench.run("--breakeven-sweep=weak"))
    assert line.endswith("adds an axis 'batch', which a function sweeps itself; rename its argument")


def test_ranks_of_somebody_else(bench, usage_error, monkeypatch):
    """They are refused; only those that breakeven has started are its own."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    bench.write()
    assert "WORLD_SIZE=2" in usage_error(bench.run())
