"""`PoolReads`: what `millpond.api.ports.Reads` asks, from the pools' own queries."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from millpond.api.models import (
    Balance,
    Block,
    Miner,
    Payout,
    PayoutSettings,
    Performance,
    Pool,
    PoolStats,
    Proof,
    Receipt,
    Reject,
    Worker,
)
from millpond.api.pagination import Page, Place, decode_cursor, encode_cursor
from millpond.api.ports import PayoutReads
from millpond.api.reads import convert
from millpond.api.reads.receipts import wallet_receipts
from millpond.api.reads.series import even_series, span_of
from millpond.api.terms import PoolTerms
from millpond.clock import Clock
from millpond.mining.accounts import miner_balance, network_fees, pool_wallet
from millpond.mining.blocks import queries as block_queries
from millpond.mining.blocks.model import Block as BlockRow
from millpond.mining.difficulty import to_float
from millpond.mining.folds import queries as fold_queries
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.mining.sharelog.records import Position
from millpond.money.ledger import Ledger
from millpond.store import Tx

_PROOF_RECEIPTS = 20
_PROOF_SCAN = 500
_MINERS = 1_000


class PoolReads:
    """Read models of the configured pools.

    Args:
        terms: The pools, in the order shown.
        ledger: Where balances are.
        share_log: Where receipts are.
        payouts: Queries about payouts.
        clock: Source of time.
    """

    def __init__(
        self,
        terms: Sequence[PoolTerms],
        ledger: Ledger,
        share_log: ShareLogReader,
        payouts: PayoutReads,
        clock: Clock,
    ) -> None:
        self._terms = {each.pool_id: each for each in terms}
        self._ledger = ledger
        self._share_log = share_log
        self._payouts = payouts
        self._clock = clock

    def _chosen(self, pool_id: str | None) -> list[PoolTerms]:
        return [each for each in self._terms.values() if pool_id in (None, each.pool_id)]

    async def pools(self, tx: Tx) -> list[Pool]:
        """Every configured pool."""
        return [await self._pool(tx, terms) for terms in self._terms.values()]

    async def _pool(self, tx: Tx, terms: PoolTerms) -> Pool:
        return Pool(
            id=terms.pool_id,
            name=terms.name or terms.pool_id,
            coin=terms.coin.name,
            ticker=terms.coin.ticker,
            decimals=terms.coin.decimals,
            proof_of_work=terms.coin.proof_of_work,
            scheme=terms.rewards.scheme,
            scheme_parameters=terms.scheme_parameters(),
            fee_bps=terms.rewards.fee_bp,
            maturity=terms.confirmations,
            payout_threshold=convert.money(terms.coin, terms.payouts.threshold),
            endpoints=list(terms.endpoints),
            stats=await self._stats(tx, terms),
        )

    async def _stats(self, tx: Tx, terms: PoolTerms) -> PoolStats:
        now_ms = self._clock.now_ms()
        figures = await fold_queries.pool_stats(tx, terms.pool_id, terms.rate, now_ms=now_ms)
        luck = await block_queries.luck_stats(tx, terms.pool_id)
        round_now = await block_queries.round_stats(tx, terms.pool_id)
        books = (pool_wallet(terms.coin), network_fees(terms.coin))
        balances = await self._ledger.balances(tx, books)
        paid = balances[books[0]].credits_posted - balances[books[1]].debits_posted
        day = figures.shares_24h
        return PoolStats(
            pool_id=terms.pool_id,
            total_miners=figures.total_miners,
            active_miners=figures.active_miners,
            total_workers=figures.total_workers,
            active_workers=figures.active_workers,
            total_shares_24h=figures.total_shares_24h,
            rejected_shares_24h=day.rejected + day.stale,
            pool_hashrate=figures.pool_hashrate,
            current_target=figures.current_target,
            network_difficulty=to_float(figures.network_difficulty),
            height=figures.height,
            round_effort=round_now.effort_percent / 100,
            blocks_found=luck.found,
            blocks_pending=luck.found - luck.lost - luck.mature,
            luck=luck.luck_percent / 100 if luck.found else None,
            last_share_at=convert.time_or_none(figures.last_share_ms),
            last_block_at=convert.time_or_none(luck.last_found_ms),
            paid_total=convert.money(terms.coin, max(paid.units, 0)),
            payouts_under_way=await self._payouts.under_way(tx, terms.pool_id),
        )

    async def blocks(
        self, tx: Tx, *, pool_id: str | None, limit: int, cursor: str | None
    ) -> Page[Block]:
        """Blocks, newest first; a page never ends between two blocks of one height."""
        below = decode_cursor(cursor, tuple[Place])
        rows: list[BlockRow] = []
        for terms in self._chosen(pool_id):
            rows += await block_queries.pool_blocks(
                tx, terms.pool_id, limit=limit + 1, before_height=below[0] if below else None
            )
        if pool_id is None:
            rows.sort(key=lambda row: (row.found_ms, row.height), reverse=True)
            return Page(items=self._blocks(rows[:limit]))
        shown, more = _cut_at_height(rows, limit)
        return Page(
            items=self._blocks(shown), next=encode_cursor(shown[-1].height) if more else None
        )

    def _blocks(self, rows: Sequence[BlockRow]) -> list[Block]:
        return [convert.block(row, self._terms[row.pool_id].coin) for row in rows]

    async def block(self, tx: Tx, block_hash: str) -> Block | None:
        """One block of a configured pool."""
        row = await block_queries.find_block(tx, block_hash)
        if row is None or row.pool_id not in self._terms:
            return None
        return convert.block(row, self._terms[row.pool_id].coin)

    async def miners(self, tx: Tx, *, pool_id: str, limit: int, cursor: str | None) -> Page[Miner]:
        """Active addresses, the fastest first; the first thousand can be paged through."""
        (start,) = decode_cursor(cursor, tuple[Place]) or (0,)
        terms = self._terms[pool_id]
        now_ms = self._clock.now_ms()
        wanted = min(max(start, 0) + limit + 1, _MINERS)
        rows = await fold_queries.miners(tx, pool_id, terms.rate, now_ms=now_ms, limit=wanted)
        shown = rows[max(start, 0) : max(start, 0) + limit]
        more = bool(shown) and len(rows) > start + limit
        return Page(
            items=[convert.miner(row, terms.rate, now_ms) for row in shown],
            next=encode_cursor(start + limit) if more else None,
        )

    async def miner(self, tx: Tx, wallet: str) -> list[Miner]:
        """One address in each pool where it ever mined."""
        now_ms = self._clock.now_ms()
        found = []
        for terms in self._terms.values():
            row = await fold_queries.miner_stats(
                tx, terms.pool_id, wallet, terms.rate, now_ms=now_ms
            )
            if row is not None:
                found.append(convert.miner(row, terms.rate, now_ms))
        return found

    async def workers(
        self, tx: Tx, *, pool_id: str | None, wallet: str | None, limit: int, cursor: str | None
    ) -> Page[Worker]:
        """Workers by name, pool after pool."""
        at_pool, after = decode_cursor(cursor, tuple[str, str]) or ("", "")
        now_ms = self._clock.now_ms()
        found: list[Worker] = []
        waiting = bool(at_pool)
        for terms in self._chosen(pool_id):
            if waiting and terms.pool_id != at_pool:
                continue
            rows = await fold_queries.workers(
                tx,
                terms.pool_id,
                terms.rate,
                now_ms=now_ms,
                wallet=wallet,
                after=after if waiting else "",
                limit=limit + 1 - len(found),
            )
            waiting = False
            found += [convert.worker(row, terms.rate, now_ms) for row in rows]
            if len(found) > limit:
                last = found[limit - 1]
                return Page(items=found[:limit], next=encode_cursor(last.pool_id, last.worker))
        return Page(items=found)

    async def latest_workers(self, tx: Tx, *, limit: int) -> list[Worker]:
        """Those that sent a share last, of each pool."""
        now_ms = self._clock.now_ms()
        found = []
        for terms in self._terms.values():
            rows = await fold_queries.workers(
                tx, terms.pool_id, terms.rate, now_ms=now_ms, latest=True, limit=limit
            )
            found += [convert.worker(row, terms.rate, now_ms) for row in rows]
        return sorted(found, key=lambda row: (-row.hashrate, row.worker))

    async def workers_named(self, tx: Tx, names: Collection[str]) -> list[Worker]:
        """Those of the named workers that exist."""
        now_ms = self._clock.now_ms()
        found = []
        for terms in self._terms.values():
            rows = await fold_queries.workers(
                tx, terms.pool_id, terms.rate, now_ms=now_ms, names=names, limit=len(names)
            )
            found += [convert.worker(row, terms.rate, now_ms) for row in rows]
        return found

    async def performance(
        self, tx: Tx, *, pool_id: str, wallet: str | None, worker: str | None, window: str
    ) -> Performance:
        """A series for a pool, an address or a worker."""
        rate = self._terms[pool_id].rate
        span = span_of(window)
        now_ms = self._clock.now_ms()
        between = {
            "from_ms": now_ms - span.length_s * 1000,
            "to_ms": now_ms,
            "size_s": span.slice_s,
        }
        if worker is not None:
            slices = await fold_queries.worker_performance(tx, pool_id, worker, rate, **between)
        elif wallet is not None:
            slices = await fold_queries.miner_performance(tx, pool_id, wallet, rate, **between)
        else:
            slices = await fold_queries.pool_performance(tx, pool_id, rate, **between)
        return even_series(window, slices, rate, now_ms)

    async def rejects(self, tx: Tx, *, pool_id: str, wallet: str | None) -> list[Reject]:
        """Refused shares of the last 24 hours by reason, most first."""
        rows = await fold_queries.rejects(tx, pool_id, now_ms=self._clock.now_ms(), wallet=wallet)
        total = sum(row.count for row in rows)
        return [
            Reject(reason=row.reason, count=row.count, fraction=row.count / total) for row in rows
        ]

    async def balances(self, tx: Tx, wallet: str) -> list[Balance]:
        """What an address is owed in each coin."""
        coins = {terms.coin.name: terms.coin for terms in self._terms.values()}
        found = []
        for coin in coins.values():
            account = miner_balance(coin, wallet)
            balance = (await self._ledger.balances(tx, [account]))[account]
            found.append(
                Balance(
                    coin=coin.name,
                    asset=coin.ticker,
                    immature=convert.money(coin, balance.incoming.units),
                    available=convert.money(coin, balance.available.units),
                    pending=convert.money(coin, (balance.posted - balance.available).units),
                    paid=convert.money(coin, balance.debits_posted.units),
                )
            )
        return found

    async def payouts(
        self, tx: Tx, *, pool_id: str | None, wallet: str | None, limit: int, cursor: str | None
    ) -> Page[Payout]:
        """Payouts, newest first."""
        return await self._payouts.payouts(
            tx, pool_id=pool_id, wallet=wallet, limit=limit, cursor=cursor
        )

    async def payout_settings(self, tx: Tx, wallet: str) -> list[PayoutSettings]:
        """How an address is paid, in each pool."""
        return await self._payouts.payout_settings(tx, wallet)

    async def receipts(
        self, *, pool_id: str, wallet: str, limit: int, cursor: str | None
    ) -> Page[Receipt]:
        """Groups of the share log with this address's shares, newest first.

        One answer looks through a bounded number of groups: a page may be
        short or empty and still have a `next`.
        """
        below = decode_cursor(cursor, tuple[Place])
        upto = Position(below[0] - 1, 2**31) if below else None
        found, last = await wallet_receipts(
            self._share_log, pool_id, wallet, upto=upto, limit=limit
        )
        return Page(items=found, next=None if last is None else encode_cursor(last))

    async def proof(self, tx: Tx, *, wallet: str | None, block: Block) -> Proof | None:
        """How a block's reward was split; with the receipts of an address if one is named."""
        row = await block_queries.find_block(tx, block.block_hash)
        if row is None:
            return None
        terms = self._terms[row.pool_id]
        lines = await block_queries.allocation(tx, row)
        receipts: list[Receipt] = []
        if wallet is not None:
            receipts, _ = await wallet_receipts(
                self._share_log,
                row.pool_id,
                wallet,
                upto=row.place,
                limit=_PROOF_RECEIPTS,
                scan=_PROOF_SCAN,
            )
        allocations = convert.allocations(terms, row, lines)
        return Proof(
            block=block,
            scheme=str((row.terms or {}).get("scheme", terms.rewards.scheme)),
            wallet=wallet or "",
            window_weight=str(sum(line.weight for line in lines)),
            allocations=[each for each in allocations if wallet in (None, each.wallet)],
            receipts=receipts,
        )


def _cut_at_height(rows: list[BlockRow], limit: int) -> tuple[list[BlockRow], bool]:
    """At most `limit` rows such that the next page starts at another height."""
    if len(rows) <= limit:
        return rows, False
    next_height = rows[limit].height
    shown = [row for row in rows[:limit] if row.height > next_height]
    return (shown, True) if shown else (rows[:limit], True)
