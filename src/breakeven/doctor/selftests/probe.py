"""The test file of `real_clock`: pytest-benchmark times an empty phase and a spin of known length.

Pytest never collects a file of this name in a user's run. Each phase is timed up to 3 times, until no other
process took the core. All attempts are written to the file that ``BREAKEVEN_PROBE`` names, as ``{"empty":
[attempt, ...], "spin": [...]}``; an attempt is ``{"latencies_s", "true_s", "lost"}``: the timed and the true
seconds of each round, and the share of time in which this thread did not run.
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

MAX_ATTEMPTS = 3
CONTENDED = 0.02
"""An attempt that lost at least this share of its time is repeated."""

SPIN_S = 0.010
ROUNDS = {"empty": 2000, "spin": 300}
"""3 s of spins: if the host is slow for 1 s, which cannot be seen from here, the median stays right."""

_attempts: dict[str, list[dict[str, Any]]] = {name: [] for name in ROUNDS}


def _phase(name: str, true_s: list[float]) -> Phase:
    """Return a phase that does nothing, or one that spins until a deadline and records how long it took."""

    def spin(_: Trainer) -> None:
        start = CLOCK()
        deadline = start + SPIN_S
        now = start
        while now < deadline:
            now = CLOCK()
        true_s.append(now - start)

    parts: tuple[tuple[str, Callable[[Trainer], None]], ...] = (("spin", spin),) if name == "spin" else ()
    return Phase(name, parts)


@pytest.mark.parametrize("attempt", range(MAX_ATTEMPTS))
@pytest.mark.parametrize("name", ROUNDS)
def test_phase(benchmark: Any, name: str, attempt: int) -> None:
    """Time one phase, unless the attempt before was not disturbed."""
    if attempt and _attempts[name][-1]["lost"] < CONTENDED:
        pytest.skip("the attempt before was not disturbed")
    true_s: list[float] = []
    trainer = Trainer(mlp(2, width=4), Cpu())
    round_ = Round(_phase(name, true_s), trainer)
    with collection_off():
        wall, ran = CLOCK(), time.thread_time()
        benchmark.pedantic(
            round_.run, setup=round_.setup, rounds=ROUNDS[name], warmup_rounds=10, iterations=1
        )
        lost = 1 - (time.thread_time() - ran) / (CLOCK() - wall)
    latencies = list(benchmark.stats.stats.data)
    _attempts[name].append({"latencies_s": latencies, "true_s": true_s[-len(latencies) :], "lost": lost})
    Path(os.environ["BREAKEVEN_PROBE"]).write_text(json.dumps(_attempts), encoding="utf-8")
