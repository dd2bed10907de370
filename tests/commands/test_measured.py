"""Benchmarks that are measured on the CPU, where a command is given these in place of a run file."""

import sys

import pytest

from breakeven.commands import measured as module
from breakeven.commands.measured import measured
from breakeven.errors import BreakevenError, UsageError


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A project, and the commands that were run in it; each writes its run file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/bench_mine.py").write_text("")
    return []


def runner(runs, code=0, content="new"):
    def run(command):
        runs.append(command)
        if content:
            out = next(word.partition("=")[2] for word in command if word.startswith("--benchmark-json="))
            module.Path(out).write_text(content)
        return code

    return run


def test_a_file(runs, capsys):
    """One phase on the CPU, by the Python that runs breakeven; the user's options come last."""
    paths = measured(["bench/bench_mine.py"], ["--breakeven-sweep=full"], runner(runs))

    assert paths == ["bench_mine.cpu.json"]
    assert runs == [
        [sys.executable, "-m", "pytest", "bench/bench_mine.py", "--benchmark-json=bench_mine.cpu.json",
         "--breakeven-devices=cpu", "--breakeven-phases=train", "--breakeven-sweep=full"]
    ]  # fmt: skip
    assert capsys.readouterr().err == (
        "breakeven: measuring bench/bench_mine.py on the CPU, into bench_mine.cpu.json\n"
    )


def test_run_files_are_kept(runs, tmp_path):
    """Only folders and files of benchmarks are measured."""
    (tmp_path / "run.json").write_text("{}")
    assert measured(["run.json", "bench"], (), runner(runs)) == ["run.json", "bench.cpu.json"]
    assert len(runs) == 1


@pytest.mark.parametrize("gone", ["gone.py", "gone.json", "x" * 5000, "\0"])
def test_missing_paths_cost_no_measurement(runs, gone):
    with pytest.raises(UsageError, match="does not exist; give a run file"):
        measured(["bench", gone], (), runner(runs))
    assert runs == []


def test_a_given_run_file_is_not_replaced(runs, tmp_path):
    (tmp_path / "bench.cpu.json").write_text("mine")
    with pytest.raises(
        UsageError, match=r"bench would be measured into bench\.cpu\.json, which is given too"
    ):
        measured(["./bench.cpu.json", "bench"], (), runner(runs))
    assert (tmp_path / "bench.cpu.json").read_text() == "mine"


@pytest.mark.parametrize("options", [["--benchmark-json=x.json"], ["--benchmark-json", "x.json"]])
def test_another_place_for_the_run_file(runs, options):
    with pytest.raises(UsageError, match=r"bench is measured into bench\.cpu\.json; leave it out"):
        measured(["bench"], options, runner(runs))
    assert runs == []


def test_an_earlier_run_file_is_kept(runs, tmp_path, capsys):
    """It is renamed, and a line says so."""
    (tmp_path / "bench.cpu.json").write_text("old")

    measured(["bench"], (), runner(runs))

    assert (tmp_path / "bench.cpu.json").read_text() == "new"
    assert (tmp_path / "bench.cpu.json.old").read_text() == "old"
    assert "the run file of an earlier run is kept as bench.cpu.json.old\n" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt, None])
def test_an_earlier_run_file_without_a_new_one(runs, tmp_path, error):
    """It stays where it is: after Ctrl-C, and where pytest failed."""
    (tmp_path / "bench.cpu.json").write_text("old")

    def fail(command):
        if error is not None:
            raise error
        return 1

    with pytest.raises(error or BreakevenError):
        measured(["bench"], (), fail)

    assert (tmp_path / "bench.cpu.json").read_text() == "old"
    assert not (tmp_path / "bench.cpu.json.old").exists()


def test_some_failed(runs, capsys):
    """The others are used."""
    assert measured(["bench"], (), runner(runs, code=1)) == ["bench.cpu.json"]
    assert "some cases failed; the others are predicted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "content", "why"),
    [(1, "", "its output is above"), (2, "cut", "its output is above"), (4, "", "its output is above"),
     (5, "", "no benchmark was found there")],
)  # fmt: skip
def test_pytest_failed(runs, code, content, why):
    with pytest.raises(
        BreakevenError, match=f"pytest bench ended with exit code {code} .*: {why}; give"
    ) as error:
        measured(["bench"], (), runner(runs, code, content))
    assert "\n" not in str(error.value)


def test_options_without_benchmarks(runs):
    with pytest.raises(UsageError, match="'--breakeven-sweep=full' after -- are options of pytest"):
        measured(["run.json"], ["--breakeven-sweep=full"], runner(runs))
    assert runs == []


def test_one_run_file_for_two(runs, tmp_path):
    """The second would replace the first; the same path twice is measured once."""
    (tmp_path / "bench_mine.py").write_text("")
    with pytest.raises(
        UsageError, match=r"bench_mine.py and bench/bench_mine.py would both be measured into"
    ):
        measured(["bench_mine.py", "bench/bench_mine.py"], (), runner(runs))
    assert measured(["bench", "bench"], (), runner(runs)) == ["bench.cpu.json"]
    assert len(runs) == 1


def test_output_and_exit_code(capfd):
    """All output goes to standard error: standard output is the command's."""
    assert module._run([sys.executable, "-c", "print('measured'); raise SystemExit(5)"]) == 5
    assert capfd.readouterr() == ("", "measured\n")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal(tmp_path, name):
    """pytest gets it too, and is waited for, since it keeps what it has measured."""
    kept = tmp_path / "kept"
    script = """
import os, pathlib, signal, sys
def keep(*_):
    pathlib.Path(sys.argv[1]).touch()
    sys.exit(1)
signal.signal(signal.SIGTERM, keep)
os.kill(os.getppid(), signal.SIGTERM)
signal.pause()
"""
    script = script.replace("SIGTERM", name)
    with pytest.raises(KeyboardInterrupt):
        module._run([sys.executable, "-c", script, str(kept)])
    assert kept.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_second_signal():
    """What ignores the first one is killed; pytest gets each once, also from a terminal."""
    script = """
import os, signal, sys
assert os.getpgid(0) == os.getpid() != os.getpgid(os.getppid())
signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getppid(), signal.SIGTERM))
os.kill(os.getppid(), signal.SIGTERM)
while True:
    signal.pause()
"""
    with pytest.raises(KeyboardInterrupt):
        module._run([sys.executable, "-c", script])
