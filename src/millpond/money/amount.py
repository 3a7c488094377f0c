"""`Asset` and `Amount`: whole base units, exactly parsed and formatted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import total_ordering

from millpond.errors import InvalidInputError

_DECIMAL = re.compile(r"(-?)(\d{1,78})(?:\.(\d{1,78}))?", re.ASCII)
_MAX_DIGITS = 78


class AmountError(InvalidInputError):
    """A text or number is no amount of the asset."""

    code = "invalid_amount"


@dataclass(frozen=True, slots=True, order=True)
class Asset:
    """Something that can be owned in whole base units.

    Attributes:
        code: Short upper- or mixed-case name, unique on the platform (`LTC`, `rLTC`).
        decimals: How many decimal places one whole unit has (8 for bitcoin).
    """

    code: str
    decimals: int

    def __post_init__(self) -> None:
        assert 0 <= self.decimals <= 36, "an asset has 0 to 36 decimals"
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,32}", self.code), "an asset code is a short word"

    def amount(self, units: int) -> Amount:
        """An amount of `units` base units."""
        return Amount(units, self)

    def parse(self, text: str) -> Amount:
        """Read a plain decimal such as `1.5`, exactly.

        Raises:
            AmountError: No plain decimal, or finer than the base unit.
        """
        match = _DECIMAL.fullmatch(text)
        if match is None:
            raise AmountError(f"{text[:80]!r} is not a decimal number")
        sign, whole, fraction = match[1], match[2], (match[3] or "")
        if len(fraction.rstrip("0")) > self.decimals:
            raise AmountError(f"{self.code} has {self.decimals} decimal places, not more")
        units = int(whole + fraction[: self.decimals].ljust(self.decimals, "0"))
        if len(str(units)) > _MAX_DIGITS:
            raise AmountError("an amount has at most 78 digits")
        return Amount(-units if sign else units, self)


@total_ordering
@dataclass(frozen=True, slots=True)
class Amount:
    """A whole number of base units of one asset; of any sign and size.

    Adding, subtracting and comparing amounts of different assets is a
    programming error and raises `TypeError`.
    """

    units: int
    asset: Asset

    def __post_init__(self) -> None:
        if type(self.units) is not int:
            raise TypeError("an amount is counted in int base units")

    def _same(self, other: Amount) -> int:
        if other.asset != self.asset:
            raise TypeError(f"{self.asset.code} goes only with {self.asset.code}")
        return other.units

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.units + self._same(other), self.asset)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.units - self._same(other), self.asset)

    def __neg__(self) -> Amount:
        return Amount(-self.units, self.asset)

    def __lt__(self, other: Amount) -> bool:
        return self.units < self._same(other)

    def __bool__(self) -> bool:
        return self.units != 0

    def __str__(self) -> str:
        return f"{self.decimal} {self.asset.code}"

    @property
    def decimal(self) -> str:
        """The exact decimal text with all places, such as `1.50000000`."""
        digits = str(abs(self.units)).rjust(self.asset.decimals + 1, "0")
        sign = "-" if self.units < 0 else ""
        if not self.asset.decimals:
            return sign + digits
        return f"{sign}{digits[: -self.asset.decimals]}.{digits[-self.asset.decimals :]}"


def total(amounts: Iterable[Amount], asset: Asset) -> Amount:
    """Sum of amounts of `asset`; zero when there are none."""
    result = asset.amount(0)
    for amount in amounts:
        result += amount
    return result
