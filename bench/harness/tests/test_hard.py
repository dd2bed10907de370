"""One table of what the parts wrote, before and after."""

import json
from pathlib import Path
from types import SimpleNamespace

import hard
import hard_figures
import pytest
from code_state import code_of
from hard_figures import Figure

FUZZ = {
    "sets": {
        "readers": {"inputs": 1000, "tracebacks": 0, "hangs": 0, "problems": {}},
        "commands": {"inputs": 50, "tracebacks": 2, "hangs": 1, "problems": {"a": 3, "b": 2}},
    }
}
KILLS = {
    "kills": [
        {"finished": 3, "lost": ["a"], "not_recovered": ["b"], "twice": [], "failures": []},
        {"finished": 4, "lost": [], "not_recovered": [], "twice": ["c"], "failures": ["d", "e"]},
    ]
}
COMMAND_KILLS = {
    "absent": ["ab"],
    "disturbed": [
        {"command": "pytest", "how": "killed", "lost": ["b.py::a", "run.json was destroyed"], "failures": []},
        {"command": "merge", "how": "full disk", "lost": [], "failures": ["c"]},
    ],
}
LONG = {
    "figures": {
        "cases": 100, "timed": 99, "processes": 5, "page": {"open_s": 1.04},
        "report": {"page_bytes": 4_000_000, "seconds": 2.0},
        "each": [{"bytes_a_case": 100.0, "handles": [9, 9], "device_bytes": [64, 32], "slower": 1.0},
                 {"bytes_a_case": 1200.0, "handles": [9, 10], "device_bytes": [64, 64], "slower": 1.1}],
    }
}  # fmt: skip
READS = {
    "now": [
        {"files": 1, "bytes": 5e6, "peak_memory_bytes": 9e7, "cpu_s": 1.0},
        {"files": 1, "bytes": 48e7, "peak_memory_bytes": 8e8, "cpu_s": 3.14},
        {"files": 2000, "bytes": 3e7, "peak_memory_bytes": 1e8, "cpu_s": 9.0},
    ],
    "before": [{"files": 1, "bytes": 48e7, "peak_memory_bytes": 17e8, "cpu_s": 9.0}],
}


def values(found):
    return {name: figure.value for name, figure in found.items()}


def test_fuzz_values():
    found = values(hard_figures.fuzz_values(FUZZ, "after"))
    assert found["readers: inputs"] == 1000
    names = ("tracebacks", "hangs", "other unsound answers")
    assert [found[f"commands: {name}"] for name in names] == [2, 1, 2]


def test_kills_values():
    assert list(values(hard_figures.kills_values(KILLS, "after")).values()) == [2, 7, 2, 1, 1]


def test_command_kills_values():
    """A command that an installation does not have lost nothing, and was not judged."""
    found = hard_figures.command_kills_values(COMMAND_KILLS, "before")
    assert list(values(found).values()) == [1, 1, 1, 1, 1, 0, "not there"]
    assert found["ab: times something was lost"].is_kept(None) is None


def test_long_values():
    found = values(hard_figures.long_values(LONG, "after"))
    assert (found["long run: kB kept of a case"], found["long run: more open handles"]) == (1.2, 1)
    assert (found["long run: bytes more on the device"], found["long run: cases timed"]) == (0, 99)
    assert found["long run: seconds to open the page"] == 1.0


def test_long_values_without_a_browser():
    content = {"figures": {**LONG["figures"], "page": {}}}
    assert hard_figures.long_values(content, "after")["long run: seconds to open the page"].value is None


def test_reads_values():
    """Half the memory of the largest file, and half the time of the most files."""
    found = hard_figures.reads_values(READS, "after")
    assert found["report of 1 file, 480 MB: peak MB"] == Figure(800, max_share=0.5)
    assert found["report of 2,000 files, 30 MB: CPU s"] == Figure(9.0, max_share=0.5)
    assert [name for name, figure in found.items() if figure.wanted == "half"] == [
        "report of 1 file, 480 MB: peak MB", "report of 2,000 files, 30 MB: CPU s",
    ]  # fmt: skip
    before = hard_figures.reads_values(READS, "before")
    assert found["report of 1 file, 480 MB: peak MB"].is_kept(before["report of 1 file, 480 MB: peak MB"])


@pytest.mark.parametrize(
    ("figure", "before", "is_kept"),
    [
        (Figure(0, 0), None, True),
        (Figure(1, 0), Figure(5, 0), False),
        (Figure(50, max_share=0.5), Figure(100), True),
        (Figure(51, max_share=0.5), Figure(100), False),
        (Figure(51, max_share=0.5), None, None),
        (Figure(51), Figure(100), None),
        (Figure(None, 5), None, None),
    ],
)
def test_kept(figure, before, is_kept):
    assert figure.is_kept(before) is is_kept


