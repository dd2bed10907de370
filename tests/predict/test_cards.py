"""The file of a card: what is written is read again, and what is not a card is refused in one line."""

import json
import re
from dataclasses import replace

import pytest

from breakeven.errors import NewerSchemaError, RunFileError
from breakeven.predict.cards import Number, read_card, shipped_cards, write_card
from support.predictions import card

CARD = card(
    "box",
    launch_s=42e-6,
    flops_per_s={"float32": 4e13, "bfloat16": 4e14},
    copied_bytes_per_s=1.25e10,
    low_log=-0.4,
    high_log=0.4,
    log_sds={"launches": 0.05, "memory": 0.3, "copy": 0.2, "float32": 0.1, "bfloat16": 0.5},
)


def written(tmp_path, **changes):
    """Write a card, with some fields of its file changed, or left out where they are ``...``."""
    path = tmp_path / "card.json"
    write_card(CARD, path)
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not ...}))
    return str(path)


def test_what_is_written_is_read(tmp_path):
    assert read_card(written(tmp_path)) == CARD


def test_numbers_have_four_digits(tmp_path):
    path = tmp_path / "card.json"
    write_card(replace(CARD, launch_s=1 / 30000, flops_per_s={"float32": 2e13 / 3}), path)
    read = json.loads(path.read_text())
    assert (read["launch_s"], read["flops_per_s"]) == (3.333e-5, {"float32": 6.667e12})


@pytest.mark.parametrize(
    ("number", "format_", "value"),
    [
        (Number.LAUNCHES, "", 42e-6),
        (Number.ARITHMETIC, "float32", 4e13),
        (Number.MEMORY, "", 2e12),
        (Number.COPY, "", 1.25e10),
    ],
)
def test_a_slower_number(number, format_, value):
    """Launches take longer, and the rates are smaller; the other numbers are the same."""
    slower = CARD.slowed(number, 2.0, format_)
    assert CARD.value(number, format_) == value
    assert slower.value(number, format_) == (2 * value if number is Number.LAUNCHES else value / 2)
    assert slower.slowed(number, 0.5, format_) == CARD
    assert slower.value(Number.ARITHMETIC, "bfloat16") == 4e14


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"schema": 2}, r"schema: 2 is newer than this breakeven reads \(1\); upgrade breakeven"),
        ({"schema": 0}, "schema: 0: expected `int` >= 1; make one with"),
        ({"schema": ...}, "schema: None: expected `int`, got `null`; make one with `breakeven card"),
        ({"kind": ...}, 'is not a card \\(no "kind": "card"\\); make one with `breakeven card'),
        ({"launch_s": ...}, "launch_s: is missing; make one"),
        ({"launch_s": 2.0}, "launch_s: 2 s for a launch, where any host needs 1e-06 to 0.0005 s; make one"),
        ({"launch_s": -1.0}, "launch_s: -1.0: expected `float` >= 0"),
        (
            {"flops_per_s": {"float32": 2e16, "bfloat16": 1e14}},
            "flops_per_s.float32: 2e.16 per second, where any hardware has 1e.06 to 1e.16",
        ),
        ({"bytes_per_s": 3e13}, "bytes_per_s: 3e.13 per second, where any hardware has 1e.06 to 2e.13"),
        ({"bytes_per_s": 0}, "bytes_per_s: 0 per second"),
        ({"bytes_per_s": 5e-324}, "bytes_per_s: 4.9e-324 per second"),
        ({"copied_bytes_per_s": 1e-300}, "copied_bytes_per_s: 1e-300 per second"),
        ({"copied_bytes_per_s": 1e14}, "copied_bytes_per_s: 1e.14 per second"),
        ({"log_sds": {"launches": 0.1, "memory": 1, "copy": 1}}, "log_sds: bfloat16 is missing"),
        ({"log_sds": {"launches": 99}}, r"log_sds(\[...\])?.*expected `float` <= 10"),
        ({"batch_sizes": [1]}, "batch_sizes: "),
        ({"batch_sizes": [0, 4]}, "batch_sizes"),
        ({"device": ""}, "device: ''"),
        ({"high_log": "wide"}, "high_log: 'wide': expected `float`, got `str`"),
        ({"low_log": 0.3}, "low_log: 0.3: expected `float` <= 0"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_one_line(tmp_path, changes, line):
    with pytest.raises(RunFileError) as caught:
        read_card(written(tmp_path, **changes))
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(tmp_path / "card.json"))
    assert re.search(line, text), text


def test_newer_schema(tmp_path):
    with pytest.raises(NewerSchemaError):
        read_card(written(tmp_path, schema=7))


@pytest.mark.parametrize(
    ("text", "problem"), [("", "is empty"), ('{"kind', "is cut off"), ("[]", "is not a card")]
)
def test_damaged(tmp_path, text, problem):
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(RunFileError, match=f"{problem}.*make one with `breakeven card"):
        read_card(str(path))


def test_texts_are_one_line(tmp_path):
    found = read_card(written(tmp_path, name="box\n::error::", hardware="EPYC\x1b[2J"))
    assert "\n" not in found.name
    assert "\x1b" not in found.hardware


def test_shipped_cards_are_read():
    """Each has the name of its file."""
    for name, path in shipped_cards().items():
        assert read_card(str(path)).name == name
