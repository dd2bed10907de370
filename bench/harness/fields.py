"""What each field of a `Workload` costs in training, compared with a loop of the same step written by hand.

Both train the same weights in one process, in blocks that take turns (A B B A). The ratio of their times is
1 where a field measures the loop and not its wrapper.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from statistics import median
from typing import Any

import torch
from gpu_tables import markdown
from loops import FIELDS, SIZES, Field, Size
from shared import Json, options, versions, write

from breakeven.collector import collection_off
from breakeven.hardware.devices import Cpu
from breakeven.measure.cuda_graphs import make_trainer
from breakeven.measure.settings import seed_all
from breakeven.measure.state import SavedState
from breakeven.measure.timing import CLOCK, Clock
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Workload, build
from breakeven.phases import Phase
from breakeven.stats.intervals import median_interval

QUADS, BLOCK_S, COPIES = 200, 0.005, 10
BOUND = 0.02
"""The relative difference from a loop written by hand that a field may have."""

Block = Callable[[int], float]
"""Does that many steps from the same state, and returns the seconds of one of them."""


class ByHand:
    """The loop of a field, with a model of its own."""

    def __init__(self, field: Field, workload: Workload, clock: Clock) -> None:
        self._workload, self._clock = workload, clock
        self.model = copy.deepcopy(workload.model)
        self.loop = field.loop(self.model)
        self._phase = field.phase
        seed_all()
        self.loop.train(self._batches(0, 1))
        self._saved = SavedState(*self.loop.state)
        self._first = 1

    def begin_at(self, trainer: Trainer) -> None:
        """Take over the state before the one step that a trainer repeats."""
        trainer.restore()
        self.model.load_state_dict(trainer.model.state_dict())
        self.loop.state[1].load_state_dict(trainer.optimizer.state_dict())
        self._saved = SavedState(*self.loop.state)
        self._first = 0

    def _batches(self, first: int, steps: int) -> list[Any]:
        passes = self._workload.accumulate
        taken = cycle(self._workload.host_batches)
        return list(islice(taken, first * passes, (first + steps) * passes))

    def block(self, steps: int) -> float:
        """Return to the first step, do one more, and time the next ones."""
        self._saved.restore()
        for parameter in self.model.parameters():
            parameter.grad = None
        seed_all()
        self.loop.train(self._batches(1, self._first))
        loader = self._loader(steps)
        start = self._clock()
        self.loop.train(loader)
        return (self._clock() - start) / steps

    def _loader(self, steps: int) -> Any:
        if not self._phase.needs_loader:
            return self._batches(2, steps)
        return islice(iter(self._workload.loader()), steps)


class Ours:
    """The same step, as breakeven times it."""

    def __init__(self, field: Field, workload: Workload, clock: Clock) -> None:
        self._phase, self._clock = field.phase, clock
        self.trainer = make_trainer(workload, Cpu(1))
        self.trainer.move_model()
        self.trainer.start()
        if self._phase.takes_steps:
            # The second time ends the first step, and keeps the state after it.
            for _ in range(2):
                self.trainer.prepare(Phase.TRAIN)
                self.trainer.run(Phase.TRAIN)

    def block(self, steps: int) -> float:
        """Return to the first step, do one more, and time the next ones."""
        if self._phase.takes_steps:  # inference has no state, and its next round checks the one before
            self.trainer.restore()
        self.trainer.prepare(self._phase, steps)
        start = self._clock()
        self.trainer.run(self._phase, steps)
        return (self._clock() - start) / steps


def same_weights(ours: Ours, by_hand: ByHand) -> bool:
    """Return whether both have trained the same weights, bit by bit."""
    return all(map(torch.equal, ours.trainer.trained(), by_hand.model.parameters()))


def ratios(ours: Block, by_hand: Block, steps: int, quads: int) -> list[tuple[float, float]]:
    """Time blocks in the order A B B A, the next four B A A B; return the seconds of both, four by four."""
    found = []
    for index in range(quads):
        first, second = (ours, by_hand) if index % 2 == 0 else (by_hand, ours)
        outer = [first(steps)]
        inner = [second(steps), second(steps)]
        outer.append(first(steps))
        times = (sum(outer) / 2, sum(inner) / 2)
        found.append(times if index % 2 == 0 else times[::-1])
    return found


def cost(field: Field, size: Size, quads: int, block_s: float = BLOCK_S, clock: Clock = CLOCK) -> Json:
    """Return the ratio of a field's time to that of its loop, with its 95% interval.

    Where in memory a model is changes its times by a percent. So both are built several times, and each of
    the two comes first as often as the other.

    Raises:
        SystemExit: the two do not train the same weights.
    """
    times: list[tuple[float, float]] = []
    steps = 0
    with Cpu(1).active():
        workload = build(lambda: field.workload(size))
        for copy_ in range(COPIES):
            kinds = (Ours, ByHand) if copy_ % 2 == 0 else (ByHand, Ours)
            made = {kind: kind(field, workload, clock) for kind in kinds}
            ours, by_hand = made[Ours], made[ByHand]
            if ours.trainer.repeats_one_step:
                by_hand.begin_at(ours.trainer)
            steps = steps or steps_of(by_hand.block, field, block_s)
            with collection_off(collect_first=True):
                ratios(ours.block, by_hand.block, steps, 1)  # a warm-up
                times += ratios(ours.block, by_hand.block, steps, max(1, quads // COPIES))
            if not field.phase.needs_loader and not same_weights(ours, by_hand):
                raise SystemExit("fields: the Workload and its loop train different weights")
    interval = median_interval([a / b for a, b in times])
    return {
        "ratio": interval.median, "low": interval.low, "high": interval.high, "n": len(times),
        "steps": steps, "by_hand_s": median(b for _, b in times), "ours_s": median(a for a, _ in times),
    }  # fmt: skip


def steps_of(block: Block, field: Field, block_s: float) -> int:
    """Return how many steps a block has, so that it lasts about that many seconds."""
    step_s = max(min(block(2) for _ in range(3)), 1e-9)
    return min(field.max_steps, max(2, int(block_s / step_s)))


def within(found: Json) -> str:
    """Return whether a ratio is within the bound: ``yes``, ``no`` or ``undecided``."""
    low, high = found["low"], found["high"]
    if low >= 1 - BOUND and high <= 1 + BOUND:
        return "yes"
    return "no" if low > 1 + BOUND or high < 1 - BOUND else "undecided"


def fields_section(result: Json) -> str:
    """Return the results as a section of markdown."""
    rows = [
        [one["field"], one["size"], one["phase"], f"{1e6 * one['by_hand_s']:,.1f}",
         f"{1e6 * (one['ours_s'] - one['by_hand_s']):+.1f}",
         f"{one['ratio']:.4f} [{one['low']:.4f}-{one['high']:.4f}]", within(one)]
        for one in result["cells"]
    ]  # fmt: skip
    sizes = "; ".join(f"{name}: width {one.width}, batch {one.batch}" for name, one in SIZES.items())
    machine = f"{result['machine']['cpu']}, one thread; torch {result['versions']['torch']}; {result['date']}"
    return "\n\n".join([
        "## Fields against loops written by hand",
        "The time per step of a Workload with one field, as breakeven times it, over that of the same step "
        "written by hand: blocks in one process, which take turns from the same state and end with the same "
        f"weights. The median ratio of {result['quads']} groups of four blocks, with its 95% interval. "
        f"{sizes}. Written by `python bench/harness/fields.py`.",
        f"{machine}.",
        markdown(["field", "model", "phase", "by hand, us", "more, us", "ratio", f"within {BOUND:.0%}"], rows,
                 left=3),
    ]) + "\n"  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every field on every size, and write the results; return 1 if one is not within the bound."""
    given = parser().parse_args(arguments)
    cells = []
    for name in given.fields:
        for size in SIZES:
            found = cost(FIELDS[name], SIZES[size], given.quads, given.block)
            cells.append({"field": name, "size": size, "phase": FIELDS[name].phase, **found})
            if not given.quiet:
                print(f"fields: {name}, {size}: {found['ratio']:.4f}", file=sys.stderr)
    result = {"quads": given.quads, "versions": versions("breakeven", "torch"), "cells": cells}
    whole = write(given.output / "fields.json", result)
    (given.output / "fields.md").write_text(fields_section(whole), encoding="utf-8")
    return int(any(within(one) == "no" for one in cells))


def parser() -> Any:
    """Return the command line."""
    made = options(__doc__, epilog="example:\n  OMP_WAIT_POLICY=passive python bench/harness/fields.py")
    made.add_argument("--quads", type=int, default=QUADS, metavar="N", help="per field (%(default)s)")
    made.add_argument(
        "--block", type=float, default=BLOCK_S, metavar="SECONDS", help="of steps (%(default)s)"
    )
    made.add_argument("--fields", nargs="+", choices=FIELDS, default=list(FIELDS), help="default: all")
    made.add_argument("-q", "--quiet", action="store_true", help="no progress")
    return made


if __name__ == "__main__":
    sys.exit(main())
