"""Numbers, names and lists as text: all rounding is here, so that text, tables and plots agree.

Nothing is escaped here; each renderer escapes for its own format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from breakeven.errors import UsageError

_MAX_LISTED = 3
_NARROW, _EXACT = 0.02, 0.001  # widths that whole percentages, or tenths of them, cannot show
_WIDEST = 1000  # from here on the ends of an interval say nothing
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def digits(value: float, count: int = 3) -> str:
    """Return `value` with `count` significant digits and no exponent.

    >>> digits(1.4251), digits(0.125), digits(99.96), digits(1234.5), digits(0)
    ('1.43', '0.125', '100', '1234', '0')
    """
    if value == 0:
        return "0"
    places = count - 1 - math.floor(math.log10(abs(value)))
    places = count - 1 - math.floor(math.log10(abs(round(value, places))))
    return f"{value:.{max(0, places)}f}"


def seconds(value: float | None) -> str:
    """Return a time with its unit; empty if unknown.

    >>> seconds(0.00143), seconds(2.0), seconds(0.0), seconds(None)
    ('1.43 ms', '2.00 s', '0 s', '')
    """
    if value is None:
        return ""
    unit, name = next((one for one in _UNITS if not value or abs(value) >= one[0] * 0.9995), _UNITS[-1])
    return f"{digits(value / unit)} {name}"


def duration(seconds: float) -> str:
    """Return a duration, rounded for people.

    >>> duration(0.3), duration(41.2), duration(540), duration(5520)
    ('0.3 s', '41 s', '9 min', '1 h 32 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


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
    """Return a speedup as ``1.43x``; empty if unknown.

    >>> ratio(1.4251), ratio(37.21), ratio(None)
    ('1.43x', '37.2x', '')
    """
    return "" if value is None else f"{digits(value)}x"


def ratio_between(low: float | None, high: float | None) -> str:
    """Return the interval of a speedup; empty without one.

    >>> ratio_between(1.2, 1.5)
    '[1.20–1.50]'
    """
    return "" if low is None or high is None else f"[{digits(low)}–{digits(high)}]"


def batch(value: float) -> str:
    """Return a batch size, measured or interpolated.

    >>> batch(63.7), batch(1.64), batch(512), batch(8.0), batch(9.97)
    ('64', '1.6', '512', '8', '10')
    """
    return f"{value:.0f}" if value >= 9.95 or value == round(value) else f"{value:.1f}"


def batch_size(size: int) -> str:
    """Return a measured batch size.

    >>> batch_size(64), batch_size(65536)
    ('64', '65,536')
    """
    return f"{size:,}"


def batch_between(low: float | None, high: float | None, smallest: int, largest: int) -> str:
    """Return the interval of a break-even; an unbounded end is shown as beyond the measured batch sizes.

    >>> batch_between(48.2, 80, 1, 512), batch_between(None, 80, 1, 512), batch_between(48, None, 1, 512)
    ('[48–80]', '[<1–80]', '[48–>512]')
    """
    left = f"<{smallest}" if low is None else batch(low)
    return f"[{left}–{f'>{largest}' if high is None else batch(high)}]"


def undecided_range(slower: int | None, faster: int | None) -> str:
    """Return where an undecided break-even must be, given the measured batch sizes that bracket it.

    >>> undecided_range(1, 64), undecided_range(None, 64), undecided_range(64, None)
    ('from a batch size between 1 and 64', 'from batch 64 at the latest', 'undecided')
    """
    if faster is None:
        return "undecided"
    if slower is None:
        return f"from batch {faster} at the latest"
    return f"from a batch size between {slower} and {faster}"


def device_name(device: str) -> str:
    """Return a device's name for a sentence.

    >>> device_name("cpu"), device_name("cpu@1"), device_name("cuda"), device_name("cuda:1")
    ('the CPU (cpu)', 'one CPU thread (cpu@1)', 'the GPU (cuda)', 'the GPU (cuda:1)')
    """
    if device == "cpu":
        return "the CPU (cpu)"
    if device == "cpu@best":
        return "the best number of CPU threads (cpu@best)"
    if device.startswith("cpu@"):
        threads = device.removeprefix("cpu@")
        return f"one CPU thread ({device})" if threads == "1" else f"{threads} CPU threads ({device})"
    if device.split(":")[0] in ("cuda", "mps", "xpu"):
        return f"the GPU ({device})"
    return f"the accelerator ({device})"


def is_plural(device: str) -> bool:
    """Return whether `device_name` takes a plural verb.

    >>> [is_plural(device) for device in ("cpu", "cpu@4", "cpu@1", "cpu@best", "cuda")]
    [False, True, False, False, False]
    """
    return device.startswith("cpu@") and device not in ("cpu@1", "cpu@best")


def number_range(low: int, high: int) -> str:
    """Return one number, or the range of two.

    >>> number_range(5, 5), number_range(3, 5)
    ('5', '3 to 5')
    """
    return str(low) if low == high else f"{low} to {high}"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural unless it is 1.

    >>> plural(1, "cell"), plural(3, "cell")
    ('1 cell', '3 cells')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def joined(names: Sequence[str], limit: int = _MAX_LISTED, separator: str = ", ") -> str:
    """Return the first few distinct names, and how many more there are.

    >>> joined(["a", "b", "c", "d", "e"]), joined(["a, b", "c", "d"], 2, "; ")
    ('a, b, c and 2 more', 'a, b; c; and 1 more')
    """
    unique = list(dict.fromkeys(names))
    rest = len(unique) - limit
    before = " " if separator == ", " else separator
    return separator.join(unique[:limit]) + (f"{before}and {rest} more" if rest > 0 else "")


def capital(text: str) -> str:
    """Return the text with its first letter in upper case.

    >>> capital("the GPU"), capital("")
    ('The GPU', '')
    """
    return text[:1].upper() + text[1:]


def count(value: float) -> str:
    """Return a count, at least 1, to three significant digits.

    >>> count(310.4), count(12345), count(0.4)
    ('310', '12,300', '1')
    """
    whole = max(1, round(value))
    return f"{round(whole, 3 - len(str(whole))) if whole >= 1000 else whole:,}"


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
        return f"{count(value) if value >= 100 else digits(value)} {unit}"
    for scale, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale * 0.9995:
            return f"{digits(value / scale)} {prefix}{unit}"
    return f"{digits(value)} {unit}"


def percent(part: float) -> str:
    """Return a share in percent: one significant digit below 10%, else whole.

    >>> percent(0.0042), percent(0.2), percent(-0.031)
    ('0.4%', '20%', '-3%')
    """
    return f"{digits(part * 100, 1) if abs(part) < 0.095 else f'{part * 100:.0f}'}%"


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
    """Return `value` as text with control characters and line breaks escaped, at most `limit` characters."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value)[: limit + 1])
    return text if len(text) <= limit else text[: limit - 3] + "..."


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


def two_lines(first: str, others: Iterable[str], limit: int = 220) -> tuple[str, ...]:
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


def _signed(ratio: float) -> str:
    return f"{'+' if ratio >= 1 else '-'}{percent_change(ratio)}"
