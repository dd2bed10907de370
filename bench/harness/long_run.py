"""Whether a run of 10,000 cases in five processes stays as it was at its start; writes ``long_run.json``.

The cases are on the simulated device and on one thread. Every process logs what it holds: memory, what is
alive on the simulated device, open handles, threads, and the CPU time a case takes; the first fifth of its
cases is compared with the last. Then the run is reported, and its page is opened in Chromium.

The whole takes about 15 minutes on two cores.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from coordinator import resident_bytes
from gpu_tables import markdown
from shared import Json, options, run_command, versions, write
from simulated_bench import CASES_A_WIDTH, Held, by_process, held, simulated_command, write_simulated
from small_bench import environment

from breakeven.runs.json_files import load_json

CASES, PROCESSES, LOGS, MAX_TIME_S = 10_000, 5, 100, 0.02

MAX_BYTES_A_CASE = 5000
"""What a process may keep of a case that it has ended: twice the 2.6 kB that pytest keeps of an empty test.

Those are its three reports, which its terminal summary holds until the end.
"""

MAX_DEVICE_BYTES = 1 << 14
"""How much more may be alive on the device at the end: what is logged is of one case, small or large."""

MAX_SLOWER = 1.2
MAX_OPENING_S = 5.0
_SAMPLE_S = 0.5
_LEFT_OUT = re.compile(r"left out|not shown|not drawn|\bof [\d,]+ (?:cases|models|lines)|\bmore\b")


def first_and_last(values: Sequence[float]) -> tuple[float, float]:
    """Return the medians of the first and the last fifth."""
    fifth = max(1, len(values) // 5)
    return median(values[:fifth]), median(values[-fifth:])


def change_of(rows: Sequence[Held]) -> Json:
    """Return what a process held in the first fifth of its cases and in the last, and how fast it was.

    Args:
        rows: what it logged, at least three, at equal distances.
    """
    cases = rows[1].ended - rows[0].ended
    speeds = [(after.at_s - before.at_s) / cases for before, after in pairwise(rows)]
    start, end = first_and_last([row.resident_bytes for row in rows])
    middle = first_and_last([row.ended for row in rows])
    first_s, last_s = first_and_last(speeds)
    tensors = [row.tensor_bytes for row in rows]
    half = len(rows) // 2
    return {
        "cases": rows[-1].ended,
        "start_bytes": start,
        "end_bytes": end,
        "bytes_a_case": (end - start) / max(1.0, middle[1] - middle[0]),
        "device_bytes": [max(tensors[:half]), max(tensors[half:])],
        "handles": [rows[0].handles, rows[-1].handles],
        "threads": [rows[0].threads, rows[-1].threads],
        "case_s": [first_s, last_s],
        "slower": last_s / first_s,
    }


def handles_of(process: int) -> int:
    """Return the number of open handles of a process; 0 if it has ended."""
    try:
        return len(list((Path("/proc") / str(process) / "fd").iterdir()))
    except OSError:
        return 0


def run(folder: Path, command: Sequence[str]) -> Json:
    """Run the command in the folder; return its seconds, and what the parent held while it waited.

    Raises:
        SystemExit: it wrote no run file.
    """
    start, seen = time.monotonic(), []
    with (folder / "log").open("wb") as log:
        parent = subprocess.Popen(command, cwd=folder, env=environment(), stdout=log, stderr=log)
        while parent.poll() is None:
            size = resident_bytes(parent.pid)
            if size is not None and (folder / "run.json.journal").exists():
                seen.append((size, handles_of(parent.pid)))
            time.sleep(_SAMPLE_S)
    if not (folder / "run.json").exists():
        raise SystemExit(
            f"long_run: pytest exited with {parent.returncode}:\n{(folder / 'log').read_text()[-2000:]}"
        )
    found: Json = {"seconds": time.monotonic() - start, "code": parent.returncode}
    if waiting := seen[len(seen) // 20 : -max(1, len(seen) // 5)]:  # afterwards it reads the journal
        found["waiting"] = {
            "bytes": first_and_last([size for size, _ in waiting]),
            "handles": [waiting[0][1], waiting[-1][1]],
        }
    return found


def measure(python: str, cases: int, processes: int, folder: Path) -> Json:
    """Measure the cases in a folder, and return the figures of the run."""
    write_simulated(folder, cases // CASES_A_WIDTH, max(1, cases // LOGS))
    several = [] if processes == 0 else [f"--breakeven-processes={processes}"]
    found = run(folder, simulated_command(python, f"--benchmark-max-time={MAX_TIME_S}", *several))
    workers = [rows for (role, _), rows in by_process(held(folder)).items() if role == "worker"]
    content = load_json(str(folder / "run.json"))
    return {
        **found,
        "cases": cases,
        "processes": processes,
        "timed": len(content["benchmarks"]),
        "run_file_bytes": (folder / "run.json").stat().st_size,
        "each": [change_of(rows) for rows in workers or by_process(held(folder)).values()],
    }


def report(python: str, folder: Path) -> Json:
    """Report the run, and return what that takes and the size of the page."""
    page = folder / "page"
    done, shown = run_command("report", folder / "run.json", "-o", page, python=python)
    return {
        **done,
        "terminal_lines": len(shown.splitlines()),
        "page_bytes": (page / "index.html").stat().st_size,
        "output_bytes": sum(path.stat().st_size for path in page.rglob("*") if path.is_file()),
    }


def opened(page: Path, picture: Path | None) -> Json:
    """Open a page in Chromium; return the seconds until it is painted, and what it says it leaves out.

    Nothing if Chromium is not installed.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        return {}
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page()
        start = time.perf_counter()
        tab.goto(page.as_uri(), timeout=120_000)
        tab.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        seconds = time.perf_counter() - start
        text = tab.inner_text("body")
        elements = tab.evaluate("document.querySelectorAll('*').length")
        if picture is not None:
            tab.screenshot(path=picture, full_page=True)
        browser.close()
    lines = [line.strip() for line in text.splitlines() if _LEFT_OUT.search(line)]
    return {"open_s": seconds, "elements": elements, "says": [line[:200] for line in lines][:20]}


