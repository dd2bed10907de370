"""The answer, as a specification: what each kind of report says in two lines."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from breakeven.case import CaseKey, Line, Model
from breakeven.fitness import Load, Look
from breakeven.format import MAX_CHARACTERS
from breakeven.report.answer import MAX_LINES, Choice, Trust, compose
from breakeven.report.best_against_best import BetterBaseline
from breakeven.report.bottleneck import Bottleneck, BoundCell
from breakeven.report.bound import Bound
from breakeven.report.candidates import candidates
from breakeven.report.launches import launch_texts
from breakeven.report.notes import UNSTEADY
from breakeven.report.startup_cost import Payback
from breakeven.report.variants import Variant
from breakeven.runs.machine import Machine
from breakeven.runs.schema import CaseFacts
from support.answers import BATCHES, RED, SPEEDUPS, line, models, ran, shown

ONE = "Only one process: another run may differ."


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (line("crosses"), "The GPU wins from batch 64 [48–80]; up to 84.4x faster (batch 512)."),
        (
            line("crosses", cut=True),
            "The GPU wins from batch 64 [48–80] (up to batch 512; larger ones were not timed on both); "
            "up to 84.4x faster (batch 512).",
        ),
        (
            line("always"),
            "The GPU wins at every measured batch size (1–512); up to 5.00x faster (batch 512).",
        ),
        (
            line("always", cut=True),
            "The GPU wins at every measured batch size (1–512; larger ones were not timed on both); up to "
            "5.00x faster (batch 512).",
        ),
        (line("never"), "The GPU never wins (up to batch 512)."),
        (
            line("never", batches=(1, 4), cut=True),
            "The GPU never wins (up to batch 4; larger ones were not timed on both).",
        ),
        (line("never", (0.5, None, None, 0.8)), "The GPU is not shown to win (up to batch 512)."),
        (
            line("never", (0.5, 1.5, 1.3, 0.5)),
            "The GPU wins only below batch 512, the largest measured (1.50x at batch 8).",
        ),
        (
            line("beyond_range"),
            "The GPU never wins (up to batch 512); the trend points to a break-even above it.",
        ),
        (line("undecided"), "Whether the GPU wins is undecided (up to batch 512)."),
        (
            line("undecided", (0.5, 1.5, None, None)),
            "Whether the GPU wins is undecided (up to batch 512).",
        ),
        (
            line("undecided", (None, 2.0, 3.0, 4.0), bracket=(None, 8)),
            "The GPU wins from batch 8 at the latest; up to 4.00x faster (batch 512).",
        ),
        (
            line("undecided", (0.5, 0.9, 1.0, 1.0)),
            "The GPU and the CPU are the same within 2% at batch 512, the largest measured.",
        ),
        (line("undecided", (1.0,) * 4), "The GPU and the CPU are the same within 2% (up to batch 512)."),
        (
            line("crosses", (0.5, 0.9, 1.015, 1.02)),
            "The GPU is not shown to win by more than 2% (up to batch 512).",
        ),
        (
            line("always", (3.2,), batches=(64,)),
            "The GPU is 3.20x faster at batch 64, the only one measured.",
        ),
        (line("never", (0.5,), batches=(64,)), "The GPU is 2.00x slower at batch 64, the only one measured."),
        (
            line("never", (0.5,), batches=(64,), cut=True),
            "The GPU is 2.00x slower at batch 64, the only one timed on both.",
        ),
        (
            line("undecided", (1.0,), batches=(64,)),
            "The GPU and the CPU are the same within 2% at batch 64, the only one measured.",
        ),
        (
            line("undecided", (None,), batches=(64,)),
            "Whether the GPU wins is undecided at batch 64, the only one measured.",
        ),
        (
            line("undecided", (None, 1.01, 1.015, 1.015), bracket=(None, 8)),
            "The GPU is not shown to win by more than 2% (up to batch 512).",
        ),
        (
            replace(line("undecided"), batches=()),
            "The GPU and the CPU have no usable timing in common.",
        ),
        (
            replace(
                line("undecided"),
                batches=(),
                rows=tuple(
                    replace(row, readings=readings)
                    for row, readings in zip(line("undecided").rows, ((1.1, 0.9), ()), strict=False)
                ),
            ),
            "The GPU and the CPU have no usable timing in common.",
        ),
    ],
)
def test_one_model(found, text):
    answer = shown(found).answer
    assert answer.lines == (text,)
    assert answer.trust == Trust.FIT


def test_impossible_ratio():
    """A ratio that no float holds the inverse of is shown as a large one."""
    verdict = shown(line("never", (5e-324,), batches=(64,))).verdict
    assert verdict.replace(",", "").startswith("The GPU is 1000000000x slower at batch 64")


def test_two_models():
    """Each of them is named."""
    one, two = line("crosses", axes={"width": 1024}), line("never", axes={"width": 64})
    assert shown(one, two).answer.lines == (
        "The GPU wins from batch 64 [48–80] for mlp, width 1024; up to 84.4x faster. It never wins for mlp, "
        "width 64 (up to batch 512).",
    )
    assert shown(two, one, processes=1).answer.lines == (
        "The GPU never wins for mlp, width 64 (up to batch 512). It wins from batch 64 [48–80] for mlp, "
        "width "
        "1024; up to 84.4x faster.",
        ONE,
    )


def test_two_models_one_with_a_single_batch_size():
    """Its clause has the speedup already."""
    alone = line("always", (3.2,), batches=(64,), workload="cnn")
    assert shown(line("crosses"), alone).answer.lines == (
        "The GPU wins from batch 64 [48–80] for mlp; up to 84.4x faster. It is 3.20x faster for cnn at batch "
        "64, the only one measured.",
    )


def test_many_models():
    """How many win, where the median crosses, by how much, and the one that does not win."""
    rows = [line("crosses", at=float(x), between=(x - 1, x + 1), axes={"width": x}) for x in (3, 4, 16, 32)]
    loser = line("never", workload="seed_net")
    assert shown(*rows, loser).answer.lines == (
        "The GPU wins for 4 of 5 models, the median model from batch 16 [15–17]; up to 84.4x faster "
        "(mlp, width 3, batch 512). It never wins for seed_net (up to batch 512). Last is mlp, width 32, "
        "from batch 32 [31–33].",
    )


def test_median_of_an_even_number():
    """At its break-even more than half of the models are won."""
    rows = [line("crosses", at=float(x), between=(x - 1, x + 1), axes={"width": x}) for x in (3, 4, 16, 32)]
    assert "for all 4 models, the median model from batch 16 [15–17]" in shown(*rows).verdict


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            [*models(3, status="always"), line("never", workload="cnn")],
            "The GPU wins for 3 of 4 models, each at every measured batch size (1–512); "
            "up to 5.00x faster (mlp, width 1, batch 512). It never wins for cnn (up to batch 512).",
        ),
        (
            models(3, status="always"),
            "The GPU wins for all 3 models, at every measured batch size (1–512); up to 5.00x faster "
            "(mlp, width 1, batch 512).",
        ),
        (
            [*models(3, status="always"), line("always", batches=(4, 16), workload="cnn")],
            "The GPU wins for all 4 models, at every measured batch size (4–16 or more); up to 5.00x "
            "faster (mlp, width 1, batch 512).",
        ),
        (
            models(3, status="always", batches=(64,)),
            "The GPU wins for all 3 models (batch 64, the only one measured); up to 2.00x faster "
            "(mlp, width 1, batch 64).",
        ),
        (
            models(3, status="never"),
            "The GPU is slower for all 3 models (batch 1–512).",
        ),
        (
            [line("never"), line("never", workload="cnn"), line("undecided", workload="lstm")],
            "The GPU is not shown to win for any of 3 models (batch 1–512).",
        ),
        (
            models(3, status="crosses", speedups=(0.5, 0.9, 1.0, 1.02)),
            "The GPU is not shown to win for any of 3 models (batch 1–512).",
        ),
        (
            [*models(3, status="never"), line("crosses", workload="cnn")],
            "The GPU wins for 1 of 4 models, from batch 64 [48–80]; up to 84.4x faster (cnn, batch 512).",
        ),
        (
            [
                *models(2, status="undecided"),
                line("crosses", at=32.0, between=(30.0, 34.0), workload="cnn"),
                line("undecided", (None, 2.0, 3.0, 4.0), bracket=(None, 8), workload="lstm"),
                line("always", workload="seed_net"),
            ],
            "The GPU wins for 3 of 5 models, the median model from batch 32 [30–34]; up to 84.4x faster "
            "(cnn, batch 512).",
        ),
        (
            [
                line("crosses", at=4.0, between=(3.0, 5.0)),
                line("undecided", (None, 2.0, 3.0, 4.0), bracket=(None, 8), workload="lstm"),
                line("crosses", at=32.0, between=(30.0, 34.0), workload="cnn"),
            ],
            "The GPU wins for all 3 models, the median model from batch 8 at the latest; up to 84.4x faster "
            "(mlp, batch 512). Last is cnn, from batch 32 [30–34].",
        ),
        (
            [
                *models(5, status="never"),
                line("always", workload="cnn"),
                line("crosses", workload="lstm"),
            ],
            "The GPU wins for 2 of 7 models, the first one at every measured batch size "
            "(1–512); up to 84.4x faster (lstm, batch 512). Last is lstm, from batch 64 [48–80].",
        ),
        (
            models(3, status="never", speedups=(0.5, 5.0, 5.0, 0.5)),
            "The GPU wins only below the largest batch size for 3 of 3 models.",
        ),
        (
            [*models(2, status="never"), line("never", (0.5, 5.0, 5.0, 0.5), workload="cnn")],
            "The GPU wins only below the largest batch size for 1 of 3 models.",
        ),
        (
            [*models(3, status="always", batches=(8,)), line("always", workload="cnn")],
            "The GPU wins for all 4 models; up to 5.00x faster (cnn, batch 512).",
        ),
        (
            [*models(2, status="always"), line("always", batches=(8,), workload="cnn")],
            "The GPU wins for all 3 models, 2 of them at every measured batch size (1–512); up to 5.00x "
            "faster (mlp, width 1, batch 512).",
        ),
        (
            [*models(2, status="never"), line("never", batches=(4, 16), workload="cnn")],
            "The GPU is slower for all 3 models (batch 4–16 or more).",
        ),
        (
            [*models(2, status="never", batches=(1, 8)), line("never", batches=(16, 64), workload="cnn")],
            "The GPU is slower for all 3 models (the measured batch sizes differ).",
        ),
        (
            [
                line("always", batches=(8,), workload="a"),
                *models(3, status="never"),
                line("crosses", workload="cnn"),
            ],
            "The GPU wins for 2 of 5 models; up to 84.4x faster (cnn, batch 512). Last is cnn, from batch 64 "
            "[48–80].",
        ),
    ],
)
def test_many_models_of_one_kind(found, text):
    assert shown(*found).answer.text == text


def slow(*lines, own="in bfloat16", variants=None, threads=None):
    """Lines whose baseline is faster in another variant."""
    found = {512: "in float32"} if variants is None else variants
    return {one.candidate: BetterBaseline(one, own, found, threads or {}) for one in lines}


def test_models_on_a_slow_baseline_are_left_out():
    """Neither counted nor the median or the largest speedup; the answer says how many, a note why."""
    halves = models(4, status="crosses", speedups=(0.1, 0.5, 2.0, 900.0))
    full = [line("always", workload=name) for name in ("cnn", "lstm", "rnn")]
    answer = shown(*halves[:3], *full, halves[3], better_baselines=slow(*halves)).answer
    assert answer.lines == (
        "The GPU wins for all 3 models, at every measured batch size (1–512); up to 5.00x faster "
        "(cnn, batch 512). 4 more models in bfloat16 are left out.",
    )
    assert answer.notes[:2] == (
        "4 more models in bfloat16 are left out: the CPU itself is faster in float32.",
        "The GPU is faster in 12 of 12 cells, slower in 0.",
    )


def test_one_model_of_each_kind_is_left_out():
    """Those with the same reason are counted together, and the plain form has no name."""
    full = line("always", workload="cnn")
    half, plain = line("crosses", workload="lstm"), line("crosses", workload="mlp")
    better = {**slow(half), **slow(plain, own="", variants={1: "with compile", 8: "with compile"})}
    answer = shown(half, full, plain, better_baselines=better).answer
    assert answer.lines == (
        "The GPU wins at every measured batch size (1–512); up to 5.00x faster (batch 512). "
        "1 more model in bfloat16 is left out. 1 more model is left out.",
    )
    assert answer.notes[:2] == (
        "1 more model in bfloat16 is left out: the CPU itself is faster in float32.",
        "1 more model is left out: the CPU itself is faster with compile.",
    )


def test_fewer_threads_leave_nothing_out():
    found = models(3, status="always")
    answer = shown(*found, better_baselines=slow(found[0], variants={}, threads={1: "cpu@1"})).answer
    assert answer.lines[0].startswith("The GPU wins for all 3 models")
    assert "left out" not in " ".join(answer.notes)


def test_model_of_two_candidates_is_left_out_once():
    gpus = [line("always", device=device, workload=name) for name in ("cnn", "mlp") for device in ("a", "b")]
    notes = shown(*gpus, better_baselines=slow(*gpus[2:])).answer.notes
    assert notes[2] == "1 more model in bfloat16 is left out: the CPU itself is faster in float32."


def test_the_only_models_are_not_left_out():
    """Each candidate keeps its lines where none would remain."""
    gpu, other = line("always"), line("always", device="xpu")
    third = line("always", device="xpu", workload="cnn")
    answer = shown(gpu, other, third, better_baselines=slow(gpu, third)).answer
    assert answer.notes[:3] == (
        "cuda wins at every measured batch size (1–512); up to 5.00x faster (batch 512).",
        "xpu wins at every measured batch size (1–512); up to 5.00x faster (batch 512).",
        "1 more model in bfloat16 is left out: the CPU itself is faster in float32.",
    )


def test_threads():
    """Without an accelerator the answer is about threads."""
    report = shown(line("crosses", device="cpu", baseline="cpu@1"))
    assert (
        report.verdict == "All threads beat one thread from batch 64 [48–80]; up to 84.4x faster (batch 512)."
    )
    report = shown(line("never", device="cpu@4", baseline="cpu@1"))
    assert report.verdict == "4 threads never beat one thread (up to batch 512)."


def test_other_baseline():
    report = shown(line("crosses", baseline="cpu@1"))
    assert (
        report.verdict
        == "The GPU beats one CPU thread from batch 64 [48–80]; up to 84.4x faster (batch 512)."
    )


def test_two_accelerators():
    report = shown(line("crosses"), line("never", device="cuda:1"))
    assert report.verdict == (
        "cuda wins from batch 64 [48–80]; up to 84.4x faster (batch 512). cuda:1 never wins (up to batch "
        "512)."
    )
    assert report.answer.notes[:2] == (
        "cuda wins from batch 64 [48–80]; up to 84.4x faster (batch 512).",
        "cuda:1 never wins (up to batch 512).",
    )


BOXES = tuple(Machine(f"machine-{i}", f"id-{i}", {}) for i in range(6))


def test_three_machines():
    lines = [line("crosses", machine=box.class_id) for box in BOXES[:3]]
    assert shown(*lines, machines=BOXES[:3]).answer.lines == (
        "The GPU of machine-0 wins from batch 64 [48–80]; up to 84.4x faster. The GPU of machine-1 wins "
        "from batch 64 [48–80]; up to 84.4x faster. The GPU of machine-2 wins from batch 64 [48–80]; up to "
        "84.4x faster.",
    )


def test_two_machines_with_many_models():
    """What does not fit is left out."""
    lines = [row for box in BOXES[:2] for row in models(4, machine=box.class_id)]
    assert shown(*lines, machines=BOXES[:2], processes=1).answer.lines == (
        "The GPU of machine-0 beats its CPU for all 4 models; up to 84.4x faster. The GPU of machine-1 "
        "beats its CPU for all 4 models; up to 84.4x faster.",
        ONE,
    )
    lines = [row for box in BOXES[:2] for row in models(2, machine=box.class_id)]
    assert shown(*lines, machines=BOXES[:2]).verdict == (
        "The GPU of machine-0 beats its CPU for both models, from batch 64 [48–80]; up to 84.4x faster. "
        "The GPU of machine-1 beats its CPU for both models, from batch 64 [48–80]; up to 84.4x faster."
    )


def test_three_machines_with_many_models():
    """What they are compared with is named rather than by how much they win."""
    lines = [row for box in BOXES[:3] for row in models(16, machine=box.class_id)]
    assert shown(*lines, machines=BOXES[:3]).verdict == " ".join(
        f"The GPU of machine-{i} beats its CPU for all 16 models." for i in range(3)
    )


@pytest.mark.parametrize(
    ("two", "text"),
    [
        (
            ("crosses", "crosses"),
            "beats its CPU for both models, from batch 16 [15–17] and 400 [390–410]; up",
        ),
        (
            ("always", "crosses"),
            "beats its CPU for both models, at every measured batch size (1–512) and from batch 400",
        ),
        (("always", "always"), "beats its CPU for both models, at every measured batch size (1–512); up"),
        (("crosses", "never"), "beats its CPU for 1 of 2 models, from batch 16 [15–17]; up"),
        (("never", "undecided"), "is not shown to beat its CPU for either model (batch 1–512)."),
        (("never", "never"), "is slower than its CPU for both models (batch 1–512)."),
    ],
)
def test_two_models_of_one_of_two_machines(two, text):
    """Neither of two is the median."""
    places = ((16, (15, 17)), (400, (390, 410)))
    lines = [
        line(status, at=at, between=between, axes={"width": at}, machine="id-0")
        for status, (at, between) in zip(two, places, strict=True)
    ]
    other = line("never", axes={"width": 16}, machine="id-1")
    assert f"The GPU of machine-0 {text}" in shown(*lines, other, machines=BOXES[:2]).verdict


def test_one_more_candidate_than_fits():
    lines = [line("crosses", machine=box.class_id) for box in BOXES[:4]]
    assert shown(*lines, machines=BOXES[:4], processes=1).answer.lines[0].endswith(" And 1 more device.")


def test_more_candidates_than_fit():
    """The others are counted, and the notes have each of them."""
    lines = [line("crosses", machine=box.class_id) for box in BOXES]
    answer = shown(*lines, machines=BOXES, processes=1).answer
    assert answer.lines == (
        "The GPU of machine-0 wins from batch 64 [48–80]. The GPU of machine-1 wins from batch 64 [48–80]. "
        "The GPU of machine-2 wins from batch 64 [48–80]. And 3 more devices.",
        ONE,
    )
    assert answer.notes[:6] == tuple(
        f"The GPU of {box.label} beats its CPU from batch 64 [48–80]; up to 84.4x faster (batch 512)."
        for box in BOXES
    )
    fewer = shown(*lines[:4], machines=BOXES[:4], processes=1).answer.lines[0]
    assert fewer.endswith("The GPU of machine-2 wins from batch 64 [48–80]. And 1 more device.")


def test_hardware_comparison():
    """The baseline of another machine is named."""
    lines = [
        line("crosses", machine="id-1", baseline_machine="id-0", device=device) for device in ("cpu", "cuda")
    ]
    assert shown(*lines, machines=BOXES[:2]).verdict == (
        "The GPU of machine-1 beats the CPU of machine-0 from batch 64 [48–80]; up to 84.4x faster (batch "
        "512). The CPU of machine-1 beats the CPU of machine-0 from batch 64 [48–80]; up to 84.4x faster "
        "(batch 512)."
    )


def test_accelerator_without_a_shared_cell():
    """It is named before the CPUs."""
    report = shown(line("crosses", device="cpu", baseline="cpu@1"), timed=[("cuda", "id-box")])
    assert report.verdict == (
        "The GPU shares no timed cell with a CPU. All threads beat one thread from batch 64 [48–80]; up to "
        "84.4x faster (batch 512)."
    )
    other_threads = shown(line("never"), timed=[("cpu@4", "id-box")])
    assert other_threads.verdict == "The GPU never wins (up to batch 512)."


@pytest.mark.parametrize(
    ("phase", "text"),
    [("step", "This is about the optimizer step alone."), ("forward", "This is about forward alone.")],
)
def test_other_phase(phase, text):
    assert shown(line("never", phase=phase)).answer.lines == ("The GPU never wins (up to batch 512).", text)


def test_one_process():
    answer = shown(line(), processes=1).answer
    assert answer.lines == ("The GPU wins from batch 64 [48–80]; up to 84.4x faster (batch 512).", ONE)
    assert answer.trust == Trust.LIMITED
    assert "One process: --breakeven-processes=5 shows by how much another run differs." in answer.notes


def test_noise_floor():
    """An interval that a calibration widened may be trusted."""
    answer = shown(line(), processes=1, widened=frozenset({"id-box"})).answer
    assert answer.lines == ("The GPU wins from batch 64 [48–80]; up to 84.4x faster (batch 512).",)
    assert answer.trust == Trust.FIT


def test_interrupted():
    answer = shown(line(), runs=[ran(is_complete=False)]).answer
    assert answer.lines[1] == "The run was interrupted."
    assert answer.trust == Trust.LIMITED
    two = shown(line(), runs=[ran("a.json", is_complete=False), ran("b.json")], processes=1).answer
    assert two.lines[1] == f"1 of 2 runs was interrupted. {ONE}"


def test_some_disturbed_cells():
    """More than a quarter of the speedups, fewer than half of the cells of the run."""
    few, many = models(3), models(2, flags=("contended",))
    assert shown(*few, *many[:1], models(8)[7]).answer.trust == Trust.FIT
    answer = shown(*few, *[replace(one, rows=one.rows) for one in many]).answer
    assert answer.lines[1] == "Disturbances may have changed 8 of 20 speedups."
    assert answer.trust == Trust.LIMITED
    assert shown(line(), *models(2, phase="forward", flags=("contended",))).answer.trust == Trust.FIT


def test_forced():
    answer = shown(line(), comparability=RED, forced=True).answer
    assert answer.lines == (
        "NOT COMPARABLE, forced: The GPU wins from batch 64 [48–80]; up to 84.4x faster (batch 512).",
    )
    assert answer.trust == Trust.LIMITED


def test_refused():
    answer = shown(comparability=RED, timed=[("cpu", "id-box")]).answer
    assert answer.lines == ("These numbers are not comparable: tf32 differs; agree on one.",)
    assert answer.trust == Trust.LIMITED
    assert answer.notes == ("--force reports the ratios anyway, and marks everything based on them.",)


@pytest.mark.parametrize(
    ("timed", "outcomes", "text"),
    [
        (
            [],
            ["oom", "skipped", "skipped"],
            "Nothing was timed (1 oom, 2 skipped), so nothing can be judged; see the outcomes.",
        ),
        (
            ["cuda"],
            [],
            "Only cuda was timed, so there is nothing to compare it with; measure a second device on the "
            "same machine, such as --breakeven-devices=cpu@1,cpu.",
        ),
        (
            ["cpu", "cuda"],
            [],
            "No case was timed on two devices that can be compared (cpu, cuda; transfer is not compared); "
            "measure the same cases on both, or choose another --baseline.",
        ),
    ],
)
def test_nothing_compared(timed, outcomes, text):
    answer = shown(timed=[(device, "id-box") for device in timed], outcomes=outcomes, processes=1).answer
    assert (answer.text, answer.trust) == (text, Trust.LIMITED)


def test_each_machine_with_another_device():
    """Devices are compared on one machine."""
    timed = [("cpu", "id-0"), ("cpu", "id-1"), ("cuda", "id-1")]
    assert shown(machines=BOXES[:2], timed=timed).verdict.startswith("No case was timed on two devices that")
    timed = [("cpu", "id-0"), ("cuda", "id-1")]
    assert shown(machines=BOXES[:2], timed=timed).verdict.startswith("Only cpu, cuda was timed")


BUSY = Look(Load(2, 0.9, 0.0, 0.9), 2, 1e-4, 2e-4, spins=True)
STOLEN = Look(Load(2, 0.1, 0.9, 0.9), 2, 1e-4, 2e-4, spins=True)
SPINNING = Look(Load(2, 0.0, 0.0, 0.0), 2, 1e-4, 103e-4, spins=True)
CANARY = {"median_s": 1.0, "low_s": 1.0, "high_s": 1.0}
END = "and measure again."


def canary(device="cpu", slower=990.0):
    """A state in which the canary was slower at the end."""
    return {"canary": {device: {"start": CANARY, "end": {**CANARY, "median_s": slower}}}}


def looked(look):
    return {"look": look.as_dict()}


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (
            ran(flags=("contended",)),
            f"another program used the CPU. Close it, or set OMP_WAIT_POLICY=passive, {END}",
        ),
        (
            ran(flags=("contended",), facts={"omp_wait_policy": "PASSIVE"}),
            f"another program used the CPU. Close it, {END}",
        ),
        (
            ran(flags=("contended",), facts={"omp_wait_policy": None, "gomp_spincount": "0"}),
            f"another program used the CPU. Close it, {END}",
        ),
        (ran(flags=("throttled",)), f"the device lowered its clocks. Cool it or reduce its load, {END}"),
        (ran(flags=("clock",)), f"the clocks moved. Let the machine settle, {END}"),
        (ran(flags=("shared_gpu",)), f"another program used the GPU. Free it, {END}"),
        (
            ran(state=looked(BUSY)),
            f"another program used the CPU. Close it, or set OMP_WAIT_POLICY=passive, {END}",
        ),
        (ran(state=looked(replace(BUSY, spins=False))), f"another program used the CPU. Close it, {END}"),
        (
            ran(state=looked(STOLEN)),
            f"the hypervisor gave its CPUs to other machines. Use a machine of your own, {END}",
        ),
        (
            ran(state=looked(SPINNING)),
            f"its threads spun while they waited for each other. Set OMP_WAIT_POLICY=passive, {END}",
        ),
        (
            ran(state=canary()),
            "the same work took 990 times as long at its end as at its start. Close other programs, or set "
            f"OMP_WAIT_POLICY=passive, {END}",
        ),
        (
            ran(state=canary("cuda", 2.1)),
            f"the same work took 2 times as long at its end as at its start. Close other programs, {END}",
        ),
        (
            ran(state=canary("cuda", 5e9)),
            "the same work took 1,000,000,000 times as long at its end as at its start. Close other "
            f"programs, {END}",
        ),
        (
            ran(processes=({}, canary("cuda", 3.0))),
            f"the same work took 3 times as long at its end as at its start. Close other programs, {END}",
        ),
    ],
)
def test_unfit(run, text):
    """That the machine was unfit is the whole answer, with the cause and what to do; no figure follows."""
    answer = shown(line(), *models(3), runs=[run], processes=1).answer
    assert answer.lines == (f"This run cannot be trusted: {text}",)
    assert answer.trust == Trust.UNFIT
    assert len(answer.notes) == 1
    assert answer.notes[0].startswith("run.json: ")


@pytest.mark.parametrize(
    "run",
    [
        ran(flags=("contended",), share=0.5),
        ran(flags=("drift", "noisy")),
        ran(state=canary("cuda", 2.0)),
        ran(state=canary(), processes=({},)),
        ran(state=looked(replace(BUSY, load=Load(2, 0.1, 0.0, 0.1), all_threads_s=1e-4))),
    ],
)
def test_fit(run):
    """Half of the cells, twice as slow, the joined canary of several processes: all of them are allowed."""
    assert shown(line(), runs=[run]).answer.trust == Trust.FIT


def test_unsteady_machine():
    """A canary that moved by half is noted, where there are numbers to treat with care."""
    end = {name: 1.5 * value for name, value in CANARY.items()}
    unsteady = [ran(state={"canary": {"cpu": {"start": CANARY, "end": end}}})]
    assert shown(line(), runs=unsteady).answer.notes[-1] == UNSTEADY
    assert UNSTEADY not in shown(runs=unsteady, timed=[("cpu", "id-box")]).answer.notes


def test_flags_of_the_headline():
    """Only its cells count; they do as well where nothing was compared."""
    flagged = ran(flags=("contended",))
    other = {
        key: replace(case, key=replace(case.key, phase="forward")) for key, case in flagged.cases.items()
    }
    assert shown(line(), runs=[replace(flagged, cases=other)]).answer.trust == Trust.FIT
    assert shown(runs=[flagged], timed=[("cpu", "id-box")]).answer.trust == Trust.UNFIT


def test_evidence():
    notes = shown(line(), runs=[ran(flags=("contended", "clock"), share=0.7)]).answer.notes
    assert notes == ("run.json: 7 of 10 cells were disturbed, mostly contended.",)
    flagged = ran(flags=("clock",))
    notes = shown(line(), runs=[replace(flagged, cases=dict([*flagged.cases.items()][:1]))]).answer.notes
    assert notes == ("run.json: 1 of 1 cell was disturbed, mostly clock.",)


def test_one_unfit_run_of_several():
    runs = [ran("a.json"), ran("b.json", flags=("throttled",))]
    assert shown(line(), runs=runs).answer.text.startswith("b.json cannot be trusted: the device lowered")
    assert shown(line(), runs=[runs[1]] * 2).answer.text.startswith("These runs cannot be trusted: ")


def test_unfit_without_a_comparison():
    """The times cannot be trusted either; without any time there is nothing to distrust."""
    busy = ran(state=looked(BUSY))
    assert shown(runs=[busy], timed=[("cpu", "id-box")]).answer.trust == Trust.UNFIT
    assert shown(runs=[busy], outcomes=["oom"]).answer.trust == Trust.LIMITED


def bound(*kinds, batches=(1, 8, 64, 512), **identity):
    """What bounds the steps of a model on the GPU."""
    cells = tuple(
        BoundCell(batch, kind, 1.0, None, None, None, CaseFacts())
        for batch, kind in zip(batches, kinds, strict=True)
    )
    return Bottleneck(
        Line(Model("mlp", line(**identity).model.axes), "train", "cuda", "id-box"), cells, None, False
    )


def variant(speedup=7.5, batch=64, capture_s=0.2, compile_s=None, **changes):
    """A variant of the model's step on the GPU."""
    changes = changes or {"graph": True}
    plain = CaseKey.of("mlp", batch, "train", "cuda", {}, "id-box")
    row = line("always", (speedup,), batches=(batch,)).rows[0]
    key = CaseKey.of("mlp", batch, "train", "cuda", changes, "id-box")
    row = replace(row, candidate=key, baseline=plain)
    return Variant(row, key.axes, plain.model, 765e-6, 765e-6 / speedup, compile_s, capture_s, None)


