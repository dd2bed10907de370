"""Numbers, names and lists as text: all rounding is here, so that text, tables and plots agree.

Nothing is escaped here; each renderer escapes for its own format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from breakeven.errors import UsageError

MAX_CHARACTERS = 220
"""Of an answer or a verdict, which has at most two lines, with the line break."""

_MAX_LISTED = 3
_NARROW, _EXACT = 0.02, 0.001  # widths that whole percentages, or tenths of them, cannot show
_WIDEST = 1000  # from here on the ends of an interval say nothing
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)
_INVISIBLE = re.compile(  # although Unicode counts them as letters, marks and symbols
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_COMMAND_ANYWHERE = re.compile(r"(?<=#)#(?=[\w-]{0,20}\[)")
_COMMAND = re.compile(rf"(?m)^(\s*:)(:)|{_COMMAND_ANYWHERE.pattern}")
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_LONG_UNITS = (
    (36_000, 3600, "h"),
    (600, 60, "min"),
)  # from how many seconds on a unit is used, and its length
_MIN_MULTIPLE, _MIN_END = 0.1, 0.01  # of a speedup that is shown as a multiple, and of its interval
_PLACES = 6  # of an interpolated batch size: 64.0000000001 is 64
_DAY_MIN = 24 * 60


def digits(value: float, count: int = 3) -> str:
    """Return `value` rounded to `count` significant digits, without an exponent.

    >>> digits(1.4251), digits(0.125), digits(99.96), digits(1234.5), digits(0), digits(math.inf)
    ('1.43', '0.125', '100', '1,230', '0', 'inf')
    """
    if value == 0 or math.isinf(value):
        return f"{value:g}"
    rounded = round(value, count - 1 - math.floor(math.log10(abs(value))))
    places = count - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(0, places)}f}"


def seconds(value: float | None) -> str:
    """Return a measured time to three significant digits, with its unit; empty if unknown.

    >>> seconds(0.00143), seconds(2.0), seconds(599.0), seconds(600.0), seconds(36000.0), seconds(None)
    ('1.43 ms', '2.00 s', '599 s', '10.0 min', '10.0 h', '')
    """
    if value is None:
        return ""
    for least, unit, name in _LONG_UNITS:
        if abs(value) >= least:
            return f"{digits(value / unit)} {name}"
    return _short_time(value, 3)


def duration(seconds: float) -> str:
    """Return a duration, rounded for people.

    >>> duration(0.0123), duration(0.3), duration(41.2), duration(2600), duration(5520)
    ('12 ms', '0.3 s', '41 s', '43 min', '1 h 32 min')
    >>> duration(0.0), duration(7200), duration(47.9 * 3600), duration(48 * 3600)
    ('0 s', '2 h', '47 h 54 min', '2 days')
    """
    if seconds < 0.095:
        return _short_time(seconds, 2)
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes >= 2 * _DAY_MIN:
        return f"{round(minutes / _DAY_MIN):,} days"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def parse_duration(text: str) -> float:
    """Return the seconds of a duration.

    >>> parse_duration("90s"), parse_duration("20m"), parse_duration("1h30m"), parse_duration("45")
    (90.0, 1200.0, 5400.0, 45.0)

    Raises:
        UsageError: it is not a duration above 0.
    """
    found = _DURATION.fullmatch(text.strip().lower().replace(" ", "")) if text.strip() else None
    parts = [float(part or 0) for part in found.groups()] if found else [0.0]
    seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    if not 0 < seconds < 1e7:
        raise UsageError(f"{text!r} is not a duration; write it as 90s, 20m or 1h30m")
    return seconds


def ratio(value: float | None) -> str:
    """Return a speedup as a multiple, below 0.1x as how many times slower; empty if unknown.

    >>> ratio(1.4251), ratio(37.21), ratio(1234.5), ratio(0.1), ratio(0.00386), ratio(None)
    ('1.43x', '37.2x', '1,230x', '0.100x', '259x slower', '')
    """
    if value is None:
        return ""
    return f"{digits(1 / value)}x slower" if 0 < value < _MIN_MULTIPLE else f"{digits(value)}x"


def ratios(values: Iterable[float], center: float | None) -> list[str]:
    """Return speedups in the terms in which `ratio` shows the `center` of them.

    >>> ratios([0.0971, 0.226], 0.148), ratios([1 / 277, 0.12], 1 / 33), ratios([0.05, 1.3], 0.09)
    (['0.0971x', '0.226x'], ['277x slower', '8.33x slower'], ['0.0500x', '1.30x'])

    Where one does not suit them, as in `ratio_between`, all are in full.

    >>> ratios([0.004, 1.45], 1.35)
    ['250x slower', '1.45x']
    """
    listed = list(values)
    is_slower = center is not None and 0 < center < _MIN_MULTIPLE
    if is_slower and all(0 < value <= 1 for value in listed):
        return [f"{digits(1 / value)}x slower" for value in listed]
    if all(value >= _MIN_END for value in listed):
        return [f"{digits(value)}x" for value in listed]
    return [ratio(value) for value in listed]


def ratio_between(low: float | None, high: float | None, value: float) -> str:
    """Return the interval of a speedup in the terms in which `ratio` shows its `value`; empty without one.

    >>> ratio_between(1.2, 1.5, 1.43), ratio_between(0.0636, 0.339, 0.147)
    ('[1.20–1.50]', '[0.0636–0.339]')
    >>> ratio_between(1 / 277, 1 / 244, 1 / 259), ratio_between(0.07, 0.12, 0.09)
    ('[244–277x]', '[8.33–14.3x]')

    Where an end does not suit them, a multiple below 0.01 or times slower below 1, both are in full.

    >>> ratio_between(0.005, 0.2, 0.15), ratio_between(0.02, 1.3, 0.09)
    ('[200x slower – 0.200x]', '[50.0x slower – 1.30x]')
    """
    if low is None or high is None:
        return ""
    if value >= _MIN_MULTIPLE and low >= _MIN_END:
        return f"[{digits(low)}–{digits(high)}]"
    if low > 0 and value < _MIN_MULTIPLE and high <= 1:
        return f"[{digits(1 / high)}–{digits(1 / low)}x]"
    return f"[{ratio(low)} – {ratio(high)}]"


def ratio_with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """Return a speedup and its interval; empty if unknown.

    >>> ratio_with_interval(1 / 259, 1 / 277, 1 / 244), ratio_with_interval(1.43, None, None)
    ('259x slower [244–277x]', '1.43x')
    """
    return "" if value is None else f"{ratio(value)} {ratio_between(low, high, value)}".strip()


def ratio_band(low: float, high: float) -> str:
    """Return from where to where a predicted speedup is, to two digits.

    >>> ratio_band(14.6, 37.3), ratio_band(0.219, 1.26), ratio_band(1 / 24.1, 0.106)
    ('15–37x', '0.22–1.3x', '9.4–24x slower')

    Where a multiple below 0.1 and one above 1 are its ends, both are in full.

    >>> ratio_band(0.05, 1.3)
    '20.0x slower – 1.30x'
    """
    if low >= _MIN_MULTIPLE:
        return f"{digits(low, 2)}–{digits(high, 2)}x"
    if high <= 1:
        return f"{digits(1 / high, 2)}–{digits(1 / low, 2)}x slower"
    return f"{ratio(low)} – {ratio(high)}"


def batch_size(value: float) -> str:
    """Return a measured batch size.

    >>> batch_size(64), batch_size(65536)
    ('64', '65,536')
    """
    return f"{value:,.0f}"


def batch_range(batches: Sequence[int]) -> str:
    """Return the range of the measured batch sizes, which are ascending.

    >>> batch_range([1, 64, 4096]), batch_range([64])
    ('1–4,096', '64')
    """
    first, last = batch_size(batches[0]), batch_size(batches[-1])
    return first if first == last else f"{first}–{last}"


def break_even(value: float) -> str:
    """Return a break-even: the smallest whole batch size from which the candidate is faster.

    >>> break_even(63.7), break_even(5.5), break_even(8.0000000001), break_even(35213.2)
    ('64', '6', '8', '35,214')
    """
    return batch_size(math.ceil(round(value, _PLACES)))


def break_even_between(low: float | None, high: float | None, batches: Sequence[int]) -> str:
    """Return the interval of a break-even, rounded outward; an open end is beyond the measured batch sizes.

    >>> break_even_between(48.7, 79.2, [1, 512]), break_even_between(0.4, 1.9999999999, [1, 512])
    ('[48–80]', '[1–2]')
    >>> break_even_between(1.9999999999, 4.0000000001, [1, 512])
    '[2–4]'
    >>> break_even_between(None, 80, [1, 512]), break_even_between(48, None, [1, 4096])
    ('[<1–80]', '[48–>4,096]')
    """
    left = f"<{batch_size(batches[0])}"
    if low is not None:
        left = batch_size(max(1, math.floor(round(low, _PLACES))))
    return f"[{left}–{f'>{batch_size(batches[-1])}' if high is None else break_even(high)}]"


def undecided_range(slower: int | None, faster: int | None) -> str:
    """Return where an undecided break-even must be, given the measured batch sizes that bracket it.

    >>> undecided_range(1, 64), undecided_range(None, 64), undecided_range(64, None)
    ('from a batch size between 1 and 64', 'from batch 64 at the latest', 'undecided')
    """
    if faster is None:
        return "undecided"
    if slower is None:
        return f"from batch {batch_size(faster)} at the latest"
    return f"from a batch size between {batch_size(slower)} and {batch_size(faster)}"


def number_range(low: int, high: int) -> str:
    """Return one number, or the range of two.

    >>> number_range(5, 5), number_range(3, 5)
    ('5', '3 to 5')
    """
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural unless it is 1.

    >>> plural(1, "cell"), plural(3, "cell"), plural(1234, "cell")
    ('1 cell', '3 cells', '1,234 cells')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def joined(names: Sequence[str], limit: int = _MAX_LISTED, separator: str = ", ") -> str:
    """Return the first few distinct names, and how many more there are.

    >>> joined(["a", "b", "c", "d", "e"]), joined(["a, b", "c", "d"], 2, "; ")
    ('a, b, c and 2 more', 'a, b; c; and 1 more')
    """
    unique = list(dict.fromkeys(names))
    rest = len(unique) - limit
    before = " " if separator == ", " else separator
    return separator.join(unique[:limit]) + (f"{before}and {rest:,} more" if rest > 0 else "")


def capital(text: str) -> str:
    """Return the text with its first letter in upper case.

    >>> capital("the GPU"), capital("")
    ('The GPU', '')
    """
    return text[:1].upper() + text[1:]


def count(value: float) -> str:
    """Return a count, at least 1, to three significant digits.

    >>> count(310.4), count(12345), count(12.3), count(0.4)
    ('310', '12,300', '12', '1')
    """
    whole = max(1, round(value))
    return digits(whole) if whole >= 100 else str(whole)


def count_between(low: float | None, high: float | None) -> str:
    """Return the interval of a count; an unbounded end is ∞.

    >>> count_between(290.2, 330.9), count_between(290, None)
    ('[290–331]', '[290–∞]')
    """
    return f"[{count(low or 0)}–{'∞' if high is None else count(high)}]"


def scaled(value: float, unit: str) -> str:
    """Return a rate or a size with a metric prefix.

    >>> scaled(1.234e12, "FLOP/s"), scaled(5.6e9, "B/s"), scaled(41_250, "samples/s")
    ('1.23 TFLOP/s', '5.60 GB/s', '41,200 samples/s')
    """
    if unit.startswith("samples"):
        return f"{digits(value)} {unit}"
    for scale, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale * 0.9995:
            return f"{digits(value / scale)} {prefix}{unit}"
    return f"{digits(value)} {unit}"


def dollars(value: float) -> str:
    """Return an amount of money: three significant digits, or cents from $1 to $999 and where they are exact.

    >>> dollars(0.1 + 0.2), dollars(12.0), dollars(345.678), dollars(999.6), dollars(12345.67)
    ('$0.30', '$12.00', '$345.68', '$1,000', '$12,300')
    >>> dollars(0.125), dollars(0.996), dollars(0.9996), dollars(5.5512e-7)
    ('$0.125', '$0.996', '$1.00', '$0.000000555')
    """
    rounded = float(f"{value:.3g}")
    is_in_cents = rounded < 1000 and rounded == round(rounded, 2)
    return f"${value:.2f}" if is_in_cents else f"${digits(value)}"


def dollars_with_interval(value: float, low: float | None, high: float | None) -> str:
    """Return an amount of money and its interval, if it has one.

    >>> dollars_with_interval(0.125, 0.12, 0.131), dollars_with_interval(2.0, None, None)
    ('$0.125 [0.12–0.131]', '$2.00')
    """
    if low is None or high is None:
        return dollars(value)
    return f"{dollars(value)} [{dollars(low)[1:]}–{dollars(high)[1:]}]"


def percent(part: float) -> str:
    """Return a share in percent: one significant digit below 10%, else whole.

    >>> percent(0.0042), percent(0.2), percent(-0.031), percent(12.34)
    ('0.4%', '20%', '-3%', '1,234%')
    """
    return f"{digits(part * 100, 1) if abs(part) < 0.095 else f'{part * 100:,.0f}'}%"


def percent_change(ratio: float) -> str:
    """Return the distance of a ratio from 1 in percent, without a sign.

    >>> percent_change(1.102), percent_change(0.5), percent_change(3.4), percent_change(1.0043)
    ('10%', '50%', '240%', '0.4%')
    """
    return percent(abs(ratio - 1))


def percent_change_with_interval(ratio: float, low: float | None, high: float | None) -> str:
    """Return a ratio and its interval as unsigned percentages; with one decimal if the interval is narrow.

    >>> percent_change_with_interval(1.1, 1.08, 1.12), percent_change_with_interval(0.5, 0.45, 0.55)
    ('10% [8–12%]', '50% [45–55%]')
    >>> percent_change_with_interval(1.1, None, None), percent_change_with_interval(1.102, 1.099, 1.105)
    ('10%', '10.2% [9.9–10.5%]')
    """
    if low is None or high is None:
        return percent_change(ratio)
    near, far = sorted((abs(low - 1), abs(high - 1)))
    if far - near < _EXACT:
        return percent_change(ratio)
    if far - near < _NARROW:
        return f"{abs(ratio - 1):.1%} [{100 * near:.1f}–{far:.1%}]"
    return f"{percent_change(ratio)} [{percent(near).removesuffix('%')}–{percent(far)}]"


def percent_range(low: float | None, high: float | None) -> str:
    """Return an interval of ratios as signed percentages.

    >>> percent_range(0.95, 1.06), percent_range(None, None)
    ('-5% to +6%', 'no known bounds')
    """
    if low is None or high is None:
        return "no known bounds"
    return f"{_signed(low)} to {_signed(high)}"


def signed_percent(value: float) -> str:
    """Return a ratio as a change in percent with its sign; below 10% with one decimal.

    Changes of tenfold or more, which a percentage does not show, are factors: the ratio is one of times.

    >>> [signed_percent(value) for value in (1.083, 1.30, 0.9, 1.0, 2.5, 25, 1 / 259)]
    ['+8.3%', '+30%', '-10%', '+0.0%', '+150%', '25.0x slower', '259x faster']
    """
    if not 0.1 < value < 10:
        return f"{ratio(max(value, 1 / value))} {'slower' if value > 1 else 'faster'}"
    part = (value - 1) * 100
    return f"{part:+.1f}%" if abs(part) < 9.95 else f"{part:+.0f}%"


def signed_percent_between(low: float | None, high: float | None) -> str:
    """Return the interval of a ratio as signed percentages; empty without one.

    >>> signed_percent_between(1.051, 1.11), signed_percent_between(None, None)
    ('[+5.1% to +11%]', '')
    >>> signed_percent_between(2.8, 59.3), signed_percent_between(0.9, 59.3)
    ('[2.80x to 59.3x slower]', '[-10% to 59.3x slower]')
    >>> signed_percent_between(0.05, 0.4), signed_percent_between(1e-9, 4e9)
    ('[2.50x to 20.0x faster]', '[wider than 1,000x]')
    """
    if low is None or high is None:
        return ""
    if high > _WIDEST * low:
        return f"[wider than {_WIDEST:,}x]"
    if low > 1 and high >= 10:
        return f"[{ratio(low)} to {ratio(high)} slower]"
    if high < 1 and low <= 0.1:
        return f"[{ratio(1 / high)} to {ratio(1 / low)} faster]"
    return f"[{signed_percent(low)} to {signed_percent(high)}]"


def listed(names: Sequence[str]) -> str:
    """Return all names as a list in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def one_line(value: object, limit: int = 120) -> str:
    """Return `value` as `printable` does, at most `limit` characters."""
    text = printable(str(value)[: limit + 1])
    return text if len(text) <= limit else text[: limit - 3] + "..."


