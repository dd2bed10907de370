"""Starts the ranks of a group: torchrun in a process of its own, which the coordinator of a run starts.

``python -m breakeven.plugin.agent N python -m pytest ...`` starts the command N times, as ``torchrun
--standalone --nproc-per-node N`` does, and ends with all of them. If one fails, the cause is the last line of
the group's file.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from breakeven.hardware.orphans import end_with_parent
from breakeven.plugin.assignment import VARIABLE, take_assignment
from breakeven.plugin.cause import cause_of, note, noted


def main(arguments: Sequence[str]) -> int:
    """Run the command in a group, and return the first exit code other than 0 by rank."""
    assignment = take_assignment(os.environ)
    assert assignment is not None
    end_with_parent()
    if os.getppid() != assignment.parent:
        return 1
    os.environ[VARIABLE] = replace(assignment, parent=os.getpid()).as_text()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # after Ctrl-C the coordinator ends the group

    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # the journal has the cause
    processes, *command = arguments
    options = ["--standalone", f"--nproc-per-node={processes}", "--local-addr=127.0.0.1", "--no-python"]
    try:
        torchrun.main([*options, *command])
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in sorted(error.failures.items())}
        note(cause_of(codes, noted(assignment.cause)), assignment.cause)
        return abs(next(iter(codes.values())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
