"""What `realtime` runs in a pytest of its own: an empty round and a deadline spin, by pytest-benchmark.

Not part of any user's run: pytest never collects a file of this name by itself. Each truth is timed up to
three times, as long as another process was seen to take the core meanwhile. All attempts are written to the
file that ``BREAKEVEN_PROBE`` names, as ``{"empty": [attempt, ...], "spin": [...]}``; an attempt is
``{"latencies_s", "truths_s", "lost"}``, the last the share of the time in which this thread did not run.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from breakeven.hardware.devices import Cpu
from breakeven.measure.phases import Phase
from breakeven.measure.timing import CLOCK, Round, collection_off
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import mlp

ATTEMPTS = 3
CONTENDED = 0.02
"""From this share of lost time on, an attempt is repeated."""

SPIN_S = 0.010
ROUNDS = {"empty": 2000, "spin": 300}
"""Three seconds of spins: a host that is slow for one second, which nothing in here can see, is no median."""

_attempts: dict[str, list[dict[str, Any]]] = {name: [] for name in ROUNDS}


def _phase(name: str, truths: list[float]) -> Phase:
    """Return a phase that does nothing, or one that waits for a deadline and notes when it ended."""

    def spin(_: Trainer) -> None:
        start = CLOCK()
        deadline = start + SPIN_S
        now = start
        while now < deadline:
            now = CLOCK()
        truths.append(now - start)

    parts: tuple[tuple[str, Callable[[Trainer], None]], ...] = (("spin", spin),) if name == "spin" else ()
    return Phase(name, parts)


@pytest.mark.parametrize("attempt", range(ATTEMPTS))
@pytest.mark.parametrize("name", ROUNDS)
def test_truth(benchmark: Any, name: str, attempt: int) -> None:
    """Time one truth, unless an earlier attempt was left alone."""
    if attempt and _attempts[name][-1]["lost"] < CONTENDED:
        pytest.skip("the attempt before was not disturbed")
    truths: list[float] = []
    trainer = Trainer(mlp(2, width=4), Cpu())
    round_ = Round(_phase(name, truths), trainer)
    with collection_off():
        wall, ran = CLOCK(), time.thread_time()
        benchmark.pedantic(
            round_.run, setup=round_.setup, rounds=ROUNDS[name], warmup_rounds=10, iterations=1
        )
        lost = 1 - (time.thread_time() - ran) / (CLOCK() - wall)
    latencies = list(benchmark.stats.stats.data)
    _attempts[name].append({"latencies_s": latencies, "truths_s": truths[-len(latencies) :], "lost": lost})
    Path(os.environ["BREAKEVEN_PROBE"]).write_text(json.dumps(_attempts), encoding="utf-8")
