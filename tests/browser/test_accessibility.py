"""The page by axe-core: what a screen reader, a keyboard or weak eyes would miss."""

import pytest

from breakeven.report.answer import Answer, Trust
from support.reports import box
from support.run_files import affine_run, benchmark, outcome, run

GPU = {"cpu": (1, 1), "cuda": (33, 0.2)}
MODES = {
    "light": {"width": 1280},
    "dark": {"width": 1280, "color_scheme": "dark"},
    "phone": {"width": 390},
}


def several_models():
    """Models of two workloads with every phase, of which some ran in several processes."""
    first, *others = [
        affine_run(GPU, phases=("transfer", "forward", "train"), workload=workload, axes={"width": width})
        for workload in ("mlp", "cnn")
        for width in (64, 512)
    ]
    first["benchmarks"] += [item for other in others for item in other["benchmarks"]]
    return first


def two_machines():
    """The same models on two machines, one of which was throttled."""
    other = affine_run(GPU, machine=box("two", gpu="H100"), seed=2)
    other["benchmarks"][0]["extra_info"]["flags"] = ["throttled"]
    return affine_run(GPU, machine=box("one", gpu="L4")), other


UNFIT = Answer(("This run cannot be trusted.", "Close other programs, and measure again."), Trust.UNFIT)

RUNS = {
    "models": lambda: [several_models()],
    "two machines": two_machines,
    "failures": lambda: [run([], [outcome(device="cuda"), outcome("skipped", "it would take 43 min")])],
    "two rounds": lambda: [run([benchmark([1.0, 2.0]), benchmark([0.0] * 9, device="cuda")])],
    "unfit": lambda: [affine_run(GPU)],
}


EVERY_DAY = {("two rounds", "light"), ("two machines", "dark"), ("unfit", "phone")}
CASES = [
    pytest.param(name, mode, marks=() if (name, mode) in EVERY_DAY else pytest.mark.slow)
    for name in RUNS
    for mode in MODES
]


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_no_violations(show, axe, name, mode):
    """No rule is violated, whether the folds are closed or open."""
    # The page's policy forbids scripts other than its own, such as axe.
    answer = UNFIT if name == "unfit" else None
    page = show(*RUNS[name](), answer=answer, bypass_csp=True, **MODES[mode]).page
    for is_open in ("false", "true"):
        page.evaluate(f"document.querySelectorAll('details').forEach(one => {{ one.open = {is_open}; }})")
        found = axe.run(page)
        assert found.violations_count == 0, found.generate_report()
