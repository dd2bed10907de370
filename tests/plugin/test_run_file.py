"""What a run leaves behind: the run file, also where nothing was timed, and the last lines."""

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


def test_a_users_own_file_runs_and_reports_without_any_configuration(bench):
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


def test_a_timed_case_has_every_required_key_and_plain_values(bench):
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


def test_values_that_json_lacks_are_named_and_addresses_left_out(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=[1], lr=[float("inf")], act=[torch.nn.ReLU()], make=[object()])
def bench_all(train_benchmark, batch_size, lr, act, make):
    train_benchmark(lambda: workload(batch_size))
""")

    assert bench.run().ret == 0
    [item] = bench.file()["benchmarks"]
    assert item["extra_info"]["axes"] == {"lr": "inf", "act": "ReLU()", "make": "<object object>"}


def test_the_machine_is_described_by_class_box_and_state(bench):
    bench.write().run()

    machine = bench.file()["machine_info"]["breakeven"]
    assert set(machine) == {"class", "class_id", "instance_id", "state"}
    assert {"cpu", "cores", "threads", "gpu", "torch", "python", "tf32", "deterministic"} <= set(
        machine["class"]
    )
    assert re.fullmatch("[0-9a-f]{12}", machine["class_id"])
    assert re.fullmatch("[0-9a-f]{12}", machine["instance_id"])
    assert machine["state"]["device_init_s"].keys() == {"cpu@1"}


def test_the_file_holds_the_command_that_repeats_the_run(bench, monkeypatch):
    for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k 16")

    bench.write().run()

    command = bench.file()["breakeven"]["command"]
    assert command.startswith("PYTEST_ADDOPTS='-k 16' pytest ")
    assert command.endswith(
        " bench --benchmark-json=run.json --breakeven-devices=cpu@1 --breakeven-phases=train"
    )


def test_the_file_of_a_run_without_a_timing_holds_the_command_too(bench):
    bench.write(SKIPPED).run()

    assert " bench --benchmark-json=run.json " in bench.file()["breakeven"]["command"]


def test_a_timed_case_says_how_much_work_it_is(bench):
    bench.write().run("--breakeven-phases=transfer,forward,step", "-k", "16")

    transfer, forward, step = (item["extra_info"] for item in bench.file()["benchmarks"])
    assert forward["flops"] == 2 * 16 * 4 * 2
    assert step["moved_bytes"] == 3 * 4 * (4 * 2 + 2)  # plain SGD
    assert transfer.keys().isdisjoint({"flops", "flops_unknown", "moved_bytes"})


def test_outcomes_carry_the_identity_of_their_case(bench):
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


def test_where_nothing_was_timed_a_file_is_written_over_yesterdays(bench):
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
def test_a_run_without_benchmarking_leaves_a_file_that_says_so(bench, option):
    assert bench.write().run(option).ret == 0

    assert bench.file()["benchmarks"] == []
    [reason] = {reason for outcome, reason in bench.outcomes().values()}
    assert "--benchmark-skip" in reason or "disabled" in reason


def test_a_run_without_a_file_says_what_to_add_and_leaves_none(bench):
    result = bench.write().raw("bench", "--breakeven-devices=cpu@1", "--breakeven-phases=forward")

    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["breakeven: nothing was kept; add --benchmark-json=run.json to make a report"]
    )
    assert not list(bench.pytester.path.glob("*.json"))


def test_missing_folders_of_the_file_are_made(bench):
    assert bench.write().run("--benchmark-json=a/b/run.json").ret == 0
    assert len(bench.file("a/b/run.json")["benchmarks"]) == 2


@pytest.mark.parametrize(
    "path",
    [
        "bench/bench_mine.py/run.json",
        "bench",
        "x" * 300,
        "/proc/run.json",  # as far as permissions tell, root may write there
    ],
    ids=["below a file", "a directory", "long", "proc"],
)
def test_a_file_that_cannot_be_written_is_refused_before_measuring(bench, usage_error, path):
    bench.write("""
@pytest.mark.sweep(batch_size=[1])
def bench_noting(train_benchmark, batch_size):
    note("called")
""")

    line = usage_error(bench.run(f"--benchmark-json={path}"))

    assert line.startswith(f"--benchmark-json={path} cannot be written (")
    assert line.endswith("); name a file in a folder of yours")
    assert bench.notes() == []


def test_the_file_of_an_earlier_run_stays_until_there_is_a_new_one(bench):
    path = bench.pytester.path / "run.json"
    path.write_text("yesterday's")

    bench.write("""
@pytest.mark.sweep(batch_size=[1])
def bench_noting(train_benchmark, batch_size):
    note(open("run.json").read())
