"""A card: what predicts the training steps of one machine, and its JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Card:
    """The rates of a machine with an accelerator, fitted from its run files, and how far they miss.

    Base units. `launch_s` is the host's time for each operator, `flops_per_s` the arithmetic rate of each
    format, `bytes_per_s` the memory's, `copied_bytes_per_s` that of copies from the host. `process_log_sd` is
    by how much the host's time differs from run to run, in other processes, as a standard deviation of
    logarithms; `low_log` and `high_log` are the ends of the 90% band of the logarithm of measured over
    predicted steps of models that were left out of the fit, of the same runs. `batch_sizes` are the smallest
    and largest that were seen. `log_sds` has the standard deviation of the logarithm of each rate
    (``launches``, ``memory``, ``copy``, and each format's name). `machine` has the facts of its class, the
    host's among them.
    """

    name: str
    hardware: str
    class_id: str
    device: str
    machine: Mapping[str, Any]
    launch_s: float
    flops_per_s: Mapping[str, float]
    bytes_per_s: float
    copied_bytes_per_s: float
    process_log_sd: float
    low_log: float
    high_log: float
    log_sds: Mapping[str, float]
    cells: int
    models: int
    runs: int
    processes: int
    batch_sizes: tuple[int, int]


def read_card(path: str) -> Card:
    """Read a card's file.

    Raises:
        RunFileError: one line that names file, field and remedy.
    """
    raise NotImplementedError


def shipped_cards() -> dict[str, Path]:
    """Return the files of the cards that come with the package, by name."""
    folder = Path(__file__).parent / "cards"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}
