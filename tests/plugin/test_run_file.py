"""The results of a run: the run file, even if nothing was timed, and the last lines."""

import json
import re
from unittest.mock import Mock

import pytest

from breakeven.hardware.devices import usable_threads
from breakeven.runs.reader import read

EXAMPLE = """\
import pytest, torch
from breakeven import Workload

@pytest.mark.sweep(batch_size=[1, 16, 256], width=[64, 1024])
@pytest.mark.sweep("full", batch_size=[1, 8, 64, 512, 4096], width=[64, 512, 4096])
def bench_mine(train_benchmark, batch_size, width):
    train_benchmark(lambda: Workload(
        model=torch.nn.Linear(width, 10),
        loss=torch.nn.CrossEntropyLoss(),        # any callable(outputs, targets); a module is moved too; a model
                                                 # that makes its own loss: lambda out, targets: out.loss
        optimizer=torch.optim.Adam,              # called with the parameters, after the move to the device
        inputs=torch.randn(batch_size, width),   # a tensor; a tuple or list -> model(*inputs); a dict -> model(**inputs)
        targets=torch.randint(10, (batch_size,)),
        # optional: autocast=torch.bfloat16, compile=True
    ))
"""  # noqa: E501 - a user's file, as the contract shows it
PHASES = ["transfer", "forward", "backward", "step", "train"]
SKIPPED = """
@pytest.mark.sweep(batch_size=[1, 16])
def bench_plain(train_benchmark, batch_size):
    train_benchmark(lambda: pytest.skip("no data"))
"""


def test_users_file(bench):
    """It runs and reports without any configuration."""
    (bench.pytester.path / "tox.ini").unlink()
    bench.write(EXAMPLE, head="")

    result = bench.raw("bench", "--benchmark-json=run.json", "--breakeven-sweep=batch_size=16 width=64")

    assert result.ret == 0
    runs = read([bench.pytester.path / "run.json"])
    assert len(bench.timed()) + len(bench.outcomes()) == 2 * len(PHASES)
    assert set(runs.rounds["phase"]) == set(PHASES)
    assert set(runs.rounds["workload"]) == {"mine"}
    assert runs.rounds["device"].nunique() == 2
    assert result.outlines[-2] == "breakeven: next, run: breakeven report run.json"


def test_extra_info(bench):
    """A timed case has every required key, and plain values."""
    bench.write("""
@pytest.mark.parametrize("optimizer", [torch.optim.SGD], ids=["sgd"])
@pytest.mark.sweep(batch_size=[2], dtype=[torch.bfloat16], lr=[0.5], bias=[True], seed=[None], name=["x"])
def bench_all(train_benchmark, batch_size, dtype, lr, bias, seed, name, optimizer):
    train_benchmark(lambda: workload(batch_size))
""")

    assert bench.run("--breakeven-phases=").ret == 0

    benchmarks = bench.file()["benchmarks"]
    assert [item["extra_info"]["phase"] for item in benchmarks] == PHASES
    axes = {"optimizer": "SGD", "dtype": "bfloat16", "lr": 0.5, "bias": True, "seed": None, "name": "x"}
    for item in benchmarks:
        info = item["extra_info"]
        assert info["schema"] == 1
        assert (info["workload"], info["device"]) == ("all", "cpu@1")
        assert info["batch_size"] == 2
        assert type(info["batch_size"]) is int
        assert info["axes"] == axes
        assert item["params"] == {**axes, "batch_size": 2, "device": "cpu@1", "phase": info["phase"]}
        assert info["threads"] == 1
        assert info["device_name"]
        assert info["parameters"] == 4 * 2 + 2
        assert info["first_call_s"] > 0
        assert info["model_transfer_s"] >= 0
        assert info["warmup_rounds"] >= 2
        assert info["half_width"] is None or info["half_width"] >= 0
        assert isinstance(info["flags"], list)
        assert item["stats"]["rounds"] == len(item["stats"]["data"]) >= 6
    assert "UNSERIALIZABLE" not in (bench.pytester.path / "run.json").read_text()


def test_values_unknown_to_json(bench):
    """They are recorded by name, without addresses."""
    bench.write("""
@pytest.mark.sweep(batch_size=[1], lr=[float("inf")], act=[torch.nn.ReLU()], make=[object()])
def bench_all(train_benchmark, batch_size, lr, act, make):
    train_benchmark(lambda: workload(batch_size))
""")

    assert bench.run().ret == 0
    [item] = bench.file()["benchmarks"]
    assert item["extra_info"]["axes"] == {"lr": "inf", "act": "ReLU()", "make": "<object object>"}


