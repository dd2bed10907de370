"""Process-wide settings of torch: a recipe's are in effect for its own cases, and for nobody else's."""

import itertools
import random
from contextlib import suppress

import numpy as np
import pytest
import torch
from torch import nn

from breakeven.case import Axes, Budget, CaseKey, Cell
from breakeven.hardware.devices import Cpu
from breakeven.measure import settings
from breakeven.measure.cells import CellCache
from breakeven.measure.runner import Runner
from breakeven.measure.settings import apply, read_settings, settings_kept
from breakeven.measure.timing import CLOCK, time_round
from breakeven.measure.workload import Workload
from support.small_workloads import tiny

CHANGES = {
    "default_device": lambda: torch.set_default_device("meta"),
    "default_dtype": lambda: torch.set_default_dtype(torch.float64),
    "grad_mode": lambda: torch.set_grad_enabled(False),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "anomaly_mode": lambda: torch.autograd.set_detect_anomaly(True, check_nan=False),
    "multithreaded_backward": lambda: torch.autograd.set_multithreading_enabled(False),
    "deterministic": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "fill_uninitialized_memory": lambda: setattr(
        torch.utils.deterministic, "fill_uninitialized_memory", False
    ),
    "float32": lambda: torch.set_float32_matmul_precision("high"),
    "cudnn": lambda: setattr(torch.backends.cudnn, "enabled", False),
    "cudnn_benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "cudnn_deterministic": lambda: setattr(torch.backends.cudnn, "deterministic", True),
    "mkldnn": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "fp16_reduction": lambda: setattr(
        torch.backends.cuda.matmul, "allow_fp16_reduced_precision_reduction", False
    ),
    "bf16_reduction": lambda: setattr(
        torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False
    ),
    "flash_sdp": lambda: torch.backends.cuda.enable_flash_sdp(False),
    "mem_efficient_sdp": lambda: torch.backends.cuda.enable_mem_efficient_sdp(False),
    "cudnn_sdp": lambda: torch.backends.cuda.enable_cudnn_sdp(False),
    "math_sdp_reduction": lambda: torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True),
    "attention_fastpath": lambda: torch.backends.mha.set_fastpath_enabled(False),
    "mkldnn_deterministic": lambda: setattr(torch.backends.mkldnn, "deterministic", True),
    "fp16_accumulation": lambda: setattr(torch.backends.cuda.matmul, "allow_fp16_accumulation", True),
    "math_sdp": lambda: torch.backends.cuda.enable_math_sdp(False),
    "flush_denormal": lambda: torch.set_flush_denormal(True),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "autocast_cache": lambda: torch.set_autocast_cache_enabled(False),
}
"""What changes each setting."""

NOT_INHERITED = {"grad_mode", "threads"}


def test_every_setting_is_covered():
    assert set(CHANGES) == {setting.name for setting in settings.SETTINGS} == set(read_settings())


@pytest.mark.parametrize("name", CHANGES)
def test_settings_are_kept(name):
    before = read_settings()
    with settings_kept():
        CHANGES[name]()
        assert read_settings()[name] != before[name]
    assert read_settings() == before


def test_settings_are_kept_after_an_error():
    before = read_settings()
    with suppress(ZeroDivisionError), settings_kept():
        torch.set_default_dtype(torch.float64)
        raise ZeroDivisionError
    assert read_settings() == before


def test_generators_are_kept():
    states = settings.random_states()
    with settings_kept():
        torch.rand(1), random.random(), np.random.rand()
        assert settings.random_states() != states
    assert settings.random_states() == states


PAIRS = {
    "anomaly_mode": lambda value: torch.autograd.set_detect_anomaly(*value),
    "deterministic": lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
    "autocast": lambda value: settings._set_autocast({"cpu": value}),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("anomaly_mode", (True, False)),
        ("deterministic", (True, True)),
        ("autocast", (True, torch.float16)),
    ],
)
def test_both_parts_of_a_setting(name, value):
    """The second is restored too where it is not torch's default."""
    with settings_kept():
        PAIRS[name](value)
        before = read_settings()
        with settings_kept():
            PAIRS[name]((False, torch.bfloat16 if name == "autocast" else False))
            assert read_settings()[name] != before[name]
        assert read_settings()[name] == before[name]
        assert value in (before[name], before[name].get("cpu") if name == "autocast" else None)


