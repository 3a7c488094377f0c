"""Running the staking part of the audit."""

from __future__ import annotations

from collections.abc import Mapping

from millpond.chains.evm.errors import AbiError, EquivocationError, RpcError
from millpond.money.ledger import Ledger
from millpond.money.report import Row, unknown
from millpond.staking.audit.books import check_books
from millpond.staking.audit.chain import booked_figures, check_contracts
from millpond.staking.following import ChainReader
from millpond.staking.pools import StakingPool, list_pools
from millpond.store import Store


async def audit_pools(store: Store, ledger: Ledger, chains: Mapping[int, ChainReader]) -> list[Row]:
    """Compare every pool's books with its events, withdrawals and contracts.

    Args:
        store: The database.
        ledger: The ledger.
        chains: Nodes by chain id; a pool of another chain is `unknown`.

    Returns:
        Rows like those of the mining audit, to stand in one report with them.
    """
    async with store.read() as tx:
        pools = await list_pools(tx)
    rows: list[Row] = []
    for pool in pools:
        rows += await audit_pool(store, ledger, chains, pool)
    return rows


async def audit_pool(
    store: Store, ledger: Ledger, chains: Mapping[int, ChainReader], pool: StakingPool
) -> list[Row]:
    """Compare one pool's books; the rows are about the pool or about wallets in it."""
    async with store.read() as tx:
        rows = await check_books(tx, ledger, pool)
        figures = await booked_figures(tx, ledger, pool)
    chain = chains.get(pool.chain_id)
    if chain is None:
        return [*rows, unknown("contracts", pool.pool_id, "no node of this chain is set")]
    try:
        return rows + await check_contracts(chain, pool, figures)
    except (RpcError, EquivocationError, AbiError) as error:
        return [*rows, unknown("contracts", pool.pool_id, error.message)]
