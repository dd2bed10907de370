"""What measuring in several processes costs beside the cases; writes ``coordinator.json``.

The seconds of a process beside its cases, the memory of the parent while thousands of cases are measured,
what the journal costs a case, and how long a file of five processes takes to read.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from journals import Watch, lines
from shared import Json, options, summary, versions, write
from small_bench import command, environment, write_bench
from speed import cells, write_run

from breakeven.report.report import analyze
from breakeven.runs.json_files import load_json
from breakeven.runs.reader import read
from breakeven.stats.intervals import ratio_of_draws, resampled_medians

PROCESSES = 5
ROUNDS = 200
LINES = 2000
FILE_CASES = 500
SAMPLE_S = 0.1

MAX_PROCESS_S, MAX_JOURNAL_S, MAX_READING = 4.0, 1e-3, 1.1
MAX_GROWTH_BYTES = 2 << 20
"""A parent that keeps nothing of a case but how it ended stays below this for 2,000 cases."""


def run(folder: Path, arguments: Sequence[str], watched: Callable[[subprocess.Popen[bytes]], None]) -> Json:
    """Run the command and return the content of its run file; `watched` is called once it has started.

    Raises:
        SystemExit: it wrote none.
    """
    log, run_file = folder / "log", folder / "run.json"
    run_file.unlink(missing_ok=True)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            arguments, cwd=folder, env=environment(), stdout=stream, stderr=subprocess.STDOUT
        )
        watched(process)
        code = process.wait()
    if not run_file.exists():
        raise SystemExit(f"coordinator: pytest exited with {code}; see\n{log.read_text()[-2000:]}")
    content: Json = load_json(str(run_file))
    return content


def beside_the_cases(content: Json, wall_s: float) -> float:
    """Return the seconds of a run that were not spent in cases, per process."""
    processes = content["breakeven"]["processes"]
    return (wall_s - sum(sum(one["spent_s"].values()) for one in processes)) / len(processes)


def process_cost(repetitions: int) -> Json:
    """Return the seconds per process beside the cases, of runs of five processes."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_bench(folder, [1, 16], [4])
        for repetition in range(repetitions):
            start = time.perf_counter()
            content = run(folder, command(PROCESSES, 0.5), lambda _: None)
            found.append(beside_the_cases(content, time.perf_counter() - start))
            _progress(f"{repetition + 1} of {repetitions}: {found[-1]:.2f} s a process beside the cases")
    return {**summary(found), "bound_s": MAX_PROCESS_S}


def resident_bytes(process: int) -> int | None:
    """Return the memory of a process, None if it has ended."""
    try:
        status = (Path("/proc") / str(process) / "status").read_text()
    except OSError:
        return None
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return 1024 * int(found[0]) if found else None


