"""Reading and steering risk, alerts, the trail, tasks and prices."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from millpond.api.oversight import convert, models
from millpond.api.pagination import Page, Place, decode_cursor, encode_cursor, page_of
from millpond.api.staking.deps import StakingDeps
from millpond.clock import Clock
from millpond.errors import InvalidInputError, NotFoundError
from millpond.money.amount import Asset
from millpond.oracle import rows as price_rows
from millpond.risk import LIMIT_AMOUNTS, Function, Limits, Role, Scope, ScopeKind
from millpond.staking.pools import PRODUCT, StakingPool, list_pools
from millpond.store import Store, Tx
from millpond.tasks import list_tasks, run_now

PRODUCTS = ("mining", PRODUCT)
OPERATOR_ROLE = Role.OWNER
"""Whoever has the operator's key may end every hold: there is no higher key."""


class Oversight:
    """What the operator oversees.

    Args:
        store: The database.
        clock: Time.
        deps: The rooms.
    """

    def __init__(self, store: Store, clock: Clock, deps: StakingDeps) -> None:
        self._store = store
        self._clock = clock
        self._deps = deps

    # -- risk ------------------------------------------------------------------------

    async def check_scope(self, tx: Tx, scope: Scope, mining: Collection[str]) -> None:
        """Refuse to hold or limit what is not there: a slip of the pen would hold nothing.

        Raises:
            NotFoundError: No pool has that name, no product that one.
        """
        known = {each.pool_id for each in await list_pools(tx)} | set(mining)
        if scope.kind is ScopeKind.POOL and scope.id not in known:
            raise NotFoundError("no pool has that name", pool=scope.id)
        if scope.kind is ScopeKind.PRODUCT and scope.id not in PRODUCTS:
            raise NotFoundError("there is no such product", product=scope.id)

    async def risk(self, scope: Scope) -> models.ScopeRisk:
        """Limits, pauses, breakers and recent refusals of a scope."""
        async with self._store.read() as tx:
            pools = await list_pools(tx)
            staking = scope.kind is ScopeKind.POOL and scope.id in {p.pool_id for p in pools}
            found = await self._deps.risk.status(
                tx, scope, product=PRODUCT if staking else None, assets=_assets(pools)
            )
        return convert.scope(found, self._clock.now_ms())

    async def set_limits(
        self,
        tx: Tx,
        actor: str,
        scope: Scope,
        asset: str,
        values: dict[str, str],
        *,
        whole: bool,
        reason: str,
    ) -> models.LimitsSet:
        """Set all limits of a scope in an asset; what is left out is no limit.

        Args:
            tx: A transaction.
            actor: Who sets them.
            scope: Of what.
            asset: Its code.
            values: Decimal text by the limit's name.
            whole: Amounts are in whole units of the asset, such as `1.5`, not in base units.
            reason: For the trail.

        Raises:
            LimitError: It names no such limit, or a value is no such number.
            InvalidInputError: Whole units of an asset that no pool has.
        """
        if whole:
            values = _in_base_units(values, _assets(await list_pools(tx)).get(asset))
        limits = Limits.from_json(values)
        before = await self._deps.risk.set_limits(
            tx, actor, scope, asset, limits, reason=reason, role=OPERATOR_ROLE
        )
        return models.LimitsSet(
            scope=scope.path, asset=asset, before=before.to_json(), after=limits.to_json()
        )

    async def pause(
        self,
        tx: Tx,
        actor: str,
        scope: Scope,
        function: Function | None,
        reason: str,
        *,
        seconds: int | None,
        exits_because: str,
    ) -> models.Hold:
        """Pause a function of a scope, or all but the exits.

        Raises:
            ExitsStayOpenError, HoldTimeError: See `Holds.pause`.
        """
        now_ms = self._clock.now_ms()
        hold = await self._deps.risk.pause(
            tx,
            actor,
            scope,
            function,
            reason,
            expires_ms=None if seconds is None else now_ms + seconds * 1000,
            exits_because=exits_because,
        )
        return convert.hold(hold, now_ms)

    async def resume(
        self, tx: Tx, actor: str, scope: Scope, function: Function | None, reason: str
    ) -> list[models.Hold]:
        """End the pauses of a scope that hold a function; None ends all of them.

        Raises:
            HoldNotFoundError: Nothing is paused there.
        """
        ended = await self._deps.risk.resume(tx, actor, scope, function, reason, role=OPERATOR_ROLE)
        return [convert.hold(hold, self._clock.now_ms()) for hold in ended]

    async def reset(self, tx: Tx, actor: str, hold_id: str, reason: str) -> models.Hold:
        """Reset a breaker that tripped, or end one pause.

        Raises:
            HoldNotFoundError: There is none that holds.
        """
        ended = await self._deps.risk.reset_breaker(tx, actor, hold_id, reason, role=OPERATOR_ROLE)
        return convert.hold(ended, self._clock.now_ms())

    async def holds(
        self, scope: Scope | None, *, limit: int, cursor: str | None
    ) -> Page[models.Hold]:
        """Pauses and breakers, ended or not, newest first."""
        before = decode_cursor(cursor, tuple[str])
        async with self._store.read() as tx:
            rows = await self._deps.risk.holds(
                tx, scope=scope, before=before[0] if before else None, limit=limit + 1
            )
        now_ms = self._clock.now_ms()
        return page_of(rows, limit, lambda row: convert.hold(row, now_ms), lambda row: row.id)

    async def violations(
        self, scope: Scope | None, user: str | None, *, limit: int, cursor: str | None
    ) -> Page[models.Violation]:
        """Refusals, newest first."""
        before = decode_cursor(cursor, tuple[str])
        async with self._store.read() as tx:
            rows = await self._deps.risk.violations(
                tx,
                scope=scope,
                user=user,
                before=before[0] if before else None,
                limit=limit + 1,
            )
        return page_of(rows, limit, convert.violation, lambda row: row.id)

    # -- alerts ----------------------------------------------------------------------

    async def alerts(
        self, kind: str | None, *, only_open: bool, limit: int, cursor: str | None
    ) -> Page[models.Alert]:
        """Open alerts, the gravest first; or all, the newest first, in pages."""
        kinds = None if kind is None else [kind]
        async with self._store.read() as tx:
            if only_open:
                if cursor is not None:
                    raise InvalidInputError("the list of open alerts is one page")
                found = await self._deps.alerts.open(tx, kinds=kinds, limit=limit)
                return Page(items=[convert.alert(row) for row in found])
            before = decode_cursor(cursor, tuple[str])
            rows = await self._deps.alerts.page(
                tx,
                before=before[0] if before else None,
                kinds=kinds,
                limit=limit + 1,
            )
        return page_of(rows, limit, convert.alert, lambda row: row.id)

    async def acknowledge(self, tx: Tx, actor: str, alert_id: str) -> models.Alert:
        """Note that somebody knows; who was first stays noted.

        Raises:
            AlertNotFoundError: No alert has this id.
        """
        known = await self._deps.alerts.get(tx, alert_id)
        alert = await self._deps.alerts.acknowledge(tx, alert_id, actor)
        if known.acknowledged_ms is None:
            after = {"id": alert.id, "kind": alert.kind}
            await self._deps.trail.record(
                tx, actor, "alerts.acknowledge", alert.subject, after=after
            )
        return convert.alert(alert)

    # -- the trail -------------------------------------------------------------------

    async def trail(
        self,
        *,
        subject: str | None,
        action: str | None,
        limit: int,
        cursor: str | None,
    ) -> Page[models.TrailEntry]:
        """What people with power did, newest first."""
        before = decode_cursor(cursor, tuple[Place])
        async with self._store.read() as tx:
            rows = await self._deps.trail.read(
                tx,
                subject=subject,
                action=action,
                before=before[0] if before else None,
                limit=limit + 1,
            )
        return page_of(rows, limit, convert.entry, lambda row: row.seq)

    async def verify_trail(self, anchor: tuple[int, str] | None) -> models.TrailCheck:
        """Recompute the whole trail, and look for an entry that was kept elsewhere."""
        async with self._store.read() as tx:
            faults = await self._deps.trail.verify(tx, anchor=anchor)
            entries, head = await self._deps.trail.head(tx)
        return models.TrailCheck(
            ok=not faults,
            entries=entries,
            head=head,
            faults=[models.TrailFault(seq=f.seq, kind=f.kind, text=f.text) for f in faults],
        )

    # -- tasks -----------------------------------------------------------------------

    async def tasks(self) -> list[models.Task]:
        """All tasks by name."""
        async with self._store.read() as tx:
            return [convert.task(row) for row in await list_tasks(tx, self._clock)]

    async def run_task(self, tx: Tx, actor: str, name: str) -> models.Task:
        """Ask for a run by hand.

        Raises:
            TaskNotFoundError: There is none of that name.
        """
        asked = await run_now(tx, name, actor, self._clock)
        await self._deps.trail.record(tx, actor, "tasks.run", f"task:{name}")
        return convert.task(asked)

    # -- prices ----------------------------------------------------------------------

    async def prices(self) -> list[models.Price]:
        """Everything that is priced."""
        room = self._deps.prices
        async with self._store.read() as tx:
            return [convert.price(await room.view(tx, *pair)) for pair in room.pairs]

    async def price(self, asset: str, quote: str) -> models.PriceDetail:
        """A price with its sources.

        Raises:
            UnknownPairError: It is not priced.
        """
        async with self._store.read() as tx:
            view = await self._deps.prices.view(tx, asset, quote)
        return models.PriceDetail(
            price=convert.price(view), sources=[convert.source(row) for row in view.sources]
        )

    async def price_history(
        self, asset: str, quote: str, *, limit: int, cursor: str | None
    ) -> Page[models.PricePoint]:
        """Confirmed prices, newest first.

        Raises:
            UnknownPairError: It is not priced.
        """
        self._deps.prices.policy(asset, quote)
        before = decode_cursor(cursor, tuple[Place, str])
        async with self._store.read() as tx:
            rows = await price_rows.history(tx, asset, quote, before=before, limit=limit + 1)
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(
            items=[convert.price_point(row) for row in rows[:limit]],
            next=None if last is None else encode_cursor(last.checked_ms, last.id),
        )


def _assets(pools: Sequence[StakingPool]) -> dict[str, Asset]:
    """Tokens and shares of pools, by code."""
    found: dict[str, Asset] = {}
    for pool in pools:
        found |= {pool.asset.code: pool.asset, pool.stake.code: pool.stake}
    return found


def _in_base_units(values: dict[str, str], asset: Asset | None) -> dict[str, str]:
    if asset is None:
        raise InvalidInputError("no pool has this asset; give its amounts in base units")
    return {
        name: str(asset.parse(text).units) if name in LIMIT_AMOUNTS else text
        for name, text in values.items()
    }
