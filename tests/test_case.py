"""The identity of a case: equality, labels, order, and what is refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.case import Axes, Budget, CaseKey, Cell, Outcome, OutcomeKind, axes_text
from breakeven.errors import UsageError

plain = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False, width=16), st.text(max_size=3)
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.tuples(*[st.dictionaries(st.text(max_size=3), plain, max_size=3)] * 2))
def test_axes_text_is_unique(pair):
    """Different axes never have the same text, and axes are equal exactly where their texts are."""
    one, other = (json.dumps(axes, sort_keys=True) for axes in pair)
    assert (axes_text(pair[0]) == axes_text(pair[1])) == (one == other)
    assert (Axes(pair[0]) == Axes(pair[1])) == (one == other)


@pytest.mark.parametrize("value", [True, False, None, 1, 1.5, float("inf")])
def test_axes_text_quotes_lookalikes(value):
    """A string that reads like another value is quoted."""
    assert axes_text({"a": value}) == f"a={value}"
    assert axes_text({"a": str(value)}) == f'a="{value}"'


@pytest.mark.parametrize("odd", ["a\u2028b", "\x85", "\ud800", "\xa0"], ids=ascii)
def test_axes_text_is_printable(odd):
    """The text is one printable line that UTF-8 can hold, whatever a name contains."""
    for axes in ({"a": odd}, {odd: 1}, {"a": [odd]}):
        text = axes_text(axes)
        assert text.isprintable()
        assert text.isascii()
    assert axes_text({"a": "é b"}) == 'a="é b"'


def test_axes_are_a_mapping():
    """Equal in any order, hashable, and iterated in the order given."""
    axes, turned = Axes({"width": 8, "depth": 2}), Axes({"depth": 2, "width": 8})
    assert axes == turned
    assert len({axes, turned, Axes({"width": 8})}) == 2
    assert list(axes) == ["width", "depth"]
    assert (axes["depth"], len(axes), "width" in axes) == (2, 2, True)
    assert str(axes) == axes.text == "depth=2 width=8"
    assert not Axes()
    assert axes != {"width": 8, "depth": 2}, "a plain mapping has no text to compare"


def test_axes_do_not_follow_the_mapping_they_were_made_of():
    values = {"width": 8}
    axes = Axes(values)
    values["width"] = 9
    assert (axes["width"], axes.text) == (8, "width=8")


def test_axes_sort_by_value():
    """Numbers sort by value, negative and fractional ones too, and texts by the alphabet."""
    values = [512, 64, -1, 0.5, 8, -20]
    assert [a["w"] for a in sorted((Axes({"w": v}) for v in values), key=lambda a: a.sort_key)] == sorted(
        values
    )
    names = [Axes({"w": name}) for name in ("b", "a", "²")]
    assert [a["w"] for a in sorted(names, key=lambda a: a.sort_key)] == ["a", "b", "²"]


@pytest.mark.parametrize("batch_size", [0, -1, True, 1.0, "64", None])
def test_batch_size_is_a_positive_integer(batch_size):
    with pytest.raises(UsageError, match=f"batch_size={batch_size!r}"):
        Cell("mlp", Axes(), batch_size)
    assert Cell("mlp", Axes(), 1).batch_size == 1


@pytest.mark.parametrize("name", ["workload", "phase", "device"])
def test_names_are_not_empty(name):
    with pytest.raises(UsageError, match=name):
        CaseKey.of(**{"workload": "mlp", "batch_size": 1, "phase": "train", "device": "cpu", name: ""})


def test_key():
    """A key gives its parts and labels; two are equal where all parts are, the machine included."""
    key = CaseKey.of("mlp", 64, "train", "cuda", {"width": 128, "depth": 2}, "abc")
    assert (key.line.model, key.line.machine) == (key.model, "abc")
    assert key.label() == str(key) == "mlp train cuda batch=64 depth=2 width=128"
    assert (key.cell.label(), key.model.label()) == (
        "mlp batch=64 depth=2 width=128",
        "mlp depth=2 width=128",
    )
    assert key != CaseKey.of("mlp", 64, "train", "cuda", {"width": 128, "depth": 2}, "xyz")
    bare = CaseKey.of("mlp", 1, "train", "cpu")
    assert [part.label() for part in (bare, bare.cell, bare.model)] == [
        "mlp train cpu batch=1",
        "mlp batch=1",
        "mlp",
    ]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("min_rounds", 5), ("max_time_s", 0), ("max_time_s", float("inf")), ("max_time_s", float("nan")),
     ("target_precision", 0), ("target_precision", 1)],
)  # fmt: skip
def test_budget(name, wrong):
    """A budget that cannot be kept is refused with its value."""
    with pytest.raises(UsageError, match=f"{name}={wrong}"):
        Budget(**{name: wrong})


def test_outcome():
    """An outcome goes by its case's label where the case is known, else by pytest's name."""
    key = CaseKey.of("mlp", 64, "train", "cuda", {"width": 128})
    known, unknown = (
        Outcome("f::a", OutcomeKind.OOM, "too large", key),
        Outcome("f::b", OutcomeKind.FAILED, "a bug"),
    )
    assert (known.name, unknown.name) == (key.label(), "f::b")
    info = {"schema": 1, "workload": "mlp", "phase": "train", "device": "cuda", "batch_size": 64}
    assert known.as_dict()["extra_info"] == {**info, "axes": {"width": 128}}
    assert unknown.as_dict() == {"fullname": "f::b", "outcome": "failed", "reason": "a bug", "extra_info": {}}
