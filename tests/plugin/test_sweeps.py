"""Reading ``@pytest.mark.sweep`` and ``--breakeven-sweep``, without pytest's collection."""

import time
from enum import Enum
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from breakeven.errors import UsageError
from breakeven.plugin.sweeps import (
    Choice,
    axis_value,
    check_choice,
    is_swept,
    parse_choice,
    select_sweep,
    sweeps_of,
)

KEYS = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
BATCHES = st.lists(st.integers(1, 10**6), min_size=1, max_size=5, unique=True)
VALUES = st.one_of(BATCHES, st.lists(st.from_regex(r"[a-z]{1,5}x", fullmatch=True), min_size=1, unique=True))


def sweep(**arguments):
    return {key: tuple(values) for key, values in arguments.items()}


@given(st.text())
@example("a='1")
@example("a=" + "(" * 10_000)
@example("a=" + "9" * 10_000)
def test_any_text(text):
    """It is a choice, or an error of one line."""
    try:
        shown = repr(parse_choice(text))
    except UsageError as error:
        shown = str(error)

    assert len(shown.splitlines()) == 1


@given(
    st.none() | KEYS,
    st.dictionaries(KEYS.filter(lambda key: key != "batch_size"), VALUES, max_size=3),
    BATCHES,
)
def test_round_trip(name, values, batches):
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
def test_types_of_values(text, values):
    """Values that look like numbers are numbers."""
    assert parse_choice(text) == Choice(None, (("k", values),))


def test_empty_text():
    assert parse_choice("") == parse_choice("  ") == Choice()


@pytest.mark.parametrize("text", ["k=", "k=1,", "k=,1", "k=1 k=2", "=1", "k=1,,2"])
def test_unreadable_values(text):
    """Each key needs values, and only once."""
    with pytest.raises(UsageError, match=r"^--breakeven-sweep: cannot read "):
        parse_choice(text)


def test_select_by_name():
    """A function without the name runs its default sweep, or nothing."""
    named, default = sweep(batch_size=[1]), sweep(batch_size=[2])

    assert select_sweep({"full": named, None: default}, Choice("full")) == named
    assert select_sweep({None: default}, Choice("full")) == default
    assert select_sweep({"full": named}, Choice("smoke")) is None
    assert select_sweep({"full": named}, Choice()) is None


MIXED = {
    "batch_size": [64, 1, 16],
    "width": [8],
    "dtype": ["float32", "tf32", "bfloat16"],
    "seed": [None, 2, 1],
}


@pytest.mark.parametrize("name", ["full", None])
def test_short(name):
    """It has the extremes of the full sweep, else of the default one; of other values the first and last."""
    sweeps = {None: sweep(batch_size=[3]), name: sweep(**MIXED)}
    assert select_sweep(sweeps, Choice("short")) == sweep(
        batch_size=[1, 64], width=[8], dtype=["float32", "bfloat16"], seed=[None, 1]
    )


def test_own_short():
    """A function may mark its own; one with only other names has none."""
    own = sweep(batch_size=[1, 2, 3])
    assert select_sweep({"short": own, "full": sweep(batch_size=[9])}, Choice("short")) == own
    assert select_sweep({"smoke": own}, Choice("short")) is None


def test_short_with_values():
    """They may be any of the sweep that it is derived from."""
    choice = Choice("short", (("dtype", ("float",)),))
    sweeps = {"full": sweep(batch_size=[1, 2, 3], dtype=[int, float, str])}
    assert select_sweep(sweeps, choice) == sweep(batch_size=[1, 3], dtype=[float])


@pytest.mark.parametrize("text", ["short", "short batch_size=2"])
def test_short_is_known(text):
    """No function needs to mark it."""
    check_choice(parse_choice(text), [{None: sweep(batch_size=[1])}])


@given(BATCHES, BATCHES)
def test_select_values(known, requested):
    """They replace those of the mark, and keep the order of the arguments."""
    result = select_sweep(
        {None: sweep(width=[8], batch_size=known)}, Choice(None, (("batch_size", tuple(requested)),))
    )

    assert result == sweep(width=[8], batch_size=requested)


