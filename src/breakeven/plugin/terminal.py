"""The terminal of a run: text of the user's code is printable, and nobody has to read it.

With ``-s`` and with live logs, pytest copies what the code prints as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

import pytest

from breakeven.files import discard_unread_output
from breakeven.format import printable
from breakeven.plugin.collection import is_case


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


class PrintableReports:
    """Lets pytest print tracebacks, captured output and warnings of benchmarks line by line as what they are.

    It is registered last: in the run file is the text itself.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Make the report of a case printable."""
        report = yield
        if is_case(item):
            make_printable(self._config, report)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Make a warning printable."""
        text = str(warning_message.message)
        if (shown := printable_lines(text)) != text:
            warning_message.message = Warning(shown)


def make_printable(config: pytest.Config, report: pytest.CollectReport | pytest.TestReport) -> None:
    """Escape in a report what a terminal or the log of a CI job would interpret."""
    if report.longrepr is None and not report.sections:
        return
    content = config.hook.pytest_report_to_serializable(config=config, report=report)
    shown = {**content, **{name: printable_lines(content[name]) for name in ("longrepr", "sections")}}
    made = config.hook.pytest_report_from_serializable(config=config, data=shown)
    report.longrepr, report.sections = made.longrepr, made.sections


def printable_lines(value: Any) -> Any:
    """Return text, or all text in a structure, with each of its lines printable."""
    if isinstance(value, str):
        end = "\n" if value.endswith("\n") else ""
        return "\n".join(printable(line.expandtabs()) for line in value.splitlines()) + end
    if isinstance(value, dict):
        return {key: printable_lines(item) for key, item in value.items()}
    return type(value)(map(printable_lines, value)) if isinstance(value, list | tuple) else value
