"""What the staking part of the API is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from millpond.alerts import Alerts
from millpond.chains.evm.operations import Operations
from millpond.chains.evm.types import Block
from millpond.clock import Clock, Entropy, Ids
from millpond.errors import ConflictError
from millpond.intents import Intents
from millpond.money.ledger import Ledger
from millpond.oracle import Prices
from millpond.risk import RiskEngine
from millpond.staking.deposits import CallingChain
from millpond.staking.exposure import StakingExposure
from millpond.staking.pools import PRODUCT
from millpond.store import Store
from millpond.trail import Trail


class ChainNotHereError(ConflictError):
    """This process has no node of that chain to ask."""

    code = "chain_not_configured"


class PoolChain(CallingChain, Protocol):
    """What is asked of a chain for its pools (`Nodes`)."""

    async def head(self, *, agreed: bool = False) -> Block:
        """The newest block."""


@dataclass(frozen=True, slots=True)
class StakingDeps:
    """The rooms behind staking.

    Attributes:
        ledger: Where the money is.
        ids: Makes identifiers.
        risk: Limits, pauses and breakers.
        alerts: What people should see.
        trail: What people with power did.
        operations: Where transactions are ordered; a worker with keys does them.
        prices: What is known of prices.
        chains: Nodes by chain id; asked to try calls out, never to send any.
        signers: By chain id, the address that pays for what the operator orders.
    """

    ledger: Ledger
    ids: Ids
    risk: RiskEngine
    alerts: Alerts
    trail: Trail
    operations: Operations
    prices: Prices
    chains: Mapping[int, PoolChain] = field(default_factory=dict)
    signers: Mapping[int, str] = field(default_factory=dict)

    def chain(self, chain_id: int) -> PoolChain:
        """The nodes of a chain.

        Raises:
            ChainNotHereError: There are none.
        """
        found = self.chains.get(chain_id)
        if found is None:
            raise ChainNotHereError(f"no node of chain {chain_id} is configured here")
        return found


def plain_staking(store: Store, clock: Clock, entropy: Entropy) -> StakingDeps:
    """The rooms over a database, with no chain and no price: reads work, deposits do not."""
    ids = Ids(clock, entropy)
    ledger, alerts, trail = Ledger(clock), Alerts(clock, ids), Trail(clock)
    return StakingDeps(
        ledger=ledger,
        ids=ids,
        risk=RiskEngine(
            ledger, clock, ids, trail, alerts, exposures={PRODUCT: StakingExposure(ledger)}
        ),
        alerts=alerts,
        trail=trail,
        operations=Operations(Intents(store, clock, ids, entropy)),
        prices=Prices(clock, ()),
    )
