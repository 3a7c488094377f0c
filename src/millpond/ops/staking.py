"""What an operator does for staking pools by hand: deploy, take into service, fund."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from millpond.chains.evm.address import checksum
from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.operations import Operation, Order
from millpond.chains.evm.tx import Call
from millpond.money.amount import Asset
from millpond.ops.evm import EvmDesk
from millpond.staking.deploy import Deployed, Deployer, Deployment, Roles, Spec
from millpond.staking.deploy.service import Say
from millpond.staking.funding import check_funds, funding_group, order_funding
from millpond.staking.pools import (
    PoolKind,
    StakingPool,
    Token,
    get_pool,
)
from millpond.staking.registering import read_token, take_in, vault_share
from millpond.trail import Trail


@dataclass(frozen=True, slots=True)
class Wish:
    """How a pool is to be, as the commands and the demo say it.

    Attributes:
        pool_id: Its name.
        kind: `direct` or `vault`.
        token: The ERC-20 to stake; None deploys the test token.
        owner, operator, guardian: Addresses; None is this machine's first key.
    """

    pool_id: str
    kind: PoolKind
    token: str | None = None
    owner: str | None = None
    operator: str | None = None
    guardian: str | None = None

    def spec(self, desk: EvmDesk) -> Spec:
        """The same as a deployment on the desk's chain.

        Raises:
            InvalidAddressError: An address is none.
            InvalidInputError: This machine has no key.
        """
        first = desk.room.first_signer

        def address(text: str | None) -> str:
            return first if text is None else checksum(text)

        roles = Roles(
            owner=address(self.owner),
            operator=address(self.operator),
            guardian=address(self.guardian),
        )
        return Spec(
            pool_id=self.pool_id,
            chain_id=desk.room.chain_id,
            kind=self.kind,
            deployer=first,
            roles=roles,
            token=None if self.token is None else checksum(self.token),
        )


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms of a pool as the commands say them; amounts in whole tokens.

    Attributes:
        per_minute: What the pool earns a minute; None: not named, 1 of a new pool.
        epoch_s: Length of an epoch.
        confirmations: Blocks until an event is booked.
        minimum: Least withdrawal; 0: any.
    """

    per_minute: str | None = None
    epoch_s: int = 300
    confirmations: int = 12
    minimum: str = "0"

    def of(self, asset: Asset, now_s: int) -> dict[str, Any]:
        """The same as fields of a pool of `asset`; epochs are counted from now on.

        Raises:
            AmountError: An amount is none of the asset.
        """
        return {
            "reward_per_minute": asset.parse(self.per_minute or "1").units,
            "epoch_s": self.epoch_s,
            "epoch_zero_s": now_s - now_s % self.epoch_s,
            "confirmations": self.confirmations,
            "min_withdrawal": max(1, asset.parse(self.minimum).units),
        }


