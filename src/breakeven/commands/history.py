"""`breakeven history`: keep runs, and find what changed in which commit. Its four actions, a parser each."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from breakeven.commands.arguments import directory_path, file_path, share
from breakeven.commands.base import NOT_JUDGED, OBJECTION, OK, UNUSABLE, Command, show, status, version
from breakeven.commands.compare import append_to_summary
from breakeven.errors import BreakevenError, UsageError

if TYPE_CHECKING:
    from breakeven.history.accepted import Accepted
    from breakeven.history.check import History

STORE = ".breakeven/history"
"""Where runs are kept when no store is named."""

_EPILOG = """\
examples:
  breakeven history add run.json     keep a run; the same again changes nothing
  breakeven history check            judge the newest run, and find what changed
  breakeven history check --format markdown
                                     for a pull request; also put into
                                     $GITHUB_STEP_SUMMARY
  breakeven history show             draw every series on a page
  breakeven history accept 0123abc --reason "one more layer"
                                     a change that is meant

`breakeven history ACTION --help` tells more of each. Tracked are the time of
every case, its peak memory, the break-even batch of each model and the largest
batch that fits.

exit codes:
  0  nothing to object to
  1  a change to the worse that stands and that nobody accepted, or a newest run
     that is worse than its series led one to expect
  2  bad usage, or a file that cannot be read
  3  nothing could be judged, because no series has 6 runs
