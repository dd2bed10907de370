"""Which code a figure is of: the commit, and a state that changes with the files that matter."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_WHERE = """
import importlib.metadata, pathlib, breakeven
print(importlib.metadata.version("breakeven"), pathlib.Path(breakeven.__file__).parent, sep="\\n")
"""


@dataclass(frozen=True)
class Code:
    """A state of the code.

    Args:
        version: of breakeven; empty for scripts.
        commit: that is checked out, with ``+`` if its files were changed.
        state: the same for the same files, whatever else a commit changed.
    """

    version: str
    commit: str
    state: str


def code_of(where: str | Path, paths: Sequence[str] = ("src",)) -> Code:
    """Return the state of an installation, by its Python, or of the paths of the repository of a folder.

    An installation outside of a repository has the state of its version.
    """
    version, folder = ("", where) if isinstance(where, Path) else _installed(where)
    root = _git(folder, "rev-parse", "--show-toplevel")
    if root is None:
        return Code(version, "-", version)
    trees = [_git(root, "rev-parse", f"HEAD:{path}") for path in paths]
    changed = _git(root, "diff", "HEAD", "--", *paths) or ""
    state = hashlib.sha256("\n".join([*map(str, trees), changed]).encode()).hexdigest()[:12]
    commit = _git(root, "rev-parse", "--short", "HEAD")
    return Code(version, f"{commit}{'+' if changed else ''}", state)


def _installed(python: str) -> tuple[str, Path]:
    done = subprocess.run([python, "-c", _WHERE], capture_output=True, text=True, check=True)
    version, folder = done.stdout.splitlines()
    return version, Path(folder)


def _git(folder: str | Path, *arguments: str) -> str | None:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout.strip()
