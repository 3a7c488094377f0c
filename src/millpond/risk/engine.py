"""The one call before a change of state: check, count, and write down what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import Counter

from millpond.alerts import Alerts
from millpond.clock import Clock, Ids
from millpond.money.amount import Asset
from millpond.money.ledger import Ledger
from millpond.money.model import Posted, Transfer
from millpond.risk import flows, rows
from millpond.risk.errors import refused
from millpond.risk.facts import Exposure, gather, paused_on_chain
from millpond.risk.holds import HELD_BY, OUTFLOW_BECAUSE
from millpond.risk.model import PLATFORM, Function, Hold, Request, Scope, Violation
from millpond.risk.rules import Decision, Trip, decide
from millpond.risk.settings import RiskSettings
from millpond.risk.status import ScopeStatus, status
from millpond.risk.watches import Watches
from millpond.store import Tx
from millpond.store.survive import survive
from millpond.trail import Trail

_REFUSALS = Counter("millpond_risk_refusals", "Requests refused", ["product", "function", "rule"])


class RiskEngine(Watches):
    """Limits, pauses and breakers of all pools; see docs/risk.md.

    Everything it knows is in the database, so any number of engines are one.

    Args:
        ledger: For `reserve`.
        clock: Time.
        ids: Identifiers of holds and violations.
        trail: Where acts are recorded; None: the platform's.
        alerts: Where holds are shown; None: the platform's.
        settings: How long holds may last.
        exposures: By product, who knows what is locked there.
    """

    def __init__(  # noqa: PLR0917 - in the order in which rooms depend on each other
        self,
        ledger: Ledger,
        clock: Clock,
        ids: Ids,
        trail: Trail | None = None,
        alerts: Alerts | None = None,
        settings: RiskSettings | None = None,
        *,
        exposures: Mapping[str, Exposure] | None = None,
    ) -> None:
        super().__init__(ledger, clock, ids, trail, alerts, settings)
        self._exposures = dict(exposures or {})

    async def check(self, tx: Tx, request: Request) -> Decision:
        """Decide, count what is admitted, and write down what is refused.

        To be called in the transaction of the reservation, before its first
        write. What leaves needs a reference; it is counted if and only if the
        transaction commits. A refusal is written whatever becomes of the
        transaction: in it, and if it is rolled back in one of its own.

        Raises:
            RiskReferenceError: The reference was used for something else.
        """
        assert request.reference or not request.function.leaves, "what leaves has an identity"
        moves = request.function.leaves or request.function.enters
        now_ms = self._clock.now_ms()
        if moves and request.reference:
            await flows.lock(tx, request.asset.code)
            await flows.fold(tx, request.asset.code, now_ms)
        decision = decide(request, await gather(tx, request, self._exposures, now_ms))
        if not decision.allowed:
            await self._refuse(tx, request, decision, now_ms)
        elif moves and request.reference and not decision.repeated:
            await flows.count(tx, request, now_ms, asked=True)
        return decision

    async def enforce(self, tx: Tx, request: Request) -> Decision:
        """As `check`, but a refusal is an exception.

        Raises:
            RiskRefusedError: It may not be; the subclass and its code say which rule.
            RiskReferenceError: The reference was used for something else.
        """
        decision = await self.check(tx, request)
        if not decision.allowed:
            raise refused(decision)
        return decision

    async def reserve(
        self,
        tx: Tx,
        request: Request,
        transfers: Sequence[Transfer],
        *,
        timeout_ms: int | None = None,
    ) -> list[Posted]:
        """Enforce and reserve in the ledger, in one call, so that neither is forgotten.

        Raises:
            RiskRefusedError: It may not be; nothing was reserved.
            LedgerError: As `Ledger.reserve`.
        """
        moved = sum(transfer.amount.units for transfer in transfers)
        assert moved == request.amount, "what is reserved is what was asked for"
        assert all(transfer.amount.asset == request.asset for transfer in transfers), "one asset"
        await self.enforce(tx, request)
        return await self._ledger.reserve(tx, transfers, timeout_ms=timeout_ms)

    async def preview(self, tx: Tx, request: Request) -> Decision:
        """What `check` would say now; writes nothing, counts nothing. For pages."""
        return decide(request, await gather(tx, request, self._exposures, self._clock.now_ms()))

    async def saw(self, tx: Tx, request: Request) -> None:
        """Count what happened without being asked, such as a deposit on a chain.

        What leaves so counts for the user and for the rate of change, where what came in
        weighs against it, but uses up nobody's `total_24h` or `outflow_cap`: whoever
        moved the same tokens in and out all day would shut the exit for everybody else.
        """
        assert request.reference, "what happened has an identity"
        now_ms = self._clock.now_ms()
        await flows.lock(tx, request.asset.code)
        await flows.fold(tx, request.asset.code, now_ms)
        if not await flows.counted(tx, request):
            await flows.count(tx, request, now_ms, asked=False)

    async def returned(self, tx: Tx, reference: str) -> bool:
        """Give back what was counted and came to nothing; False if it was not counted."""
        return await flows.give_back(tx, reference, self._clock.now_ms())

    async def held(
        self, tx: Tx, function: Function, *, product: str, pool_id: str, asset: str
    ) -> Hold | None:
        """What holds a function of a pool now, for workers that need not even try."""
        scopes = (PLATFORM, Scope.product(product), Scope.pool(pool_id))
        active = await rows.active_holds(tx, scopes, asset, self._clock.now_ms())
        on_chain = paused_on_chain(await rows.limit_rows(tx, scopes, asset))
        return next((hold for hold in (*active, *on_chain) if function in hold.functions), None)

    async def status(
        self,
        tx: Tx,
        scope: Scope,
        *,
        product: str | None = None,
        assets: Mapping[str, Asset] | None = None,
    ) -> ScopeStatus:
        """A scope with its limits and their use, pauses, breakers and recent refusals.

        Args:
            tx: A transaction.
            scope: Of what.
            product: The product of a pool, whose limits and holds are shown too.
            assets: By code, so that what is locked can be measured.
        """
        return await status(
            tx,
            scope,
            product=product,
            assets=assets or {},
            exposures=self._exposures,
            now_ms=self._clock.now_ms(),
            chain_max_age_s=self.settings.chain_max_age_s,
        )

    async def violations(
        self,
        tx: Tx,
        *,
        scope: Scope | None = None,
        user: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Violation]:
        """Refusals, newest first; `before` is the last identifier of the page before."""
        assert 0 < limit <= rows.MAX_PAGE, f"a page has 1 to {rows.MAX_PAGE} violations"
        return await rows.violations_page(tx, scope=scope, user=user, before=before, limit=limit)

    async def holds(
        self, tx: Tx, *, scope: Scope | None = None, before: str | None = None, limit: int = 100
    ) -> list[Hold]:
        """Pauses and breakers, ended or not, newest first."""
        assert 0 < limit <= rows.MAX_PAGE, f"a page has 1 to {rows.MAX_PAGE} holds"
        return await rows.holds_page(tx, scope, before=before, limit=limit)

    async def _refuse(self, tx: Tx, request: Request, decision: Decision, now_ms: int) -> None:
        """Write violations and trips now, and have them written again if this is rolled back."""
        ids = [self._ids.new() for _ in decision.refusals]
        violations = rows.violations_of(request, decision.refusals, ids, now_ms)
        drafts = [self._tripped(trip) for trip in decision.trips]

        async def write(into: Tx) -> None:
            await rows.put_violations(into, violations)
            for draft in drafts:
                await self._write_hold(into, draft)

        await write(tx)
        survive(tx, write)
        for refusal in decision.refusals:
            _REFUSALS.labels(request.product, request.function.value, refusal.rule.value).inc()
        for trip in decision.trips:
            self._count_trip(trip.kind)

    def _tripped(self, trip: Trip) -> Hold:
        return self._draft(
            trip.kind,
            trip.scope,
            trip.asset,
            HELD_BY[trip.kind],
            trip.reason,
            actor="risk",
            until_ms=None,
            exits_because=OUTFLOW_BECAUSE,
            details=dict(trip.details),
        )
