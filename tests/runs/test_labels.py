"""Names of machine classes."""

import re

import pytest

from breakeven.errors import UsageError
from breakeven.runs.labels import names_of
from breakeven.runs.reader import read
from support.reports import box
from support.run_files import affine_run, write

THREE = {"a": ["home/run.json", "home/again.json"], "b": ["work/run.json"], "c": ["work/h100.json"]}


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([], {"a": "home", "b": "work", "c": "h100"}),
        ([("work/../home/run.json", "laptop")], {"a": "laptop", "b": "work", "c": "h100"}),
        ([("again.json", "laptop")], {"a": "laptop", "b": "work", "c": "h100"}),
        ([("again.json", "h100")], {"a": "h100", "b": "work", "c": "work"}),
        ([("h100.json", "run")], {"a": "home", "b": "work", "c": "run"}),
        ([("again.json", "x"), ("again.json", "x"), ("h100.json", "y")], {"a": "x", "b": "work", "c": "y"}),
    ],
)
def test_names(labels, names):
    """A label names the class of its run, found by its path or its file name."""
    assert names_of(THREE, labels) == (names, [])


def test_first_file_names_the_class():
    """Another label of the same class is reported."""
    labels = [("again.json", "second"), ("home/run.json", "first")]
    names, unused = names_of({"a": THREE["a"]}, labels)
    assert names == {"a": "first"}
    assert unused == [
        "--label home/again.json=second is not used: its machine class is named first, as home/run.json is"
    ]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [("tpu.json", "x")],
            "--label tpu.json=x: no such run; given: home/run.json, home/again.json, work/run.json, "
            "work/h100.json",
        ),
        (
            [("run.json", "x")],
            "--label run.json=x: several runs have this file name; give the path of one of: home/run.json, "
            "work/run.json",
        ),
        (
            [("h100.json", "x"), ("again.json", "x")],
            "--label names two machine classes x, that of home/again.json and that of work/h100.json; choose "
            "another name for one of them",
        ),
        (
            [("h100.json", "x"), ("work/h100.json", "y")],
            "--label gives work/h100.json two names, x and y; leave one of them out",
        ),
    ],
)
def test_bad_label(labels, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        names_of(THREE, labels)


def test_in_the_folder_of_the_run(tmp_path, monkeypatch):
    """A file without a folder in its path is in the working directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert names_of({"a": ["run.json"], "b": ["../run.json"]})[0] == {"a": "here", "b": tmp_path.name}


def test_in_the_root_folder():
    """It has no name, so the file's remains."""
    assert names_of({"a": ["/run.json"], "b": ["work/run.json"]})[0] == {"a": "run", "b": "work"}


def machines(tmp_path, labels=(), **classes):
    """The (label, hardware) of the machines that measured `NAME/run.json`."""
    paths = [
        write(tmp_path / name / "run.json", affine_run({"cpu": (1, 1)}, [1], seed, machine=box(cpu)))
        for seed, (name, cpu) in enumerate(classes.items())
    ]
    found = read(paths, labels)
    of_runs = [run.machine for run in found.runs]
    assert {id(machine) for machine in of_runs} == {id(machine) for machine in found.machines}
    return [(machine.label, machine.hardware) for machine in found.machines]


def test_machines_of_runs(tmp_path):
    """One class keeps its hardware as its label; several have names, in their runs too."""
    assert machines(tmp_path, one="EPYC", two="EPYC") == [("EPYC", "EPYC")]
    assert machines(tmp_path, one="EPYC", two="Xeon") == [("one", "EPYC"), ("two", "Xeon")]
    label = (str(tmp_path / "one" / "run.json"), "laptop")
    assert machines(tmp_path, [label], one="EPYC") == [("laptop", "EPYC")]


def test_unused_label_is_a_warning(tmp_path):
    paths = [
        write(tmp_path / f"{name}.json", affine_run({"cpu": (1, 1)}, [1], seed))
        for seed, name in enumerate("ab")
    ]
    found = read(paths, [("a.json", "x"), ("b.json", "y")])
    assert [line.split(": ")[0] for line in found.warnings] == [f"--label {paths[1]}=y is not used"]
