"""Values that readers and terminals have trouble with, and the texts they hide in."""

import math
import re

CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]"
)
"""What no output may contain: control characters, directions of text, and breaks that are not a newline."""

WORKFLOW_COMMAND = re.compile(r"^\s*(::|##\[)", re.MULTILINE)
"""What a line of output in CI must not begin with: GitHub and Azure execute it."""

TEXTS = (
    "", " ", "0", "1", "null", "a\nb", "\r\n::error file=x::y", "::error::x", "##[error]x", "::add-mask::a",
    "\x1b[31mred\x1b[0m", "\x1b]8;;http://x\x07link", "\x9b31m", "\u202eabc", "\u2066abc", "a\u200bb",
    "\u2028",
    "\x85", "\x00", "\ud800", "\udcff", "\ufeff", "e\u0301" * 40, "x" * 400, "x" * 100_000, "é" * 300,
    "<script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>", "</style>", "[a](javascript:x)",
    "|", "`",
    "=cmd()", "../../x", "/etc/x", "..", ".", "a/b", "CON", "a\\b", "C:\\x", "~", "$(id)", "; id", "%s%n",
    "{0}",
    "{out}", "\\", "'", '"', "--help", "-", "--", "*" * 8 + "b!", "*a" * 20 + "!", "?" * 50,
    "[", "[!", "a[1]",
    "cpu", "cuda", "cuda:0", "2xcuda", "cpu@0", "cpu@9999999999", "0xcpu", "99999999999xcuda", "cpu@best",
    "forward", "train", "transfer", "nan", "inf", "-inf", "1e400", "1e-300", "9" * 5000, "-1", "0.5",
    "1_000", "１",
    "2026-01-02T03:04:05", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-13-01",
    "unversioned",
    "10%", "1000%", "-5%", "1h30m", "0s", "1e9h", "1/4", "0/0", "4/1", "3/99999999999999", "cuda=2/h",
    "cuda=0/h",
)  # fmt: skip

ARGUMENTS = tuple(
    text for text in TEXTS if "\0" not in text and "\ud800" not in text and "/" not in text and text != ".."
)
"""Those that a command line can have, and that name no place outside of the working directory."""

NUMBERS = (
    0, -0.0, 1, -1, 2, 1.5, True, False, math.nan, math.inf, -math.inf, 5e-324, 1e-300, 1e-30, 1e30, 1e300,
    1.7976931348623157e308, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**400,
)  # fmt: skip

NESTED = "<nested {} {}>"
"""A text that `mutations.as_json` replaces by so many brackets."""

STRUCTURES = (
    None, [], {}, [None], [[]], [{}], {"": None}, {"a": math.nan}, {"\ud800": 1}, {"schema": 1},
    {"schema": 2},
    [1.0] * 6, [[1.0]], [1e-300, 1e300], list(range(3000)), {str(i): i for i in range(1000)},
    *(NESTED.format(depth, kind) for depth in (100, 500, 1020, 100_000) for kind in ("[", "{")),
)  # fmt: skip

DEVICES = ("/dev/zero", "/dev/full", "/dev/null", "/dev/urandom", "/proc/self/mem", "/")
"""Paths of what is no regular file; some have no end."""
