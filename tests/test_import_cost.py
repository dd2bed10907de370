"""Commands that must start fast import nothing heavy."""

import subprocess
import sys
from ast import literal_eval

import pytest

from support.histories import add, medians, timed

HEAVY = ["torch", "numpy", "scipy", "pandas", "matplotlib", "rich", "pytest", "duckdb"]


def loaded(code):
    """The heavy packages that a new process has imported after running `code`."""
    script = (
        f"import sys\n{code}\nprint([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stderr.strip()


@pytest.mark.parametrize(
    "words",
    ["--help", "--version", "report --help", "compare --help", "doctor --help", "ab --help",
     "calibrate --help", "history --help", "history check --help", "history nonsense", "nonsense", ""],
)  # fmt: skip
def test_help_version_and_usage_errors(words):
    assert loaded(f"from breakeven.cli import main\nmain({words.split()!r})").splitlines()[-1] == "[]"


def test_package():
    assert loaded("import breakeven") == "[]"


@pytest.mark.slow
def test_public_names():
    """They exist, and each loads only what it needs."""
    assert loaded("import breakeven\nfor name in breakeven.__all__: getattr(breakeven, name)") != "[]"
    assert "pandas" not in loaded("from breakeven import Workload")
    assert "torch" not in loaded("from breakeven import read_runs, analyze")


def test_plugin():
    """Measuring loads neither pandas nor matplotlib."""
    code = "import breakeven.plugin.session, breakeven.plugin.progress, breakeven.render.terminal"
    assert not {"pandas", "matplotlib"} & set(literal_eval(loaded(code)))


def test_intervals():
    """They load neither pandas nor scipy's statistics."""
    code = "import breakeven.stats.intervals\nassert 'scipy.stats' not in sys.modules"
    assert loaded(code) == "['numpy', 'scipy']"


def test_history_check(tmp_path):
    """It loads neither pandas nor matplotlib nor scipy's statistics."""
    path = add(tmp_path, timed(medians(12, step=2, at=6)))
    code = (
        "from breakeven.cli import main\n"
        f"main(['history', 'check', '--store', {path!r}, '--format', 'json'])\nsys.stdout.flush()\n"
        "assert 'scipy.stats' not in sys.modules"
    )
    assert loaded(code).splitlines()[-1] == "['numpy', 'scipy', 'rich', 'duckdb']"


def test_json_report(tmp_path):
    """It loads neither matplotlib nor torch."""
    code = (
        "from breakeven.report.report import analyze\nfrom breakeven.runs import reader\n"
        "from breakeven.render import report_data\n"
        "assert 'scipy.stats' not in sys.modules"
    )
    assert "matplotlib" not in loaded(code)
    assert "torch" not in loaded(code)
