"""Closing epochs: once each, in order, out of what the booked chain says.

An epoch is closed when everything up to its end is booked, which is as deep as
the pool's confirmations; then its snapshot, its ledger postings and its row are
written in one transaction. Whatever a timer does, there is one row per (pool,
epoch), and the postings' ids follow from it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import select, update

from millpond.alerts import Alerts, Severity
from millpond.clock import Clock
from millpond.money.ledger import Ledger
from millpond.money.model import Transfer
from millpond.staking.accounts import derived_id, reward_reserve, rewards
from millpond.staking.history import Mark, balances_before, booked_mark
from millpond.staking.pools import PoolState, StakingPool, get_pool
from millpond.staking.rewards import rows
from millpond.staking.rewards.closing import Closing, Prior, Seen, bounds_of, decide, epoch_of
from millpond.staking.rewards.errors import EpochNotFoundError, EpochStateError
from millpond.staking.rewards.model import Epoch, EpochState
from millpond.staking.rewards.statement import Funding, PoolPart, digest
from millpond.staking.rewards.tables import epoch_table, run_table, snapshot_table
from millpond.staking.rewards.weights import pinned_terms
from millpond.store import Tx
from millpond.store.events import publish
from millpond.store.sql import insert_many, insert_or_ignore
from millpond.trail import Trail

RECHECK_S = 6 * 3600
"""How long behind its end an epoch is held against the chain again."""

MAX_RECHECKED = 72
"""Most epochs of a pool that one run holds against the chain again."""

_POSTED_AT_ONCE = 50_000

UNDERFUNDED = "rewards_underfunded"
DISPUTED = "epoch_disputed"

Post = Callable[[Tx, StakingPool, Epoch], Awaitable[str | None]]
"""Makes the intent that posts an epoch's root on chain; answers its id."""


