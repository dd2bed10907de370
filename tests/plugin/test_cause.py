"""Why a group has ended, from the exit codes of its ranks and what they have noted."""

import signal

import pytest

from breakeven.case import OutcomeKind
from breakeven.measure.group import LEFT_ALONE, UNKNOWN, Failure
from breakeven.plugin.cause import LOST, cause_of, note, noted

OOM = Failure(1, OutcomeKind.OOM, "rank 1: out of memory")
CRASHED = OutcomeKind.CRASHED
SEEN = Failure(UNKNOWN, CRASHED, "another rank has ended")


@pytest.mark.parametrize(
    ("codes", "failures", "cause"),
    [
        (
            {0: -signal.SIGTERM, 1: -signal.SIGKILL},
            [],
            "rank 1 was ended by SIGKILL, as when memory runs out",
        ),
        ({0: LOST, 1: -signal.SIGKILL}, [SEEN], "rank 1 was ended by SIGKILL, as when memory runs out"),
        ({0: LOST, 1: LEFT_ALONE}, [OOM, SEEN], OOM.reason),
        ({0: LOST, 1: LEFT_ALONE, 2: LEFT_ALONE}, [SEEN, OOM], OOM.reason),
        ({0: LOST, 1: -signal.SIGABRT, 2: LEFT_ALONE}, [OOM], OOM.reason),  # NCCL ends rank 1
        ({0: LOST, 1: 3}, [SEEN], "rank 1 exited with 3"),
        ({0: 4, 1: 4}, [], "rank 0 exited with 4"),
        ({0: LOST, 1: -signal.SIGTERM}, [SEEN], SEEN.reason),
        ({0: -signal.SIGTERM, 1: -signal.SIGTERM}, [], "rank 0 was ended by SIGTERM"),
    ],
)
def test_cause(codes, failures, cause):
    """A death by itself comes first, then what a rank knows, then what it has only seen of others."""
    assert cause_of(codes, failures).reason == cause


def test_notes(tmp_path):
    """They keep their order; without a file there are none."""
    path = tmp_path / "cause"
    assert noted(path) == []
    note(OOM, path)
    note(SEEN, path)
    assert noted(path) == [OOM, SEEN]
