"""What starts fast loads nothing heavy."""

import subprocess
import sys

import pytest

from support.histories import add, medians, timed

HEAVY = ["torch", "numpy", "scipy", "pandas", "matplotlib", "rich", "pytest", "duckdb"]


def loaded(code):
    """Which heavy packages a fresh process has imported after running `code`."""
    script = (
        f"import sys\n{code}\nprint([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stderr.strip()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["report", "--help"],
        ["compare", "--help"],
        ["doctor", "--help"],
        ["ab", "--help"],
        ["calibrate", "--help"],
        ["history", "--help"],
        ["history", "check", "--help"],
        ["history", "nonsense"],
        ["nonsense"],
    ],
)
def test_help_version_and_usage_errors_load_nothing_heavy(arguments):
    assert loaded(f"from breakeven.cli import main\nmain({arguments!r})").splitlines()[-1] == "[]"


def test_importing_the_package_loads_nothing_heavy():
    assert loaded("import breakeven") == "[]"


def test_intervals_load_neither_pandas_nor_all_of_scipys_statistics():
    code = "import breakeven.stats.intervals\nassert 'scipy.stats' not in sys.modules"
    assert loaded(code) == "['numpy', 'scipy']"


def test_checking_a_history_loads_neither_frames_nor_figures_nor_all_of_scipys_statistics(tmp_path):
    path = add(tmp_path, timed(medians(12, step=2, at=6)))
    code = (
        "from breakeven.cli import main\n"
        f"main(['history', 'check', '--store', {path!r}, '--format', 'json'])\nsys.stdout.flush()\n"
        "assert 'scipy.stats' not in sys.modules"
    )
    assert loaded(code).splitlines()[-1] == "['numpy', 'scipy', 'rich', 'duckdb']"


def test_a_json_report_draws_nothing(tmp_path):
    code = (
        "from breakeven.report.report import analyze\nfrom breakeven.runs import reader\n"
        "from breakeven.render import report_data\n"
        "assert 'scipy.stats' not in sys.modules"
    )
    assert "matplotlib" not in loaded(code)
    assert "torch" not in loaded(code)
