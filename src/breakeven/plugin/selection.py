"""The cases that a run is restricted to: ``BREAKEVEN_CASES`` is a file that lists one per line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from breakeven.errors import UsageError
from breakeven.files import MAX_SMALL_BYTES, read_file

VARIABLE = "BREAKEVEN_CASES"

"""The size of the largest list that is read: hundreds of thousands of cases."""

EXAMPLE = "mlp train cpu batch=64 width=128"

REMEDY = f"set it to a text file with one case per line, such as {EXAMPLE!r}, or unset it"


@dataclass(frozen=True)
class Selection:
    """The names in a file, each once, in order."""

    path: str
    names: tuple[str, ...]

    def check(self, collected: Iterable[str]) -> None:
        """Reject a list if none of its cases was collected.

        Raises:
            UsageError: none of the listed cases was collected.
        """
        available = list(dict.fromkeys(collected))
        if not set(self.names).isdisjoint(available):
            return
        listed = (
            f"its only case, {_quoted(self.names[0])}, was not collected"
            if len(self.names) == 1
            else f"none of its {len(self.names)} cases was collected, the first is {_quoted(self.names[0])}"
        )
        found = (
            f"the first collected one is {_quoted(available[0])}"
            if available
            else "no benchmark was collected"
        )
        raise UsageError(
            f"{_setting(self.path)}: {listed}; {found}; pass the files, devices and phases of the listed "
            "cases, or correct the list"
        )

    def missing_warning(self, collected: Iterable[str]) -> str | None:
        """Return one line about the listed cases that were not collected, None if all were.

        They are not an error: another commit may not have them.
        """
        missing = len(set(self.names).difference(collected))
        if not missing:
            return None
        were = "was" if missing == 1 else "were"
        return f"{missing} of the {len(self.names)} cases in {_setting(self.path)} {were} not collected"


def read_selection(environment: Mapping[str, str]) -> Selection | None:
    """Return the selection of the environment; None if the variable is unset or empty.

    Blank lines and lines that begin with ``#`` are ignored.

    Raises:
        UsageError: the file cannot be read, or it lists no case.
    """
    path = environment.get(VARIABLE)
    if not path:
        return None
    setting = _setting(path)
    try:
        # A name may have lone surrogates, which `ab` then writes.
        text = read_file(path, MAX_SMALL_BYTES).decode("utf-8", "surrogatepass").removeprefix("\ufeff")
    except OSError as error:
        raise UsageError(f"{setting} cannot be read: {error.strerror or error}; {REMEDY}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{setting} is not UTF-8 (byte {error.start + 1}); {REMEDY}") from None
    lines = (line.strip() for line in text.split("\n"))  # splitlines() would split names that hold a U+2028
    names = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not names:
        raise UsageError(f"{setting} lists no case; {REMEDY}")
    return Selection(path, names)


def _setting(path: str) -> str:
    return f"{VARIABLE}={_quoted(path)}"


def _quoted(text: str, limit: int = 120) -> str:
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")