LAUNCHES = [Bound.LAUNCH] * 3 + [Bound.COMPUTE]


@pytest.mark.parametrize(
    ("ways", "text"),
    [
        ([], "CUDA graphs or torch.compile may help."),
        (
            [variant()],
            "recorded as a CUDA graph, the same training step takes 102 µs, 7.50x faster (batch 64).",
        ),
        (
            [variant(), variant(8.0, compile_s=9.0, graph=True, compile=True), variant(1.5, 8)],
            "recorded as a CUDA graph, the same training step takes 102 µs, 7.50x faster (batch 64).",
        ),
        (
            [variant(3.0, capture_s=None, compile_s=1.0, compile=True)],
            "compiled, the same training step takes 255 µs, 3.00x faster (batch 64).",
        ),
        ([variant(3.0, batch=512)], "CUDA graphs or torch.compile may help."),
        ([variant(3.0, capture_s=None)], "CUDA graphs or torch.compile may help."),
        ([variant(0.5)], "CUDA graphs or torch.compile may help."),
    ],
)
def test_launches(ways, text):
    """What a variant makes of a step that launches bound, if one was measured there and is faster."""
    report = shown(line(), bottlenecks=(bound(*LAUNCHES),), variants=tuple(ways))
    assert report.answer.lines[1] == f"Kernel launches limit the GPU: {text}"
    assert report.answer.trust == Trust.FIT


