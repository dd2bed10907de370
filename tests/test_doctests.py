"""The examples in docstrings do what they show."""

import doctest
from importlib import import_module

import pytest

MODULES = [
    "cases",
    "analysing.bound",
    "analysing.bound_words",
    "analysing.break_even",
    "analysing.efficiency",
    "analysing.history.accepted",
    "analysing.history.newest",
    "analysing.history.noise",
    "analysing.history.store",
    "analysing.history.students_t",
    "analysing.history.telling",
    "analysing.intervals",
    "analysing.naming",
    "analysing.moderation",
    "analysing.parsing",
    "analysing.regression",
    "analysing.speedup",
    "analysing.words",
    "commands.compare",
    "reporting.escaping",
    "reporting.figures.models",
    "reporting.figures.scales",
    "reporting.figures.speedup_map",
    "reporting.figures.style",
    "reporting.figures.wording",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name):
    result = doctest.testmod(import_module(f"breakeven.{name}"))
    assert result.attempted
    assert not result.failed
