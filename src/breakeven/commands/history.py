"""`breakeven history`: stores runs, and finds which commit changed what."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.commands import history_help
from breakeven.commands.arguments import directory_path, file_path, fraction, storage
from breakeven.commands.base import (
    NOT_JUDGED,
    OK,
    REGRESSED,
    UNUSABLE,
    add_format,
    notify,
    print_line,
    show,
    status,
    version,
)
from breakeven.commands.compare import append_to_summary
from breakeven.errors import BreakevenError, StorageError, UsageError
from breakeven.format import capital

if TYPE_CHECKING:
    from breakeven.history.check import History
    from breakeven.history.storage import Storage

STORE = ".breakeven/history"
EPILOG = history_help.EPILOG


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def action(name: str, summary: str, epilog: str, act: Callable[..., int]) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=summary, description=f"{capital(summary)}.", epilog=epilog)
        made.set_defaults(act=act)
        return made

    add = action("add", "add runs to the store", history_help.ADD, _run_add)
    add.add_argument(
        "runs", nargs="+", type=file_path, metavar="RUN", help="run files that --benchmark-json wrote"
    )
    check = action("check", "judge the newest run, and find changes", history_help.CHECK, _run_check)
    draw = action("show", "draw every series on a page", history_help.SHOW, _run_show)
    draw.add_argument(
        "-o", "--output", type=directory_path, metavar="DIR",
        help="the directory of the page (default: page/ in the store's directory)",
    )  # fmt: skip
    accept = action("accept", "accept intended changes", history_help.ACCEPT, _run_accept)
    accept.add_argument(
        "commit", metavar="COMMIT",
        help="the commit of the change, or, of a run without one, its id as check prints it; "
        "at least 7 digits",
    )  # fmt: skip
    accept.add_argument("--reason", required=True, metavar="TEXT", help="why the change is intended")
    for judging in (check, draw, accept):
        _add_judging_arguments(judging)
    for made in (add, check, draw, accept):
        _add_common_arguments(
            made, ("terminal", "markdown", "json") if made is check else ("terminal", "json")
        )


def _add_judging_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--case", metavar="PATTERN", help="only cases that match, with the wildcards * and ? (default: all)"
    )
    parser.add_argument("--branch", metavar="NAME", help="only runs of this branch (default: all)")
    parser.add_argument(
        "--threshold", type=fraction, default=0.03, metavar="3%",
        help="ignore changes below this size (default: 3%%)",
    )  # fmt: skip
    parser.add_argument(
        "--accepted", type=file_path, metavar="FILE",
        help="the file of accepted changes, a path or a URL (default: STORE/accepted.json)",
    )  # fmt: skip


def _add_common_arguments(parser: argparse.ArgumentParser, formats: Sequence[str]) -> None:
    parser.add_argument(
        "--store", type=storage, default=STORE, metavar="STORE",
        help=f"the store: a directory, or s3://BUCKET/PREFIX (default: {STORE})",
    )  # fmt: skip
    add_format(parser, formats)
    # The default must not override `history --traceback check`.
    parser.add_argument(
        "--traceback", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    code: int = arguments.act(arguments)
    return code


def _run_add(arguments: argparse.Namespace) -> int:
    from breakeven.history import store
    from breakeven.render.history import add_line
    from breakeven.render.history_json import add_json

    added, failed = [], []
    for i, path in enumerate(arguments.runs, 1):
        try:
            added.append(store.add(path, arguments.store))
        except BreakevenError as error:
            if arguments.traceback:
                raise
            failed.append(str(error))
            if isinstance(error, StorageError) and (left := arguments.runs[i:]):
                failed.append(f"not tried: {', '.join(left)}; add them when the store can be written")
                break
        else:
            if arguments.format == "terminal":
                print_line(add_line(added[-1]))
    if arguments.format == "json":
        sys.stdout.write(add_json(added, failed))
    return _print_errors(failed)


def _run_check(arguments: argparse.Namespace) -> int:
    from breakeven.render.history import check_markdown, check_renderables
    from breakeven.render.history_json import check_json

    history = _history(arguments, arguments.case)
    if arguments.format == "json":
        sys.stdout.write(check_json(history))
    elif arguments.format == "markdown":
        text = check_markdown(history, version())
        sys.stdout.write(text)
        append_to_summary(text)
    else:
        show(check_renderables(history))
    if code := _print_errors(history.damaged):
        return code
    return REGRESSED if history.is_regressed else OK if history.judged else NOT_JUDGED


def _run_show(arguments: argparse.Namespace) -> int:
    history = _history(arguments, arguments.case)
    if arguments.format == "json":
        from breakeven.render.history_json import show_json

        sys.stdout.write(show_json(history))
    else:
        from breakeven.render.history import show_renderables
        from breakeven.render.history_page import write_page

        with status("drawing the series"):
            page = write_page(history, arguments.output or _page_directory(arguments.store), version())
        show(show_renderables(history, page))
    return _print_errors(history.damaged) or (OK if history.judged else NOT_JUDGED)


def _page_directory(store: Storage) -> Path:
    """Return where the page of a store is drawn: inside of it, or here if that is not a directory."""
    return (store.directory or Path(STORE)) / "page"


def _run_accept(arguments: argparse.Namespace) -> int:
    import datetime

    from breakeven.history.accept import accept
    from breakeven.history.accepted import accepted_file, add_accepted
    from breakeven.render.history import accept_lines
    from breakeven.render.history_json import accept_json

    reason = arguments.reason.strip()
    if not reason:
        raise UsageError("--reason is empty; give the reviewers of the change a reason")
    history = _history(arguments, None)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    entries = accept(history, arguments.commit, reason, arguments.case, today)
    file = accepted_file(arguments.store, arguments.accepted)
    add_accepted(entries, file)
    if arguments.format == "json":
        sys.stdout.write(accept_json(entries, str(file)))
    else:
        for line in accept_lines(entries, str(file)):
            print_line(line)
    return _print_errors(history.damaged)


def _print_errors(problems: Sequence[str]) -> int:
    """Print the files that could not be used, one per line, and return the exit code; 0 if there are none."""
    sys.stdout.flush()
    for problem in problems:
        notify(f"error: {problem}")
    return UNUSABLE if problems else OK


def _history(arguments: argparse.Namespace, pattern: str | None) -> History:
    from breakeven.history.accepted import accepted_file, read_accepted
    from breakeven.history.check import analyze_history

    file = accepted_file(arguments.store, arguments.accepted)
    if arguments.accepted and arguments.act is not _run_accept and not file.exists():
        raise UsageError(
            f"--accepted {file} does not exist; `breakeven history accept COMMIT --reason TEXT` creates it"
        )
    with status("reading the store"):
        return analyze_history(
            arguments.store,
            read_accepted(file),
            threshold=arguments.threshold,
            branch=arguments.branch,
            pattern=pattern,
        )
