"""What an account is: a type, an owner, a name and one asset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from millpond.errors import InvalidInputError
from millpond.money.amount import Asset

_OWNER = re.compile(r"[^\s\x00-\x1f\x7f]{1,200}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._/-]{0,63}", re.ASCII)
_PATH = re.compile(r"([a-z]+):(.+):([^:]+):([^:]+)")


class AccountError(InvalidInputError):
    """Something given cannot name an account."""

    code = "invalid_account"


class AccountType(StrEnum):
    """The five types of bookkeeping; the type decides an account's normal side."""

    ASSET = "asset"
    LIABILITY = "liability"
    INCOME = "income"
    EXPENSE = "expense"
    EQUITY = "equity"

    @property
    def debit_normal(self) -> bool:
        """True if debits make the balance larger: assets and expenses."""
        return self in _DEBIT_NORMAL

    @property
    def guarded(self) -> bool:
        """True if the balance must not go below zero (assets may be opened otherwise)."""
        return self in _GUARDED


_DEBIT_NORMAL = frozenset({AccountType.ASSET, AccountType.EXPENSE})
_GUARDED = frozenset({AccountType.ASSET, AccountType.LIABILITY})


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the ledger; it comes into being when it is first used.

    Attributes:
        type: Which of the five types.
        owner: Whose it is, such as `miner/ltc1q…` or `pool/dev-main`; no white space.
        name: What it is for, such as `balance` or `fees`; lower-case, no colon.
        asset: The one asset that it counts.

    Raises:
        AccountError: The owner or the name is not written like that.
    """

    type: AccountType
    owner: str
    name: str
    asset: Asset

    def __post_init__(self) -> None:
        if not _OWNER.fullmatch(self.owner):
            raise AccountError("an account's owner is 1 to 200 characters without white space")
        if not _NAME.fullmatch(self.name):
            raise AccountError("an account's name is a short lower-case word")

    def __hash__(self) -> int:
        # Type and asset add nothing that tells accounts apart more often than they
        # cost: a call of the ledger looks up tens of thousands.
        return hash((self.owner, self.name))

    @property
    def path(self) -> str:
        """The account in one text: `liability:miner/ltc1q…:balance:LTC`."""
        return f"{self.type.value}:{self.owner}:{self.name}:{self.asset.code}"

    @classmethod
    def parse(cls, path: str, *, decimals: int) -> Account:
        """Read a path back; the owner may itself contain colons.

        Args:
            path: What `path` returned.
            decimals: Decimal places of the asset, which a path does not carry.

        Raises:
            AccountError: The text is no account path.
        """
        match = _PATH.fullmatch(path)
        if match is None or match[1] not in _TYPES:
            raise AccountError(f"{path[:80]!r} is no account path")
        try:
            asset = Asset(match[4], decimals)
        except AssertionError as error:
            raise AccountError(f"{path[:80]!r} is no account path: {error}") from error
        return cls(AccountType(match[1]), match[2], match[3], asset)


_TYPES = frozenset(kind.value for kind in AccountType)
