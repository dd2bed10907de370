"""Which nodes measure, when, and what happens to a run that fails."""

import json
import os
from pathlib import Path

import pytest

from breakeven.errors import RunFileError
from breakeven.experiment.workspace import open_workspace
from breakeven.fleet.collect import Collector, check_whole
from breakeven.fleet.node import HOME, JOURNAL, LOG, RUN
from breakeven.fleet.plan import plan
from breakeven.fleet.schedule import Schedule, State, unmeasured
from support.fleets import (
    CLASSES,
    COMMIT,
    VERSION,
    FakeExecutor,
    crashes,
    dies,
    ends_with,
    fleet_of,
    measured,
    node,
    probe,
    run_file,
    waits,
    whole,
)
from support.journals import begun, process, run_started, timed, write


def hosts(executor):
    return [host for host, _ in executor.started]


def test_measures_up_to_the_instances_of_each_class_at_once(tmp_path):
    executor = FakeExecutor()
    schedule, lines = measured(tmp_path, fleet_of(4, 2), executor)
    assert hosts(executor) == ["host0", "host1", "host2", "host4", "host5"]
    assert (executor.most, executor.now, lines) == (5, 3.0, [])
    assert {row.state for row in schedule.rows.values()} == {State.DONE}
    assert sorted(schedule.collector.finished) == [
        "000000000000/i0000/run", "000000000000/i0001/run", "000000000000/i0002/run",
        "111111111111/i0004/run", "111111111111/i0005/run",
    ]  # fmt: skip
    assert (tmp_path / "111111111111" / "i0005" / RUN).exists()
    assert schedule.collector.finished["111111111111/i0005/run"].seconds == 2.0


def test_the_log_gives_the_progress(tmp_path):
    executor = FakeExecutor(scripts={"host0": [ends_with(0, ("run.log", b"process 2 of 5, case 3 of 4, x"))]})
    schedule, _ = measured(tmp_path, fleet_of(1), executor)
    assert schedule.rows["000000000000/i0000/run"].progress == "6/20"


def test_nodes_of_one_machine_take_turns(tmp_path):
    probes = {"id0": probe(), "id1": probe()}
    executor = FakeExecutor()
    schedule, _ = measured(tmp_path, plan([node(0), node(1)], probes, VERSION), executor)
    assert (executor.most, hosts(executor)) == (1, ["host0", "host1"])
    assert [name.split("/")[1] for name in schedule.collector.finished] == ["i0", "i0-2"]


def test_a_finished_run_is_never_measured_again(tmp_path):
    fleet = fleet_of(3)
    measured(tmp_path, fleet, FakeExecutor(), instances=2)
    executor = FakeExecutor()
    measured(tmp_path, fleet, executor, instances=3)
    assert hosts(executor) == ["host2"]
    again = FakeExecutor()
    schedule, _ = measured(tmp_path, fleet, again, instances=3)
    assert (again.started, len(schedule.collector.finished)) == ([], 3)


def test_a_dead_node_is_replaced_and_its_cases_are_kept(tmp_path):
    executor = FakeExecutor(scripts={"host0": [dies]})
    schedule, lines = measured(tmp_path, fleet_of(2), executor, instances=1)
    assert executor.started == [("host0", b""), ("host1", b"")]
    assert (tmp_path / "000000000000" / "i0000" / JOURNAL).read_bytes() == b"{}\n"
    assert lines == ["host0 (0000, 8 cores): the node died"]
    states = {row.place.node.host: row.state for row in schedule.rows.values()}
    assert states == {"host0": State.LOST, "host1": State.DONE}


def test_a_run_resumes_on_its_own_machine_only(tmp_path):
    executor = FakeExecutor(scripts={"host0": [crashes, whole]})
    schedule, _ = measured(tmp_path, fleet_of(1), executor, instances=1)
    assert executor.started == [("host0", b""), ("host0", b"{}\n")]
    directory = tmp_path / "000000000000" / "i0000"
    assert sorted(path.name for path in directory.iterdir()) == [RUN, "run.log"]
    assert (directory / "run.log").read_text().startswith("breakeven: process 1")  # that of the last attempt
    assert list(schedule.collector.finished) == ["000000000000/i0000/run"]


