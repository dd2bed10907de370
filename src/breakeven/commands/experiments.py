"""What the commands that run commands share: a folder to go on in, lines on standard error, being stopped.

Owns how `ab` and `calibrate` talk while they measure. Standard output is left to what they found.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from breakeven.commands.arguments import directory_path
from breakeven.commands.base import INTERRUPTED

if TYPE_CHECKING:
    from breakeven.experiment.run_command import Recorder


def add_folder_options(parser: argparse.ArgumentParser, output: str) -> None:
    """Add where runs are kept, and what happens to those that are there."""
    parser.add_argument(
        "-o", "--output", type=directory_path, default=Path(output), metavar="DIR",
        help="where run files and logs are kept, and where the same command goes on when it was interrupted "
        f"(default: {output})",
    )  # fmt: skip
    parser.add_argument(
        "--fresh", action="store_true", help="begin anew; runs that lie there move to DIR/previous"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show what the commands say; it is in their logs anyway"
    )


def say(line: str) -> None:
    """Tell the person who waits, and whoever reads the log of a CI job."""
    print(f"breakeven: {line}", file=sys.stderr, flush=True)


def in_folder(arguments: argparse.Namespace, asked: Mapping[str, Any], act: Callable[[Recorder], int]) -> int:
    """Open the folder for what is asked, act, and return the exit code; stopped, say how to go on.

    Args:
        arguments: those of `add_folder_options`.
        asked: what must be the same to go on; plain JSON.
        act: measures what is missing, shows what was found and returns an exit code.
    """
    from breakeven.experiment.run_command import Recorder
    from breakeven.experiment.shell import Shell, stopping_on_signals
    from breakeven.experiment.workspace import opened
    from breakeven.format import plural

    kept = 0
    started = datetime.now().astimezone().isoformat(" ", "seconds")
    asked = {**asked, "working directory": os.getcwd()}  # noqa: PTH109 - text, as it goes into the plan
    try:
        with (
            stopping_on_signals(),
            opened(arguments.output, asked, started, fresh=arguments.fresh) as folder,
        ):
            try:
                for line in folder.said:
                    say(line)
                code = act(Recorder(folder, Shell(is_live=arguments.verbose, say=say), monotonic))
                sys.stdout.flush()  # what was not shown is shown by the next call, without measuring
                folder.finish()
                return code
            finally:
                kept = len(folder.runs)
    except KeyboardInterrupt:
        are = "is" if kept == 1 else "are"
        say(
            f"interrupted; {plural(kept, 'whole run')} {are} in {arguments.output}, and the same command "
            "goes on there"
        )
        return INTERRUPTED