def test_every_draw_is_seen():
    """Numpy's first one alone changes its array."""
    with settings_kept():
        np.random.seed(0)
        seen = [
            (draw(), settings.random_states())[1]
            for draw in (np.random.rand, np.random.rand, np.random.randn)
        ]
        np.random.randn()
        assert len({*seen, settings.random_states()}) == 4


def test_equal_settings_are_not_set(monkeypatch):
    """Some setters reset more than their value."""
    setting = settings.Setting("same", lambda: 1, lambda value: written.append(value))
    monkeypatch.setattr(settings, "SETTINGS", (setting,))
    written = []
    apply({"same": 1})
    apply({"same": 2})
    assert written == [2]


def test_an_explicit_cpu_is_not_left_behind():
    """As a default device it would slow down every operation."""
    with settings_kept():
        torch.set_default_device("cpu")
    assert torch.utils._device.CURRENT_DEVICE is None


def test_unreadable_setting_is_left_out(monkeypatch):
    def unreadable():
        raise RuntimeError("not in this version")

    broken = settings.Setting("broken", unreadable, unreadable)
    monkeypatch.setattr(settings, "SETTINGS", (*settings.SETTINGS, broken))
    with settings_kept() as before:
        assert "broken" not in before
        apply(before)


def settings_of_case(cells, name, recipe):
    """What is recorded of a case, and the settings in its rounds."""
    device, cell = Cpu(1), Cell(name, Axes(), 1)
    with device.active():
        trainer = cells.trainer(cell, device, recipe)
        with cells.settings_in_effect():
            trainer.start()
            trainer.whole_step()
            return cells.ran_with(), read_settings()


@pytest.mark.parametrize("name", sorted(set(CHANGES) - {"default_device"}))
def test_recipe_changes_its_own_cases_alone(name):
    cells, before = CellCache(CLOCK), read_settings()

    def changing():
        workload = tiny(1)
        CHANGES[name]()
        return workload

    recorded, in_case = settings_of_case(cells, "changing", changing)
    assert read_settings() == before
    assert list(recorded.get("settings", ())) == ([] if name in NOT_INHERITED else [name])
    assert (in_case[name] != before[name]) is (name not in NOT_INHERITED - {"threads"})
    recorded, in_case = settings_of_case(cells, "after", lambda: tiny(1))
    assert recorded == {"threads": 1}
    assert in_case == before | {"threads": 1}


class Limiting(nn.Module):
    """A model that changes the number of threads and the dtype in its forward pass."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, x):
        torch.set_num_threads(3)
        torch.set_default_dtype(torch.float64)
        return self.linear(x)


def test_model_changes_its_own_cases_alone():
    before = read_settings()
    recipe = lambda: Workload(Limiting(), nn.MSELoss(), torch.optim.Adam, torch.ones(1, 2), torch.ones(1, 1))  # noqa: E731
    recorded, _ = settings_of_case(CellCache(CLOCK), "limiting", recipe)
    assert recorded == {"threads": 3, "settings": {"default_dtype": "float64", "threads": "3"}}
    assert read_settings() == before


NUMBERS = itertools.count()


class Drawing(nn.Module):
    """A model that draws random numbers."""

    def __init__(self, draw):
        super().__init__()
        self.linear, self.draw = nn.Linear(2, 1), draw

    def forward(self, x):
        return self.linear(x + self.draw())


@pytest.mark.parametrize(
    "draw",
    [lambda: torch.rand(()), lambda: random.random(), lambda: np.random.rand(), lambda: next(NUMBERS)],
    ids=["torch", "Python", "numpy", "a sequence that never repeats"],
)
def test_random_model(draw):
    """It is recorded as random, not refused as other work."""

    def recipe():
        return Workload(Drawing(draw), nn.MSELoss(), torch.optim.Adam, torch.ones(1, 2), torch.ones(1, 1))

    device = Cpu(1)
    facts = Runner(Budget(max_time_s=0.02)).measure(
        CaseKey.of("drawing", 1, "forward", device.name), device, recipe, lambda round_, _: time_round(round_)
    )
    assert facts["random"] is True
    assert "loss_compared" not in facts