class Epochs:
    """Closes the epochs of pools, and notices when the chain changes below one.

    Args:
        ledger: The books.
        clock: Time.
        alerts: Where shortfalls and disputes are raised.
        trail: Where it is written who let a disputed epoch stand.
        post: Makes the intent for a vault's root; None: nothing is posted.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, alerts: Alerts, trail: Trail, post: Post | None = None
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._alerts = alerts
        self._trail = trail
        self._post = post

    async def close_next(self, tx: Tx, pool_id: str) -> Epoch | None:
        """Close the pool's next epoch if it is over and its blocks are deep enough.

        Returns:
            The epoch, or None if nothing can be closed now.

        Raises:
            PoolNotFoundError: There is no such pool.
            InsufficientFundsError: The books hold less in reserve than the chain's
                events say; nothing is written.
        """
        await self._lock(tx, pool_id)
        pool = await get_pool(tx, pool_id)
        if pool.state is not PoolState.ACTIVE or pool.rewards_contract is None:
            return None
        if await rows.first_disputed(tx, pool_id) is not None:
            return None
        last = await rows.last_epoch(tx, pool_id)
        part = await _pool_part(tx, pool)
        if part is None:
            return None
        epoch = part.first_epoch if last is None else last.epoch + 1
        mark = await booked_mark(tx, pool_id)
        if mark.time_s < bounds_of(part, epoch)[1]:
            return None
        closing = await self._decide(tx, pool, part, epoch, last)
        return await self._write(tx, pool, closing)

    async def check_again(self, tx: Tx, pool_id: str) -> list[Epoch]:
        """Hold the epochs closed lately against the chain; disputes those below which it changed.

        Returns:
            The epochs that are disputed from now on.
        """
        await self._lock(tx, pool_id)
        pool = await get_pool(tx, pool_id)
        mark = await booked_mark(tx, pool_id)
        found = []
        for epoch in await rows.epochs_page(tx, pool_id, limit=MAX_RECHECKED):
            if not _worth_checking(epoch, mark):
                break
            if epoch.state is EpochState.CLOSED and await _seen(tx, pool, epoch) != (
                epoch.changes_sha256
            ):
                found.append(await self._dispute(tx, epoch))
        return found

    async def accept(self, tx: Tx, actor: str, pool_id: str, epoch: int, *, reason: str) -> Epoch:
        """Let a disputed epoch stand as it was paid; later ones are closed again.

        Raises:
            EpochNotFoundError: It was not closed.
            EpochStateError: It is not disputed.
        """
        await self._lock(tx, pool_id)
        before = await rows.epoch_row(tx, pool_id, epoch)
        if before is None:
            raise EpochNotFoundError("no such epoch was closed", pool=pool_id, epoch=epoch)
        if before.state is not EpochState.DISPUTED:
            raise EpochStateError("the epoch is not disputed", state=before.state.value)
        after = await self._set_state(tx, before, EpochState.ACCEPTED, f"{before.note}; {reason}")
        await self._alerts.clear(tx, DISPUTED, _subject(after))
        await self._trail.record(
            tx,
            actor,
            "staking.accept-epoch",
            _subject(after),
            before={"state": before.state.value},
            after={"state": after.state.value},
            reason=reason,
        )
        return after

    async def _lock(self, tx: Tx, pool_id: str) -> None:
        """One closes epochs of a pool at a time."""
        await get_pool(tx, pool_id)
        blank = insert_or_ignore(tx, run_table).values(pool_id=pool_id, last_run_ms=0)
        await tx.execute(blank)
        row = select(run_table).where(run_table.c.pool_id == pool_id).with_for_update()
        (await tx.execute(row)).one()

    async def _decide(
        self, tx: Tx, pool: StakingPool, part: PoolPart, epoch: int, last: Epoch | None
    ) -> Closing:
        start_s, end_s = bounds_of(part, epoch)
        prior = Prior() if last is None else await _prior(tx, pool, last)
        return decide(
            part,
            epoch,
            await pinned_terms(tx, pool, self._clock),
            Seen(
                await balances_before(tx, pool.pool_id, start_s),
                await rows.changes_of(tx, pool.pool_id, start_s, end_s),
                await rows.fundings_of(tx, pool, None if last is None else start_s, end_s),
            ),
            prior,
        )

    async def _write(self, tx: Tx, pool: StakingPool, closing: Closing) -> Epoch:
        await self._book(tx, pool, closing)
        epoch = _row(closing, self._clock.now_ms())
        values = msgspec.structs.asdict(epoch) | {"state": epoch.state.value}
        await tx.execute(epoch_table.insert().values(values))
        await insert_many(tx, snapshot_table, _snapshot_rows(closing))
        if self._post is not None:
            epoch = await self._posted(tx, pool, epoch, self._post)
        await self._tell(tx, pool, epoch)
        return epoch

    async def _book(self, tx: Tx, pool: StakingPool, closing: Closing) -> None:
        """Out of the reserve, to each wallet what it earned."""
        pool_id, epoch, asset = pool.pool_id, closing.statement.epoch, pool.asset
        reserve, reference = reward_reserve(pool_id, asset), f"epoch:{pool_id}:{epoch}"
        transfers = [
            Transfer(
                derived_id("epoch", pool_id, epoch, wallet),
                debit=reserve,
                credit=rewards(pool_id, wallet, asset),
                amount=asset.amount(units),
                code="staking-reward",
                reference=reference,
            )
            for wallet, units in sorted(closing.outcome.earned.items())
        ]
        for start in range(0, len(transfers), _POSTED_AT_ONCE):
            await self._ledger.post(tx, transfers[start : start + _POSTED_AT_ONCE])

    async def _posted(self, tx: Tx, pool: StakingPool, epoch: Epoch, post: Post) -> Epoch:
        intent_id = await post(tx, pool, epoch)
        await tx.execute(_update(epoch).values(intent_id=intent_id))
        return msgspec.structs.replace(epoch, intent_id=intent_id)

    async def _tell(self, tx: Tx, pool: StakingPool, epoch: Epoch) -> None:
        """Raise or clear the alert about funds, and publish that the epoch is closed."""
        subject = f"pool:{pool.pool_id}"
        if epoch.shortfall:
            await self._alerts.raise_(
                tx,
                UNDERFUNDED,
                subject,
                Severity.WARNING,
                f"the pool was funded for {pool.asset.amount(epoch.pot)} of the"
                f" {pool.asset.amount(epoch.wanted)} of epoch {epoch.epoch};"
                " what was there was paid by weight, and the rest is owed to nobody",
                {
                    "epoch": epoch.epoch,
                    "wanted": str(epoch.wanted),
                    "paid": str(epoch.pot),
                    "shortfall": str(epoch.shortfall),
                },
            )
        elif epoch.wanted:
            await self._alerts.clear(tx, UNDERFUNDED, subject)
        payload = {
            "type": "epoch",
            "pool_id": epoch.pool_id,
            "epoch": epoch.epoch,
            "distributed": str(epoch.distributed),
            "root": epoch.root,
        }
        await publish(tx, "staking", payload, now_ms=self._clock.now_ms())

    async def _dispute(self, tx: Tx, epoch: Epoch) -> Epoch:
        note = "the chain changed below it after it was closed"
        disputed = await self._set_state(tx, epoch, EpochState.DISPUTED, note)
        await self._alerts.raise_(
            tx,
            DISPUTED,
            _subject(epoch),
            Severity.CRITICAL,
            f"a reorg deeper than the confirmations of {epoch.pool_id} changed what epoch"
            f" {epoch.epoch} was closed on; nothing was rewritten, and no epoch is closed"
            " until somebody accepts it",
            {"epoch": epoch.epoch, "changes_sha256": epoch.changes_sha256},
        )
        return disputed

    async def _set_state(self, tx: Tx, epoch: Epoch, state: EpochState, note: str) -> Epoch:
        await tx.execute(_update(epoch).values(state=state.value, note=note[:500]))
        return msgspec.structs.replace(epoch, state=state, note=note[:500])


def _subject(epoch: Epoch) -> str:
    return f"epoch:{epoch.pool_id}:{epoch.epoch}"


def _update(epoch: Epoch) -> Any:
    return update(epoch_table).where(
        epoch_table.c.pool_id == epoch.pool_id, epoch_table.c.epoch == epoch.epoch
    )


def _worth_checking(epoch: Epoch, mark: Mark) -> bool:
    return epoch.end_s > mark.time_s - RECHECK_S


async def _seen(tx: Tx, pool: StakingPool, epoch: Epoch) -> str:
    """The digest of what the chain says now about a closed epoch."""
    changes = await rows.changes_of(tx, pool.pool_id, epoch.start_s, epoch.end_s)
    start_s = None if epoch.number == 1 else epoch.start_s
    fundings = await rows.fundings_of(tx, pool, start_s, epoch.end_s)
    return digest(changes, fundings)


async def _pool_part(tx: Tx, pool: StakingPool) -> PoolPart | None:
    """The pool as statements name it; None while nothing was ever staked."""
    first = await rows.first_epoch(tx, pool.pool_id)
    if first is None:
        at_s = await rows.first_change_s(tx, pool.pool_id)
        if at_s is None:
            return None
        first = max(0, epoch_of(pool_part(pool, 0), at_s))
    return pool_part(pool, first)


def pool_part(pool: StakingPool, first: int) -> PoolPart:
    """The pool as statements name it."""
    assert pool.rewards_contract is not None, "a pool with epochs has reward funds"
    return PoolPart(
        pool_id=pool.pool_id,
        kind=pool.kind.value,
        chain_id=pool.chain_id,
        asset=pool.token.code,
        decimals=pool.token.decimals,
        contract=pool.contract,
        rewards_contract=pool.rewards_contract,
        start_block=pool.start_block,
        epoch_zero_s=pool.epoch_zero_s,
        epoch_s=pool.epoch_s,
        first_epoch=first,
    )


async def _prior(tx: Tx, pool: StakingPool, last: Epoch) -> Prior:
    """Where `last` left off; what was funded by then is what the chain says now."""
    fundings = await rows.fundings_of(tx, pool, None, last.end_s)
    return Prior(
        number=last.number,
        funded=sum(int(funding.amount) for funding in fundings),
        cumulative=last.cumulative,
        carried=await rows.carried(tx, last),
        previous=last.statement_hash,
    )


def _row(closing: Closing, now_ms: int) -> Epoch:
    statement, outcome = closing.statement, closing.outcome
    terms = statement.terms_of(statement.epoch)
    return Epoch(
        pool_id=statement.pool.pool_id,
        epoch=statement.epoch,
        number=statement.number,
        start_s=statement.start_s,
        end_s=statement.end_s,
        state=EpochState.CLOSED,
        note="",
        reward_per_minute=terms.reward_per_minute,
        weight_ppm=terms.weight,
        fundings=_plain(statement.funds.fundings),
        funded=closing.prior.funded,
        staked_s=outcome.held.staked_s,
        weight=outcome.held.total,
        wanted=outcome.wanted,
        pot=outcome.pot,
        emitted=outcome.after.emitted,
        carry=outcome.after.carry,
        distributed=outcome.distributed,
        cumulative=closing.prior.cumulative,
        accounts=len(statement.accounts),
        changes=statement.changes,
        changes_sha256=statement.changes_sha256,
        root=statement.root,
        previous=statement.previous,
        statement_hash=closing.hash,
        intent_id=None,
        closed_ms=now_ms,
    )


def _plain(fundings: Sequence[Funding]) -> list[dict[str, Any]]:
    return [msgspec.structs.asdict(funding) for funding in fundings]


def _snapshot_rows(closing: Closing) -> list[dict[str, Any]]:
    statement = closing.statement
    return [
        {
            "pool_id": statement.pool.pool_id,
            "epoch": statement.epoch,
            "wallet": line.wallet,
            "weight": int(line.weight),
            "earned": int(line.earned),
            "cumulative": int(line.cumulative),
            "fraction": int(line.fraction),
        }
        for line in statement.accounts
    ]
