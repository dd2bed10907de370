"""Large run files: the same content as of small ones, in a fraction of the memory."""

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.errors import RunFileError
from breakeven.runs import large_files
from breakeven.runs.json_files import load_json
from breakeven.runs.large_files import read_large
from breakeven.runs.reader import read
from support.run_files import benchmark, run, write

HOSTILE = ['"', "\\", '\\"', "}]", '{"benchmarks": [{', "é", "\u2028", "benchmarks"]


@pytest.fixture(autouse=True)
def every_file_is_large(monkeypatch):
    monkeypatch.setattr(large_files, "MIN_LARGE", 0)


def plain(content):
    """The content with lists in place of arrays."""
    for one in content["benchmarks"]:
        if isinstance(one.get("stats"), dict) and isinstance(one["stats"].get("data"), np.ndarray):
            one["stats"]["data"] = one["stats"]["data"].tolist()
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("large")


@given(
    st.lists(st.fixed_dictionaries({"name": st.sampled_from(HOSTILE), "stats": st.fixed_dictionaries({
        "data": st.lists(st.floats(0, 1) | st.integers(0, 9), max_size=4) | st.just([None])})})),
    st.dictionaries(st.sampled_from(HOSTILE), st.sampled_from([*HOSTILE, [], [{}], {"benchmarks": [{}]}])),
    st.integers(1, 40),
    st.sampled_from([None, 4]),
    st.booleans(),
)  # fmt: skip
def test_same_content(folder, benchmarks, more, part, indent, is_first):
    """Wherever the parts end: in a string, an escape or a character."""
    listed = {"benchmarks": benchmarks}
    path = write(
        folder / "run.json",
        json.dumps(
            {**listed, **more, **listed} if is_first else {**more, **listed},
            indent=indent,
            ensure_ascii=False,
        ),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_files, "_PART", part)
        found = read_large(path)
    assert plain(found) == load_json(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-2],
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("}, {", "} {", 1),
        lambda text: text.replace('"benchmarks": [', '"benchmarks": [0, '),
        lambda text: text.replace('"benchmarks": [', '"benchmarks": [{"a": ' + "[" * 900 + "]" * 900 + "}, "),
        lambda text: text + "]",
        lambda text: text[:0],
        lambda text: text[:0] + "[]",
    ],
)
def test_damaged_file(tmp_path, monkeypatch, damage):
    """The message is that of a small file."""
    text = json.dumps(run([benchmark([1.0] * 9), benchmark([2.0] * 9, device="cuda")]))
    path = write(tmp_path / "run.json", damage(text))
    messages = []
    for size in (0, 1 << 30):
        monkeypatch.setattr(large_files, "MIN_LARGE", size)
        with pytest.raises(RunFileError) as raised:
            read([path])
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


def test_memory(tmp_path, monkeypatch):
    """Rounds take 8 bytes each, and no part of the text is kept."""
    monkeypatch.setattr(large_files, "_PART", 1 << 16)
    rounds = [0.001 + number * 1e-9 for number in range(5_000)]
    path = tmp_path / "run.json"
    write(path, run([benchmark(rounds, batch_size=2**size) for size in range(50)]))
    size = path.stat().st_size
    tracemalloc.start()
    found = read_large(str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found["benchmarks"]) == 50
    assert peak < 0.75 * size
