"""The package's page "From your training script to a Workload": every loop and every Workload on it runs.

The Workload of a section trains the same weights, bit by bit, as the loop printed beside it, and has the
phases that the section lists.
"""

import ast
import re
import time
import warnings
from dataclasses import dataclass
from itertools import cycle, islice

import pytest
import torch
from torch.utils.data import DataLoader

import breakeven
from breakeven import cli
from breakeven.hardware.devices import Cpu
from breakeven.measure.loading_trainer import LoadingTrainer, loading
from breakeven.measure.settings import seed_all
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import build
from breakeven.phases import Phase

STEPS, BATCH = 3, 32
PHASES = ["transfer", "forward", "backward", "step", "train", "train_sync", "infer", "load", "epoch"]


@dataclass(frozen=True)
class Section:
    """A section of the page: the paragraphs of code that loop and Workload share, theirs, and the phases."""

    common: list[str]
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
    return [
        "\n".join(line[4:] for line in lines) + "\n" for lines in code if not lines[0].startswith("    $")
    ]


def section(text):
    script, workload = text.split("\nAs a Workload:\n")
    common, _, loop = script.rpartition("\nIn a script:\n")
    listed = re.search(r"^Timed: ((?:.+\n)+)", text, re.MULTILINE)
    return Section(
        code_of(common), code_of(loop), code_of(workload), re.findall(r"\w+", listed[1]) if listed else USUAL
    )


PAGE, _ = breakeven.__doc__.split("\nNames of this package\n")
HEAD, *PARTS = re.split(r"^(.+)\n-+\n", PAGE, flags=re.MULTILINE)
USUAL = re.search(r"all of these can be timed: (.*?)\. ", " ".join(HEAD.split()))[1].split(", ")
SECTIONS = {title: section(text) for title, text in zip(PARTS[::2], PARTS[1::2], strict=True)}
*SHARED, _, FRAME = code_of(HEAD)
LIBRARIES = {"A Lightning module": "lightning", "A Hugging Face model": "transformers"}
PLAIN = [title for title in SECTIONS if title not in LIBRARIES]


def names_of(title):
    """What the shared lines and those of a section define, on the CPU."""
    names = {"__name__": "script"}
    if title in LIBRARIES:
        names[LIBRARIES[title]] = pytest.importorskip(LIBRARIES[title])
    found = SECTIONS[title]
    exec(without_workers("\n".join([*SHARED, *found.common, *found.workload])), names)
    return names | {"device": "cpu"}


def workload_of(title, names):
    return build(lambda: names[SECTIONS[title].recipe](BATCH))


def loader_of(workload):
    """A loader of three steps on the batches of a Workload; its random numbers are its own."""
    pairs = [inputs if targets is None else (inputs, targets) for inputs, targets in workload.host_batches]
    return DataLoader(
        list(islice(cycle(pairs), STEPS * workload.accumulate)), batch_size=None, generator=torch.Generator()
    )


def run_loop(code, names):
    """Run a loop: seeded before the model is built, as a recipe is, and before the loop, as training is."""
    body = ast.parse(code).body
    for part in (body[:-1], body[-1:]):
        seed_all()
        exec(compile(ast.Module(part, []), "loop", "exec"), names)


def trained(workload):
    """The weights after three steps of breakeven, and those before."""
    trainer = Trainer(workload, Cpu(1))
    trainer.move_model()
    trainer.start()
    before = [one.detach().clone() for one in trainer.trained()]
    for _ in range(STEPS):
        trainer.whole_step()
    return [one.detach() for one in trainer.trained()], before


def check_weights(title, change=str):
    """Assert that the loop, after a change of its code, trains the same weights as the Workload."""
    names = names_of(title)
    with Cpu(1).active():
        workload = workload_of(title, names)
        names["loader"] = loader_of(workload)
        run_loop(change("\n".join(SECTIONS[title].loop)), names)
        ours, before = trained(workload)
    models = [names[name] for name in ("g", "d", "module", "model") if name in names]
    theirs = [one.detach() for model in models for one in model.parameters()]
    assert len(ours) == len(theirs)
    assert all(map(torch.equal, ours, theirs))
    assert not any(map(torch.equal, ours, before))


@pytest.mark.parametrize(
    "title", [title for title in PLAIN if title not in ("DataLoader and epoch", "Inference")]
)
def test_same_weights(title):
    check_weights(title)


