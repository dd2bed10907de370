"""The fuzzer accepts valid files, repeats its inputs, and finds bugs that are planted; it finds no others.

`python tests/fuzz` is the long run.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

import breakeven.cli
from fuzz import corpus
from fuzz.attempts import Attempt, Kind, Limits, tried
from fuzz.campaign import COMMANDS, READERS, Campaign, names
from fuzz.commands import SCENARIOS
from fuzz.decoders import answered
from fuzz.mutations import as_json, changed_value
from fuzz.shells import Printed, checked, run_command

LIMITS = Limits(cpu_s=5.0, wall_s=60.0, memory_bytes=2**30)

FILES = "file|journal|plan|accepted|shards|noise|^card"

QUICK = (
    "^(predict( as json)?|report|compare|history check|history add|history accept|merge|recover|ab, resumed)$"
)
"""The command lines that take a tenth of a second."""


@pytest.fixture
def campaign(tmp_path, monkeypatch):
    """Return a function that makes a campaign in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return lambda name, only="", seed=0: Campaign(name, tmp_path, seed, only)


def found(made, count, limits=LIMITS):
    """Return what came of the first inputs of a campaign."""
    return list(made.run(range(count), limits, lambda *_: None))


def test_no_bug_in_readers(campaign):
    assert names(found(campaign(READERS, f"^(?!device$|fitted card$|prediction$|.*({FILES}))"), 200)) == []
    assert names(found(campaign(READERS, "^prediction$"), 20)) == []


