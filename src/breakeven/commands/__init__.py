"""The subcommands of `breakeven`, one module each, and their interface for scripts.

Standard output contains only the requested format. ``--format json`` writes one JSON document and no files;
unknown or unbounded numbers are null. The JSON Schemas are in ``breakeven/render/schemas``:

- `report`: ``verdict`` (text), ``break_even``, ``speedup``, ``bounds``, ``variants``, ``repay``,
  ``outcomes``, ``warnings``. A break-even has a ``status`` (``crosses always never beyond_range
  undecided``) and a ``batch_size`` only where it ``crosses``. ``summary.csv`` has one row per case.
- `compare` and `ab`: ``verdict`` (``regressed improved unchanged inconclusive``), ``cases``,
  ``common_shift``, ``counts``, ``warnings``.
- `calibrate`, `history` and `doctor` likewise; `doctor`'s are documented in `breakeven.doctor`.

Exit codes: 0 done, without a regression; 1 a confirmed regression, or a failed self-test; 2 bad usage or
unreadable input; 3 nothing could be judged, the machine classes differ, the machine is unfit, or
(`compare`, `ab`) a verdict that ``--fail-on`` names; 130 interrupted.
"""

from breakeven.commands.ab import AB
from breakeven.commands.calibrate import CALIBRATE
from breakeven.commands.ci import CI
from breakeven.commands.compare import COMPARE
from breakeven.commands.doctor import DOCTOR
from breakeven.commands.history import HISTORY
from breakeven.commands.report import REPORT

COMMANDS = (REPORT, COMPARE, AB, CALIBRATE, HISTORY, DOCTOR, CI)
"""Every subcommand, in the order of the help; to add one, write a module and list it here."""