def slower(each: Sequence[Json]) -> float:
    """Return the typical time of the last cases of a process, relative to the first."""
    return median(one["slower"] for one in each)


def table(found: Json) -> str:
    """Return the figures with their bounds."""
    each, rows = found["each"], []

    def row(name: str, value: str, bound: str, is_kept: bool) -> None:
        rows.append([name, value, bound, "kept" if is_kept else "exceeded"])

    kept = max(one["bytes_a_case"] for one in each)
    row("memory kept of a case, worst process", f"{kept / 1e3:.1f} kB", f"{MAX_BYTES_A_CASE / 1e3} kB",
        kept <= MAX_BYTES_A_CASE)  # fmt: skip
    first, last = (max(one["device_bytes"][at] for one in each) for at in (0, 1))
    row("alive on the device, first and second half", f"{first:,} and {last:,} bytes",
        f"{MAX_DEVICE_BYTES:,} more", last <= first + MAX_DEVICE_BYTES)  # fmt: skip
    more = max(one["handles"][1] - one["handles"][0] for one in each)
    row("more open handles", str(more), "0", more <= 0)
    more = max(one["threads"][1] - one["threads"][0] for one in each)
    row("more threads", str(more), "0", more <= 0)
    ratio = slower(each)
    row("CPU time of a case, last fifth over first", f"{ratio:.2f}x", f"{MAX_SLOWER}x", ratio <= MAX_SLOWER)
    if "waiting" in found:
        start, end = found["waiting"]["bytes"]
        row("memory of the waiting parent", f"{start / 1e6:.0f} to {end / 1e6:.0f} MB", "2 MB more",
            end - start <= 2 << 20)  # fmt: skip
    if seconds := found.get("page", {}).get("open_s"):
        row("opening the page", f"{seconds:.1f} s", f"{MAX_OPENING_S} s", seconds <= MAX_OPENING_S)
    return markdown(["figure", "value", "at most", "bound"], rows)


def long_run(python: str, cases: int, processes: int, picture: Path | None = None) -> Json:
    """Measure, report and open; return all figures."""
    with tempfile.TemporaryDirectory(prefix="long-run-") as name:
        folder = Path(name)
        found = measure(python, cases, processes, folder)
        found["report"] = report(python, folder)
        found["page"] = opened(folder / "page" / "index.html", picture)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print with the bounds, and write the file; 1 if a bound is exceeded."""
    given = parser().parse_args(arguments)
    found = long_run(given.python, given.cases, given.processes, given.picture)
    write(given.output / "long_run.json", {"versions": versions("breakeven", "torch"), "figures": found})
    shown = table(found)
    print(shown)
    print(f"{found['timed']:,} cases timed in {found['seconds']:.0f} s")
    print("\n".join(found["page"].get("says", ())))
    return 1 if "exceeded" in shown else 0


def parser() -> Any:
    """Return the command line."""
    made = options(__doc__, epilog="example:\n  python bench/harness/long_run.py --cases 1000 --processes 2")
    made.add_argument(
        "--cases", type=int, default=CASES, metavar="N", help=f"a multiple of {CASES_A_WIDTH} (%(default)s)"
    )
    made.add_argument(
        "--processes", type=int, default=PROCESSES, metavar="N",
        help="0: in pytest's own, without the option, as in version 1 (%(default)s)",
    )  # fmt: skip
    made.add_argument("--picture", type=Path, metavar="PNG", help="write the page as a picture")
    made.add_argument(
        "--python", default=sys.executable, metavar="PYTHON", help="of another installation (default: this)"
    )
    return made


if __name__ == "__main__":
    sys.exit(main())
