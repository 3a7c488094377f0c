"""How numbers, amounts and times read on a page; pure.

Floats here are for the eye only: they were figures about money or work, never
money itself, which stays decimal text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from markupsafe import Markup

from millpond.api.models import Performance
from millpond.api.staking.models import StakingHistory, StakingPool
from millpond.risk import LIMIT_AMOUNTS

_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")
_NARROW_SPACE = "\u202f"
_MOST_PERCENT = 999_000
_PARTS = 2


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


def plain_amount(text: str) -> str:
    """`12.50000000` -> `12.5`, as one would type it."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def sentence(text: str) -> str:
    """With a capital at its beginning and a full stop at its end."""
    whole = text[:1].upper() + text[1:]
    return whole if whole.endswith((".", "!", "?")) else f"{whole}."


def short_amount(text: str) -> str:
    """An amount for a headline: cut off, never rounded up.

    Two decimals, or of what is less than one four digits behind its zeros.
    """
    whole, _, fraction = text.partition(".")
    places = 2 if int(whole) else len(fraction) - len(fraction.lstrip("0")) + 4
    return trim_zeros(f"{whole}.{fraction[:places]}")


def yearly(text: str | None) -> str:
    """A yearly rate for the eye: `"0.1234"` -> `12.34 %`; a dash where there is none."""
    if text is None:
        return "\u2013"
    hundred = Decimal(text) * 100
    if hundred >= _MOST_PERCENT:
        return f"over {number(_MOST_PERCENT)} %"
    if hundred >= 100:
        return f"{number(int(hundred))} %"
    shown = f"{hundred:.2f}".rstrip("0").rstrip(".")
    return f"{shown} %" if hundred >= Decimal("0.01") or not hundred else "< 0.01 %"


def lasting(seconds: int | None) -> str:
    """How long something lasts, in its two largest units: `93784` -> `1 day 2 h`."""
    if seconds is None:
        return "for ever"
    units = ((31_536_000, "year"), (86_400, "day"), (3_600, "h"), (60, "min"), (1, "s"))
    parts: list[str] = []
    for size, name in units:
        count, seconds = divmod(seconds, size)
        if count or parts:
            plural = "s" if count != 1 and name in {"year", "day"} else ""
            parts.append(f"{number(count)} {name}{plural}" if count else "")
        if len(parts) == _PARTS:
            break
    return " ".join(part for part in parts if part) or "less than a second"


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


def hashrates(series: Performance) -> list[float]:
    """What a graph of a series of work draws."""
    return [point.hashrate for point in series.points]


def locked(series: StakingHistory) -> list[float]:
    """What a graph of a staking pool's TVL draws."""
    return [float(point.tvl.amount) for point in series.points]


def gauge(units: str | None, rule: str, pool: StakingPool) -> str:
    """A limit's figure: base units of a pool's token in tokens, a rate of change in per cent.

    A dash where it is another one for each wallet, or cannot be told.
    """
    if units is None:
        return "\u2013"
    if rule == "rate_of_change":
        return basis_points(int(units))
    whole = Decimal(units).scaleb(-pool.decimals)
    return short_amount(f"{whole:f}")


def limit_text(value: str, name: str, decimals: int) -> str:
    """A limit that is set, as it is typed: amounts in whole tokens."""
    places = decimals if name in LIMIT_AMOUNTS else 0
    if not places:
        return value
    # By its digits: a `Decimal` would round what has more than 28 of them.
    digits = value.rjust(places + 1, "0")
    return plain_amount(f"{digits[:-places]}.{digits[-places:]}")


_FUNCTIONS = {
    "deposit": "deposits",
    "rewards": "new rewards",
    "claim": "taking rewards",
    "withdraw": "withdrawals",
}


def held_words(functions: Sequence[str]) -> str:
    """What is held in a staking pool, in plain words; what no staking pool does is left out."""
    return ", ".join(words for name, words in _FUNCTIONS.items() if name in functions)


def svg_line(values: Sequence[float]) -> str:
    """Path of a series in a box of 600 by 200."""
    top = max(values, default=0.0) * 1.12 or 1.0
    last = max(len(values) - 1, 1)
    steps = (
        f"{'L' if i else 'M'}{600 * i / last:.1f} {200 - 200 * value / top:.1f}"
        for i, value in enumerate(values)
    )
    return "".join(steps)


def svg_area(values: Sequence[float]) -> str:
    """The same closed along the bottom."""
    return f"{svg_line(values)}L600 200L0 200Z"


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
        plain_amount,
        sentence,
        short_amount,
        middle,
        exact,
        highest,
        hashrates,
        locked,
        gauge,
        limit_text,
        held_words,
        yearly,
        lasting,
        svg_line,
        svg_area,
    )
}