def printable(value: object) -> str:
    """Return `value` as one line of text that shows what it contains.

    Control and invisible characters, line breaks and changes of direction are escaped, and what the log of a
    CI job would take for a command.

    >>> print(printable("a" + chr(27) + "[31m" + chr(0x202e)), printable("::error::"), printable("##[x]"))
    a\\x1b[31m\\u202e :\\x3aerror:: #\\x23[x]
    """
    text = str(value)
    if not (text.isascii() and text.isprintable()):
        text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
        text = _INVISIBLE.sub(lambda match: ascii(match[0])[1:-1], text)
    return without_commands(text)


def without_commands(text: str) -> str:
    """Return lines in which the log of a CI job finds no command; one escaped character shows where one was.

    GitHub takes a line that begins with ``::`` for one, and it and others ``##[`` or ``##name[`` anywhere.
    """
    return _COMMAND.sub(lambda match: f"{match[1] or ''}\\x{ord(match[2] or '#'):02x}", text)


def without_commands_in_json(text: str) -> str:
    """Return the same JSON, without what the log of a CI job takes for a command anywhere in a line."""
    return _COMMAND_ANYWHERE.sub(r"\\u0023", text)


def shortened(name: str, limit: int) -> str:
    """Return a case's name on one line, with its middle omitted if longer than `limit` characters.

    The ends distinguish cases best: the workload, and the last axes.

    >>> shortened("mlp train cpu batch=64 note=" + "x" * 100 + " width=128", 40)
    'mlp train cpu batch=6...xxxxxx width=128'
    """
    text = one_line(name, 2000)
    if len(text) <= limit:
        return text
    tail = 2 * limit // 5
    return f"{text[: limit - 3 - tail].rstrip()}...{text[-tail:].lstrip()}"


def two_lines(first: str, others: Iterable[str], limit: int = MAX_CHARACTERS) -> tuple[str, ...]:
    """Return a sentence and, on a second line, those of the others that fit, together at most `limit` long.

    >>> two_lines("One.", ["Two.", "Much too long.", "Three."], 16)
    ('One.', 'Two. Three.')
    """
    first, second = shortened(first, limit), ""
    for other in others:
        longer = f"{second} {one_line(other, limit + 1)}".strip()
        if len(first) + 1 + len(longer) <= limit:
            second = longer
    return (first, second) if second else (first,)


def _short_time(value_s: float, count: int) -> str:
    """Return a time of that many significant digits, at most in seconds."""
    unit, name = next((one for one in _UNITS if not value_s or abs(value_s) >= one[0] * 0.9995), _UNITS[-1])
    return f"{digits(value_s / unit, count)} {name}"


def _signed(ratio: float) -> str:
    return f"{'+' if ratio >= 1 else '-'}{percent_change(ratio)}"
