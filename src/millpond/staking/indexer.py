"""Following the pools of the chains: events, positions and bookings, exactly once.

Pools that stand at the same block of a chain are one group and share one query.
A step of a group is one transaction: events, positions, bookings and the
checkpoint that says that they were done. So a process may die anywhere, and
two may run at once: the one that finds the checkpoint moved writes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from millpond.alerts import Alerts, Severity
from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.errors import AbiError, ReorgTooDeepError, RevertedError
from millpond.chains.evm.types import Log
from millpond.clock import Clock
from millpond.money.ledger import Ledger
from millpond.risk import RiskEngine
from millpond.staking import checkpoints, metrics, recording
from millpond.staking.books import Bookkeeper, RewardClaims
from millpond.staking.checkpoints import Checkpoint, Mark
from millpond.staking.decode import topics
from millpond.staking.errors import BooksConflictError, ChainGapError
from millpond.staking.folding import Position, confirm, decode_logs, fold, see, total_of
from millpond.staking.following import Advance, ChainReader, Follower, Reach, Undo
from millpond.staking.model import Event, EventState
from millpond.staking.pools import PoolKind, StakingPool, list_pools
from millpond.staking.restarting import STOPPED_ALERT
from millpond.staking.settings import StakingSettings
from millpond.staking.withdrawals import rows as withdrawal_rows
from millpond.staking.withdrawals.model import Withdrawal
from millpond.store import Store, Tx
from millpond.store.events import publish

GAP_ALERT = "staking_chain_gap"


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What one run did on one chain.

    Attributes:
        chain_id: The chain.
        blocks: Blocks that were indexed.
        events: Events that were indexed.
        undone: Events that reorgs took back.
        stopped: Pools that were stopped for a person to look.
        behind: Blocks that are left to the head, of the pool furthest behind.
    """

    chain_id: int
    blocks: int = 0
    events: int = 0
    undone: int = 0
    stopped: int = 0
    behind: int = 0

    @property
    def idle(self) -> bool:
        """Whether nothing was there to do."""
        return not (self.blocks or self.undone or self.stopped)


