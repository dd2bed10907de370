"""What a report costs before and after a change, by turns; writes ``pages.json``.

Each run file is reported by two installations, one after the other and in the reverse order the next time, in
fresh processes. The figure is the ratio of their seconds, pair by pair; the page's bytes are beside it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from shared import Json, options, write

from breakeven.stats.intervals import median_interval

MAX_RATIO, MAX_PAGE_BYTES = 1.2, 600_000
REPORTS = {
    "the default sweep": ["cpu-2core/run.json"],
    "an H100, full sweep": ["h100-16core/run.json", "h100-16core/large.json"],
}
"""The run files of each report, under results/."""

RUNS = Path(__file__).parents[2] / "results"
_COMMAND = "import sys; from breakeven.cli import main; sys.exit(main(sys.argv[1:]))"


def report_once(python: str, files: Sequence[Path]) -> tuple[float, int]:
    """Return the seconds of ``breakeven report`` under an interpreter, and the bytes of the page.

    Raises:
        SystemExit: the report failed.
    """
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        done = subprocess.run(
            [python, "-c", _COMMAND, "report", *map(str, files), "-o", out], capture_output=True, text=True
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"{python}: {done.stderr}")
        return seconds, (Path(out) / "index.html").stat().st_size


def by_turns(pythons: Mapping[str, str], files: Sequence[Path], pairs: int) -> Json:
    """Return each side's seconds and bytes, and the ratio of the second's seconds to the first's."""
    names = list(pythons)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    page_bytes = {}
    for pair in range(pairs):
        for name in names if pair % 2 == 0 else reversed(names):
            taken_s, page_bytes[name] = report_once(pythons[name], files)
            seconds[name].append(taken_s)
    first, second = names
    ratios = np.array(seconds[second]) / np.array(seconds[first])
    interval = median_interval(ratios)
    return {
        "ratio": interval.median,
        "low": interval.low,
        "high": interval.high,
        "n": pairs,
        "bound": MAX_RATIO,
        **{f"{name}_s": median(seconds[name]) for name in names},
        **{f"{name}_page_bytes": page_bytes[name] for name in names},
    }


def main() -> None:
    """Measure, print with the bounds, and write the file."""
    parser = options(__doc__)
    parser.add_argument("--before", required=True, metavar="PYTHON", help="an interpreter with the older one")
    parser.add_argument("--pairs", type=int, default=9, help="pairs per report, at least 6; default: 9")
    arguments = parser.parse_args()
    pythons = {"before": arguments.before, "after": sys.executable}
    figures = {}
    for name, runs in REPORTS.items():
        found = figures[name] = by_turns(pythons, [RUNS / run for run in runs], arguments.pairs)
        print(
            f"{name}: {found['ratio']:.3f}x [{found['low']:.3f}-{found['high']:.3f}], at most {MAX_RATIO}x, "
            f"n = {found['n']}; page {found['after_page_bytes']:,} bytes, at most {MAX_PAGE_BYTES:,} for the "
            f"default sweep (before: {found['before_page_bytes']:,})"
        )
    write(arguments.output / "pages.json", {"max_page_bytes": MAX_PAGE_BYTES, "figures": figures})


if __name__ == "__main__":
    main()
