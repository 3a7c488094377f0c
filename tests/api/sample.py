"""A pool as the pages and live views see it, made up and steerable by the test."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import msgspec

from millpond.api.models import (
    Allocation,
    Balance,
    Block,
    Endpoint,
    Miner,
    Money,
    Payout,
    PayoutSettings,
    Performance,
    Point,
    Pool,
    PoolStats,
    Proof,
    Receipt,
    Reject,
    Worker,
    iso,
)
from millpond.api.pagination import Page, decode_cursor, encode_cursor
from millpond.api.ports import SettingsChange
from millpond.chains.coins import COINS
from millpond.clock import ManualClock
from millpond.errors import InvalidInputError
from millpond.store import Tx

COIN = COINS["devcoin"]
POOL_ID = "dev-main"
WALLET = "dev1q9h0y3kvkl0w3xq2w5pz7n4c8m6t2r5e8a4fd7sj"
NOW_MS = 1_795_000_000_000


def money(units: int) -> Money:
    return Money.of(COIN.asset.amount(units))


def block_at(height: int, *, confirmations: int, effort: float) -> Block:
    state = "mature" if confirmations >= COIN.maturity else "confirming"
    return Block(
        pool_id=POOL_ID,
        coin=COIN.name,
        block_hash=f"{height:08x}".rjust(64, "0"),
        height=height,
        state="orphaned" if height == 1007 else state,
        confirmations=confirmations,
        confirmations_needed=COIN.maturity,
        reward=money(50_0000_1234),
        wallet=WALLET,
        worker=f"{WALLET}.rig-{height % 3}",
        network_difficulty=0.0625,
        effort=effort,
        found_at=iso(NOW_MS - (1012 - height) * 37_000),
    )


def worker_row(index: int, hashrate: float) -> Worker:
    return Worker(
        pool_id=POOL_ID,
        worker=f"{WALLET}.rig-{index}",
        wallet=WALLET,
        worker_name=f"rig-{index}",
        active=index < 5,
        hashrate=hashrate if index < 5 else 0.0,
        hashrate_24h=hashrate * 0.93,
        shares_24h=18_400 - index * 1_711,
        rejected_24h=index * 7,
        last_share_at=iso(NOW_MS - index * 41_000),
    )


def payout_row(index: int, state: str) -> Payout:
    sent = state in {"broadcast", "confirmed", "settled"}
    return Payout(
        id=f"{index:032x}",
        pool_id=POOL_ID,
        coin=COIN.name,
        wallet=WALLET,
        address=WALLET,
        amount=money(12_5000_0000 + index * 77_777),
        network_fee=money(1410),
        state=state,
        txid=f"{index + 7:02x}" * 32 if sent else None,
        confirmations=index if sent else 0,
        reason="the address was refused" if state == "failed" else "",
        requested_at=iso(NOW_MS - index * 600_000),
        updated_at=iso(NOW_MS - index * 500_000),
    )


def sample_pool() -> Pool:
    return Pool(
        id=POOL_ID,
        name="Dev pool",
        coin=COIN.name,
        ticker=COIN.ticker,
        decimals=COIN.decimals,
        proof_of_work=COIN.proof_of_work,
        scheme="pplns",
        scheme_parameters={"n": "2"},
        fee_bps=100,
        maturity=COIN.maturity,
        payout_threshold=money(10_0000_0000),
        endpoints=[Endpoint(url="stratum+tcp://127.0.0.1:3333", difficulty=0.001)],
        stats=PoolStats(
            pool_id=POOL_ID,
            total_miners=4,
            active_miners=3,
            total_workers=8,
            active_workers=5,
            total_shares_24h=128_911,
            rejected_shares_24h=412,
            pool_hashrate=3_418_220_114.0,
            current_target="0" * 8 + "f" * 56,
            network_difficulty=0.0625,
            height=1012,
            round_effort=0.43,
            blocks_found=312,
            blocks_pending=4,
            luck=1.04,
            last_share_at=iso(NOW_MS - 800),
            last_block_at=iso(NOW_MS - 37_000),
            paid_total=money(13_912_0551_0000),
            payouts_under_way=2,
        ),
    )


@dataclass
class SampleReads:
    """Implements `millpond.api.ports.Reads`; `empty` shows a pool on its first day."""

    empty: bool = False
    pool: Pool = field(default_factory=sample_pool)
    block_rows: list[Block] = field(default_factory=list)
    worker_rows: list[Worker] = field(default_factory=list)
    payout_rows: list[Payout] = field(default_factory=list)
    queries: int = 0

    def __post_init__(self) -> None:
        if self.empty:
            return
        efforts = (0.43, 1.31, 0.08, 2.47, 0.95, 0.66, 1.02, 0.31)
        self.block_rows = [
            block_at(1011 - i, confirmations=1 + i * 2, effort=effort)
            for i, effort in enumerate(efforts)
        ]
        self.worker_rows = [worker_row(i, 1.2e9 / (i + 1)) for i in range(8)]
        states = ("reserved", "signed", "broadcast", "confirmed", "settled", "failed", "frozen")
        self.payout_rows = [payout_row(i, state) for i, state in enumerate(states)]

    async def pools(self, tx: Tx) -> list[Pool]:
        self.queries += 1
        return [self.pool]

    def _page(self, rows: list[Any], limit: int, cursor: str | None) -> Page[Any]:
        (start,) = decode_cursor(cursor, tuple[int]) or (0,)
        part = rows[start : start + limit]
        more = start + limit < len(rows)
        return Page(items=part, next=encode_cursor(start + limit) if more else None)

    async def blocks(
        self, tx: Tx, *, pool_id: str | None, limit: int, cursor: str | None
    ) -> Page[Block]:
        self.queries += 1
        return self._page(self.block_rows, limit, cursor)

    async def block(self, tx: Tx, block_hash: str) -> Block | None:
        return next((row for row in self.block_rows if row.block_hash == block_hash), None)

    async def miners(self, tx: Tx, *, pool_id: str, limit: int, cursor: str | None) -> Page[Miner]:
        return self._page(await self.miner(tx, WALLET), limit, cursor)

    async def miner(self, tx: Tx, wallet: str) -> list[Miner]:
        if self.empty or wallet != WALLET:
            return []
        return [
            Miner(
                pool_id=POOL_ID,
                wallet=WALLET,
                active=True,
                workers=8,
                active_workers=5,
                hashrate=2.74e9,
                hashrate_24h=2.55e9,
                shares_24h=98_000,
                rejected_24h=196,
                last_share_at=iso(NOW_MS - 800),
            )
        ]

    async def workers(
        self, tx: Tx, *, pool_id: str | None, wallet: str | None, limit: int, cursor: str | None
    ) -> Page[Worker]:
        self.queries += 1
        rows = [row for row in self.worker_rows if wallet in (None, row.wallet)]
        return self._page(rows, limit, cursor)

    async def latest_workers(self, tx: Tx, *, limit: int) -> list[Worker]:
        self.queries += 1
        return self.worker_rows[:limit]

    async def workers_named(self, tx: Tx, names: Collection[str]) -> list[Worker]:
        return [row for row in self.worker_rows if row.worker in names]

    async def performance(
        self, tx: Tx, *, pool_id: str, wallet: str | None, worker: str | None, window: str
    ) -> Performance:
        step, count = (60, 60) if window == "1h" else (900, 96)
        if self.empty:
            return Performance(window=window, step_s=step, points=[])
        points = [
            Point(
                at=iso(NOW_MS - (count - i) * step * 1000),
                hashrate=3.1e9 + 4e8 * math.sin(i / 7) + 2e8 * math.sin(i * 1.7),
                shares=900 + i,
                rejected=3,
            )
            for i in range(count)
        ]
        return Performance(window=window, step_s=step, points=points)

    async def rejects(self, tx: Tx, *, pool_id: str, wallet: str | None) -> list[Reject]:
        if self.empty:
            return []
        return [
            Reject(reason="job not found", count=288, fraction=0.699),
            Reject(reason="low difficulty", count=104, fraction=0.2524),
            Reject(reason="duplicate", count=20, fraction=0.0486),
        ]

    async def balances(self, tx: Tx, wallet: str) -> list[Balance]:
        mine = wallet == WALLET and not self.empty
        return [
            Balance(
                coin=COIN.name,
                asset=COIN.ticker,
                immature=money(149_2218_0419 if mine else 0),
                available=money(8_4410_0021 if mine else 0),
                pending=money(12_5000_0000 if mine else 0),
                paid=money(11_204_8712_0000 if mine else 0),
            )
        ]

    async def payouts(
        self, tx: Tx, *, pool_id: str | None, wallet: str | None, limit: int, cursor: str | None
    ) -> Page[Payout]:
        self.queries += 1
        rows = [row for row in self.payout_rows if wallet in (None, row.wallet)]
        return self._page(rows, limit, cursor)

    async def payout_settings(self, tx: Tx, wallet: str) -> list[PayoutSettings]:
        return [
            PayoutSettings(
                pool_id=POOL_ID,
                wallet=wallet,
                threshold=money(10_0000_0000),
                automatic=True,
                schedule="any",
                fee_policy="payee",
                missing=money(1_5589_9979),
                address=wallet,
            )
        ]

    async def receipts(
        self, *, pool_id: str, wallet: str, limit: int, cursor: str | None
    ) -> Page[Receipt]:
        rows = [
            Receipt(
                pool_id=pool_id,
                edge="edge-1",
                sequence=9000 - i,
                group_hash=f"{9000 - i:064x}",
                previous_hash=f"{8999 - i:064x}",
                first_at=iso(NOW_MS - i * 1000 - 12),
                last_at=iso(NOW_MS - i * 1000),
                group_shares=41,
                shares=17,
                difficulty=str(17 << 22),
            )
            for i in range(12)
        ]
        return self._page([] if self.empty else rows, limit, cursor)

    async def proof(self, tx: Tx, *, wallet: str | None, block: Block) -> Proof | None:
        return Proof(
            block=block,
            scheme="pplns",
            wallet=wallet or "",
            window_weight=str(1 << 40),
            allocations=[
                Allocation(
                    kind="share",
                    account=f"liability:miner/{WALLET}:balance:DEV",
                    wallet=WALLET,
                    weight=str(3 << 38),
                    fraction=0.75,
                    amount=money(37_1250_0925),
                    state="immature",
                )
            ],
            receipts=(
                await self.receipts(pool_id=POOL_ID, wallet=wallet or "", limit=3, cursor=None)
            ).items,
        )


@dataclass
class SampleWrites:
    """Implements `millpond.api.ports.Writes` and remembers what was asked."""

    requested: list[tuple[str, int | None]] = field(default_factory=list)
    changes: list[SettingsChange] = field(default_factory=list)

    async def request_payout(
        self, tx: Tx, *, pool_id: str, wallet: str, amount_units: int | None
    ) -> Payout:
        self.requested.append((wallet, amount_units))
        return msgspec.structs.replace(payout_row(len(self.requested), "requested"), wallet=wallet)

    async def change_settings(
        self, tx: Tx, *, pool_id: str, wallet: str, change: SettingsChange
    ) -> PayoutSettings:
        self.changes.append(change)
        return PayoutSettings(
            pool_id=pool_id,
            wallet=wallet,
            threshold=money(change.threshold_units or 0),
            automatic=bool(change.automatic),
            schedule="any",
            fee_policy="payee",
            missing=money(0),
            address=change.address or wallet,
        )


def check_form(coin: object, text: str) -> None:
    """Accept what looks like a devcoin address."""
    if not (text.startswith("dev1") and text.isalnum() and len(text) > 20):
        raise InvalidInputError("this is no devcoin address")


def sample_clock() -> ManualClock:
    return ManualClock(NOW_MS)
