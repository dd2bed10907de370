"""A run in several processes that keeps a journal, and does nothing else: what `kills.py` kills.

The first time, the second process waits in its third case to be killed. FAULT is what a resumed run does
wrong: ``loses`` the last finished case, ``repeats`` what was finished, or leaves ``nothing`` behind.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

CASES = ["bench.py::a", "bench.py::b", "bench.py::c", "bench.py::d"]
JOURNAL, RUN_FILE, STRUCK = Path("run.json.journal"), Path("run.json"), Path("struck")
FAULT = os.environ.get("FAULT", "")


def append(**line):
    with JOURNAL.open("a") as file:
        file.write(json.dumps(line) + "\n")


def ended():
    found = [json.loads(line) for line in JOURNAL.read_text().splitlines()]
    return {(line["process"], line["case"]): line["data"] for line in found if line["kind"] == "end"}


def worker(process):
    start = sum(map(len, ended().values()))
    for number, case in enumerate(CASES):
        if (process, case) not in ended():
            if (process, number) == (1, 2) and not (
                Path("struck").exists() or "--breakeven-resume" in sys.argv
            ):
                Path("struck").touch()
                signal.pause()
            data = [start + number + 0.5] * (number + 1)
            append(kind="end", process=process, case=case, outcome="timed", data=data)


def main():
    if "BREAKEVEN_WORKER" in os.environ:
        worker(int(os.environ["BREAKEVEN_WORKER"]))
        return
    if "--breakeven-resume" not in sys.argv:
        append(kind="run")
    elif FAULT == "loses":
        JOURNAL.write_text("".join(JOURNAL.read_text().splitlines(keepends=True)[:-1]))
    elif FAULT == "repeats":
        JOURNAL.rename("run.json.journal.old")
        append(kind="run")
        append(kind="end", process=0, case=CASES[0], outcome="timed", data=[99.0])
    for process in range(3):
        while not all((process, case) in ended() for case in CASES):
            environment = {**os.environ, "BREAKEVEN_WORKER": str(process)}
            subprocess.run([sys.executable, *sys.argv], env=environment)
    benchmarks = []
    for case in CASES:
        rounds = [ended()[process, case] for process in range(3)]
        info = {"processes": [len(each) for each in rounds]}
        data = [seconds for each in rounds for seconds in each]
        benchmarks.append({"fullname": case, "stats": {"data": data}, "extra_info": info})
    if FAULT != "nothing":
        RUN_FILE.write_text(json.dumps({"benchmarks": benchmarks}))
    JOURNAL.unlink()


main()
