"""The command line of `breakeven card`: what it writes, what it could not count, and what it refuses."""

import json

import pytest

from breakeven.cli import main
from breakeven.predict.cards import read_card
from support.run_files import benchmark, run, write

GPU = {"breakeven": {"class": {"gpu": "H100"}}}


def steps(operators=lambda width: {"operators": width}, launch_s=2e-5):
    """The training steps of three models that launch 4, 16 and 64 operators."""
    facts = {"flops_by_format": {"float32": 1e6}, "moved_bytes": 1e5, "batch_bytes": 1e3}
    return [
        benchmark(
            [(width + 12) * launch_s] * 5,
            "mlp",
            "train",
            "cuda",
            batch,
            {"width": width},
            **facts,
            **operators(width),
        )
        for width in (4, 16, 64)
        for batch in (1, 2, 3, 4)
    ]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_card_is_written(here, capsys):
    """It is named after its file, and shown."""
    path = write(here / "run.json", run(steps(), machine=GPU))
    assert main(["card", path, "-o", "box.json"]) == 0
    card = read_card("box.json")
    assert (card.name, card.device, card.cells, card.models) == ("box", "cuda", 12, 3)
    assert card.launch_s == pytest.approx(2e-5, rel=0.02)
    out = capsys.readouterr().out
    assert "20.0 µs" in out
    assert out.endswith("written to box.json\n")


def test_another_name(here):
    path = write(here / "run.json", run(steps(), machine=GPU))
    assert main(["card", path, "-o", "box.json", "--name", "mine"]) == 0
    assert json.loads((here / "box.json").read_text())["name"] == "mine"


def test_models_that_were_not_counted(here, capsys):
    """The card does not rest on them; the reason is printed once for all."""
    unknown = lambda width: {"operators": width} if width < 64 else {"operators_unknown": "a compiled model"}  # noqa: E731
    path = write(here / "run.json", run(steps(unknown), machine=GPU))
    assert main(["card", path, "-o", "box.json"]) == 0
    assert read_card("box.json").models == 2
    assert capsys.readouterr().err == "breakeven: not in the card: mlp, width 64: a compiled model\n"


def test_without_benchmarks(here, capsys):
    """A run without counts, whose benchmarks are elsewhere, is refused with that reason."""
    path = write(here / "run.json", run(steps(lambda _: {}), machine=GPU))
    assert main(["card", path, "-o", "box.json"]) == 2
    reason, error = capsys.readouterr().err.splitlines()
    assert "has no counts, and its benchmarks are not here" in reason
    assert reason.endswith("give the folder of its benchmarks by --bench DIR")
    assert "0 of 12 timed training steps on cuda were counted" in error
    assert not (here / "box.json").exists()


def test_two_machine_classes(here, capsys):
    paths = []
    for day, gpu in enumerate(("H100", "H200"), start=1):
        machine = {"breakeven": {"class": {"gpu": gpu}, "class_id": gpu}}
        content = run(steps(launch_s=day * 2e-5), machine=machine)
        paths.append(write(here / f"{gpu}.json", content))
    assert main(["card", *paths, "-o", "box.json"]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "gpu (H100 and H200); a card predicts one machine: give the runs of one" in line


def test_a_copy_of_a_run(here, capsys):
    """It is used once, which is printed."""
    paths = [write(here / name, run(steps(), machine=GPU)) for name in ("a.json", "b.json")]
    assert main(["card", *paths, "-o", "box.json"]) == 0
    assert read_card("box.json").runs == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("breakeven: warning: ")
    assert "it is used once, since a copy is not a second run" in line


def test_a_place_that_cannot_be_written(here, capsys):
    path = write(here / "run.json", run(steps(), machine=GPU))
    assert main(["card", path, "-o", "."]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line
