"""The ledger against itself, and against what the share log decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

import msgspec
from sqlalchemy import select

from millpond.chains.coins import Coin
from millpond.mining.accounts import miner_owner, pool_wallet, risk
from millpond.mining.blocks import rows as block_rows
from millpond.mining.blocks.crediting import WindowSource, line_account, lines_of, split_reward
from millpond.mining.blocks.model import Block, BlockState, Credit, block_of
from millpond.mining.blocks.tables import block, block_line, pps_account
from millpond.mining.payouts.model import PayoutState
from millpond.mining.payouts.tables import payout_table
from millpond.mining.rewards import RewardSettings
from millpond.mining.sharelog.records import Position
from millpond.money.accounts import Account, AccountType
from millpond.money.ledger import Ledger
from millpond.money.model import Kind, Posted
from millpond.money.report import Row, compare, only_drifts
from millpond.store import Tx

_CREDIT_OF = {
    BlockState.FOUND: Credit.NONE,
    BlockState.SUBMITTED: Credit.NONE,
    BlockState.CONFIRMING: Credit.PENDING,
    BlockState.MATURE: Credit.POSTED,
}
"""What must be booked in a state; in the others nothing, or nothing any more."""

_KIND_OF = {Credit.PENDING: None, Credit.POSTED: Kind.POST, Credit.VOID: Kind.VOID}


async def check_ledger(tx: Tx, ledger: Ledger) -> list[Row]:
    """Balances are the sums of the transfers, and everything sums to zero."""
    found = await ledger.verify(tx)
    rows = only_drifts(
        "ledger",
        "all accounts",
        (compare("ledger", f"{d.kind} {d.subject}", d.expected, d.found) for d in found),
        "discrepancies",
    )
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for line in await ledger.trial_balance(tx):
        held = line.balance
        for i, amount in enumerate(
            (held.debits_posted, held.credits_posted, held.debits_pending, held.credits_pending)
        ):
            sums[line.asset][i] += amount.units
    for asset, (debits, credit, debits_pending, credits_pending) in sorted(sums.items()):
        rows.append(compare("trial_balance", f"{asset} posted", debits, credit))
        rows.append(compare("trial_balance", f"{asset} pending", debits_pending, credits_pending))
    return rows


async def check_rewards(
    tx: Tx, ledger: Ledger, log: WindowSource, pool_id: str, coin: Coin
) -> list[Row]:
    """Split each credited block again by its window, and compare line by line with the ledger."""
    query = select(block).where(block.c.pool_id == pool_id).order_by(block.c.height)
    rows: list[Row] = []
    for row in (await tx.execute(query)).all():
        rows += await _check_block(tx, ledger, log, block_of(row), coin)
    return only_drifts("rewards", pool_id, rows, "comparisons")


async def _check_block(
    tx: Tx, ledger: Ledger, log: WindowSource, of: Block, coin: Coin
) -> list[Row]:
    subject = f"block {of.height} {of.block_hash[:16]}"
    wanted = _CREDIT_OF.get(of.state)
    if wanted is None:
        wanted = Credit.VOID if of.credit_round else Credit.NONE
    rows = [compare("block_credit", subject, wanted.value, of.credit.value)]
    if not of.credit_round:
        return rows
    rows.append(compare("rewards", subject, await _decided(log, of), await _stored(tx, of)))
    return rows + await _check_transfers(tx, ledger, of, coin, subject)


async def _decided(log: WindowSource, of: Block) -> list[tuple[str, str, int, int]]:
    """`(kind, wallet, weight, amount)` by the log and the terms it was credited by."""
    assert of.terms is not None, "a credited block has terms"
    assert of.basis is not None, "a credited block has a window"
    start = of.basis["round_start"]
    split = await split_reward(
        log,
        of,
        msgspec.convert(of.terms, RewardSettings),
        None if start is None else Position(*start),
    )
    lines = lines_of(of, split.allocation, of.credit_round)
    return sorted((line.kind, line.wallet, line.weight, line.amount) for line in lines)


async def _stored(tx: Tx, of: Block) -> list[tuple[str, str, int, int]]:
    lines = await block_rows.lines(tx, of.block_hash, of.credit_round)
    return sorted((line.kind, line.wallet, line.weight, line.amount) for line in lines)


async def _booked(tx: Tx, ledger: Ledger, reference: str) -> list[Posted]:
    found: list[Posted] = []
    after: int | None = None
    while page := await ledger.transfers_by_reference(tx, reference, after=after):
        found += page
        after = page[-1].seq
    return found


async def _check_transfers(
    tx: Tx, ledger: Ledger, of: Block, coin: Coin, subject: str
) -> list[Row]:
    """The ledger holds exactly the lines, ended as the block's credit says."""
    booked = await _booked(tx, ledger, of.reference)
    pendings = {posted.id: posted for posted in booked if posted.kind is Kind.PENDING}
    ends = {posted.pending_id: posted.kind for posted in booked if posted.pending_id}
    rows, now = [], set()
    for line in await block_rows.lines(tx, of.block_hash, of.credit_round):
        if not line.amount:
            continue
        now.add(line.transfer_id)
        account = line_account(line.kind, line.wallet, of.pool_id, coin)
        expected = (pool_wallet(coin).path, account.path, line.amount, _KIND_OF.get(of.credit))
        posted = pendings.get(line.transfer_id)
        found: object = "not in the ledger"
        if posted is not None:
            end = ends.get(posted.id)
            found = (posted.debit.path, posted.credit.path, posted.amount.units, end)
        rows.append(compare("reward_transfers", f"{subject} {account.path}", expected, found))
    # Whatever else the ledger holds for the block must be void.
    others = {key for key in pendings if key not in now and ends.get(key) is not Kind.VOID}
    rows.append(compare("reward_transfers", f"{subject} others", set(), others))
    return rows


