"""What pools emit: rates, and the weights by which pools share an emission.

Terms are set for whole epochs and only for epochs that have not begun, so that no
change acts backwards and a statement can name what was in force. Each change is
in the trail.
"""

from __future__ import annotations

import re

import msgspec
from sqlalchemy import func, select

from millpond.clock import Clock
from millpond.staking.history import booked_mark
from millpond.staking.pools import PPM, StakingPool, change_pool, get_pool, list_pools
from millpond.staking.rewards.errors import WeightError
from millpond.staking.rewards.statement import TermsPart
from millpond.staking.rewards.tables import epoch_table, terms_table
from millpond.staking.tables import pool_table
from millpond.store import Tx
from millpond.store.sql import insert_or_ignore
from millpond.trail import Trail

_T = terms_table.c
_MADE = "system"
"""Actor of the terms that a pool was made with."""

_WEIGHT = re.compile(r"([01])(?:\.(\d{1,6}))?", re.ASCII)


class PoolTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Terms of a pool from an epoch on.

    Attributes:
        pool_id: The pool.
        from_epoch: First epoch that they are in force for.
        emission: Name of the emission that pools share; by default the pool's own.
        reward_per_minute: Base units of the whole emission in a minute.
        weight_ppm: The pool's part of it in millionths.
    """

    pool_id: str
    from_epoch: int
    emission: str
    reward_per_minute: int
    weight_ppm: int


def parse_weight(text: str) -> int:
    """Millionths of a weight such as `0.25`.

    Raises:
        WeightError: No decimal from 0 to 1, or finer than a millionth.
    """
    match = _WEIGHT.fullmatch(text)
    ppm = -1 if match is None else int(match[1] + (match[2] or "").ljust(6, "0"))
    if not 0 <= ppm <= PPM:
        raise WeightError("a weight is a decimal from 0 to 1 with at most six places")
    return ppm


async def terms_history(tx: Tx, pool_id: str) -> list[PoolTerms]:
    """All terms of a pool that were ever written, by epoch."""
    query = (
        select(_T.pool_id, _T.from_epoch, _T.emission, _T.reward_per_minute, _T.weight_ppm)
        .where(_T.pool_id == pool_id)
        .order_by(_T.from_epoch)
    )
    return [PoolTerms(**row) for row in (await tx.execute(query)).mappings()]


async def pinned_terms(tx: Tx, pool: StakingPool, clock: Clock) -> list[TermsPart]:
    """All terms of a pool as statements name them; those it was made with are written down."""
    await _pin(tx, pool, clock)
    return await terms_parts(tx, pool.pool_id)


async def terms_parts(tx: Tx, pool_id: str) -> list[TermsPart]:
    """All terms of a pool as statements name them."""
    return [
        TermsPart(
            from_epoch=terms.from_epoch,
            reward_per_minute=str(terms.reward_per_minute),
            weight_ppm=terms.weight_ppm,
        )
        for terms in await terms_history(tx, pool_id)
    ]


async def first_rate(tx: Tx, pool: StakingPool) -> int | None:
    """The rate that a pool was made with; None if its terms do not tell any more.

    Terms that are set before a pool's first epoch has begun take the place of those it
    was made with.
    """
    query = select(_T.reward_per_minute, _T.actor).where(
        _T.pool_id == pool.pool_id, _T.from_epoch == 0
    )
    pinned = (await tx.execute(query)).first()
    if pinned is None:
        return pool.reward_per_minute  # Nothing was changed: that would have pinned them.
    return pinned.reward_per_minute if pinned.actor == _MADE else None


async def _pin(tx: Tx, pool: StakingPool, clock: Clock) -> None:
    known = select(func.count()).where(_T.pool_id == pool.pool_id)
    if (await tx.execute(known)).scalar_one():
        return
    values = {
        "pool_id": pool.pool_id,
        "from_epoch": 0,
        "emission": pool.pool_id,
        "reward_per_minute": pool.reward_per_minute,
        "weight_ppm": pool.weight_ppm,
        "actor": _MADE,
        "reason": "terms that the pool was made with",
        "at_ms": clock.now_ms(),
    }
    await tx.execute(insert_or_ignore(tx, terms_table).values(values))


class Weights:
    """Changes what pools emit; for people with the right to.

    Args:
        clock: Time.
        trail: Where each change is written down.
    """

    def __init__(self, clock: Clock, trail: Trail) -> None:
        self._clock = clock
        self._trail = trail

    async def set_rate(
        self, tx: Tx, actor: str, emission: str, reward_per_minute: int, *, reason: str
    ) -> list[PoolTerms]:
        """Set what an emission gives in a minute, for every pool that shares it.

        Args:
            tx: The transaction.
            actor: Who.
            emission: Its name; a pool that shares none is its own emission.
            reward_per_minute: Base units.
            reason: Why.

        Raises:
            WeightError: The rate is negative, or no pool shares an emission of that name.
        """
        if not 0 <= reward_per_minute < 10**60:
            raise WeightError("a rate is a whole number of base units, not negative")
        members = await self._members(tx, emission)
        if not members:
            raise WeightError("no pool shares an emission of that name", emission=emission[:64])
        return [
            await self._write(
                tx,
                actor,
                msgspec.structs.replace(terms, reward_per_minute=reward_per_minute),
                terms,
                reason,
            )
            for terms in members
        ]

    async def set_weight(
        self,
        tx: Tx,
        actor: str,
        pool_id: str,
        weight_ppm: int,
        *,
        reason: str,
        emission: str | None = None,
    ) -> PoolTerms:
        """Set a pool's part of its emission; with `emission`, join that one.

        Args:
            tx: The transaction.
            actor: Who.
            pool_id: The pool.
            weight_ppm: Millionths, 0 to 1,000,000.
            reason: Why.
            emission: Another pool's emission to share from now on, or a pool's own name.

        Raises:
            WeightError: Not from 0 to 1, more than 1 together with the other pools of
                the emission, or pools that pay in different tokens.
        """
        if not 0 <= weight_ppm <= PPM:
            raise WeightError("a weight is from 0 to 1")
        before = await self._current(tx, await get_pool(tx, pool_id))
        name = before.emission if emission is None else emission
        others = [t for t in await self._members(tx, name) if t.pool_id != pool_id]
        if sum(terms.weight_ppm for terms in others) + weight_ppm > PPM:
            raise WeightError("the weights of an emission are 1 together at most", emission=name)
        after = msgspec.structs.replace(before, emission=name, weight_ppm=weight_ppm)
        if others and name != before.emission:
            await self._check_token(tx, pool_id, others[0].pool_id)
            after = msgspec.structs.replace(after, reward_per_minute=others[0].reward_per_minute)
        free_s = await self._free_s(tx, name, pool_id)
        return await self._write(tx, actor, after, before, reason, not_before_s=free_s)

    async def current(self, tx: Tx, pool_id: str) -> PoolTerms:
        """The terms set last, which may be of an epoch yet to begin."""
        return await self._current(tx, await get_pool(tx, pool_id))

    async def _current(self, tx: Tx, pool: StakingPool) -> PoolTerms:
        await _pin(tx, pool, self._clock)
        return (await terms_history(tx, pool.pool_id))[-1]

    async def _members(self, tx: Tx, emission: str) -> list[PoolTerms]:
        """Latest terms of the pools that share an emission; no other change meanwhile."""
        pools = select(pool_table.c.pool_id).order_by(pool_table.c.pool_id)
        locked = (await tx.execute(pools.with_for_update(key_share=True))).scalars()
        latest = [await self.current(tx, pool_id) for pool_id in locked]
        return [terms for terms in latest if terms.emission == emission]

    async def _free_s(self, tx: Tx, emission: str, pool_id: str) -> int:
        """From which second on the other pools of an emission leave it what they gave up.

        Their epochs may be longer: a part that is given up today may be emitted by the
        old terms until tomorrow, and until then nobody else can have it.
        """
        free_s = 0
        for pool in await list_pools(tx):
            terms = await terms_history(tx, pool.pool_id)
            if pool.pool_id == pool_id or emission not in {t.emission for t in terms[-2:]}:
                continue
            free_s = max(free_s, pool.epoch_zero_s + terms[-1].from_epoch * pool.epoch_s)
        return free_s

    async def _check_token(self, tx: Tx, pool_id: str, other: str) -> None:
        one, two = await get_pool(tx, pool_id), await get_pool(tx, other)
        if one.token != two.token:
            raise WeightError("pools that share an emission pay in one token", pool=pool_id)

    async def _write(
        self,
        tx: Tx,
        actor: str,
        after: PoolTerms,
        before: PoolTerms,
        reason: str,
        *,
        not_before_s: int = 0,
    ) -> PoolTerms:
        pool = await get_pool(tx, after.pool_id)
        free = -(-(not_before_s - pool.epoch_zero_s) // pool.epoch_s)
        # Behind terms that are still to begin: those would take over again.
        epoch = max(await self._next_epoch(tx, pool), before.from_epoch, free)
        after = msgspec.structs.replace(after, from_epoch=epoch)
        values = msgspec.structs.asdict(after) | {
            "actor": actor,
            "reason": reason,
            "at_ms": self._clock.now_ms(),
        }
        await _upsert(tx, values)
        await change_pool(
            tx,
            after.pool_id,
            self._clock,
            reward_per_minute=after.reward_per_minute,
            weight_ppm=after.weight_ppm,
        )
        await self._trail.record(
            tx,
            actor,
            "staking.terms",
            f"pool:{after.pool_id}",
            before=_told(before),
            after=_told(after),
            reason=reason,
        )
        return after

    async def _next_epoch(self, tx: Tx, pool: StakingPool) -> int:
        """The first epoch that has begun neither by the clock nor by the chain nor in the books."""
        mark = await booked_mark(tx, pool.pool_id)
        now_s = max(self._clock.now_ms() // 1000, mark.time_s)
        closed = select(func.max(epoch_table.c.epoch)).where(epoch_table.c.pool_id == pool.pool_id)
        last = (await tx.execute(closed)).scalar()
        by_time = (now_s - pool.epoch_zero_s) // pool.epoch_s
        return max(0, by_time + 1, 0 if last is None else last + 1)


async def _upsert(tx: Tx, values: dict[str, object]) -> None:
    statement = insert_or_ignore(tx, terms_table).values(values)
    if (await tx.execute(statement)).rowcount == 1:
        return
    key = (_T.pool_id == values["pool_id"], _T.from_epoch == values["from_epoch"])
    await tx.execute(terms_table.update().where(*key).values(values))


def _told(terms: PoolTerms) -> dict[str, object]:
    """Terms for the trail, amounts as text."""
    return {
        "from_epoch": terms.from_epoch,
        "emission": terms.emission,
        "reward_per_minute": str(terms.reward_per_minute),
        "weight_ppm": terms.weight_ppm,
    }
