"""Posting a vault's epoch: its root, its total and its statement's hash, on chain.

The intent is written in the transaction that closes the epoch, and the contract takes
each number once and in order, so that an epoch is posted once whatever happens.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import update

from millpond.alerts import Alerts, Severity
from millpond.alerts.service import MAX_PAGE
from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.tx import Call, Receipt, lane_of
from millpond.intents import Intent, Intents, NotReadyError
from millpond.intents.model import FINAL
from millpond.staking.pools import PoolKind, StakingPool
from millpond.staking.rewards import rows
from millpond.staking.rewards.model import Epoch
from millpond.staking.rewards.tables import epoch_table
from millpond.store import Store, Tx

KIND = "staking-epoch"
"""Kind of the intents."""

NOT_POSTED = "epoch_not_posted"
FOREIGN_ROOT = "epoch_root_foreign"
POSTED_IN = "posted_in"
"""Detail of a settled intent: the transaction that posted its epoch."""

BEFORE_IT = "the epoch before it is not posted yet"


class EpochPayload(msgspec.Struct, frozen=True):
    """What the intent of an epoch says; never changes. Amounts are text."""

    pool_id: str
    contract: str
    number: int
    root: str
    total: str
    statement_hash: str

    def call(self) -> Call:
        """`post_epoch` of the `RewardDistributor`."""
        data = Contract.named("RewardDistributor", self.contract).encode(
            "post_epoch",
            self.number,
            bytes.fromhex(self.root[2:]),
            int(self.total),
            bytes.fromhex(self.statement_hash[2:]),
        )
        return Call(to=self.contract, data=data)


class Posting:
    """Writes the intents of vaults' epochs; give `post` to `Epochs`.

    Args:
        intents: Where they go.
        signers: The operator's address on each chain; elsewhere nothing is posted.
        alerts: Told when the chain has a root that is not of these books.
    """

    def __init__(self, intents: Intents, signers: Mapping[int, str], alerts: Alerts) -> None:
        self._intents = intents
        self._alerts = alerts
        self._signers = signers

    async def post(self, tx: Tx, pool: StakingPool, epoch: Epoch) -> str | None:
        """Write the intent of an epoch; None if the pool posts none."""
        signer = self._signers.get(pool.chain_id)
        if pool.kind is not PoolKind.VAULT or signer is None:
            return None
        assert pool.rewards_contract is not None, "a pool with epochs has reward funds"
        payload = EpochPayload(
            pool.pool_id,
            pool.rewards_contract,
            epoch.number,
            epoch.root,
            str(epoch.distributed),
            epoch.statement_hash,
        )
        intent = await self._intents.create(
            tx,
            KIND,
            await self._key(tx, epoch),
            msgspec.to_builtins(payload),
            lane=lane_of(pool.chain_id, signer),
        )
        return intent.id

    async def post_missing(self, tx: Tx, pool: StakingPool, *, limit: int = 1_000) -> int:
        """Write intents for epochs without one and for those whose intent came to nothing.

        What a receipt says was posted counts as posted until the indexer has come to it,
        however long that takes; from then on the chain's events decide, which also say
        whether the owner has taken it back. The contract takes each number once, so that
        writing one too many is harmless.

        Returns:
            How many were written.
        """
        written = 0
        await self._watch(tx, pool)
        for epoch in await rows.unposted(tx, pool.pool_id, limit=limit):
            if not await self._wants_intent(tx, epoch):
                continue
            intent_id = await self.post(tx, pool, epoch)
            where = epoch_table.c.pool_id == epoch.pool_id, epoch_table.c.epoch == epoch.epoch
            await tx.execute(update(epoch_table).where(*where).values(intent_id=intent_id))
            written += intent_id is not None
        return written

    async def _wants_intent(self, tx: Tx, epoch: Epoch) -> bool:
        """Whether nothing posts an epoch, or has posted it, that no event shows on chain."""
        if epoch.intent_id is None:
            return True
        intent = await self._intents.get(tx, epoch.intent_id)
        if intent.state not in FINAL:
            return False
        tx_hash = intent.details.get(POSTED_IN)
        return tx_hash is None or await rows.shows_posting(tx, epoch.pool_id, tx_hash)

    async def _watch(self, tx: Tx, pool: StakingPool) -> None:
        """Say so while claims go by a root that is not of these books.

        Where it is of them, it and all before it are posted, whatever their intents say.
        """
        posted = await rows.last_posted(tx, pool.pool_id)
        own = (
            None if posted is None else await rows.epoch_by_number(tx, pool.pool_id, posted.number)
        )
        subject = f"pool:{pool.pool_id}"
        if posted is None or (own is not None and own.root == posted.root):
            await self._alerts.clear(tx, FOREIGN_ROOT, subject)
            if posted is not None:
                await self._clear_until(tx, pool.pool_id, posted.number)
            return
        await self._alerts.raise_(
            tx,
            FOREIGN_ROOT,
            subject,
            Severity.CRITICAL,
            f"the root on chain for epoch number {posted.number} of {pool.pool_id} is not of"
            " these books; pause its claims, and find out who has the operator's key",
            {"number": posted.number, "root": posted.root, "ours": "" if own is None else own.root},
        )

    async def _clear_until(self, tx: Tx, pool_id: str, number: int) -> None:
        """Clear what was said about epochs that are on chain after all."""
        for alert in await self._alerts.open(tx, kinds={NOT_POSTED}, limit=MAX_PAGE):
            pool, _, told = alert.subject.removeprefix("epoch:").rpartition(":")
            if pool == pool_id and int(told) <= number:
                await self._alerts.clear(tx, NOT_POSTED, alert.subject)

    async def _key(self, tx: Tx, epoch: Epoch) -> str:
        """A key of the epoch's own, another one for each time that it has to be posted again."""
        key = f"{epoch.pool_id}:{epoch.number}"
        if epoch.intent_id is None:
            return key
        before = await self._intents.get(tx, epoch.intent_id)
        return f"{key}:{int(before.key.removeprefix(key).lstrip(':') or 0) + 1}"


