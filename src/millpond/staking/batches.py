"""A batch that a hot wallet pays: what its intent says, and what becomes of its payees.

Withdrawals and reward claims of direct pools are both paid so. What a batch did is
booked by the indexer and by nobody else: it reads the events in chain order, sees
payments whoever sent them, and takes them back when a reorg does. This decides only
what becomes of those whose transaction came to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from millpond.alerts import Alerts, Severity
from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.tx import Call, Receipt
from millpond.intents import Intent, IntentState
from millpond.store import Tx

REVERTED = "the transaction that was to pay it was reverted; it waits for another one"
NEVER_SENT = "the transaction that was to pay it was never sent; it waits for another one"
GIVEN_UP = "the transaction that was to pay it was given up"

MAX_REASON = 300
"""Longest reason that a payee is given, in characters."""


class BatchPayload(msgspec.Struct, frozen=True):
    """What the intent of a batch says; never changes.

    Attributes:
        pool_id: The pool.
        contract: The contract that pays.
        chain_key: The batch's name on chain: 32 bytes, 0x-hex, used once.
        payees: Wallet and base units, as text: JSON numbers end at 64 bits.
    """

    pool_id: str
    contract: str
    chain_key: str
    payees: tuple[tuple[str, str], ...]


class Payable(Protocol):
    """A withdrawal or a claim."""

    @property
    def wallet(self) -> str:
        """Who is paid."""

    @property
    def amount(self) -> int:
        """Base units."""

    @property
    def reserved(self) -> bool:
        """True while its amount is reserved in the ledger."""

    @property
    def reason(self) -> str:
        """Why it is where it is, for people."""


@dataclass(frozen=True, slots=True)
class BatchKind:
    """What distinguishes batches of one kind from those of another.

    Attributes:
        intent: Kind of their intents.
        what: What they pay, in the plural.
        artifact: Which contract pays them.
        function: Its function; takes the batch's name, wallets and amounts.
        refused_alert: Kind of the alert when one came to nothing.
    """

    intent: str
    what: str
    artifact: str
    function: str
    refused_alert: str

    def call(self, payload: BatchPayload) -> Call:
        """The contract's call."""
        data = Contract.named(self.artifact, payload.contract).encode(
            self.function,
            bytes.fromhex(payload.chain_key[2:]),
            [wallet for wallet, _ in payload.payees],
            [int(units) for _, units in payload.payees],
        )
        return Call(to=payload.contract, data=data)


def payees_of(items: Sequence[Payable]) -> tuple[tuple[str, str], ...]:
    """Who is paid what, as the payload has it."""
    return tuple((item.wallet, str(item.amount)) for item in items)


def payload_of(intent: Intent) -> BatchPayload:
    """What the intent of a batch says."""
    return msgspec.convert(intent.payload, BatchPayload)


Item = TypeVar("Item", bound=Payable)


class Payables(Protocol[Item]):
    """The book of what is paid in batches (`Withdrawals`, `Claims`)."""

    async def under_way(self, tx: Tx, chain_key: str) -> list[Item]:
        """Those of a batch whose end is open; locked."""

    async def explain(self, tx: Tx, items: Sequence[Item], reason: str) -> None:
        """Say why they are where they are."""

    async def put_back(self, tx: Tx, items: Sequence[Item], reason: str) -> list[Item]:
        """Let them wait for another batch."""

    async def fail(self, tx: Tx, items: Sequence[Item], reason: str) -> list[Item]:
        """End them and return what was reserved."""


class BatchEffect(Generic[Item]):
    """Makes the call of a batch and follows its end (`EvmEffect`).

    Args:
        batch: The kind of batch.
        payables: What the batches pay.
        alerts: Told when a batch came to nothing.
    """

    def __init__(self, batch: BatchKind, payables: Payables[Item], alerts: Alerts) -> None:
        self._batch = batch
        self._payables = payables
        self._alerts = alerts

    @property
    def kind(self) -> str:
        """Kind of the intents."""
        return self._batch.intent

    async def call(self, intent: Intent) -> Call:
        """The contract's function with the payees of the batch."""
        return self._batch.call(payload_of(intent))

    async def changed(self, tx: Tx, before: Intent, after: Intent) -> None:
        """Let people see why they wait, or wait no longer."""
        if (before.state, before.reason) == (after.state, after.reason):
            return
        waits = after.state in {IntentState.FROZEN, IntentState.CREATED}
        reason = after.reason[:MAX_REASON] if waits else ""
        items = await self._under_way(tx, after)
        # What is reserved no more has a reason of its own, which says more.
        told = [item for item in items if item.reserved and item.reason != reason]
        await self._payables.explain(tx, told, reason)

    async def settle(self, tx: Tx, intent: Intent, receipt: Receipt) -> None:
        """Nothing, if it did its work: the indexer books what it did. Reverted: try again."""
        if receipt.status == 1:
            return
        await self._came_to_nothing(tx, intent, REVERTED)
        await self._payables.put_back(tx, await self._under_way(tx, intent), REVERTED)

    async def release(self, tx: Tx, intent: Intent, reason: str) -> None:
        """It did not happen. One that was sent may yet: then its payees are not paid again."""
        under_way = await self._under_way(tx, intent)
        await self._came_to_nothing(tx, intent, reason)
        if intent.was_sent:
            why = f"{GIVEN_UP}: {reason}"[:MAX_REASON]
            await self._payables.fail(tx, under_way, why)
        else:
            why = f"{NEVER_SENT}: {reason}"[:MAX_REASON]
            await self._payables.put_back(tx, under_way, why)

    async def _under_way(self, tx: Tx, intent: Intent) -> list[Item]:
        return await self._payables.under_way(tx, payload_of(intent).chain_key)

    async def _came_to_nothing(self, tx: Tx, intent: Intent, reason: str) -> None:
        payload = payload_of(intent)
        await self._alerts.raise_(
            tx,
            self._batch.refused_alert,
            payload.pool_id,
            Severity.CRITICAL,
            f"a batch of {len(payload.payees)} {self._batch.what} came to nothing: {reason}",
            {"chain_key": payload.chain_key, "intent": intent.id},
        )
