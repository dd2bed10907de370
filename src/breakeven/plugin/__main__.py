"""A measuring process: pytest, on the CPUs of the command that started it."""

import os
import sys

import pytest

from breakeven.plugin.assignment import read_assignment

if __name__ == "__main__":
    assignment = read_assignment(os.environ)
    if assignment is not None and assignment.affinity is not None:
        os.sched_setaffinity(0, assignment.affinity)
    sys.exit(pytest.console_main())
