"""What the API is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from millpond.api.ports import Check, Reads, Writes
from millpond.api.settings import ApiSettings
from millpond.api.staking.deps import StakingDeps
from millpond.chains.coins import Coin
from millpond.clock import Clock, Entropy
from millpond.store import Store

SignatureCheck = Callable[[Coin, str, str, str], bool]
"""`(coin, address, message, signature in base64) -> genuine?`"""

AddressCheck = Callable[[Coin, str], None]
"""Raises a `MillpondError` when a text is no address of the coin."""


@dataclass(frozen=True, slots=True)
class ApiDeps:
    """Everything that the API works with; nothing else is reached for.

    Attributes:
        store: The database.
        clock: Source of time.
        entropy: Source of nonces and tokens.
        reads: Read models of the pools.
        writes: The changes that the API may make.
        coins: Coin of each pool by pool id, in the order shown; at least one.
        verify: Signature check (`millpond.chains.bitcoin.message`).
        check_address: Address check (`millpond.chains.bitcoin.address`).
        settings: How to behave.
        operator_key: The operator's key; None closes that door.
        checks: What `/readyz` asks, by name.
        metrics: Renders what `/metrics` answers; None: this process's registry.
        staking: The rooms of staking; None: those of the database, without a chain.
    """

    store: Store
    clock: Clock
    entropy: Entropy
    reads: Reads
    writes: Writes
    coins: Mapping[str, Coin]
    verify: SignatureCheck
    check_address: AddressCheck
    settings: ApiSettings = field(default_factory=ApiSettings)
    operator_key: str | None = None
    checks: Mapping[str, Check] = field(default_factory=dict)
    metrics: Callable[[], bytes] | None = None
    staking: StakingDeps | None = None

    @property
    def pool_ids(self) -> Sequence[str]:
        """The pools, in the order shown."""
        return tuple(self.coins)
