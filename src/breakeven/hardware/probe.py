"""``python -m breakeven.hardware.probe``: print this machine's class and breakeven's version as JSON."""

from __future__ import annotations

import json
from importlib.metadata import version

from breakeven.hardware.machine import machine_facts

if __name__ == "__main__":
    print(json.dumps({"breakeven": version("breakeven"), "machine": machine_facts()}, default=str))
