"""Which parts one step of a workload has, in order, and which of them a phase times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.workload import Workload
from breakeven.phases import STEP_PARTS, WHOLE_STEPS, Phase

_PASS = ("transfer", "forward", "backward")

NO_GRAPH = "cuda_graph=True captures one batch in its place; time it with cuda_graph=False"
NO_LOADER = "the workload has no loader; give it Workload(loader=...), a DataLoader or a function of one"


@dataclass(frozen=True)
class PhaseParts:
    """The parts of a step around a phase: `before` is prepared, `timed` is timed, `after` ends the step."""

    before: tuple[str, ...]
    timed: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class StepParts:
    """The parts of one step: `parts` in order, each a method of `breakeven.measure.trainer.Trainer`.

    `why_whole` states why the passes of a step cannot be timed apart, `why_unloaded` why batches cannot be
    taken from a loader; each is empty where they can.
    """

    parts: tuple[str, ...] = STEP_PARTS
    why_whole: str = ""
    why_unloaded: str = ""

    @classmethod
    def of(cls, workload: Workload, closure_of: str | None = None) -> StepParts:
        """Return the parts of a workload's step.

        Args:
            workload: whose step.
            closure_of: the name of the optimizer, if its step is called with a closure.
        """
        unloaded = NO_LOADER if workload.loader is None else NO_GRAPH if workload.cuda_graph else ""
        if workload.training_step is not None:
            return cls(("transfer", "training_step"), "training_step does the whole step", unloaded)
        if closure_of is not None:
            return cls(
                ("transfer", "step"), f"{closure_of} does forward and backward inside its step", unloaded
            )
        return cls((*STEP_PARTS[:-1], *_PASS * (workload.accumulate - 1), "step"), "", unloaded)

    @property
    def passes(self) -> int:
        """The number of batches that one step takes."""
        return self.parts.count("transfer")

    def of_phase(self, phase: Phase) -> PhaseParts:
        """Return the parts around a phase.

        Of several passes, the last one is timed by the phases of a pass.

        Raises:
            UnsupportedError: the step does not have that phase, with the reason.
        """
        if phase.needs_loader and self.why_unloaded:
            raise UnsupportedError(f"{phase} is not timed: {self.why_unloaded}")
        return _around(self, phase)


@cache  # because each timed call asks for it
def _around(step: StepParts, phase: Phase) -> PhaseParts:
    if phase in WHOLE_STEPS:
        return PhaseParts((), step.parts, ())
    if phase is Phase.EPOCH:
        return PhaseParts((), tuple(one for part in step.parts for one in _loaded(part)), ())
    if phase is Phase.INFER and "training_step" not in step.parts:
        return PhaseParts((), phase.parts, ())
    if phase is Phase.LOAD:
        return PhaseParts((), phase.parts, ())
    (part,) = phase.parts
    if part not in step.parts:
        raise UnsupportedError(f"{phase} is not timed: {step.why_whole}; its `train` is")
    if part == "transfer":
        return PhaseParts((), (part,), ())
    at = len(step.parts) - 1 - step.parts[::-1].index(part)
    return PhaseParts(step.parts[:at], (part,), step.parts[at + 1 :])


def _loaded(part: str) -> tuple[str, ...]:
    return ("load", part) if part == "transfer" else (part,)