async def check_miners(
    tx: Tx, ledger: Ledger, coin: Coin, other_pools: Collection[str]
) -> list[Row]:
    """Every balance is what blocks and shares brought and payouts took, and nothing else.

    Args:
        tx: A transaction.
        ledger: The ledger.
        coin: Whose balances.
        other_pools: Pools that mine another coin; what they bought is not of this one.
    """
    owed: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    await _add_credits(tx, coin, other_pools, owed)
    column = payout_table.c
    payouts = select(column.wallet, column.amount, column.state).where(column.coin == coin.name)
    for row in await tx.execute(payouts):
        if row.state == PayoutState.SETTLED:
            owed[row.wallet][2] += row.amount
        elif row.state not in {PayoutState.REQUESTED, PayoutState.FAILED}:
            owed[row.wallet][3] += row.amount
    held = await _held_by_miners(tx, ledger, coin)
    nothing = [0, 0, 0, 0]
    why = "credited, immature, paid, being paid"
    return only_drifts(
        "miners",
        coin.name,
        (
            compare("miners", wallet, owed.get(wallet, nothing), held.get(wallet, nothing), why)
            for wallet in sorted(owed.keys() | held.keys())
        ),
        "balances",
    )


async def _add_credits(
    tx: Tx, coin: Coin, other_pools: Collection[str], owed: defaultdict[str, list[int]]
) -> None:
    lines = (
        select(block_line.c.wallet, block_line.c.amount, block.c.credit)
        .join(block, block.c.block_hash == block_line.c.block_hash)
        .where(
            block.c.coin == coin.name,
            block_line.c.credit_round == block.c.credit_round,
            block_line.c.wallet != "",
            block.c.credit.in_([Credit.POSTED, Credit.PENDING]),
        )
    )
    for row in await tx.execute(lines):
        owed[row.wallet][0 if row.credit == Credit.POSTED else 1] += row.amount
    bought = select(pps_account.c.wallet, pps_account.c.paid).where(
        pps_account.c.pool_id.not_in(list(other_pools)), pps_account.c.wallet != ""
    )
    for wallet, paid in await tx.execute(bought):
        owed[wallet][0] += paid


async def _held_by_miners(tx: Tx, ledger: Ledger, coin: Coin) -> dict[str, list[int]]:
    held: dict[str, list[int]] = {}
    after: Account | None = None
    while page := await ledger.accounts(
        tx,
        type=AccountType.LIABILITY,
        owner_prefix=miner_owner(""),
        asset=coin.asset,
        limit=1000,
        after=after,
    ):
        for account, balance in page:
            sums = held.setdefault(account.owner.removeprefix(miner_owner("")), [0, 0, 0, 0])
            for i, amount in enumerate(
                (
                    balance.credits_posted,
                    balance.credits_pending,
                    balance.debits_posted,
                    balance.debits_pending,
                )
            ):
                sums[i] += amount.units
        after = page[-1][0]
    return held


async def check_purchases_booked(tx: Tx, ledger: Ledger, pool_id: str, coin: Coin) -> list[Row]:
    """Under PPS: what the accounts say was paid is what the risk account paid."""
    paid: defaultdict[str, int] = defaultdict(int)
    after: int | None = None
    account = risk(pool_id, coin)
    while lines := await ledger.statement(tx, account, after=after, limit=1000):
        for line in lines:
            if line.transfer.code == "pps":
                paid[line.transfer.credit.owner.removeprefix("miner/")] += (
                    line.transfer.amount.units
                )
        after = lines[-1].transfer.seq
    query = select(pps_account).where(pps_account.c.pool_id == pool_id, pps_account.c.wallet != "")
    said = {row.wallet: row.paid for row in await tx.execute(query)}
    return only_drifts(
        "pps_booked",
        pool_id,
        (
            compare("pps_booked", wallet, said.get(wallet, 0), paid.get(wallet, 0))
            for wallet in sorted(said.keys() | paid.keys())
        ),
        "addresses",
    )
