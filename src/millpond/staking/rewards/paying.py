"""Paying claims: what waits goes into batches, each one transaction of `BatchPayout`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from millpond.alerts import Alerts, Severity
from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.tx import Call, Receipt, lane_of
from millpond.clock import Ids
from millpond.intents import Intent, Intents, IntentState
from millpond.risk import Function
from millpond.staking.accounts import derived_id
from millpond.staking.paying import REFUSED, HotWallet, Paying
from millpond.staking.pools import PRODUCT, PoolKind, StakingPool, list_pools
from millpond.staking.rewards import claims as claim_rows
from millpond.staking.rewards.claims import Claim, Claims, ClaimState
from millpond.staking.settings import StakingSettings
from millpond.store import Store, Tx

KIND = "staking-claims"
"""Kind of the intents."""

REFUSED_ALERT = "staking_claims_refused"
REVERTED = "the transaction that was to pay it was reverted; it waits for another one"
NEVER_SENT = "the transaction that was to pay it was never sent; it waits for another one"
GIVEN_UP = "the transaction that was to pay it was given up"


class ClaimPayload(msgspec.Struct, frozen=True):
    """What the intent of a batch of claims says; never changes.

    Attributes:
        pool_id: The pool.
        contract: Its `BatchPayout`.
        chain_key: The batch's name on chain: 32 bytes, 0x-hex, used once.
        payees: Wallet and base units, as text: JSON numbers end at 64 bits.
    """

    pool_id: str
    contract: str
    chain_key: str
    payees: tuple[tuple[str, str], ...]

    def call(self) -> Call:
        """The contract's call."""
        data = Contract.named("BatchPayout", self.contract).encode(
            "pay",
            bytes.fromhex(self.chain_key[2:]),
            [wallet for wallet, _ in self.payees],
            [int(units) for _, units in self.payees],
        )
        return Call(to=self.contract, data=data)


class ClaimEffect:
    """Makes the call of a batch and follows its end (`EvmEffect`); the indexer books what it did.

    Args:
        claims: The claims.
        alerts: Told when a batch came to nothing.
    """

    def __init__(self, claims: Claims, alerts: Alerts) -> None:
        self._claims = claims
        self._alerts = alerts

    @property
    def kind(self) -> str:
        """`staking-claims`."""
        return KIND

    async def call(self, intent: Intent) -> Call:
        """`pay` with the payees of the batch."""
        return _payload_of(intent).call()

    async def changed(self, tx: Tx, before: Intent, after: Intent) -> None:
        """Let people see why their claims wait, or wait no longer."""
        if (before.state, before.reason) == (after.state, after.reason):
            return
        waits = after.state in {IntentState.FROZEN, IntentState.CREATED}
        reason = after.reason[:300] if waits else ""
        under_way = await self._under_way(tx, after)
        await self._claims.change(
            tx, [claim for claim in under_way if claim.reason != reason], reason=reason
        )

    async def settle(self, tx: Tx, intent: Intent, receipt: Receipt) -> None:
        """Nothing, if it did its work. Reverted: its claims wait for another one."""
        if receipt.status == 1:
            return
        await self._came_to_nothing(tx, intent, REVERTED)
        await self._claims.put_back(tx, await self._under_way(tx, intent), REVERTED)

    async def release(self, tx: Tx, intent: Intent, reason: str) -> None:
        """It did not happen. One that was sent may yet: then its claims are not repeated."""
        under_way = await self._under_way(tx, intent)
        await self._came_to_nothing(tx, intent, reason)
        if intent.was_sent:
            await self._claims.fail(tx, under_way, f"{GIVEN_UP}: {reason}")
        else:
            await self._claims.put_back(tx, under_way, f"{NEVER_SENT}: {reason}")

    async def _under_way(self, tx: Tx, intent: Intent) -> list[Claim]:
        found = await claim_rows.of_batch(tx, _payload_of(intent).chain_key)
        return [claim for claim in found if claim.state is ClaimState.PROCESSING]

    async def _came_to_nothing(self, tx: Tx, intent: Intent, reason: str) -> None:
        payload = _payload_of(intent)
        await self._alerts.raise_(
            tx,
            REFUSED_ALERT,
            payload.pool_id,
            Severity.CRITICAL,
            f"a batch of {len(payload.payees)} claims came to nothing: {reason}",
            {"chain_key": payload.chain_key, "intent": intent.id},
        )


