"""What a run leaves behind: the run file, even if nothing was timed, and the last lines."""

import json
import re
from unittest.mock import Mock

import pytest

from breakeven.report.report import analyze
from breakeven.runs.reader import read
from support.run_files import affine_run, write

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
    """A timed case has every required key, and plain values, without addresses."""
    bench.write("""
@pytest.mark.parametrize("optimizer", [torch.optim.SGD], ids=["sgd"])
@pytest.mark.sweep(batch_size=[2], dtype=[torch.bfloat16], lr=[0.5], bias=[True], seed=[None], name=["x"],
                   top=[float("inf")], act=[torch.nn.ReLU()], make=[object()])
def bench_all(train_benchmark, batch_size, dtype, lr, bias, seed, name, top, act, make, optimizer):
    train_benchmark(lambda: workload(batch_size))
""")

    assert bench.run("--breakeven-phases=").ret == 0

    benchmarks = bench.file()["benchmarks"]
    assert [item["extra_info"]["phase"] for item in benchmarks] == PHASES
    axes = {"optimizer": "SGD", "dtype": "bfloat16", "lr": 0.5, "bias": True, "seed": None, "name": "x"}
    axes |= {"top": "inf", "act": "ReLU()", "make": "<object object>"}
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


def test_cpu_at_best(bench):
    """Its threads are recorded, the same for all phases of a cell; it is listed beside ``cpu``."""
    result = bench.write().run("--breakeven-devices=cpu,cpu@best", "--breakeven-phases=forward,train")

    assert result.ret == 0
    threads = {}
    for item in bench.file()["benchmarks"]:
        info = item["extra_info"]
        threads.setdefault((info["device"], info["batch_size"]), []).append(info["threads"])
    cells = {(device, batch_size) for device in ("cpu", "cpu@best") for batch_size in (1, 16)}
    assert set(threads) == cells
    assert all(len(found) == 2 and len(set(found)) == 1 for found in threads.values())
    assert set(bench.file()["machine_info"]["breakeven"]["state"]["canary"]) == {"cpu", "cpu@best"}


@pytest.mark.parametrize(
    ("broken", "lost"),
    [
        ("breakeven.hardware.machine.cgroup_quota", {"quota"}),
        ("breakeven.hardware.machine.accelerator_kind", {"gpu", "gpu_count", "amp"}),
        ("torch.tensor", {"flush_denormal"}),
    ],
)
def test_unreadable_machine(bench, monkeypatch, broken, lost):
    """What fails when the run ends costs a fact, never the file."""

    def fail(*args, **kwargs):
        raise LookupError("lost")

    monkeypatch.setattr(broken, fail)

    assert bench.write().run().ret == 0

    assert len(bench.timed()) == 2
    machine = bench.file()["machine_info"]["breakeven"]
    assert machine["state"]["unreadable"] == dict.fromkeys(lost, "LookupError: lost")
    assert not lost & set(machine["class"])


def test_canary_that_fails(bench, monkeypatch):
    """Its error is recorded, whatever it is."""

    def fail(*args):
        raise LookupError("lost")

    monkeypatch.setattr("breakeven.measure.runner.run_canary", fail)

    assert bench.write().run().ret == 0

    canary = bench.file()["machine_info"]["breakeven"]["state"]["canary"]
    assert canary["cpu@1"]["end"] == {"unreadable": "LookupError: lost"}


def test_whole_run(bench, monkeypatch):
    """The plan comes first, the closing lines last; the file has the machine, the command and the seconds."""
    for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k 16")

    result = bench.write().run("-q")

    assert re.fullmatch(
        r"breakeven: 1 case \(1 model in 1 cell: train\) on cpu@1; about 1 s", result.outlines[0]
    )
    closing = next(line for line in result.outlines if line.startswith("breakeven: 1 timed"))
    assert re.fullmatch(
        r"breakeven: 1 timed \(\d disturbed\); (\d+\.\d s|\d+ ms): preparing \d+%, warming up \d+%, "
        r"timing \d+%, everything else \d+%",
        closing,
    )
    machine = bench.file()["machine_info"]["breakeven"]
    assert set(machine) == {"class", "class_id", "instance_id", "state"}
    assert {"cpu", "gpu", "torch", "tf32", "deterministic"} <= set(machine["class"])
    assert re.fullmatch("[0-9a-f]{12}", machine["class_id"])
    assert re.fullmatch("[0-9a-f]{12}", machine["instance_id"])
    assert machine["state"]["device_init_s"].keys() == {"cpu@1"}
    ours = bench.file()["breakeven"]
    assert ours["command"].startswith("PYTEST_ADDOPTS='-k 16' BREAKEVEN_PROCESSES=0 pytest ")
    assert ours["command"].endswith(
        " --breakeven-devices=cpu@1 --breakeven-phases=train --benchmark-max-time=0.02 -q"
    )
    assert set(ours["spent_s"]) == {"preparing", "warming up", "timing"}
    assert 0 < sum(ours["spent_s"].values()) <= ours["wall_s"]


