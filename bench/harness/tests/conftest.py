"""The harness is a folder of scripts, not a package: its modules are found behind everything else."""

import sys
from pathlib import Path

HARNESS = str(Path(__file__).parents[1])

if HARNESS not in sys.path:
    sys.path.append(HARNESS)
