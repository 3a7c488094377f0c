"""Staking pools as rows: any number, on any chains, of any tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import select, update

from millpond.clock import Clock
from millpond.money.amount import Asset
from millpond.staking.errors import PoolConflictError, PoolNotFoundError, PoolTermsError
from millpond.staking.tables import asset_table, pool_table
from millpond.store import Tx
from millpond.store.sql import insert_or_ignore

PRODUCT = "staking"
"""What the risk engine calls all staking pools together."""

PPM = 1_000_000
"""Weights are whole millionths: a weight of 1 is 1,000,000."""

MAX_CONFIRMATIONS = 100
MAX_POOLS = 1_000

_POOL_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}", re.ASCII)
_CODE = re.compile(r"[A-Za-z0-9._-]{1,32}", re.ASCII)


class PoolKind(StrEnum):
    """Which contracts a pool stands on; see docs/staking.md."""

    DIRECT = "direct"
    VAULT = "vault"


class PoolState(StrEnum):
    """Whether a pool takes deposits and distributes rewards. Exits are open in all of them."""

    ACTIVE = "active"
    PAUSED = "paused"
    CLOSED = "closed"


class Token(msgspec.Struct, frozen=True):
    """An ERC-20 contract, and the one code that the ledger has for it.

    Attributes:
        code: Code of the ledger's asset; belongs to this contract alone.
        symbol: What the contract calls itself; others may use the same.
        decimals: Decimal places of one whole token.
        chain_id: EIP-155 chain id.
        address: The contract, EIP-55 checksummed.
    """

    code: str
    symbol: str
    decimals: int
    chain_id: int
    address: str

    @property
    def asset(self) -> Asset:
        """The ledger's asset."""
        return Asset(self.code, self.decimals)


class StakingPool(msgspec.Struct, frozen=True, kw_only=True):
    """One pool and its terms; amounts in the token's base units (wei).

    Attributes:
        pool_id: Such as `btcd-main-pool`.
        kind: `direct` or `vault`.
        chain_id: EIP-155 chain id.
        token: What is staked, and what rewards are paid in.
        share: A vault's own shares; None for a direct pool.
        contract: `StakingPool` or `Vault`, EIP-55 checksummed.
        rewards_contract: Holds the reward funds and pays rewards: `BatchPayout` of
            a direct pool, `RewardDistributor` of a vault; None: no rewards.
        start_block: First block whose events count.
        confirmations: How deep an event is booked; 1 is the head itself.
        reward_per_minute: Tokens' base units for the whole pool.
        epoch_s: Length of an epoch.
        epoch_zero_s: Unix seconds at which epoch 0 begins.
        weight_ppm: Share of a common emission, in millionths.
        min_withdrawal: Smallest withdrawal that can be asked for.
        state: Whether it takes deposits.
        created_ms: When it was made.
        updated_ms: When its terms changed last.
    """

    pool_id: str
    kind: PoolKind
    chain_id: int
    token: Token
    share: Token | None = None
    contract: str
    rewards_contract: str | None = None
    start_block: int = 0
    confirmations: int = 12
    reward_per_minute: int = 0
    epoch_s: int = 300
    epoch_zero_s: int = 0
    weight_ppm: int = PPM
    min_withdrawal: int = 1
    state: PoolState = PoolState.ACTIVE
    created_ms: int = 0
    updated_ms: int = 0

    @property
    def asset(self) -> Asset:
        """The ledger's asset of what is staked and paid as reward."""
        return self.token.asset

    @property
    def stake(self) -> Asset:
        """The ledger's asset of a position: the token, or a vault's share."""
        return self.token.asset if self.share is None else self.share.asset

    @property
    def addresses(self) -> tuple[str, ...]:
        """The contracts whose events concern the pool."""
        if self.rewards_contract is None:
            return (self.contract,)
        return (self.contract, self.rewards_contract)


async def get_pool(tx: Tx, pool_id: str) -> StakingPool:
    """Read one pool.

    Raises:
        PoolNotFoundError: There is none.
    """
    found = await _select(tx, pool_table.c.pool_id == pool_id)
    if not found:
        raise PoolNotFoundError("no staking pool has that identifier", pool=pool_id[:64])
    return found[0]


async def lock_pool(tx: Tx, pool_id: str) -> None:
    """Keep others who lock or change the pool's row waiting until the transaction ends."""
    row = select(pool_table.c.pool_id).where(pool_table.c.pool_id == pool_id)
    await tx.execute(row.with_for_update(key_share=True))


async def list_pools(tx: Tx, *, chain_id: int | None = None) -> list[StakingPool]:
    """All pools, or those of one chain, by identifier."""
    where = pool_table.c.pool_id != ""
    return await _select(tx, where if chain_id is None else pool_table.c.chain_id == chain_id)