def test_same_weights_from_a_loader(monkeypatch):
    """An epoch trains on each batch of the loader, as the loop does that takes them from the same one on."""
    title, taken = "DataLoader and epoch", []
    names = names_of(title)
    with Cpu(1).active():
        workload = workload_of(title, names)
        trainer = LoadingTrainer(workload, Cpu(1))
        trainer.move_model()
        trainer.start()
        take = trainer.batches.take
        monkeypatch.setattr(trainer.batches, "take", lambda: (take(), taken.append(trainer.batches.current)))
        with loading(trainer, Phase.EPOCH, lambda: 60.0, time.perf_counter):
            trainer.prepare(Phase.EPOCH, STEPS)
            trainer.run(Phase.EPOCH, STEPS)
        code = without_workers("\n".join(SECTIONS[title].loop))
        run_loop(code, names)
        assert len(names["loader"]) == STEPS
        order = [[float(x.sum()) for x, _ in batches] for batches in (names["loader"], taken)]
        assert sorted(order[0]) == sorted(order[1])
        names["loader"] = taken
        run_loop(re.sub("^loader = .*\n", "", code, flags=re.MULTILINE), names)
    assert all(map(torch.equal, trainer.trained(), names["model"].parameters()))


def without_workers(code):
    return code.replace("num_workers=2", "num_workers=0")


def bench_file(titles):
    """The page as a bench file: the shared lines, and the Workload and the bench function of each title."""
    parts = [*SHARED, "import pytest"]
    for title in titles:
        found = SECTIONS[title]
        parts += [
            *found.common,
            *found.workload,
            FRAME.replace("plain", found.recipe).replace("[1, 16, 256]", "[4]"),
        ]
    return "\n".join(parts)


def phases_of(bench, title):
    """The phases that were timed of a section's Workload, and the reasons of those that were not."""
    name = re.compile(rf"bench_{SECTIONS[title].recipe}\[4-cpu@1-(\w+)\]")
    timed = [match[1] for match in map(name.fullmatch, bench.timed()) if match]
    skipped = {match[1]: end for one, end in bench.outcomes().items() if (match := name.fullmatch(one))}
    return timed, skipped


@pytest.fixture(autouse=True)
def short_loops(monkeypatch):
    """Rounds of a loop take a millisecond, so that time for every phase is left on a busy machine."""
    monkeypatch.setattr("breakeven.measure.warmup.LOOP_S", 0.001)


def check_phases(bench, titles, head="", change=without_workers, phases=PHASES):
    """Assert that the bench file times the phases that the page lists, and records why it skips others."""
    bench.max_time_s = 2
    bench.write(change(bench_file(titles)), head=head)
    result = bench.run(f"--breakeven-phases={','.join(phases)}", "-W", "error")
    assert result.ret == pytest.ExitCode.OK
    for title in titles:
        timed, skipped = phases_of(bench, title)
        assert sorted(timed) == sorted(SECTIONS[title].phases), (title, skipped)
        assert sorted(skipped) == sorted(set(phases) - set(timed))
        assert {outcome for outcome, _ in skipped.values()} <= {"skipped"}


@pytest.mark.slow
def test_bench_files(bench):
    check_phases(bench, [title for title in PLAIN if title != "Inference"])


def test_bench_file_of_inference(bench):
    """It has no loss, so only what it lists can be asked for."""
    check_phases(bench, ["Inference"], phases=SECTIONS["Inference"].phases)


def test_same_outputs():
    names = names_of("Inference")
    with Cpu(1).active():
        workload = workload_of("Inference", names)
        names["loader"] = [workload.inputs]
        run_loop("\n".join(SECTIONS["Inference"].loop), names)
        trainer = Trainer(workload, Cpu(1))
        trainer.move_model()
        trainer.start()
        trainer.prepare(Phase.INFER)
        trainer.run(Phase.INFER)
    assert torch.equal(trainer.outputs, names["outputs"])
    assert not trainer.outputs.requires_grad


@pytest.mark.slow
def test_bench_file_with_workers(bench):
    check_phases(bench, ["DataLoader and epoch"], change=str)


@pytest.mark.slow
@pytest.mark.parametrize("title", LIBRARIES)
def test_bench_file_with_a_library(title, torch_is_loaded, request):
    """The library is imported before the project, which unloads what it imports."""
    pytest.importorskip(LIBRARIES[title])
    check_phases(request.getfixturevalue("bench"), [title], f"import {LIBRARIES[title]}\n")


@pytest.mark.slow
def test_hugging_face_weights():
    check_weights("A Hugging Face model")


@pytest.mark.slow
def test_lightning_weights(tmp_path, monkeypatch):
    """Lightning's own loop, which writes its logs into the current directory."""
    monkeypatch.chdir(tmp_path)

    def on_cpu(code):
        return code.replace("Trainer(", 'Trainer(accelerator="cpu", ')

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's, about workers and logging
        check_weights("A Lightning module", on_cpu)


def test_page_lists_what_it_promises():
    assert len(SECTIONS) == 9
    for title, found in SECTIONS.items():
        for code in (found.common, found.loop, found.workload):
            assert "".join(code).count("\n") <= 10, title


def test_page_fits_a_terminal():
    """pydoc indents it by four columns."""
    assert max(map(len, breakeven.__doc__.splitlines()[1:])) <= 76


def test_help_names_the_page(capsys):
    assert cli.main(["--help"]) == 0
    assert "python -m pydoc breakeven " in capsys.readouterr().out
