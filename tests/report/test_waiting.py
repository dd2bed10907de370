"""Training steps that wait for their accelerator, beside loops that do not, and what waiting costs."""

import re

import numpy as np
import pytest

from breakeven.report.estimates import estimates
from breakeven.report.waiting import waiting_costs
from support.reports import box, only, report, what_ifs
from support.run_files import benchmark, noisy, run


def content(times, device="cuda", number=0, **machine):
    """A run of cells that take these seconds: by phase and batch size, with the steps of a round or None."""
    rng = np.random.default_rng(number)
    rows = [
        benchmark(noisy(rng, median), phase=phase, device=device, batch_size=batch, steps=steps or ...)
        for (phase, batch, steps), median in times.items()
    ]
    return run(rows, machine=box(**machine), when=f"2026-01-0{number + 1}T00:00:00+00:00")


BOTH = {
    ("train", 1, 50): 0.010,
    ("train_sync", 1, None): 0.0125,
    ("train", 64, 2): 0.1,
    ("train_sync", 64, None): 0.1,
}


def test_cost_of_waiting(tmp_path):
    """The ratio of the two medians with its interval, from the draws that all comparisons use."""
    found = report(tmp_path, content(BOTH))
    few, many = waiting_costs(estimates(found.runs))
    assert (few.key.batch_size, many.key.batch_size) == (1, 64)
    assert few.ratio.low < 1.25 < few.ratio.high
    assert many.ratio.low < 1 < many.ratio.high
    assert few.ratio.high - few.ratio.low < 0.1
    sentence = only([text for text in found.bottleneck_sentences if "loss.item()" in text])
    assert re.search(r"takes 1\.2\dx \[1\.\d\d–1\.\d\d\] as long at most \(mlp.*, batch 1\)\.$", sentence)


def test_both_waited(tmp_path):
    times = {("train", 1, None): 0.010, ("train_sync", 1, None): 0.012}
    assert waiting_costs(row.estimate for row in report(tmp_path, content(times)).rows) == []


def test_nothing_waits_on_a_cpu(tmp_path):
    """One figure for all cells: the difference in a single one is noise."""
    times = {("train", batch, 50): 0.010 for batch in (1, 2, 4)}
    times |= {("train_sync", batch, None): 0.010 * batch for batch in (1, 2, 4)}
    found = report(tmp_path, content(times, "cpu"))
    sentence = only([text for text in found.bottleneck_sentences if "train_sync" in text])
    assert re.search(
        r"nothing waits: train_sync takes (2\.0\d|1\.9\d)x .* \(median of 3 cells\)\.$", sentence
    )


def test_too_few_rounds(tmp_path):
    """Without an interval, nothing is said."""
    rows = [benchmark([1.0] * n, phase=p, device="cuda", **s)
            for p, n, s in (("train", 9, {"steps": 5}), ("train_sync", 2, {}))]  # fmt: skip
    assert waiting_costs(row.estimate for row in report(tmp_path, run(rows)).rows) == []


def test_speedup_of_train_sync(tmp_path):
    """It is compared like other phases; verdict and break-even are about the loop."""
    contents = [content(BOTH), content({key: 10 * s for key, s in BOTH.items()}, "cpu", 1)]
    found = report(tmp_path, *contents)
    phases = [row.phase for row in found.speedups]
    assert sorted(phases) == ["train", "train", "train_sync", "train_sync"]
    assert found.headline == "train"
    assert {row.line.phase for row in what_ifs(found)} <= {"train"}
    assert found.answer == report(tmp_path, *(without_sync(each) for each in contents)).answer


def without_sync(made):
    """The content of a run file without the steps that waited."""
    kept = [item for item in made["benchmarks"] if item["extra_info"]["phase"] != "train_sync"]
    return made | {"benchmarks": kept}


def waited(found):
    """The warnings about steps that waited."""
    return [line for line in found.warnings if "waited for the device after each training step" in line]


def test_run_of_version_1(tmp_path):
    """One warning for all accelerators, none for the CPU."""
    old = {("train", batch, None): 0.01 * batch for batch in (1, 64)}
    both = content(old)
    both["benchmarks"] += content(old, "mps")["benchmarks"] + content(old, "cpu")["benchmarks"]
    warning = only(waited(report(tmp_path, both)))
    assert warning.startswith("train on cuda and mps waited ")
    assert waited(report(tmp_path, content(old, "cpu"))) == []
    assert waited(report(tmp_path, content(BOTH))) == []


def test_machines_of_both_kinds(tmp_path):
    """Their steps are not comparable, although each is compared with its own CPU."""
    contents = [
        content({("train", 1, steps): 0.01}, number=number, name=name)
        for number, (name, steps) in enumerate((("A", None), ("B", 50), ("C", 50)))
    ]
    found = report(tmp_path, *contents)
    assert found.comparability.level == "amber"
    reasons = [reason.text for reason in found.comparability.reasons]
    assert "on cuda of A," in only(reasons)
    assert "not on cuda of B, cuda of C;" in only(reasons)
    assert any(line.startswith("train on cuda on A waited ") for line in found.warnings)
    assert report(tmp_path, *contents[1:]).comparability.level == "green"


def test_batch_sizes_of_both_kinds(tmp_path):
    """A break-even of both is doubtful."""
    made = content({("train", 1, None): 0.01, ("train", 64, 50): 0.01})
    assert report(tmp_path, made).comparability.level == "amber"


@pytest.mark.parametrize("order", [1, -1])
def test_runs_of_both_kinds(tmp_path, order):
    """Only the loops are used, in any order of the files, and one warning names the other files."""
    old, new, newer = (
        content({("train", 1, steps): median}, number=number)
        for number, (steps, median) in enumerate(((None, 0.013), (50, 0.010), (40, 0.010)))
    )
    found = report(tmp_path, *[old, new, newer][::order])
    estimate = only(found.rows).estimate
    assert estimate.runs == 2
    assert estimate.median_s == pytest.approx(0.010, rel=0.05)
    name = "run0.json" if order == 1 else "run2.json"
    assert only(waited(found)).split(":")[0].endswith(name)


def test_runs_on_a_cpu_are_pooled(tmp_path):
    """There is nothing to wait for."""
    contents = [content({("train", 1, steps): 0.01}, "cpu", i) for i, steps in enumerate((None, 50))]
    found = report(tmp_path, *contents)
    assert [estimate.runs for estimate in estimates(found.runs)] == [2]
    assert waited(found) == []
