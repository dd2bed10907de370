"""Starts the processes of a group: torchrun in a process of its own, which the coordinator of a run starts.

``python -m breakeven.plugin.agent N python -m pytest ...`` starts the command N times, as `torchrun
--standalone --nproc-per-node N` does, and ends with all of them. Why the group has ended, if one process fails,
is left in a file; its exit code is that of the process.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from breakeven.case import OutcomeKind
from breakeven.plugin.assignment import VARIABLE, Assignment, take_assignment
from breakeven.plugin.cause import Cause, death
from breakeven.plugin.rank import LOST
from breakeven.plugin.worker import end_with_parent


def main(arguments: Sequence[str]) -> int:
    """Run the command in a group, and return the exit code."""
    assignment = take_assignment(os.environ)
    assert assignment is not None
    end_with_parent()
    if os.getppid() != assignment.parent:
        return 1
    os.environ[VARIABLE] = replace(assignment, parent=os.getpid()).as_text()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator ends the group after Ctrl-C

    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    # What it would log of a process that failed is in the journal.
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    options = ["--standalone", f"--nproc-per-node={arguments[0]}", "--local-addr=127.0.0.1"]
    signals = ["--signals-to-handle=SIGTERM"]
    try:
        run(parse_args([*options, *signals, "--no-python", *arguments[1:]]))
    except ChildFailedError as error:
        return _failed(error.failures, assignment)
    return 0


def _failed(failures: Mapping[int, Any], assignment: Assignment) -> int:
    """Note why the group has ended, unless one of its processes did, and return the exit code.

    A process that lost the others, and one that was ended because another one failed, are not the cause.
    """
    codes = {rank: failure.exitcode for rank, failure in sorted(failures.items())}
    causes = {rank: code for rank, code in codes.items() if code not in (LOST, -signal.SIGTERM)}
    rank, code = next(iter((causes or codes).items()))
    Cause(OutcomeKind.CRASHED, f"rank {rank}: {death(code)}").note(assignment.cause)
    return code if code > 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