@pytest.mark.parametrize(
    ("kinds", "bracket", "is_bound"),
    [
        ([Bound.LAUNCH] * 2 + [Bound.COMPUTE] * 2, (None, None), False),
        ([Bound.LAUNCH] * 2 + [Bound.COMPUTE] * 2, (8, 64), True),
        ([Bound.LAUNCH] + [Bound.COMPUTE] * 3, (8, 64), False),
        ([Bound.LAUNCH] * 3 + [Bound.COMPUTE], (None, None), True),
    ],
)
def test_bound_by_launches(kinds, bracket, is_bound):
    """In most cells, or beside the break-even of the only model."""
    report = shown(line(bracket=bracket), bottlenecks=(bound(*kinds),))
    assert len(report.answer.lines) == 1 + is_bound


def test_launches_of_others():
    """Neither one of many models nor a variant on another device speaks for the candidate."""
    kinds = [Bound.LAUNCH] * 2 + [Bound.COMPUTE] * 2
    several = shown(line(bracket=(8, 64)), line(workload="cnn"), bottlenecks=(bound(*kinds),))
    assert len(several.answer.lines) == 1
    away = variant()
    key = replace(away.row.candidate, device="cuda:1")
    away = replace(away, row=replace(away.row, candidate=key))
    report = shown(line(), bottlenecks=(bound(*LAUNCHES),), variants=(away,))
    assert report.answer.lines[1] == "Kernel launches limit the GPU: CUDA graphs or torch.compile may help."


