"""The package's page "From your training script to a Workload": every loop and every Workload on it runs.

The Workload of a section trains the same weights, bit by bit, as the loop printed beside it, and has the
phases that the section lists.
"""

import ast
import re
import warnings
from dataclasses import dataclass
from itertools import cycle, islice

import pytest
import torch
from torch import nn

import breakeven
from breakeven import cli
from breakeven.hardware.devices import Cpu
from breakeven.measure.settings import seed_all
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import build

STEPS, BATCH = 3, 32
PHASES = "transfer forward backward step train train_sync infer load epoch".split()


@dataclass(frozen=True)
class Section:
    """A section of the page: the paragraphs of code of its loop and of its Workload, and its phases."""

    loop: list[str]
    workload: list[str]
    phases: list[str]

    @property
    def recipe(self):
        """The name of the function that returns the Workload."""
        return re.search(r"^def (\w+)\(batch_size\)", self.workload[-1])[1]


def code_of(text):
    paragraphs = [part.splitlines() for part in text.strip("\n").split("\n\n")]
    code = [lines for lines in paragraphs if lines and all(line.startswith("    ") for line in lines)]
    return ["\n".join(line[4:] for line in lines) + "\n" for lines in code if not lines[0].startswith("    $")]


def section(text):
    loop, workload = text.split("\nAs a Workload:\n")
    listed = re.search(r"^Timed: (.*)$", text, re.MULTILINE)
    return Section(code_of(loop), code_of(workload), listed[1].split(", ") if listed else USUAL)


PAGE, _ = breakeven.__doc__.split("\nNames of this package\n")
HEAD, *PARTS = re.split(r"^(.+)\n-+\n", PAGE, flags=re.MULTILINE)
USUAL = re.search(r"all of these can be timed: (.*?)\. ", " ".join(HEAD.split()))[1].split(", ")
SECTIONS = {title: section(text) for title, text in zip(PARTS[::2], PARTS[1::2], strict=True)}
*SHARED, _, FRAME = code_of(HEAD)
LIBRARIES = {"A Lightning module": "lightning", "A Hugging Face model": "transformers"}
PLAIN = [title for title in SECTIONS if title not in LIBRARIES]


def namespace_of(title):
    """What the script of a section has defined before its loop: the shared lines, on the CPU."""
    names = {"__name__": "script"}
    exec("\n".join(SHARED), names)
    names["device"] = "cpu"
    if title in LIBRARIES:
        names[LIBRARIES[title]] = pytest.importorskip(LIBRARIES[title])
    return names


def workload_of(title, names):
    found = SECTIONS[title]
    exec("\n".join(found.workload), names)
    return build(lambda: names[found.recipe](BATCH))


def loader_of(workload):
    """What a script's loader gives for three steps on the batches of a Workload."""
    pairs = [inputs if targets is None else (inputs, targets) for inputs, targets in workload.host_batches]
    return list(islice(cycle(pairs), STEPS * workload.accumulate))


def run_loop(code, names):
    """Run a loop: seeded before the model is built, as a recipe is, and before the loop, as training is."""
    body = ast.parse(code).body
    at = next(i for i, one in enumerate(body) if isinstance(one, ast.For | ast.With))
    seed_all()
    exec(compile(ast.Module(body[:at], []), "loop", "exec"), names)
    seed_all()
    exec(compile(ast.Module(body[at:], []), "loop", "exec"), names)


def trained(workload):
    """The weights after three steps of breakeven, and those before."""
    trainer = Trainer(workload, Cpu(1))
    trainer.move_model()
    trainer.start()
    before = [one.detach().clone() for one in trainer.trained()]
    for _ in range(STEPS):
        trainer.whole_step()
    return [one.detach() for one in trainer.trained()], before


def check_weights(title, loop_model):
    """Assert that the loop, which leaves its model in `loop_model(names)`, trains the same weights."""
    names = namespace_of(title)
    with Cpu(1).active():
        workload = workload_of(title, names)
        names["loader"] = loader_of(workload)
        run_loop("\n".join(SECTIONS[title].loop), names)
        ours, before = trained(workload)
    theirs = [one.detach() for one in loop_model(names).parameters()]
    assert all(map(torch.equal, ours, theirs)), title
    assert len(ours) == len(theirs)
    assert not any(map(torch.equal, ours, before)), title


MODELS = {"A step of your own: GAN": lambda names: nn.ModuleList([names["g"], names["d"]])}


@pytest.mark.parametrize("title", [title for title in PLAIN if title not in ("DataLoader and epoch", "Inference")])
def test_same_weights(title):
    check_weights(title, MODELS.get(title, lambda names: names["model"]))


def test_page_lists_what_it_promises():
    assert len(SECTIONS) == 9
    for title, found in SECTIONS.items():
        for block in (*found.loop, *found.workload):
            assert block.count("\n") <= 10 + block.startswith("def gan"), (title, block)


def test_page_fits_a_terminal():
    """pydoc indents it by four columns."""
    assert max(map(len, breakeven.__doc__.splitlines()[1:])) <= 76


def test_help_names_the_page(capsys):
    assert cli.main(["--help"]) == 0
    assert "python -m pydoc breakeven " in capsys.readouterr().out
