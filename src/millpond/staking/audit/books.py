"""The ledger of a pool against its events, its positions, its withdrawals and its claims."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import select

from millpond.money.accounts import Account, AccountType
from millpond.money.ledger import Ledger
from millpond.money.model import Balance
from millpond.money.report import Row, compare, only_drifts
from millpond.staking import accounts
from millpond.staking.booking import stake_total
from millpond.staking.model import EventKind, EventState
from millpond.staking.pools import PoolKind, StakingPool
from millpond.staking.recording import event_of
from millpond.staking.rewards import claims as claim_rows
from millpond.staking.rewards.claims import Claim
from millpond.staking.tables import event_table, position_table
from millpond.staking.withdrawals import rows as withdrawal_rows
from millpond.staking.withdrawals.model import Withdrawal
from millpond.staking.withdrawals.tables import withdrawal_table
from millpond.store import Tx

_E = event_table.c
_SIGNS = {
    EventKind.DEPOSIT: 1,
    EventKind.TRANSFER_IN: 1,
    EventKind.WITHDRAW: -1,
    EventKind.TRANSFER_OUT: -1,
}
_PAGE = 1_000


async def check_books(tx: Tx, ledger: Ledger, pool: StakingPool) -> list[Row]:
    """TVL is what is staked, positions are what events add up to, distributed ≤ funded."""
    held = await staker_balances(tx, ledger, pool, accounts.STAKED, pool.stake.code)
    staked = {wallet: balance.posted.units for wallet, balance in held.items()}
    total = (await ledger.balance(tx, stake_total(pool))).posted.units
    rows = [compare("tvl", pool.pool_id, sum(staked.values()), total, "Σ staked = principal")]
    rows += await _check_positions(tx, pool, staked)
    rows += await _check_holds(tx, pool, held)
    rows += await _check_custody(tx, ledger, pool)
    rows += await _check_rewards(tx, ledger, pool)
    rows += await _check_claims(tx, ledger, pool)
    return rows


async def staker_balances(
    tx: Tx, ledger: Ledger, pool: StakingPool, name: str, asset: str
) -> dict[str, Balance]:
    """Balances of all wallets of a pool in one kind of account."""
    prefix = accounts.staker_owner(pool.pool_id, "")
    found: dict[str, Balance] = {}
    after: Account | None = None
    while page := await ledger.accounts(
        tx,
        type=AccountType.LIABILITY,
        owner_prefix=prefix,
        name=name,
        limit=_PAGE,
        after=after,
    ):
        for account, balance in page:
            if account.asset.code == asset:
                found[account.owner.removeprefix(prefix)] = balance
        after = page[-1][0]
    return found


async def _check_positions(tx: Tx, pool: StakingPool, staked: dict[str, int]) -> list[Row]:
    """Add all booked events up again, and compare with positions and ledger."""
    summed: defaultdict[str, int] = defaultdict(int)
    query = select(event_table).where(
        _E.pool_id == pool.pool_id,
        _E.state == EventState.BOOKED.value,
        _E.kind.in_([kind.value for kind in _SIGNS]),
    )
    async for row in await tx.stream(query.execution_options(yield_per=_PAGE)):
        event = event_of(row)
        summed[event.wallet] += _SIGNS[event.kind] * event.amount
    stored = select(position_table.c.wallet, position_table.c.balance).where(
        position_table.c.pool_id == pool.pool_id
    )
    said = {row.wallet: row.balance for row in await tx.execute(stored)}
    wallets = sorted(summed.keys() | said.keys() | staked.keys())
    why = "events, position, ledger"
    return only_drifts(
        "positions",
        pool.pool_id,
        (
            compare(
                "positions",
                wallet,
                (summed.get(wallet, 0),) * 2,
                (said.get(wallet, 0), staked.get(wallet, 0)),
                why,
            )
            for wallet in wallets
        ),
        "positions",
    )


async def _check_holds(tx: Tx, pool: StakingPool, held: dict[str, Balance]) -> list[Row]:
    """What is reserved of stakes is what open withdrawals reserve."""
    query = select(withdrawal_table).where(
        withdrawal_table.c.pool_id == pool.pool_id, withdrawal_table.c.reserved.is_(True)
    )
    rows = [withdrawal_rows.to_withdrawal(row) for row in (await tx.execute(query)).mappings()]
    return _check_reserved("withdrawals", pool, held, rows)


async def _check_claims(tx: Tx, ledger: Ledger, pool: StakingPool) -> list[Row]:
    """What is reserved of rewards is what open claims reserve."""
    if pool.kind is not PoolKind.DIRECT:
        return []
    owed = await staker_balances(tx, ledger, pool, accounts.REWARDS, pool.asset.code)
    return _check_reserved("claims", pool, owed, await claim_rows.reserved_of(tx, pool.pool_id))


def _check_reserved(
    check: str,
    pool: StakingPool,
    held: Mapping[str, Balance],
    reserving: Sequence[Withdrawal | Claim],
) -> list[Row]:
    wanted: defaultdict[str, int] = defaultdict(int)
    for one in reserving:
        wanted[one.wallet] += one.amount
        if one.final:
            why = f"{one.id} is {one.state.value} and still reserves"
            return [compare(check, pool.pool_id, "open", one.state.value, why)]
    reserved = {w: b.outgoing.units for w, b in held.items() if b.outgoing.units}
    return only_drifts(
        check,
        pool.pool_id,
        (
            compare(check, wallet, wanted.get(wallet, 0), reserved.get(wallet, 0))
            for wallet in sorted(wanted.keys() | reserved.keys())
        ),
        "reservations",
    )


async def _check_custody(tx: Tx, ledger: Ledger, pool: StakingPool) -> list[Row]:
    """A vault's tokens are its holders' and its queue's."""
    if pool.kind is PoolKind.DIRECT:
        return []
    held = accounts.principal(pool.pool_id, pool.asset)
    ours = accounts.holdings(pool.pool_id, pool.asset)
    queue = accounts.queued(pool.pool_id, pool.asset)
    found = await ledger.balances(tx, [held, ours, queue])
    owed = found[ours].posted.units + found[queue].posted.units
    return [compare("custody", pool.pool_id, owed, found[held].posted.units)]


async def _check_rewards(tx: Tx, ledger: Ledger, pool: StakingPool) -> list[Row]:
    """What was funded is in the reserve, owed to somebody, kept for somebody, or paid."""
    funds = accounts.reward_funds(pool.pool_id, pool.asset)
    reserve = accounts.reward_reserve(pool.pool_id, pool.asset)
    short = accounts.shortfall(pool.pool_id, pool.asset)
    found = await ledger.balances(tx, [funds, reserve, short])
    owed = 0
    for name in (accounts.REWARDS, accounts.KEPT):
        of_all = await staker_balances(tx, ledger, pool, name, pool.asset.code)
        owed += sum(balance.posted.units for balance in of_all.values())
    backed = found[reserve].posted.units + owed + found[short].posted.units
    rows = [compare("rewards_backed", pool.pool_id, backed, found[funds].posted.units)]
    missing = max(0, -found[short].posted.units)
    rows.append(compare("distributed_le_funded", pool.pool_id, 0, missing, "shortfall"))
    return rows
