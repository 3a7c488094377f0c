"""Taking a pool that stands on a chain into service: what its contracts say of themselves."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from sqlalchemy import select

from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.errors import AbiError, RevertedError
from millpond.chains.evm.messages import Caller
from millpond.clock import Clock
from millpond.errors import InvalidInputError
from millpond.money.tables import assets as ledger_asset
from millpond.staking.errors import PoolConflictError
from millpond.staking.pools import PoolKind, StakingPool, Token, create_pool, list_pools
from millpond.staking.rewards.weights import first_rate
from millpond.staking.tables import asset_table
from millpond.store import Tx

VAULT_OFFSET = 6
"""Decimals that a vault's shares have beyond its token's (`contracts/src/Vault.vy`)."""


_NO_CODE = re.compile(r"[^A-Za-z0-9._-]", re.ASCII)
_MAX_CODE = 32
_MAX_SYMBOL = 32
_MAX_DECIMALS = 36


class TokenDecimalsError(InvalidInputError):
    """A token has more decimals than the books can write."""

    code = "staking_token_decimals"


async def named(tx: Tx, pool: StakingPool) -> StakingPool:
    """The pool with the codes under which its token and shares are in the books.

    What has a code keeps it. A symbol that another contract or another currency of
    the platform has already is told apart by the beginning of the address.
    """
    token = msgspec.structs.replace(pool.token, code=await _code_of(tx, pool.token))
    if pool.share is None:
        return msgspec.structs.replace(pool, token=token)
    share = msgspec.structs.replace(pool.share, code=await _code_of(tx, pool.share))
    return msgspec.structs.replace(pool, token=token, share=share)


async def _code_of(tx: Tx, token: Token) -> str:
    known = select(asset_table.c.code).where(
        asset_table.c.chain_id == token.chain_id, asset_table.c.token == token.address
    )
    found: str | None = (await tx.execute(known)).scalar()
    if found is not None:
        return found
    for column in (asset_table.c.code, ledger_asset.c.code):
        if (await tx.execute(select(column).where(column == token.code))).first() is not None:
            suffix = f"-{token.chain_id}-{token.address[2:10].lower()}"
            return token.code[: _MAX_CODE - len(suffix)] + suffix
    return token.code


async def as_it_was_made(
    tx: Tx, pool: StakingPool, *, rate_named: bool, zero_named: bool
) -> StakingPool:
    """A description of a pool for `create_pool`, so that the same one again is the same pool.

    Of a pool that is there already, what an operator may have changed since is not compared,
    and what the description leaves open is as the pool has it. Compared are: the rate, if
    it is named, with the one that the pool was made with, as far as that can be told; when
    epoch 0 begins, if it is named; and by `create_pool` everything else but the weight.

    Args:
        tx: The transaction.
        pool: As described, with defaults for what is not named.
        rate_named: Whether its rate was named.
        zero_named: Whether it was named when epoch 0 begins.

    Raises:
        PoolConflictError: The pool was made with another rate.
    """
    known = next((each for each in await list_pools(tx) if each.pool_id == pool.pool_id), None)
    if known is None:
        return pool
    first = await first_rate(tx, known)
    if rate_named and first is not None and first != pool.reward_per_minute:
        raise PoolConflictError("the pool was made with another rate", pool=pool.pool_id)
    return msgspec.structs.replace(
        pool,
        epoch_zero_s=pool.epoch_zero_s if zero_named else known.epoch_zero_s,
        reward_per_minute=known.reward_per_minute,
        weight_ppm=known.weight_ppm,
    )


async def take_in(
    tx: Tx, clock: Clock, pool: StakingPool, *, rate_named: bool, zero_named: bool
) -> tuple[StakingPool, bool]:
    """Take a described pool into service; the same one again is answered with the first.

    Args:
        tx: A write transaction.
        clock: Time.
        pool: As described, with defaults for what is not named.
        rate_named: Whether its rate was named; see `as_it_was_made`.
        zero_named: Whether it was named when epoch 0 begins.

    Returns:
        The pool, and whether it is new.

    Raises:
        PoolTermsError: Terms that no pool can have.
        PoolConflictError: A pool, a code or a contract is used with other terms.
    """
    known = {each.pool_id for each in await list_pools(tx)}
    described = await as_it_was_made(
        tx, await named(tx, pool), rate_named=rate_named, zero_named=zero_named
    )
    return await create_pool(tx, described, clock), pool.pool_id not in known


def code_for(symbol: str) -> str:
    """A symbol as the books can write it: some tokens have characters that codes have not."""
    return _NO_CODE.sub("", symbol)[:_MAX_CODE] or "token"


def symbol_of(answer: str) -> str:
    """A symbol as it can be shown: contracts may answer anything, of any length.

    What is not printable is left out; that is also what turns the direction of writing.
    """
    shown = "".join(each for each in answer if each.isprintable())
    return shown.strip()[:_MAX_SYMBOL].strip() or "token"


async def read_token(chain: Caller, chain_id: int, address: str) -> Token:
    """What a token says of itself; `named` gives it a code of its own in the books.

    Raises:
        InvalidInputError: It does not answer as an ERC-20 does.
        TokenDecimalsError: It has more decimals than the books can write.
        RpcError: The chain does not answer.
    """
    token = Contract.named("BTCD", address)
    answer, decimals = [await _ask(chain, token, name) for name in ("symbol", "decimals")]
    symbol = symbol_of(str(answer))
    return Token(code_for(symbol), symbol, _few("the token", int(decimals)), chain_id, address)


def _few(what: str, decimals: int) -> int:
    if decimals > _MAX_DECIMALS:
        raise TokenDecimalsError(
            f"{what} would have {decimals} decimals; at most {_MAX_DECIMALS} can be kept"
        )
    return decimals


def vault_share(token: Token, contract: str, symbol: str) -> Token:
    """A vault's shares, called `symbol` there, as an asset of the ledger.

    Raises:
        TokenDecimalsError: They have more decimals than the books can write.
    """
    return Token(
        f"st{token.code}"[:_MAX_CODE],
        symbol_of(symbol),
        _few("the vault's shares", token.decimals + VAULT_OFFSET),
        token.chain_id,
        contract,
    )


async def read_share(chain: Caller, token: Token, contract: str) -> Token:
    """What a vault says of its shares.

    Raises:
        InvalidInputError: It does not answer as a vault does.
        TokenDecimalsError: Its shares have more decimals than the books can write.
        RpcError: The chain does not answer.
    """
    symbol = await _ask(chain, Contract.named("Vault", contract), "symbol")
    return vault_share(token, contract, str(symbol))


async def check_contracts(chain: Caller, pool: StakingPool) -> None:
    """Hold a pool's contracts against its terms.

    Raises:
        InvalidInputError: They are of another token, or no such contracts.
        RpcError: The chain does not answer.
    """
    vault = pool.kind is PoolKind.VAULT
    stands = Contract.named("Vault" if vault else "StakingPool", pool.contract)
    if await _ask(chain, stands, "asset") != pool.token.address:
        raise InvalidInputError("the pool's contract holds another token")
    if pool.share is not None and await _ask(chain, stands, "decimals") != pool.share.decimals:
        raise InvalidInputError("the vault's shares have other decimals")
    if pool.rewards_contract is None:
        return
    pays = Contract.named("RewardDistributor" if vault else "BatchPayout", pool.rewards_contract)
    if await _ask(chain, pays, "token") != pool.token.address:
        raise InvalidInputError("the rewards' contract pays another token")


async def _ask(chain: Caller, contract: Contract, function: str) -> Any:
    """One answer that the nodes agree about."""
    try:
        answer = await chain.call(contract.address, contract.encode(function), agreed=True)
        return contract.decode_output(function, answer)
    except (AbiError, RevertedError) as error:
        raise InvalidInputError(
            f"{contract.address} does not answer {function} as such a contract does"
        ) from error