def test_launches_of_two_accelerators():
    """One sentence is enough."""
    first = bound(*LAUNCHES)
    second = replace(first, line=replace(first.line, device="cuda:1"))
    report = shown(line("never"), line("never", device="cuda:1"), bottlenecks=(first, second))
    assert report.answer.lines[1] == "Kernel launches limit cuda: CUDA graphs or torch.compile may help."


def test_too_long():
    """The shortest form is cut rather than a caveat left out."""
    lines = compose([Choice(0, ("a" * 300,)), Choice(1, ("Beware.",))])
    assert lines == ("a" * 209 + "...", "Beware.")


def test_less_space_for_launches():
    """Beside the caveats the launches are shortened, and the extremes are left out."""
    report = shown(*models(4), line(), processes=1, bottlenecks=(bound(*LAUNCHES),), variants=(variant(),))
    assert report.answer.lines == (
        "The GPU wins for all 5 models, the median model from batch 64 [48–80]; up to 84.4x faster.",
        f"{ONE} Kernel launches limit the GPU; recorded as a CUDA graph: up to 7.50x faster.",
    )


def test_forms_of_launches():
    """The fastest of several batch sizes is one of them only where it is named."""
    ways = (variant(2.0, 8), variant(batch=1024))
    found = shown(line(), bottlenecks=(bound(*LAUNCHES, batches=(1, 8, 1024, 4096)),), variants=ways)
    start, made = "Kernel launches limit the GPU", "recorded as a CUDA graph"
    (one,) = candidates(found.machines, found.break_evens, found.headline, {})
    assert launch_texts(one, found.bottlenecks, found.variants, found.names) == [
        f"{start}: {made}, the same training step takes 102 µs, 7.50x faster (batch 1,024).",
        f"{start}: {made}, the same training step is up to 7.50x faster.",
        f"{start}; {made}: up to 7.50x faster.",
        f"{start}.",
    ]


