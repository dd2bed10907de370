"""Processes joined: the order of the rounds, what most of them found, and what was lost in which."""

import numpy as np
import pytest

from breakeven.runs.joining import NOT_REACHED, join, joined_machine, process_records, spent
from breakeven.runs.journal import LoadRead, read_journal
from support.journals import begun, ended, process, run_started, timed, untimed, write

ROUNDS = (1.0, 1.0, 1.0)


@pytest.fixture
def journal(tmp_path):
    """Return a function from lines to the journal of three processes."""
    return lambda *lines: read_journal(write(tmp_path / "run.json.journal", run_started(), *lines))


def test_rounds_in_the_order_of_the_processes(journal):
    """Also if a resumed run has appended an earlier one later."""
    joined = join(journal(timed("a", 2, 5.0), timed("a", 0, 3.0, 1.0), timed("a", 1, 2.0)), "a")
    assert list(joined.data) == [3.0, 1.0, 2.0, 5.0]
    assert list(joined.processes) == [2, 1, 1]
    assert (joined.lost, joined.failure, joined.outcome) == ({}, "", "")
    assert joined.benchmark == {"name": "a", "fullname": "a"}


def test_lost(journal):
    """A process without rounds counts 0, and is evidence of the flag."""
    found = journal(timed("a", 0, 1.0), process(1), untimed("a", 1, "timeout", "slow"), timed("b", 0, 1.0))
    joined = join(found, "a")
    assert list(joined.processes) == [1, 0, 0]
    assert joined.lost == {1: "timeout: slow"}
    assert joined.extra_info["flags"] == ["few_rounds", "lost"]
    assert joined.extra_info["evidence"] == {
        "few_rounds": {"rounds": 1},
        "lost": {"processes": {"1": "timeout: slow"}},
    }
    assert joined.failure == ""


@pytest.mark.parametrize("outcome", ["failed", "crashed"])
def test_failure(journal, outcome):
    found = journal(timed("a", 0, 1.0), untimed("a", 1, outcome, "bad"), untimed("a", 2, "crashed", "too"))
    assert join(found, "a").failure == f"{outcome}: bad"


def test_failure_after_it_was_timed(journal):
    line = timed("a", 1, 2.0)
    line.reason = "assert False"
    joined = join(journal(timed("a", 0, 1.0), line, timed("a", 2, 3.0)), "a")
    assert joined.failure == "failed: assert False"
    assert list(joined.data) == [1.0, 2.0, 3.0]


def test_flags_of_the_majority(journal):
    """With the evidence of the first process that gave the flag."""
    joined = join(
        journal(
            timed("a", 0, *ROUNDS, flags=["drift"], evidence={"drift": {"n": 0}}, first_call_s=7),
            timed("a", 1, *ROUNDS, flags=["drift", "steps"], evidence={"drift": {"n": 1}, "steps": {}}),
            timed("a", 2, *ROUNDS, first_call_s=9),
        ),
        "a",
    )
    assert joined.extra_info["flags"] == ["drift"]
    assert joined.extra_info["evidence"] == {"drift": {"n": 0}}
    assert joined.extra_info["first_call_s"] == 7
    assert joined.extra_info["warmup_rounds"] == 6


def test_precision_of_all_rounds(journal):
    """Each process alone is noisy at the target; together they reach it. Their levels do not count."""
    rng = np.random.default_rng(0)
    levels = (1.0, 1.3, 0.8)
    samples = [(level * np.exp(0.02 * rng.standard_normal(40))).tolist() for level in levels]
    lines = [
        timed("a", number, *sample, flags=["noisy"], evidence={"noisy": {}}, target_precision=0.006)
        for number, sample in enumerate(samples)
    ]
    info = join(journal(*lines), "a").extra_info
    assert info["flags"] == []
    assert info["half_width"] == pytest.approx(0.0045, rel=0.4)
    lines[0].extra_info["target_precision"] = 0.002
    info = join(journal(*lines), "a").extra_info
    assert info["evidence"] == {"noisy": {"half_width": info["half_width"], "wished": 0.002}}


