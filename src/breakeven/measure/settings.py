"""Process-wide settings of torch: restored after each recipe and case, and recorded.

A recipe or a model may change any of them. What a recipe sets is in effect for its own cases only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils import deterministic

from breakeven.hardware import float32
from breakeven.hardware.devices import accelerator_kind
from breakeven.hardware.machine import flushes_denormals

_backends: Any = torch.backends
_cuda: Any = torch.backends.cuda
_C: Any = torch._C

SEED = 0
"""Set before every recipe and case, so that each device gets the same weights, batch and random numbers."""


@dataclass(frozen=True)
class Setting:
    """How one setting is read and set; `is_inherited` is whether a recipe's value applies to its cases."""

    name: str
    read: Callable[[], Any]
    set: Callable[[Any], object]
    is_inherited: bool = True


def _attribute(name: str, holder: Any, attribute: str) -> Setting:
    return Setting(name, lambda: getattr(holder, attribute), lambda value: setattr(holder, attribute, value))


def _set_default_device(device: torch.device) -> None:
    # Even the CPU as an explicit default would slow down every later operation.
    torch.set_default_device(None if device.type == "cpu" else device)


def _autocast() -> dict[str, tuple[bool, torch.dtype]]:
    kinds = [kind for kind in ("cpu", accelerator_kind()) if kind is not None]
    return {kind: (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in kinds}


def _set_autocast(states: Mapping[str, tuple[bool, torch.dtype]]) -> None:
    for kind, (is_on, dtype) in states.items():
        torch.set_autocast_enabled(kind, is_on)
        torch.set_autocast_dtype(kind, dtype)


SETTINGS: tuple[Setting, ...] = (
    Setting("default_device", torch.get_default_device, _set_default_device),
    Setting("default_dtype", torch.get_default_dtype, torch.set_default_dtype),
    # Training needs gradients, and the device sets the threads.
    Setting("grad_mode", torch.is_grad_enabled, torch.set_grad_enabled, is_inherited=False),
    Setting("threads", torch.get_num_threads, torch.set_num_threads, is_inherited=False),
    Setting(
        "anomaly_mode",
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda value: torch.autograd.set_detect_anomaly(*value),
    ),
    Setting(
        "multithreaded_backward",
        _C._is_multithreading_enabled,
        torch.autograd.set_multithreading_enabled,
    ),
    Setting(
        "deterministic",
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
    ),
    _attribute("fill_uninitialized_memory", deterministic, "fill_uninitialized_memory"),
    Setting("float32", float32.Switches, lambda switches: switches.restore()),
    _attribute("cudnn", _backends.cudnn, "enabled"),
    _attribute("cudnn_benchmark", _backends.cudnn, "benchmark"),
    _attribute("cudnn_deterministic", _backends.cudnn, "deterministic"),
    _attribute("mkldnn", _backends.mkldnn, "enabled"),
    _attribute("mkldnn_deterministic", _backends.mkldnn, "deterministic"),
    _attribute("fp16_reduction", _cuda.matmul, "allow_fp16_reduced_precision_reduction"),
    _attribute("fp16_accumulation", _cuda.matmul, "allow_fp16_accumulation"),
    _attribute("bf16_reduction", _cuda.matmul, "allow_bf16_reduced_precision_reduction"),
    Setting("flash_sdp", _cuda.flash_sdp_enabled, _cuda.enable_flash_sdp),
    Setting("mem_efficient_sdp", _cuda.mem_efficient_sdp_enabled, _cuda.enable_mem_efficient_sdp),
    Setting("math_sdp", _cuda.math_sdp_enabled, _cuda.enable_math_sdp),
    Setting("cudnn_sdp", _cuda.cudnn_sdp_enabled, _cuda.enable_cudnn_sdp),
    Setting(
        "math_sdp_reduction",
        _cuda.fp16_bf16_reduction_math_sdp_allowed,
        _cuda.allow_fp16_bf16_reduction_math_sdp,
    ),
    Setting("attention_fastpath", _backends.mha.get_fastpath_enabled, _backends.mha.set_fastpath_enabled),
    Setting("flush_denormal", flushes_denormals, torch.set_flush_denormal),
    Setting(
        "autocast",
        _autocast,
        _set_autocast,
    ),
    Setting("autocast_cache", torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
)
"""Everything process-wide that a recipe can change and that changes what is computed, or how fast."""


def seed_all(seed: int = SEED) -> None:
    """Seed the generators of torch, on every device, of Python and of numpy."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def random_states() -> tuple[Any, ...]:
    """Return the states of torch's CPU generator, of Python's and of numpy's."""
    numpys: Any = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), numpys[1].tobytes(), *numpys[2:]


def read_settings() -> dict[str, Any]:
    """Return the value of each setting; one that this torch cannot read is left out."""
    values = {}
    for setting in SETTINGS:
        with suppress(Exception):  # another version of torch
            values[setting.name] = setting.read()
    return values


def apply(values: Mapping[str, Any]) -> None:
    """Set each setting whose value differs."""
    now = read_settings()
    for setting in SETTINGS:
        if setting.name in values and now.get(setting.name) != values[setting.name]:
            with suppress(Exception):  # one that torch refuses to set must not keep the others changed
                setting.set(values[setting.name])


@contextmanager
def settings_kept() -> Iterator[dict[str, Any]]:
    """Restore every setting, and the generators, after the block; yield the settings before it."""
    before = read_settings()
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield before
    finally:
        # First the default device, which the others' tensors use.
        _set_default_device(before["default_device"])
        torch.set_rng_state(states[2])
        random.setstate(states[0])
        np.random.set_state(states[1])
        apply(before)


def inherited(before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from `before` and apply to the cases of the recipe that made them."""
    names = {setting.name for setting in SETTINGS if setting.is_inherited}
    return {name: value for name, value in changed_settings(before).items() if name in names}


def changed_settings(before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings whose value differs from `before`."""
    return {name: value for name, value in read_settings().items() if before.get(name) != value}


def as_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return each value as text, for a run file."""
    return {name: str(value).replace("torch.", "") for name, value in values.items()}
