"""The examples in docstrings run and give what they show."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import breakeven

PACKAGE = Path(breakeven.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(import_module(f"breakeven.{name}"))
    assert result.attempted
    assert not result.failed
