"""The fold that buys shares as they come (schemes that pay shares)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select

from millpond.chains.coins import Coin
from millpond.clock import Clock
from millpond.mining.accounts import derived_id, miner_balance, risk
from millpond.mining.blocks.tables import pps_account
from millpond.mining.folds.writing import upsert
from millpond.mining.rewards import RewardSettings, scheme_from
from millpond.mining.rewards.pps import whole_units, worth_of_group
from millpond.mining.sharelog.records import DecodedGroup
from millpond.money.ledger import Ledger
from millpond.money.model import Transfer
from millpond.store import Tx


class SharePurchases:
    """Credits the worth of shares from the pool's risk account, in the fold's transaction.

    Worth is added up with every fold; whole units are posted once log time
    enters another slice of `rewards.credit_interval_s`, so that the ledger
    grows with time and not with shares. A pool that changes to PPS buys from
    then on: shares from before are not paid a second time.
    """

    name = "pps"
    from_now = True

    def __init__(self, ledger: Ledger, coin: Coin, rewards: RewardSettings, clock: Clock) -> None:
        assert scheme_from(rewards).pays_shares, "only for schemes that pay shares"
        self._ledger = ledger
        self._coin = coin
        self._rewards = rewards
        self._clock = clock

    async def fold(self, tx: Tx, pool_id: str, groups: Sequence[DecodedGroup]) -> None:
        """Take in groups, oldest first."""
        now_ms = self._clock.now_ms()
        slices: defaultdict[int, list[DecodedGroup]] = defaultdict(list)
        for group in groups:
            # An edge whose clock ran ahead must not close the slices up to then.
            at_ms = min(group.group.last_ms, now_ms)
            slices[at_ms // (self._rewards.credit_interval_s * 1000)].append(group)
        accounts = await _accounts(tx, pool_id)
        before = {wallet: tuple(entry) for wallet, entry in accounts.items()}
        # [slice, position that it began behind], kept in the row without an address.
        latest = accounts.pop("", [0, groups[0].position.group - 1])
        transfers: list[Transfer] = []
        for number, members in sorted(slices.items()):
            if number > latest[0]:
                transfers += self._purchases(pool_id, latest[0], accounts)
                latest[0] = number
            for group in members:
                worth = worth_of_group(
                    _worked(group), self._rewards.block_reward, self._rewards.fees
                )
                for wallet, value in worth.items():
                    accounts.setdefault(wallet, [0, 0])[1] += value
        await self._ledger.post(tx, transfers)
        accounts[""] = latest
        await _save(tx, pool_id, {w: e for w, e in accounts.items() if before.get(w) != tuple(e)})

    def _purchases(
        self, pool_id: str, number: int, accounts: dict[str, list[int]]
    ) -> list[Transfer]:
        """Pay what has come to whole units by the end of slice `number`."""
        transfers = []
        for wallet, entry in sorted(accounts.items()):
            units, carry = whole_units(entry[1])
            if not units:
                continue
            entry[0] += units
            entry[1] = carry
            transfers.append(
                Transfer(
                    id=derived_id("pps", pool_id, str(number), wallet),
                    debit=risk(pool_id, self._coin),
                    credit=miner_balance(self._coin, wallet),
                    amount=self._coin.asset.amount(units),
                    code="pps",
                    reference=f"pps:{pool_id}:{number}",
                )
            )
        return transfers


def _worked(group: DecodedGroup) -> list[tuple[str, int, int]]:
    """`(worker, difficulty, network difficulty)`, added up by worker and job."""
    sums: defaultdict[tuple[int, int], int] = defaultdict(int)
    for _, worker, job, difficulty, _ in group.rows:
        sums[worker, job] += difficulty
    return [
        (group.workers[worker], difficulty, group.jobs[job].network_difficulty)
        for (worker, job), difficulty in sums.items()
    ]


async def _accounts(tx: Tx, pool_id: str) -> dict[str, list[int]]:
    """`[paid, carried]` by address; the entry without address holds the slice."""
    query = select(pps_account).where(pps_account.c.pool_id == pool_id).with_for_update()
    return {row.wallet: [row.paid, row.carry] for row in await tx.execute(query)}


async def _save(tx: Tx, pool_id: str, changed: dict[str, list[int]]) -> None:
    rows = [
        {"pool_id": pool_id, "wallet": wallet, "paid": paid, "carry": carry}
        for wallet, (paid, carry) in sorted(changed.items())
    ]
    if rows:
        await tx.execute(upsert(tx, pps_account, replace=["paid", "carry"]), rows)
