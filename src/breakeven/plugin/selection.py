"""Which of the collected cases are wanted: the file that ``BREAKEVEN_CASES`` names lists them, one a line.

Owns the reading of that file and every complaint about it. Refuses to know pytest: `collecting` says under
which names its items go, and deselects what is not listed. Imports nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from breakeven.errors import UsageError

VARIABLE = "BREAKEVEN_CASES"

EXAMPLE = "mlp train cpu batch=64 width=128"

REMEDY = f"name a text file that lists one case a line, such as {EXAMPLE!r}, or unset {VARIABLE}"


@dataclass(frozen=True)
class Selection:
    """The names that a file lists, each once, in its order."""

    path: str
    names: tuple[str, ...]

    def speaks_of(self, workload: str) -> bool:
        """Tell whether any listed case is of a workload, though it may not have been collected."""
        return any(name.startswith(f"{workload} ") for name in self.names)

    def check(self, collected: Iterable[str]) -> None:
        """Refuse a file of which nothing is here.

        Raises:
            UsageError: none of the listed cases is among the collected ones.
        """
        here = list(dict.fromkeys(collected))
        if not set(self.names).isdisjoint(here):
            return
        listed = (
            f"the one case that it lists, {_shown(self.names[0])}, was not collected"
            if len(self.names) == 1
            else f"none of the {len(self.names)} cases that it lists was collected, "
            f"the first is {_shown(self.names[0])}"
        )
        found = f"what was collected begins with {_shown(here[0])}" if here else "no benchmark was collected"
        raise UsageError(
            f"{self._told}: {listed}; {found}; name the files, devices and phases of the listed cases, or "
            "correct the list"
        )

    def note_missing(self, collected: Iterable[str]) -> str | None:
        """Return one line on the listed cases that were not collected; None where all of them were.

        That is no error: the other commit may lack them.
        """
        missing = len(set(self.names).difference(collected))
        if not missing:
            return None
        were = "was" if missing == 1 else "were"
        return f"{missing} of the {len(self.names)} cases that {self._told} lists {were} not collected"

    @property
    def _told(self) -> str:
        return f"{VARIABLE}={_shown(self.path)}"


def selection_in(environment: Mapping[str, str]) -> Selection | None:
    """Return what the environment selects; None where the variable is unset or empty.

    Blank lines and lines that begin with ``#`` are passed over.

    Raises:
        UsageError: the file cannot be read, or it lists no case.
    """
    path = environment.get(VARIABLE)
    if not path:
        return None
    told = f"{VARIABLE}={_shown(path)}"
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{told} cannot be read: {error.strerror or error}; {REMEDY}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{told} is not UTF-8 (byte {error.start + 1}); {REMEDY}") from None
    lines = (line.strip() for line in text.split("\n"))  # an id may hold what else ends a line elsewhere
    names = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not names:
        raise UsageError(f"{told} lists no case; {REMEDY}")
    return Selection(path, names)


def _shown(text: str, limit: int = 120) -> str:
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")