class PostingEffect:
    """Makes the call that posts an epoch and follows its end (`EvmEffect`).

    Args:
        store: To see whether the epoch before was posted.
        intents: To read that epoch's intent.
        alerts: Told when an epoch could not be posted.
    """

    def __init__(self, store: Store, intents: Intents, alerts: Alerts) -> None:
        self._store = store
        self._intents = intents
        self._alerts = alerts

    @property
    def kind(self) -> str:
        """`staking-epoch`."""
        return KIND

    async def call(self, intent: Intent) -> Call:
        """`post_epoch`, once the epoch before has gone out.

        Raises:
            NotReadyError: It has not.
        """
        payload = _payload_of(intent)
        if payload.number > 1:
            async with self._store.read() as tx:
                if not await self._gone(tx, payload.pool_id, payload.number - 1):
                    raise NotReadyError(BEFORE_IT)
        return payload.call()

    async def _gone(self, tx: Tx, pool_id: str, number: int) -> bool:
        """Whether an epoch has left for the chain, or is there, whoever posted it."""
        before = await rows.epoch_by_number(tx, pool_id, number)
        assert before is not None, "epochs are closed in order"
        if (
            before.intent_id is not None
            and (await self._intents.get(tx, before.intent_id)).was_sent
        ):
            return True
        posted = await rows.last_posted(tx, pool_id)
        return posted is not None and posted.number >= number

    async def changed(self, tx: Tx, before: Intent, after: Intent) -> None:
        """Nothing follows it."""

    async def settle(self, tx: Tx, intent: Intent, receipt: Receipt) -> None:
        """Note by which transaction, if it did its work: the indexer will see its event."""
        if receipt.status == 1:
            await self._intents.note(tx, intent, **{POSTED_IN: receipt.tx_hash})
            await self._alerts.clear(tx, NOT_POSTED, _subject(intent))
        else:
            await self._not_posted(tx, intent, "its transaction was reverted")

    async def release(self, tx: Tx, intent: Intent, reason: str) -> None:
        """Say that the epoch is not on chain."""
        await self._not_posted(tx, intent, reason)

    async def _not_posted(self, tx: Tx, intent: Intent, reason: str) -> None:
        await self._alerts.raise_(
            tx,
            NOT_POSTED,
            _subject(intent),
            Severity.CRITICAL,
            f"epoch number {_payload_of(intent).number} of {_payload_of(intent).pool_id}"
            f" is not on chain: {reason}",
            {"intent": intent.id},
        )


def _payload_of(intent: Intent) -> EpochPayload:
    return msgspec.convert(intent.payload, EpochPayload)


def _subject(intent: Intent) -> str:
    payload = _payload_of(intent)
    return f"epoch:{payload.pool_id}:{payload.number}"
