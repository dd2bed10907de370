"""One table of what the parts wrote, before and after."""

import json
from pathlib import Path

import hard
import pytest

FUZZ = {
    "sets": {
        "readers": {"inputs": 1000, "tracebacks": 0, "hangs": 0, "problems": {}},
        "commands": {"inputs": 50, "tracebacks": 2, "hangs": 1, "problems": {"a": 3, "b": 2}},
    }
}
KILLS = {
    "kills": [
        {"finished": 3, "lost": ["a"], "not_recovered": ["b"], "twice": []},
        {"finished": 4, "lost": [], "not_recovered": [], "twice": ["c"]},
    ]
}
COMMAND_KILLS = {
    "disturbed": [
        {"command": "pytest", "how": "killed", "lost": ["b.py::a", "run.json was destroyed"], "failures": []},
        {"command": "merge", "how": "full disk", "lost": [], "failures": ["c"]},
    ]
}
LONG = {
    "figures": {
        "timed": 99, "processes": 5, "page": {"open_s": 1.04},
        "report": {"page_bytes": 4_000_000, "seconds": 2.0},
        "each": [{"bytes_a_case": 100.0, "handles": [9, 9], "device_bytes": [64, 32], "slower": 1.0},
                 {"bytes_a_case": 1200.0, "handles": [9, 10], "device_bytes": [64, 64], "slower": 1.1}],
    }
}  # fmt: skip


def test_fuzz_values():
    found = hard.fuzz_values(FUZZ)
    assert found["readers: inputs"] == 1000
    assert [found[f"commands: {name}"] for name in ("tracebacks", "hangs", "other unsound answers")] == [
        2,
        1,
        2,
    ]


def test_kills_values():
    assert list(hard.kills_values(KILLS).values()) == [2, 7, 2, 1]


def test_command_kills_values():
    assert list(hard.command_kills_values(COMMAND_KILLS).values()) == [1, 1, 1, 1, 1]


def test_long_values():
    found = hard.long_values(LONG)
    assert (found["long run: kB kept of a case"], found["long run: more open handles"]) == (1.2, 1)
    assert (found["long run: bytes more on the device"], found["long run: seconds to open the page"]) == (
        0,
        1.0,
    )


def test_long_values_without_a_browser():
    content = {"figures": {**LONG["figures"], "page": {}}}
    assert hard.long_values(content)["long run: seconds to open the page"] is None


def test_reads_values():
    figures = {"one file": {"peak_memory_bytes": 8e8, "seconds": 3.14}, "2,000 files": {"median_s": 9.0}}
    assert hard.reads_values({"figures": figures}) == {
        "one file: MB": 800, "one file: s": 3.1, "2,000 files: s": 9,
    }  # fmt: skip


def test_rows():
    """Each figure once; one that a side does not have is a dash."""
    found = {"before": {"a": {"x": 1000, "z": 1}}, "after": {"a": {"x": 2}, "b": {"y": None}}}
    assert hard.rows_of(found) == [["x", "1,000", "2"], ["y", "-", "-"], ["z", "1", "-"]]


def test_unsound():
    assert hard.unsound({"fuzz": hard.fuzz_values(FUZZ), "kills": {"runs: cases lost": 0}}) == [
        "commands: tracebacks is 2, expected 0",
        "commands: hangs is 1, expected 0",
        "commands: other unsound answers is 2, expected 0",
    ]


class Runs:
    """Writes what a part would, and records its command."""

    def __init__(self, contents):
        self.contents = contents
        self.commands = []

    def __call__(self, command, **_):
        self.commands.append(command)
        output = Path(command[command.index("-o") + 1])
        name = output.name
        if name in self.contents:
            file = {"long": "long_run"}.get(name, name)
            (output / f"{file}.json").write_text(json.dumps(self.contents[name]))


SOUND = {"sets": {"readers": {"inputs": 7, "tracebacks": 0, "hangs": 0, "problems": {}}}}


def test_both_sides(tmp_path):
    """The other installation runs the fuzzer itself, and is named to the scripts; kills are measured once."""
    run = Runs({"fuzz": SOUND, "command_kills": {"disturbed": []}, "kills": {"kills": []}})
    options = ["--work", str(tmp_path / "work"), "-o", str(tmp_path), "--before", "/v1/python"]
    assert hard.main([*options, "--only", "fuzz", "command_kills", "kills", "--inputs", "7"], run) == 0
    fuzz, fuzz_before, kills, by_commands, by_commands_before = run.commands
    assert (fuzz[0], fuzz_before[0]) == (hard.sys.executable, "/v1/python")
    assert fuzz[2:4] == ["--readers", "7"]
    assert "--python" not in kills
    assert by_commands[by_commands.index("--python") + 1] == hard.sys.executable
    assert by_commands_before[by_commands_before.index("--python") + 1] == "/v1/python"
    assert "| readers: inputs | 7 | 7 |" in (tmp_path / "hard.md").read_text()
    # What is there is not measured again.
    assert hard.main([*options, "--only", "fuzz"], run) == 0
    assert len(run.commands) == 5


def test_version_1_measures_in_one_process(tmp_path):
    run = Runs({})
    options = ["--work", str(tmp_path / "work"), "-o", str(tmp_path), "--before", "/v1/python"]
    assert hard.main([*options, "--only", "long"], run) == 0
    assert [("--processes" in command) for command in run.commands] == [False, True]


@pytest.mark.parametrize(("content", "code"), [(SOUND, 0), (FUZZ, 1)])
def test_exit_code(content, code, tmp_path):
    options = ["--work", str(tmp_path / "work"), "-o", str(tmp_path), "--only", "fuzz"]
    assert hard.main(options, Runs({"fuzz": content})) == code
    stored = json.loads((tmp_path / "hard.json").read_text())
    assert list(stored["figures"]) == ["after"]