class Indexer:
    """Indexes all pools of the chains it is given.

    Args:
        store: The database.
        chains: Nodes by chain id; pools of other chains are left alone.
        ledger: The books.
        alerts: Told about what a person should see.
        clock: Time.
        settings: Ranges, trail and so on.
        risk: Told of withdrawals that fail because of what is on chain.
        claims: Told of rewards that were paid in batches.
    """

    def __init__(
        self,
        store: Store,
        chains: Mapping[int, ChainReader],
        *,
        ledger: Ledger,
        alerts: Alerts,
        clock: Clock,
        settings: StakingSettings | None = None,
        risk: RiskEngine | None = None,
        claims: RewardClaims | None = None,
    ) -> None:
        self._store = store
        self._chains = chains
        self._alerts = alerts
        self._clock = clock
        self._settings = settings or StakingSettings()
        self._reach = defaultdict[int, Reach](Reach)
        self._books = Bookkeeper(ledger, alerts, clock, risk, claims)

    async def run_once(self) -> list[Progress]:
        """Index what is new on every chain, up to a bounded number of ranges.

        Raises:
            RpcError: Nodes do not answer or do not agree; what was indexed stays.
        """
        return [await self.run_chain(chain_id) for chain_id in sorted(self._chains)]

    async def run_chain(self, chain_id: int) -> Progress:
        """Index what is new on one chain."""
        progress = Progress(chain_id=chain_id)
        for _ in range(self._settings.ranges):
            step = Progress(chain_id=chain_id)
            for group in await self._groups(chain_id):
                step = _sum(step, await self._step(chain_id, group))
            progress = _sum(progress, step)
            if step.idle:
                break
        behind = await self._behind(chain_id)
        return msgspec.structs.replace(progress, behind=behind)

    async def _groups(self, chain_id: int) -> list[_Group]:
        """Pools that stand at the same block, together; those furthest behind first."""
        async with self._store.read() as tx:
            pools = await list_pools(tx, chain_id=chain_id)
            found = await checkpoints.load(tx, [pool.pool_id for pool in pools])
        if len(found) < len(pools):
            async with self._store.begin() as tx:
                await checkpoints.ensure(tx, pools, self._clock.now_ms())
                found = await checkpoints.load(tx, [pool.pool_id for pool in pools])
        groups: defaultdict[tuple[int, str], list[StakingPool]] = defaultdict(list)
        for pool in pools:
            checkpoint = found[pool.pool_id]
            if not checkpoint.stopped:
                groups[checkpoint.number, checkpoint.block_hash].append(pool)
        return [
            _Group(members, {pool.pool_id: found[pool.pool_id] for pool in members})
            for _, members in sorted(groups.items(), key=lambda item: item[0])
        ]

    async def _step(self, chain_id: int, group: _Group) -> Progress:
        reach = self._reach[chain_id]
        follower = Follower(self._chains[chain_id], self._settings, reach)
        try:
            step = await follower.next(
                group.number, group.trail, group.addresses, topics(group.kinds)
            )
            if isinstance(step, Undo):
                return await self._undo(chain_id, group, step.ancestor)
            if isinstance(step, Advance):
                return await self._advance(chain_id, group, step)
        except ReorgTooDeepError as error:
            return await self._stop(chain_id, list(group.at), error.message)
        except BooksConflictError as error:
            return await self._stop(chain_id, [error.details["pool"]], error.message)
        except ChainGapError as error:
            await self._gap(error)
            others = group.without(error.details["pool"])
            if others is not None:
                return await self._step(chain_id, others)
        return Progress(chain_id=chain_id)

    # -- forward ---------------------------------------------------------------

    async def _advance(self, chain_id: int, group: _Group, step: Advance) -> Progress:
        totals = await self._totals(chain_id, group, step)
        count = 0
        async with self._store.begin() as tx:
            at = await self._locked(tx, group)
            if at is None:
                return Progress(chain_id=chain_id)
            changed: list[Withdrawal] = []
            events: list[Event] = []
            for pool in group.pools:
                new, withdrawals = await self._index(tx, pool, at[pool.pool_id], step, totals)
                count += len(new)
                events += new
                changed += withdrawals
            await self._tell(tx, events, changed)
        metrics.indexed(events)
        return Progress(chain_id=chain_id, blocks=step.last - step.first + 1, events=count)

    async def _index(
        self,
        tx: Tx,
        pool: StakingPool,
        at: Checkpoint,
        step: Advance,
        totals: Mapping[str, int],
    ) -> tuple[list[Event], list[Withdrawal]]:
        """Write one pool's part of a range, and book what has become deep enough."""
        logs = [log for log in step.logs if log.address in pool.addresses]
        held, new = await self._fold(tx, pool, at, logs, step)
        booked_to = max(at.booked_number, min(step.last, step.head - pool.confirmations + 1))
        waiting = await recording.seen_to(tx, pool.pool_id, booked_to)
        due = waiting + [event for event in new if event.block_number <= booked_to]
        if step.head - step.last <= self._settings.checked_depth:
            await self._books.count(tx, pool, due)
        # The ledger first: it takes its locks in an order of its own.
        withdrawals = await self._books.book(tx, pool, due)
        await recording.mark_booked(tx, pool.pool_id, waiting)
        await recording.add_events(tx, new, booked_to=booked_to)
        missing = {e.wallet for e in due if e.balance is not None} - held.keys()
        held |= await recording.positions_of(tx, pool.pool_id, sorted(missing))
        changed = see(held, new)
        changed |= confirm(held | changed, due)
        await recording.save_positions(tx, pool.pool_id, changed)
        total = at.total_seen + total_of(new)
        self._check_total(pool, total, totals)
        trail = checkpoints.extended(at.trail, step.marks, self._settings.trail)
        booked = checkpoints.mark_at(trail, booked_to)
        await checkpoints.save(
            tx,
            msgspec.structs.replace(
                at,
                number=step.last,
                block_hash=trail[-1].hash,
                block_time_s=trail[-1].time_s,
                trail=trail,
                booked_number=at.booked_number if booked is None else booked.number,
                booked_time_s=at.booked_time_s if booked is None else booked.time_s,
                head=step.head,
                last_seq=new[-1].seq if new else at.last_seq,
                events=at.events + len(new),
                total_seen=total,
                updated_ms=self._clock.now_ms(),
            ),
        )
        return new, withdrawals

    async def _fold(
        self, tx: Tx, pool: StakingPool, at: Checkpoint, logs: Sequence[Log], step: Advance
    ) -> tuple[dict[str, Position], list[Event]]:
        try:
            decoded = decode_logs(pool, logs)
        except AbiError as error:
            raise ChainGapError(
                f"a log is not what the contract writes: {error.message}", pool=pool.pool_id
            ) from None
        wallets = {effect.wallet for _, effect in decoded if effect.wallet}
        held = await recording.positions_of(tx, pool.pool_id, sorted(wallets))
        hashes = {log.tx_hash for log in logs} if at.reorgs else set()
        rounds = await recording.rounds_of(tx, pool.pool_id, sorted(hashes))
        seen = {wallet: position.seen for wallet, position in held.items()}
        events = fold(pool, decoded, step.times, seen, rounds, last_seq=at.last_seq)
        return held, events

    async def _totals(self, chain_id: int, group: _Group, step: Advance) -> dict[str, int]:
        """What the contracts say all positions sum to at the range's end, near the head."""
        if step.head - step.last > self._settings.checked_depth:
            return {}
        found: dict[str, int] = {}
        for pool in group.pools:
            name, function = _TOTAL[pool.kind]
            contract = Contract.named(name, pool.contract)
            try:
                answer = await self._chains[chain_id].call(
                    pool.contract, contract.encode(function), step.marks[-1].hash, agreed=True
                )
                found[pool.pool_id] = contract.decode_output(function, answer)
            except (AbiError, RevertedError) as error:
                # Gone, or never one of ours: no reason to hold up the other pools.
                raise ChainGapError(
                    f"the contract does not tell what it holds: {error.message}",
                    pool=pool.pool_id,
                ) from None
        return found

    @staticmethod
    def _check_total(pool: StakingPool, total: int, totals: Mapping[str, int]) -> None:
        stated = totals.get(pool.pool_id, total)
        if stated != total:
            raise ChainGapError(
                f"the contract holds {stated} for its stakers and its logs add up to {total}",
                pool=pool.pool_id,
            )

    # -- back ------------------------------------------------------------------

    async def _undo(self, chain_id: int, group: _Group, ancestor: Mark) -> Progress:
        count = 0
        async with self._store.begin() as tx:
            at = await self._locked(tx, group)
            if at is None:
                return Progress(chain_id=chain_id)
            changed: list[Withdrawal] = []
            for pool in group.pools:
                undone, withdrawals = await self._take_back(tx, pool, at[pool.pool_id], ancestor)
                count += undone
                changed += withdrawals
            await withdrawal_rows.tell(tx, changed, now_ms=self._clock.now_ms())
        metrics.REORGS.labels(str(chain_id)).inc()
        return Progress(chain_id=chain_id, undone=max(1, count))

    async def _take_back(
        self, tx: Tx, pool: StakingPool, at: Checkpoint, ancestor: Mark
    ) -> tuple[int, list[Withdrawal]]:
        events = await recording.above(tx, pool.pool_id, ancestor.number)
        booked = [event for event in events if event.state is EventState.BOOKED]
        withdrawals: list[Withdrawal] = []
        if booked:
            withdrawals = await self._books.undo(tx, pool, booked)
        await recording.take_back(tx, pool.pool_id, events)
        trail = tuple(mark for mark in at.trail if mark.number <= ancestor.number)
        deep = at.booked_number > ancestor.number
        await checkpoints.save(
            tx,
            msgspec.structs.replace(
                at,
                number=ancestor.number,
                block_hash=ancestor.hash,
                block_time_s=ancestor.time_s,
                trail=trail,
                booked_number=ancestor.number if deep else at.booked_number,
                booked_time_s=ancestor.time_s if deep else at.booked_time_s,
                events=at.events - len(events),
                total_seen=at.total_seen - total_of(events),
                reorgs=at.reorgs + bool(booked),
                updated_ms=self._clock.now_ms(),
            ),
        )
        return len(events), withdrawals

    # -- beside ----------------------------------------------------------------

    async def _locked(self, tx: Tx, group: _Group) -> dict[str, Checkpoint] | None:
        """The group's checkpoints, locked; None if somebody else moved one of them."""
        now = await checkpoints.load(tx, list(group.at), lock=True)
        return now if now == group.at else None

    async def _tell(
        self, tx: Tx, events: Sequence[Event], withdrawals: Sequence[Withdrawal]
    ) -> None:
        """Clear what is over, and publish; last in the transaction."""
        now_ms = self._clock.now_ms()
        counts: defaultdict[str, int] = defaultdict(int)
        for event in events:
            counts[event.pool_id] += 1
        for pool_id, count in sorted(counts.items()):
            await self._alerts.clear(tx, GAP_ALERT, pool_id)
            payload = {"type": "indexed", "pool_id": pool_id, "events": count}
            await publish(tx, "staking", payload, now_ms=now_ms)
        await withdrawal_rows.tell(tx, withdrawals, now_ms=now_ms)

    async def _gap(self, error: ChainGapError) -> None:
        async with self._store.begin() as tx:
            await self._alerts.raise_(
                tx,
                GAP_ALERT,
                error.details["pool"],
                Severity.WARNING,
                f"{error.message}; nothing was written and it is asked again",
                error.details,
            )

    async def _stop(self, chain_id: int, pool_ids: Sequence[str], reason: str) -> Progress:
        """Follow pools no further until a person looked; what is booked stays as it is."""
        async with self._store.begin() as tx:
            found = await checkpoints.load(tx, pool_ids, lock=True)
            for checkpoint in found.values():
                await checkpoints.save(tx, msgspec.structs.replace(checkpoint, stopped=reason))
                await self._alerts.raise_(
                    tx, STOPPED_ALERT, checkpoint.pool_id, Severity.CRITICAL, reason
                )
        return Progress(chain_id=chain_id, stopped=len(pool_ids))

    async def _behind(self, chain_id: int) -> int:
        async with self._store.read() as tx:
            pools = await list_pools(tx, chain_id=chain_id)
            found = await checkpoints.load(tx, [pool.pool_id for pool in pools])
        head = self._reach[chain_id].head
        if any(checkpoint.stopped for checkpoint in found.values()):
            head = (await self._chains[chain_id].pin()).number
        # Also of those that stand still: a pool that is not followed falls behind.
        if any(checkpoint.head < head for checkpoint in found.values()):
            async with self._store.begin() as tx:
                await checkpoints.see(tx, chain_id, head)
        behind = {name: max(at.lag, head - at.number) for name, at in found.items()}
        for name, blocks in behind.items():
            metrics.BEHIND.labels(name).set(blocks)
        return max(behind.values(), default=0)


_TOTAL = {
    PoolKind.DIRECT: ("StakingPool", "total_staked"),
    PoolKind.VAULT: ("Vault", "totalSupply"),
}


class _Group:
    """Pools that stand at the same block of a chain."""

    def __init__(self, pools: Sequence[StakingPool], at: Mapping[str, Checkpoint]) -> None:
        self.pools = pools
        self.at = dict(at)
        first = next(iter(at.values()))
        self.number = first.number
        self.trail = max((c.trail for c in at.values()), key=len)
        self.addresses = [address for pool in pools for address in pool.addresses]
        self.kinds = frozenset(pool.kind for pool in pools)

    def without(self, pool_id: str) -> _Group | None:
        """The others, which one pool's fault does not hold up; None if there are none."""
        pools = [pool for pool in self.pools if pool.pool_id != pool_id]
        return _Group(pools, {p.pool_id: self.at[p.pool_id] for p in pools}) if pools else None


def _sum(one: Progress, other: Progress) -> Progress:
    return Progress(
        chain_id=one.chain_id,
        blocks=one.blocks + other.blocks,
        events=one.events + other.events,
        undone=one.undone + other.undone,
        stopped=one.stopped + other.stopped,
    )
