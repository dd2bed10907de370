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
from pathlib import Path
from typing import Any

import pytest

from breakeven.collector import collection_off
from breakeven.hardware.devices import Cpu
from breakeven.measure.timing import CLOCK, Round
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import mlp
from breakeven.phases import Phase

ATTEMPTS = 3
CONTENDED = 0.02
"""From this share of lost time on, an attempt is repeated."""

SPIN_S = 0.010
ROUNDS = {"empty": 2000, "spin": 300}
"""Three seconds of spins: a host that is slow for one second, which nothing in here can see, is no median."""

_attempts: dict[str, list[dict[str, Any]]] = {name: [] for name in ROUNDS}


class EmptyTrainer(Trainer):
    """A trainer whose transfer does nothing."""

    def __init__(self) -> None:
        super().__init__(mlp(2, width=4), Cpu())
        self.truths: list[float] = []

    def transfer(self) -> None:
        """Do nothing."""


class SpinningTrainer(EmptyTrainer):
    """A trainer whose transfer waits for a deadline; `truths` holds how long it really took."""

    def transfer(self) -> None:
        """Read the clock until the deadline has passed."""
        start = CLOCK()
        deadline = start + SPIN_S
        now = start
        while now < deadline:
            now = CLOCK()
        self.truths.append(now - start)


@pytest.mark.parametrize("attempt", range(ATTEMPTS))
@pytest.mark.parametrize("name", ROUNDS)
def test_truth(benchmark: Any, name: str, attempt: int) -> None:
    """Time one truth, unless an earlier attempt was left alone."""
    if attempt and _attempts[name][-1]["lost"] < CONTENDED:
        pytest.skip("the attempt before was not disturbed")
    trainer = SpinningTrainer() if name == "spin" else EmptyTrainer()
    round_ = Round(Phase.TRANSFER, trainer)
    with collection_off(collect_first=True):
        wall, ran = CLOCK(), time.thread_time()
        benchmark.pedantic(
            round_.run, setup=round_.setup, rounds=ROUNDS[name], warmup_rounds=10, iterations=1
        )
        lost = 1 - (time.thread_time() - ran) / (CLOCK() - wall)
    latencies = list(benchmark.stats.stats.data)
    _attempts[name].append(
        {"latencies_s": latencies, "truths_s": trainer.truths[-len(latencies) :], "lost": lost}
    )
    Path(os.environ["BREAKEVEN_PROBE"]).write_text(json.dumps(_attempts), encoding="utf-8")
