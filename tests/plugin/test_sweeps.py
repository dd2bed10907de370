"""Reading ``@pytest.mark.sweep`` and ``--breakeven-sweep``, without pytest's collection."""

from enum import Enum
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from breakeven.errors import UsageError
from breakeven.plugin.sweeps import (
    Choice,
    Sweep,
    axis_value,
    check_choice,
    chosen,
    is_swept,
    parse_choice,
    sweeps_of,
)

KEYS = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
BATCHES = st.lists(st.integers(1, 10**6), min_size=1, max_size=5, unique=True)
VALUES = st.one_of(BATCHES, st.lists(st.from_regex(r"[a-z]{1,5}x", fullmatch=True), min_size=1, unique=True))


def sweep(**arguments):
    return Sweep(tuple((key, tuple(values)) for key, values in arguments.items()))


@given(st.text())
@example("a='1")
@example("a=" + "(" * 10_000)
@example("a=" + "9" * 10_000)
def test_any_text_is_a_choice_or_a_usage_error_of_one_line(text):
    try:
        told = repr(parse_choice(text))
    except UsageError as error:
        told = str(error)

    assert len(told.splitlines()) == 1


@given(
    st.none() | KEYS,
    st.dictionaries(KEYS.filter(lambda key: key != "batch_size"), VALUES, max_size=3),
    BATCHES,
)
def test_a_choice_that_is_written_out_is_read_back(name, values, batches):
    values = {**values, "batch_size": batches}
    words = [f"{key}={','.join(map(str, listed))}" for key, listed in values.items()]

    choice = parse_choice(" ".join([*([name] if name else []), *words]))

    assert choice == Choice(name, tuple((key, tuple(listed)) for key, listed in values.items()))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("k=1", (1,)),
        ("k=1.5,-2", (1.5, -2)),
        ("k=True,None", (True, None)),
        ("k=adam,sgd", ("adam", "sgd")),
        ("k='two words'", ("two words",)),
        ("k=(1),[2]", (1, "[2]")),
    ],
)
def test_values_are_numbers_where_they_look_so(text, values):
    assert parse_choice(text) == Choice(None, (("k", values),))


def test_an_empty_text_chooses_nothing():
    assert parse_choice("") == parse_choice("  ") == Choice()


@pytest.mark.parametrize("text", ["k=", "k=1,", "k=,1", "k=1 k=2", "=1", "k=1,,2"])
def test_values_must_be_written_out_once_for_each_key(text):
    with pytest.raises(UsageError, match="write each key once, as in batch_size=1,64"):
        parse_choice(text)


def test_a_function_without_the_name_runs_its_default_sweep_and_none_without_one():
    named, default = sweep(batch_size=[1]), sweep(batch_size=[2])

    assert chosen({"full": named, None: default}, Choice("full")) == named
    assert chosen({None: default}, Choice("full")) == default
    assert chosen({"full": named}, Choice("smoke")) is None
    assert chosen({"full": named}, Choice()) is None


@given(BATCHES, BATCHES)
def test_wished_values_take_the_place_of_known_ones_and_keep_the_order_of_arguments(known, wished):
    result = chosen(
        {None: sweep(width=[8], batch_size=known)}, Choice(None, (("batch_size", tuple(wished)),))
    )

    assert result == sweep(width=[8], batch_size=wished)


@pytest.mark.parametrize(
    ("known", "wished", "given_values"),
    [
        (["sgd"], ("adam", 16, None), ("adam", "16", "None")),
        ([1, 2], (3,), (3,)),
        ([0.1], (1, 0.5), (1, 0.5)),
        ([None, 2], (None, 3), (None, 3)),
        ([True, False], (False,), (False,)),
        ([int, float], ("float",), (float,)),
        ([1, "auto"], ("auto", 1), ("auto", 1)),
    ],
)
def test_wished_values_get_the_type_of_the_known_ones(known, wished, given_values):
    assert chosen({None: sweep(key=known)}, Choice(None, (("key", wished),))) == sweep(key=given_values)


@pytest.mark.parametrize(
    ("known", "wished", "complaint"),
    [
        ([1], 1.5, "key=1.5 is no whole number, as 1 is"),
        ([1], True, "key=True is no whole number, as 1 is"),
        ([1], None, "key=None is no whole number, as 1 is"),
        ([0.1], "fast", "key='fast' is no number, as 0.1 is"),
        ([True, False], "maybe", "key='maybe' is none of True, False"),
        ([int, float], "str", "key='str' is none of int, float"),
    ],
)
def test_wished_values_of_another_type_are_refused(known, wished, complaint):
    with pytest.raises(UsageError, match=complaint):
        chosen({None: sweep(key=known)}, Choice(None, (("key", (wished,)),)))


def test_a_name_or_key_that_no_function_has_is_refused_with_the_known_ones():
    collected = [{None: sweep(batch_size=[1])}, {"full": sweep(batch_size=[1], width=[1])}]

    check_choice(Choice("full", (("width", (1,)),)), collected)
    with pytest.raises(UsageError, match="no function has a sweep 'huge'; sweeps here: full"):
        check_choice(Choice("huge"), collected)
    with pytest.raises(UsageError, match="no function has a sweep 'huge'; sweeps here: none has a name"):
        check_choice(Choice("huge"), collected[:1])
    with pytest.raises(UsageError, match="no function sweeps 'depth'; keys here: batch_size, width"):
        check_choice(Choice(None, (("depth", (1,)),)), collected)


def test_the_sweeps_of_a_function_stand_under_their_names():
    @pytest.mark.sweep("full", batch_size=range(1, 3), width=(4,))
    @pytest.mark.sweep(batch_size=[8], width=[2])
    def bench_it(train_benchmark, batch_size, width): ...

    assert sweeps_of(bench_it) == {
        "full": sweep(batch_size=[1, 2], width=[4]),
        None: sweep(batch_size=[8], width=[2]),
    }


def test_only_functions_that_carry_the_mark_themselves_are_swept():
    @pytest.mark.sweep(batch_size=[1])
    class BenchIt: ...

    @pytest.mark.sweep(batch_size=[1])
    def bench_it(train_benchmark, batch_size): ...

    assert is_swept(bench_it)
    for other in (BenchIt, lambda: None, 3, None, pytest.mark.sweep):
        assert not is_swept(other)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, 1),
        (0.5, 0.5),
        (True, True),
        (None, None),
        ("a b", "a b"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (int, "int"),
        (sweep, "sweep"),
        ([1, 2], "[1, 2]"),
        (partial(int, base=2), "functools.partial(<class 'int'>, base=2)"),
    ],
)
def test_axis_values_are_plain_and_the_same_in_every_run(value, shown):
    assert axis_value(value) == shown
    assert type(axis_value(value)) is type(shown)


def test_an_enum_of_plain_values_stands_for_its_value_as_it_does_in_json():
    class Text(str, Enum):  # noqa: UP042 - a StrEnum's text is its value already
        FAST = "fast"

    class Number(int, Enum):
        MANY = 7

    class Part(float, Enum):
        HALF = 0.5

    for member, plain in ((Text.FAST, "fast"), (Number.MANY, 7), (Part.HALF, 0.5)):
        assert axis_value(member) == plain
        assert type(axis_value(member)) is type(plain)


def test_addresses_and_line_breaks_are_no_part_of_an_axis_value():
    class Odd:
        def __repr__(self):
            return f"Odd at {hex(id(self))}\n  (two lines)"

    assert axis_value(Odd()) == "Odd (two lines)"
