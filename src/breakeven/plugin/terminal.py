"""The terminal of a run: where nobody reads it anymore, as after ``| head``, the run goes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from breakeven.files import discard_unread_output


def outlive_readers(config: pytest.Config) -> None:
    """Discard from now on what pytest prints to a pipe or a terminal that was closed, or to a full disk.

    The error would end the run, and with it what was measured.
    """
    if not config.pluginmanager.hasplugin("terminalreporter"):  # with -p no:terminal
        return
    writer: Any = config.get_terminal_writer()
    for name in ("write", "flush"):
        setattr(writer, name, _without_errors(getattr(writer, name)))
    config.add_cleanup(writer.flush)  # what is left would fail when Python exits


def _without_errors(act: Callable[..., object]) -> Callable[..., None]:
    def tried(*arguments: object, **options: object) -> None:
        try:
            act(*arguments, **options)
        except OSError:
            discard_unread_output()
            with suppress(OSError):
                act(*arguments, **options)  # what is buffered must go, too

    return tried
