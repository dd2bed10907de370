"""The command: from arguments to result files, tiny."""

import json
from pathlib import Path

import pytest
from grids import SLOW_TOOL, tools_of
from tables import short_table
from tools import TOOLS

from compare import main, parser, render


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of a tiny run of both grids; pyperf's ten seconds a reading are left out."""
    path = tmp_path_factory.mktemp("harness")
    with pytest.MonkeyPatch.context() as patch:
        quick = {name: tool for name, tool in TOOLS.items() if name != SLOW_TOOL and "autorange" not in name}
        patch.setattr("grids.TOOLS", quick)
        names = ["--only", "loud", "--only", "quiet", "--only", "warm-up ramp"]
        real = ["--shapes", "4x1", "--devices", "cpu@1"]
        assert (
            main(["--synthetic", "--real", *names, *real, "--repetitions", "2", "-q", "-o", str(path)]) == 0
        )
    return path


@pytest.fixture(scope="module")
def results(folder):
    """Return both result files."""
    return {
        name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("synthetic", "real")
    }


def test_facts_in_the_files(results):
    for result in results.values():
        assert result["machine"]["cpu"]
        assert set(result["versions"]) == {"breakeven", "pytest-benchmark", "torch", "python"}
        assert len(result["date"]) == 10
        assert all(figures["n"] == 2 for cell in result["cells"] for figures in cell["tools"].values())


def test_every_tool_in_every_synthetic_cell(results):
    cells = results["synthetic"]["cells"]
    assert [cell["name"] for cell in cells] == ["loud", "quiet", "warm-up ramp"]
    for cell in cells:
        assert list(cell["tools"]) == list(TOOLS)
        assert cell["tools"]["breakeven"]["ratio"] == 1
    assert cells[2]["tools"]["torch adaptive_autorange"]["bias"] > 0.2


def test_readings_and_true_values_of_real_cells(folder, results):
    [cell] = results["real"]["cells"]
    assert 0 < cell["true_s"]["median"] < 0.1
    assert cell["noisy"] in (True, False)
    header, *rows = (folder / "real-readings.csv").read_text(encoding="utf-8").splitlines()
    assert header == "cell,tool,center_s,low_s,high_s,rounds,estimand,wall_s"
    assert len(rows) == 2 * len(cell["tools"])


def test_page(folder):
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "### warm-up ramp" in page
    assert "| **breakeven** | median |" in page
    assert "never" in page
    assert "Needing less wall time than breakeven: " in page
    assert "pytest-benchmark precision on quiet (0." in page
    assert page.count("\n### ") == 4


def test_short_table_has_at_most_ten_lines(folder):
    text = (folder / "table.md").read_text(encoding="utf-8")
    assert text.startswith("| noise | breakeven |")
    assert len(text.splitlines()) == 2 + 3


def test_tables_are_rebuilt_without_measuring(folder):
    before = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").unlink()
    assert main(["-q", "-o", str(folder)]) == 0
    assert (folder / "README.md").read_text(encoding="utf-8") == before


def test_no_results(tmp_path):
    assert main(["-q", "-o", str(tmp_path)]) == 2
    assert render(tmp_path) == []


def test_tools_take_turns_in_being_first():
    firsts = [tools_of(repetition, slow_every=2)[0].name for repetition in range(6)]
    assert firsts[0] == "breakeven"
    assert len(set(firsts)) >= 4
    assert SLOW_TOOL in {tool.name for tool in tools_of(0, 2)}
    assert SLOW_TOOL not in {tool.name for tool in tools_of(1, 2)}


@pytest.mark.parametrize(
    "arguments",
    ["--repetitions 1", "--only nothing", "--shapes 64", "--pyperf-every x", "--devices cpu@0"],
)
def test_wrong_arguments_are_refused(arguments, capsys):
    arguments = arguments.split()
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(arguments)
    assert stop.value.code == 2
    assert arguments[1] in capsys.readouterr().err


def test_short_table_of_the_committed_results_is_up_to_date():
    results = Path(__file__).parents[3] / "results" / "harness"
    committed = json.loads((results / "synthetic.json").read_text(encoding="utf-8"))
    assert (results / "table.md").read_text(encoding="utf-8") == short_table(committed)
