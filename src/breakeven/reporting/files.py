"""The only place that writes: a record -> files in a directory.

Owns the registry of files, one entry a format, and that a report is whole: everything is made before
anything is written, and each file is written aside and then renamed, so that an old report is never left
half overwritten.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from breakeven.analysing.record import Report
from breakeven.errors import UsageError
from breakeven.reporting.exports import to_csv
from breakeven.reporting.figures import speedup_figure, to_png, to_svg
from breakeven.reporting.markdown import to_markdown

Maker = Callable[[Report, str], bytes]

FILES: dict[str, Maker] = {
    "summary.csv": lambda report, _version: to_csv(report).encode(),
    "summary.md": lambda report, version: to_markdown(report, version).encode(),
    "speedup.svg": lambda report, _version: to_svg(speedup_figure(report)),
    "speedup.png": lambda report, _version: to_png(speedup_figure(report)),
}
"""What a report directory holds: a file's name, and what makes its bytes of a record and our version."""


def write_report(report: Report, directory: str | os.PathLike[str], version: str) -> list[Path]:
    """Write every file of `FILES` into `directory`, which is made when it is missing; return their paths.

    Raises:
        UsageError: when the directory or a file in it cannot be written; what stood there stays.
    """
    contents = {name: make(report, version) for name, make in FILES.items()}
    return write_files(contents, Path(directory))


def write_files(contents: Mapping[str, bytes], directory: Path) -> list[Path]:
    """Write named contents into `directory`, each aside first; all are aside before the first is renamed.

    Raises:
        UsageError: when something cannot be written.
    """
    aside: list[tuple[Path, Path]] = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
            aside.append((Path(temporary), directory / name))
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101 - mkstemp makes files that only we may read
        for temporary_path, path in aside:
            temporary_path.replace(path)
    except OSError as error:
        for temporary_path, _ in aside:
            temporary_path.unlink(missing_ok=True)
        problem = error.strerror or str(error)
        raise UsageError(
            f"cannot write the report into {directory} ({problem}); choose another with -o DIR"
        ) from error
    return [path for _, path in aside]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