class ClaimRun:
    """Puts pending claims into batches; any number may run at once.

    Args:
        store: The database.
        intents: Where a batch becomes an intent.
        claims: The claims.
        wallets: The hot wallet of each chain; pools of other chains wait.
        alerts: Told about shortages and what is refused.
        ids: Makes the batches' identifiers.
        settings: Payees of a batch, gas and so on.
    """

    def __init__(
        self,
        store: Store,
        intents: Intents,
        claims: Claims,
        wallets: Mapping[int, HotWallet],
        *,
        alerts: Alerts,
        ids: Ids,
        settings: StakingSettings | None = None,
    ) -> None:
        self._store = store
        self._intents = intents
        self._claims = claims
        self._wallets = wallets
        self._ids = ids
        self._settings = settings or StakingSettings()
        self._paying = Paying(
            store,
            wallets,
            alerts,
            self._settings,
            what="claims",
            refused_alert=REFUSED_ALERT,
        )

    async def run_once(self) -> dict[str, str]:
        """Look at every direct pool once; answers why claims of a pool wait, empty if none."""
        async with self._store.read() as tx:
            pools = await list_pools(tx)
        due = [p for p in pools if p.kind is PoolKind.DIRECT and p.rewards_contract is not None]
        return {pool.pool_id: await self.run_pool(pool) for pool in due}

    async def run_pool(self, pool: StakingPool) -> str:
        """Write batches for one pool, up to a bounded number; why the rest waits."""
        for _ in range(self._settings.max_batches):
            size = await self._waiting(pool)
            if not size:
                break
            size, waits = await self._payable(pool, size)
            if waits:
                return waits
            await self._write_batch(pool, size)
        return ""

    async def _payable(self, pool: StakingPool, size: int) -> tuple[int, str]:
        """How many of the oldest claims the contract would pay in one batch, or why none.

        `BatchPayout` refuses a batch that it has not the funds for, so a claim too
        many would let all the others wait with it.
        """
        while waits := await self._held_because(pool, size):
            if size == 1 or not waits.startswith(REFUSED):
                return 0, waits
            size //= 2
        return size, ""

    async def _waiting(self, pool: StakingPool) -> int:
        limit = self._settings.max_payees
        async with self._store.read() as tx:
            return len(await claim_rows.pending(tx, pool.pool_id, limit=limit, lock=False))

    async def _held_because(self, pool: StakingPool, payees: int) -> str:
        async with self._store.read() as tx:
            hold = await self._claims.risk.held(
                tx,
                Function.CLAIM,
                product=PRODUCT,
                pool_id=pool.pool_id,
                asset=pool.asset.code,
            )
        if hold is not None:
            return f"claims are held: {hold.reason}"
        return await self._paying.held_because(pool, payees, lambda: self._trial(pool, payees))

    async def _trial(self, pool: StakingPool, payees: int) -> Call | None:
        async with self._store.read() as tx:
            oldest = await claim_rows.pending(tx, pool.pool_id, limit=payees, lock=False)
        return _payload(pool, "trial", oldest).call() if oldest else None

    async def _write_batch(self, pool: StakingPool, size: int) -> None:
        """One batch: intent and payees in one transaction."""
        wallet = self._wallets[pool.chain_id]
        async with self._store.begin() as tx:
            chosen = await claim_rows.pending(tx, pool.pool_id, limit=size)
            if not chosen:
                return
            payload = _payload(pool, self._ids.new(), chosen)
            await self._intents.create(
                tx,
                KIND,
                payload.chain_key,
                msgspec.to_builtins(payload),
                lane=lane_of(pool.chain_id, wallet.address),
            )
            await self._claims.change(
                tx,
                chosen,
                state=ClaimState.PROCESSING,
                chain_key=payload.chain_key,
                reason="",
            )


def _payload(pool: StakingPool, name: str, chosen: list[Claim]) -> ClaimPayload:
    assert pool.rewards_contract is not None, "only pools with rewards have claims"
    return ClaimPayload(
        pool_id=pool.pool_id,
        contract=pool.rewards_contract,
        chain_key="0x" + derived_id("claims", pool.pool_id, name),
        payees=tuple((claim.wallet, str(claim.amount)) for claim in chosen),
    )


def _payload_of(intent: Intent) -> ClaimPayload:
    return msgspec.convert(intent.payload, ClaimPayload)