def test_fresh_does_not_resume(tmp_path):
    measured(tmp_path, fleet_of(1), FakeExecutor(scripts={"host0": [dies]}))
    executor = FakeExecutor()
    measured(tmp_path, fleet_of(1), executor, resumes=False)
    assert executor.started == [("host0", b"")]


def test_a_journal_of_other_code_is_set_aside(tmp_path):
    measured(tmp_path, fleet_of(1), FakeExecutor(scripts={"host0": [dies]}))
    executor = FakeExecutor(scripts={"host0": [ends_with(4), whole]})
    schedule, lines = measured(tmp_path, fleet_of(1), executor)
    assert executor.started == [("host0", b"{}\n"), ("host0", b"")]
    assert "its earlier cases cannot be used" in lines[0]
    assert len(schedule.collector.finished) == 1


def test_lost_runs_are_started_again_a_limited_number_of_times(tmp_path):
    executor = FakeExecutor(scripts={f"host{number}": [dies] for number in range(9)})
    schedule, lines = measured(tmp_path, fleet_of(9), executor, instances=1)
    assert hosts(executor) == ["host0", "host1", "host2"]
    assert (len(lines), list(unmeasured(schedule))) == (3, ["0000, 8 cores"])


@pytest.mark.parametrize("status", [2, 4, 5])
def test_an_error_of_the_command_is_not_repeated_elsewhere(tmp_path, status):
    executor = FakeExecutor(scripts={"host0": [ends_with(status)]})
    _, lines = measured(tmp_path, fleet_of(2), executor, instances=1)
    log = tmp_path / "000000000000" / "i0000" / "run.log"
    assert lines == [
        f"host0 (0000, 8 cores): pytest ended with {status}, last output: collected 0 items (log: {log})"
    ]
    assert hosts(executor) == ["host0"]


def test_a_failed_case_costs_only_itself(tmp_path):
    fleet = fleet_of(1)
    place = fleet.classes["0" * 12][0]
    executor = FakeExecutor(scripts={"host0": [ends_with(1, (RUN, run_file(place)))]})
    schedule, lines = measured(tmp_path, fleet, executor)
    assert (lines, [run.exit for run in schedule.collector.finished.values()]) == ([], [1])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "pytest wrote no run file"),
        (b'{"machine_info": {', "is not a whole run file"),
        ("threads", "its run does not have the node's settings: threads is 1 and was 0"),
    ],
)
def test_a_wrong_run_file_is_that_node_s_error(tmp_path, content, problem):
    fleet = fleet_of(2)
    place = fleet.classes["0" * 12][0]
    data = run_file(place, threads=1) if content == "threads" else content
    pieces = () if data is None else ((RUN, data),)
    executor = FakeExecutor(scripts={"host0": [ends_with(0, *pieces)]})
    schedule, lines = measured(tmp_path, fleet, executor, instances=1)
    assert problem in lines[0]
    assert (hosts(executor), list(schedule.collector.finished)) == (
        ["host0", "host1"],
        ["000000000000/i0001/run"],
    )


def test_a_node_that_is_never_free_is_given_up(tmp_path):
    executor = FakeExecutor(scripts={"host0": [waits]})
    schedule, lines = measured(tmp_path, fleet_of(2), executor, instances=1, wait_s=60.0)
    assert lines == [
        "host0 (0000, 8 cores): it did not begin within 60 s (2 of 8 CPUs of the cluster are free); "
        "free the node, or wait longer with --wait"
    ]
    assert (executor.stopped, len(schedule.collector.finished)) == (["host0"], 1)