def test_nothing_timed(bench):
    """A file is written nevertheless, over yesterday's."""
    (bench.pytester.path / "run.json").write_text("yesterday's")

    result = bench.write(SKIPPED).run()

    assert result.ret == 0
    file = bench.file()
    assert file["benchmarks"] == []
    assert file["breakeven"]["schema"] == 1
    identity = {"schema": 1, "workload": "plain", "phase": "train", "device": "cpu@1", "axes": {}}
    assert file["breakeven"]["outcomes"] == [
        {
            "fullname": f"bench/bench_mine.py::bench_plain[{batch_size}-cpu@1-train]",
            "outcome": "skipped",
            "reason": "no data",
            "extra_info": {**identity, "batch_size": batch_size},
        }
        for batch_size in (1, 16)
    ]
    assert " bench --benchmark-json=run.json " in file["breakeven"]["command"]
    assert file["machine_info"]["breakeven"]["class_id"]
    assert {"datetime", "version", "commit_info"} <= set(file)
    assert read([bench.pytester.path / "run.json"]).rounds.empty
    result.stdout.fnmatch_lines(["skipped x2: no data", "breakeven: 0 timed (0 disturbed), 2 skipped; *"])
    result.stdout.no_fnmatch_line("*Not saving anything*")


def test_answer(bench):
    """A run ends with its own answer, never with that of an older file in its place."""
    path = bench.pytester.path / "run.json"
    write(path, affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, workload="yesterday"))
    untimed = bench.write(SKIPPED).run()
    assert not [line for line in untimed.outlines if "wins" in line or "yesterday" in line]

    devices = ("--breakeven-devices=cpu@1,cpu", "--breakeven-phases=train")
    timed = bench.write().run(*devices)
    answer = analyze(read([path])).answer.lines[0]
    assert answer in " ".join(" ".join(timed.outlines).split())


@pytest.mark.parametrize("option", ["--benchmark-skip", "--benchmark-disable"])
def test_untimed_run(bench, option):
    result = bench.write().run(option)

    assert result.ret == 0
    result.stdout.fnmatch_lines(["breakeven: 2 cases (*) on cpu@1; nothing is timed"])
    assert bench.file()["benchmarks"] == []
    [reason] = {reason for outcome, reason in bench.outcomes().values()}
    assert "--benchmark-skip" in reason or "disabled" in reason


@pytest.mark.parametrize("before", ["yesterday's", None])
def test_file_while_measuring(bench, before):
    """An earlier file stays until there is a new one, and none is made."""
    if before:
        (bench.pytester.path / "run.json").write_text(before)
    bench.write("""
@pytest.mark.sweep(batch_size=[1])
def bench_noting(train_benchmark, batch_size):
    import os
    note(open("run.json").read() if os.path.exists("run.json") else None)
""").run()

    assert bench.notes() == [str(before)]


def test_counted_work(bench):
    bench.write().run("--breakeven-phases=transfer,forward,step", "-k", "16")

    transfer, forward, step = (item["extra_info"] for item in bench.file()["benchmarks"])
    assert forward["flops"] == 2 * 16 * 4 * 2
    assert step["moved_bytes"] == 3 * 4 * (4 * 2 + 2)  # plain SGD
    assert transfer.keys().isdisjoint({"flops", "flops_unknown", "moved_bytes"})


def test_no_file(bench):
    result = bench.write().raw("bench", "--breakeven-devices=cpu@1", "--breakeven-phases=forward")

    assert result.ret == 0
    assert "--benchmark-json=run.json" in result.outlines[-2]
    assert not list(bench.pytester.path.glob("*.json"))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The folder of temporary files."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


def test_full_disk(bench, elsewhere):
    """The results are saved as a temporary file, and a failure is still shown."""
    bench.write("""
@pytest.mark.sweep(batch_size=[1, 2])
def bench_half(train_benchmark, batch_size):
    assert batch_size == 1
    train_benchmark(lambda: workload(batch_size))
""")

    result = bench.run("--benchmark-json=/dev/full")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    [kept] = elsewhere.glob("breakeven-run-*.json")
    assert len(read([kept]).runs) == 1
    assert len(json.loads(kept.read_text())["benchmarks"]) == 1
    [line] = [line for line in result.outlines if str(kept) in line]
    assert line.startswith("breakeven: ")
    assert "No space left on device" in line
    result.stdout.fnmatch_lines(["*= FAILURES =*", " half *1 *", "*could not be written*"])


@pytest.mark.parametrize("source", ["PLAIN", "SKIPPED"])
def test_all_disks_full(bench, source, monkeypatch):
    """One line below the table reports it."""
    monkeypatch.setattr("breakeven.plugin.output._write_temporary", Mock(side_effect=OSError))
    bench.write(*([SKIPPED] if source == "SKIPPED" else []))

    result = bench.run("--benchmark-json=/dev/full")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in text
    result.stdout.fnmatch_lines(["breakeven: * timed (*", "breakeven: *No space left on device*"])
    assert "breakeven: next, run" not in text
    assert "OSError" not in text


def test_plan_after_deselection(bench):
    everything = ("--breakeven-phases=forward,train", "--breakeven-devices=cpu@1,cpu@777")

    result = bench.write().run(*everything, "-k", "train and not 777")

    result.stdout.fnmatch_lines(["breakeven: 2 cases (1 model in 2 cells: train) on cpu@1; about *"])
    result.stdout.no_fnmatch_line("*cpu@777*")
    assert set(bench.file()["machine_info"]["breakeven"]["state"]["canary"]) == {"cpu@1"}


def test_long_plan(bench):
    bench.max_time_s = 0.05
    bench.write("""
@pytest.mark.sweep(batch_size=range(1, 2001))
def bench_many(train_benchmark, batch_size):
    pytest.exit("enough")
""")

    bench.run().stdout.fnmatch_lines(
        ["breakeven: 2,000 cases (1 model in 2,000 cells: train) on cpu@1; about 4 to 10 min"]
    )
