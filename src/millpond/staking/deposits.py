"""Preparing a deposit: what to sign, held against the chain and the limits beforehand.

Nothing is reserved and nothing is sent: the user's wallet signs and sends, and
the indexer sees the deposit. The same goes for leaving a vault, which pays its
holders itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from millpond.chains.evm.address import checksum
from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.errors import RevertedError
from millpond.money.ledger import Ledger
from millpond.risk import Function, Request, RiskEngine
from millpond.risk.errors import refused
from millpond.staking import accounts
from millpond.staking.errors import DepositRefusedError
from millpond.staking.pools import PRODUCT, PoolKind, PoolState, StakingPool
from millpond.store import Store

PERMIT_S = 1_800
"""How long a signed permit can be used."""


class CallingChain(Protocol):
    """What is asked of a chain (`millpond.chains.evm.nodes.Nodes`)."""

    async def call(
        self,
        to: str,
        calldata: bytes,
        block: int | str = "latest",
        *,
        sender: str | None = None,
        value: int = 0,
        agreed: bool = False,
    ) -> bytes:
        """What a contract answers."""

    async def estimate_gas(
        self, to: str | None, calldata: bytes, *, sender: str, value: int = 0
    ) -> int:
        """Gas that a transaction needs."""


class ToSign(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction for a wallet to sign and send, in the order given.

    Attributes:
        what: `approve`, `deposit` and so on.
        chain_id: EIP-155 chain id.
        sender: Who signs.
        to: The contract.
        data: 0x-hex.
        value: Wei, as decimal text.
        gas: Estimate in units of gas; None where it depends on the one before.
        simulated: True if the call was done on the newest state and went through;
            False where it only can after the one before.
    """

    what: str
    chain_id: int
    sender: str
    to: str
    data: str
    value: str = "0"
    gas: int | None = None
    simulated: bool = False


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What to sign for a deposit.

    Attributes:
        pool_id: The pool.
        wallet: Who deposits.
        amount: Base units, as decimal text.
        transactions: To sign and send, one after the other.
        permit: EIP-712 message (`eth_signTypedData_v4`) that replaces the approval,
            for `deposit_with_permit`; None where an allowance is there already.
        allowance: What the contract may take already, as decimal text.
        balance: What the wallet has of the token, as decimal text.
    """

    pool_id: str
    wallet: str
    amount: str
    transactions: tuple[ToSign, ...]
    permit: dict[str, Any] | None
    allowance: str
    balance: str


class Deposits:
    """Prepares deposits into one chain's pools.

    Args:
        store: The database.
        chain: The pools' chain.
        ledger: For what the wallet has staked already.
        risk: Limits and pauses.
    """

    def __init__(self, store: Store, chain: CallingChain, ledger: Ledger, risk: RiskEngine) -> None:
        self._store = store
        self._chain = chain
        self._ledger = ledger
        self._risk = risk

    async def prepare(self, pool: StakingPool, wallet: str, amount: int, *, now_s: int) -> Prepared:
        """Check a deposit and make the transactions to sign.

        Args:
            pool: Into which pool.
            wallet: Who deposits.
            amount: Base units of the token.
            now_s: Unix seconds, for the permit's deadline.

        Raises:
            InvalidAddressError: The wallet is no address.
            DepositRefusedError: The pool takes none, the wallet has too little, or the
                contract refuses it, with its words.
            RiskRefusedError: A limit, a pause or a breaker.
            RpcError: The chain does not answer.
        """
        wallet = checksum(wallet)
        if amount <= 0:
            raise DepositRefusedError("a deposit is more than nothing")
        if pool.state is not PoolState.ACTIVE:
            raise DepositRefusedError(f"the pool is {pool.state.value} and takes no deposits")
        await self._check_risk(pool, wallet, amount)
        token = Contract.named("BTCD", pool.token.address)
        balance = await self._ask(token, "balanceOf", wallet)
        if balance < amount:
            raise DepositRefusedError(
                f"the wallet has {pool.asset.amount(balance)}", balance=str(balance)
            )
        allowance = await self._ask(token, "allowance", wallet, pool.contract)
        enough = allowance >= amount
        transactions: list[ToSign] = []
        if not enough:
            transactions.append(
                await self._simulated(pool, wallet, "approve", token, pool.contract, amount)
            )
        transactions.append(await self._deposit(pool, wallet, amount, enough=enough))
        permit = None if enough else await self._permit(pool, wallet, amount, token, now_s)
        return Prepared(
            pool_id=pool.pool_id,
            wallet=wallet,
            amount=str(amount),
            transactions=tuple(transactions),
            permit=permit,
            allowance=str(allowance),
            balance=str(balance),
        )

    async def withdraw(self, pool: StakingPool, wallet: str, amount: int) -> ToSign:
        """The transaction by which a holder leaves by themselves: always possible.

        Args:
            pool: Out of which pool.
            wallet: Who leaves.
            amount: Token units of a direct pool, shares of a vault.

        Raises:
            DepositRefusedError: The contract refuses it, with its words.
        """
        wallet = checksum(wallet)
        contract = _contract(pool)
        if pool.kind is PoolKind.DIRECT:
            return await self._simulated(pool, wallet, "withdraw", contract, amount)
        try:
            return await self._simulated(pool, wallet, "redeem", contract, amount, wallet, wallet)
        except DepositRefusedError as error:
            # Illiquid, a limit of the day, or instant exits paused: whatever it is, the
            # queue is open unless it refuses as well.
            try:
                return await self._simulated(
                    pool, wallet, "request_redeem", contract, amount, wallet, wallet
                )
            except DepositRefusedError:
                raise error from None

    async def claim(
        self, pool: StakingPool, wallet: str, cumulative: int, proof: Sequence[str]
    ) -> ToSign:
        """The transaction by which a wallet takes its rewards out of a vault's distributor.

        Args:
            pool: A vault.
            wallet: Whose rewards.
            cumulative: Base units of all epochs, as the leaf says.
            proof: Siblings from the leaf up, 0x-hex.

        Raises:
            DepositRefusedError: The contract refuses it, with its words.
            RpcError: The chain does not answer.
        """
        assert pool.rewards_contract is not None, "something was earned here"
        contract = Contract.named("RewardDistributor", pool.rewards_contract)
        siblings = [bytes.fromhex(each.removeprefix("0x")) for each in proof]
        return await self._simulated(
            pool, checksum(wallet), "claim", contract, wallet, cumulative, siblings
        )

    async def _check_risk(self, pool: StakingPool, wallet: str, amount: int) -> None:
        staked = accounts.staked(pool.pool_id, wallet, pool.stake)
        held = accounts.principal(pool.pool_id, pool.asset)
        async with self._store.begin() as tx:
            found = await self._ledger.balances(tx, [staked, held])
            request = Request(
                function=Function.DEPOSIT,
                product=PRODUCT,
                pool_id=pool.pool_id,
                user=wallet,
                asset=pool.asset,
                amount=amount,
                tvl=found[held].posted.units,
                user_total=(found[staked].posted.units if pool.kind is PoolKind.DIRECT else None),
            )
            decision = await self._risk.check(tx, request)
        if not decision.allowed:
            raise refused(decision)

    async def _deposit(
        self, pool: StakingPool, wallet: str, amount: int, *, enough: bool
    ) -> ToSign:
        contract = _contract(pool)
        arguments = (amount,) if pool.kind is PoolKind.DIRECT else (amount, wallet)
        if enough:
            return await self._simulated(pool, wallet, "deposit", contract, *arguments)
        return _to_sign(pool, wallet, "deposit", contract, contract.encode("deposit", *arguments))

    async def _simulated(
        self, pool: StakingPool, wallet: str, function: str, contract: Contract, *arguments: Any
    ) -> ToSign:
        """A call that goes through on the newest state, with its gas."""
        data = contract.encode(function, *arguments)
        try:
            await self._chain.call(contract.address, data, sender=wallet)
            gas = await self._chain.estimate_gas(contract.address, data, sender=wallet)
        except RevertedError as error:
            raise DepositRefusedError(
                f"the contract refuses it: {error.reason or 'without a reason'}",
                function=function,
            ) from None
        made = _to_sign(pool, wallet, function, contract, data)
        return msgspec.structs.replace(made, gas=gas, simulated=True)

    async def _permit(
        self, pool: StakingPool, wallet: str, amount: int, token: Contract, now_s: int
    ) -> dict[str, Any] | None:
        """The EIP-2612 message, if the token knows permits."""
        if pool.kind is not PoolKind.DIRECT:
            return None
        try:
            nonce = await self._ask(token, "nonces", wallet)
            name = await self._ask(token, "name")
        except RevertedError:
            return None
        return permit_message(pool, wallet, amount, name=name, nonce=nonce, now_s=now_s)

    async def _ask(self, contract: Contract, function: str, *arguments: Any) -> Any:
        answer = await self._chain.call(contract.address, contract.encode(function, *arguments))
        return contract.decode_output(function, answer)


def permit_message(
    pool: StakingPool, wallet: str, amount: int, *, name: str, nonce: int, now_s: int
) -> dict[str, Any]:
    """The typed data of an EIP-2612 permit; numbers as text where JSON has not enough digits."""
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Permit": [
                {"name": "owner", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"},
            ],
        },
        "primaryType": "Permit",
        "domain": {
            "name": name,
            "version": "1",
            "chainId": pool.chain_id,
            "verifyingContract": pool.token.address,
        },
        "message": {
            "owner": wallet,
            "spender": pool.contract,
            "value": str(amount),
            "nonce": str(nonce),
            "deadline": str(now_s + PERMIT_S),
        },
    }


def _contract(pool: StakingPool) -> Contract:
    return Contract.named("StakingPool" if pool.kind is PoolKind.DIRECT else "Vault", pool.contract)


def _to_sign(pool: StakingPool, wallet: str, what: str, contract: Contract, data: bytes) -> ToSign:
    return ToSign(
        what=what,
        chain_id=pool.chain_id,
        sender=wallet,
        to=contract.address,
        data="0x" + data.hex(),
    )
