"""How a JSON file, and a value in it, is refused."""

import msgspec
import pytest

from breakeven.errors import NewerSchemaError, RunFileError
from breakeven.runs.json_files import Place, load_json


class Item(msgspec.Struct):
    """An object with a required field."""

    name: str
    sizes: list[int] = []


class Holder(msgspec.Struct):
    """An object of objects."""

    items: list[Item]


def refusal(value, kind, remedy="mend it"):
    """How a value is refused, without the file."""
    with pytest.raises(RunFileError) as caught:
        Place("f.json", "top").decode(value, kind, remedy)
    file, _, rest = str(caught.value).partition(": ")
    assert file == "f.json"
    place, _, rest = rest.partition(": ")
    problem, _, end = rest.rpartition("; ")
    return place, problem, end


@pytest.mark.parametrize(
    ("value", "kind", "place", "shown"),
    [
        ("1", int, "top", "'1': "),
        ([1, None], list[int], "top[1]", "None: "),
        ({"name": 3}, Item, "top.name", "3: "),
        ({"name": "a", "sizes": [1, "x"]}, Item, "top.sizes[1]", "'x': "),
        ({"items": [{"name": "a"}, {"name": []}]}, Holder, "top.items[1].name", "[]: "),
        ({"items": [{"name": "a"}, 7]}, Holder, "top.items[1]", "7: "),
        ({"items": {}}, Holder, "top.items", "{}: "),
        (["\ud800"], list[int], "top[0]", "'\\ud800': "),
    ],
)
def test_place_and_value_of_an_error(value, kind, place, shown):
    where, problem, remedy = refusal(value, kind)
    assert (where, remedy) == (place, "mend it")
    assert problem.startswith(shown)


def test_missing_field():
    assert refusal({"sizes": []}, Item) == ("top.name", "is missing", "mend it")
    assert refusal({"items": [{"name": "a"}, {}]}, Holder) == ("top.items[1].name", "is missing", "mend it")


def test_long_values_are_cut():
    for value in (["x" * 10_000], [10**4000], ["\n" * 9]):
        _, problem, _ = refusal(value, list[float])
        assert len(problem) < 150
        assert problem.isprintable()


def test_place():
    place = Place("f.json").at("benchmarks[0]").at("stats").at("data").at("[3]")
    assert place == Place("f.json", "benchmarks[0].stats.data[3]")
    with pytest.raises(NewerSchemaError, match=r"^f\.json: is odd; mend it$"):
        Place("f.json").refuse("is odd", "mend it", NewerSchemaError)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [(b"", "is empty"), (b'{"benchmarks": [', "cut off"), (b'{"benchmarks": [1', "cut off"),
     (b'{"a": 1} x', "not JSON"), (b"\x00\x01", "not JSON"), (b"[" + b"9" * 5000 + b"]", "not JSON")],
)  # fmt: skip
def test_not_json(tmp_path, raw, problem):
    path = tmp_path / "r.json"
    path.write_bytes(raw)
    with pytest.raises(RunFileError, match=problem) as caught:
        load_json(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).isprintable()


def test_no_file(tmp_path):
    for path, problem in ((tmp_path / "absent.json", "exist"), (tmp_path, "directory"), ("a\0b", "read")):
        with pytest.raises(RunFileError, match=problem):
            load_json(str(path))


@pytest.mark.parametrize(
    ("raw", "value"),
    [(b'\xef\xbb\xbf{"a": 1}', {"a": 1}), (b"[Infinity, -Infinity]", [float("inf"), -float("inf")]),
     (b'["\\ud800"]', ["\ud800"]), ('["é"]'.encode(), ["é"])],
)  # fmt: skip
def test_unusual_json(tmp_path, raw, value):
    """A byte order mark, infinities and half a surrogate pair are read, as Python writes them."""
    (tmp_path / "r.json").write_bytes(raw)
    assert load_json(str(tmp_path / "r.json")) == value
