"""Funding a pool's rewards: the two transactions that do it, under one name."""

from __future__ import annotations

import re

from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.messages import Caller
from millpond.chains.evm.operations import Order
from millpond.chains.evm.tx import Call
from millpond.errors import ConflictError, InvalidInputError
from millpond.staking.pools import PoolKind, StakingPool

_ORDER = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def funding_group(pool_id: str, order: str) -> str:
    """What the transactions of a funding are grouped under.

    Raises:
        InvalidInputError: The order's name is no short word.
    """
    if not _ORDER.fullmatch(order):
        raise InvalidInputError("an order is named by a short word")
    return f"fund:{pool_id}:{order}"


def funding_orders(pool: StakingPool, amount: int, *, order: str, signer: str) -> list[Order]:
    """The allowance and the funding; the second waits for the first, so order both at once.

    Args:
        pool: Whose rewards.
        amount: Base units.
        order: Name of this order; given twice it is done once.
        signer: Whose tokens.

    Raises:
        InvalidInputError: An amount or a name that cannot be.
        ConflictError: The pool has no rewards.
    """
    if amount <= 0:
        raise InvalidInputError("an amount above zero is funded")
    if pool.rewards_contract is None:
        raise ConflictError("the pool gives no rewards", pool=pool.pool_id)
    group = funding_group(pool.pool_id, order)
    name = "RewardDistributor" if pool.kind is PoolKind.VAULT else "BatchPayout"
    token = Contract.named("BTCD", pool.token.address)
    rewards = Contract.named(name, pool.rewards_contract)
    shown = pool.asset.amount(amount)
    approve = Call(to=token.address, data=token.encode("approve", rewards.address, amount))
    fund = Call(to=rewards.address, data=rewards.encode("fund", amount))
    return [
        Order(
            key=f"{group}:{step}",
            group=group,
            what=what,
            chain_id=pool.chain_id,
            signer=signer,
            call=call,
            after=after,
        )
        for step, what, call, after in (
            ("approve", f"allow {shown}", approve, ""),
            ("fund", f"fund {shown}", fund, f"{group}:approve"),
        )
    ]


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
