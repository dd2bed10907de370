"""The harness is a directory of scripts, not a package: its modules come last on the path."""

import sys
from pathlib import Path

HARNESS = str(Path(__file__).parents[1])

if HARNESS not in sys.path:
    sys.path.append(HARNESS)
