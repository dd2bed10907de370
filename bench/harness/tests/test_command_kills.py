"""That a command which destroys something, leaves something or hides a full disk is noticed."""

import json
import sys

import command_kills
import pytest
from command_kills import FULL_DISK, KILLED, Disturbed, disturb, moments, table, whole_call
from victims import VICTIMS, YESTERDAY, Pytest, Victim

_WRITER = """
import os, sys, time
fault = sys.argv[1]
content = b'{"new": ' + b"1" * 5000 + b"}"
part = "out.json" if fault == "in place" else "out.json.part"
with open(part, "wb") as file:
    file.write(content[:2000])
    file.flush()
    if not os.path.exists("../quick"):
        time.sleep(2)
    file.write(content[2000:])
os.replace(part, "out.json")
"""
_TIDY = """
try:
    exec(WRITER)
except OSError as error:
    if fault != "leaves": os.path.exists("out.json.part") and os.remove("out.json.part")
    print("Traceback" if fault == "traceback" else "the disk is full")
    sys.exit(2)
"""


class Writer(Victim):
    """Replaces a file, slowly unless the folder above has a file `quick`."""

    name = "writer"
    fault = ""

    def prepare(self, folder):
        (folder / "out.json").write_bytes(YESTERDAY)

    def arguments(self):
        source = f"import os\nfault = {self.fault!r}\nWRITER = {_WRITER!r}\n"
        source += "os.path.exists('out.json.part') and fault != 'leaves' and os.remove('out.json.part')\n"
        return [self.python, "-S", "-c", source + "import sys\nsys.argv[1:] = [fault]" + _TIDY]


def one(fault, how, at, folder):
    victim = Writer(sys.executable)
    victim.fault = fault
    (folder / "quick").touch()
    whole = whole_call(victim, folder)
    (folder / "quick").unlink()
    return disturb(victim, whole, folder / "000", how, at)


@pytest.mark.parametrize("how", [KILLED, FULL_DISK])
def test_a_file_that_is_replaced(how, tmp_path):
    found = one("", how, 0.6, tmp_path)
    assert found.is_clean, found
    assert found.code == (-9 if how == KILLED else 2)


@pytest.mark.parametrize("how", [KILLED, FULL_DISK])
def test_a_file_that_is_written_in_place(how, tmp_path):
    assert "out.json was destroyed" in one("in place", how, 0.6, tmp_path).lost


def test_a_file_that_is_left(tmp_path):
    victim = Writer(sys.executable)
    (tmp_path / "quick").touch()
    whole = whole_call(victim, tmp_path)
    (whole.template / "other.tmp").touch()
    found = disturb(victim, whole, tmp_path / "000", KILLED, 0.0)
    assert found.failures == ["other.tmp is left over"]


def test_a_traceback(tmp_path):
    assert one("traceback", FULL_DISK, 0.6, tmp_path).failures == ["traceback: Traceback"]


def test_moments():
    found = list(moments(0, 30))
    assert found == list(moments(0, 30))
    assert [how for how, _ in found] == [KILLED, KILLED, FULL_DISK] * 10
    assert 0 <= min(at for _, at in found) < 0.2 < 0.8 < max(at for _, at in found) <= 1


def test_table():
    found = [
        Disturbed("merge", KILLED, 0.1),
        Disturbed("merge", FULL_DISK, 0.1, lost=["a", "b"], failures=["c"]),
        Disturbed("ab", KILLED, 0.1),
    ]
    assert table(found).splitlines()[2:] == ["| merge | 1 | 1 | 1 | 1 |", "| ab | 1 | 0 | 0 | 0 |"]


def test_cases_lost(tmp_path):
    """Finished cases that no file has."""
    victim = Pytest(sys.executable)
    (tmp_path / "finished").write_text("b.py::x\nb.py::y\nb.py::x\n")
    (tmp_path / "run.json").write_bytes(YESTERDAY)
    assert victim.losses(tmp_path) == ["b.py::x", "b.py::y"]
    (tmp_path / "run.json").write_text(json.dumps({"benchmarks": [{"fullname": "b.py::x"}]}))
    assert victim.losses(tmp_path) == ["b.py::y"]


@pytest.mark.parametrize(("lost", "code"), [([], 0), (["it was destroyed"], 1)])
def test_exit_code(lost, code, tmp_path, monkeypatch):
    monkeypatch.setattr(
        command_kills, "disturb_all", lambda *_: ([Disturbed("ab", KILLED, 0.5, lost=lost)], ["fleet"])
    )
    assert command_kills.main(["-o", str(tmp_path)]) == code
    stored = json.loads((tmp_path / "command_kills.json").read_text())
    assert (stored["absent"], stored["disturbed"][0]["lost"]) == (["fleet"], lost)


def test_victims():
    assert [kind.name for kind in VICTIMS] == [
        "pytest", "report", "merge", "history add", "history accept", "ab",
    ]  # fmt: skip
