"""Real processes: their input, their output, and that all of them stop."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from breakeven.experiment.shell import (
    Job,
    Stopped,
    fill_in,
    is_running,
    run_in_shell,
    stopping_on_signals,
)


@pytest.fixture(autouse=True)
def signals_as_in_a_terminal():
    """Handle signals that nohup, or a shell's `&`, made this process ignore: the tests send them."""
    handled = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in handled.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def job(tmp_path, command, **environment):
    out = tmp_path / "run.json"
    return Job(fill_in(command, out), tmp_path / "log", out, environment)


def test_path_environment_and_log(tmp_path, monkeypatch):
    monkeypatch.setenv("OURS", "ours")
    done = run_in_shell(
        job(tmp_path, 'echo "$OURS $THEIRS" > {out}; echo out; echo err >&2; exit 3', THEIRS="theirs")
    )
    assert done == 3
    assert (tmp_path / "run.json").read_text() == "ours theirs\n"
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_quoted_path(tmp_path):
    """Other braces of the shell stay."""
    folder = tmp_path / "a 'b' $c"
    folder.mkdir()
    assert run_in_shell(job(folder, "for i in 1; do echo ${HOME:+{{x}}} > {out}; done")) == 0
    assert (folder / "run.json").read_text() == "{{x}}\n"


def test_no_standard_input(tmp_path):
    assert run_in_shell(job(tmp_path, "cat; echo read")) == 0
    assert (tmp_path / "log").read_text() == "read\n"


def test_live_output(tmp_path, capfdbinary):
    """It is also in the log."""
    assert run_in_shell(job(tmp_path, "echo out; echo err >&2; exit 4"), is_live=True) == 4
    assert (tmp_path / "log").read_text() == "out\nerr\n"
    assert capfdbinary.readouterr() == (b"", b"out\nerr\n")


def test_killed_command(tmp_path):
    assert run_in_shell(job(tmp_path, "kill -KILL $$")) == -signal.SIGKILL


IGNORING = "trap '' INT TERM HUP; touch {ready}; echo $$ > {{out}}; for second in $(seq 20); do sleep 1; done"


def until(condition):
    """Wait for a condition, at most 30 s."""
    end_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def when_there(path, then):
    """Call `then` in a thread once the file exists."""

    def wait():
        while not path.exists():
            time.sleep(0.005)
        then()

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(("quiet_s", "messages"), [(5.0, 0), (0.05, 1)])
def test_stop_signal_reaches_the_whole_group(tmp_path, monkeypatch, name, quiet_s, messages):
    """The command is waited for, with a message where that takes long."""
    monkeypatch.setattr("breakeven.experiment.shell.QUIET_S", quiet_s)
    number, lines = getattr(signal, name), []
    ready = tmp_path / "ready"
    child = (
        "import pathlib, signal, sys, time\n"
        "def stop(*_):\n"
        f"    time.sleep(0.2)\n    pathlib.Path('{tmp_path}/stopped').touch()\n    sys.exit(5)\n"
        f"signal.signal(signal.{name}, stop)\n"
        f"pathlib.Path('{ready}').touch()\n"
        "signal.pause()\n"
    )
    (tmp_path / "child.py").write_text(child)
    when_there(ready, lambda: os.kill(os.getpid(), number))
    command = f"{sys.executable} -S {tmp_path}/child.py; echo ended > {{out}}"
    with stopping_on_signals(), pytest.raises(KeyboardInterrupt) as stop:
        run_in_shell(job(tmp_path, command), notify=lines.append)
    assert (tmp_path / "stopped").exists()
    assert len(lines) == messages
    assert isinstance(stop.value, Stopped) == (name == "SIGTERM")


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("SIGINT", "press Ctrl-C again to kill it"),
        ("SIGTERM", "send SIGTERM again to kill it"),
    ],
)
def test_second_signal_kills(tmp_path, name, how):
    """A message says so, naming Ctrl-C or the signal."""
    number, ready, lines = getattr(signal, name), tmp_path / "ready", []

    def notify(line):
        lines.append(line)
        os.kill(os.getpid(), number)

    when_there(ready, lambda: os.kill(os.getpid(), number))
    with stopping_on_signals(), pytest.raises(KeyboardInterrupt):
        run_in_shell(job(tmp_path, IGNORING.format(ready=ready)), notify=notify)
    assert lines == [f"waiting up to 20 s for the command to end; {how}"]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "run.json").read_text()), 0)


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_command_that_ignores_the_signal_is_killed(tmp_path, monkeypatch, name):
    """Also where the terminal is gone, to which the message would be written."""
    monkeypatch.setattr("breakeven.experiment.shell.GRACE_S", 0.05)
    number, ready = getattr(signal, name), tmp_path / "ready"

    def notify(line):
        raise OSError(5, "Input/output error")

    when_there(ready, lambda: os.kill(os.getpid(), number))
    with stopping_on_signals(), pytest.raises(KeyboardInterrupt):
        run_in_shell(job(tmp_path, IGNORING.format(ready=ready)), notify=notify)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "run.json").read_text()), 0)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signal_while_the_command_starts(tmp_path, monkeypatch, name):
    """It ends with breakeven."""
    monkeypatch.setattr("breakeven.experiment.shell.GRACE_S", 0.5)  # where these tests ignore SIGINT, it does
    number, ready, started = getattr(signal, name), tmp_path / "ready", []

    class Slow(subprocess.Popen):
        def __init__(self, command, **options):
            super().__init__(command, **options)
            if options.get("shell"):
                started.append(self.pid)
                until(ready.exists)
                signal.raise_signal(number)

    monkeypatch.setattr("breakeven.experiment.shell.subprocess.Popen", Slow)
    with stopping_on_signals(), pytest.raises(KeyboardInterrupt):
        run_in_shell(job(tmp_path, f"touch {ready}; echo {{out}}; sleep 20"))
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with stopping_on_signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


KILLED = """
import sys
from pathlib import Path
from breakeven.experiment import shell
shell._WATCH = shell._WATCH.replace("sleep 5", "sleep 0.1")
folder = Path(sys.argv[1])

class Waited(shell.subprocess.Popen):
    def wait(self, timeout=None):
        (folder / "waited for").touch()
        return super().wait(timeout)

shell.subprocess.Popen = Waited
shell.run_in_shell(shell.Job(sys.argv[2], folder / "log", folder / "run.json"))
"""


@pytest.mark.parametrize("trap", ["", "trap '' INT TERM HUP; "], ids=["heeds", "ignores"])
def test_command_ends_with_breakeven(tmp_path, trap):
    """A kill of breakeven ends its command too; the log shows whether it has ended."""
    ready, log = tmp_path / "ready", tmp_path / "log"
    command = f"{trap}touch {ready}; for second in $(seq 60); do sleep 1; done"
    killed = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), command], start_new_session=True)
    until(lambda: ready.exists() and (tmp_path / "waited for").exists())
    assert is_running(log)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    until(lambda: not is_running(log))


def test_watcher_ends_with_its_command(tmp_path):
    """It is not a process of the command, whose background processes may go on."""
    ours = psutil.Process()
    before = set(ours.children(recursive=True))
    run_in_shell(job(tmp_path, "sleep 2 & true"))
    assert is_running(tmp_path / "log")
    assert set(ours.children(recursive=True)) == before
