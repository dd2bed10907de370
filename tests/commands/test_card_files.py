"""`breakeven card`: which files it replaces, and which it keeps."""

from pathlib import Path

import pytest

from breakeven import cli
from breakeven.predict import fit
from breakeven.predict.cards import read_card, write_card
from support.predictions import card, cpu_run
from support.run_files import write


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A working directory with a run file."""
    monkeypatch.chdir(tmp_path)
    write(Path("run.json"), cpu_run())


@pytest.fixture
def fitted(monkeypatch):
    """A fit of any runs."""
    monkeypatch.setattr(fit, "fit_card", lambda *_: card("mine"))


@pytest.mark.parametrize("content", ["{", "[]", '{"kind": "other"}', None])
def test_other_files_are_kept(content, capsys):
    """A run that was given, another file, and a directory."""
    path = Path("run.json")
    if content is not None:
        path = Path("other.json")
        path.write_text(content)
    before = path.read_bytes()
    assert cli.main(["card", "run.json", "-o", str(path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"-o {path} exists and is not a card; name another file" in line
    assert path.read_bytes() == before


@pytest.mark.usefixtures("fitted")
def test_cards_are_replaced():
    """Also through a link, which stays one; and a new or an empty file."""
    write_card(card("old"), Path("card.json"))
    Path("link.json").symlink_to("card.json")
    Path("empty.json").touch()
    for name in ("link.json", "empty.json", "new.json"):
        assert cli.main(["card", "run.json", "-o", name]) == 0
    assert {read_card(name).name for name in ("card.json", "empty.json", "new.json")} == {"mine"}
    assert Path("link.json").is_symlink()


@pytest.mark.usefixtures("fitted")
def test_a_place_that_cannot_be_written(capsys):
    Path("folder").mkdir()
    for place in ("folder", "run.json/card.json", "/proc/card.json", "/dev/full"):
        assert cli.main(["card", "run.json", "-o", place]) == 2
        [line] = capsys.readouterr().err.splitlines()[-1:]
        assert f"{place} cannot be written (" in line


@pytest.mark.usefixtures("fitted")
@pytest.mark.parametrize("name", ["", " ", "\u200b"])
def test_a_name_that_reads_back(name):
    """An empty one is that of the file."""
    assert cli.main(["card", "run.json", "-o", "card.json", "--name", name]) == 0
    assert read_card("card.json").name