def test_half_gives_no_flag(journal):
    lines = timed("a", 0, *ROUNDS, flags=["drift"]), timed("a", 1, *ROUNDS), untimed("a", 2)
    assert join(journal(*lines), "a").extra_info["flags"] == ["lost"]


def test_peak_memory(journal):
    lines = (timed("a", number, 1.0, peak_memory_bytes=peak) for number, peak in enumerate((5, 9, None)))
    assert join(journal(*lines), "a").extra_info["peak_memory_bytes"] == 9


def test_outcome_of_the_first_process(journal):
    found = journal(untimed("a", 0, "oom", "big", stack=["here"]), untimed("a", 1, "failed", "other"))
    joined = join(found, "a")
    assert (joined.outcome, joined.reason, joined.stack) == ("oom", "big", ["here"])
    assert not joined.is_timed


def test_not_reached(journal):
    joined = join(journal(process(0), begun("a")), "a")
    assert (joined.outcome, joined.reason) == ("skipped", NOT_REACHED)


def canary(**medians):
    return {"cpu": {when: {"median_s": median} for when, median in medians.items()}}


def test_canary_of_the_process_in_the_middle(journal):
    found = journal(
        process(0), ended(0, canary=canary(start=1.0, end=5.0), end="A"),
        process(1), ended(1, canary=canary(start=9.0, end=4.0), end="B", start="not this"),
        process(2), ended(2, canary=canary(start=2.0) | {"cuda": {"start": {"error": "no"}}}, end="C"),
    )  # fmt: skip
    state = joined_machine(found)["state"]
    assert state["canary"] == {
        "cpu": {"start": {"median_s": 2.0}, "end": {"median_s": 5.0}}, "cuda": {"start": {"error": "no"}}
    }  # fmt: skip
    assert state["end"] == "C"


def test_retimed(journal):
    found = journal(process(0), ended(0, retimed=[1]), process(1), ended(1, retimed=[2, 3]))
    assert joined_machine(found)["state"]["retimed"] == [1, 2, 3]


def test_records(journal):
    """A process that was killed has no end, and costs nothing that is known."""
    found = journal(process(0), ended(0, canary={}), process(1))
    assert process_records(found) == [
        {"seed": 0, "order": [], "canary": {}, "retimed": [], "spent_s": {"timing": 1.5}, "wall_s": 2.0},
        {"seed": 1, "order": []},
    ]
    assert spent(found) == {"timing": 1.5}


def test_records_of_groups(journal):
    """They are beside those of the processes of the same index, and do not replace their facts."""
    group = {"device": "2xcpu"}
    found = journal(
        process(0), ended(0, start="A", canary={"cpu": {"start": {"median_s": 1.0}}}),
        process(0, **group), ended(0, **group, start="B", canary={"2xcpu": {"start": {"median_s": 2.0}}}),
    )  # fmt: skip
    assert [one.get("device") for one in process_records(found)] == [None, "2xcpu"]
    assert spent(found) == {"timing": 3.0}
    state = joined_machine(found)["state"]
    assert state["start"] == "A"
    assert set(state["canary"]) == {"cpu", "2xcpu"}


def test_the_look_of_the_first_that_looked(journal):
    found = journal(process(0), process(1, look={"load": 1}), process(2, look={"load": 2}))
    assert joined_machine(found) == {"class_id": "x", "state": {"look": {"load": 1}}}


@pytest.mark.parametrize("lines", [(), (ended(0),)])
def test_loads(journal, lines):
    """All that were read between processes, also where no process has ended."""
    loads = [LoadRead(load={"cpus": 2, "lost_cpus": lost}) for lost in (0.1, 0.5)]
    state = joined_machine(journal(process(0), *lines, *loads))["state"]
    assert state["loads"] == [line.load for line in loads]


def test_no_process(journal):
    assert joined_machine(journal()) == {}
