"""Real processes: what they get, what is kept of what they say, and that they stop as a whole."""

import os
import signal
import sys
import threading
import time
from unittest.mock import Mock

import pytest

from breakeven.errors import UsageError
from breakeven.experiment import shell
from breakeven.experiment.shell import Job, Shell, Stopped, check_command, filled_in, stopping_on_signals


@pytest.fixture(autouse=True)
def signals_as_in_a_terminal():
    """Heed what nohup, or a shell's `&`, told this process to ignore: the tests send it to themselves."""
    heeded = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in heeded.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def job(tmp_path, command, **environment):
    out = tmp_path / "run.json"
    return Job(filled_in(command, out), tmp_path / "log", out, environment)


def test_a_command_gets_its_path_and_environment_and_its_words_go_to_the_log(tmp_path, monkeypatch):
    monkeypatch.setenv("OURS", "ours")
    done = Shell()(
        job(tmp_path, 'echo "$OURS $THEIRS" > {out}; echo out; echo err >&2; exit 3', THEIRS="theirs")
    )
    assert done == 3
    assert (tmp_path / "run.json").read_text() == "ours theirs\n"
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_a_path_with_spaces_and_quotes_is_one_word_and_braces_of_the_shell_stay(tmp_path):
    folder = tmp_path / "a 'b' $c"
    folder.mkdir()
    assert Shell()(job(folder, "for i in 1; do echo ${HOME:+{{x}}} > {out}; done")) == 0
    assert (folder / "run.json").read_text() == "{{x}}\n"


def test_a_command_has_no_standard_input_to_wait_for(tmp_path):
    assert Shell()(job(tmp_path, "cat; echo read")) == 0
    assert (tmp_path / "log").read_text() == "read\n"


def test_live_shows_what_a_command_says_and_still_keeps_it(tmp_path, capfdbinary):
    assert Shell(is_live=True)(job(tmp_path, "echo out; echo err >&2; exit 4")) == 4
    assert (tmp_path / "log").read_text() == "out\nerr\n"
    assert capfdbinary.readouterr() == (b"", b"out\nerr\n")


def test_a_command_that_is_killed_gives_the_signals_number(tmp_path):
    assert Shell()(job(tmp_path, "kill -KILL $$")) == -signal.SIGKILL


def when_there(path, then):
    """Do `then` in a thread once the file is there."""

    def wait():
        while not path.exists():
            time.sleep(0.005)
        then()

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_what_stops_us_stops_the_commands_whole_group_and_waits_for_it(tmp_path, name):
    number = getattr(signal, name)
    ready = tmp_path / "ready"
    child = (
        "import pathlib, signal, sys, time\n"
        "def stop(*_):\n"
        f"    time.sleep(0.2)\n    pathlib.Path('{tmp_path}/told').touch()\n    sys.exit(5)\n"
        f"signal.signal(signal.{name}, stop)\n"
        f"pathlib.Path('{ready}').touch()\n"
        "signal.pause()\n"
    )
    (tmp_path / "child.py").write_text(child)
    when_there(ready, lambda: os.kill(os.getpid(), number))
    with stopping_on_signals(), pytest.raises(KeyboardInterrupt) as stop:
        Shell()(job(tmp_path, f"{sys.executable} -S {tmp_path}/child.py; echo ended > {{out}}"))
    assert (tmp_path / "told").exists()
    assert isinstance(stop.value, Stopped) == (name == "SIGTERM")


def test_who_does_not_listen_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("breakeven.experiment.shell.GRACE_S", 0.05)
    ready = tmp_path / "ready"
    when_there(ready, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        Shell()(
            job(
                tmp_path,
                f"trap '' INT; touch {ready}; echo $$ > {{out}}; for second in $(seq 20); do sleep 1; done",
            )
        )
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "run.json").read_text()), 0)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("SIGINT", "press Ctrl-C again to stop it at once"),
        ("SIGTERM", "the same signal again stops it at once"),
    ],
)
def test_who_does_not_end_soon_is_waited_for_aloud_and_killed_the_second_time(tmp_path, name, how):
    number, ready, said = getattr(signal, name), tmp_path / "ready", []

    def say(line):
        said.append(line)
        os.kill(os.getpid(), number)

    when_there(ready, lambda: os.kill(os.getpid(), number))
    ignoring = (
        f"trap '' INT TERM; touch {ready}; echo $$ > {{out}}; for second in $(seq 20); do sleep 1; done"
    )
    with stopping_on_signals(), pytest.raises(KeyboardInterrupt):
        Shell(say=say)(job(tmp_path, ignoring))
    assert said == [f"waiting up to 20 s for the command to end; {how}"]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "run.json").read_text()), 0)


def test_what_not_even_a_kill_ends_at_once_is_not_asked_to_be_stopped_again(monkeypatch):
    sent, said, process, lifeline = [], [], Mock(pid=7), Mock()
    lifeline.breaks_within.return_value = False
    monkeypatch.setattr(os, "killpg", lambda group, number: sent.append((group, number)))
    shell._stop(process, signal.SIGINT, lifeline, said.append)
    assert sent == [(7, signal.SIGINT), (7, signal.SIGKILL)]
    assert len(said) == 1
    process.wait.assert_called_once()


def test_a_terminal_that_is_gone_keeps_no_command_alive(tmp_path, monkeypatch):
    monkeypatch.setattr("breakeven.experiment.shell.GRACE_S", 0.05)

    def say(line):
        raise OSError(5, "Input/output error")

    ready = tmp_path / "ready"
    when_there(ready, lambda: os.kill(os.getpid(), signal.SIGHUP))
    ignoring = f"trap '' HUP; touch {ready}; echo $$ > {{out}}; for second in $(seq 20); do sleep 1; done"
    with stopping_on_signals(), pytest.raises(Stopped):
        Shell(say=say)(job(tmp_path, ignoring))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "run.json").read_text()), 0)


def test_a_signal_that_we_were_told_to_ignore_stops_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stopping_on_signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_signals_are_ours_only_as_long_as_we_measure():
    before = signal.getsignal(signal.SIGTERM)
    with stopping_on_signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "",
            "--base is empty; give a command that measures, such as 'python -m pytest bench --bench",
        ),
        ("  ", "--base is empty"),
        (
            "pytest bench",
            "--base 'pytest bench' has no {out}, so nothing says where its run file goes; write it as",
        ),
        ("pytest --benchmark-json={OUT}", "has no {out}"),
    ],
)
def test_a_command_that_cannot_write_a_run_file_is_refused_with_an_example(command, said):
    with pytest.raises(UsageError) as refused:
        check_command(command, "--base")
    assert said in str(refused.value)
