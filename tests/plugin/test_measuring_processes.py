"""`pytest bench` with real measuring processes: pytest's options, users' plugins, and ways to die."""

import json
import signal
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from breakeven import cli
from breakeven.runs.journal import read_journal
from breakeven.runs.recovery import recovered_json, run_file_of
from support.projects import HEAD, Project, short


@pytest.fixture
def project(tmp_path):
    """Return a function from the source of benchmarks to a project with them."""
    return lambda source, conftest="": Project(tmp_path, source, conftest)


@pytest.fixture
def never_started(monkeypatch):
    """Fail where a measuring process is started."""
    launch = "breakeven.plugin.replaying.Launcher.__call__"
    monkeypatch.setattr(launch, lambda *_: pytest.fail("a process was started"))


@pytest.mark.parametrize("option", ["--collect-only", "--setup-plan", "--setup-only"])
def test_dry_runs(bench, never_started, option):
    """They start no process, and leave the files of the run before."""
    bench.write()
    written = {name: bench.pytester.path / name for name in ("run.json", "run.json.journal")}
    for path in written.values():
        path.write_text("yesterday's")

    assert bench.run("--breakeven-processes=2", option).ret == pytest.ExitCode.OK

    assert [path.read_text() for path in written.values()] == ["yesterday's"] * 2
    assert not (bench.pytester.path / ".breakeven").exists()


@pytest.mark.parametrize(
    ("option", "environment", "ini", "expected"),
    [
        ([], "", "", 5),
        (["--breakeven-processes=2"], "3", "4", 2),
        ([], "3", "4", 3),
        ([], "", "4", 4),
        (["--breakeven-processes=0"], "3", "4", None),
        (["--pdb"], "3", "4", None),
        (["--benchmark-disable"], "3", "4", None),
    ],
)
def test_number(bench, monkeypatch, option, environment, ini, expected):
    """The option, or else the environment, or else the ini file; None for pytest's own process."""
    found = []
    coordinate = "breakeven.plugin.coordinator.Coordinator.run"
    monkeypatch.setattr(coordinate, lambda self: found.append(self._journal.run.processes))
    monkeypatch.setenv("BREAKEVEN_PROCESSES", environment)
    bench.write().pytester.makeini(f"[pytest]\nbreakeven_processes = {ini}\n")

    bench.run(*option)

    assert found == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("option", "environment", "ini", "value"),
    [("two", "2", "", "two"), ("", "-1", "", "-1"), ("", "", "1e3", "1e3"), ("1001", "", "", "1001")],
)
def test_invalid_number(bench, never_started, usage_error, monkeypatch, option, environment, ini, value):
    monkeypatch.setenv("BREAKEVEN_PROCESSES", environment)
    bench.write().pytester.makeini(f"[pytest]\nbreakeven_processes = {ini}\n")
    line = usage_error(bench.run(f"--breakeven-processes={option}"))
    assert line.startswith(f"--breakeven-processes={value!r} is not an integer from 0 to 1000; use")


def test_a_journal_that_cannot_be_written(bench, never_started, usage_error):
    """The run is refused before anything is measured."""
    (bench.write().pytester.path / "run.json.journal").mkdir()
    line = usage_error(bench.run("--breakeven-processes=2"))
    assert line.startswith("the journal run.json.journal cannot be written (Is a directory); choose")


def test_an_old_journal_is_kept(bench, monkeypatch):
    """Unless the run is resumed."""
    monkeypatch.setattr("breakeven.plugin.coordinator.Coordinator.run", lambda _: None)
    journal = bench.write().pytester.path / "run.json.journal"
    journal.write_text("yesterday's")

    bench.run("--breakeven-processes=2")

    assert (bench.pytester.path / "run.json.journal.old").read_text() == "yesterday's"


USER_PLUGINS = """
@pytest.mark.sweep(batch_size=[1, 2])
def bench_fine(train_benchmark, batch_size, resource):
    pathlib.Path("calls.txt").open("a").write(f"{os.getpid()}\\n")
    assert resource == "resource"
    train_benchmark(lambda: workload(batch_size, lambda: print(f"model of batch {batch_size}")))

@pytest.mark.sweep(batch_size=[1, 2])
def bench_odd(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size, fail if batch_size == 1 else lambda: None))

@pytest.mark.sweep(batch_size=[1, 8])
def bench_dropped(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))

@pytest.mark.skipif(True, reason="not here")
@pytest.mark.sweep(batch_size=[1])
def bench_skipped(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))

@pytest.mark.xfail(reason="a known bug", strict=True)
@pytest.mark.sweep(batch_size=[1])
def bench_known(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size, fail))

@pytest.mark.sweep(batch_size=[1])
def bench_checked(train_benchmark, batch_size):
    seen = []
    train_benchmark(lambda: (seen.append(1), workload(batch_size))[1])
    assert not seen, "it was seen"

@pytest.mark.timeout(2)
@pytest.mark.sweep(batch_size=[1])
def bench_sleeps(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size, lambda: time.sleep(1000)))

def test_beside():
    pathlib.Path("beside.txt").open("a").write("x")
"""

