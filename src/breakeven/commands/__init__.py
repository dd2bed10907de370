"""The subcommands of `breakeven`, one module each, and their interface for scripts.

Standard output has only what was asked for. ``--format json`` writes one JSON document and no files;
unknown or unbounded numbers are null. `breakeven.render.json_output.json_schema` returns the JSON Schemas:

- `report`: ``verdict`` (text), ``machines`` (``label``, ``class_id``, ``hardware``), ``break_even``,
  ``speedup``, ``bounds``, ``variants``, ``repay``, ``outcomes``, ``warnings``, ``processes_needed`` (how many
  ``processes`` would decide how many of the ``open`` break-evens; null where none is open). A break-even has
  a ``status`` (``crosses always never beyond_range undecided``) and a ``batch_size`` only where it
  ``crosses``. ``summary.csv`` has one row per case.
- `compare` and `ab`: ``verdict`` (``regressed improved unchanged inconclusive``), ``cases``,
  ``work_changes`` (exact changes of ``operators`` and ``flops``), ``common_shift``, ``counts``, ``warnings``.
- `predict`: ``predicted`` (true), ``verdict`` (text), ``cells``, ``break_even`` (a range of batch sizes),
  ``rent`` (what settles the undecided cells), ``not_predicted``, ``cards``, ``warnings``; all bands are 90%.
- `calibrate`, `history` and `doctor` likewise. `recover` and `merge` print a line, `fleet` the report on its
  runs.

Exit codes: 0 done, without a regression; 1 a confirmed regression, or a failed self-test; 2 bad usage or
unreadable input; 3 nothing could be judged, the machine classes differ, the files to merge do not belong
together, the machine is unfit, or slower than its class, or (`compare`, `ab`) a verdict that ``--fail-on``
names; 70 an error of breakeven itself, with a line that asks to report it; 130 interrupted; 141 nobody read
the output.
"""

from breakeven.commands import (
    ab,
    calibrate,
    card,
    ci,
    compare,
    doctor,
    fleet,
    history,
    merge,
    predict,
    recover,
    report,
)
from breakeven.commands.base import Command

COMMANDS = (
    Command("report", "read run files, print a summary and the verdict, write tables and plots", report),
    Command("compare", "report which cases regressed or improved between two sides of runs", compare),
    Command("ab", "run two commands alternately on this machine, and compare their runs", ab),
    Command("calibrate", "run one command several times, and store the noise of this machine", calibrate),
    Command("history", "keep runs, find which commit changed what, and fail on regressions", history),
    Command("predict", "predict machines that are not here, from a run of this CPU", predict),
    Command("card", "fit what predicts a machine with an accelerator to its run files", card),
    Command("merge", "join the run files of a sweep's shards into one", merge),
    Command("fleet", "measure a folder on every machine class of a Ray cluster", fleet),
    Command("recover", "make a run file of the journal of a run that died", recover),
    Command("doctor", "check whether this machine is fit for timing, and what to fix", doctor),
    Command("ci", "run a step of breakeven's GitHub workflows", ci),
)
"""Every subcommand, in the order of the help; to add one, write a module and list it here."""
