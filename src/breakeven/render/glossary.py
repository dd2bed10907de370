"""The words that every output uses, each defined once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

GLOSSARY: Mapping[str, str] = MappingProxyType(
    {
        "model": "A workload (a benchmark function) with one value for each of its axes, as mlp, width 64.",
        "axes": "The parameters of a workload other than the batch size, such as width or dtype.",
        "cell": "A model at one batch size.",
        "case": "A cell in one phase on one device: what is timed.",
        "machine class": "The hardware, driver, torch version and numeric settings of a run: runs of one "
        "class are repetitions of each other.",
        "canary": "A reference task that never changes, timed at the start, middle and end of a process: if "
        "its time changes, the machine changed.",
        "flag": "A mark on a case that was disturbed, or is less precise than asked for.",
    }
)
"""A definition in one sentence of each word, by the order in which they build on each other."""
