"""Buying shares as they come (schemes that pay shares): the fold, and the paying."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import insert, select, update

from millpond.chains.coins import Coin
from millpond.clock import Clock
from millpond.mining.accounts import miner_balance, risk
from millpond.mining.blocks.tables import pps_account, pps_terms
from millpond.mining.folds.writing import upsert
from millpond.mining.rewards import FeeRules, RewardSettings, scheme_from
from millpond.mining.rewards.pps import whole_units, worth_of_group
from millpond.mining.sharelog.records import DecodedGroup
from millpond.money.ids import derived_id
from millpond.money.ledger import Ledger
from millpond.money.model import Transfer
from millpond.store import Store, Tx


class PpsTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What decides the worth of a share; kept with what was bought by it.

    Attributes:
        block_reward: Base units that a block is worth to a share.
        fees: Fees and donations.
    """

    block_reward: int
    fees: FeeRules

    def worth(self, group: DecodedGroup) -> dict[str, int]:
        """Worth of a group of the share log to each address, in 2**-64 base units."""
        sums: defaultdict[tuple[int, int], int] = defaultdict(int)
        for _, worker, job, difficulty, _ in group.rows:
            sums[worker, job] += difficulty
        worked = (
            (group.workers[worker], difficulty, group.jobs[job].network_difficulty)
            for (worker, job), difficulty in sums.items()
        )
        return worth_of_group(worked, self.block_reward, self.fees)


class TermsHeld(msgspec.Struct, frozen=True, kw_only=True):
    """Groups behind `position` up to `until` were bought by `terms`."""

    position: int
    until: int
    terms: PpsTerms


class SharePurchases:
    """Adds up the worth of shares in the fold's transaction.

    Whole units are posted from the pool's risk account when time enters
    another slice of `rewards.credit_interval_s`, so that the ledger grows with
    time and not with shares: here by the time of the log, and in
    `PurchasePayer` by the clock. A pool that changes to PPS buys from then on:
    shares from before are not paid a second time.
    """

    name = "pps"
    from_now = True

    def __init__(self, ledger: Ledger, coin: Coin, rewards: RewardSettings, clock: Clock) -> None:
        assert scheme_from(rewards).pays_shares, "only for schemes that pay shares"
        self._ledger = ledger
        self._coin = coin
        self._slice_ms = rewards.credit_interval_s * 1000
        self._terms = PpsTerms(block_reward=rewards.block_reward, fees=rewards.fees)
        self._clock = clock

    async def fold(
        self, tx: Tx, pool_id: str, groups: Sequence[DecodedGroup], *, after: int
    ) -> None:
        """Take in groups, oldest first."""
        now_ms = self._clock.now_ms()
        slices: defaultdict[int, list[DecodedGroup]] = defaultdict(list)
        for group in groups:
            # An edge whose clock ran ahead must not close the slices up to then.
            at_ms = min(group.group.last_ms, now_ms)
            slices[slice_start(at_ms, self._slice_ms)].append(group)
        accounts = await _accounts(tx, pool_id)
        before = {wallet: tuple(entry) for wallet, entry in accounts.items()}
        latest = accounts.pop("", [0, 0])
        transfers: list[Transfer] = []
        for start_ms, members in sorted(slices.items()):
            if start_ms > latest[0]:
                transfers += purchases(self._coin, pool_id, latest[0], accounts)
                latest[0] = start_ms
            for group in members:
                for wallet, value in self._terms.worth(group).items():
                    accounts.setdefault(wallet, [0, 0])[1] += value
        await self._ledger.post(tx, transfers)
        accounts[""] = latest
        await _save(tx, pool_id, accounts, before)
        await _hold_terms(tx, pool_id, self._terms, after, groups[-1].position.group)


