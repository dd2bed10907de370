"""The output and exit codes of `breakeven doctor`, with and without `--selftest`."""

import json

import jsonschema
import pytest

from breakeven import cli
from breakeven.doctor.output import CheckupJson, SelfTestJson
from breakeven.doctor.selftests.suite import Check
from breakeven.render.json_output import json_schema
from support.frozen_machine import BUSY, HEALTHY, freeze, replay


@pytest.fixture
def doctor(monkeypatch, capsys):
    """Return a function that runs the command on a replaced machine: exit code, standard output."""

    def run(found, *arguments):
        if isinstance(found, list):
            replay(monkeypatch, found)
        else:
            freeze(monkeypatch, found)
        code = cli.main(["doctor", *arguments])
        shown = capsys.readouterr()
        assert shown.err == ""
        return code, shown.out

    return run


@pytest.mark.parametrize(("found", "code"), [(HEALTHY, 0), (BUSY, 3)])
def test_json(doctor, found, code):
    reached, out = doctor(found, "--format", "json")
    content = json.loads(out)
    jsonschema.validate(content, json_schema(CheckupJson))
    assert reached == code
    assert content["fit"] is (code == 0)
    assert [device["name"] for device in content["devices"]] == ["cpu", "cuda"]


def test_json_of_this_machine(capsys):
    code = cli.main(["doctor", "--format", "json"])
    content = json.loads(capsys.readouterr().out)
    jsonschema.validate(content, json_schema(CheckupJson))
    assert code == (0 if content["fit"] else 3)


@pytest.mark.parametrize("reached", [0.95, None, float("nan")])
def test_selftest_json(doctor, reached):
    """NaN is written as null."""
    code, out = doctor([Check("coverage", reached, 0.93)], "--selftest", "--format", "json")
    content = json.loads(out)
    jsonschema.validate(content, json_schema(SelfTestJson))
    assert code == (0 if reached == 0.95 else 1)
    assert content["checks"][0]["reached"] == (0.95 if reached == 0.95 else None)
