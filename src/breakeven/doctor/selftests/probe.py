"""The test file of `real_clock`: pytest-benchmark times an empty phase and a spin of known length.

pytest does not collect a file with this name in a user's run. Each phase is timed up to 3 times, until no
other process takes the core. All attempts are written to the file that ``BREAKEVEN_PROBE`` names, as
``{"empty": [attempt, ...], "spin": [...]}``; an attempt is ``{"latencies_s", "true_s", "lost"}``: the timed
and the true seconds of each round, and the share of time in which this thread did not run.
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

MAX_ATTEMPTS = 3
CONTENDED = 0.02
"""An attempt that lost at least this share of its time is repeated."""

SPIN_S = 0.010
ROUNDS = {"empty": 2000, "spin": 300}
"""3 s of spins: the median stays right even if the host is slow for 1 s, which cannot be detected here."""

_attempts: dict[str, list[dict[str, Any]]] = {name: [] for name in ROUNDS}


class EmptyTrainer(Trainer):
    """A trainer whose transfer does nothing."""

    def __init__(self) -> None:
        super().__init__(mlp(2, width=4), Cpu())
        self.true_s: list[float] = []

    def transfer(self) -> None:
        """Do nothing."""


class SpinningTrainer(EmptyTrainer):
    """A trainer whose transfer waits for a deadline; `true_s` has the length of each wait, in seconds."""

    def transfer(self) -> None:
        """Read the clock until the deadline has passed."""
        start = now = CLOCK()
        while now < start + SPIN_S:
            now = CLOCK()
        self.true_s.append(now - start)


@pytest.mark.parametrize("attempt", range(MAX_ATTEMPTS))
@pytest.mark.parametrize("name", ROUNDS)
def test_phase(benchmark: Any, name: str, attempt: int) -> None:
    """Time one phase, unless the previous attempt was undisturbed."""
    if attempt and _attempts[name][-1]["lost"] < CONTENDED:
        pytest.skip("the previous attempt was undisturbed")
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
        {"latencies_s": latencies, "true_s": trainer.true_s[-len(latencies) :], "lost": lost}
    )
    Path(os.environ["BREAKEVEN_PROBE"]).write_text(json.dumps(_attempts), encoding="utf-8")
