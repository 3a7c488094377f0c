"""Limits and pauses that stand in a pool's contracts, for the risk engine (`ChainLimits`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.types import Block
from millpond.errors import UnavailableError
from millpond.risk import Function
from millpond.risk.chain import ChainReading
from millpond.risk.model import Limits
from millpond.staking.following import ChainReader
from millpond.staking.pools import PoolKind, StakingPool, get_pool
from millpond.store import Store

_PAUSES = {
    PoolKind.DIRECT: {Function.DEPOSIT: 1, Function.WITHDRAW: 4},
    PoolKind.VAULT: {Function.DEPOSIT: 1, Function.WITHDRAW: 2},
}
"""Bits of `paused` in StakingPool and Vault; the platform pays out of a direct pool by PAY."""


class LimitReader(ChainReader, Protocol):
    """What is needed of `millpond.chains.evm.nodes.Nodes`."""

    async def head(self, *, agreed: bool = False) -> Block:
        """The newest block."""


class ContractLimits:
    """Reads what the contracts of a pool allow, agreed by the nodes at one block.

    Args:
        store: Where the pools are.
        chains: Nodes by chain id.
    """

    def __init__(self, store: Store, chains: Mapping[int, LimitReader]) -> None:
        self._store = store
        self._chains = chains

    async def read(self, pool_id: str) -> ChainReading:
        """Ask the contracts of one pool.

        Raises:
            MillpondError: They do not answer, or contradict each other.
        """
        async with self._store.read() as tx:
            pool = await get_pool(tx, pool_id)
        chain = self._chains.get(pool.chain_id)
        if chain is None:
            raise UnavailableError(f"chain {pool.chain_id} is not configured")
        head = await chain.head(agreed=True)
        asker = _Asker(chain, head.hash)
        return ChainReading(
            asset=pool.asset.code,
            limits=await _limits(asker, pool),
            paused=await _paused(asker, pool),
            block=head.number,
        )


class _Asker:
    def __init__(self, chain: ChainReader, block: str) -> None:
        self._chain = chain
        self._block = block

    async def ask(self, name: str, address: str, function: str, *arguments: Any) -> Any:
        contract = Contract.named(name, address)
        data = contract.encode(function, *arguments)
        answer = await self._chain.call(address, data, self._block, agreed=True)
        return contract.decode_output(function, answer)


async def _paused(asker: _Asker, pool: StakingPool) -> frozenset[Function]:
    name = "StakingPool" if pool.kind is PoolKind.DIRECT else "Vault"
    found = set()
    for function, flag in _PAUSES[pool.kind].items():
        if await asker.ask(name, pool.contract, "paused", flag):
            found.add(function)
    return frozenset(found)


async def _limits(asker: _Asker, pool: StakingPool) -> Limits:
    """A vault's limits in its RiskEngine, zero being none; a direct pool has none on chain."""
    if pool.kind is PoolKind.DIRECT:
        return Limits()
    engine = await asker.ask("Vault", pool.contract, "risk")
    values = await asker.ask("RiskEngine", engine, "limits", pool.contract)
    tvl_cap, deposit_cap, user_cap, total_24h, user_24h = (value or None for value in values)
    return Limits(
        tvl_cap=tvl_cap,
        deposit_cap=deposit_cap,
        user_cap=user_cap,
        total_24h=total_24h,
        user_24h=user_24h,
    )
