"""`breakeven doctor --against`: exit codes, which card is taken, and the output."""

import json
from dataclasses import replace
from functools import partial

import jsonschema
import pytest

from breakeven import cli
from breakeven.commands import find_card
from breakeven.doctor import against
from breakeven.doctor.against_output import AgainstJson
from breakeven.hardware import devices
from breakeven.hardware import machine as machines
from breakeven.hardware.devices import accelerator_kind
from breakeven.predict import cards
from breakeven.predict.cards import Number, write_card
from breakeven.render.json_output import json_schema
from support.machine_cards import CARD, KINDS, machine, name_recipes
from support.run_files import benchmark, run, write

HERE = {**CARD.machine, "torch": "2.13.0"}


@pytest.fixture
def doctor(monkeypatch, capsys, tmp_path):
    """Return a function that runs the command on a machine with an H100, which is as a card predicts.

    The only card that comes with the package is `CARD`. It returns the exit code and both outputs.
    """
    monkeypatch.setattr(devices, "accelerator_kind", lambda: "cuda")
    monkeypatch.setattr(machines, "class_facts", lambda: HERE)
    path = tmp_path / "shipped" / "h100-16core.json"
    path.parent.mkdir()
    write_card(CARD, path)
    monkeypatch.setattr(cards, "shipped_cards", lambda: {"h100-16core": path})

    def run(*arguments, like=CARD, take=None):
        settings = {"take": take or machine(like), "count": KINDS.__getitem__}
        with monkeypatch.context() as patch:
            patch.setattr(against, "compare_with", partial(against.compare_with, **settings))
            name_recipes(patch)
            code = cli.main(["doctor", *arguments])
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("factor", "code", "fit", "place"),
    [(1, 0, True, "inside"), (3, 3, False, "slower"), (0.2, 0, True, "faster")],
)
def test_json(doctor, factor, code, fit, place):
    reached, out, err = doctor(
        "--against", "h100-16core", "--format", "json", like=CARD.slowed(Number.LAUNCHES, factor)
    )
    content = json.loads(out)
    jsonschema.validate(content, json_schema(AgainstJson))
    assert (reached, err) == (code, "")
    assert (content["card"], content["fit"], content["processes"]) == ("h100-16core", fit, 3)
    launches = content["numbers"][0]
    assert (launches["number"], launches["place"]) == ("launches", place)
    assert launches["slowdown"] == pytest.approx(factor, rel=0.01)
    assert (launches["expected"], launches["unit"]) == (4e-5, "s")
    assert launches["measured"] == pytest.approx(4e-5 * factor, rel=0.01)
    assert content["warnings"] == []


def test_terminal(doctor):
    code, out, err = doctor("--against", "h100-16core", like=CARD.slowed(Number.LAUNCHES, 2.5))
    assert (code, err) == (3, "")
    assert "100 µs" in out
    assert (
        "launches 2.5x slower than this class: another process on the host's cores, or a power-saving" in out
    )
    assert out.endswith("Slower than h100-16core: launches 2.5x slower than this class.\n")


def test_what_is_not_measured(doctor):
    """It decides nothing, unless nothing was measured."""

    def taken(**failed):
        return lambda sizes: machine(CARD)(sizes) | failed

    code, out, _ = doctor("--against", "h100-16core", take=taken(copy="out of memory \x1b[31m"))
    assert (code, "not measured (out of memory \\x1b[31m): copy\n" in out) == (0, True)
    code, out, _ = doctor("--against", "h100-16core", take=lambda sizes: dict.fromkeys(sizes, "no driver"))
    assert (code, out.splitlines()[-1]) == (3, "Not compared with h100-16core: no probe step could be timed.")


