"""The plan that is printed before the first case begins."""

from types import SimpleNamespace

import pytest

from breakeven.case import Budget, CaseKey
from breakeven.errors import UsageError
from breakeven.plugin.plan import CasePlan

CPU = SimpleNamespace(name="cpu", is_accelerator=False, threads=2)
CUDA = SimpleNamespace(name="cuda", is_accelerator=True, threads=99)


@pytest.fixture
def plan(monkeypatch):
    """Return a function: cases as ``(batch size, phase, device)`` -> their plan, with two usable CPUs."""
    monkeypatch.setattr("breakeven.plugin.plan.usable_cpus", lambda: 2)

    def of(*cases, devices=(CPU, CUDA), max_time_s=1.0, is_timing=True):
        phases = ("forward", "train")
        budget = Budget(max_time_s=max_time_s)
        made = CasePlan(
            SimpleNamespace(
                devices=devices, phases=phases, is_timing=is_timing, processes=0, budget=lambda: budget
            )
        )
        for number, case in enumerate(cases):
            made.add(str(number), case and CaseKey.of("mlp", *case))
        return made

    return of


def test_summary(plan):
    """It counts cases, models and cells, and names the devices and the duration."""
    assert plan((1, "train", "cpu"), (1, "train", "cuda"), (8, "train", "cpu")).summary() == [
        "breakeven: 3 cases (1 model in 2 cells: train) on cpu, cuda; about 1 to 9 s"
    ]


def test_deselected(plan):
    """Devices and phases without a case are left out."""
    one = plan((1, "forward", "cuda"))

    assert one.summary() == ["breakeven: 1 case (1 model in 1 cell: forward) on cuda; about 1 to 2 s"]
    assert one.devices == [CUDA]


def test_only_invalid_sweeps(plan):
    """If no case is known, everything that was requested is listed."""
    wrong = plan(None)

    assert wrong.summary() == [
        "breakeven: 0 cases (0 models in 0 cells: forward, train) on cpu, cuda; about 0 s"
    ]
    assert wrong.devices == [CPU, CUDA]


@pytest.mark.parametrize(("max_time_s", "high_s"), [(0.1, 66.0), (1.0, 472.0), (60.0, 771.0)])
def test_max_time(plan, max_time_s, high_s):
    """Less time per case makes the run shorter."""
    cases = [(size, "train", "cpu") for size in range(1, 151)]

    left = plan(*cases, max_time_s=max_time_s).estimate().left()

    assert left.high_s == pytest.approx(high_s, rel=0.1)
    assert left.low_s < left.high_s / 2


def test_long_run(plan):
    """A case of an accelerator takes longer; a long run is given in minutes."""
    cases = [(size, "train", "cuda") for size in range(1, 201)]

    assert plan(*cases).summary()[0].endswith("about 2 to 11 min")


def test_untimed(plan):
    untimed = plan((1, "train", "cpu"), is_timing=False)

    assert untimed.summary()[0].endswith(" on cpu; nothing is timed")
    assert untimed.estimate() is None


def test_too_many_threads(plan):
    """A device with more threads than the process may use has a warning."""
    wide = SimpleNamespace(name="cpu@3", is_accelerator=False, threads=3)

    cases = [(1, "train", name) for name in ("cpu", "cpu@3", "cuda")]

    [_, warning] = plan(*cases, devices=(CPU, wide, CUDA)).summary()
    assert {"cpu@3", "2"} <= set(warning.split())


@pytest.mark.parametrize(
    ("threads", "expected"),
    [
        ({"cpu": 2, "cpu@1": 1, "cuda": 99}, []),
        ({"cpu": 1, "cpu@1": 1, "cpu@2": 2}, ["cpu uses 1 thread here, as cpu@1 does"]),
        ({"cpu": 2, "cpu@2": 2}, ["cpu uses 2 threads here, as cpu@2 does"]),
        ({"cpu": 2, "cpu@best": 2}, []),
        ({"cpu": 1}, ["cpu uses 1 thread here, so cpu@1 would be the same"]),
        ({"cpu": 1, "cuda": 1}, []),
        ({"cpu": 1, "2xcpu": 1}, []),
        ({"cpu@1": 1}, []),
    ],
)
def test_equal_threads(plan, threads, expected):
    """Devices that would do the same work are pointed out."""
    devices = tuple(
        SimpleNamespace(name=name, is_accelerator=name == "cuda", threads=number)
        for name, number in threads.items()
    )

    warnings = plan(*((1, "train", name) for name in threads), devices=devices).summary()[1:]

    assert len(warnings) == len(expected)
    assert all(text in warning for text, warning in zip(expected, warnings, strict=True))


def test_two_equal_cases(plan):
    """They are refused; invalid sweeps never are."""
    plan(None, None)

    with pytest.raises(UsageError, match=r"1 and 0 are the same case, mlp train cpu batch=1; rename"):
        plan((1, "train", "cpu"), (1, "train", "cpu"))


def test_collected_twice(plan):
    made = plan((1, "train", "cpu"))
    with pytest.raises(UsageError, match="0 was collected twice; remove --keep-duplicates"):
        made.add("0", CaseKey.of("mlp", 1, "train", "cpu"))
