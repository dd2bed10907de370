"""Numbers and devices as people read them: the one place that rounds.

Owns the human form of seconds, ratios, batch sizes and devices, so that a sentence, a table and a plot can
never round differently. Escapes nothing: that belongs to the face that shows the text.
"""

from __future__ import annotations

import math

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
    """Return a time with its unit; an unknown one is empty.

    >>> seconds(0.00143), seconds(2.0), seconds(0.0), seconds(None)
    ('1.43 ms', '2.00 s', '0 s', '')
    """
    if value is None:
        return ""
    unit, name = _unit(value)
    return f"{digits(value / unit)} {name}"


def ratio(value: float | None) -> str:
    """Return a speedup, always with its x; an unknown one is empty.

    >>> ratio(1.4251), ratio(37.21), ratio(None)
    ('1.43x', '37.2x', '')
    """
    return "" if value is None else f"{digits(value)}x"


def ratio_between(low: float | None, high: float | None) -> str:
    """Return a speedup's interval, empty when there is none.

    >>> ratio_between(1.2, 1.5)
    '[1.20–1.50]'
    """
    return "" if low is None or high is None else f"[{digits(low)}–{digits(high)}]"


def batch(value: float) -> str:
    """Return a batch size, interpolated or measured.

    >>> batch(63.7), batch(1.64), batch(512), batch(8.0), batch(9.97)
    ('64', '1.6', '512', '8', '10')
    """
    return f"{value:.0f}" if value >= 9.95 or value == round(value) else f"{value:.1f}"


def batch_between(low: float | None, high: float | None, smallest: int, largest: int) -> str:
    """Return a break-even's interval; an unbounded end lies beyond what was measured.

    >>> batch_between(48.2, 80, 1, 512), batch_between(None, 80, 1, 512), batch_between(48, None, 1, 512)
    ('[48–80]', '[<1–80]', '[48–>512]')
    """
    left = f"<{smallest}" if low is None else batch(low)
    return f"[{left}–{f'>{largest}' if high is None else batch(high)}]"


def device_name(device: str) -> str:
    """Return how a sentence names a device.

    >>> device_name("cpu"), device_name("cpu@1"), device_name("cuda"), device_name("cuda:1")
    ('all CPU threads (cpu)', 'one CPU thread (cpu@1)', 'the GPU (cuda)', 'the GPU (cuda:1)')
    """
    if device == "cpu":
        return "all CPU threads (cpu)"
    if device.startswith("cpu@"):
        threads = device.removeprefix("cpu@")
        return f"one CPU thread ({device})" if threads == "1" else f"{threads} CPU threads ({device})"
    if device.split(":")[0] in ("cuda", "mps", "xpu"):
        return f"the GPU ({device})"
    return f"the accelerator ({device})"


def is_plural(device: str) -> bool:
    """Return whether the name of `device` takes a plural verb.

    >>> is_plural("cpu"), is_plural("cpu@1"), is_plural("cuda")
    (True, False, False)
    """
    return device.startswith("cpu") and device != "cpu@1"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "cell"), plural(3, "cell")
    ('1 cell', '3 cells')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _unit(value: float) -> tuple[float, str]:
    if value == 0:
        return _UNITS[0]
    return next(((unit, name) for unit, name in _UNITS if abs(value) >= unit * 0.9995), _UNITS[-1])
