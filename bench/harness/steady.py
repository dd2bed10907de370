"""Whether a training step costs the same in its first and its last rounds, by optimizer, and what that costs.

2,000 rounds of one case on one batch: with the returns to the state after the first step, as breakeven times
it, and without them: the batch is then learned by heart, and numbers close to zero slow down a CPU.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from gpu_tables import markdown
from shared import options, versions, write
from torch import nn

from breakeven.hardware.devices import Cpu
from breakeven.measure import trainer as trainer_module
from breakeven.measure.timing import CLOCK, Clock, Round, time_round
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Workload, build, mlp
from breakeven.phases import Phase
from breakeven.stats.intervals import ratio_of_draws, resampled_medians

ROUNDS = 2000

OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.01),
    "momentum": partial(torch.optim.SGD, lr=0.01, momentum=0.9),
    "adam": torch.optim.Adam,
    "adam, fused": partial(torch.optim.Adam, fused=True),
}


def hinge() -> Workload:
    """Return a perceptron whose loss becomes exactly zero."""
    hidden = [nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)]
    return Workload(
        model=nn.Sequential(*hidden),
        loss=nn.MultiMarginLoss(),
        optimizer=torch.optim.Adam,
        inputs=torch.randn(4, 32),
        targets=torch.randint(10, (4,)),
    )


def with_optimizer(optimizer: Any) -> Workload:
    """Return the perceptron of width 256 on a single sample."""
    plain = mlp(1, width=256)
    return Workload(plain.model, plain.loss, optimizer, plain.inputs, plain.targets)


WORKLOADS: dict[str, Callable[[], Workload]] = {
    **{name: partial(with_optimizer, optimizer) for name, optimizer in OPTIMIZERS.items()},
    "hinge loss, adam": hinge,
}


def timed(workload: Workload, rounds: int, max_steps: float, clock: Clock = CLOCK) -> dict[str, Any]:
    """Return the rounds of a step, in seconds, and the share of the wall time that returning took."""
    device, spent = Cpu(1), [0.0]
    trainer_module.MAX_STEPS = max_steps
    with device.active():
        trainer = Trainer(workload, device)
        trainer.move_model()
        trainer.start()
        restore = trainer.restore

        def counted() -> None:
            start = clock()
            restore()
            spent[0] += clock() - start

        trainer.restore = counted  # type: ignore[method-assign]
        round_ = Round(Phase.TRAIN, trainer)
        gc.collect()
        start = clock()
        seconds = [time_round(round_, clock).latency_s for _ in range(rounds)]
        return {"seconds": seconds, "returning": spent[0] / (clock() - start)}


def last_over_first(seconds: Sequence[float]) -> dict[str, float | None]:
    """Return the ratio of the medians of the last and of the first fifth, with its 95% interval."""
    fifth = len(seconds) // 5
    first, last = seconds[:fifth], seconds[-fifth:]
    rng = np.random.default_rng(0)
    draws = [resampled_medians(part, rng) for part in (last, first)]
    ratio = ratio_of_draws(median(last), median(first), *draws)
    return {"ratio": median(last) / median(first), "low": ratio.low, "high": ratio.high}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every workload and write the results."""
    given = parser().parse_args(arguments)
    usual, rows = trainer_module.MAX_STEPS, []
    for name, recipe in WORKLOADS.items():
        found: dict[str, Any] = {"name": name}
        for kind, max_steps in (("returning", usual), ("without", float("inf"))):
            one = timed(build(recipe), given.rounds, max_steps)
            found[kind] = {
                **last_over_first(one["seconds"]),
                "median_s": median(one["seconds"]),
                "share_of_time": one["returning"],
            }
        rows.append(found)
        if not given.quiet:
            print(f"steady: {name}", file=sys.stderr)
    trainer_module.MAX_STEPS = usual
    result = {"rounds": given.rounds, "versions": versions("breakeven", "torch"), "cells": rows}
    whole = write(given.output / "steady.json", result)
    (given.output / "steady.md").write_text(steady_section(whole), encoding="utf-8")
    return 0


def steady_section(result: dict[str, Any]) -> str:
    """Return the results as a section of markdown."""
    rows = [
        [cell["name"], *(_ratio(cell[kind]) for kind in ("returning", "without")),
         f"{cell['returning']['share_of_time']:.2%}"]
        for cell in result["cells"]
    ]  # fmt: skip
    machine = f"{result['machine']['cpu']}, one thread; torch {result['versions']['torch']}; {result['date']}"
    return "\n\n".join([
        "## The last rounds against the first",
        f"The median of the last fifth of {result['rounds']:,} training steps on one batch over that of the "
        "first fifth, with its 95% interval: as breakeven times them, and without the returns to the state "
        "after the first step. Written by `python bench/harness/steady.py`.",
        f"{machine}.",
        markdown(["workload", "last / first", "without returning", "time for returning"], rows),
    ]) + "\n"  # fmt: skip


def _ratio(found: dict[str, float]) -> str:
    return f"{found['ratio']:.3f} [{found['low']:.3f}-{found['high']:.3f}]"


def parser() -> Any:
    """Return the command line."""
    made = options(__doc__, epilog="example:\n  OMP_WAIT_POLICY=passive python bench/harness/steady.py")
    made.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="per workload (%(default)s)")
    made.add_argument("-q", "--quiet", action="store_true", help="no progress")
    return made


if __name__ == "__main__":
    sys.exit(main())
