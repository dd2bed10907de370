"""Where the benchmarks of a run are, by its command."""

from pathlib import Path

import pytest

from breakeven.commands.bench_paths import BenchPaths, as_argument, given_paths, paths_in
from breakeven.errors import UsageError


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A working directory with benchmarks, and a folder beside it."""
    for path in (
        "here/bench/bench_mine.py",
        "here/bench/bench_other.py",
        "here/sub/bench/bench_sub.py",
        "out/bench.py",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    (tmp_path / "here/run.json").write_text("{}")
    (tmp_path / "here/my bench").mkdir()
    (tmp_path / "here/leads_out").symlink_to(tmp_path / "out")
    (tmp_path / "here/loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        ("pytest bench", ["bench"]),
        ("pytest bench -W default -p no:cacheprovider --benchmark-json=run.json --x=sub", ["bench"]),
        ("BREAKEVEN_PROCESSES=5 OMP_WAIT_POLICY='a b' pytest bench --benchmark-json run.json", ["bench"]),
        ("python -m pytest bench/bench_mine.py sub/bench", ["bench/bench_mine.py", "sub/bench"]),
        ("uv run pytest -q -- 'my bench'", ["my bench"]),
        ("/usr/bin/env -i /opt/bin/pytest 'bench/bench_mine.py::bench_mine[1-a b]'", ["bench/bench_mine.py"]),
        ("pytest -k bench sub/bench", ["sub/bench"]),
        ("pytest --rootdir sub --cov bench --breakeven-devices cpu -p bench sub/bench", ["sub/bench"]),
        ("pytest --benchmark-only bench --breakeven-resume sub", ["bench", "sub"]),
        ("pytest -k a#b bench", ["bench"]),
        ("pytest gone bench bench", ["bench"]),
        ("ulimit -v 1000; pytest bench && echo pytest sub", ["bench"]),
    ],
)  # fmt: skip
def test_commands(command, paths):
    assert paths_in(command) == BenchPaths(tuple(paths))


@pytest.mark.parametrize("command", ["cd sub && pytest bench", "cd sub; CI=1 pytest ./bench/../bench -x"])
def test_another_directory(command):
    found = paths_in(command)
    assert found.directory == "sub"
    assert found.label().endswith("bench in sub")


@pytest.mark.parametrize(
    "command",
    ["", "pytest", "pytest gone", "pytest run.json", "breakeven merge bench", "echo bench", "pytest 'bench",
     "cd .. && pytest out", "pytest ../out", "pytest /etc", "pytest " + "a" * 5000, "pytest 'a\0b'",
     "pytest -k bench", "cd ../out && pytest ../here/bench", "pytest leads_out",
     "cd leads_out && pytest ../bench", "pytest loop"],
)  # fmt: skip
def test_no_benchmarks_here(command):
    """Those elsewhere are not taken from a run file: pytest executes what is there."""
    assert paths_in(command) is None


def test_options_are_not_taken():
    """Of a command from a file, pytest gets paths alone, and none that it would take for an option."""
    for name in ("-p evil", "@args"):
        Path(name).mkdir()
    assert paths_in(
        "pytest -p evil -c x.ini --rootdir=.. -o a=b ';rm' bench '-p evil' '@args'"
    ) == BenchPaths(("bench", "@args"))
    assert as_argument("@args") == "./@args"


def test_given_paths():
    assert given_paths("../out") == BenchPaths(("../out",))
    for missing in ("gone", ""):
        with pytest.raises(
            UsageError, match=r"--bench '.*' does not exist; give the folder of the benchmarks"
        ):
            given_paths(missing)
