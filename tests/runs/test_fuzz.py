"""Broken run files: each results in a report, or in one line that names the file."""

import contextlib
import copy
import json
import math

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from breakeven.errors import RunFileError
from breakeven.render.report_data import to_json
from breakeven.report.report import analyze
from breakeven.runs.reader import read, read_run
from support.run_files import benchmark, outcome, run

SONG = {"median_s": 1.0, "low_s": 0.9, "high_s": 1.1}
MACHINE = {
    "node": "box",
    "cpu": {"brand_raw": "EPYC", "count": 2},
    "breakeven": {
        "class": {"cpu": "EPYC", "cores": 2, "gpu": ["L4", "H100"], "gpu_count": 2, "power_limit_w": 70.0},
        "class_id": "abc",
        "state": {
            "device_init_s": {"cpu": 0.0, "cuda": 2.0},
            "canary": {"cpu": {"start": SONG, "end": SONG}},
            "end": {"gpu": {"pcie_generation": 5, "pcie_width": 16}, "load_average": [0.1]},
        },
    },
}
FACTS = {
    "first_call_s": 3.5, "model_transfer_s": 0.1, "parameters": 10, "flops": 1000, "enqueue_s": 0.9,
    "compile_s": 1.0, "parts_s": {"zero_grad": 0.1}, "flags": ["noisy"],
}  # fmt: skip
VALID = run(
    [
        benchmark(
            [slow + 0.1 * i for i in range(6)], device=device, axes={"tf32": tf32}, batch_size=n, **FACTS
        )
        for n in (1, 64)
        for device, tf32, slow in (("cpu", False, 3.0), ("cuda", False, 1.0), ("cuda", True, 0.5))
    ],
    [outcome(device="cuda", batch_size=512), {"outcome": "failed", "fullname": "x", "extra_info": {}}],
    MACHINE,
)
VALUES = [
    None, True, 0, -1, 2, 1.5, math.nan, -math.inf, 1e300, 2**53 + 1, 10**400, 5e-324, "", " ", "1", "a\nb",
    "\ud800", "x" * 400, [], {}, [None], [1.0] * 6, [[1.0]], {"a": math.nan}, {"\ud800": 1}, {"schema": 1},
]  # fmt: skip


def fields(value, path=()):
    """The path of every field and item within a value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in items:
        yield from fields(inside, (*path, key))


FIELDS = list(fields(VALID))
DROP, AGAIN = "drop", "again"
change = st.tuples(st.sampled_from(FIELDS), st.sampled_from([DROP, AGAIN, *range(len(VALUES))]))


def changed(changes):
    """The valid run with some of its fields dropped, repeated or replaced."""
    content = copy.deepcopy(VALID)
    for (*path, last), what in changes:
        try:
            holder = content
            for key in path:
                holder = holder[key]
            if what == DROP:
                del holder[last]
            elif what == AGAIN:
                holder.append(copy.deepcopy(holder[last]))
            else:
                holder[last] = copy.deepcopy(VALUES[what])
        except (KeyError, IndexError, TypeError, AttributeError):
            continue
    return json.dumps(content)


QUIETLY = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@QUIETLY
@example([(("benchmarks", 1, "stats", "data", 3), 11)])  # the ratio of two draws exceeded a float
@given(st.lists(change, min_size=1, max_size=3))
def test_changed_fields(tmp_path, changes):
    holds(tmp_path, changed(changes))


@QUIETLY
@given(
    st.integers(0, len(json.dumps(VALID)) - 1),
    st.sampled_from(["", "}", "]", ",", '"', "0", "e", "\\", "\x00"]),
    st.booleans(),
)
def test_changed_text(tmp_path, at, character, cut):
    """A file whose text was cut, or lost a character."""
    text = json.dumps(VALID)
    holds(tmp_path, text[:at] + character + ("" if cut else text[at + 1 :]))


def holds(tmp_path, text):
    """Every reader returns a result, or rejects the file with one line that names it."""
    path = tmp_path / "run.json"
    path.write_text(text)
    for answer in (lambda: read_run(path), lambda: to_json(analyze(read([path])))):
        with contextlib.suppress(RunFileError):
            answer()
            continue
        with pytest.raises(RunFileError) as caught:
            answer()
        assert str(caught.value).startswith(f"{path}: ")
        assert str(caught.value).isprintable()
