"""`.ci/run`, the workflow that runs it, and what both install."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


def test_workflow_runs_every_job():
    """Alone, `.ci/run` runs all jobs; the workflow splits them, and must not lose one."""
    (default,) = re.findall(r"\$\{@:-([\w ]+)\}", (ROOT / ".ci" / "run").read_text())
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    split = " ".join(re.findall(r"run: \.ci/run ([\w ]+)", workflow)).split()
    assert sorted(split) == sorted(default.split())


def locked(name):
    """The requirements of a file in `.ci/locked`, by package; one may have several versions, by Python."""
    found = {}
    blocks = re.split(r"\n(?=\S)", (ROOT / ".ci" / "locked" / f"{name}.txt").read_text().strip())
    for block in blocks:
        requirement, *hashes = re.split(r" \\\n +--hash=", block)
        assert hashes
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in hashes)
        required = Requirement(requirement)
        assert not required.url
        found.setdefault(canonicalize_name(required.name), []).append(required)
    return found


@pytest.mark.parametrize(("name", "extras"), [("main", ()), ("tests", ("test",)), ("models", ("models",))])
def test_what_is_installed_is_locked(name, extras):
    """`.ci/lock` was run after each change of the dependencies; torch's builds come from elsewhere."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for extra in extras:
        listed += project["project"]["optional-dependencies"][extra]
    found = locked(name)
    for required in map(Requirement, listed):
        if required.name not in ("torch", "torchvision"):
            for one in found[canonicalize_name(required.name)]:
                [version] = one.specifier
                assert version.operator == "=="
                assert required.specifier.contains(version.version), f"{required}: run .ci/lock"


def test_all_that_is_locked_is_installed_by_hash():
    """No requirement is without a hash, and no file without a job."""
    names = {path.stem for path in (ROOT / ".ci" / "locked").iterdir()}
    assert names == {"main", "tests", "models", "audit"}
    assert locked("audit")
    for script in ("run", "audit"):
        lines = (ROOT / ".ci" / script).read_text().splitlines()
        assert all("--require-hashes" in line for line in lines if "locked/" in line and "-r " in line)
