"""That a process which keeps something of each case is noticed, and how the logs are read."""

import json
import subprocess
import sys

import long_run
import pytest
from long_run import change_of, first_and_last, table
from simulated_bench import Held, by_process, held, write_simulated


def rows(role="worker", pid=7, *, kept=0, leaked=0, slower=0.0, alive=64, opened=15):
    """Logs at every tenth of 100 cases, of which each takes a second."""
    return [
        Held(role, pid, ended, ended * (1 + slower * ended), 10**8 + ended * kept, alive + ended * leaked,
             opened, 4, 9)
        for ended in range(10, 101, 10)
    ]  # fmt: skip


def test_first_and_last():
    assert first_and_last([1, 2, *range(100, 106), 8, 9]) == (1.5, 8.5)
    assert first_and_last([3]) == (3, 3)


def test_change():
    found = change_of(rows(kept=500))
    assert found["bytes_a_case"] == 500
    assert (found["handles"], found["threads"], found["device_bytes"]) == ([15, 15], [4, 4], [64, 64])
    assert (found["case_s"], found["slower"], found["cases"]) == ([1, 1], 1, 100)


def test_change_of_a_slower_process():
    found = change_of(rows(slower=0.005))
    first_s, last_s = found["case_s"]
    assert found["slower"] == last_s / first_s > 1.4


def test_processes(tmp_path):
    lines = [
        ",".join(map(str, (row.role, row.pid, row.ended, row.at_s, row.resident_bytes, row.tensor_bytes,
                           row.handles, row.threads, row.objects)))
        for row in [*rows(pid=7), *rows("parent", 8)]
    ]  # fmt: skip
    (tmp_path / "held.csv").write_text("\n".join(lines) + "\n")
    assert by_process(held(tmp_path)) == {("worker", 7): rows(pid=7), ("parent", 8): rows("parent", 8)}


@pytest.mark.parametrize(
    ("fault", "figure"),
    [
        ({"kept": 10_000}, "memory kept of a case"),
        ({"leaked": 1000}, "alive on the device"),
        ({"slower": 0.005}, "CPU time of a case"),
        ({}, None),
    ],
)
def test_bounds(fault, figure):
    exceeded = [
        line for line in table({"each": [change_of(rows(**fault))]}).splitlines() if "exceeded" in line
    ]
    assert [line.startswith(f"| {figure}") for line in exceeded] == [True] * (figure is not None)


def test_a_handle_left_open():
    opened = rows()[:-1] + rows(opened=16)[-1:]
    assert "| more open handles | 1 | 0 | exceeded |" in table({"each": [change_of(opened)]})


def test_a_parent_that_grows():
    found = {"each": [change_of(rows())], "waiting": {"bytes": (10**8, 2 * 10**8)}}
    assert "| memory of the waiting parent | 100 to 200 MB | 2 MB more | exceeded |" in table(found)


@pytest.mark.parametrize(("kept", "code"), [(0, 0), (10_000, 1)])
def test_exit_code(kept, code, tmp_path, monkeypatch):
    found = {
        "each": [change_of(rows(kept=kept))],
        "page": {"says": ["9 more models"]},
        "timed": 9,
        "seconds": 1,
    }
    monkeypatch.setattr(long_run, "long_run", lambda *_: found)
    assert long_run.main(["-o", str(tmp_path)]) == code
    assert json.loads((tmp_path / "long_run.json").read_text())["figures"]["timed"] == 9


def test_the_simulated_device(tmp_path):
    """It waits for its queue in real time, and its cases are collected."""
    write_simulated(tmp_path, 1, 10)
    source = (
        "import time, conftest\n"
        "conftest.DEVICE.enqueue(0.05)\n"
        "start = time.perf_counter()\n"
        "conftest.DEVICE.synchronize()\n"
        "print(time.perf_counter() - start)\n"
        "print(type(conftest.FAMILIES[0].parse('simulated')).__name__, conftest.FAMILIES[0].parse('cpu'))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    waited_s, parsed = shown.stdout.splitlines()
    assert 0.03 < float(waited_s) < 5
    assert parsed == "RealDevice None"