def test_rows():
    """Each figure once; one that a side does not have is a dash."""
    found = {
        "before": {"x": Figure(1000, 0), "z": Figure("not there")},
        "after": {"x": Figure(2, 0), "y": Figure(None)},
    }
    assert hard.rows_of(found) == [
        ["x", "1,000", "2", "0", "NOT KEPT"],
        ["y", "-", "-", "-", "-"],
        ["z", "not there", "-", "-", "-"],
    ]
    assert hard.unsound(found) == ["x is 2, wanted: 0"]


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


@pytest.fixture
def code(monkeypatch):
    """The state of the code, which a test may change."""
    found = SimpleNamespace(version="2", commit="abc", state="s")
    monkeypatch.setattr(hard, "code_of", lambda *_: SimpleNamespace(**vars(found)))
    return found


@pytest.fixture
def call(tmp_path, code):
    """Return a function that calls the script."""
    options = ["--work", str(tmp_path / "work"), "-o", str(tmp_path)]
    return lambda run, *more: hard.main([*options, *more], run)


V1 = ("--before", "/v1/python")


def test_both_sides(tmp_path, call):
    """The other installation runs the fuzzer itself, and is named to the scripts; kills are measured once."""
    run = Runs({"fuzz": SOUND, "command_kills": {"disturbed": [], "absent": []}, "kills": {"kills": []}})
    assert call(run, *V1, "--only", "fuzz", "command_kills", "kills", "--inputs", "7") == 0
    fuzz, fuzz_before, kills, by_commands, by_commands_before = run.commands
    assert (fuzz[0], fuzz_before[0]) == (hard.sys.executable, "/v1/python")
    assert (fuzz[2:4], fuzz_before[2:4]) == (["--readers", "7"], ["--readers", "2000"])
    assert "--python" not in kills
    assert "--python" not in by_commands
    assert by_commands_before[by_commands_before.index("--python") + 1] == "/v1/python"
    shown = (tmp_path / "hard.md").read_text()
    assert "| readers: tracebacks | 0 | 0 | 0 | kept |" in shown
    assert "Not measured yet: reads after, reads before, long after, long before." in shown


def test_pieces(tmp_path, call):
    """The table is of all parts that are there, whichever call measured them."""
    run = Runs({"fuzz": SOUND, "kills": {"kills": []}})
    call(run, "--only", "fuzz")
    call(run, "--only", "kills")
    call(run, "--table")
    assert len(run.commands) == 2
    assert {"kills of runs", "readers: inputs"} <= json.loads((tmp_path / "hard.json").read_text())[
        "figures"
    ]["after"].keys()


def test_other_code(tmp_path, call, code):
    """What was measured of other code is measured again, and until then it is not in the table."""
    run = Runs({"fuzz": SOUND})
    call(run, "--only", "fuzz")
    code.state = "t"
    call(run, "--table")
    assert "Not measured yet: fuzz after" in (tmp_path / "hard.md").read_text()
    call(run, "--only", "fuzz")
    call(run, "--only", "fuzz")
    assert len(run.commands) == 2


def test_other_options(call):
    run = Runs({"fuzz": SOUND})
    call(run, "--only", "fuzz", "--inputs", "7")
    call(run, "--only", "fuzz", "--inputs", "8")
    assert len(run.commands) == 2


def test_part_that_writes_nothing(tmp_path, call, capsys):
    """It is run again the next time; what it wrote before is not taken for its result."""
    call(Runs({"fuzz": SOUND}), "--only", "fuzz", "--inputs", "7")
    call(Runs({}), "--only", "fuzz", "--inputs", "8")
    assert "fuzz, after: wrote nothing" in capsys.readouterr().err
    assert not (tmp_path / "work" / "after" / "fuzz" / "fuzz.json").exists()


def test_version_1_measures_in_one_process(call):
    run = Runs({})
    call(run, *V1, "--only", "long")
    assert [command[command.index("--processes") + 1] for command in run.commands] == ["5", "0"]


@pytest.mark.parametrize(("content", "exit_code"), [(SOUND, 0), (FUZZ, 1)])
def test_exit_code(content, exit_code, tmp_path, call):
    assert call(Runs({"fuzz": content}), "--only", "fuzz") == exit_code
    stored = json.loads((tmp_path / "hard.json").read_text())
    assert (list(stored["figures"]), stored["parts"]["after"]["fuzz"]["commit"]) == (["after"], "abc")


def test_state_of_code(tmp_path):
    """It changes with the files that matter, and with no others."""

    def git(*arguments):
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        hard.subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "src").mkdir()
    states = []
    for path, text in (("src/a", "1"), ("b", "1"), ("src/a", "2")):
        (tmp_path / path).write_text(text)
        if not states:
            git("init")
        git("add", ".")
        git("commit", "-m", "x")
        states.append(code_of(tmp_path, ("src",)))
    (tmp_path / "src" / "a").write_text("3")
    states.append(code_of(tmp_path, ("src",)))
    assert [one.state == states[0].state for one in states] == [True, True, False, False]
    assert states[2].state != states[3].state
    assert [one.commit.endswith("+") for one in states] == [False, False, False, True]
