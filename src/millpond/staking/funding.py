"""Funding a pool's rewards: the two transactions that do it, under one name.

`approve` sets what the pool's contract may take, and `fund` lets it take that. The
allowance is one number that each `approve` replaces, so that the two of one funding
belong together: they are ordered together, those of another funding wait until they
are over, and what came to nothing is done again with both.
"""

from __future__ import annotations

import re

import msgspec

from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.messages import Caller
from millpond.chains.evm.operations import (
    Operation,
    OperationConflictError,
    Operations,
    OperationState,
    Order,
)
from millpond.chains.evm.tx import Call
from millpond.errors import ConflictError, InvalidInputError
from millpond.staking.pools import PoolKind, StakingPool, lock_pool
from millpond.store import Tx

_ORDER = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def funding_group(pool_id: str, order: str) -> str:
    """What the transactions of a funding are grouped under.

    Raises:
        InvalidInputError: The order's name is no short word.
    """
    if not _ORDER.fullmatch(order):
        raise InvalidInputError("an order is named by a short word")
    return f"{_groups(pool_id)}{order}"


def _groups(pool_id: str) -> str:
    """How the groups of all fundings of a pool begin; no pool's name has a colon."""
    return f"fund:{pool_id}:"


async def order_funding(
    tx: Tx,
    operations: Operations,
    pool: StakingPool,
    amount: int,
    *,
    order: str,
    signer: str,
    actor: str,
) -> list[Operation]:
    """Order the allowance and the funding; given twice it funds once.

    While one of the two is under way, and once the pool is funded, the same order is
    answered as it stands. When both are over and the pool is not funded, both are
    ordered again, the allowance too: another order may have replaced it since.

    Args:
        tx: The transaction.
        operations: Where they are ordered.
        pool: Whose rewards.
        amount: Base units.
        order: Name of this order.
        signer: Whose tokens.
        actor: Who wants it.

    Returns:
        `approve` and `fund`.

    Raises:
        InvalidInputError: An amount or a name that cannot be.
        ConflictError: The pool has no rewards.
        OperationConflictError: The order's name was used for another amount.
        OperationUndecidedError: It was given up after it was sent, and may still happen
            or has happened all the same.
    """
    approve, fund = _orders(pool, amount, order=order, signer=signer)
    await lock_pool(tx, pool.pool_id)
    known = {each.key: each for each in await operations.of_group(tx, approve.group)}
    for each in (approve, fund):
        if each.key in known and known[each.key].what != each.what:
            raise OperationConflictError(
                "that order was given before with another amount", key=each.key
            )
    again = all(each.state is not OperationState.UNDER_WAY for each in known.values()) and (
        fund.key not in known or known[fund.key].state is not OperationState.DONE
    )
    others = await operations.under_way(
        tx, _groups(pool.pool_id), chain_id=pool.chain_id, signer=signer
    )
    behind = tuple(each.intent_id for each in others if each.group != approve.group)
    return [
        await operations.order(
            tx,
            msgspec.structs.replace(approve, behind=behind),
            actor=actor,
            again=again,
            even_done=True,
        ),
        await operations.order(tx, fund, actor=actor, again=again),
    ]


def _orders(pool: StakingPool, amount: int, *, order: str, signer: str) -> tuple[Order, Order]:
    """The allowance, and the funding that waits for it."""
    if amount <= 0:
        raise InvalidInputError("an amount above zero is funded")
    if pool.rewards_contract is None:
        raise ConflictError("the pool gives no rewards", pool=pool.pool_id)
    group = funding_group(pool.pool_id, order)
    name = "RewardDistributor" if pool.kind is PoolKind.VAULT else "BatchPayout"
    token = Contract.named("BTCD", pool.token.address)
    rewards = Contract.named(name, pool.rewards_contract)
    shown = pool.asset.amount(amount)
    approve = Order(
        key=f"{group}:approve",
        group=group,
        what=f"allow {shown}",
        chain_id=pool.chain_id,
        signer=signer,
        call=Call(to=token.address, data=token.encode("approve", rewards.address, amount)),
    )
    fund = msgspec.structs.replace(
        approve,
        key=f"{group}:fund",
        what=f"fund {shown}",
        call=Call(to=rewards.address, data=rewards.encode("fund", amount)),
        after=approve.key,
    )
    return approve, fund


async def check_funds(chain: Caller, pool: StakingPool, amount: int, holder: str) -> None:
    """Hold an amount against what an address has of the pool's token.

    Raises:
        ConflictError: It has less.
        RpcError: The chain does not answer.
    """
    token = Contract.named("BTCD", pool.token.address)
    raw = await chain.call(token.address, token.encode("balanceOf", holder), agreed=True)
    held = int(token.decode_output("balanceOf", raw))
    if held < amount:
        shown = pool.asset.amount
        raise ConflictError(f"{holder} holds {shown(held)}, not {shown(amount)}")
