"""The report of more models than anyone reads: short, and it says where the others are."""

import re

from breakeven.cli import main
from breakeven.render import report_files
from support.run_files import affine_run, run, write

MODELS, BATCHES = 80, (1, 512)


def test_many_models(tmp_path, capsys, monkeypatch):
    """The terminal has fewer lines than there are models; the table for programs has every case."""
    monkeypatch.setattr(
        report_files, "write_report", lambda _, home, __: [home / "index.html"]
    )  # takes seconds
    parts = [
        affine_run({"cpu": (1e-3, 2e-5), "cuda": (2e-3, 1e-6)}, BATCHES, width, n=6, axes={"width": width})
        for width in range(MODELS)
    ]
    path = write(tmp_path / "run.json", run([case for part in parts for case in part["benchmarks"]]))

    assert main(["report", path]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < MODELS
    [left_out] = [line for line in lines if "more models" in line]
    assert int(re.findall(r"\d+", left_out)[0]) == MODELS - sum("width=" in line for line in lines)
    assert "summary.md" in left_out
    assert main(["report", path, "--format", "csv"]) == 0
    assert capsys.readouterr().out.count("\n") == 1 + 4 * MODELS