def test_machine_info(bench):
    bench.write().run()

    machine = bench.file()["machine_info"]["breakeven"]
    assert set(machine) == {"class", "class_id", "instance_id", "state"}
    assert {"cpu", "cores", "threads", "gpu", "torch", "python", "tf32", "deterministic"} <= set(
        machine["class"]
    )
    assert re.fullmatch("[0-9a-f]{12}", machine["class_id"])
    assert re.fullmatch("[0-9a-f]{12}", machine["instance_id"])
    assert machine["state"]["device_init_s"].keys() == {"cpu@1"}


def test_command(bench, monkeypatch):
    for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k 16")

    bench.write().run()

    command = bench.file()["breakeven"]["command"]
    assert command.startswith("PYTEST_ADDOPTS='-k 16' pytest ")
    assert command.endswith(
        " bench --benchmark-json=run.json --breakeven-devices=cpu@1 --breakeven-phases=train"
    )


def test_command_without_a_timing(bench):
    bench.write(SKIPPED).run()

    assert " bench --benchmark-json=run.json " in bench.file()["breakeven"]["command"]


def test_counted_work(bench):
    bench.write().run("--breakeven-phases=transfer,forward,step", "-k", "16")

    transfer, forward, step = (item["extra_info"] for item in bench.file()["benchmarks"])
    assert forward["flops"] == 2 * 16 * 4 * 2
    assert step["moved_bytes"] == 3 * 4 * (4 * 2 + 2)  # plain SGD
    assert transfer.keys().isdisjoint({"flops", "flops_unknown", "moved_bytes"})


def test_identity_of_an_outcome(bench):
    bench.write(SKIPPED).run("-k", "16")

    assert bench.file()["breakeven"]["schema"] == 1
    assert bench.file()["breakeven"]["outcomes"] == [
        {
            "fullname": "bench/bench_mine.py::bench_plain[16-cpu@1-train]",
            "outcome": "skipped",
            "reason": "no data",
            "extra_info": {
                "schema": 1,
                "workload": "plain",
                "phase": "train",
                "device": "cpu@1",
                "batch_size": 16,
                "axes": {},
            },
        }
    ]


def test_nothing_timed(bench):
    """A file is still written, replacing an older one."""
    bench.write().run()
    assert len(bench.timed()) == 2

    result = bench.write(SKIPPED).run()

    assert result.ret == 0
    file = bench.file()
    assert file["benchmarks"] == []
    assert set(bench.outcomes().values()) == {("skipped", "no data")}
    assert len(bench.outcomes()) == 2
    assert file["machine_info"]["breakeven"]["class_id"]
    assert {"datetime", "version", "commit_info"} <= set(file)
    assert read([bench.pytester.path / "run.json"]).rounds.empty
    result.stdout.fnmatch_lines(["skipped x2: no data", "breakeven: 0 timed (0 flagged), 2 skipped; *"])
    result.stdout.no_fnmatch_line("*Not saving anything*")


@pytest.mark.parametrize("option", ["--benchmark-skip", "--benchmark-disable"])
def test_untimed_run(bench, option):
    assert bench.write().run(option).ret == 0

    assert bench.file()["benchmarks"] == []
    [reason] = {reason for outcome, reason in bench.outcomes().values()}
    assert "--benchmark-skip" in reason or "disabled" in reason


def test_no_file(bench):
    result = bench.write().raw("bench", "--breakeven-devices=cpu@1", "--breakeven-phases=forward")

    assert result.ret == 0
    assert "--benchmark-json=run.json" in result.outlines[-2]
    assert not list(bench.pytester.path.glob("*.json"))


def test_missing_folders(bench):
    """They are made."""
    assert bench.write().run("--benchmark-json=a/b/run.json").ret == 0
    assert len(bench.file("a/b/run.json")["benchmarks"]) == 2


def test_earlier_file(bench):
    """It is kept until there is a new one."""
    path = bench.pytester.path / "run.json"
    path.write_text("yesterday's")

    bench.write("""
@pytest.mark.sweep(batch_size=[1])
def bench_noting(train_benchmark, batch_size):
    note(open("run.json").read())
""").run()

    assert bench.notes() == ["yesterday's"]


def test_no_empty_file(bench):
    """None exists while the first run measures."""
    bench.write("""
@pytest.mark.sweep(batch_size=[1])
def bench_noting(train_benchmark, batch_size):
    import os
    note(os.path.exists("run.json"))
""").run()

    assert bench.notes() == ["False"]


def test_link(bench):
    """It stays a link."""
    link = bench.pytester.path / "run.json"
    link.symlink_to("later.json")

    assert bench.write().run().ret == 0

    assert link.is_symlink()
    assert len(bench.file("later.json")["benchmarks"]) == 2


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The folder of temporary files."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