def parent_memory(count: int) -> Json:
    """Return the memory of the parent from the first case to the last, in a run of one process."""
    samples: list[tuple[int, int]] = []

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_bench(folder, range(1, count // 40 + 1), range(1, 41))
        with Watch(folder / "run.json.journal") as watch:

            def sample(process: subprocess.Popen[bytes]) -> None:
                while process.poll() is None:
                    size = resident_bytes(process.pid)
                    if size is not None and watch.has_begun:
                        samples.append((watch.read().count(b"\n"), size))
                        if len(samples) % round(30 / SAMPLE_S) == 0:
                            _progress(f"{samples[-1][0]} lines, parent {size / 1e6:.0f} MB")
                    time.sleep(SAMPLE_S)

            run(folder, command(1, 0.02), sample)
        kinds = [line["kind"] for line in lines(watch.read())]
    return growth(samples, kinds)


def growth(samples: Sequence[tuple[int, int]], kinds: Sequence[str]) -> Json:
    """Return the memory around the first and the last case.

    Args:
        samples: the number of lines in the journal, and the memory of the parent in bytes.
        kinds: of each line of the journal.
    """
    first, last = kinds.index("begin"), len(kinds) - 1 - kinds[::-1].index("end")
    measuring = [(count, size) for count, size in samples if first < count <= last + 1]
    tenth = max(1, len(measuring) // 10)
    start, end = (median(size for _, size in part) for part in (measuring[:tenth], measuring[-tenth:]))
    return {
        "cases": kinds.count("end"),
        "start_bytes": start,
        "end_bytes": end,
        "peak_bytes": max(size for _, size in measuring),
        "growth_bytes": end - start,
        "bound_bytes": MAX_GROWTH_BYTES,
        "n": len(measuring),
    }


def journal_cost(count: int) -> dict[str, Json]:
    """Return the seconds of a case's two lines: appending them, and reading them on in the parent."""
    from breakeven.runs.journal import CaseEnded, CaseStarted, JournalFile, read_journal

    rng = np.random.default_rng(0)
    appending, reading = [], []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "run.json.journal"
        path.write_bytes(_header())
        journal, file = read_journal(path), JournalFile(path)
        for number in range(count):
            case, data = (
                f"bench_small.py::bench_small[{number}]",
                np.exp(rng.normal(-7, 0.05, ROUNDS)).tolist(),
            )
            start = time.perf_counter()
            file.write(CaseStarted(process=0, case=case))
            file.write(CaseEnded(process=0, case=case, outcome="timed", data=data, extra_info=_FACTS))
            middle = time.perf_counter()
            for _ in journal.read_on():
                pass
            appending.append(middle - start)
            reading.append(time.perf_counter() - middle)
        file.close()
    return {
        "appending a case to the journal": {**summary(appending), "bound_s": MAX_JOURNAL_S},
        "reading it on in the parent": {**summary(reading), "bound_s": MAX_JOURNAL_S},
    }


_FACTS = {
    "schema": 1, "workload": "small", "phase": "train", "device": "cpu@1", "batch_size": 16,
    "axes": {"width": 4}, "flags": ["noisy"], "evidence": {"noisy": {"half_width": 0.031}}, "steps": 52,
    "device_name": "a processor", "threads": 1, "first_call_s": 0.012, "warmup_rounds": 12,
    "half_width": 0.031, "parameters": 10, "flops": 1536, "moved_bytes": 4096, "target_precision": 0.02,
}  # fmt: skip


def _header() -> bytes:
    from breakeven.runs.journal import RunStarted, encoded

    return encoded(
        RunStarted(
            schema=1, pid=1, began="2026-01-01T00:00:00", command="pytest", processes=1, seed=0, cases={},
            sources={}, settings={}, machine_info={}, commit_info={},
        )
    ) + b"\n"  # fmt: skip


def reading(turns: int) -> dict[str, Json]:
    """Return a file of five processes relative to the same rounds as one process, by turns."""
    with tempfile.TemporaryDirectory() as name:
        one, five = Path(name) / "one.json", Path(name) / "five.json"
        write_run(one, cells(FILE_CASES // 2), ROUNDS, "one", ["train"])
        five.write_text(json.dumps(in_processes(load_json(str(one)), PROCESSES)))
        return {
            "reading five processes over one": {
                **by_turns(lambda: read([five]), lambda: read([one]), turns), "bound": MAX_READING,
            },
            "reading and analyzing them": by_turns(
                lambda: analyze(read([five])), lambda: analyze(read([one])), max(5, turns // 4)
            ),
        }  # fmt: skip


def in_processes(content: Json, processes: int) -> Json:
    """Return the content of a run file whose rounds come from that many processes."""
    for benchmark in content["benchmarks"]:
        parts = np.array_split(benchmark["stats"]["data"], processes)
        benchmark["extra_info"]["processes"] = list(map(len, parts))
    return content


def by_turns(
    work: Callable[[], object],
    other: Callable[[], object],
    turns: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Json:
    """Return the ratio of the seconds of two pieces of work, which take turns, with its 95% interval."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns):
        for side in (0, 1) if turn % 2 else (1, 0):
            start = clock()
            (work, other)[side]()
            times[side].append(clock() - start)
    rng = np.random.default_rng(0)
    centers = [median(side) for side in times]
    ratio = ratio_of_draws(centers[0], centers[1], *(resampled_medians(side, rng) for side in times))
    return {"ratio": ratio.ratio, "low": ratio.low, "high": ratio.high, "seconds": centers, "n": turns}


def report_lines(figures: dict[str, Json]) -> list[str]:
    """Return a line for each figure, with its bound and whether it is kept."""
    return [f"{name}: {_figure(figure)}" for name, figure in figures.items()]


def _figure(figure: Json) -> str:
    if "ratio" in figure:
        text = f"{figure['ratio']:.3f}x [{figure['low']:.3f}-{figure['high']:.3f}], n = {figure['n']}"
        bound = figure.get("bound")
        return text if bound is None else f"{text}, at most {bound}x: {_kept(figure['ratio'], bound)}"
    if "growth_bytes" in figure:
        mb = {name: figure[f"{name}_bytes"] / 1e6 for name in ("start", "end", "growth", "bound")}
        return (
            f"{mb['start']:.1f} MB at the first, {mb['end']:.1f} MB at the last of {figure['cases']} cases, "
            f"at most {mb['bound']:.1f} MB more: {_kept(figure['growth_bytes'], figure['bound_bytes'])}"
        )
    median_s, bound = figure["median_s"], figure["bound_s"]
    return f"{median_s:.3g} s, n = {figure['n']}, at most {bound} s: {_kept(median_s, bound)}"


def _kept(value: float, bound: float) -> str:
    return "kept" if value <= bound else "exceeded"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print with the bounds, and write the file."""
    given = parser().parse_args(arguments)
    figures: dict[str, Json] = {}
    for figure in measured(given):
        figures |= figure
        print("\n".join(report_lines(figure)), flush=True)
    write(given.output / "coordinator.json", {"versions": versions("breakeven", "torch"), "figures": figures})
    return 0


def measured(given: argparse.Namespace) -> Iterator[dict[str, Json]]:
    """Yield the figures by name, those that take longest last."""
    yield journal_cost(given.lines)
    yield reading(given.turns)
    if given.repetitions:
        yield {"a process beside its cases": process_cost(given.repetitions)}
    if given.cases:
        yield {"memory of the parent": parent_memory(given.cases)}


def _progress(text: str) -> None:
    print(f"coordinator: {text}", file=sys.stderr, flush=True)


def parser() -> Any:
    """Return the command line."""
    made = options(__doc__, epilog="example:\n  python bench/harness/coordinator.py")
    made.add_argument(
        "--repetitions", type=int, default=5, metavar="N", help="runs of five processes (%(default)s)"
    )
    made.add_argument(
        "--cases", type=int, default=2000, metavar="N",
        help="of the run whose parent's memory is read, a multiple of 40; 0 for none (%(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--lines", type=int, default=LINES, metavar="N", help="cases in the journal (%(default)s)"
    )
    made.add_argument("--turns", type=int, default=30, metavar="N", help="of reading (%(default)s)")
    return made


if __name__ == "__main__":
    sys.exit(main())
