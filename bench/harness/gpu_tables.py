"""Turns ``gpu.json`` into a markdown table of a GPU's timers. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

HOW = """\
- **device events**: recorded at the borders of the step's parts, in rounds of their own, from an idle device
  to an idle device; gaps in which it waits for the host count. Every figure is the median of the
  repetitions, with its 95% interval, and in round brackets the ratio to the device events.
- **breakeven**: wall time from idle to idle, a round at a time. It holds what the host needs before the first
  and after the last piece of work, so it is a little longer than the events.
- **torch.utils.benchmark**: `Timer(...).blocked_autorange()`. It waits for the device once a block and not
  once a call, so a step's queueing hides behind the step before it: a rate, not a latency.
- **triton do_bench**: `triton.testing.do_bench(step, return_mode="median")`. Events around each call, with a
  cold cache: it overwrites the L2 cache before each. Meanwhile the host queues the call, so queueing is not
  measured.
- **bare loop**: the clock before and after a call, without synchronizing. It reads how long queueing takes,
  and the copy of the batch from pageable memory, which waits by itself."""


def gpu_section(result: Json) -> str:
    """Return the section of the page."""
    peers = list(dict.fromkeys(name for cell in result["cells"] for name in cell["readings"]))
    table = markdown(
        ["width x batch", "device events", *peers], [_row(cell, peers) for cell in result["cells"]]
    )
    missing = [f"- {name} is missing: {reason}." for name, reason in result["missing"].items()]
    if not result.get("complete", True):
        missing.append("- Incomplete: the run was interrupted after these shapes.")
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    about = (
        "Whole training steps of a perceptron, host-to-device copy included; the timers took turns, "
        f"another one first each time, {result['repetitions']} repetitions. Written by "
        f"`python bench/harness/gpu.py --device {result['device']}`."
    )
    where = f"{result['device_name']}; {versions}; {result['date']}."
    parts = ["## On a GPU: what each timer reads", about, where, table]
    return "\n\n".join([*parts, *(["\n".join(missing)] if missing else []), HOW]) + "\n"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a table whose first `left` columns are text and the others numbers."""
    ruler = "|---" * left + "|---:" * (len(head) - left) + "|"
    first, *others = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return "\n".join([first, ruler, *others])


def _row(cell: Json, peers: list[str]) -> list[str]:
    truth_s, intervals = cell["truth_s"], cell["intervals"]
    words = [cell["name"], _milliseconds(truth_s, intervals.get("truth"))]
    for name in peers:
        seconds = cell["readings"].get(name)
        reading = "-" if seconds is None else _milliseconds(seconds, intervals.get(name))
        words.append(reading if seconds is None else f"{reading} ({seconds / truth_s:.2f}x)")
    return words


def _milliseconds(seconds: float, interval: list[float] | None) -> str:
    between = "" if interval is None else f" [{1e3 * interval[0]:.3g}–{1e3 * interval[1]:.3g}]"
    return f"{1e3 * seconds:.3g} ms{between}"
