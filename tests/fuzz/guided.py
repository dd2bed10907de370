"""The same inputs, chosen by the coverage of breakeven's code: needs `pip install atheris`, on Linux.

A choice that the fuzzer draws from its random numbers is drawn from atheris's bytes instead, so that an input
which reaches new code is kept and changed. It stops at the first unsound answer and names the file with the
bytes, which as the last argument repeats it::

    python tests/fuzz/guided.py readers journal -max_total_time=600 corpus
    python tests/fuzz/guided.py readers journal crash-0123abcd
"""

import sys
import tempfile
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent.parent))


class RandomBytes(Random):
    """Random numbers from bytes; zeros when these have run out."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._left = int.from_bytes(data, "little")

    def getrandbits(self, k: int) -> int:
        """Return the next bits."""
        found = self._left & ((1 << k) - 1)
        self._left >>= k
        return found

    def random(self) -> float:
        """Return a number from 0 to below 1."""
        return self.getrandbits(16) / 2**16


def main() -> None:
    """Fuzz the targets of a set whose names match; the other arguments are libFuzzer's."""
    import atheris

    name, only, *rest = sys.argv[1:]
    with atheris.instrument_imports(include=["breakeven"]):
        from fuzz.attempts import Limits, tried
        from fuzz.campaign import Campaign

        campaign = Campaign(name, Path(tempfile.mkdtemp(prefix="fuzz-guided-")), 0, only)

    def one(data: bytes) -> None:
        _, attempt = campaign.prepared(RandomBytes(data))
        problem = tried(attempt, Limits()).problem
        if problem is not None:
            raise AssertionError(f"{attempt.what}\n{problem.kind}: {problem.cause}\n{problem.details}")

    # libFuzzer interprets relative paths later, in the directory of the inputs.
    paths = [word if word.startswith("-") else str(Path(word).absolute()) for word in rest]
    atheris.Setup([sys.argv[0], f"-artifact_prefix={Path.cwd()}/", *paths], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