USER_CONFTEST = """
import pytest

@pytest.fixture(scope="session")
def resource():
    with open("resources.txt", "a") as file:
        file.write("x")
    return "resource"

def pytest_collection_modifyitems(config, items):
    dropped = [item for item in items if "dropped" in item.nodeid and "8-" in item.nodeid]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]
"""


@pytest.mark.slow
def test_plugins_and_options_of_users(project):
    """Selection, printing, JUnit's file, coverage, timeouts, shuffling and the cache, in two processes."""
    made = project(USER_PLUGINS, USER_CONFTEST)

    code, output = made.run(
        "-s", "--junitxml=junit.xml", "--cov=bench", "--cov-report=json:coverage.json", "--durations=3",
        "--timeout=100", "--benchmark-autosave", "--breakeven-processes=2", "-k", "not absent",
        "--override-ini=python_files=bench_*.py", "--randomly-seed=7", randomly=True,
    )  # fmt: skip

    assert code == pytest.ExitCode.TESTS_FAILED
    assert "3 failed, 5 passed, 1 skipped, 1 deselected, 1 xfailed" in output
    timed = ["fine[1]", "fine[2]", "odd[2]", "dropped[1]", "checked[1]"]
    assert list(made.rounds()) == timed  # in the order of the sweeps
    assert all(all(item["extra_info"]["processes"]) for item in made.content()["benchmarks"])
    assert made.outcomes() == {
        "odd[1]": ("failed", made.no_good),
        "skipped[1]": ("skipped", "not here"),
        "known[1]": ("failed", made.no_good),
        "sleeps[1]": ("failed", "Timeout (>2.0s) from pytest-timeout."),
    }
    assert made.content()["breakeven"]["complete"]
    assert len(list((made.path / ".benchmarks").rglob("*.json"))) == 1
    # What the model prints is shown, what the processes' own pytest prints is not.
    assert "model of batch 1" in output
    assert output.count("test session starts") == output.count("short test summary") == 1
    assert output.count(" FAILURES ") == 1
    assert "warnings summary" not in output
    # The functions ran in the two processes, the other test in this one.
    assert len(set((made.path / "calls.txt").read_text().split())) == 2
    assert (made.path / "beside.txt").read_text() == "x"
    assert (made.path / "resources.txt").read_text() == "xxx"
    # Lines that only the first process reached, in a model, count as covered.
    missing = made.content("coverage.json")["files"]["bench/bench_mine.py"]["missing_lines"]
    assert [HEAD.splitlines()[line - 1] for line in missing if line <= len(HEAD.splitlines())] == []
    # JUnit's file has every case, with the time that it took.
    cases = {
        short(case.get("name")): case for case in ElementTree.parse(made.path / "junit.xml").iter("testcase")
    }
    assert len(cases) == 10
    failed = {"checked[1]", "odd[1]", "sleeps[1]"}
    assert {name for name, case in cases.items() if case.find("failure") is not None} == failed
    assert float(cases["sleeps[1]"].get("time")) > 1.9
    assert "call     bench/bench_mine.py::bench_sleeps" in output
    cached = json.loads((made.path / ".pytest_cache/v/cache/lastfailed").read_text())
    assert {short(nodeid.partition("::")[2]) for nodeid in cached} == failed
    assert json.loads((made.path / ".pytest_cache/v/randomly_seed").read_text()) == 7


FAILS = """
@pytest.mark.sweep(batch_size=[1, 2, 3])
def bench_fails(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size, fail if batch_size < 3 else lambda: None))
"""


@pytest.mark.slow
def test_first_failure_and_last_failed(project):
    """-x stops the processes at the first failure; --lf has only that case measured again."""
    made = project(FAILS)

    code, output = made.run("-x", "--tb=short", "-v", "--breakeven-processes=2")

    assert code == pytest.ExitCode.TESTS_FAILED
    assert list(made.rounds()) == ["fails[3]"]
    assert not made.content()["breakeven"]["complete"]
    [failed] = [name for name, (outcome, _) in made.outcomes().items() if outcome == "failed"]
    [other] = {"fails[1]", "fails[2]"} - {failed}
    assert made.outcomes()[other] == ("skipped", "not reached: the run was stopped before it")
    assert output.count('raise ValueError("no good")') == 1
    assert output.count("bench_fails[3-cpu@1-train] PASSED") == 1

    made.file.write_text(made.file.read_text().replace("batch_size < 3", "batch_size < 0"))
    code, output = made.run("--lf")

    assert code == pytest.ExitCode.OK
    assert "breakeven: 1 case (" in output
    assert list(made.rounds()) == [failed]
    assert made.outcomes() == {}


