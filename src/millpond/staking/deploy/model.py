"""A deployment as values. Pure."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from millpond.staking.pools import PoolKind


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """Who may do what in the contracts, checksummed addresses.

    Attributes:
        owner: Sets limits and roles; a Safe where money is real.
        operator: Pays withdrawals and posts epochs: the hot key.
        guardian: May pause and nothing else.
    """

    owner: str
    operator: str
    guardian: str


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be deployed.

    Attributes:
        pool_id: Of the pool that it is for; also names the deployment.
        chain_id: On which chain.
        kind: Which contracts.
        deployer: Whose key makes the contracts.
        roles: Who may do what in them.
        token: The ERC-20 to stake; None deploys the test token BTCD.
        symbol: Symbol of a vault's shares.
        price_decimals: Decimals of the price feed of a vault's token.
        price_min, price_max: Answers that the feed takes, in its decimals.
    """

    pool_id: str
    chain_id: int
    kind: PoolKind
    deployer: str
    roles: Roles
    token: str | None = None
    symbol: str = "BTCD"
    price_decimals: int = 8
    price_min: int = 10**8
    price_max: int = 10**14


class Ref(msgspec.Struct, frozen=True):
    """The address of the contract that an earlier step made."""

    step: str


Argument: TypeAlias = Any


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One contract to make, or one function to call.

    Attributes:
        name: Unique within the deployment.
        what: One line for people.
        artifact: The contract that is made, or whose function is called.
        target: Step whose contract is called; None: a contract is made.
        function: What is called.
        arguments: Of the constructor or function; `Ref`s stand for addresses.
        by_owner: Only the owner can do it; by hand when the deployer is not the owner.
    """

    name: str
    what: str
    artifact: str
    target: str | None = None
    function: str = ""
    arguments: tuple[Argument, ...] = ()
    by_owner: bool = False


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """A contract on the chain that was held against what was compiled.

    Attributes:
        step: Its step.
        artifact: What it is.
        address: Where it stands.
        tx_hash: What made it.
        block_number: Since when.
        code_sha256: Of the code on the chain.
        gas_used: What making it took.
    """

    step: str
    artifact: str
    address: str
    tx_hash: str
    block_number: int
    code_sha256: str
    gas_used: int


class ByHand(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that somebody else has to make.

    Attributes:
        what: One line for people.
        sender: Who can do it.
        to: Which contract.
        data: 0x-hex to call it with.
    """

    what: str
    sender: str
    to: str
    data: str


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment came to.

    Attributes:
        spec: What was wanted.
        contracts: What stands on the chain, in the order of the plan.
        by_hand: What is left for others to do.
    """

    spec: Spec
    contracts: tuple[Deployed, ...]
    by_hand: tuple[ByHand, ...]

    def address(self, step: str) -> str:
        """Address of the contract that a step made."""
        return next(each.address for each in self.contracts if each.step == step)
