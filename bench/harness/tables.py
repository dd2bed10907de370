"""Turns results into markdown: the tables of ``results/harness/README.md``, and the short front-page one.

Reads only ``<what>.json``, so that the tables can be rebuilt without measuring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpu_tables import markdown

OURS = "breakeven"
RIVAL = "pytest-benchmark precision"
AIM = 3.0
HOLDS = 0.93
"""From this coverage on a claimed 95% counts as held: the method's own figure, for every tool alike."""

Json = Mapping[str, Any]

HOW = """\
- **bias**: median of center / true value - 1, relative to the true mean or the true median, whichever the
  tool estimates. **true ±**: 95% of its centers are within that of the true value. **claimed ±**: half the
  width of its own interval (median). **covers**: share of the intervals that contain the true value, with
  Wilson's 95% interval; 95% is right.
- **rounds**: timed calls behind one reading (median). **s/reading**: mean wall seconds of one reading.
- **s to true ±2%**: s/reading x max(1, (true ± / 2%)²), since averaging k readings narrows them by √k, and
  no tool can be used for less than one reading; *never* where the mean error is surely beyond 2%,
  which averaging does not repair. **ratio**: that, divided by breakeven's; above 1 breakeven needs less wall
  time. In brackets: 95% bootstrap interval over the readings.
- **holds its 95%**: covers at least 93% on each noisy cell, for every tool alike.
- pytest-benchmark's default mode and pyperf claim no interval: theirs, in *italics*, is the one that a user
  would derive from the mean and stddev they print. A dash: nothing is claimed.
- pyperf is not run itself: its method is (20 processes x 1 warm-up + 3 values of at least 100 ms). Starting
  the processes is not charged, nor is any tool's own arithmetic on the simulated clock.
- `adaptive_autorange` runs on the device's threads instead of its default of one.
- breakeven is timed without what it does once per model (comparing the loss with the CPU's, the canary)."""


OTHERS = """\
- `speed.json`: what breakeven itself costs, made by `python bench/harness/speed.py`.
- `regression.json`: how often `breakeven compare` and `ab` are wrong, on seeded suites and on recorded noise,
  and how long two files of 45 MB take beside pytest-benchmark's comparison, made by
  `python bench/harness/regression.py`.
- `history.json`: how often `breakeven history` raises a false alarm, whether it finds what changed and where,
  and what a check of 1,000 runs x 400 cases x 100 rounds takes, made by `python bench/harness/history.py`.
- `processes.json`: whether intervals hold from process to process, with the median of every process, made by
  `python bench/harness/processes.py`; its `--from FILE` analyzes a run file again.
- `durations.json`: how long sweeps take in five processes, replayed from recorded runs on a virtual clock by
  `python bench/harness/durations.py`.
- `coordinator.json`: what measuring in several processes costs beside the cases, made by
  `python bench/harness/coordinator.py`.
- `pages.json`: what a report takes before and after a change, made by
  `python bench/harness/pages.py --before PYTHON`.
- `merges.json`: what `breakeven merge` takes for 200 run files of a megabyte, made by
  `python bench/harness/merges.py`.
- `fleet.json`: what `breakeven fleet` takes beside its runs on three nodes of Ray, and what 1,000 simulated
  nodes of 400 cases take, made by `python bench/harness/fleet.py`.
- `kills.json`: whether runs that are killed at random moments lose a finished case, made by
  `python bench/harness/kills.py`.
- `prediction.json`, `prediction.md`: how far predicted training steps are from the measured ones of the
  committed runs, with `prediction-counts.json`, what their steps do, made by
  `python bench/harness/predictions.py`.
- `hard.json`, `hard.md`: hard use in figures, before (0.1.0) and after: fuzzed inputs, memory against size,
  kills of the commands, and a run of 10,000 cases in five processes, made by
  `python bench/harness/hard.py --before PYTHON`."""


def tables(results: Sequence[Json]) -> str:
    """Return the page: the goal and whether it is reached, then a table for each cell of each grid."""
    parts = [
        "# A benchmark of the benchmark",
        "breakeven against its peers: the same functions, timed side by side in one run. Written by "
        "`python bench/harness/compare.py`; all figures and intervals are in the JSON files beside it.",
    ]
    for result in results:
        parts += [f"## {result['title']}", result["about"], machine_line(result)]
        parts += ["\n".join(verdict(result))]
        for cell in result["cells"]:
            parts += [f"### {cell['name']}", f"{cell['what']}. n = {max_readings(cell)}.", cell_table(cell)]
    return "\n\n".join([*parts, "## How to read it", HOW, "## The other files", OTHERS]) + "\n"


def machine_line(result: Json) -> str:
    """Return one line: machine, versions, date."""
    facts = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    state = ""
    if result["load"] is not None:
        policy = facts["omp_wait_policy"] or "unset"
        state = f", OMP_WAIT_POLICY {policy}, load {result['load']:.1f} before"
    return f"{facts['cpu']}, {facts['threads']} usable threads{state}; {versions}; {result['date']}."


def max_readings(cell: Json) -> int:
    """Return the largest number of readings of a tool in a cell."""
    return max(figures["n"] for figures in cell["tools"].values())


