"""Gas of what users and operator of staking do; `python -m bench staking_gas`.

The same calls on py-evm and on anvil, with BTCD and endless allowances. Gas
knows no machine, so these figures are exact. `plain` is the least that is an
ERC-4626 vault (`contracts/test/PlainVault.vy`): what the protections cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from eth_utils.crypto import keccak
from tests.contracts.artifacts import artifact
from tests.contracts.chain import Deployed, EvmChain, encode_args, signature
from tests.contracts.worlds import MAX, TOKEN
from tests.support.evm_nodes import ACCOUNTS, Anvil

BATCH = 500
# Addresses that never held the token: the dearest case.
PAYEES = [f"0x{2**100 + n:040x}" for n in range(BATCH)]
NO_LIMITS = (0, 0, 0, 0, 0)
LIMITS = (10**9 * TOKEN, 10**6 * TOKEN, 10**7 * TOKEN, 10**8 * TOKEN, 10**7 * TOKEN)


class Bed(Protocol):
    """A chain to measure on, with an account that has every role."""

    name: str
    account: str

    def deploy(self, contract: str, *args: Any) -> str:
        """Create a contract; its address."""
        ...

    def send(self, address: str, contract: str, function: str, *args: Any) -> int:
        """Call a function in a transaction of its own; the gas it used."""
        ...


class PyEvm:
    """py-evm's state machine, in this process."""

    name = "py-evm"

    def __init__(self) -> None:
        self._chain = EvmChain()
        self.account = self._chain.accounts[0]
        self._contracts: dict[str, Deployed] = {}

    def deploy(self, contract: str, *args: Any) -> str:
        """Create a contract; its address."""
        made = self._chain.deploy(contract, *args)
        self._contracts[made.address] = made
        return made.address

    def send(self, address: str, contract: str, function: str, *args: Any) -> int:
        """Call a function; the gas it used."""
        assert self._contracts[address].name == contract
        return self._contracts[address].send(self.account, function, *args).gas_used


class OnAnvil:
    """A running anvil."""

    name = "anvil"

    def __init__(self, node: Anvil) -> None:
        self._node = node
        self.account = str(ACCOUNTS[0].address)

    def deploy(self, contract: str, *args: Any) -> str:
        """Create a contract; its address."""
        made = artifact(contract)
        inputs = _entry(made, "constructor")["inputs"]
        return self._node.deploy(bytes.fromhex(made["bytecode"][2:]) + encode_args(inputs, args))

    def send(self, address: str, contract: str, function: str, *args: Any) -> int:
        """Call a function; the gas it used."""
        entry = _entry(artifact(contract), "function", function, len(args))
        data = keccak(text=signature(entry))[:4] + encode_args(entry["inputs"], args)
        receipt = self._node.mined(self._node.send(to=address, data=data, gas=29_000_000))
        assert receipt["status"] == "0x1", function
        return int(receipt["gasUsed"], 16)


def _entry(made: dict[str, Any], kind: str, name: str = "", count: int = 0) -> dict[str, Any]:
    """The ABI entry of a function, or of the constructor."""
    for entry in made["abi"]:
        if entry["type"] == kind and (not name or entry["name"] == name):
            found: dict[str, Any] = entry
            if not name or len(entry["inputs"]) == count:
                return found
    raise LookupError(name)


def measure(bed: Bed, payees: list[str]) -> Iterator[tuple[str, int]]:
    """Every figure with its name."""
    me = bed.account
    token = bed.deploy("BTCD", me)
    bed.send(token, "BTCD", "mint", me, 10**8 * TOKEN)
    yield from _pool(bed, token, payees)
    yield from _payout(bed, token, payees)
    yield from _vaults(bed, token)


def _pool(bed: Bed, token: str, payees: list[str]) -> Iterator[tuple[str, int]]:
    me = bed.account
    pool = bed.deploy("StakingPool", token, me, me, me)
    bed.send(token, "BTCD", "approve", pool, MAX)
    yield "pool, first deposit", bed.send(pool, "StakingPool", "deposit", TOKEN)
    yield "pool, repeat deposit", bed.send(pool, "StakingPool", "deposit", TOKEN)
    yield "pool, withdrawal", bed.send(pool, "StakingPool", "withdraw", TOKEN // 2)
    for payee in payees:
        bed.send(pool, "StakingPool", "deposit_for", payee, TOKEN)
    amounts = [TOKEN // 2] * len(payees)
    batch = ("pay_withdrawals", keccak(b"1"), payees, amounts)
    yield f"pool, batch of {len(payees)} withdrawals", bed.send(pool, "StakingPool", *batch)


def _payout(bed: Bed, token: str, payees: list[str]) -> Iterator[tuple[str, int]]:
    me = bed.account
    payout = bed.deploy("BatchPayout", token, me, me, me)
    bed.send(token, "BTCD", "approve", payout, MAX)
    bed.send(payout, "BatchPayout", "fund", 10**6 * TOKEN)
    for number, kind in enumerate(("first", "repeat")):
        # Other addresses than the pool paid, or none would be new to the token.
        others = [f"0x{2**110 + n:040x}" for n in range(len(payees))]
        batch = ("pay", keccak(b"%d" % number), others, [TOKEN] * len(payees))
        yield f"payout, {kind} batch of {len(payees)}", bed.send(payout, "BatchPayout", *batch)


def _vaults(bed: Bed, token: str) -> Iterator[tuple[str, int]]:
    me = bed.account
    risk = bed.deploy("RiskEngine", me, me, me)
    plain = bed.deploy("PlainVault", token)
    vaults = (
        ("plain", "PlainVault", plain, None),
        ("vault", "Vault", _vault(bed, token, risk), NO_LIMITS),
        ("vault with limits", "Vault", _vault(bed, token, risk), LIMITS),
    )
    for name, contract, vault, limits in vaults:
        if limits is not None:
            bed.send(risk, "RiskEngine", "set_limits", vault, limits)
        bed.send(token, "BTCD", "approve", vault, MAX)
        yield f"{name}, first deposit", bed.send(vault, contract, "deposit", TOKEN, me)
        yield f"{name}, repeat deposit", bed.send(vault, contract, "deposit", TOKEN, me)
        bed.send(vault, contract, "withdraw", TOKEN // 4, me, me)
        yield f"{name}, withdrawal", bed.send(vault, contract, "withdraw", TOKEN // 4, me, me)


def _vault(bed: Bed, token: str, risk: str) -> str:
    me = bed.account
    return bed.deploy("Vault", token, "Staked BTCD", "sBTCD", risk, me, me, me)


def run(quick: bool) -> Iterator[dict[str, Any]]:  # noqa: FBT001 - the call of every benchmark
    """Gas by call on both; `quick` makes batches of 50."""
    payees = PAYEES[: BATCH // 10] if quick else PAYEES
    beds: list[Bed] = [PyEvm()]
    with Anvil() as node:
        beds.append(OnAnvil(node))
        for bed in beds:
            for figure, gas in measure(bed, payees):
                yield {"figure": figure, "value": gas, "unit": "gas", "on": bed.name}