def test_notes():
    """Counts, in the order of need."""
    report = shown(line(), line("never", axes={"width": 2}), line("undecided", workload="cnn"))
    assert report.answer.notes == (
        "In 1 model the GPU is slower at the largest batch size.",
        "In 1 model the break-even of the GPU is undecided.",
        "The GPU is faster in 2 of 12 cells, slower in 7; 3 are undecided.",
        "Times are of the whole training step, transfer to the device included.",
    )


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        ([line(), line("never", workload="cnn")], "In 1 model the GPU is slower at the largest batch size."),
        (
            [line("beyond_range"), line("beyond_range", workload="cnn")],
            "In 2 models the GPU is slower at the measured batch sizes; the trend points to a break-even "
            "above them.",
        ),
        (
            [line("beyond_range"), line("beyond_range", (0.1, None, 0.3, 0.5), workload="cnn")],
            "In 2 models the GPU never wins at the measured batch sizes; the trend points to a break-even "
            "above them.",
        ),
        (
            [line(), line("undecided", (None, 2.0, 3.0, 4.0), bracket=(None, 8), workload="cnn")],
            "The GPU is faster in 5 of 8 cells, slower in 2; 1 is undecided.",
        ),
    ],
)
def test_where_it_does_not_win(lines, note):
    """A break-even that is known at the latest is not undecided."""
    assert shown(*lines).answer.notes[0] == note


