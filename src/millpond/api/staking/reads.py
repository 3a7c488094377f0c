"""What everybody may know of staking pools: terms, figures, epochs, proofs, risk.

All of it follows from the chain and from statements that anybody may download.
What follows from requests to this platform is in `positions`.
"""

from __future__ import annotations

from typing import Final, Literal

from millpond.api.models import Money
from millpond.api.pagination import Page, Place, decode_cursor, page_of
from millpond.api.staking import convert, models
from millpond.api.staking.deps import StakingDeps
from millpond.chains.evm.address import checksum
from millpond.clock import Clock
from millpond.errors import NotFoundError
from millpond.money.amount import Asset
from millpond.risk import Scope
from millpond.staking import accounts
from millpond.staking.errors import PoolNotFoundError
from millpond.staking.info import PoolInfo, pool_info
from millpond.staking.pools import PRODUCT, StakingPool, get_pool, list_pools
from millpond.staking.positions import events_of, get_position
from millpond.staking.rewards import rows as reward_rows
from millpond.staking.rewards import statements
from millpond.staking.rewards.errors import EpochNotFoundError
from millpond.staking.series import series
from millpond.store import Store, Tx
from millpond.store.cache import SingleFlightCache

HistoryWindow = Literal["24h", "7d", "30d", "1y"]
_HOUR_S: Final = 3_600
_WINDOWS: Final[dict[str, tuple[int, int]]] = {
    "24h": (24 * _HOUR_S, 300),
    "7d": (7 * 24 * _HOUR_S, _HOUR_S),
    "30d": (30 * 24 * _HOUR_S, 4 * _HOUR_S),
    "1y": (365 * 24 * _HOUR_S, 24 * _HOUR_S),
}
_POOLS_TTL_S = 2
_DOCUMENTS_TTL_S = 60
_DOCUMENTS = 16
_PROOFS = 2_000


