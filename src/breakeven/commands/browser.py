"""Opens a page in the browser where there is one, and else prints how to see it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from breakeven.commands.base import notify

Opener = Callable[[str], bool]
"""Opens a URL in a browser, and returns whether it could."""


def open_page(page: Path, opener: Opener | None = None) -> None:
    """Open a page with `opener`, by default that of `webbrowser`."""
    import webbrowser  # slow to load

    reason = why_not(os.environ, sys.platform)
    if reason is None:
        try:
            reason = None if (opener or webbrowser.open)(page.resolve().as_uri()) else "no browser was found"
        except webbrowser.Error as error:
            reason = str(error)
    if reason is not None:
        notify(f"the page was not opened: {reason}; copy it to where there is a browser: {page.resolve()}")


def why_not(environment: Mapping[str, str], platform: str) -> str | None:
    """Return why no browser is tried; None where one may be, as where the user names it.

    >>> why_not({"SSH_CONNECTION": "10.0.0.2", "DISPLAY": ":0"}, "linux"), why_not({}, "linux")
    ('this is an SSH session', 'there is no display')
    >>> why_not({"DISPLAY": ":0"}, "linux"), why_not({}, "darwin")
    (None, None)
    >>> why_not({"SSH_CONNECTION": "10.0.0.2", "BROWSER": "code"}, "linux")
    """
    if environment.get("BROWSER"):
        return None
    if environment.get("SSH_CONNECTION"):
        return "this is an SSH session"
    has_display = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return None if has_display or not platform.startswith("linux") else "there is no display"