"""

_ADD = """\
examples:
  breakeven history add run.json
  breakeven history add nightly/*.json --store /srv/history

The store is a directory: one Parquet file a run, with every round, named
class=MACHINE/TIME-DIGEST.parquet. Any number of machines may add at once. Back
it up, move or merge it by copying; take a run out by deleting its file. Any
reader of Parquet can query it.

exit codes:
  0  every run is in the store
  2  bad usage, or a file that cannot be read: it is named, the others are added
"""

_CHECK = """\
examples:
  breakeven history check --store /srv/history
  breakeven history check --case '*train cuda*' --threshold 5%
  breakeven history check --branch main --format json

A run is a point. A change has at least 5 runs on either side, is no smaller
than the threshold, and stands out of the noise of its series, with the
correlation of neighboring runs allowed for; its interval is 95%. The newest
run is held against a prediction interval: of runs in which nothing changed, 95%
stay inside all of theirs.

exit codes:
  0  nothing to object to
  1  a change to the worse that stands and that nobody accepted, or a newest run
     that is worse than expected
  2  bad usage, or a file that cannot be read
  3  nothing could be judged, because no series has 6 runs
"""

_SHOW = """\
examples:
  breakeven history show                .breakeven/history/page/index.html
  breakeven history show --case 'mlp train*' -o out
  breakeven history show --format json  every series as data, and no page

Series with objections come first. At most 60 are drawn; the page says what it
leaves out.

exit codes:
  0  drawn, whatever it shows
  2  bad usage, or a file that cannot be read
  3  nothing could be judged, because no series has 6 runs
"""

_ACCEPT = """\
examples:
  breakeven history accept 0123abc --reason "one more layer"
  breakeven history accept 0123abc --reason "one more layer" \\
    --case 'mlp train*' --accepted perf/accepted.json
  breakeven history accept "2026-01-11 04:30" --reason "one more layer"
                                                     where runs tell no commit

Without --case the changes that were found in the commit are accepted, each by
its name. With --case those within 5 measured commits of it, or, before any was
found, whatever becomes worse there. The file is made for review: keep it in the
repository with --accepted FILE, and name it so to check and show too. Later it
speaks of a change up to 5 measured commits away, since the place of a change is
an estimate. What is accepted already stays as it is; its reason is changed in
the file.

exit codes:
  0  written
  2  bad usage, a commit without such a change, or a file that cannot be read
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    add = _action(actions, "add", "keep runs in the store", _ADD, _run_add)
    add.add_argument(
        "runs", nargs="+", type=file_path, metavar="RUN", help="run files that --benchmark-json wrote"
    )
    check = _action(actions, "check", "judge the newest run, and find what changed when", _CHECK, _run_check)
    show_ = _action(actions, "show", "draw every series on a page", _SHOW, _run_show)
    accept = _action(actions, "accept", "say why a change is meant", _ACCEPT, _run_accept)
    accept.add_argument(
        "commit", metavar="COMMIT",
        help="the commit it came in, at least 7 digits of it; or its run's date and time, as check prints it",
    )  # fmt: skip
    accept.add_argument("--reason", required=True, metavar="TEXT", help="why the change is meant")
    show_.add_argument(
        "-o",
        "--output",
        type=directory_path,
        metavar="DIR",
        help="where the page goes (default: STORE/page/)",
    )
    for parser_ in (check, show_, accept):
        parser_.add_argument(
            "--case", metavar="PATTERN", help="only these cases; * and ? stand for anything (default: all)"
        )
        parser_.add_argument("--branch", metavar="NAME", help="only runs of this branch (default: all)")
        parser_.add_argument(
            "--threshold",
            type=share,
            default=0.03,
            metavar="3%",
            help="a smaller change is nobody's concern (default: 3%%)",
        )
        parser_.add_argument(
            "--accepted",
            type=file_path,
            metavar="FILE",
            help="the changes that are meant (default: STORE/accepted.json)",
        )
    for parser_, formats in (
        (add, ("terminal", "json")),
        (check, ("terminal", "markdown", "json")),
        (show_, ("terminal", "json")),
        (accept, ("terminal", "json")),
    ):
        parser_.add_argument(
            "--store", type=directory_path, default=STORE, metavar="DIR", help=f"the store (default: {STORE})"
        )
        parser_.add_argument(
            "--format",
            choices=formats,
            default="terminal",
            help="what standard output gets (default: terminal)",
        )
        parser_.add_argument(
            "--traceback",
            action="store_true",
            default=argparse.SUPPRESS,  # `history --traceback check` must not be unsaid by it
            help="show where an error came from",
        )


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    epilog: str,
    run: object,
) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name,
        help=summary,
        description=f"{summary[:1].upper()}{summary[1:]}.",
        epilog=epilog,
    )
    parser.set_defaults(act=run)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    code: int = arguments.act(arguments)
    return code


def _run_add(arguments: argparse.Namespace) -> int:
    import json

    from breakeven.history import store

    added, failed = [], []
    for path in arguments.runs:
        try:
            done = store.add(path, arguments.store)
        except BreakevenError as error:
            if arguments.traceback:
                raise
            failed.append(str(error))
            continue
        added.append({"run": done.run, "path": str(done.path), "new": done.new})
        if arguments.format == "terminal":
            what = f"added as {done.path}" if done.new else f"is already there, as {done.path}"
            print(f"{done.run}: {what}".encode("utf-8", "backslashreplace").decode())
    if arguments.format == "json":
        sys.stdout.write(json.dumps({"schema": 1, "added": added, "failed": failed}, indent=1) + "\n")
    return _complain(failed) or OK


def _complain(problems: list[str] | tuple[str, ...]) -> int:
    """Say what could not be used, a line each; return the exit code that this makes, 0 for none."""
    sys.stdout.flush()
    for problem in problems:
        print(f"breakeven: error: {problem}", file=sys.stderr)
    return UNUSABLE if problems else OK


def _run_check(arguments: argparse.Namespace) -> int:
    history = _history(arguments)
    if arguments.format == "json":
        from breakeven.render.history_data import check_json

        sys.stdout.write(check_json(history))
    elif arguments.format == "markdown":
        _write_markdown(history)
    else:
        from breakeven.render.history_terminal import check_renderables

        show(check_renderables(history))
    return _complain(history.damaged) or _code_of(history)


def _code_of(history: History) -> int:
    if history.objections:
        return OBJECTION
    return OK if history.judged else NOT_JUDGED


def _write_markdown(history: History) -> None:
    from breakeven.render.history_markdown import check_markdown

    text = check_markdown(history, version())
    sys.stdout.write(text)
    append_to_summary(text)


def _run_show(arguments: argparse.Namespace) -> int:
    history = _history(arguments)
    if arguments.format == "json":
        from breakeven.render.history_data import show_json

        sys.stdout.write(show_json(history))
        return _complain(history.damaged) or (OK if history.judged else NOT_JUDGED)
    from breakeven.render.history_page import write_page

    with status("drawing the series"):
        page = write_page(history, arguments.output or arguments.store / "page", version())
    print(f"the page: {page}")
    return _complain(history.damaged) or (OK if history.judged else NOT_JUDGED)


def _run_accept(arguments: argparse.Namespace) -> int:
    import datetime
    import json

    from breakeven.history import accept, accepted

    if not arguments.reason.strip():
        raise UsageError("--reason is empty; say why the change is meant, for whoever reviews it")
    path = _accepted_path(arguments)
    standing = accepted.read_accepted(path)
    history = _history(arguments)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    reason = arguments.reason.strip()
    done = accept.decisions(history, arguments.commit, reason, arguments.case, today, standing)
    if done.new:
        accepted.write_accepted([*standing, *done.new], path)
    if arguments.format == "json":
        content = {
            "schema": 1,
            "file": str(path),
            "accepted": [_entry(entry) for entry in done.new],
            "already": [_entry(entry) for entry in done.already],
        }
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
    else:
        for entry in done.new:
            for case in entry.cases:
                print(f"accepted: {case} became {entry.direction} in {entry.place}")
        for entry in done.already:
            for case in entry.cases:
                print(f"accepted already: {case} became {entry.direction} in {entry.place}: {entry.reason}")
        if done.already:
            print(f"a reason that stands is changed in {path}, by hand")
        if done.new:
            print(f"written to {path}; keep it under review")
    return _complain(history.damaged)


def _entry(entry: Accepted) -> dict[str, object]:
    return {
        "commit": entry.commit or None,
        "run": entry.run or None,
        "direction": entry.direction,
        "cases": list(entry.cases),
        "reason": entry.reason,
    }


def _history(arguments: argparse.Namespace) -> History:
    from breakeven.history.check import analyze

    with status("reading the store"):
        return analyze(
            arguments.store,
            _decisions(arguments),
            threshold=arguments.threshold,
            branch=arguments.branch,
            pattern=arguments.case if arguments.act is not _run_accept else None,
        )


def _decisions(arguments: argparse.Namespace) -> tuple[Accepted, ...]:
    from breakeven.history.accepted import read_accepted

    path = _accepted_path(arguments)
    if arguments.accepted and not path.exists() and arguments.act is not _run_accept:
        _no_decisions(path)
    return read_accepted(path)


def _no_decisions(path: Path) -> NoReturn:
    raise UsageError(
        f"--accepted {path}: there is no such file; `breakeven history accept COMMIT --reason TEXT` makes one"
    )


def _accepted_path(arguments: argparse.Namespace) -> Path:
    from breakeven.history.check import accepted_path

    return accepted_path(arguments.store, arguments.accepted)


HISTORY = Command(
    "history",
    "keep runs, find which commit changed what, fail when it became worse",
    _EPILOG,
    _add_arguments,
    _run,
)
