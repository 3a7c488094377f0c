"""How numbers, amounts and times read on a page; pure.

Floats here are for the eye only: they were figures about money or work, never
money itself, which stays decimal text.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from markupsafe import Markup

from millpond.api.models import Performance

_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")
_NARROW_SPACE = "\u202f"


def _scaled(value: float) -> tuple[str, str]:
    step = 0
    while value >= 999.5 and step < len(_PREFIXES) - 1:
        value /= 1000
        step += 1
    digits = 0 if value == 0 or value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}", _PREFIXES[step]


def hashrate(value: float) -> str:
    """`3418220114` -> `3.42 GH/s`."""
    number, prefix = _scaled(value)
    return f"{number} {prefix}H/s"


def hashrate_parts(value: float) -> Markup:
    """The same with the unit in small print."""
    number, prefix = _scaled(value)
    return Markup("{}<small> {}H/s</small>").format(number, prefix)


def difficulty(value: float) -> str:
    """`0.0000625` -> `0.0000625`; `95300000000000` -> `95.3 T`."""
    if 0 < value < 1:
        places = min(2 - math.floor(math.log10(value)), 12)
        return f"{value:.{places}f}".rstrip("0").rstrip(".")
    if value < 1000:
        return f"{value:.4g}"
    number, prefix = _scaled(value)
    return f"{number} {prefix}"


def number(value: int) -> str:
    """Groups of three digits with narrow spaces."""
    return f"{value:,}".replace(",", _NARROW_SPACE)


def percent(value: float) -> str:
    """`0.434` -> `43 %`; small parts keep digits."""
    hundred = value * 100
    if hundred == 0 or hundred >= 10:
        return f"{hundred:.0f} %"
    return f"{hundred:.1f} %" if hundred >= 0.1 else "< 0.1 %"


def share_of(pair: tuple[int, int]) -> str:
    """`(part, whole)` as a percentage; a dash when there is no whole."""
    part, whole = pair
    return percent(part / whole) if whole else "\u2013"


def basis_points(value: int) -> str:
    """`150` -> `1.5 %`."""
    return f"{value / 100:g} %"


def trim_zeros(text: str) -> str:
    """`12.50000000` -> `12.5`; whole part grouped."""
    sign = "-" if text.startswith("-") else ""
    whole, _, fraction = text.lstrip("-").partition(".")
    fraction = fraction.rstrip("0")
    grouped = number(int(whole))
    return sign + grouped + (f".{fraction}" if fraction else "")


def short_amount(text: str) -> str:
    """An amount for a headline: two decimals at most, cut off, never rounded up."""
    whole, _, fraction = text.partition(".")
    return trim_zeros(f"{whole}.{fraction[:2]}") if int(whole) else trim_zeros(text)


def middle(text: str, head: int = 8, tail: int = 6) -> str:
    """`0123456789abcdef…` with its middle left out."""
    if len(text) <= head + tail + 1:
        return text
    return f"{text[:head]}…{text[-tail:]}"


def exact(iso: str) -> str:
    """`2026-11-21T01:02:03.000Z` -> `2026-11-21 01:02:03 UTC`."""
    moment = datetime.fromisoformat(iso).astimezone(UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def highest(series: Performance) -> float:
    """The largest hashrate of a series."""
    return max((point.hashrate for point in series.points), default=0.0)


def svg_line(series: Performance) -> str:
    """Path of a series in a box of 600 by 200."""
    top = highest(series) * 1.12 or 1.0
    last = max(len(series.points) - 1, 1)
    steps = (
        f"{'L' if i else 'M'}{600 * i / last:.1f} {200 - 200 * point.hashrate / top:.1f}"
        for i, point in enumerate(series.points)
    )
    return "".join(steps)


def svg_area(series: Performance) -> str:
    """The same closed along the bottom."""
    return f"{svg_line(series)}L600 200L0 200Z"


FILTERS = {
    function.__name__: function
    for function in (
        hashrate,
        hashrate_parts,
        difficulty,
        number,
        percent,
        share_of,
        basis_points,
        trim_zeros,
        short_amount,
        middle,
        exact,
        highest,
        svg_line,
        svg_area,
    )
}
