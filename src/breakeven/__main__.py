"""`python -m breakeven`: the `breakeven` command."""

import sys

from breakeven.cli import main

sys.exit(main())