class PurchasePayer:
    """Pays for bought shares when the interval has passed by the clock.

    Without it the last shares before a pause would wait for the next share,
    and those before a change to another scheme for ever.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        clock: Clock,
        *,
        coin: Coin,
        pool_id: str,
        interval_s: int,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._coin = coin
        self._pool_id = pool_id
        self._slice_ms = interval_s * 1000

    async def run_once(self) -> int:
        """Pay what is due; returns how many addresses were paid.

        A repeat, or another worker at the same time, pays nothing twice: the
        open slice is locked and moved in the same transaction.
        """
        start_ms = slice_start(self._clock.now_ms(), self._slice_ms)
        async with self._store.read() as tx:
            if not _due(await _accounts(tx, self._pool_id, lock=False), start_ms):
                return 0
        async with self._store.begin() as tx:
            accounts = await _accounts(tx, self._pool_id)
            if not _due(accounts, start_ms):
                return 0
            before = {wallet: tuple(entry) for wallet, entry in accounts.items()}
            latest = accounts.pop("")
            transfers = purchases(self._coin, self._pool_id, latest[0], accounts)
            await self._ledger.post(tx, transfers)
            latest[0] = start_ms
            accounts[""] = latest
            await _save(tx, self._pool_id, accounts, before)
        return len(transfers)


def slice_start(time_ms: int, slice_ms: int) -> int:
    """Start of the slice of time; comparable whatever the interval was before."""
    return time_ms - time_ms % slice_ms


def purchases(
    coin: Coin, pool_id: str, start_ms: int, accounts: dict[str, list[int]]
) -> list[Transfer]:
    """Pay what has come to whole units by the end of the slice that began at `start_ms`."""
    transfers = []
    for wallet, entry in sorted(accounts.items()):
        units, carry = whole_units(entry[1])
        if not units:
            continue
        entry[0] += units
        entry[1] = carry
        transfers.append(
            Transfer(
                id=derived_id("pps", pool_id, str(start_ms), wallet),
                debit=risk(pool_id, coin),
                credit=miner_balance(coin, wallet),
                amount=coin.asset.amount(units),
                code="pps",
                reference=f"pps:{pool_id}:{start_ms}",
            )
        )
    return transfers


async def terms_held(tx: Tx, pool_id: str) -> list[TermsHeld]:
    """By what terms shares were bought, oldest first; what lies between was not bought."""
    query = select(pps_terms).where(pps_terms.c.pool_id == pool_id).order_by(pps_terms.c.position)
    return [
        TermsHeld(
            position=row.position, until=row.until, terms=msgspec.convert(row.terms, PpsTerms)
        )
        for row in await tx.execute(query)
    ]


async def _hold_terms(tx: Tx, pool_id: str, terms: PpsTerms, after: int, until: int) -> None:
    """Note that the groups behind `after` up to `until` were bought by `terms`."""
    held = await terms_held(tx, pool_id)
    if held and held[-1].terms == terms and held[-1].until == after:
        row = pps_terms.c
        await tx.execute(
            update(pps_terms)
            .where(row.pool_id == pool_id, row.position == held[-1].position)
            .values(until=until)
        )
        return
    document: dict[str, Any] = msgspec.to_builtins(terms)
    await tx.execute(
        insert(pps_terms).values(pool_id=pool_id, position=after, until=until, terms=document)
    )


def _due(accounts: dict[str, list[int]], start_ms: int) -> bool:
    """A slice before the one of `start_ms` is open and holds something to pay."""
    latest = accounts.get("")
    if latest is None or latest[0] >= start_ms:
        return False
    return any(whole_units(entry[1])[0] for wallet, entry in accounts.items() if wallet)


async def _accounts(tx: Tx, pool_id: str, *, lock: bool = True) -> dict[str, list[int]]:
    """`[paid, carried]` by address; the entry without address holds the open slice."""
    query = select(pps_account).where(pps_account.c.pool_id == pool_id)
    query = query.order_by(pps_account.c.wallet)
    rows = await tx.execute(query.with_for_update() if lock else query)
    return {row.wallet: [row.paid, row.carry] for row in rows}


async def _save(
    tx: Tx, pool_id: str, accounts: dict[str, list[int]], before: dict[str, tuple[int, ...]]
) -> None:
    rows = [
        {"pool_id": pool_id, "wallet": wallet, "paid": paid, "carry": carry}
        for wallet, (paid, carry) in sorted(accounts.items())
        if before.get(wallet) != (paid, carry)
    ]
    if rows:
        await tx.execute(upsert(tx, pps_account, replace=["paid", "carry"]), rows)