async def create_pool(tx: Tx, pool: StakingPool, clock: Clock) -> StakingPool:
    """Write a new pool with its assets; the same pool again is answered with the first.

    Raises:
        PoolTermsError: Terms that no pool can have.
        PoolConflictError: A pool, a code or a contract is used with other terms.
    """
    check_terms(pool)
    now_ms = clock.now_ms()
    for token in (pool.token, pool.share):
        if token is not None:
            await _register(tx, token)
    wanted = msgspec.structs.replace(pool, created_ms=now_ms, updated_ms=now_ms)
    written = await tx.execute(insert_or_ignore(tx, pool_table).values(_values(wanted)))
    if written.rowcount == 1:
        return wanted
    earlier = await _select(tx, pool_table.c.pool_id == pool.pool_id)
    if not earlier:
        raise PoolConflictError("another pool has this contract", pool=pool.pool_id)
    found = msgspec.structs.replace(
        earlier[0], created_ms=now_ms, updated_ms=now_ms, state=pool.state
    )
    asked, there = _values(wanted), _values(found)
    other = [
        f"{name} is {there[name]}, not {asked[name]}"
        for name in asked
        if asked[name] != there[name]
    ]
    if other:
        raise PoolConflictError(
            f"the pool's name is used with other terms: {'; '.join(other)}", pool=pool.pool_id
        )
    return earlier[0]


async def change_pool(tx: Tx, pool_id: str, clock: Clock, **terms: Any) -> StakingPool:
    """Change terms that may change: rate, weight, minimum, state, epoch length, confirmations.

    Raises:
        PoolNotFoundError: There is none.
        PoolTermsError: Terms that no pool can have.
    """
    fixed = sorted(terms.keys() - _CHANGEABLE)
    if fixed:
        raise PoolTermsError(f"a pool's {fixed[0]} does not change")
    changed = msgspec.structs.replace(
        await get_pool(tx, pool_id), updated_ms=clock.now_ms(), **terms
    )
    check_terms(changed)
    await tx.execute(
        update(pool_table).where(pool_table.c.pool_id == pool_id).values(_values(changed))
    )
    return changed


_CHANGEABLE = frozenset(
    {"reward_per_minute", "weight_ppm", "min_withdrawal", "state", "confirmations"}
)


def check_terms(pool: StakingPool) -> None:
    """Hold a pool's terms against what a pool can be.

    Raises:
        PoolTermsError: With the first rule that is broken.
    """
    for holds, sentence in (
        (_POOL_ID.fullmatch(pool.pool_id), "a pool's name is a short lower-case word"),
        (_CODE.fullmatch(pool.token.code), "an asset code is a short word"),
        (0 <= pool.token.decimals <= 36, "a token has 0 to 36 decimals"),
        (pool.token.chain_id == pool.chain_id, "a pool's token is on the pool's chain"),
        ((pool.kind is PoolKind.VAULT) == (pool.share is not None), "a vault has shares"),
        (1 <= pool.confirmations <= MAX_CONFIRMATIONS, "1 to 100 confirmations"),
        (pool.reward_per_minute >= 0, "a reward rate is not negative"),
        (pool.epoch_s > 0, "an epoch lasts a second at least"),
        (0 <= pool.weight_ppm <= PPM, "a weight is between 0 and 1"),
        (pool.min_withdrawal >= 1, "a withdrawal is one unit at least"),
        (pool.start_block >= 0, "blocks are counted from 0"),
        (pool.contract != pool.rewards_contract, "two contracts have two addresses"),
    ):
        if not holds:
            raise PoolTermsError(sentence, pool=pool.pool_id[:64])


async def _register(tx: Tx, token: Token) -> None:
    """Bind a code to its contract for ever."""
    values = {
        "code": token.code,
        "symbol": token.symbol,
        "decimals": token.decimals,
        "chain_id": token.chain_id,
        "token": token.address,
    }
    await tx.execute(insert_or_ignore(tx, asset_table).values(values))
    row = (
        (await tx.execute(select(asset_table).where(asset_table.c.code == token.code)))
        .mappings()
        .first()
    )
    if row is None or dict(row) != values:
        raise PoolConflictError(
            "an asset code belongs to one contract, and a contract has one code", code=token.code
        )


def _values(pool: StakingPool) -> dict[str, Any]:
    values = msgspec.structs.asdict(pool)
    token, share = values.pop("token"), values.pop("share")
    return values | {
        "asset": token.code,
        "share": None if share is None else share.code,
        "kind": pool.kind.value,
        "state": pool.state.value,
    }


async def _select(tx: Tx, where: Any) -> list[StakingPool]:
    query = select(pool_table).where(where).order_by(pool_table.c.pool_id).limit(MAX_POOLS)
    found = [dict(row) for row in (await tx.execute(query)).mappings()]
    codes = {row["asset"] for row in found} | {row["share"] for row in found if row["share"]}
    tokens = await _tokens(tx, sorted(codes))
    return [_pool(row, tokens) for row in found]


async def _tokens(tx: Tx, codes: Sequence[str]) -> dict[str, Token]:
    query = select(asset_table).where(asset_table.c.code.in_(codes))
    return {
        row["code"]: Token(
            row["code"], row["symbol"], row["decimals"], row["chain_id"], row["token"]
        )
        for row in (await tx.execute(query)).mappings()
    }


def _pool(row: dict[str, Any], tokens: dict[str, Token]) -> StakingPool:
    asset, share = row.pop("asset"), row.pop("share")
    row["kind"], row["state"] = PoolKind(row["kind"]), PoolState(row["state"])
    return StakingPool(token=tokens[asset], share=tokens[share] if share else None, **row)