DIES = """
@pytest.mark.sweep(batch_size=[1, 2])
def bench_fine(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))

@pytest.mark.sweep(batch_size=[1])
def bench_segfault(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size, lambda: ctypes.string_at(0)))

@pytest.mark.sweep(batch_size=[1])
def bench_late(train_benchmark, batch_size):
    def recipe():
        is_late = pathlib.Path("once").exists()
        pathlib.Path("once").touch()
        return workload(batch_size, os.abort if is_late else lambda: None)

    train_benchmark(recipe)
"""

KEEPS_THE_JOURNAL = """
import shutil

def pytest_benchmark_update_json(config, benchmarks, output_json):
    shutil.copy("run.json.journal", "kept.journal")
"""

MORE_DIES = """
WAYS = {
    "exit": lambda: os._exit(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "wait": lambda: time.sleep(1000),
    "spin": lambda: [None for number in iter(int, 1)],
}

@pytest.mark.sweep(batch_size=[1], way=[*WAYS])
def bench_dies(train_benchmark, batch_size, way):
    train_benchmark(lambda: workload(batch_size, WAYS[way]))

def lose_device():
    raise RuntimeError("CUDA error: device-side assert triggered")

@pytest.mark.sweep(batch_size=[1])
def bench_poison(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size, lose_device))
"""


@pytest.mark.slow
def test_crashes(project):
    """A crash costs its own case; one in a later process leaves the rounds of the first."""
    made = project(DIES, KEEPS_THE_JOURNAL)

    code, output = made.run("--breakeven-processes=2")

    assert code == pytest.ExitCode.TESTS_FAILED
    counts = {short(one["name"]): one["extra_info"]["processes"] for one in made.content()["benchmarks"]}
    assert list(counts) == ["fine[1]", "fine[2]", "late[1]"]
    assert all(counts["fine[1]"] + counts["fine[2]"])
    assert counts["late[1]"][0] > 0
    assert counts["late[1]"][1] == 0
    assert made.outcomes() == {"segfault[1]": ("crashed", "its process was ended by SIGSEGV")}
    [late] = [item for item in made.content()["benchmarks"] if "late" in item["name"]]
    assert "lost" in late["extra_info"]["flags"]
    assert late["extra_info"]["evidence"]["lost"] == {
        "processes": {"1": "crashed: its process was ended by SIGABRT"}
    }
    assert "2 failed, 2 passed" in output
    assert not (made.path / "run.json.journal").exists()
    assert cli.main(["report", str(made.path / "run.json"), "--format", "json"]) == 0
    # What is recovered from the journal is the run file, but for the times of the coordinator.
    recovered = json.loads(recovered_json(run_file_of(read_journal(made.path / "kept.journal"))))
    written = made.content()
    assert recovered["breakeven"].pop("wall_s") < written["breakeven"].pop("wall_s")
    assert recovered.pop("datetime") < written.pop("datetime")
    assert recovered == written


@pytest.mark.slow
def test_all_ways_to_die(project):
    made = project(DIES + MORE_DIES)

    code, _ = made.run("--breakeven-timeout=8", "--benchmark-autosave")

    assert code == pytest.ExitCode.TESTS_FAILED
    assert list(made.rounds()) == ["fine[1]", "fine[2]", "late[1]"]
    reasons = {
        name: (outcome, reason.partition(",")[0]) for name, (outcome, reason) in made.outcomes().items()
    }
    assert reasons == {
        "segfault[1]": ("crashed", "its process was ended by SIGSEGV"),
        "dies[1-exit]": ("crashed", "its process exited with 0"),
        "dies[1-kill]": ("crashed", "its process was ended by SIGKILL"),
        "dies[1-wait]": ("timeout", "took more than 8.0 s without an end"),
        "dies[1-spin]": ("timeout", "took more than 8.0 s without an end"),
        "poison[1]": ("crashed", "RuntimeError: CUDA error: device-side assert triggered"),
    }
    assert f'in File "{made.file}", line ' in made.outcomes()["dies[1-wait]"][1]

    code, output = made.run("-k", "fine", "--benchmark-compare")
    assert code == pytest.ExitCode.OK
    assert "bench_fine[1-cpu@1-train] (0001_" in output


