"""Carrying out a plan, one operation a step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from millpond.chains.evm.contracts import Contract, artifact
from millpond.chains.evm.operations import Operation, Operations, Order
from millpond.chains.evm.tx import Call
from millpond.errors import ConflictError, InvalidInputError
from millpond.staking.deploy.checks import Chain, check_answers, check_code
from millpond.staking.deploy.model import ByHand, Deployed, Deployment, Ref, Spec, Step
from millpond.staking.deploy.plan import plan
from millpond.staking.pools import PoolKind
from millpond.staking.registering import read_token, vault_share
from millpond.store import Store

Follow = Callable[[str], Awaitable[Operation]]
"""Waits until the operation of a key is over."""

Say = Callable[[str], None]


def group_of(spec: Spec) -> str:
    """The group of a deployment's operations."""
    return f"deploy:{spec.chain_id}:{spec.pool_id}"


class Deployer:
    """Deploys pools.

    Args:
        store: The database.
        operations: Where steps are ordered.
        chain: The chain's nodes.
        follow: Waits for a step.
        say: Is told of each step.
    """

    def __init__(
        self, store: Store, operations: Operations, chain: Chain, follow: Follow, say: Say
    ) -> None:
        self._store = store
        self._operations = operations
        self._chain = chain
        self._follow = follow
        self._say = say

    async def run(self, spec: Spec, *, actor: str) -> Deployment:
        """Make what is not made yet, check all of it, and say what is left for others.

        Raises:
            OperationFailedError: A step failed; run again to try it once more.
            CodeMismatchError: The chain has something else than was asked for.
            InvalidInputError: No token stands at the address given, or one that no pool can have.
        """
        if spec.token is not None:
            await self._check_token(spec, spec.token)
        made: dict[str, Deployed] = {}
        by_hand: list[ByHand] = []
        for step in plan(spec):
            if step.by_owner and spec.roles.owner != spec.deployer:
                by_hand.append(_by_hand(spec, step, made))
                self._say(f"{step.name:<8} left for {spec.roles.owner}: {step.what}")
                continue
            operation = await self._do(spec, step, made, actor)
            if step.target is None:
                made[step.name] = await self._checked(spec, step, operation, made)
        return Deployment(spec=spec, contracts=tuple(made.values()), by_hand=tuple(by_hand))

    async def found(self, spec: Spec) -> Deployment:
        """What was deployed before, read from the database and held against the chain.

        Raises:
            ConflictError: Not all of it was deployed.
        """
        made: dict[str, Deployed] = {}
        async with self._store.read() as tx:
            done = {each.key: each for each in await self._operations.of_group(tx, group_of(spec))}
        for step in plan(spec):
            if step.target is not None:
                continue
            operation = done.get(_key(spec, step))
            if operation is None or operation.contract is None:
                raise ConflictError(
                    f"{step.what} of {spec.pool_id} ({spec.kind.value}) is not deployed; run "
                    f"`millpond deploy staking --pool {spec.pool_id}` with the same options first",
                    pool=spec.pool_id,
                )
            made[step.name] = await self._checked(spec, step, operation, made)
        return Deployment(spec=spec, contracts=tuple(made.values()), by_hand=())

    async def _do(self, spec: Spec, step: Step, made: dict[str, Deployed], actor: str) -> Operation:
        order = _order(spec, step, made)
        async with self._store.begin() as tx:
            operation = await self._operations.order(tx, order, actor=actor, again=True)
        if operation.ended_ms is None:
            self._say(f"{step.name:<8} {step.what} …")
        done = (await self._follow(order.key)).checked()
        where = done.contract or done.target
        self._say(f"{step.name:<8} {where} in block {done.block_number}, {done.gas_used} gas")
        return done

    async def _checked(
        self, spec: Spec, step: Step, operation: Operation, made: dict[str, Deployed]
    ) -> Deployed:
        assert operation.contract is not None, "a contract was made"
        assert operation.tx_hash is not None, "by a transaction"
        code_sha256 = await check_code(self._chain, artifact(step.artifact), operation.contract)
        contract = Contract.named(step.artifact, operation.contract)
        await check_answers(self._chain, contract, _expected(spec, step, made))
        return Deployed(
            step=step.name,
            artifact=step.artifact,
            address=operation.contract,
            tx_hash=operation.tx_hash,
            block_number=operation.block_number or 0,
            code_sha256=code_sha256,
            gas_used=operation.gas_used or 0,
        )

    async def _check_token(self, spec: Spec, address: str) -> None:
        """Refuse, before anything is paid for, what could not be taken into service.

        Raises:
            InvalidInputError: Nothing stands there, or no ERC-20, or one with too many decimals.
            RpcError: The chain does not answer.
        """
        if not await self._chain.code(address, agreed=True):
            raise InvalidInputError(f"no contract stands at {address}")
        token = await read_token(self._chain, spec.chain_id, address)
        if spec.kind is PoolKind.VAULT:
            vault_share(token, address, token.symbol)


def _key(spec: Spec, step: Step) -> str:
    return f"{group_of(spec)}:{step.name}"


def _order(spec: Spec, step: Step, made: dict[str, Deployed]) -> Order:
    arguments = _resolved(step.arguments, made)
    compiled = artifact(step.artifact)
    if step.target is None:
        code = bytes.fromhex(compiled.bytecode.removeprefix("0x"))
        call = Call(
            to=None, data=code + Contract(None, compiled.abi).encode_constructor(*arguments)
        )
    else:
        call = _call(step, made)
    return Order(
        key=_key(spec, step),
        group=group_of(spec),
        what=f"{spec.pool_id}: {step.what}",
        chain_id=spec.chain_id,
        signer=spec.deployer,
        call=call,
        artifact="" if step.target else step.artifact,
    )


def _call(step: Step, made: dict[str, Deployed]) -> Call:
    assert step.target is not None, "it calls something"
    contract = Contract.named(step.artifact, made[step.target].address)
    data = contract.encode(step.function, *_resolved(step.arguments, made))
    return Call(to=contract.address, data=data)


def _by_hand(spec: Spec, step: Step, made: dict[str, Deployed]) -> ByHand:
    call = _call(step, made)
    assert call.to is not None, "it calls a contract"
    return ByHand(what=step.what, sender=spec.roles.owner, to=call.to, data="0x" + call.data.hex())


def _resolved(arguments: tuple[Any, ...], made: dict[str, Deployed]) -> tuple[Any, ...]:
    """The arguments with addresses in place of references."""

    def one(value: Any) -> Any:
        if isinstance(value, Ref):
            return made[value.step].address
        return tuple(one(part) for part in value) if isinstance(value, tuple) else value

    return tuple(one(value) for value in arguments)


def _expected(spec: Spec, step: Step, made: dict[str, Deployed]) -> list[tuple[str, str]]:
    """What the contract must say of itself."""
    if step.name == "token":
        return [("owner", spec.deployer)]
    token = spec.token or made["token"].address
    expected = [
        ("owner", spec.roles.owner),
        ("operator", spec.roles.operator),
        ("guardian", spec.roles.guardian),
        ("asset", token),
        ("token", token),
    ]
    if step.artifact == "Vault":
        expected.append(("risk", made["risk"].address))
    if step.artifact == "RewardDistributor":
        expected.append(("source", made["pool"].address))
    return expected