def test_an_interrupt_keeps_what_arrived(tmp_path):
    executor, lines = FakeExecutor(scripts={"host1": [waits]}), []
    with open_workspace(tmp_path, {}, "now", fresh=False) as workspace:
        schedule = Schedule(
            fleet_of(2), 2, executor, Collector(workspace, COMMIT), executor.clock, 300.0, lines.append
        )

        def interrupt(row):
            if row.state is State.DONE:
                raise KeyboardInterrupt

        schedule.changed = interrupt
        with pytest.raises(KeyboardInterrupt):
            schedule.run()
        schedule.stop()
    assert (executor.stopped, list(workspace.runs)) == (["host1"], ["000000000000/i0000/run"])


def test_run_files_have_the_commit_of_the_working_directory(tmp_path):
    """A node has no repository: what it records, and what a dead one had finished, gets the commit here."""
    lines = run_started(["a"]), process(0), begun("a"), timed("a", 0, 0.1, 0.2)
    journal = write(tmp_path / "journal", *lines).read_bytes()
    executor = FakeExecutor(scripts={"host0": [ends_with(3, (JOURNAL, journal))]})
    schedule, _ = measured(tmp_path / "out", fleet_of(2), executor, instances=2)
    contents = [json.loads(path.read_bytes()) for path in schedule.collector.run_files()]
    assert [content["commit_info"] for content in contents] == [COMMIT, COMMIT]
    assert [len(content["benchmarks"]) for content in contents] == [1, 1]


def test_a_usage_error_is_not_tried_on_the_next_node_of_the_machine(tmp_path):
    probes = {"id0": probe(), "id1": probe()}
    executor = FakeExecutor(scripts={f"host{number}": [ends_with(4)] for number in range(2)})
    _, lines = measured(tmp_path, plan([node(0), node(1)], probes, VERSION), executor)
    assert (hosts(executor), len(lines)) == (["host0"], 1)


def test_a_run_that_was_killed_is_the_node_s_error(tmp_path):
    probes = {"id0": probe(), "id1": probe()}
    executor = FakeExecutor(scripts={"host0": [ends_with(-9)]})
    schedule, _ = measured(tmp_path, plan([node(0), node(1)], probes, VERSION), executor)
    assert (hosts(executor), list(schedule.collector.finished)) == (
        ["host0", "host1"],
        [f"{CLASSES[0]}/i0-2/run"],
    )


def test_a_repeated_reason_is_reported_once(tmp_path):
    """Also where only the directories differ: that of the log, and that of the run on its node."""
    roots = [(LOG, f"rootdir: /tmp/{HOME}{name}\n".encode()) for name in ("ab_1", "cd_2", "ef_3")]
    endings = [ends_with(status, root) for status, root in zip((4, 4, 5), roots, strict=True)]
    executor = FakeExecutor(scripts={f"host{number}": [one] for number, one in enumerate(endings)})
    _, lines = measured(tmp_path, fleet_of(1, 1, 1), executor)
    assert [line.partition(", last output")[0] for line in lines] == [
        "host0 (0000, 8 cores): pytest ended with 4",
        "host1 (1111, 8 cores): the same as on host0",
        "host2 (2222, 8 cores): pytest ended with 5",
    ]


def test_a_node_that_crashes_twice(tmp_path):
    _, lines = measured(tmp_path, fleet_of(1), FakeExecutor(scripts={"host0": [crashes, crashes, whole]}))
    assert lines == ["host0 (0000, 8 cores): out of memory", "host0 (0000, 8 cores): the same again"]


@pytest.mark.parametrize("text", ['"median": NaN', '"median": Infinity'])
def test_a_run_file_with_what_json_lacks(tmp_path, text):
    """It is whole, as every reader of run files takes it."""
    path = tmp_path / "run.json"
    path.write_text('{"machine_info": {"a": 1}, "benchmarks": [{' + text + "}]}")
    found = check_whole(path)
    assert (found.machine_info, len(found.benchmarks)) == ({"a": 1}, 1)


def test_not_a_whole_run_file(tmp_path):
    (tmp_path / "cut.json").write_text('{"machine_info": {"a": NaN}, "benchmarks": [')
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "cut.json", tmp_path / "pipe", Path("/dev/zero"), tmp_path / "none"):
        with pytest.raises(RunFileError, match="is not a whole run file"):
            check_whole(path)
