"""The transaction that pays a batch of withdrawals (`StakingPool.pay_withdrawals`).

What it did is booked by the indexer and by nobody else: it reads the events in
chain order, sees payments whoever sent them, and takes them back when a reorg
does. This decides only what becomes of withdrawals whose transaction came to
nothing.
"""

from __future__ import annotations

import msgspec

from millpond.alerts import Alerts, Severity
from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.tx import Call, Receipt
from millpond.intents import Intent, IntentState
from millpond.staking.withdrawals import rows
from millpond.staking.withdrawals.model import Withdrawal, WithdrawalState
from millpond.staking.withdrawals.service import Withdrawals
from millpond.store import Tx

KIND = "staking-withdrawals"
"""Kind of the intents."""

REFUSED_ALERT = "staking_withdrawals_refused"
REVERTED = "the transaction that was to pay it was reverted; it waits for another one"
NEVER_SENT = "the transaction that was to pay it was never sent; it waits for another one"
GIVEN_UP = "the transaction that was to pay it was given up"


class BatchPayload(msgspec.Struct, frozen=True):
    """What the intent of a batch says; never changes.

    Attributes:
        batch_id: Our name of the batch.
        pool_id: The pool.
        contract: Its `StakingPool`.
        chain_key: The batch's name on chain: 32 bytes, 0x-hex, used once.
        payees: Wallet and base units, as text: JSON numbers end at 64 bits.
    """

    batch_id: str
    pool_id: str
    contract: str
    chain_key: str
    payees: tuple[tuple[str, str], ...]

    def call(self) -> Call:
        """The contract's call."""
        contract = Contract.named("StakingPool", self.contract)
        data = contract.encode(
            "pay_withdrawals",
            bytes.fromhex(self.chain_key[2:]),
            [wallet for wallet, _ in self.payees],
            [int(units) for _, units in self.payees],
        )
        return Call(to=self.contract, data=data)


class WithdrawalEffect:
    """Makes the call of a batch and follows its end (`EvmEffect`).

    Args:
        withdrawals: The withdrawals.
        alerts: Told when a batch came to nothing.
    """

    def __init__(self, withdrawals: Withdrawals, alerts: Alerts) -> None:
        self._withdrawals = withdrawals
        self._alerts = alerts

    @property
    def kind(self) -> str:
        """`staking-withdrawals`."""
        return KIND

    async def call(self, intent: Intent) -> Call:
        """`pay_withdrawals` with the payees of the batch."""
        return payload_of(intent).call()

    async def changed(self, tx: Tx, before: Intent, after: Intent) -> None:
        """Let people see why their withdrawals wait, or wait no longer."""
        if (before.state, before.reason) == (after.state, after.reason):
            return
        waits = after.state in {IntentState.FROZEN, IntentState.CREATED}
        reason = after.reason if waits else ""
        under_way = await self._under_way(tx, after)
        changed = [w for w in under_way if w.reserved and w.reason != reason]
        now_ms = self._withdrawals.clock.now_ms()
        told = await rows.change(tx, changed, now_ms=now_ms, reason=reason)
        await rows.tell(tx, told, now_ms=now_ms)

    async def settle(self, tx: Tx, intent: Intent, receipt: Receipt) -> None:
        """Nothing, if it did its work: the indexer books what it did. Reverted: try again."""
        if receipt.status == 1:
            return
        await self._came_to_nothing(tx, intent, REVERTED)
        await self._withdrawals.put_back(tx, await self._under_way(tx, intent), REVERTED)

    async def release(self, tx: Tx, intent: Intent, reason: str) -> None:
        """It did not happen. One that was sent may yet: then its withdrawals are not repeated."""
        under_way = await self._under_way(tx, intent)
        await self._came_to_nothing(tx, intent, reason)
        if intent.was_sent:
            await self._withdrawals.fail(tx, under_way, f"{GIVEN_UP}: {reason}"[:300])
        else:
            await self._withdrawals.put_back(tx, under_way, f"{NEVER_SENT}: {reason}"[:300])

    async def _under_way(self, tx: Tx, intent: Intent) -> list[Withdrawal]:
        found = await rows.of_batch(tx, payload_of(intent).batch_id, lock=True)
        return [w for w in found if w.state is WithdrawalState.PROCESSING]

    async def _came_to_nothing(self, tx: Tx, intent: Intent, reason: str) -> None:
        payload = payload_of(intent)
        await self._alerts.raise_(
            tx,
            REFUSED_ALERT,
            payload.pool_id,
            Severity.CRITICAL,
            f"a batch of {len(payload.payees)} withdrawals came to nothing: {reason}",
            {"batch_id": payload.batch_id, "intent": intent.id},
        )


def payload_of(intent: Intent) -> BatchPayload:
    """What the intent of a batch says."""
    return msgspec.convert(intent.payload, BatchPayload)
