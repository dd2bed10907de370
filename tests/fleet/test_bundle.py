"""The files that a node gets."""

import io
import zipfile

import pytest

from breakeven.errors import UsageError
from breakeven.fleet import bundle as module
from breakeven.fleet.bundle import bundle


@pytest.fixture
def project(tmp_path, monkeypatch):
    files = {
        "pyproject.toml": "[tool.pytest.ini_options]",
        "conftest.py": "",
        "setup.py": "",
        "src/secret.py": "",
        "bench/conftest.py": "",
        "bench/bench_mlp.py": "@pytest.mark.sweep(batch_size=[1])",
        "bench/data/weights.txt": "1",
        "bench/.cache/x": "",
        "bench/__pycache__/x.pyc": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(found):
    return sorted(zipfile.ZipFile(io.BytesIO(found.archive)).namelist())


def test_holds_the_folder_and_the_settings_above_it(project):
    assert names(bundle("bench")) == [
        "bench/bench_mlp.py", "bench/conftest.py", "bench/data/weights.txt", "conftest.py", "pyproject.toml",
    ]  # fmt: skip


def test_holds_a_single_file(project):
    assert names(bundle("bench/bench_mlp.py")) == [
        "bench/bench_mlp.py", "bench/conftest.py", "conftest.py", "pyproject.toml",
    ]  # fmt: skip


def test_the_working_directory_itself(project):
    assert "src/secret.py" in names(bundle("."))


def test_the_digest_is_that_of_paths_and_contents(project):
    before = bundle("bench").digest
    (project / "bench" / "bench_mlp.py").touch()
    assert bundle("bench").digest == before
    (project / "bench" / "bench_mlp.py").write_text("sweep")
    assert bundle("bench").digest != before


@pytest.mark.parametrize(
    ("folder", "problem"),
    [
        ("absent", "absent does not exist"),
        ("src", "src has no bench_*.py with `@pytest.mark.sweep`"),
        ("..", ".. is not below the working directory"),
    ],
)
def test_refuses(project, folder, problem):
    with pytest.raises(UsageError, match=f"^{problem}".replace("*", r"\*")):
        bundle(folder)


def test_refuses_data(project, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    with pytest.raises(
        UsageError, match=r"^bench has more than 10.0 B of files, the last one bench/bench_mlp"
    ):
        bundle("bench")
