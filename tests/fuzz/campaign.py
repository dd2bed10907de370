"""Tries inputs one after the other, in this process, and keeps what an unsound answer needs to be repeated.

Input number N of a seed is always the same, whichever came before it.
"""

import os
import re
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fuzz import commands, decoders
from fuzz.attempts import Answer, Attempt, Limits, Target, tried

READERS, COMMANDS = "readers", "commands"
SETS = (READERS, COMMANDS)


@dataclass(frozen=True)
class Tried:
    """An input that was tried: what `number` of the seed it is, and its answer."""

    number: int
    target: str
    answer: Answer

    @property
    def slug(self) -> str:
        """The problem as the name of a directory, the same for inputs that fail alike; empty without one."""
        problem = self.answer.problem
        if problem is None:
            return ""
        return re.sub(r"[^\w.-]+", "-", f"{self.target} {problem.kind} {problem.cause}").strip("-")[:120]


class Campaign:
    """Inputs for one set of targets; files go into `folder`, which is emptied for each.

    The directory of a command's input is always the same, since the plans of experiments record it.
    """

    def __init__(self, name: str, folder: Path, seed: int, only: str = "") -> None:
        self._here, self._seed = folder / "work", seed
        found = decoders.targets() if name == READERS else commands.targets(self._here)
        self.targets = [target for target in found if re.search(only, target.name)]
        if not self.targets:
            raise ValueError(f"no target of {name} matches {only!r}; there are {[one.name for one in found]}")
        self._findings = folder / "findings"
        self._kept: Counter[str] = Counter()

    def prepare(self, number: int) -> tuple[Target, Attempt]:
        """Write the input of a number into an empty working directory."""
        return self.prepared(Random(f"{self._seed} {number}"))

    def prepared(self, rng: Random) -> tuple[Target, Attempt]:
        """Choose a target, and write an input for it into an empty working directory."""
        os.chdir(self._here.parent)
        shutil.rmtree(self._here, ignore_errors=True)
        self._here.mkdir()
        os.chdir(self._here)
        target = rng.choices(self.targets, [one.weight for one in self.targets])[0]
        return target, target.prepare(rng)

    def run(
        self, numbers: Iterable[int], limits: Limits, began: Callable[[int, str], None]
    ) -> Iterator[Tried]:
        """Try inputs; `began` is called with each number and target before its input is handed over."""
        for number in numbers:
            target, attempt = self.prepare(number)
            began(number, target.name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answer = tried(attempt, limits)
            found = Tried(number, target.name, answer)
            if answer.problem is not None:
                self._keep(found, attempt)
            yield found

    def _keep(self, found: Tried, attempt: Attempt) -> None:
        """Keep the first three inputs of each problem, with what was done and what came of it."""
        self._kept[found.slug] += 1
        if self._kept[found.slug] > 3 or found.answer.problem is None:
            return
        kept = self._findings / found.slug / str(found.number)
        # As they were handed over: the reader may have changed them.
        _, again = self.prepare(found.number)
        shutil.copytree(self._here, kept, symlinks=True, dirs_exist_ok=True)
        details = found.answer.problem.details.encode("utf-8", "backslashreplace").decode()
        text = f"{again.what}\n\n{details}\n".encode("utf-8", "backslashreplace")
        (kept / "finding.txt").write_bytes(text)


def names(found: Sequence[Tried]) -> list[str]:
    """Return the problems that were found, each once."""
    return list(dict.fromkeys(one.slug for one in found if one.slug))
