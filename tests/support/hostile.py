"""Hostile text, and a check that an output shows it as what it is."""

import re

HOSTILE = (
    "::error title=x::a",
    " \t::add-mask::a",
    "##[error]a",
    "###[group]a",
    "##vso[task.setvariable variable=PATH]a",
    "##teamcity[testFailed name='a']",
    "a\n::error::b",
    "a\r##[error]b",
    "a\x85::error::b",
    "a\u2028::error::b",
    "a\x1b[2J\x1b]0;title\x07",
    "a\x9b31m",
    "a\u202eb\u2066c",
    "a\u200bb\u2060c\ufeff",
    "a\u3164\u115f\u180e\ufe0fb",
    "a\ud800b",
    "a\x00b\x7f",
    "```\n::error::a",
    "```",
    "~~~",
    "x" * 97 + " ::error::wrapped " + "y" * 97 + " ::error::again",
    "=HYPERLINK(1)",
    "[link=http://x]a[/link]",
)
"""Workflow commands, escape sequences, line breaks, and characters that hide or reorder others."""

COMMAND = re.compile(r"(?m)^\s*::|##[\w-]*\[")
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u034f\u115f\u1160\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\ud800-\udfff]"
)


def check(text):
    """Check that a log, a terminal or a page shows the text as what it is."""
    assert not COMMAND.search(text), COMMAND.search(text)
    assert not HIDDEN.search(text), HIDDEN.search(text)