def test_no_bug_in_commands(campaign):
    assert names(found(campaign(COMMANDS, QUICK), 20)) == []


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--readers=20000", "--commands=0"], ["--readers=0", "--commands=250"]])
def test_no_bug(tmp_path, words):
    """A minute of the long run, with other inputs for each run of CI."""
    seed = os.environ.get("GITHUB_RUN_NUMBER", "1")
    command = [sys.executable, Path(__file__).parent, *words, "--seed", seed, "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# The inputs -------------------------------------------------------------------------------------------------


def test_unchanged_files(tmp_path):
    """Before they are changed, every command accepts its files."""
    made = corpus.build(tmp_path / "work")
    codes = {}
    for scenario in SCENARIOS:
        if scenario.name not in ("doctor", "history show", "report on the page", "report in markdown"):
            with corpus.inside(tmp_path / "work"):
                corpus.place(scenario.files(made))
                codes[scenario.name] = run_command(scenario.words).code
    # They are given no folder of benchmarks, no repository, and a card in place of a run.
    refused = {"fleet": 2, "ci base": 2, "predict what is predicted": 2}
    judged = {"compare": 1, "compare as json": 1, "compare plain": 3, "ab, resumed": 3, "doctor against": 3}
    regressed = {"history check": 1, "history check as json": 1}
    assert codes == dict.fromkeys(codes, 0) | refused | judged | regressed


def test_inputs_reach_the_end(campaign):
    """Of each file's inputs, some are accepted and others are refused, and none finds a bug."""
    tried_on_files, answers = found(campaign(READERS, FILES), 350), {}
    assert names(tried_on_files) == []
    for one in tried_on_files:
        answers.setdefault(one.target, set()).add(one.answer.word)
    assert {name for name, words in answers.items() if words >= {"ok", "refused"}} == {
        "run file, to report", "run file, to compare", "whole run file", "shards", "journal", "accepted.json",
        "plan.json", "noise floor", "card",
    }  # fmt: skip


def test_inputs_repeat(campaign, tmp_path):
    """The number of an input decides about it, whichever was tried before."""

    def made(made_by, number):
        _, attempt = made_by.prepare(number)
        return attempt.what, corpus.files_in(".")

    first, second = campaign(READERS), campaign(READERS)
    for number in (3, 1, 2):
        made(first, number)
    assert made(first, 5) == made(second, 5)
    assert made(first, 5) != made(first, 6)


def test_nesting():
    assert as_json({"a": "<nested 3 [>", "b": "<nested 2 {>"}) == b'{"a": [[[]]], "b": {"a":{"a":1}}}'


def test_changes_leave_the_seed_alone():
    value = {"a": [1, {"b": 2}]}
    assert len({as_json(changed_value(value, Random(i))) for i in range(50)}) > 30
    assert value == {"a": [1, {"b": 2}]}


# Planted bugs -----------------------------------------------------------------------------------------------


def kinds(made, count, limits=LIMITS):
    """Return the kinds of problems that a campaign finds."""
    return {one.answer.problem.kind for one in found(made, count, limits) if one.answer.problem}


def test_finds_a_missing_check(campaign, monkeypatch):
    """A field that is used as an object, whatever it is."""
    monkeypatch.setattr("breakeven.runs.machine.mapping", lambda value: value)
    assert kinds(campaign(READERS, "^run file"), 60) == {Kind.TRACEBACK}


def test_finds_an_answer_that_is_trusted(campaign, monkeypatch):
    """A line of a process that counts, used as an object."""
    monkeypatch.setattr("breakeven.commands.counted.mapping", lambda value: value)
    assert kinds(campaign(READERS, "^answers"), 40) == {Kind.TRACEBACK}


def test_finds_a_hang(campaign, monkeypatch):
    """A pattern that is tried in every way."""
    monkeypatch.setattr("breakeven.globs.matches", backtracking)
    limits = Limits(cpu_s=0.2, wall_s=60.0)
    assert kinds(campaign(READERS, "^pattern$"), 8, limits) == {Kind.HANG}


def backtracking(pattern, name):
    """Match as version 1 did."""
    if not pattern or not name:
        return pattern.strip("*") == name
    if pattern[0] == "*":
        return any(backtracking(pattern[1:], name[i:]) for i in range(len(name) + 1))
    return pattern[0] in ("?", name[0]) and backtracking(pattern[1:], name[1:])


def test_finds_an_escape(campaign, monkeypatch):
    """A path from a file leads out of its directory."""
    monkeypatch.setattr("breakeven.history.store.safe_name", lambda class_id: f"/../../../{len(class_id)}")
    assert Kind.PATH in kinds(campaign(COMMANDS, "^history add$"), 5)


def test_finds_raw_text(campaign, monkeypatch):
    """The name of a case reaches the terminal as it is."""
    main = breakeven.cli.main

    def planted(words):
        print("\x1b[31m")
        return main(words)

    monkeypatch.setattr(breakeven.cli, "main", planted)
    assert Kind.OUTPUT in kinds(campaign(COMMANDS, "^merge$"), 2)


def test_kinds_of_problems():
    def endless():
        while True:
            pass

    def blocked():
        time.sleep(60)

    def filled():
        return bytearray(2**32)

    assert _kind(endless, cpu_s=0.1) == Kind.HANG
    assert _kind(blocked, wall_s=0.1) == Kind.HANG
    assert _kind(filled, memory_bytes=2**28) == Kind.MEMORY
    assert _kind(lambda: 1 / 0) == Kind.TRACEBACK
    assert _kind(lambda: sys.exit(1)) == Kind.TRACEBACK
    assert _kind(lambda: None) == "ok"


def _kind(act, **limits):
    return tried(Attempt("", lambda: answered(act)), Limits(**limits)).word


@pytest.mark.parametrize(
    ("words", "printed", "kind"),
    [
        (["report"], Printed(0, "fine\n", ""), "exit 0"),
        (["compare"], Printed(1, "", ""), "exit 1"),
        (["report"], Printed(1, "", ""), Kind.EXIT),
        (["report"], Printed(70, "", "breakeven: internal error\n"), Kind.TRACEBACK),
        (["report"], Printed(2, "", ""), Kind.MESSAGE),
        (["report"], Printed(0, "a\n::error::b\n", ""), Kind.OUTPUT),
        (["report"], Printed(0, "\x1b[31m", ""), Kind.OUTPUT),
        (["report", "--format", "json"], Printed(0, "[NaN]", ""), Kind.OUTPUT),
        (["report", "--format=json"], Printed(0, "[null]", ""), "exit 0"),
    ],
)
def test_answers(words, printed, kind):
    assert checked(words, printed).word == kind
