"""The parts of a step around each phase."""

import pytest

from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.step_parts import StepParts
from breakeven.phases import STEP_PARTS, Phase
from support.small_workloads import tiny


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.takes_steps and not phase.needs_loader])
def test_a_step_is_finished(phase):
    """A phase that takes steps does every part of each, in order, whatever part it times."""
    around = StepParts().of_phase(phase)
    assert (*around.before, *around.timed, *around.after) == STEP_PARTS
    assert around.timed == phase.parts


@pytest.mark.parametrize("phase", ["load", "epoch"])
def test_no_loader(phase):
    message = rf"^{phase} is not timed: .* no loader; .* Workload\(loader=...\)"
    with pytest.raises(UnsupportedError, match=message):
        StepParts.of(tiny(2)).of_phase(Phase(phase))
