"""Between the decimal amounts of a daemon's JSON and whole base units.

Daemons write `1.10000000`. The reader of their answers keeps such numbers as
`decimal.Decimal`, made from the digits on the wire; no float ever lies on
the way.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from millpond.chains.bitcoin.errors import RpcProtocolError

_MAX_SAT = 21_000_000_000 * 10**8
"""Above any supply of the family; a larger figure is nonsense."""


def to_sat(value: object, decimals: int = 8) -> int:
    """Base units of an amount in an answer.

    Raises:
        RpcProtocolError: Not a finite number, finer than a base unit, or beyond any supply.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise RpcProtocolError(f"{str(value)[:40]!r} is no amount")
    number = Decimal(value)
    if not number.is_finite() or number.adjusted() > 20:
        raise RpcProtocolError("an amount is a finite number of reasonable size")
    scaled = number.scaleb(decimals)
    units = int(scaled)
    if scaled != units or abs(units) > _MAX_SAT:
        raise RpcProtocolError(f"{number} is no amount of {decimals} decimal places")
    return units


def from_sat(units: int, decimals: int = 8) -> msgspec.Raw:
    """The amount as a JSON number with all its places, ready to stand in a document."""
    assert type(units) is int, "an amount is a whole number of base units"
    digits = str(abs(units)).rjust(decimals + 1, "0")
    sign = "-" if units < 0 else ""
    return msgspec.Raw(f"{sign}{digits[:-decimals]}.{digits[-decimals:]}".encode())
