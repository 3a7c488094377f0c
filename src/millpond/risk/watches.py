"""What trips breakers from outside a request: rates, prices, reconciliation; and the sweep."""

from __future__ import annotations

import msgspec
from sqlalchemy import select, update

from millpond.risk import flows, rows
from millpond.risk.holds import Holds
from millpond.risk.model import PLATFORM, Hold, HoldKind, Scope
from millpond.risk.tables import (
    risk_limit_table,
    risk_lock_table,
    risk_rate_table,
    risk_violation_table,
)
from millpond.store import Tx
from millpond.store.sql import any_of, insert_or_ignore

_R = risk_rate_table.c
_BPS = 10_000
_DAY_MS = 86_400_000
_PAGE = 1000


class Swept(msgspec.Struct, frozen=True):
    """What a sweep did: holds that lapsed, flows and violations that were dropped."""

    lapsed: tuple[Hold, ...]
    flows: int
    violations: int


def jump_bps(before: int, after: int) -> int:
    """How far a rate moved, in hundredths of a per cent of what it was, rounded up.

    From nothing to something is the largest jump there is.
    """
    if before == after:
        return 0
    if before == 0:
        return _BPS * _BPS
    return -(-abs(after - before) * _BPS // abs(before))


class Watches(Holds):
    """The breakers that others report to."""

    async def rate_seen(
        self, tx: Tx, scope: Scope, asset: str, name: str, value: int
    ) -> Hold | None:
        """Remember a rate and trip the breaker if it jumped since the last look.

        After a jump the new rate is the one to compare with, so resetting the
        breaker accepts it.

        Args:
            tx: The transaction.
            scope: Whose rate.
            asset: Whose limits apply (`rate_jump_bps`).
            name: Which rate, such as `exchange_rate`.
            value: The rate as an integer of fixed scale.
        """
        before = await self._remember_rate(tx, scope, f"{asset}:{name}", value)
        limit = (await self.limits(tx, scope, asset)).rate_jump_bps
        if before is None or limit is None or jump_bps(before, value) <= limit:
            return None
        return await self.trip(
            tx,
            HoldKind.RATE_JUMP,
            scope,
            f"{name} moved by {jump_bps(before, value)} bps, more than {limit}",
            asset=asset,
            details={"rate": name, "before": str(before), "after": str(value), "bps": str(limit)},
        )

    async def oracle_failed(
        self,
        tx: Tx,
        *,
        asset: str,
        quote: str,
        reason: str,
        since_ms: int,
        at_once: bool = False,
    ) -> None:
        """Trip the breaker where a limit says that the price has been missing for too long.

        Args:
            tx: The transaction in which the failure is written down.
            asset: The asset whose price it is.
            quote: What it is priced in.
            reason: What is wrong, one sentence.
            since_ms: Since when there is no good price, Unix milliseconds.
            at_once: What is wrong is worse than age: no limit has to run out.
        """
        age_ms = self._clock.now_ms() - since_ms
        for row in await self._rows_with(tx, asset, "oracle_max_age_s"):
            limit = row.limits.oracle_max_age_s
            assert limit is not None, "only those with the limit were asked for"
            if at_once or age_ms > limit * 1000:
                await self.trip(
                    tx,
                    HoldKind.ORACLE,
                    row.scope,
                    reason,
                    asset=asset,
                    details={
                        "quote": quote,
                        "age_s": str(age_ms // 1000),
                        "limit_s": str(limit),
                    },
                )

    async def difference_found(
        self, tx: Tx, scope: Scope, asset: str, *, books: int, outside: int
    ) -> Hold | None:
        """Books and chain differ: trip the breaker if by more than the scope's limit.

        Where less is there than the books say, paying out on would give some
        what is others': then the exits are the reason, and are held too.
        """
        limit = (await self.limits(tx, scope, asset)).difference_cap
        if limit is None or abs(books - outside) <= limit:
            return None
        short = "less is there than the books say" if outside < books else ""
        return await self.trip(
            tx,
            HoldKind.RECONCILIATION,
            scope,
            f"the books say {books}, outside are {outside} base units of {asset}",
            asset=asset,
            details={"books": str(books), "outside": str(outside), "limit": str(limit)},
            exits_because=short,
        )

    async def sweep(self, tx: Tx) -> Swept:
        """Write off what lapsed, bring returns into the sums, drop what is too old. Periodic."""
        now_ms = self._clock.now_ms()
        for asset in list((await tx.execute(select(risk_lock_table.c.asset))).scalars()):
            await flows.lock(tx, asset)
            await flows.fold(tx, asset, now_ms)
        gone = await flows.prune(tx, before_ms=now_ms - flows.KEPT_MS)
        before_ms = now_ms - self.settings.violations_kept_days * _DAY_MS
        old = (
            select(risk_violation_table.c.id)
            .where(risk_violation_table.c.last_ms < before_ms)
            .limit(_PAGE)
        )
        ids = list((await tx.execute(old)).scalars())
        await tx.execute(
            risk_violation_table.delete().where(any_of(tx, risk_violation_table.c.id, ids))
        )
        return Swept(tuple(await self.lapse(tx)), gone, len(ids))

    async def _rows_with(self, tx: Tx, asset: str, limit: str) -> list[rows.LimitRow]:
        """Limits of an asset, in every scope, in which a certain one is set."""
        query = select(risk_limit_table.c.scope).where(risk_limit_table.c.asset == asset)
        scopes = [Scope.parse(path) for path in (await tx.execute(query)).scalars()]
        found = await rows.limit_rows(tx, scopes or [PLATFORM], asset)
        return [
            row
            for row in found
            if row.source == rows.SET and getattr(row.limits, limit) is not None
        ]

    async def _remember_rate(self, tx: Tx, scope: Scope, name: str, value: int) -> int | None:
        """Write a rate and return the one before."""
        place = (_R.scope == scope.path, _R.name == name)
        row = (await tx.execute(select(_R.value).where(*place).with_for_update())).first()
        values = {"value": value, "at_ms": self._clock.now_ms()}
        if row is None:
            fresh = insert_or_ignore(tx, risk_rate_table)
            await tx.execute(fresh.values(scope=scope.path, name=name, **values))
            return None
        await tx.execute(update(risk_rate_table).where(*place).values(values))
        before: int = row.value
        return before
