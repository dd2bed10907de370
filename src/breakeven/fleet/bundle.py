"""The files that every node gets: the benchmark folder, and what pytest reads in the directories above it.

They keep their paths below the working directory. Installed packages are not sent.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from breakeven.errors import UsageError
from breakeven.format import one_line, scaled

MAX_BYTES = 64 * 2**20
"""A larger folder contains data, which belongs on the nodes."""

SETTINGS = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "conftest.py")
"""What pytest reads in the directories above."""

_LEFT_OUT = ("__pycache__", "node_modules")


@dataclass(frozen=True)
class Bundle:
    """A ZIP archive of the files, and the SHA-256 of their paths and contents."""

    archive: bytes
    digest: str
    files: int


def bundle(folder: str) -> Bundle:
    """Read the files.

    Raises:
        UsageError: the folder is not below the working directory, has no benchmarks, or is too large.
    """
    here, path = Path.cwd(), Path(folder)
    if not path.exists():
        raise UsageError(f"{one_line(folder)} does not exist; pass the folder of your bench_*.py files")
    relative = path.resolve()
    if not relative.is_relative_to(here.resolve()):
        raise UsageError(f"{one_line(folder)} is not below the working directory {here}; go there first")
    found = sorted(set(_files(path)))
    if not any(_has_benchmarks(file) for file in found):
        raise UsageError(
            f"{one_line(folder)} has no bench_*.py with `@pytest.mark.sweep`; pass the folder that "
            "`pytest FOLDER` measures"
        )
    above = [parent for parent in relative.parents if parent.is_relative_to(here.resolve())]
    found += [parent / name for parent in above for name in SETTINGS if (parent / name).is_file()]
    return _packed(here.resolve(), found, folder)


def _packed(here: Path, files: list[Path], folder: str) -> Bundle:
    digest, total, stream = hashlib.sha256(), 0, io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            name, content = file.absolute().relative_to(here).as_posix(), file.read_bytes()
            total += len(content)
            if total > MAX_BYTES:
                raise UsageError(
                    f"{one_line(folder)} has more than {scaled(MAX_BYTES, 'B')} of files, the last one "
                    f"{one_line(name)}; keep data out of it, on the nodes"
                )
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return Bundle(stream.getvalue(), digest.hexdigest(), len(files))


def _files(path: Path) -> Iterator[Path]:
    """Yield the files below a path, without hidden and compiled ones."""
    if path.is_file():
        yield path.resolve()
        return
    for directory, names, files in os.walk(path.resolve()):
        names[:] = [name for name in names if not name.startswith(".") and name not in _LEFT_OUT]
        yield from (Path(directory, name) for name in files if not name.startswith("."))


def _has_benchmarks(file: Path) -> bool:
    is_python = file.suffix == ".py"
    return is_python and "sweep" in file.read_text(encoding="utf-8", errors="replace")