""").run()

    assert bench.notes() == ["yesterday's"]


def test_no_empty_file_stands_there_while_the_first_run_measures(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=[1])
def bench_noting(train_benchmark, batch_size):
    import os
    note(os.path.exists("run.json"))
""").run()

    assert bench.notes() == ["False"]


def test_a_link_to_where_the_file_will_be_stays_a_link(bench):
    link = bench.pytester.path / "run.json"
    link.symlink_to("later.json")

    assert bench.write().run().ret == 0

    assert link.is_symlink()
    assert len(bench.file("later.json")["benchmarks"]) == 2


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Where temporary files go."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


def test_a_run_whose_file_finds_no_room_in_the_end_is_kept_elsewhere(bench, elsewhere):
    result = bench.write().run("--benchmark-json=/dev/full")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    [kept] = elsewhere.glob("breakeven-run-*.json")
    assert len(read([kept]).sources) == 1
    assert len(json.loads(kept.read_text())["benchmarks"]) == 2
    why = "the results could not be written (No space left on device), and are kept in"
    assert f"breakeven: {why} {kept}; move that file" in result.outlines


@pytest.mark.parametrize("source", ["PLAIN", "SKIPPED"])
def test_results_that_find_no_room_in_the_end_are_told_in_a_line_below_the_table(bench, source, monkeypatch):
    monkeypatch.setattr("breakeven.plugin.session.write_elsewhere", Mock(side_effect=OSError))
    bench.write(*([SKIPPED] if source == "SKIPPED" else []))

    result = bench.run("--benchmark-json=/dev/full")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in text
    told = "breakeven: the results could not be written (No space left on device); give them room, *"
    result.stdout.fnmatch_lines(["breakeven: * timed (*", told])
    assert "breakeven: next, run" not in text
    assert "OSError" not in text


def test_a_failure_is_still_told_where_the_results_find_no_room(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=[1, 2])
def bench_half(train_benchmark, batch_size):
    assert batch_size == 1
    train_benchmark(lambda: workload(batch_size))
""")

    result = bench.run("--benchmark-json=/dev/full")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*= FAILURES =*", "half *1 *", "*could not be written*"])


def test_a_model_is_built_once_a_cell_not_once_a_phase_or_device(bench):
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


def test_the_plan_stands_in_one_line_before_the_first_case(bench):
    result = bench.write().run("--breakeven-phases=forward,train", "-q")

    [plan] = [line for line in result.outlines if line.startswith("breakeven: 4 cases")]
    assert re.fullmatch(
        r"breakeven: 4 cases \(1 model in 2 cells: forward, train\) on cpu@1; about (\d+) s", plan
    ), plan
    assert result.outlines.index(plan) == 0


def test_the_plan_names_the_phases_and_devices_that_a_keyword_has_left(bench):
    everything = ("--breakeven-phases=forward,train", "--breakeven-devices=cpu@1,cpu@777")

    result = bench.write().run(*everything, "-k", "train and not 777")

    result.stdout.fnmatch_lines(["breakeven: 2 cases (1 model in 2 cells: train) on cpu@1; about *"])
    result.stdout.no_fnmatch_line("*cpu@777*")
    assert set(bench.file()["machine_info"]["breakeven"]["state"]["canary"]) == {"cpu@1"}


def test_a_long_plan_is_told_in_minutes(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=range(1, 2001))
def bench_many(train_benchmark, batch_size):
    pytest.exit("enough")
""")

    bench.run().stdout.fnmatch_lines(
        ["breakeven: 2000 cases (1 model in 2000 cells: train) on cpu@1; about 6.7 min"]
    )


def test_a_device_with_more_threads_than_there_are_is_told_with_the_plan(bench):
    result = bench.write(SKIPPED).run(f"--breakeven-devices=cpu@{usable_threads() + 1}")

    result.stdout.fnmatch_lines(["breakeven: cpu@* asks for more threads than the * this process may use"])


def test_the_last_lines_count_the_cases_and_say_where_the_time_went(bench):
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


def test_autosaved_runs_carry_the_outcomes_too(bench):
    bench.write().raw(
        "bench", "--benchmark-save=one", "--breakeven-devices=cpu@1", "--breakeven-phases=forward"
    )

    [path] = bench.pytester.path.glob(".benchmarks/*/*_one.json")
    assert json.loads(path.read_text())["breakeven"]["outcomes"] == []


def test_a_plan_without_timing_promises_no_minutes(bench):
    bench.write().run("--benchmark-disable").stdout.fnmatch_lines(
        ["breakeven: 2 cases (*) on cpu@1; nothing is timed"]
    )
