"""What was typed to start this run: the command that repeats it, and whether an option was among its words.

Owns the reading of pytest's arguments as text. Refuses to interpret values: `options` asks pytest for those.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

SETTINGS = ("PYTEST_ADDOPTS", "BREAKEVEN_CASES", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
"""Environment variables that change what is measured, or where; also an empty one: it may hide every GPU."""


def command(arguments: Iterable[object], environment: Mapping[str, str]) -> str:
    """Return the shell line that repeats a run of pytest.

    >>> command(["bench", "-k", "mlp and cpu"], {"OMP_WAIT_POLICY": "passive", "LANG": "C"})
    "OMP_WAIT_POLICY=passive pytest bench -k 'mlp and cpu'"
    """
    settings = [f"{name}={shlex.quote(environment[name])}" for name in SETTINGS if name in environment]
    return " ".join([*settings, shlex.join(["pytest", *map(str, arguments)])])


def words(arguments: Iterable[object], ini: Iterable[object], environment: Mapping[str, str]) -> list[str]:
    """Return all that was asked of pytest: on the command line, in the ini file, in the environment."""
    return [str(word) for word in (*arguments, *ini, *shlex.split(environment.get("PYTEST_ADDOPTS", "")))]
