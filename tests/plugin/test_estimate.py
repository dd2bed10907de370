"""How long a run takes: replays of recorded runs, and of models whose steps take seconds."""

import json
from pathlib import Path

import pytest

from breakeven.case import Budget, CaseKey
from breakeven.measure.earlier import Earlier
from breakeven.measure.outcomes import CaseSkipped
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import Costs, SimulatedClock, simulated_workload
from breakeven.measure.timing import time_round
from breakeven.phases import HEADLINE, parse_phases
from breakeven.plugin.estimate import (
    NOISE,
    PREFETCHED,
    QUICK_S,
    STARTUP_S,
    DurationEstimate,
    Range,
    case_s,
)
from breakeven.plugin.step_times import StepLine
from support.prompt_devices import Host, Prompt

pytestmark = pytest.mark.usefixtures("quick_cells")

MIN_WARMUP_S = {"cpu": 0.05, "cpu@1": 0.05, "cuda": 0.15}
RESULTS = Path(__file__).parents[2] / "results"


def recorded(path, budget):
    """Return ``[(case, seconds, seconds of a step)]`` of a run file.

    0.1.0 skipped training steps that were too slow. They are assumed to continue the smaller batches.
    """
    run = json.loads((RESULTS / path).read_text())
    items = {}
    for item in run["benchmarks"]:
        info = item["extra_info"]
        case = CaseKey.of(*(info[key] for key in ("workload", "batch_size", "phase", "device", "axes")))
        items[case] = item
    preparing_s = run["breakeven"]["spent_s"]["preparing"] / len(items)
    whole = {case: item["stats"]["median"] for case, item in items.items() if case.phase == "train"}
    found = []
    for case, item in items.items():
        step_s = item["stats"]["median"]
        if case.phase != "transfer":
            step_s = whole.get(CaseKey(case.cell, "train", case.device), step_s)
        warmup_s = max(MIN_WARMUP_S[case.device], item["extra_info"]["warmup_rounds"] * step_s)
        seconds = preparing_s + item["extra_info"]["first_call_s"] + warmup_s
        steps = item["extra_info"].get("steps", 1)
        found.append((case, seconds + steps * item["stats"]["rounds"] * step_s, step_s))
    for case in [CaseKey(case.cell, "train", case.device) for case in items if case.phase == "transfer"]:
        if case not in whole:
            smaller = {one.batch_size: step_s for one, step_s in whole.items() if one.line == case.line}
            step_s = StepLine(smaller).at(case.batch_size)
            found.append((case, case_s(step_s, case.phase, case.device, budget, NOISE), step_s))
    return found


HEADLINE_FIRST = sorted(parse_phases(()), key=lambda phase: phase is not HEADLINE)
"""The phases in the order in which a run takes them."""


def first_cells(cases):
    """Return the last cell of each workload, its largest."""
    return set({case.workload: case.cell for case in cases}.values())


def errors_of(estimate, costs):
    """End the first cells, then the others; return the errors of the estimated total from then on."""
    firsts = first_cells([case for case, _, _ in costs])
    total_s, spent_s, errors = sum(seconds for _, seconds, _ in costs), 0.0, []
    ordered = sorted(costs, key=lambda cost: cost[0].cell not in firsts)
    for case, seconds, step_s in ordered:
        if case.cell not in firsts:
            errors.append((spent_s + estimate.left().low_s) / total_s - 1)
        estimate.end(case.label(), seconds, step_s)
        spent_s += seconds
    assert estimate.left() == Range(0.0, 0.0)
    return errors


@pytest.mark.parametrize(
    ("path", "budget"),
    [
        ("cpu-2core/run.json", Budget()),
        ("h100-16core/run.json", Budget(max_time_s=0.2)),
    ],
)
def test_recorded_runs(path, budget):
    """The total is inside the range before the first case, and within 25% after the first cells."""
    costs = recorded(path, budget)
    estimate = DurationEstimate({case.label(): case for case, _, _ in costs}, budget)
    before = estimate.left()
    assert before.low_s < sum(seconds for _, seconds, _ in costs) < before.high_s
    errors = errors_of(estimate, costs)
    print(f"{path}: {before}, then {min(errors):+.0%} to {max(errors):+.0%}")
    assert max(map(abs, errors)) <= 0.25


