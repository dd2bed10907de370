"""The terminal of a run: where nobody reads it anymore, as after ``| head``, the run goes on."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest


def outlive_readers(config: pytest.Config) -> None:
    """Discard from now on what pytest prints to a pipe or a terminal that was closed, or to a full disk.

    The error would end the run, and with it what was measured.
    """
    writer: Any = config.get_terminal_writer()
    for name in ("write", "flush"):
        setattr(writer, name, _without_errors(getattr(writer, name)))
    config.add_cleanup(writer.flush)  # what is left would fail when Python exits


def discard_unread_output() -> None:
    """Send standard output and standard error to nowhere where their reader has gone."""
    for stream in (1, 2):
        if _is_unread(stream):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream)
            os.close(nowhere)


def _without_errors(act: Callable[..., object]) -> Callable[..., None]:
    def tried(*arguments: object, **options: object) -> None:
        try:
            act(*arguments, **options)
        except OSError:
            discard_unread_output()
            with suppress(OSError):
                act(*arguments, **options)  # what is buffered must go, too

    return tried


def _is_unread(stream: int) -> bool:
    if not hasattr(select, "poll"):
        return False
    waiting = select.poll()
    waiting.register(stream, 0)  # errors are reported all the same
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in waiting.poll(0))