def verdict(result: Json) -> list[str]:
    """Return a list item for each part of the goal: where it is reached, missed or undecided."""
    noisy = [cell for cell in result["cells"] if cell["noisy"]]
    cheaper = {word: _against_ours(result["cells"], word) for word in ("less", "undecided")}
    slower = (
        f"- {_listed('Needing less wall time than breakeven:', cheaper['less'])}; "
        f"{_listed('undecided:', cheaper['undecided'])}."
    )
    if not noisy:
        return ["- No cell was noisy.", slower]
    aims: dict[str, list[str]] = {"reached": [], "missed": [], "undecided": []}
    for cell in noisy:
        aims[_aim(cell["tools"][RIVAL])].append(cell["name"])
    lines = [
        f"- At least {AIM:.0f}x less wall time to a true ±2% than pytest-benchmark's precision mode, on "
        f"noisy cells: {'; '.join(_listed(f'{word} on', names) for word, names in aims.items())}."
    ]
    for tool in noisy[0]["tools"]:
        lines += _coverage_line(tool, noisy)
    return [*lines, slower]


def _against_ours(cells: Sequence[Json], word: str) -> list[str]:
    """Return the tools that need ``less`` wall time than breakeven, or may (``undecided``)."""
    return [
        f"{tool} on {cell['name']} ({ratio(figures)})"
        for cell in cells
        for tool, figures in cell["tools"].items()
        if tool != OURS and figures["ratio"] is not None and _side(figures, 1.0) == word
    ]


def _side(figures: Json, border: float) -> str:
    """Return whether a ratio is shown to be ``less`` or ``more`` than a limit, or is ``undecided``."""
    low, high = figures["ratio_interval"]
    return "less" if high < border else "more" if low >= border else "undecided"


def _aim(rival: Json) -> str:
    if rival["to_target_s"] is None:
        return "reached"
    if rival["ratio"] is None:
        return "missed"
    return {"more": "reached", "less": "missed"}.get(_side(rival, AIM), "undecided")


def _coverage_line(tool: str, noisy: Sequence[Json]) -> list[str]:
    found = {cell["name"]: cell["tools"][tool]["coverage"] for cell in noisy}
    if any(share is None for share in found.values()):
        return []
    least = min(found, key=lambda name: found[name])
    word = "holds its 95%" if found[least] >= HOLDS else "does not hold its 95%"
    figures = next(cell["tools"][tool] for cell in noisy if cell["name"] == least)
    derived = "" if _is_claimed(figures) else " (derived)"
    return [f"- {tool}{derived} {word} on noisy cells: at worst {_coverage(figures)}, on {least}."]


def cell_table(cell: Json) -> str:
    """Return a cell's table, one row per tool."""
    head = "tool, of, bias, true ±, claimed ±, covers, rounds, s/reading, s to true ±2%, ratio"
    usual = max_readings(cell)
    rows = [_row(name, figures, usual) for name, figures in cell["tools"].items()]
    return markdown(head.split(", "), rows, left=2)


def _row(name: str, figures: Json, usual: int) -> list[str]:
    width = figures["claimed_half_width"]
    n = f" (n = {figures['n']})" if figures["n"] < usual else ""
    return [
        f"**{name}**" if name == OURS else name + n,
        figures["estimand"],
        f"{figures['bias']:+.2%}",
        f"{figures['true_half_width']:.2%}",
        _slanted("-" if width is None else f"{width:.2%}", figures),
        _slanted(_coverage(figures), figures),
        f"{figures['rounds']:,}",
        f"{figures['wall_s']:.3g}",
        seconds(figures["to_target_s"]),
        ratio(figures),
    ]


def _slanted(text: str, figures: Json) -> str:
    return text if _is_claimed(figures) or text == "-" else f"*{text}*"


def _is_claimed(figures: Json) -> bool:
    return bool(figures["interval"].startswith("claimed"))


def _coverage(figures: Json) -> str:
    if figures["coverage"] is None:
        return "-"
    low, high = figures["coverage_interval"]
    return f"{figures['coverage']:.3f} [{low:.3f}-{high:.3f}]"


def seconds(value: float | None) -> str:
    """Return the seconds to a true 2%."""
    return "never" if value is None else f"{value:.3g}"


def ratio(figures: Json) -> str:
    """Return the ratio to breakeven with its interval."""
    if figures["to_target_s"] is None:
        return "∞"
    if figures["ratio"] is None:
        return "-"
    if figures["ratio_interval"] is None:
        return "1"
    low, high = figures["ratio_interval"]
    return f"{times(figures['ratio'])}x [{times(low)}-{times(high)}]"


def times(value: float) -> str:
    """Return a ratio in two digits, without an exponent."""
    return f"{value:.0f}" if value >= 9.5 else f"{value:.2g}"


def short_table(result: Json) -> str:
    """Return at most ten lines for the front page: seconds to a true 2%, and the coverage of the interval."""
    names = (OURS, RIVAL, "pytest-benchmark", "torch adaptive_autorange", "pyperf's method")
    rows = [[cell["name"], *(_brief(cell["tools"][name]) for name in names)] for cell in result["cells"]]
    return markdown(["noise", *names], rows) + "\n"


def _brief(figures: Json) -> str:
    covers, value = figures["coverage"], figures["to_target_s"]
    shown = "" if covers is None else f", {_slanted(f'{covers:.0%}', figures)}"
    return "never" + shown if value is None else f"{value:{'.2g' if value < 99.5 else '.0f'}} s{shown}"


def _listed(word: str, names: Sequence[str]) -> str:
    return f"{word} {', '.join(names)}" if names else f"{word} none"
