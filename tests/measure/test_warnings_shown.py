"""Warnings cost no case its timing, whatever the project's filters."""

import importlib
import warnings

import pytest
import torch

from breakeven.measure.runner import Runner
from breakeven.measure.warnings_shown import warnings_shown


def raised_by(function):
    """The warnings that a function gives, if it does not raise."""
    with warnings.catch_warnings(record=True) as caught:
        function()
    return [str(warning.message) for warning in caught]


def warn(text="mine", category=UserWarning):
    warnings.warn(text, category, stacklevel=1)


def shown(text="mine", category=UserWarning):
    with warnings_shown():
        warn(text, category)


@pytest.mark.parametrize("category", [UserWarning, DeprecationWarning, FutureWarning, ResourceWarning])
def test_errors_are_shown(category):
    assert raised_by(lambda: shown(category=category)) == ["mine"]
    with pytest.raises(category):
        warn(category=category)


def test_narrow_filters_are_kept():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "mine")
        warnings.filterwarnings("error", "narrow")
        assert raised_by(shown) == []
        assert raised_by(lambda: shown("narrow")) == ["narrow"]
    with pytest.raises(UserWarning):
        warn()


CASES = """
class Warns(torch.nn.Linear):
    has_warned = False

    def forward(self, inputs):
        if not Warns.has_warned:  # as torch does
            Warns.has_warned = True
            import warnings
            warnings.warn("given once", FutureWarning)
        return super().forward(inputs)

@pytest.mark.sweep(batch_size=[1, 2])
def bench_warns(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size, model=Warns(4, 2)))

@pytest.mark.sweep(batch_size=[1])
def bench_builds(train_benchmark, batch_size):
    def recipe():
        import warnings
        warnings.warn("given by the recipe", FutureWarning)
        return workload(batch_size)
    train_benchmark(recipe)
"""


@pytest.mark.parametrize("options", [["-W", "error"], ["-o", "filterwarnings=error"]], ids=["-W", "ini"])
def test_project_whose_warnings_are_errors(bench, options):
    result = bench.write(CASES).run(*options)
    assert result.ret == 0
    assert len(bench.timed()) == 3
    assert bench.outcomes() == {}
    result.stdout.fnmatch_lines(["*FutureWarning: given once"])
    result.stdout.fnmatch_lines(["*FutureWarning: given by the recipe"])


@pytest.mark.parametrize(
    "where",
    [
        "breakeven.plugin.measuring.machine_facts",
        "breakeven.plugin.measuring.machine_state",
        "breakeven.hardware.devices.default_threads",
        "breakeven.plugin.options.parse_devices",
    ],
)
def test_warnings_beside_the_cases(bench, monkeypatch, where):
    """Such as torch's, once, about a driver that is too old for it."""
    module, _, name = where.rpartition(".")
    function = getattr(importlib.import_module(module), name)

    def warns(*arguments):
        warn(f"from {name}")
        return function(*arguments)

    monkeypatch.setattr(where, warns)
    with warnings.catch_warnings(record=True) as after_the_summary:
        result = bench.write().run("-W", "error")
    assert result.ret == 0
    assert len(bench.timed()) == 2
    late = [str(warning.message) for warning in after_the_summary]
    assert f"UserWarning: from {name}" in result.stdout.str() or f"from {name}" in late


def test_untimed_round(bench):
    """As with --benchmark-disable."""
    result = bench.write(CASES).run("--benchmark-disable", "-W", "error")
    assert result.ret == 0
    assert {outcome for outcome, _ in bench.outcomes().values()} == {"skipped"}


def test_canary(monkeypatch):
    """The first work of a process may be the one that torch warns about."""

    class Warns:
        name = "warns"

        def state_kept_open(self):
            return warnings.catch_warnings()

        def initialize(self):
            warn("of the device")

    monkeypatch.setattr("breakeven.measure.runner.run_canary", lambda *_: warn("of the canary") or {"s": 1.0})
    runner = Runner(None)
    assert raised_by(lambda: runner.run_canary("start", [Warns()])) == ["of the device", "of the canary"]
    assert runner.canary == {"warns": {"start": {"s": 1.0}}}


def test_warning_of_torch():
    """torch's own, which is given once in a process and hence raised by one call only."""
    torch._C._set_warnAlways(True)
    try:
        with pytest.raises(UserWarning, match="nested tensors"):
            torch.nested.nested_tensor([torch.ones(2)])
        with warnings_shown():
            [message] = raised_by(lambda: torch.nested.nested_tensor([torch.ones(2)]))
        assert "nested tensors" in message
    finally:
        torch._C._set_warnAlways(False)
