"""The API at work: what was given to it, and what it makes of that."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from millpond.api.deps import ApiDeps
from millpond.api.hub import Hub
from millpond.api.models import Performance
from millpond.api.oversight.service import Oversight
from millpond.api.poller import Poller
from millpond.api.staking.admin import StakingAdmin
from millpond.api.staking.callers import Callers
from millpond.api.staking.deps import plain_staking
from millpond.api.staking.positions import Positions
from millpond.api.staking.reads import StakingReads
from millpond.chains.coins import Coin
from millpond.errors import InvalidInputError, NotFoundError
from millpond.identity import Identity, Verifier
from millpond.identity.service import operator_key_hash
from millpond.store.cache import SingleFlightCache

_SERIES_TTL_S = 5
_SERIES_KEPT = 500


class Core:
    """One object that every route gets."""

    def __init__(self, deps: ApiDeps) -> None:
        assert deps.coins or deps.staking is not None, "an API without a pool has nothing to tell"
        settings = deps.settings
        self.deps = deps
        self.store = deps.store
        self.reads = deps.reads
        self.hub = Hub(
            deps.clock.now_ms(),
            max_watchers=settings.max_watchers,
            max_per_address=settings.max_watchers_per_address,
            queue_size=settings.queue_size,
        )
        self.poller = Poller(deps.store, deps.reads, self.hub, deps.clock, settings.poll_interval_s)
        self._series: SingleFlightCache[tuple[str | None, ...], Performance] = SingleFlightCache(
            "api_series", ttl_s=_SERIES_TTL_S, max_size=_SERIES_KEPT, clock=deps.clock
        )
        key = deps.operator_key
        self.identity = Identity(
            deps.clock,
            deps.entropy,
            operator_key_sha256=operator_key_hash(key) if key else None,
        )
        rooms = deps.staking or plain_staking(deps.store, deps.clock, deps.entropy)
        self.staking = StakingReads(deps.store, deps.clock, rooms)
        self.positions = Positions(deps.store, deps.clock, rooms, self.staking)
        self.admin = StakingAdmin(deps.store, deps.clock, rooms)
        self.oversight = Oversight(deps.store, deps.clock, rooms)
        self.callers = Callers(deps.store, self.identity, rooms)

    async def performance(
        self, pool_id: str, *, wallet: str | None = None, worker: str | None = None, window: str
    ) -> Performance:
        """A series, read at most once in a few seconds however many ask."""

        async def load() -> Performance:
            async with self.store.read() as tx:
                return await self.reads.performance(
                    tx, pool_id=pool_id, wallet=wallet, worker=worker, window=window
                )

        return await self._series.get((pool_id, wallet, worker, window), load)

    def pool(self, pool_id: str | None) -> tuple[str, Coin]:
        """A pool's id and coin; the first pool if none is named.

        Raises:
            NotFoundError: No such pool.
        """
        chosen = self.deps.pool_ids[0] if pool_id is None else pool_id
        coin = self.deps.coins.get(chosen)
        if coin is None:
            raise NotFoundError("there is no such pool")
        return chosen, coin

    def pools_of(self, wallet: str) -> list[str]:
        """The pools whose coin has an address of this form.

        Raises:
            InvalidInputError: It is no address of any pool's coin.
        """
        found = []
        reason = "this is no address"
        for pool_id, coin in self.deps.coins.items():
            try:
                self.deps.check_address(coin, wallet)
            except InvalidInputError as error:
                reason = error.message
            else:
                found.append(pool_id)
        if not found:
            raise InvalidWalletError(reason)
        return found

    def verifier(self, coin: Coin) -> Verifier:
        """Signature check for one coin's addresses."""

        def verify(wallet: str, message: str, signature: str) -> bool:
            return self.deps.verify(coin, wallet, message, signature)

        return verify

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Poll while the application is up."""
        task = asyncio.create_task(self.poller.run())
        try:
            yield
        finally:
            self.hub.shut()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


class InvalidWalletError(InvalidInputError):
    """Not an address of any pool here."""

    code = "invalid_address"


CoreDep = NamedDependency[SkipValidation[Core]]
"""Annotation of a route's `core` parameter."""
