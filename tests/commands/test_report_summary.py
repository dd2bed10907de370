"""`breakeven report --format markdown` in a GitHub job."""

from breakeven.cli import main
from support.run_files import affine_run, write


def test_job_summary(tmp_path, monkeypatch, capsys):
    """The markdown is also appended to the summary of the job, and only that format is."""
    path = write(tmp_path / "run.json", affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert main(["report", path]) == 0
    assert summary.read_text() == "before\n"
    capsys.readouterr()
    assert main(["report", path, "--format", "markdown"]) == 0
    assert summary.read_text() == f"before\n{capsys.readouterr().out}\n"


def test_no_job_summary(tmp_path, monkeypatch, capsys):
    path = write(tmp_path / "run.json", affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "such"))
    assert main(["report", path, "--format", "markdown"]) == 2
    assert "GITHUB_STEP_SUMMARY" in capsys.readouterr().err
