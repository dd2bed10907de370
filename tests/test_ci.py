"""`.ci/run` and the workflow that runs it."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_workflow_runs_every_job():
    """Alone, `.ci/run` runs all jobs; the workflow splits them, and must not lose one."""
    (default,) = re.findall(r"\$\{@:-([\w ]+)\}", (ROOT / ".ci" / "run").read_text())
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    split = " ".join(re.findall(r"run: \.ci/run ([\w ]+)", workflow)).split()
    assert sorted(split) == sorted(default.split())
