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
        if (
            isinstance(one, dict)
            and isinstance(one.get("stats"), dict)
            and isinstance(one["stats"].get("data"), np.ndarray)
        ):
            one["stats"]["data"] = one["stats"]["data"].tolist()
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("large")


TEXTS = st.sampled_from(HOSTILE) | st.text(max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXTS, inside, max_size=3),
    max_leaves=6,
)
ROUNDS = st.lists(st.floats(0, 1) | st.integers(0, 9), max_size=4) | st.just([None]) | VALUES
BENCHMARKS = st.lists(
    st.fixed_dictionaries({"name": TEXTS, "stats": st.fixed_dictionaries({"data": ROUNDS}) | VALUES})
    | VALUES,
    max_size=4,
)


@given(
    st.lists(st.tuples(st.just("benchmarks") | TEXTS, VALUES), max_size=3),
    BENCHMARKS,
    st.lists(st.tuples(TEXTS, VALUES), max_size=3),
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
)
def test_same_content(folder, before, benchmarks, after, indent, is_ascii):
    """Of names that occur twice, the last one counts."""
    pairs = [*before, ("benchmarks", benchmarks), *after]
    texts = [
        ": ".join(json.dumps(one, indent=indent, ensure_ascii=is_ascii) for one in pair) for pair in pairs
    ]
    path = write(folder / "run.json", "{" + ", ".join(texts) + "}")
    content = load_json(path)
    found = read_large(path)
    assert (found is not None) == isinstance(content["benchmarks"], list)
    if found is not None:
        assert plain(found) == content


@pytest.mark.parametrize(
    "text",
    [
        '{"benchmarks": [{"stats": {"data": [NaN]}}]}',
        '{"benchmarks": [], "a": Infinity}',
        '\ufeff{"benchmarks": []}',
        '{"benchmarks": [], "\\ud800": 1}',
    ],
)
def test_read_as_a_whole(tmp_path, text):
    """What only the decoder of small files accepts."""
    path = write(tmp_path / "run.json", text)
    assert read_large(path) is None
    assert "benchmarks" in load_json(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-2],
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("}, {", "} {", 1),
        lambda text: text.replace('"benchmarks": [', '"benchmarks": [0, '),
        lambda text: text.replace('"benchmarks": [', '"others": ['),
        lambda text: text.replace('"benchmarks": [', '"benchmarks": [{"a": ' + "[" * 62 + "]" * 62 + "}, "),
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


def test_memory(tmp_path):
    """The text, and 8 bytes for each round."""
    rounds = [0.001 + number * 1e-9 for number in range(5_000)]
    path = tmp_path / "run.json"
    write(path, run([benchmark(rounds, batch_size=2**size) for size in range(50)]))
    size = path.stat().st_size
    tracemalloc.start()
    found = read_large(str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found["benchmarks"]) == 50
    assert peak < 1.1 * (size + 8 * 50 * len(rounds))