class StakingReads:
    """Answers about pools.

    Args:
        store: The database.
        clock: Time.
        deps: The rooms.
    """

    def __init__(self, store: Store, clock: Clock, deps: StakingDeps) -> None:
        self._store = store
        self._clock = clock
        self._deps = deps
        self._pools: SingleFlightCache[str, list[models.StakingPool]] = SingleFlightCache(
            "api_staking_pools", ttl_s=_POOLS_TTL_S, max_size=1, clock=clock
        )
        self._statements: SingleFlightCache[tuple[str, int], tuple[bytes, str]] = SingleFlightCache(
            "api_statements", ttl_s=_DOCUMENTS_TTL_S, max_size=_DOCUMENTS, clock=clock
        )
        self._proofs: SingleFlightCache[tuple[str, str], models.RewardProof] = SingleFlightCache(
            "api_proofs", ttl_s=_DOCUMENTS_TTL_S, max_size=_PROOFS, clock=clock
        )

    async def pools(self) -> list[models.StakingPool]:
        """Every pool by name; at most two seconds old."""
        return await self._pools.get("all", self._read_pools)

    async def pool(self, pool_id: str) -> models.StakingPool:
        """One pool.

        Raises:
            PoolNotFoundError: There is none of that name.
        """
        for each in await self.pools():
            if each.id == pool_id:
                return each
        raise PoolNotFoundError("no staking pool has that identifier", pool=pool_id[:64])

    async def info(self, asset: str, pool_id: str) -> models.StakingPool:
        """One pool of a token.

        Raises:
            PoolNotFoundError: The token has no such pool.
        """
        found = await self.pool(pool_id)
        if asset.lower() not in {found.asset.lower(), found.symbol.lower()}:
            raise PoolNotFoundError("that token has no such pool", pool=pool_id[:64])
        return found

    async def _read_pools(self) -> list[models.StakingPool]:
        async with self._store.read() as tx:
            return [
                convert.pool(pool, await self.figures(tx, pool)) for pool in await list_pools(tx)
            ]

    async def figures(self, tx: Tx, pool: StakingPool) -> PoolInfo:
        """A pool's figures now."""
        return await pool_info(tx, self._deps.ledger, pool)

    async def user(self, asset: str, wallet: str) -> models.StakingUser:
        """What a wallet has in all pools of a token.

        Raises:
            InvalidAddressError: The wallet is no address.
            NotFoundError: No pool is of that token.
        """
        wallet = checksum(wallet)
        async with self._store.read() as tx:
            pools = [p for p in await list_pools(tx) if _is_of(p, asset)]
            if not pools:
                raise NotFoundError("no staking pool is of that token")
            token = pools[0].token
            # Two tokens may share a symbol; sums are of one.
            pools = [pool for pool in pools if pool.token == token]
            lines = [await self._staked(tx, pool, wallet) for pool in pools]
        return models.StakingUser(
            wallet=wallet,
            asset=token.code,
            staked=_sum(pools[0].asset, [line.staked.units for line in lines]),
            pending_rewards=_sum(pools[0].asset, [line.pending_rewards.units for line in lines]),
            total_earned=_sum(pools[0].asset, [line.total_earned.units for line in lines]),
            pools=lines,
        )

    async def _staked(self, tx: Tx, pool: StakingPool, wallet: str) -> models.Staked:
        position = await get_position(tx, pool.pool_id, wallet)
        rewards = accounts.rewards(pool.pool_id, wallet, pool.asset)
        owed = (await self._deps.ledger.balance(tx, rewards)).posted.units
        lines = await reward_rows.wallet_lines(tx, pool.pool_id, wallet, limit=1)
        units = position.balance
        if units and pool.share is not None:
            units = convert.worth(pool, await self.figures(tx, pool), units)
        return models.Staked(
            pool_id=pool.pool_id,
            staked=convert.tokens(pool, units),
            pending_rewards=convert.tokens(pool, owed),
            total_earned=convert.tokens(pool, lines[0].cumulative if lines else 0),
            since=convert.seconds(position.since_s) if position.since_s else None,
        )

    async def history(self, pool_id: str, window: HistoryWindow) -> models.StakingHistory:
        """A pool's TVL and rates over time.

        Raises:
            PoolNotFoundError: There is none of that name.
        """
        span_s, step_s = _WINDOWS[window]
        since_ms = self._clock.now_ms() - span_s * 1000
        async with self._store.read() as tx:
            pool = await get_pool(tx, pool_id)
            rows = await series(tx, pool_id, since_ms=since_ms, step_ms=step_s * 1000)
        return models.StakingHistory(
            pool_id=pool_id,
            window=window,
            step_s=step_s,
            points=[convert.point(pool, row) for row in rows],
        )

    async def events(
        self, pool_id: str, *, limit: int, cursor: str | None
    ) -> Page[models.PoolEvent]:
        """What happened in a pool's contracts, newest first.

        Raises:
            PoolNotFoundError: There is none of that name.
        """
        before = decode_cursor(cursor, tuple[Place])
        async with self._store.read() as tx:
            pool = await get_pool(tx, pool_id)
            rows = await events_of(
                tx, pool_id, before=before[0] if before else None, limit=limit + 1
            )
        return page_of(rows, limit, lambda row: convert.pool_event(pool, row), lambda row: row.seq)

    async def risk(self, pool_id: str) -> models.PoolRisk:
        """What limits and holds a pool.

        Raises:
            PoolNotFoundError: There is none of that name.
        """
        async with self._store.read() as tx:
            pool = await get_pool(tx, pool_id)
            assets = {asset.code: asset for asset in (pool.asset, pool.stake)}
            found = await self._deps.risk.status(
                tx, Scope.pool(pool_id), product=PRODUCT, assets=assets
            )
        return convert.risk(pool_id, found)

    async def epochs(self, pool_id: str, *, limit: int, cursor: str | None) -> Page[models.Epoch]:
        """Closed epochs, newest first.

        Raises:
            PoolNotFoundError: There is none of that name.
        """
        before = decode_cursor(cursor, tuple[Place])
        async with self._store.read() as tx:
            pool = await get_pool(tx, pool_id)
            rows = await reward_rows.epochs_page(
                tx, pool_id, before=before[0] if before else None, limit=limit + 1
            )
        return page_of(rows, limit, lambda row: convert.epoch(pool, row), lambda row: row.epoch)

    async def epoch(self, pool_id: str, epoch: int) -> models.Epoch:
        """One closed epoch.

        Raises:
            PoolNotFoundError: There is no such pool.
            EpochNotFoundError: It was not closed.
        """
        async with self._store.read() as tx:
            pool = await get_pool(tx, pool_id)
            row = await reward_rows.epoch_row(tx, pool_id, epoch)
        if row is None:
            raise EpochNotFoundError("no such epoch was closed", pool=pool_id, epoch=epoch)
        return convert.epoch(pool, row)

    async def statement(self, pool_id: str, epoch: int) -> tuple[bytes, str]:
        """The statement of an epoch, byte for byte, and its hash.

        Raises:
            PoolNotFoundError: There is no such pool.
            EpochNotFoundError: It was not closed.
            EpochChangedError: The stored rows no longer make it.
        """

        async def load() -> tuple[bytes, str]:
            async with self._store.read() as tx:
                document = await statements.export(tx, pool_id, epoch)
                row = await reward_rows.epoch_row(tx, pool_id, epoch)
            assert row is not None, "it was exported"
            return document, row.statement_hash

        return await self._statements.get((pool_id, epoch), load)

    async def proof(self, pool_id: str, wallet: str) -> models.RewardProof:
        """What proves a wallet's rewards now; at most a minute old.

        Raises:
            InvalidAddressError: The wallet is no address.
            PoolNotFoundError: There is no such pool.
            NoRewardsError: The wallet has nothing to prove.
        """
        wallet = checksum(wallet)

        async def load() -> models.RewardProof:
            async with self._store.read() as tx:
                pool = await get_pool(tx, pool_id)
                return convert.proof(pool, await statements.proof(tx, pool_id, wallet))

        return await self._proofs.get((pool_id, wallet), load)


def _is_of(pool: StakingPool, asset: str) -> bool:
    return asset.lower() in {pool.token.code.lower(), pool.token.symbol.lower()}


def _sum(asset: Asset, units: list[str]) -> Money:
    return Money.of(asset.amount(sum(map(int, units))))
