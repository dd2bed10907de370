"""The command that repeats a run, and the words it was started with."""

import shlex
from pathlib import Path

from breakeven.plugin.invocation import command, words


def test_the_command_is_what_was_typed():
    assert command(["bench", "--benchmark-json=run.json"], {}) == "pytest bench --benchmark-json=run.json"


def test_settings_that_change_what_is_measured_come_first_and_others_are_left_out():
    environment = {
        "CUDA_VISIBLE_DEVICES": "1",
        "OMP_NUM_THREADS": "2",
        "PYTEST_ADDOPTS": "--breakeven-sweep=smoke -x",
        "BREAKEVEN_CASES": "my cases.txt",
        "OMP_WAIT_POLICY": "passive",
        "PASSWORD": "secret",
    }
    assert command(["bench"], environment) == (
        "PYTEST_ADDOPTS='--breakeven-sweep=smoke -x' BREAKEVEN_CASES='my cases.txt' OMP_WAIT_POLICY=passive "
        "OMP_NUM_THREADS=2 CUDA_VISIBLE_DEVICES=1 pytest bench"
    )


def test_a_setting_that_hides_every_gpu_is_a_setting():
    assert command(["bench"], {"CUDA_VISIBLE_DEVICES": ""}) == "CUDA_VISIBLE_DEVICES='' pytest bench"


def test_a_shell_reads_the_command_back_as_it_was_meant():
    arguments = [
        Path("my bench"),
        "-k",
        "mlp and not 'cpu'",
        "--breakeven-sweep=batch_size=1,64 width=128",
        "$HOME",
    ]
    line = command(arguments, {})
    assert shlex.split(line) == ["pytest", *map(str, arguments)]
    assert "\n" not in line


def test_words_come_from_the_command_line_the_ini_file_and_the_environment():
    assert words([Path("bench"), "-q"], ["-x"], {"PYTEST_ADDOPTS": "--tb=short -k 'a b'"}) == [
        "bench",
        "-q",
        "-x",
        "--tb=short",
        "-k",
        "a b",
    ]