def test_full_disk(bench, elsewhere):
    """The results are saved as a temporary file."""
    result = bench.write().run("--benchmark-json=/dev/full")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    [kept] = elsewhere.glob("breakeven-run-*.json")
    assert len(read([kept]).runs) == 1
    assert len(json.loads(kept.read_text())["benchmarks"]) == 2
    [line] = [line for line in result.outlines if str(kept) in line]
    assert line.startswith("breakeven: ")
    assert "No space left on device" in line


@pytest.mark.parametrize("source", ["PLAIN", "SKIPPED"])
def test_all_disks_full(bench, source, monkeypatch):
    """One line below the table reports it."""
    monkeypatch.setattr("breakeven.plugin.output._write_temporary", Mock(side_effect=OSError))
    bench.write(*([SKIPPED] if source == "SKIPPED" else []))

    result = bench.run("--benchmark-json=/dev/full")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in text
    result.stdout.fnmatch_lines(["breakeven: * timed (*", "breakeven: *No space left on device*"])
    assert "breakeven: next, run" not in text
    assert "OSError" not in text


def test_full_disk_and_a_failure(bench):
    """The failure is still shown."""
    bench.write("""
@pytest.mark.sweep(batch_size=[1, 2])
def bench_half(train_benchmark, batch_size):
    assert batch_size == 1
    train_benchmark(lambda: workload(batch_size))
""")

    result = bench.run("--benchmark-json=/dev/full")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*= FAILURES =*", " half *1 *", "*could not be written*"])


def test_recipe_is_called_once_per_cell(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=[1, 2], width=[4])
def bench_noting(train_benchmark, batch_size, width):
    def recipe():
        note(f"{batch_size}-{width}")
        return workload(batch_size, width)
    train_benchmark(recipe)
""")

    assert bench.run("--breakeven-phases=", "--breakeven-devices=cpu@1,cpu@2").ret == 0
    assert bench.notes() == ["1-4", "2-4"]


def test_plan(bench):
    """It is one line before the first case."""
    result = bench.write().run("--breakeven-phases=forward,train", "-q")

    [plan] = [line for line in result.outlines if line.startswith("breakeven: 4 cases")]
    assert re.fullmatch(
        r"breakeven: 4 cases \(1 model in 2 cells: forward, train\) on cpu@1; about (\d+) s", plan
    ), plan
    assert result.outlines.index(plan) == 0


def test_plan_after_deselection(bench):
    everything = ("--breakeven-phases=forward,train", "--breakeven-devices=cpu@1,cpu@777")

    result = bench.write().run(*everything, "-k", "train and not 777")

    result.stdout.fnmatch_lines(["breakeven: 2 cases (1 model in 2 cells: train) on cpu@1; about *"])
    result.stdout.no_fnmatch_line("*cpu@777*")
    assert set(bench.file()["machine_info"]["breakeven"]["state"]["canary"]) == {"cpu@1"}


def test_long_plan(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=range(1, 2001))
def bench_many(train_benchmark, batch_size):
    pytest.exit("enough")
""")

    bench.run().stdout.fnmatch_lines(
        ["breakeven: 2000 cases (1 model in 2000 cells: train) on cpu@1; about 6.7 min"]
    )


def test_too_many_threads(bench):
    """A warning follows the plan."""
    result = bench.write(SKIPPED).run(f"--breakeven-devices=cpu@{usable_threads() + 1}")

    result.stdout.fnmatch_lines(["breakeven: cpu@* more threads than *"])


def test_last_lines(bench):
    result = bench.write().run()

    closing = next(line for line in result.outlines if line.startswith("breakeven: 2 timed"))
    assert re.fullmatch(
        r"breakeven: 2 timed \(\d flagged\); \d+\.\d s: preparing \d+%, warming up \d+%, timing \d+%, "
        r"everything else \d+%",
        closing,
    )
    spent, wall_s = (bench.file()["breakeven"][key] for key in ("spent_s", "wall_s"))
    assert set(spent) == {"preparing", "warming up", "timing"}
    assert 0 < sum(spent.values()) <= wall_s


def test_saved_run(bench):
    """A run saved by pytest-benchmark has the outcomes too."""
    bench.write().raw(
        "bench", "--benchmark-save=one", "--breakeven-devices=cpu@1", "--breakeven-phases=forward"
    )

    [path] = bench.pytester.path.glob(".benchmarks/*/*_one.json")
    assert json.loads(path.read_text())["breakeven"]["outcomes"] == []


def test_plan_without_timing(bench):
    bench.write().run("--benchmark-disable").stdout.fnmatch_lines(
        ["breakeven: 2 cases (*) on cpu@1; nothing is timed"]
    )