@pytest.mark.parametrize(("device_type", "name"), [(Host, "cpu"), (Prompt, "simulated")])
@pytest.mark.parametrize("budget", [Budget(), Budget(max_time_s=0.2)], ids=["default", "0.2 s"])
@pytest.mark.parametrize("step_s", [0.3, pytest.param(8.0, marks=pytest.mark.slow)])
def test_slow_model(device_type, name, budget, step_s):
    """Of a model whose largest batch takes `step_s`, all cases by the real runner, on a simulated device."""
    clock = SimulatedClock()
    device = device_type(clock, name=name)
    runner = Runner(budget, clock)
    costs = []
    for batch_size in (64, 32, 16, 8, 1):
        part_s = step_s * (0.1 + 0.9 * batch_size / 64) / 5
        workload = simulated_workload(device, Costs(*[part_s] * 6))
        for phase in HEADLINE_FIRST:
            case, began_s, facts = CaseKey.of("slow", batch_size, phase, name), clock.now, {}
            try:
                facts = runner.measure(
                    case,
                    device,
                    lambda: workload,  # noqa: B023 - called at once
                    lambda round_, plan: [time_round(round_, clock) for _ in range(plan.rounds)],
                )
            except CaseSkipped as error:
                runner.note_failure(case, error)
                facts = {"step_s": error.step_s}
            costs.append((case, clock.now - began_s, facts["step_s"]))
    costs.sort(key=lambda cost: cost[0].batch_size)
    estimate = DurationEstimate({case.label(): case for case, _, _ in costs}, budget)
    errors = errors_of(estimate, costs)
    print(f"{name}, {step_s} s: {min(errors):+.0%} to {max(errors):+.0%}")
    assert max(map(abs, errors)) <= 0.25


def measured_in_processes(processes, budget, device_type, name):
    """Return ``[(process, case, seconds, seconds of a step)]`` of a model, by the real runner."""

    def time_rounds(round_, plan):
        for _ in range(plan.rounds):
            time_round(round_, round_.trainer.device.clock)

    found, handed_on = [], {}
    for process in range(processes):
        clock = SimulatedClock()
        device, runner = device_type(clock, name=name), Runner(budget.shared_by(processes), clock)
        runner.run_canary("start", [device])
        for batch_size in (64, 16, 4, 1):
            workload = simulated_workload(device, Costs(*[2e-4 + batch_size * 1.2e-4] * 6))
            for phase in HEADLINE_FIRST:
                if process >= phase.processes(processes):
                    continue
                case, began_s = CaseKey.of("w", batch_size, phase, name), clock.now
                facts = runner.measure(
                    case,
                    device,
                    lambda: workload,  # noqa: B023 - called at once
                    time_rounds,
                    Earlier.of(handed_on.setdefault(case, [])),
                )
                handed_on[case].append(facts["hand_on"])
                found.append((process, case, clock.now - began_s, facts["step_s"]))
    return found


@pytest.mark.parametrize(("device_type", "name"), [(Host, "cpu"), (Prompt, "simulated")])
def test_several_processes(device_type, name):
    """The total is in the range before the first case, and within 25% once the first process is through."""
    budget, processes = Budget(), 5
    found = measured_in_processes(processes, budget, device_type, name)
    cases = {case.label(): case for _, case, _, _ in found}
    estimate = DurationEstimate(cases, budget, processes)
    total_s, before = STARTUP_S * processes + sum(item[2] for item in found), estimate.left()
    assert before.low_s < total_s < before.high_s
    spent_s, errors = 0.0, []
    for index, (process, case, seconds, step_s) in enumerate(found):
        estimate.end(case.label(), seconds, step_s, process=process)
        begun = STARTUP_S * (process + 1)
        spent_s += seconds
        if process or found[index + 1][0]:
            errors.append((begun + spent_s + estimate.left().low_s) / total_s - 1)
    print(f"{name}: {before} for {total_s:.0f} s, then {min(errors):+.0%} to {max(errors):+.0%}")
    assert max(map(abs, errors)) <= 0.25
    assert estimate.left() == Range(0.0, 0.0)


def test_starts_are_counted():
    """Of several processes, until each has ended a case."""
    cases = {"a": CaseKey.of("w", 1, "train", "cpu"), "b": CaseKey.of("w", 1, "forward", "cpu")}
    alone, several = DurationEstimate(cases, Budget()), DurationEstimate(cases, Budget(), 5)
    one = DurationEstimate(cases, Budget(), 1)
    assert one.left().low_s - alone.left().low_s == pytest.approx(STARTUP_S)
    assert several.left().low_s - alone.left().low_s > 4 * STARTUP_S
    for process in range(5):
        several.end("a", 0.5, 1e-3, process=process)
    assert several.left().low_s < STARTUP_S
    for process in range(3):  # the others time the headline alone
        several.end("b", 0.5, 1e-3, process=process)
    assert several.left() == Range(0.0, 0.0)


