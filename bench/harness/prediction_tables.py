"""Turns ``prediction.json`` into a markdown page. Predicts nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gpu_tables import markdown

from breakeven.predict.formula import Z90

Json = Mapping[str, Any]

HEADS = (
    "predicted; cells; median error; 90% within; band x/:; coverage; right side of 1x; firm; firm and wrong"
)
ABOUT = """\
Written by `python bench/harness/predictions.py` from the committed run files. The steps of the benchmarks are
counted without a GPU (`prediction-counts.json`), and no card was fitted to what it predicts here. The band is
of 90%, and *coverage* is the share of the measured steps in it. *Right side of 1x*: the predicted and the
measured step are on one side of the CPU's. *Firm*: the whole band of the speedup, which has the CPU's own
interval too, is on one side of 1x."""
PERFECT = """\
Even a perfect prediction would miss: on the H200 a process differs from the median of the others of its run
by {} in the median, and by up to {} in 90% of the cells. One run differs from another by more: the band must
hold that, so it holds more than 90% of the models that were left out of the same run."""
CARD_HEADS = "card; us per launch; TFLOP/s; memory TB/s; copy GB/s; band x/: in a run; from run to run"
CARDS = """\
Each rate is known within the factor in brackets (90%): 12 is what the fit assumes of a rate that limits no
measured step. Launches take the host's time, whatever the GPU: that of these two hosts, Xeons of the same
clock, is nearly the same. Other hosts were not measured."""
OTHER = """\
Median error and coverage: of left-out models on the H100 and on the H200, and of the variants by the H100's
card. The constants were chosen on the H100."""


def page(result: Json) -> str:
    """Return the page of the results."""
    perfect = result["perfect"]
    rows = [[name, *_cells(one)] for name, one in result["figures"].items()]
    cards = [_card_row(name, card) for name, card in result["cards"].items()]
    other = [[name, *map(_brief, found)] for name, found in result["alternatives"].items()]
    parts = [
        "# How far predictions are from measured training steps",
        ABOUT,
        markdown(HEADS.split("; "), rows, left=1),
        PERFECT.format(*map(_percent, (perfect["median_error"], perfect["error_of_90"]))),
        "## The cards",
        markdown(CARD_HEADS.split("; "), cards, left=1),
        CARDS,
        "## What else the formula could be",
        OTHER,
        markdown(["formula", "H100", "H200", "variants"], other, left=1),
    ]
    return "\n\n".join(parts) + "\n"


def _cells(one: Json) -> list[str]:
    return [
        str(one["cells"]), _percent(one["median_error"]), _percent(one["error_of_90"]), f"{one['band']:.2f}",
        f"{one['coverage']:.2f}", f"{one['right_side']} of {one['with_cpu']}",
        f"{one['firm']} of {one['with_cpu']}", str(len(one["wrong"])),
    ]  # fmt: skip


def _brief(one: Json) -> str:
    wrong = f", {len(one['wrong'])} wrong" if one["wrong"] else ""
    return f"{_percent(one['median_error'])}, {one['coverage']:.2f}{wrong}"


def _card_row(name: str, card: Json) -> list[str]:
    rates = ", ".join(
        f"{form} {rate / 1e12:.0f}{_within(card, form)}" for form, rate in card["flops_per_s"].items()
    )
    return [
        name, f"{card['launch_s'] * 1e6:.0f}{_within(card, 'launches')}", rates,
        f"{card['bytes_per_s'] / 1e12:.1f}{_within(card, 'memory')}",
        f"{card['copied_bytes_per_s'] / 1e9:.1f}{_within(card, 'copy')}",
        f"{math.exp(card['high_log']):.2f}", f"{math.exp(card['process_log_sd']) - 1:.0%}",
    ]  # fmt: skip


def _within(card: Json, name: str) -> str:
    return f" (x/: {math.exp(Z90 * card['log_sds'][name]):.2g})"


def _percent(factor: float) -> str:
    return f"{factor - 1:.0%}"
