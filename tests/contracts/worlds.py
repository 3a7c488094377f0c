"""Deployed contracts with their people, for the tests of each contract."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from tests.contracts.chain import Deployed, EvmChain, RevertedError

TOKEN = 10**18
LOTS = 10**6 * TOKEN
MAX = 2**256 - 1
DAY = 86400
NOBODY = "0x" + "00" * 20
DEPOSIT, WITHDRAW, PAY = 1, 2, 4


@contextlib.contextmanager
def refused(reason: str) -> Iterator[None]:
    """The block must revert with exactly this reason."""
    with pytest.raises(RevertedError) as caught:
        yield
    assert caught.value.reason == reason


class World:
    """A chain, its people, and a token: BTCD, or one that can be made to misbehave."""

    def __init__(self, *, odd: bool = False) -> None:
        self.chain = EvmChain()
        (
            self.owner,
            self.operator,
            self.guardian,
            self.alice,
            self.bob,
            self.carol,
            self.mallory,
            *self.others,
        ) = self.chain.accounts
        self.users = (self.alice, self.bob, self.carol)
        self.token = (
            self.chain.deploy("OddToken", 18) if odd else self.chain.deploy("BTCD", self.owner)
        )

    @property
    def roles(self) -> tuple[str, str, str]:
        """Constructor arguments: owner, operator, guardian."""
        return self.owner, self.operator, self.guardian

    def key(self, address: str) -> Any:
        """The account object of an address, for signatures."""
        return next(key for key in self.chain.keys if key.address == address)

    def give(self, who: str | Deployed, amount: int, *spenders: Deployed) -> None:
        """Mint tokens and approve spenders without limit."""
        address = who if isinstance(who, str) else who.address
        self.token.send(self.owner, "mint", address, amount)
        for spender in spenders:
            self.token.send(address, "approve", spender, MAX)

    def balance(self, who: str | Deployed) -> int:
        """Tokens held."""
        return int(self.token.call("balanceOf", who))

    def pool(self) -> Deployed:
        """A StakingPool of the token."""
        return self.chain.deploy("StakingPool", self.token, *self.roles)

    def payout(self) -> Deployed:
        """A BatchPayout of the token."""
        return self.chain.deploy("BatchPayout", self.token, *self.roles)

    def distributor(self, source: Deployed | None = None) -> Deployed:
        """A RewardDistributor of the token."""
        return self.chain.deploy("RewardDistributor", self.token, source or self.token, *self.roles)

    def risk(self) -> Deployed:
        """A RiskEngine without limits."""
        return self.chain.deploy("RiskEngine", *self.roles)

    def vault(self, risk: Deployed | None = None) -> Deployed:
        """A Vault of the token."""
        engine = risk or self.risk()
        return self.chain.deploy("Vault", self.token, "Staked BTCD", "sBTCD", engine, *self.roles)

    def oracle(self, decimals: int = 8, low: int = 10**8, high: int = 10**14) -> Deployed:
        """An OracleAdapter with bounds of 1 and 1,000,000 dollars."""
        return self.chain.deploy("OracleAdapter", "BTCD / USD", decimals, low, high, *self.roles)

    def config(self) -> Deployed:
        """An empty PoolConfig."""
        return self.chain.deploy("PoolConfig", *self.roles)

    def permit(
        self,
        token: Deployed,
        signer: str,
        spender: Deployed | str,
        amount: int,
        *,
        deadline: int | None = None,
        nonce: int | None = None,
        name: str = "BTCD",
        holder: str | None = None,
    ) -> tuple[int, int, bytes, bytes]:
        """An ERC-2612 signature: deadline, v, r, s."""
        until = self.chain.timestamp + 60 if deadline is None else deadline
        signed = Account.sign_typed_data(
            self.key(signer).key,
            domain_data={
                "name": name,
                "version": "1",
                "chainId": 31337,
                "verifyingContract": token.address,
            },
            message_types={
                "Permit": [
                    {"name": "owner", "type": "address"},
                    {"name": "spender", "type": "address"},
                    {"name": "value", "type": "uint256"},
                    {"name": "nonce", "type": "uint256"},
                    {"name": "deadline", "type": "uint256"},
                ]
            },
            message_data={
                "owner": holder or signer,
                "spender": spender if isinstance(spender, str) else spender.address,
                "value": amount,
                "nonce": token.call("nonces", signer) if nonce is None else nonce,
                "deadline": until,
            },
        )
        return until, signed.v, signed.r.to_bytes(32), signed.s.to_bytes(32)


def batch(n: int) -> bytes:
    """A batch id."""
    return keccak(b"batch %d" % n)


def odd(
    world: World,
    who: str | Deployed,
    *,
    refuses: bool = False,
    lies: bool = False,
    moves_and_lies: bool = False,
    silent: bool = False,
    hungry: bool = False,
) -> None:
    """Tell the odd token how to treat an address."""
    world.token.send(world.owner, "set_odd", who, refuses, lies, moves_and_lies, silent, hungry)