def test_only():
    """A case that the first process could not time is expected in no other."""
    cases = {name: CaseKey.of(name, 1, "train", "cpu") for name in "ab"}
    estimate, alone = DurationEstimate(cases, Budget(), 3), DurationEstimate({"a": cases["a"]}, Budget(), 3)
    for one in (estimate, alone):
        one.end("a", 0.5, 1e-3)
    assert estimate.left().low_s > alone.left().low_s
    estimate.only({("a", 1), ("a", 2)})
    assert estimate.left() == alone.left()
    estimate.end("a", 0.5, 1e-3, process=1)
    assert estimate.left().low_s > STARTUP_S
    estimate.end("a", 0.5, 1e-3, process=2)
    assert estimate.left() == Range(0.0, 0.0)


def test_canaries_of_all_processes():
    """Three in each, as long as the longest so far, apart from the cases' own time."""
    cases = {name: CaseKey.of("w", size, "train", "cpu") for size, name in enumerate("ab", 1)}
    left_s = []
    for canary_s in (0.0, 0.25):
        estimate = DurationEstimate(cases, Budget(), 2)
        estimate.end("a", 0.5 + canary_s, 1e-3, canary_s)
        left_s.append(estimate.left().low_s)
    assert left_s[1] - left_s[0] == pytest.approx(5 * 0.25)


def test_skipped_cases_are_not_tried_again():
    """In a later process."""
    skipped = case_s(2.0, "forward", "cpu", Budget().shared_by(5), 0.0, is_first=True, is_later=True)
    assert skipped == 0.0
    assert case_s(2.0, "train", "cpu", Budget().shared_by(5), 0.0, is_later=True) > 4.0


def test_noise_costs_rounds():
    """More of them, until the time is used."""
    quiet_s, usual_s, noisy_s = (
        case_s(1e-3, "forward", "cpu", Budget(), noise) for noise in (0.0, 0.05, 9.0)
    )
    assert usual_s - quiet_s == pytest.approx(0.04, abs=0.02)
    assert noisy_s - quiet_s == pytest.approx(0.96, abs=0.02)


def test_groups_are_started_too():
    """Each device of several processes is a start of its own in every process."""
    cases = {device: CaseKey.of("a", 4, "train", device) for device in ("cpu", "cpu@1", "2xcpu")}
    one = DurationEstimate({name: cases[name] for name in ("cpu", "cpu@1")}, Budget(), 3).left()
    both = DurationEstimate({name: cases[name] for name in ("cpu", "2xcpu")}, Budget(), 3).left()
    assert both.low_s - one.low_s == pytest.approx(3 * STARTUP_S)


def test_rounds_with_a_loader():
    """Before each of them, batches that were prefetched are used; such a case is tried however slow it is."""
    budget = Budget()
    load_s, infer_s = (
        case_s(1.0, phase, "cpu", budget, NOISE, is_first=False) for phase in ("load", "infer")
    )
    rounds = (load_s - infer_s) / PREFETCHED
    assert rounds == pytest.approx(round(rounds))
    assert rounds >= 2


def test_phases_without_a_case_yet():
    """Inference is assumed to be a third of training, an epoch as slow as the slower of what it does."""
    phases = ("train", "infer", "load", "epoch")
    cases = {
        f"{phase}-{device}": CaseKey.of("w", 1, phase, device)
        for phase in phases
        for device in ("cpu", "cuda")
    }
    estimate = DurationEstimate(cases, Budget())
    steps = {nodeid: estimate._step_s(case) for nodeid, case in cases.items()}
    assert set(steps.values()) == {QUICK_S}
    estimate.end("train-cpu", 1.0, step_s=0.3)
    assert estimate._step_s(cases["infer-cpu"]) == pytest.approx(0.1)
    assert estimate._step_s(cases["epoch-cpu"]) == pytest.approx(0.3)
    assert estimate._step_s(cases["load-cpu"]) == QUICK_S
    estimate.end("load-cuda", 1.0, step_s=0.7)
    assert estimate._step_s(cases["load-cpu"]) == pytest.approx(0.7)  # it needs no device
    assert estimate._step_s(cases["epoch-cpu"]) == pytest.approx(0.7)
    assert estimate._step_s(cases["infer-cuda"]) == QUICK_S
    estimate.end("infer-cpu", 1.0, step_s=0.05)
    assert estimate._step_s(cases["infer-cpu"]) == pytest.approx(0.05)
