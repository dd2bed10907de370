"""The names of machine classes: as ``--label`` gives them, or else their files' names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from breakeven.errors import UsageError
from breakeven.format import joined, one_line
from breakeven.grouping import grouped

Label = tuple[str, str]
"""The path or the file name of a run, and the name of its machine."""


def names_of(
    files: Mapping[str, Sequence[str]], labels: Sequence[Label] = ()
) -> tuple[dict[str, str], list[str]]:
    """Return the name of each machine class, and a line for each label that is not used.

    A class has the label of the first of its files that has one. Without a label it has the name of its first
    file, or of that file's folder where two files have the same name; a single class has none.

    >>> names_of({"aaa1": ["home/run.json"], "bbb2": ["work/run.json"], "ccc3": ["work/h100.json"]})[0]
    {'aaa1': 'home', 'bbb2': 'work', 'ccc3': 'h100'}
    >>> names_of({"aaa1": ["run.json"]}), names_of({"aaa1": ["run.json"]}, [("run.json", "laptop")])
    (({}, []), ({'aaa1': 'laptop'}, []))

    Args:
        files: the paths of the runs of each class id.
        labels: as the user gave them.

    Raises:
        UsageError: a label names no run, or several; two classes have the same name, or one run two.
    """
    given = _by_path([path for paths in files.values() for path in paths], labels)
    first = {class_id: path for class_id, paths in files.items() for path in reversed(paths) if path in given}
    names = {class_id: given[path] for class_id, path in first.items()}
    _check_unique(names, first)
    unused = [
        f"--label {_shown(path)}={given[path]} is not used: its machine class is named {names[class_id]}, as "
        f"{_shown(first[class_id])} is"
        for class_id, paths in files.items()
        for path in paths
        if path in given and given[path] != names[class_id]
    ]
    by_file = _by_file(files, names.values()) if len(files) > 1 else {}
    return by_file | names, unused


def _by_file(files: Mapping[str, Sequence[str]], taken: Iterable[str]) -> dict[str, str]:
    """Return the name of each class by its first file, or by its folder if the file's name is not unique."""
    stems = {class_id: Path(paths[0]).stem for class_id, paths in files.items()}
    folders = {class_id: Path(paths[0]).resolve().parent.name for class_id, paths in files.items()}
    known = [*taken, *stems.values()]
    return {
        class_id: one_line(stem if known.count(stem) == 1 else folders[class_id] or stem, 60)
        for class_id, stem in stems.items()
    }


def _by_path(paths: Sequence[str], labels: Sequence[Label]) -> dict[str, str]:
    given: dict[str, str] = {}
    for file, name in labels:
        path = _find(file, name, paths)
        if given.setdefault(path, name) != name:
            raise UsageError(
                f"--label gives {_shown(path)} two names, {given[path]} and {name}; leave one of them out"
            )
    return given


def _find(file: str, name: str, paths: Sequence[str]) -> str:
    same = [path for path in paths if Path(path).resolve() == Path(file).resolve()]
    found = same or [path for path in paths if Path(path).name == file]
    if len(found) == 1:
        return found[0]
    problem = "several runs have this file name; give the path of one of" if found else "no such run; given"
    raise UsageError(f"--label {_shown(file)}={name}: {problem}: {joined([*map(_shown, found or paths)], 6)}")


def _check_unique(names: Mapping[str, str], first: Mapping[str, str]) -> None:
    for name, class_ids in grouped((name, class_id) for class_id, name in names.items()).items():
        if len(class_ids) > 1:
            one, other, *_ = (_shown(first[class_id]) for class_id in class_ids)
            raise UsageError(
                f"--label names two machine classes {name}, that of {one} and that of {other}; choose "
                "another name for one of them"
            )


def _shown(path: str) -> str:
    return one_line(path, 300)
