"""`breakeven history`: stores runs, and finds which commit changed what."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.commands.arguments import directory_path, file_path, fraction, storage
from breakeven.commands.base import NOT_JUDGED, OK, REGRESSED, UNUSABLE, add_format, show, status, version
from breakeven.commands.compare import append_to_summary
from breakeven.errors import BreakevenError, StorageError, UsageError
from breakeven.format import capital

if TYPE_CHECKING:
    from breakeven.history.check import History
    from breakeven.history.storage import Storage

STORE = ".breakeven/history"

EPILOG = """\
examples:
  breakeven history add run.json     add a run to the store
  breakeven history check            judge the newest run, and find changes
  breakeven history check --format markdown
                                     for a pull request; also appended to
                                     $GITHUB_STEP_SUMMARY
  breakeven history show             draw every series on a page
  breakeven history accept 0123abc --reason "one more layer"
                                     accept an intended change

Every action takes --store DIR, or --store s3://BUCKET/PREFIX, which any number
of machines can share: `breakeven history add --help` shows how, with a step for
GitHub Actions.

A series is the time or the peak memory of a case, the break-even batch size of
a model, or the largest batch size that fits. See also `breakeven history ACTION
--help`.

exit codes:
  0  no regressions
  1  a regression that persists and is not accepted, or a newest run that is
     worse than predicted
  2  bad usage, or a file that cannot be read
  3  nothing could be judged, because no series has 6 runs
"""

_ADD = """\
examples:
  breakeven history add run.json
  breakeven history add nightly/*.json --store /srv/history

The store is a directory with one Parquet file per run, which holds every round:
class=MACHINE/TIME-DIGEST.parquet. Adding a run again changes nothing. Several
machines may add runs at the same time. Back up, move or merge stores by copying
their files; delete a file to remove its run. Every Parquet reader can query it.

A bucket of S3, or of an object store with its interface and conditional writes,
holds the same files:

  python -m pip install 'breakeven[s3]'
  breakeven history add run.json --store s3://BUCKET/PREFIX

The bucket must exist. Credentials, region and endpoint are those of every AWS
tool: AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; also
AWS_DEFAULT_REGION, and AWS_ENDPOINT_URL for an object store that is not
Amazon's. They need s3:ListBucket, s3:GetObject and s3:PutObject. In GitHub
Actions:

  - run: breakeven history add run.json --store s3://BUCKET/PREFIX
    env:
      AWS_DEFAULT_REGION: eu-central-1
      AWS_ACCESS_KEY_ID: ${{ secrets.AWS_ACCESS_KEY_ID }}
      AWS_SECRET_ACCESS_KEY: ${{ secrets.AWS_SECRET_ACCESS_KEY }}

exit codes:
  0  every run is in the store
  2  bad usage, or a file that cannot be read; the others are added, unless the
     store cannot be written
"""

_CHECK = """\
examples:
  breakeven history check --store /srv/history
  breakeven history check --case '*train cuda*' --threshold 5%
  breakeven history check --branch main --format json
  breakeven history check --store s3://BUCKET/PREFIX

A change has at least 5 runs on either side, reaches the threshold, and is
significant given the noise of its series and the correlation of neighboring
runs. Its interval is 95%. Changes of several series that may be of one commit
are one change; the largest one of `train` places it. The newest run is compared
with a prediction interval: 95% of unchanged runs are inside the intervals of
all their series.

exit codes:
  0  no regressions
  1  a regression that persists and is not accepted, or a newest run that is
     worse than predicted
  2  bad usage, or a file that cannot be read
  3  nothing could be judged, because no series has 6 runs
"""

_SHOW = """\
examples:
  breakeven history show                .breakeven/history/page/index.html
  breakeven history show --case 'mlp train*' -o out
  breakeven history show --format json  every series as data, and no page

The page of a store in a bucket is drawn in .breakeven/history/page/, unless -o
names another directory.

Series with regressions come first. At most 60 are drawn; the page lists the
others.

exit codes:
  0  drawn, with or without regressions
  2  bad usage, or a file that cannot be read
  3  nothing could be judged, because no series has 6 runs
"""

_ACCEPT = """\
examples:
  breakeven history accept 0123abc --reason "one more layer"
  breakeven history accept 0123abc --reason "one more layer" \\
    --case 'mlp train*' --accepted perf/accepted.json

Without --case, every change that was found in the commit is accepted, also that
of a series in which it is found only later. With --case, those of the cases
within 5 measured commits are; if there are none yet, any later regression of
these cases in the commit is accepted in advance. To change a reason, accept
again.

The file of accepted changes is made for review: keep it in your repository with
--accepted FILE, and pass it to check and show too. An entry covers changes up
to 5 measured commits away, because the place of a change is an estimate.

FILE may be s3://BUCKET/KEY too. In a bucket several people can accept changes
at the same time: the file is written only if it is still the one that was read.

exit codes:
  0  written
  2  bad usage, a commit without such a change, or a file that cannot be read
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def action(name: str, summary: str, epilog: str, act: Callable[..., int]) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=summary, description=f"{capital(summary)}.", epilog=epilog)
        made.set_defaults(act=act)
        return made

    add = action("add", "add runs to the store", _ADD, _run_add)
    add.add_argument(
        "runs", nargs="+", type=file_path, metavar="RUN", help="run files that --benchmark-json wrote"
    )
    check = action("check", "judge the newest run, and find changes", _CHECK, _run_check)
    draw = action("show", "draw every series on a page", _SHOW, _run_show)
    draw.add_argument(
        "-o", "--output", type=directory_path, metavar="DIR",
        help="the directory of the page (default: page/ in the store's directory)",
    )  # fmt: skip
    accept = action("accept", "accept intended changes", _ACCEPT, _run_accept)
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
                print(add_line(added[-1]))
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
        print("\n".join(accept_lines(entries, str(file))))
    return _print_errors(history.damaged)


def _print_errors(problems: Sequence[str]) -> int:
    """Print the files that could not be used, one per line, and return the exit code; 0 if there are none."""
    sys.stdout.flush()
    for problem in problems:
        print(f"breakeven: error: {problem}", file=sys.stderr)
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
