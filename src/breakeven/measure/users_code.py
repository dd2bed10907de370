"""Which frames of a stack are in the user's code."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

import torch

_OURS = str(Path(__file__).parents[1])
_NOT_THE_USERS = (
    _OURS,
    str(Path(torch.__file__).parent),
    *map(sysconfig.get_path, ("stdlib", "platstdlib")),
    "<",
)
_INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")


def is_users(file: str) -> bool:
    """Return whether a file belongs neither to breakeven nor to Python or an installed package."""
    return not file.startswith(_NOT_THE_USERS) and _INSTALLED.search(file) is None


def where_in(frames: Iterable[tuple[str, object]]) -> str:
    """Return ``file:line: `` of the innermost call in the user's code, nothing if there is none."""
    users = [frame for frame in frames if is_users(frame[0])]
    return f"{users[-1][0]}:{users[-1][1]}: " if users else ""


def where_raised(error: BaseException) -> str:
    """Return ``file:line: `` of the innermost call in the user's code that breakeven made, else nothing."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    first = next((index for index, (file, _) in enumerate(frames) if file.startswith(_OURS)), len(frames))
    return where_in(frames[first:])