def test_a_number_that_the_card_hardly_knows(doctor, tmp_path):
    """The card's reason for a wide interval is shown."""
    path = tmp_path / "vague.json"
    write_card(replace(CARD, name="vague", log_sds={**CARD.log_sds, "bfloat16": 1.5}), path)
    line = "the card knows its arithmetic in bfloat16 only within 12x"
    out = " ".join(doctor("--against", str(path))[1].split())
    assert f"arithmetic bfloat16: {line}, so its interval is wide" in out
    numbers = json.loads(doctor("--against", str(path), "--format", "json")[1])["numbers"]
    assert {one["format"]: one["widened"] for one in numbers if line in one["widened"]} == {
        "bfloat16": [line]
    }


def test_the_card_of_this_class(doctor, monkeypatch):
    """By hardware: another torch is of the class, another host, whose launches take another time, is not."""
    code, out, _ = doctor("--against", "--format", "json")
    assert (code, json.loads(out)["card"]) == (0, "h100-16core")
    monkeypatch.setattr(machines, "class_facts", lambda: {**HERE, "cpu": "EPYC"})
    code, out, err = doctor("--against")
    assert (code, out) == (3, "")
    assert err == (
        "breakeven: nothing to compare: no card that comes with breakeven is of this class (H100, EPYC, 16 "
        "cores); name one with --against, or a run file\n"
    )


def test_of_several_cards_that_which_agrees_in_more_facts(monkeypatch, tmp_path):
    paths = {}
    for name, torch in (("old", "2.11.0"), ("new", "2.13.0"), ("other", "2.13.0")):
        facts = {**CARD.machine, "torch": torch, "gpu": "H200" if name == "other" else "H100"}
        paths[name] = tmp_path / name
        write_card(replace(CARD, name=name, machine=facts), paths[name])
    monkeypatch.setattr(cards, "shipped_cards", lambda: paths)
    assert cards.card_of_class(HERE).name == "new"
    assert cards.card_of_class({**HERE, "torch": "2.11.0"}).name == "old"
    assert cards.card_of_class({**HERE, "gpu": "A100"}) is None


def test_a_card_of_other_hardware(doctor, tmp_path):
    """It is named by its file; the difference is a warning."""
    path = tmp_path / "mine.json"
    write_card(replace(CARD, name="mine", machine={**CARD.machine, "gpu": "H200"}), path)
    code, out, _ = doctor("--against", str(path), "--format", "json")
    content = json.loads(out)
    assert (code, content["card"]) == (0, "mine")
    assert content["warnings"] == ["the card is of other hardware: gpu H200 (here H100)"]


def test_a_run_file(doctor, monkeypatch, tmp_path):
    """A card is fitted to it."""
    fitted = []
    monkeypatch.setattr(find_card, "fitted", lambda runs, *_: fitted.append(runs.runs[0].path) or CARD)
    path = write(tmp_path / "their.json", run([benchmark([1.0], device="cuda")]))
    assert doctor("--against", path)[0] == 0
    assert fitted == [path]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            "a100",
            "--against 'a100': neither a card that comes with breakeven nor a file; choose from h100-16core, "
            "or give a card file or a run file of the machine",
        ),
        ("h100-16cores", "neither a card that comes with breakeven nor a file; did you mean 'h100-16core'?"),
        ("", "'' is not a path"),
    ],
)
def test_not_a_card(doctor, given, line):
    code, out, err = doctor("--against", given)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert line in err


def test_another_file(doctor, tmp_path):
    path = write(tmp_path / "x.json", {"schema": 1})
    code, _, err = doctor("--against", path)
    assert (code, err.count("\n")) == (2, 1)
    assert "is not a card" in err


def test_with_the_selftest(doctor):
    assert doctor("--against", "h100-16core", "--selftest")[0] == 2


@pytest.mark.skipif(accelerator_kind() is not None, reason="this machine has an accelerator")
@pytest.mark.parametrize("given", [[], ["h100-16core"]])
def test_without_an_accelerator(capsys, given):
    assert cli.main(["doctor", "--against", *given]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "breakeven: nothing to compare: torch sees no accelerator here; run this on a machine that has one\n"
    )