@pytest.mark.parametrize(
    ("start_s", "steps", "text"),
    [
        (0.0, 0.0, "The GPU adds no start-up time."),
        (10.0, 0.9, "The start-up time of the GPU, 10.0 s, is paid back in the first training step."),
        (
            10.0,
            1.0,
            "The start-up time of the GPU, 10.0 s, is paid back after 1 [1–3] training steps at batch "
            "512, mlp.",
        ),
    ],
)
def test_start_up_time(start_s, steps, text):
    """Only that of the cell with the best speedup."""
    found = line()
    paybacks = tuple(Payback(row, start_s, steps, 0.8, 3.0) for row in found.rows)
    assert [note for note in shown(found, paybacks=paybacks).answer.notes if "start-up" in note] == [text]


def test_notes_of_several_candidates():
    """Each names its own, so that none is said twice."""
    kinds = ("undecided", "never", "beyond_range")
    lines = [line(kind, workload=kind, machine=box.class_id) for box in BOXES[:2] for kind in kinds]
    notes = shown(*lines, machines=BOXES[:2]).answer.notes
    assert len(set(notes)) == len(notes)
    assert "In 1 model the break-even of the GPU of machine-1 is undecided." in notes


NAMES = st.one_of(st.sampled_from(["mlp", "cnn"]), st.text(min_size=1, max_size=300).filter(str.strip))
DEVICES = st.one_of(st.sampled_from(["cuda", "cuda:1", "mps", "cpu@4", "2xcuda"]), NAMES)
STATUSES = st.sampled_from(list(SPEEDUPS))


