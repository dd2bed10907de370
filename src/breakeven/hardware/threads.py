"""The number of CPU threads that torch uses by default, read when this module is loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from breakeven.hardware.cpus import affinity, affinity_size, core_sizes, usable_cpus


def torch_default(
    reported: int, environment: Mapping[str, str], cores: int | None, cpus: int, *, has_mkl: bool
) -> int:
    """Return the number of threads that torch uses by default, from what it reports now.

    A conftest.py may have called `torch.set_num_threads` before breakeven was loaded, and torch does not keep
    its default. So a number that torch cannot have chosen is replaced by the one it chooses: what
    ``MKL_NUM_THREADS`` or ``OMP_NUM_THREADS`` requests, at most one thread per core, or else one per core.
    Without MKL torch may also choose one per logical CPU.

    Args:
        reported: torch's current number of threads.
        environment: environment variables.
        cores: physical cores that this process may use; None where they are unknown, and `reported` is used.
        cpus: logical CPUs that this process may use.
        has_mkl: whether torch was built with MKL.
    """
    if cores is None:
        return reported
    names = ("MKL_NUM_THREADS", "OMP_NUM_THREADS") if has_mkl else ("OMP_NUM_THREADS",)
    texts = [environment.get(name, "").split(",")[0].strip() for name in names]
    requested = next((int(text) for text in texts if text.isdecimal() and int(text) > 0), None)
    if requested is None:
        possible = {cores} if has_mkl else {cores, cpus}
    else:
        possible = {requested, min(requested, cores)}
    return reported if reported in possible else min(possible)


def default_threads() -> int:
    """Return the number of threads of ``cpu``: torch's default, reduced to the affinity and the quota."""
    return min(_TORCH_DEFAULT, usable_cpus())


def uses_openmp() -> bool:
    """Return whether torch's threads are those of OpenMP."""
    return "parallel backend: OpenMP" in torch.__config__.parallel_info()


def _read_torch_default() -> int:
    mkl: Any = torch.backends.mkl
    try:
        cores = len(core_sizes(affinity()))
    except OSError:
        cores = None
    return torch_default(
        torch.get_num_threads(), os.environ, cores, affinity_size(), has_mkl=mkl.is_available()
    )


_TORCH_DEFAULT = _read_torch_default()
