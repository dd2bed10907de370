"""Where the benchmarks of a run are, and their sweep: read from the shell line that made it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from breakeven.errors import UsageError
from breakeven.format import one_line
from breakeven.runs.schema import Run

SWEEP = "--breakeven-sweep"
"""The option of a measurement that decides which cells there are."""

REMEDY = "give the folder of its benchmarks by --bench DIR"

_OPERATORS = ("&&", ";", "||", "|", "&", "(", ")")
_SHORT = "kmpWconr"
"""The letters of pytest's short options that have a value."""
_LONG = re.compile(
    "--(rootdir|confcutdir|basetemp|ignore|ignore-glob|deselect|junit-?xml|override-ini|import-mode|durations|tb|"
    "log-[a-z-]+|cov|cov-[a-z-]+|timeout|maxfail|color|capture|"
    "benchmark-(?!only|skip|disable|enable|autosave|verbose|quiet|save-data)[a-z-]+|breakeven-(?!resume)[a-z-]+)"
)
"""The long options that take the next word as their value, where they have no ``=``."""


@dataclass(frozen=True)
class BenchPaths:
    """Files and folders of benchmarks, relative to a directory in which pytest ran; both exist."""

    paths: tuple[str, ...]
    directory: str = "."

    def label(self) -> str:
        """Return the paths for a message."""
        inside = "" if self.directory == "." else f" in {self.directory}"
        return one_line(f"{', '.join(self.paths)}{inside}", 200)


def given_paths(text: str) -> BenchPaths:
    """Return the place that ``--bench`` names.

    Raises:
        UsageError: it does not exist.
    """
    if not text or not Path(text).exists():
        raise UsageError(
            f"--bench {one_line(text)!r} does not exist; give the folder of the benchmarks, or a file"
        )
    return BenchPaths((text,))


def paths_in(command: str) -> BenchPaths | None:
    """Return the files and folders that a command gave pytest; None unless they are in the working directory.

    A path elsewhere is not taken from a run file, since pytest executes what is there; and no option is.
    """
    try:
        words = list(_words(command))
    except ValueError:  # an open quotation
        return None
    directory = Path()
    for part in _commands(words):
        if part[0] == "cd" and len(part) == 2:
            directory /= part[1]
        if not _is_here(directory):  # from where Python would import modules
            return None
        arguments = _after_pytest(part)
        paths = [path for word in _positional(arguments) if (path := _existing(directory, word)) is not None]
        if paths:
            return BenchPaths(tuple(dict.fromkeys(paths)), str(directory))
    return None


def pytest_arguments(runs: Iterable[Run], bench: str | None = None) -> list[str]:
    """Return the arguments with which pytest collects the cells of some runs again.

    They are `bench`, else the paths of the first command that has some, with the first sweep of a command.
    """
    commands = [run.command for run in runs]
    found = [list(place.paths) for command in commands if (place := paths_in(command)) is not None]
    paths = [bench] if bench is not None else found[0] if found else ["bench"]
    return [*paths, *[sweep for command in commands if (sweep := _sweep(command)) is not None][:1]]


def _sweep(command: str) -> str | None:
    """Return the option for the sweep in a shell line, if it has one.

    >>> _sweep("pytest bench --breakeven-sweep full -q"), _sweep("pytest '--breakeven-sweep=a b'")
    ('--breakeven-sweep=full', '--breakeven-sweep=a b')
    >>> _sweep("pytest bench"), _sweep("pytest 'bench"), _sweep("")
    (None, None, None)
    """
    try:
        words = list(_words(command))
    except ValueError:  # an open quotation, as where it was cut off
        return None
    for word, value in pairwise([*words, ""]):
        if word.startswith(f"{SWEEP}="):
            return word
        if word == SWEEP:
            return f"{SWEEP}={value}"
    return None


def _words(command: str) -> Iterator[str]:
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    return lexer


def _commands(words: Sequence[str]) -> Iterator[list[str]]:
    """Yield the words of each command of a shell line."""
    part: list[str] = []
    for word in (*words, ";"):
        if word not in _OPERATORS:
            part.append(word)
        elif part:
            yield part
            part = []


def _after_pytest(words: Sequence[str]) -> Sequence[str]:
    """Return the arguments of pytest, which may follow ``python -m`` or ``uv run``."""
    places = [place for place, word in enumerate(words) if Path(word).name in ("pytest", "py.test")]
    return words[places[0] + 1 :] if places else ()


def _positional(words: Sequence[str]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            yield word.partition("::")[0]
        elif (len(word) == 2 and word[1] in _SHORT) or _LONG.fullmatch(word):
            next(rest, None)


def _existing(directory: Path, word: str) -> str | None:
    """Return a path in the working directory that exists: a folder, or a file of Python."""
    return word if is_bench(directory / word) and _is_here(directory / word) else None


def is_bench(path: Path) -> bool:
    """Return whether a path is a folder, or a file of Python."""
    try:
        return path.is_dir() or (path.suffix == ".py" and path.is_file())
    except (OSError, ValueError):  # too long, or with NUL
        return False


def as_argument(path: str) -> str:
    """Return a path as pytest takes it, where it would be an option, or a file of arguments.

    >>> as_argument("-x.py"), as_argument("@x"), as_argument("bench")
    ('./-x.py', './@x', 'bench')
    """
    return f"./{path}" if path.startswith(("-", "@")) else path


def _is_here(path: Path) -> bool:
    """Return whether a path is in the working directory, wherever links lead."""
    try:
        return path.resolve().is_relative_to(Path.cwd())
    except (OSError, ValueError, RuntimeError):  # too long, with NUL, or a loop of links
        return False
