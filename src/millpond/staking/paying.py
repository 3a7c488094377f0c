"""What every batch that a hot wallet pays is held against before it is written.

Withdrawals and reward claims of direct pools, and the queues of vaults, are paid by
transactions of the operator's key on the pool's chain. Whether the risk engine holds
them, whether that key has gas, and whether the contract would take the batch, is
asked here: a shortage waits and alerts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from millpond.alerts import Alerts, Severity
from millpond.chains.evm.tx import Call, CallRevertedError, Market
from millpond.errors import UnavailableError
from millpond.risk import Function, RiskEngine
from millpond.staking.pools import PRODUCT, StakingPool
from millpond.staking.settings import StakingSettings
from millpond.store import Store

GAS_ALERT = "staking_gas_shortage"

NO_GAS = "the hot wallet has not enough for gas; it waits"
NOBODY = "the chain cannot be asked now"
REFUSED = "the contract refuses to pay"

_HELD = {Function.WITHDRAW: "withdrawals are held", Function.CLAIM: "claims are held"}


class PayingChain(Protocol):
    """What is asked of a chain before a batch is written (`chains.evm.tx.ChainAccess`)."""

    async def balance(self, address: str) -> int:
        """Wei of an address in the newest block."""

    async def market(self) -> Market:
        """What gas costs now."""

    async def simulate(self, sender: str, call: Call) -> bytes:
        """Do the call on the newest state without a transaction."""


@dataclass(frozen=True, slots=True)
class HotWallet:
    """Who pays the gas on a chain: the operator of the pools' contracts there."""

    access: PayingChain
    address: str


class Paying:
    """Asks whether batches of one kind can be paid now.

    Args:
        store: The database.
        risk: Asked whether such payments are held.
        wallets: The hot wallet of each chain; pools of other chains wait.
        alerts: Told about shortages and what is refused.
        settings: Gas that a payee is reckoned with.
        function: What of users' doings they are: withdrawals or claims.
        what: What the batches pay, in the plural.
        refused_alert: Kind of the alert when the contract refuses them.
    """

    def __init__(
        self,
        store: Store,
        risk: RiskEngine,
        wallets: Mapping[int, HotWallet],
        alerts: Alerts,
        settings: StakingSettings,
        *,
        function: Function,
        what: str,
        refused_alert: str,
    ) -> None:
        self._store = store
        self._risk = risk
        self._wallets = wallets
        self._alerts = alerts
        self._settings = settings
        self._function = function
        self._what = what
        self._refused_alert = refused_alert

    async def held_because(
        self, pool: StakingPool, payees: int, trial: Callable[[], Awaitable[Call | None]]
    ) -> str:
        """Why no batch of that size can be paid now; empty if one can.

        Args:
            pool: The pool.
            payees: How many the batch has.
            trial: Makes a call like the batch's, to be tried; None: there is nothing to try.
        """
        held = await self._held(pool)
        if held:
            return held
        wallet = self._wallets.get(pool.chain_id)
        if wallet is None:
            return "this process has no hot wallet on the pool's chain"
        try:
            short = await self._short_of_gas(pool, wallet, payees)
            return short or await self._refused(pool, wallet, await trial())
        except UnavailableError as error:
            return f"{NOBODY}: {error.message}"

    async def _held(self, pool: StakingPool) -> str:
        async with self._store.read() as tx:
            hold = await self._risk.held(
                tx,
                self._function,
                product=PRODUCT,
                pool_id=pool.pool_id,
                asset=pool.asset.code,  # A vault's exits are counted and held in tokens too.
            )
        return "" if hold is None else f"{_HELD[self._function]}: {hold.reason}"

    async def _short_of_gas(self, pool: StakingPool, wallet: HotWallet, payees: int) -> str:
        market = await wallet.access.market()
        price = 2 * market.base_fee + market.priority_fee
        needed = max(
            self._settings.min_gas_wei, price * self._settings.gas_per_payee * (payees + 1)
        )
        held = await wallet.access.balance(wallet.address)
        subject = f"{pool.chain_id}:{wallet.address}"
        async with self._store.begin() as tx:
            if held >= needed:
                await self._alerts.clear(tx, GAS_ALERT, subject)
                return ""
            await self._alerts.raise_(
                tx,
                GAS_ALERT,
                subject,
                Severity.CRITICAL,
                f"the hot wallet has {held} wei and needs {needed} for the next batch",
                {"held": str(held), "needed": str(needed), "pool": pool.pool_id},
            )
        return NO_GAS

    async def _refused(self, pool: StakingPool, wallet: HotWallet, trial: Call | None) -> str:
        """Try it: paused, or no operator, shows before people wait in a batch."""
        if trial is None:
            return ""
        try:
            await wallet.access.simulate(wallet.address, trial)
        except CallRevertedError as error:
            reason = f"{REFUSED} {self._what}: {error.message}"
            async with self._store.begin() as tx:
                await self._alerts.raise_(
                    tx, self._refused_alert, pool.pool_id, Severity.CRITICAL, reason
                )
            return reason
        async with self._store.begin() as tx:
            await self._alerts.clear(tx, self._refused_alert, pool.pool_id)
        return ""
