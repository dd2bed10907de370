"""The subcommands of `breakeven`, a module each. With `breakeven.cli`, the only place that prints."""

from breakeven.commands.ab import AB
from breakeven.commands.calibrate import CALIBRATE
from breakeven.commands.ci import CI
from breakeven.commands.compare import COMPARE
from breakeven.commands.doctor import DOCTOR
from breakeven.commands.history import HISTORY
from breakeven.commands.report import REPORT

COMMANDS = (REPORT, COMPARE, AB, CALIBRATE, HISTORY, DOCTOR, CI)
"""Every subcommand, in the order of the help; a new one is a module here and an entry."""
