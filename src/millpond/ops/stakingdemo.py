"""Two pools and two stakers on the embedded EVM chain, for a first look.

Everything goes the way that an operator and stakers would go: deployed, taken
into service and funded by the commands' own functions, deposited by
transactions of the stakers' keys. Each step is an order under a name, so that a
demo that was interrupted goes on where it stood.
"""

from __future__ import annotations

from collections.abc import Callable

from millpond.chains.devevm.params import DEV_KEYS
from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.operations import Order
from millpond.chains.evm.signers import KeySigner
from millpond.chains.evm.tx import Call
from millpond.ops.evm import EvmDesk
from millpond.ops.staking import StakingDesk, Terms, Wish
from millpond.staking.pools import PoolKind, StakingPool

DIRECT = "btcd-main-pool"
VAULT = "btcd-vault"
_TERMS = Terms(per_minute="0.01", epoch_s=30, confirmations=2)
_TOKEN = 10**18
_STAKES = ((1, 40_000), (2, 10_000))
"""Number of a key, and tokens that it puts into each pool: 10.5 % a year for all."""


async def set_up(desk: EvmDesk, say: Callable[[str], None]) -> None:
    """Bring the demo to where it runs by itself; done already, it only looks.

    Raises:
        MillpondError: A step failed.
    """
    by_hand = StakingDesk(desk, actor="demo", say=say)
    await by_hand.deploy(Wish(DIRECT, PoolKind.DIRECT))
    direct = await by_hand.take_in(Wish(DIRECT, PoolKind.DIRECT), _TERMS)
    token = direct.token.address
    wish = Wish(VAULT, PoolKind.VAULT, token=token)
    await by_hand.deploy(wish)
    vault = await by_hand.take_in(wish, _TERMS)
    btcd = Contract.named("BTCD", token)
    await by_hand.do(
        "demo:mint", "operator", "mint", btcd, "mint", desk.room.first_signer, 20_000 * _TOKEN
    )
    for pool in (direct, vault):
        await by_hand.fund(pool.pool_id, 10_000 * _TOKEN, order="demo")
    for number, tokens in _STAKES:
        staker = KeySigner(bytes.fromhex(DEV_KEYS[number])).address
        await by_hand.do(
            f"demo:mint:{number}", "mint", "mint", btcd, "mint", staker, 10 * tokens * _TOKEN
        )
        for pool in (direct, vault):
            await _stake(desk, pool, staker, tokens * _TOKEN)


async def _stake(desk: EvmDesk, pool: StakingPool, staker: str, amount: int) -> None:
    """Approve and deposit with the staker's own key."""
    token = Contract.named("BTCD", pool.token.address)
    if pool.kind is PoolKind.VAULT:
        data = Contract.named("Vault", pool.contract).encode("deposit", amount, staker)
    else:
        data = Contract.named("StakingPool", pool.contract).encode("deposit", amount)
    group = f"demo:stake:{pool.pool_id}:{staker}"
    approve = Call(to=token.address, data=token.encode("approve", pool.contract, amount))
    for name, call in (("approve", approve), ("deposit", Call(to=pool.contract, data=data))):
        order = Order(
            key=f"{group}:{name}",
            group=group,
            what=f"{name} for {pool.pool_id}",
            chain_id=pool.chain_id,
            signer=staker,
            call=call,
        )
        async with desk.store.begin() as tx:
            await desk.operations.order(tx, order, actor="demo", again=True)
        (await desk.follow(order.key)).checked()