@st.composite
def reports(draw):
    """A report on any number of machines, candidates and models with any names and statuses."""
    labels = draw(st.lists(NAMES, min_size=1, max_size=5))
    machines = [Machine(label, str(i), {}) for i, label in enumerate(labels)]
    scale = draw(st.sampled_from([1, 2**40]))
    options = {
        "at": 64.5 * scale,
        "between": draw(st.sampled_from([(None, None), (48.2 * scale, 80.0 * scale)])),
        "batches": [batch * scale for batch in BATCHES],
        "bracket": draw(st.sampled_from([(None, None), (scale, 8 * scale)])),
        "cut": draw(st.booleans()),
        "workload": draw(NAMES),
        "baseline": draw(st.sampled_from(["cpu", "cpu@1"])),
        "flags": draw(st.sampled_from([(), ("drift",)])),
    }
    axis, statuses = draw(NAMES), draw(st.lists(STATUSES, min_size=1, max_size=4))
    lines = [
        line(
            status, axes={axis: i}, device=device, machine=machine.class_id, baseline_machine=home, **options
        )
        for machine in machines
        for home in [draw(st.sampled_from([machine, machines[0]])).class_id]
        for device in draw(st.lists(DEVICES, min_size=1, max_size=4, unique=True))
        for i, status in enumerate(statuses * draw(st.sampled_from([1, 1, 15])))
    ]
    runs = [
        ran(draw(NAMES), is_complete=draw(st.booleans()), flags=draw(st.sampled_from([(), (), ("clock",)])))
        for _ in range(draw(st.integers(1, 3)))
    ]
    found = {"forced": True, "comparability": RED} if draw(st.booleans()) else {}
    return shown(*lines, machines=machines, runs=runs, processes=draw(st.integers(1, 2)), **found)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(reports())
def test_always_fits(report):
    """Two lines and 220 characters hold whatever was measured; what limits the trust is never left out."""
    answer = report.answer
    assert 1 <= len(answer.lines) <= MAX_LINES
    assert len(answer.text) <= MAX_CHARACTERS
    assert all(one.strip() and one.isprintable() for one in answer.lines)
    if answer.trust == Trust.UNFIT:
        assert "cannot be trusted" in answer.text
        return
    alone = all(row.estimate.processes == 1 for row in report.rows)
    assert ("one process: another run may differ" in answer.text) == alone
    assert ("interrupted" in answer.text) == any(not run.is_complete for run in report.runs)
    assert answer.text.startswith("NOT COMPARABLE") == report.forced
