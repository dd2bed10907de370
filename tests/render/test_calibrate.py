"""A noise floor as terminal output and as JSON."""

import json
import math
from pathlib import Path

import jsonschema

from breakeven.compare.noise_floor import Detectable, NoiseFloor
from breakeven.render.calibrate import CalibrationJson, renderables, to_json, verdict_lines
from breakeven.render.json_output import json_schema

FLOOR = NoiseFloor("c1", {}, 3, "", "", {"a": [1.0, 1.1, 1.2], "b": [1.0, 1.0, None]})
DETECTABLE = [Detectable(1, 9.0, math.inf), Detectable(5, 0.05, 0.2)]


def test_terminal():
    """A slowdown of more than elevenfold counts as none."""
    lines = [item.plain for item in renderables(FLOOR, DETECTABLE, Path("n"), []) if hasattr(item, "plain")]
    rows = [line.split() for line in lines if line.startswith("  ")]
    assert [(row[0], row[5], row[-4]) for row in rows] == [("+900%", "none", "1"), ("+5%", "+20%", "5")]


def test_verdict():
    """It is about the fewest runs per side, and short."""
    first, second = verdict_lines(FLOOR, DETECTABLE)
    assert first == "1 run per side shows slowdowns from +900% in the median case."
    assert "2 cases, 3 runs" in second
    assert len(first) + 1 + len(second) <= 220
    assert verdict_lines(FLOOR, [Detectable(3, math.inf, math.inf)])[0] == (
        "3 runs per side show no slowdown in the median case."
    )


def test_json():
    """It has the noise of the cases, and null for what cannot be detected."""
    content = json.loads(to_json(FLOOR, DETECTABLE, Path("n"), ["x"]))
    jsonschema.validate(content, json_schema(CalibrationJson))
    assert content["visible"][0] == {"runs": 1, "typical": 9.0, "loud": None}
    assert (content["cases"], content["path"], content["warnings"]) == (2, "n", ["x"])
