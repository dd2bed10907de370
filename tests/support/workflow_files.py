"""The GitHub workflows of this repository, read as YAML."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def load(path):
    """Return a workflow; YAML 1.1 reads the key `on` as true."""
    content = yaml.safe_load(path.read_text("utf-8"))
    content["on"] = content.pop(True)
    return content


WORKFLOWS = {path.name: load(path) for path in FILES}
JOBS = {f"{file} {name}": job for file, flow in WORKFLOWS.items() for name, job in flow["jobs"].items()}
STEPS = [(file, step) for file, job in JOBS.items() for step in job.get("steps", [])]
"""Every step, with the file and the name of its job."""


def step_that_runs(command):
    """Return the one step whose script holds a text."""
    [step] = [step for _, step in STEPS if command in step.get("run", "")]
    return step