@pytest.mark.parametrize(
    ("known", "requested", "given_values"),
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
def test_conversion(known, requested, given_values):
    """Values become what the mark would have."""
    assert select_sweep({None: sweep(key=known)}, Choice(None, (("key", requested),))) == sweep(
        key=given_values
    )


@pytest.mark.parametrize(
    ("known", "requested", "complaint"),
    [
        ([1], 1.5, "key=1.5 is not an integer, as 1 is"),
        ([1], True, "key=True is not an integer, as 1 is"),
        ([1], None, "key=None is not an integer, as 1 is"),
        ([0.1], "fast", "key='fast' is not a number, as 0.1 is"),
        ([True, False], "maybe", "key='maybe' is not one of True, False"),
        ([int, float], "str", "key='str' is not one of int, float"),
    ],
)
def test_wrong_type(known, requested, complaint):
    with pytest.raises(UsageError, match=complaint):
        select_sweep({None: sweep(key=known)}, Choice(None, (("key", (requested,)),)))


def test_unknown_name_or_key():
    """It is refused, with those that exist."""
    collected = [{None: sweep(batch_size=[1])}, {"full": sweep(batch_size=[1], width=[1])}]

    check_choice(Choice("full", (("width", (1,)),)), collected)
    with pytest.raises(
        UsageError, match="no function has a sweep 'huge'; available sweeps: full, short, weak"
    ):
        check_choice(Choice("huge"), collected)
    with pytest.raises(UsageError, match="no function has a sweep 'huge'; available sweeps: short, weak"):
        check_choice(Choice("huge"), collected[:1])
    with pytest.raises(UsageError, match="no function sweeps 'depth'; available keys: batch_size, width"):
        check_choice(Choice(None, (("depth", (1,)),)), collected)


def test_sweeps_of():
    @pytest.mark.sweep("full", batch_size=range(1, 3), width=(4,))
    @pytest.mark.sweep(batch_size=[8], width=[2])
    def bench_it(train_benchmark, batch_size, width): ...

    assert sweeps_of(bench_it) == {
        "full": sweep(batch_size=[1, 2], width=[4]),
        None: sweep(batch_size=[8], width=[2]),
    }


def test_key_that_no_argument_can_have():
    def bench_it(train_benchmark, batch_size):
        pass

    pytest.mark.sweep(batch_size=[1], **{"a\nb": 1e308})(bench_it)
    with pytest.raises(UsageError, match=r"^'a\\nb' cannot be the name of an argument; rename"):
        sweeps_of(bench_it)


def test_is_swept():
    """Only functions with a mark of their own are."""

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
def test_axis_value(value, shown):
    assert axis_value(value) == shown
    assert type(axis_value(value)) is type(shown)


def test_enum_as_axis_value():
    """It becomes its plain value, as in JSON."""

    class Text(str, Enum):  # noqa: UP042 - a StrEnum's text is its value already
        FAST = "fast"

    class Number(int, Enum):
        MANY = 7

    class Part(float, Enum):
        HALF = 0.5

    for member, plain in ((Text.FAST, "fast"), (Number.MANY, 7), (Part.HALF, 0.5)):
        assert axis_value(member) == plain
        assert type(axis_value(member)) is type(plain)


def test_repr_as_axis_value():
    """Addresses and line breaks are removed."""

    class Odd:
        def __repr__(self):
            return f"Odd at {hex(id(self))}\n  (two lines)"

    assert axis_value(Odd()) == "Odd (two lines)"


def test_many_values():
    """A hundred thousand values are checked for repetitions in one pass."""

    @pytest.mark.sweep(batch_size=[1], width=range(100_000))
    def bench(train_benchmark, batch_size, width):
        """Never called."""

    began = time.process_time()
    assert len(sweeps_of(bench)[None]["width"]) == 100_000
    assert time.process_time() - began < 10
