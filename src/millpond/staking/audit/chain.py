"""The ledger of a pool against its contracts, at the block up to which it is booked."""

from __future__ import annotations

from typing import Any

import msgspec

from millpond.chains.evm.contracts import Contract
from millpond.money.ledger import Ledger
from millpond.money.report import Row, compare, only_drifts, unknown
from millpond.staking import accounts
from millpond.staking.audit.books import staker_balances
from millpond.staking.booking import stake_total
from millpond.staking.checkpoints import Mark, load, mark_at
from millpond.staking.following import ChainReader
from millpond.staking.pools import PoolKind, StakingPool
from millpond.store import Tx

MAX_WALLETS = 2_000
"""Most wallets whose balance is asked of a contract in one audit."""


class BookedFigures(msgspec.Struct, frozen=True):
    """What the books say at a block, read in one snapshot.

    Attributes:
        mark: The block up to which the pool is booked; None: not yet.
        total: Sum of all positions.
        holdings: A vault's tokens of its holders; of a direct pool the same as `total`.
        queued: A vault's tokens that wait to be paid.
        funds: Reward funds by the books.
        stakes: What wallets have, some of them if there are many.
        stopped: Why the pool stands still; empty: it does not.
    """

    mark: Mark | None
    total: int
    holdings: int
    queued: int
    funds: int
    stakes: dict[str, int]
    stopped: str


async def booked_figures(tx: Tx, ledger: Ledger, pool: StakingPool) -> BookedFigures:
    """Read what is to be compared."""
    at = (await load(tx, [pool.pool_id])).get(pool.pool_id)
    ours = accounts.holdings(pool.pool_id, pool.asset)
    queue = accounts.queued(pool.pool_id, pool.asset)
    funds = accounts.reward_funds(pool.pool_id, pool.asset)
    total = stake_total(pool)
    found = await ledger.balances(tx, [total, ours, queue, funds])
    held = await staker_balances(tx, ledger, pool, accounts.STAKED, pool.stake.code)
    stakes = {wallet: balance.posted.units for wallet, balance in sorted(held.items())}
    return BookedFigures(
        mark=None if at is None else mark_at(at.trail, at.booked_number),
        total=found[total].posted.units,
        holdings=found[total if pool.kind is PoolKind.DIRECT else ours].posted.units,
        queued=found[queue].posted.units,
        funds=found[funds].posted.units,
        stakes=dict(list(stakes.items())[:MAX_WALLETS]),
        stopped="" if at is None else at.stopped,
    )


async def check_contracts(
    chain: ChainReader, pool: StakingPool, figures: BookedFigures
) -> list[Row]:
    """Ask the contracts at the booked block.

    Raises:
        RpcError: The chain does not answer, or no longer knows that block's state.
    """
    if figures.mark is None:
        return [unknown("contracts", pool.pool_id, "nothing is booked yet")]
    if figures.stopped:
        return [compare("followed", pool.pool_id, "", figures.stopped, "the pool stands still")]
    asker = _Asker(chain, figures.mark.hash)
    rows = await _check_totals(asker, pool, figures)
    name = "StakingPool" if pool.kind is PoolKind.DIRECT else "Vault"
    function = "balance_of" if pool.kind is PoolKind.DIRECT else "balanceOf"
    compared = [
        compare(
            "position_on_chain",
            wallet,
            await asker.ask(name, pool.contract, function, wallet),
            units,
        )
        for wallet, units in figures.stakes.items()
    ]
    rows += only_drifts("position_on_chain", pool.pool_id, compared, "positions")
    if pool.rewards_contract is not None:
        rows += await _check_funds(asker, pool, pool.rewards_contract, figures)
    return rows


async def _check_totals(asker: _Asker, pool: StakingPool, figures: BookedFigures) -> list[Row]:
    if pool.kind is PoolKind.DIRECT:
        found = await asker.ask("StakingPool", pool.contract, "total_staked")
        return [
            compare("principal_on_chain", pool.pool_id, found, figures.total),
            await _check_tokens(asker, pool, _TOKENS, pool.contract, found),
        ]
    ask = [await asker.ask("Vault", pool.contract, each) for each in _VAULT_TOTALS]
    supply, assets, queued, unclaimed, deployed = ask
    held = max(0, assets + queued + unclaimed - deployed)
    return [
        compare("shares_on_chain", pool.pool_id, supply, figures.total),
        compare("principal_on_chain", pool.pool_id, assets, figures.holdings),
        compare("queue_on_chain", pool.pool_id, queued + unclaimed, figures.queued),
        await _check_tokens(asker, pool, _TOKENS, pool.contract, held),
    ]


_VAULT_TOTALS = (
    "totalSupply",
    "totalAssets",
    "queued_assets",
    "unclaimed_assets",
    "deployed_assets",
)
_TOKENS = "principal_tokens_on_chain"


async def _check_funds(
    asker: _Asker, pool: StakingPool, contract: str, figures: BookedFigures
) -> list[Row]:
    """The contract of the rewards counts what the books say, and has the tokens for it."""
    if pool.kind is PoolKind.DIRECT:
        one, other = [await asker.ask("BatchPayout", contract, each) for each in _PAYOUT_FUNDS]
        counted = one + other
    else:
        one, other = [
            await asker.ask("RewardDistributor", contract, each) for each in _DISTRIBUTOR_FUNDS
        ]
        counted = one - other
    return [
        compare("reward_funds_on_chain", pool.pool_id, figures.funds, counted),
        await _check_tokens(asker, pool, "reward_tokens_on_chain", contract, counted),
    ]


_PAYOUT_FUNDS = ("available", "owed")
_DISTRIBUTOR_FUNDS = ("funded", "claimed_total")


async def _check_tokens(
    asker: _Asker, pool: StakingPool, check: str, contract: str, counted: int
) -> Row:
    """A contract has the tokens that it counts on.

    Somebody may have sent it tokens beside its books, so it may have more.
    """
    token = await asker.ask("BTCD", pool.token.address, "balanceOf", contract)
    why = "tokens of the contract; it may have more than it counts"
    return compare(check, pool.pool_id, counted, min(token, counted), why)


class _Asker:
    """Asks contracts at one block, agreed by the nodes."""

    def __init__(self, chain: ChainReader, block_hash: str) -> None:
        self._chain = chain
        self._block = block_hash

    async def ask(self, name: str, address: str, function: str, *arguments: Any) -> int:
        contract = Contract.named(name, address)
        data = contract.encode(function, *arguments)
        answer = await self._chain.call(address, data, self._block, agreed=True)
        found: int = contract.decode_output(function, answer)
        return found