@pytest.mark.slow
def test_max_failures(project):
    """They count over the processes that crashes end."""
    made = project(DIES + MORE_DIES)

    code, _ = made.run("--maxfail=2", "-k", "exit or kill or segfault or poison")

    assert code == pytest.ExitCode.TESTS_FAILED
    assert sorted(outcome for outcome, _ in made.outcomes().values()) == [
        "crashed", "crashed", "skipped", "skipped"
    ]  # fmt: skip


STOPS = """
@pytest.mark.sweep(batch_size=[1, 2])
def bench_first(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))

@pytest.mark.sweep(batch_size=[1])
def bench_waits(train_benchmark, batch_size):
    is_here = pathlib.Path("wait").exists()
    train_benchmark(lambda: workload(batch_size, lambda: time.sleep(1000) if is_here else None))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 2), (signal.SIGTERM, 2)]
)
def test_stopped_and_resumed(project, number, code, capsys):
    """The worker ends with its coordinator; what had ended is recovered, and not measured again."""
    made = project(STOPS)
    (made.path / "wait").touch()
    (made.path / "run.json").write_text("yesterday's")

    process = made.start_and_wait_for('"kind":"begin","process":0,"case":"bench/bench_mine.py::bench_waits')
    worker = read_journal(made.path / "run.json.journal").started[0, ""].pid
    refused, output = made.run()
    assert refused == pytest.ExitCode.USAGE_ERROR
    assert f"is being written by another run (process {process.pid})" in output
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert is_dead(worker)
    assert (made.path / "run.json").read_text() == "yesterday's"
    is_silent = number == signal.SIGKILL
    assert is_silent or "to go on, add --breakeven-resume to the command" in output
    assert is_silent or "breakeven recover run.json.journal" in output

    assert cli.main(["recover", str(made.path / "run.json.journal")]) == 0
    before = made.rounds("run.recovered.json")
    assert before
    assert "waits[1]" in made.outcomes("run.recovered.json")

    (made.path / "wait").unlink()
    assert made.run("--breakeven-resume")[0] == pytest.ExitCode.OK
    assert list(made.rounds()) == ["first[1]", "first[2]", "waits[1]"]
    assert made.rounds() == {**made.rounds(), **before}
    assert made.content()["breakeven"]["complete"]
    assert not (made.path / "run.json.journal").exists()


@pytest.mark.slow
def test_nothing_to_resume(project):
    """It is measured from the start, which takes time: a line says so."""
    code, output = project(STOPS).run("--breakeven-resume", "-k", "first and 1", "--breakeven-processes=1")
    assert code == pytest.ExitCode.OK
    assert "nothing to resume: there is no run.json.journal; measuring from the start" in output


def is_dead(pid):
    """Return whether a process has ended, also if nobody has waited for it."""
    status = Path(f"/proc/{pid}/stat")
    for _ in range(100):
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


IS_WORKER = """
import os

is_worker = os.environ.setdefault("FIRST", str(os.getpid())) != str(os.getpid())
"""
RAISES = """
if is_worker:
    raise ImportError("nothing here")
"""
COLLECTS_NOTHING = """
def pytest_collect_file():
    if is_worker:
        raise ValueError("no data here")
"""
DESELECTS = """
def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if not (is_worker and "first" in item.nodeid)]
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("conftest", "reason"),
    [
        (RAISES, "ImportError: nothing here"),
        (COLLECTS_NOTHING, "ValueError: no data here"),
        (DESELECTS, "2 cases that pytest collected, such as bench/bench_mine.py::bench_first"),
    ],
)
def test_a_process_that_cannot_start(project, conftest, reason):
    """It is reported once, and exits with 4."""
    made = project(STOPS, IS_WORKER + conftest)

    exit_code, output = made.run("--breakeven-processes=3")

    assert exit_code == pytest.ExitCode.USAGE_ERROR
    assert output.count("did not start") == 1
    assert reason in output
    assert not (made.path / "run.json").exists()
    assert not (made.path / "run.json.journal").exists()


@pytest.mark.slow
def test_a_full_disk(project):
    """The run ends with what it has, and can go on."""
    made = project(
        STOPS,
        """
import os, resource

if os.environ.get("FULL"):
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, resource.RLIM_INFINITY))
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
""",
    )

    code, output = made.run(environment={"FULL": "1"})

    assert code == pytest.ExitCode.TESTS_FAILED
    assert "run.json.journal cannot be written (File too large); free some space, and repeat" in output
    assert made.run("--breakeven-resume")[0] == pytest.ExitCode.OK
    assert len(made.rounds()) == 3