class StakingDesk:
    """Staking by hand on one chain.

    Args:
        desk: The chain and the database.
        actor: Who; it is written down.
        say: Is told of progress, a line at a time.
    """

    def __init__(self, desk: EvmDesk, *, actor: str, say: Say) -> None:
        self._desk = desk
        self._actor = actor
        self._say = say
        self._trail = Trail(desk.clock)

    async def deploy(self, wish: Wish) -> Deployment:
        """Put a pool's contracts on the chain; what is there already is checked, not made again.

        Raises:
            MillpondError: A step failed, or the chain has something else.
        """
        deployment = await self._deployer().run(wish.spec(self._desk), actor=self._actor)
        await self._record("deploy", wish.pool_id, _contracts(deployment))
        return deployment

    async def take_in(self, wish: Wish, terms: Terms) -> StakingPool:
        """Take a deployed pool into service: from now on it is indexed and shown.

        The same again is answered with the first; what is compared says `registering.as_it_was_made`.

        Args:
            wish: As it was deployed.
            terms: Its terms.

        Raises:
            ConflictError: It is not deployed, or in service with other terms.
        """
        pool = await self._found(wish, terms)
        async with self._desk.store.begin() as tx:
            made, new = await take_in(
                tx,
                self._desk.clock,
                pool,
                rate_named=terms.per_minute is not None,
                zero_named=False,
            )
            if new:
                await self._trail.record(
                    tx, self._actor, "staking.init", pool.pool_id, before={}, after=_facts(made)
                )
        return made

    async def fund(self, pool_id: str, amount: int, *, order: str) -> Operation:
        """Fund a pool's rewards with tokens of this machine's first key.

        Args:
            pool_id: The pool.
            amount: Base units.
            order: Name of this order; given twice it is done once.

        Raises:
            InvalidInputError: An amount or a name that cannot be.
            ConflictError: The pool has no rewards, or the key holds too little; or the order
                was given with another amount, or may still happen after it was given up.
            OperationFailedError: It had no effect; the same order again goes on.
            OperationWaitError: It takes too long, or waits for a person.
        """
        async with self._desk.store.read() as tx:
            pool = await get_pool(tx, pool_id)
        await self._has(pool, amount, order)
        async with self._desk.store.begin() as tx:
            approve, fund = await order_funding(
                tx,
                self._desk.operations,
                pool,
                amount,
                order=order,
                signer=self._desk.room.first_signer,
                actor=self._actor,
            )
        await self._ended(approve.key, "approve")
        done = await self._ended(fund.key, "fund")
        await self._record("fund", pool_id, {"amount": str(amount), "tx_hash": done.tx_hash or ""})
        return done

    async def mint(self, pool_id: str, amount: str, to: str | None) -> Operation:
        """Mint tokens of a pool's test token, whose owner is the key that deployed it.

        Raises:
            OperationFailedError: The token is a real one, or another key's.
        """
        async with self._desk.store.read() as tx:
            pool = await get_pool(tx, pool_id)
        units = pool.asset.parse(amount).units
        receiver = self._desk.room.first_signer if to is None else checksum(to)
        token = Contract.named("BTCD", pool.token.address)
        name = f"mint:{pool_id}:{self._desk.intents.ids.new()}"
        shown = f"mint {pool.asset.amount(units)} for {receiver}"
        done = await self.do(name, "mint", shown, token, "mint", receiver, units)
        facts = {"amount": str(units), "to": receiver, "tx_hash": done.tx_hash or ""}
        await self._record("mint", pool_id, facts)
        return done

    async def do(
        self,
        group: str,
        name: str,
        what: str,
        contract: Contract,
        function: str,
        *arguments: object,
    ) -> Operation:
        """Call a function with this machine's first key, once, and wait until it is final.

        Raises:
            OperationFailedError: It had no effect.
        """
        room = self._desk.room
        order = Order(
            key=f"{group}:{name}",
            group=group,
            what=what,
            chain_id=room.chain_id,
            signer=room.first_signer,
            call=Call(to=contract.address, data=contract.encode(function, *arguments)),
        )
        return await self._follow(order, name)

    async def _follow(self, order: Order, name: str) -> Operation:
        async with self._desk.store.begin() as tx:
            await self._desk.operations.order(tx, order, actor=self._actor, again=True)
        return await self._ended(order.key, name)

    async def _ended(self, key: str, name: str) -> Operation:
        done = (await self._desk.follow(key)).checked()
        self._say(f"{name:<8} {done.what} in block {done.block_number}")
        return done

    def _deployer(self) -> Deployer:
        desk = self._desk
        return Deployer(desk.store, desk.operations, desk.room.nodes, desk.follow, self._say)

    async def _found(self, wish: Wish, terms: Terms) -> StakingPool:
        spec = wish.spec(self._desk)
        deployment = await self._deployer().found(spec)
        address = spec.token or deployment.address("token")
        token = await read_token(self._desk.room.nodes, self._desk.room.chain_id, address)
        start = min(each.block_number for each in deployment.contracts)
        now_s = self._desk.clock.now_ms() // 1000
        return pool_of(deployment, token, start, terms.of(token.asset, now_s))

    async def _has(self, pool: StakingPool, amount: int, order: str) -> None:
        async with self._desk.store.read() as tx:
            if await self._desk.operations.of_group(tx, funding_group(pool.pool_id, order)):
                return  # it goes on where it stood; the tokens may have gone already
        await check_funds(self._desk.room.nodes, pool, amount, self._desk.room.first_signer)

    async def _record(self, act: str, pool_id: str, after: dict[str, str]) -> None:
        """Write down what was done; what was only found done already is on the trail."""
        action = f"staking.{act}"
        async with self._desk.store.begin() as tx:
            told = await self._trail.read(tx, subject=pool_id, action=action)
            if all(entry.after != after for entry in told):
                await self._trail.record(tx, self._actor, action, pool_id, before={}, after=after)


def pool_of(
    deployment: Deployment, token: Token, start_block: int, terms: Mapping[str, Any]
) -> StakingPool:
    """The pool that a deployment makes."""
    spec = deployment.spec
    contract = deployment.address("pool")
    share = None
    if spec.kind is PoolKind.VAULT:
        share = vault_share(token, contract, f"st{spec.symbol}")
    return StakingPool(
        pool_id=spec.pool_id,
        kind=spec.kind,
        chain_id=spec.chain_id,
        token=token,
        share=share,
        contract=contract,
        rewards_contract=deployment.address("rewards"),
        start_block=start_block,
        **terms,
    )


def _contracts(deployment: Deployment) -> dict[str, str]:
    def told(each: Deployed) -> str:
        return f"{each.address} {each.code_sha256}"

    return {each.step: told(each) for each in deployment.contracts}


def _facts(pool: StakingPool) -> dict[str, str]:
    return {
        "kind": pool.kind.value,
        "contract": pool.contract,
        "rewards_contract": pool.rewards_contract or "",
        "token": pool.token.address,
        "reward_per_minute": str(pool.reward_per_minute),
    }
