"""The table of a fleet on a terminal, and its lines elsewhere."""

import io

from rich.console import Console

from breakeven.fleet.schedule import Row, State
from breakeven.fleet.table import MAX_ROWS, Display
from support.fleets import fleet_of

PLACES = fleet_of(MAX_ROWS + 2).classes["0" * 12]


def rows():
    running = Row(PLACES[1], State.RUNNING, 0.0, 5.0, "6/20")
    return [Row(PLACES[0], State.DONE, 10.0), running, Row(PLACES[2], State.WAITING, 12.0, 12.0)]


def drawn(shown):
    console = Console(file=io.StringIO(), width=90)
    console.print(Display(lambda: shown, lambda: 65.0, lambda _: None, None).table())
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_running_nodes_come_first():
    header, *lines = drawn(rows())
    assert header.split() == ["machine", "class", "machine", "state", "cases", "time"]
    assert [" ".join(line.split()) for line in lines] == [
        "0000, 8 cores host1 running 6/20 60 s",
        "0000, 8 cores host10 waiting 53 s",
        "0000, 8 cores host0 done",
    ]


def test_a_large_fleet_is_cut():
    lines = drawn([Row(place, State.DONE, 0.0) for place in PLACES])
    assert (len(lines), lines[-1].strip()) == (MAX_ROWS + 2, "and 2 more nodes")


def test_a_pipe_has_a_line_for_each_change():
    lines = []
    row = Row(PLACES[0], State.WAITING, 0.0, 0.0)
    with Display(lambda: [row], lambda: 30.0, lines.append, None) as display:
        for state, progress in ((State.WAITING, ""), (State.RUNNING, ""), (State.RUNNING, "1/2")):
            row.state, row.progress = state, progress
            display.changed(row)
        row.state = State.DONE
        display.changed(row)
    assert lines == ["0000, 8 cores, host0: running", "0000, 8 cores, host0: done in 30 s"]


def test_a_terminal_gets_a_table():
    console = Console(file=io.StringIO(), width=90, force_terminal=True)
    lines = []
    with Display(rows, lambda: 65.0, lines.append, console) as display:
        display.changed(rows()[1])
    assert lines == []
    assert "running" in console.file.getvalue()
