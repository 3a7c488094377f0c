"""What a pool should have paid, from its logs alone, in rational numbers.

Written from the chapter's words and nothing of the product: balances second by
second, shares as fractions. Slow and plain on purpose.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from eth_abi.abi import decode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from tests.support.evm_nodes import Node

ZERO = "0x" + "00" * 20


def _topic(signature: str) -> str:
    return "0x" + keccak(text=signature).hex()


DEPOSITED = _topic("Deposited(address,uint256,uint256)")
WITHDRAWN = _topic("Withdrawn(address,uint256,uint256,bytes32)")
TRANSFER = _topic("Transfer(address,address,uint256)")
FUNDED = _topic("Funded(address,uint256)")
PAID = _topic("Paid(bytes32,address,uint256)")


@dataclass
class Facts:
    """What the chain says of one pool.

    Attributes:
        moves: Time, wallet and what it holds from then on, in the chain's order.
        fundings: Time and amount.
    """

    moves: list[tuple[int, str, int]] = field(default_factory=list)
    fundings: list[tuple[int, int]] = field(default_factory=list)


def facts_of(node: Node, contract: str, rewards: str, *, vault: bool) -> Facts:
    """Read a pool's events from the node."""
    facts = Facts()
    held: dict[str, int] = defaultdict(int)
    for log in _logs(node, contract):
        moves = _of_vault(log) if vault else _of_pool(log)
        for wallet, change in moves:
            held[wallet] += change
            facts.moves.append((_time(node, log), wallet, held[wallet]))
    for log in _logs(node, rewards):
        if log["topics"][0] == FUNDED:
            (amount,) = decode(["uint256"], bytes.fromhex(log["data"][2:]))
            facts.fundings.append((_time(node, log), amount))
    return facts


def earned(
    facts: Facts, *, per_minute: int, zero_s: int, epoch_s: int, epochs: range
) -> tuple[dict[str, Fraction], int]:
    """What every wallet earned in these epochs, exactly; and what they took of the funds."""
    total: dict[str, Fraction] = defaultdict(Fraction)
    emitted, owed_fraction = 0, Fraction(0)
    for epoch in epochs:
        start_s = zero_s + epoch * epoch_s
        weights, staked_s = _weights(facts, start_s, start_s + epoch_s)
        if not weights:
            continue
        wanted = Fraction(per_minute * staked_s, 60) + owed_fraction
        owed_fraction = wanted % 1
        funded = sum(amount for at_s, amount in facts.fundings if at_s < start_s + epoch_s)
        pot = min(wanted // 1, funded - emitted)
        emitted += pot
        for wallet, weight in weights.items():
            total[wallet] += Fraction(pot * weight, sum(weights.values()))
    return total, emitted


def paid_out(node: Node, contract: str, topic: str) -> Counter[tuple[str, str, int]]:
    """Payments of batches: wallet, transaction and amount, as often as the chain has them."""
    found: Counter[tuple[str, str, int]] = Counter()
    for log in _logs(node, contract):
        if log["topics"][0] != topic:
            continue
        wallet, batch = log["topics"][1:] if topic == WITHDRAWN else log["topics"][:0:-1]
        if int(batch, 16):
            amount = int(log["data"][2:66], 16)
            found[_wallet(wallet), log["transactionHash"], amount] += 1
    return found


def handed_on(node: Node, vault: str) -> Counter[str]:
    """Shares that wallets have from others, less what others have from them."""
    found: Counter[str] = Counter()
    for log in _logs(node, vault):
        moves = _of_vault(log)
        for wallet, change in moves if len(moves) > 1 else []:
            found[wallet] += change
    return found


def _weights(facts: Facts, start_s: int, end_s: int) -> tuple[dict[str, int], int]:
    """The least that each held since the epoch began, summed over its seconds."""
    least: dict[str, int] = {}
    for at_s, wallet, balance in facts.moves:
        if at_s < start_s:
            least[wallet] = balance
    weights: dict[str, int] = defaultdict(int)
    staked_s = 0
    for second in range(start_s, end_s):
        for at_s, wallet, balance in facts.moves:
            if at_s == second:
                least[wallet] = min(least.get(wallet, 0), balance)
        for wallet, balance in least.items():
            weights[wallet] += balance
        staked_s += any(least.values())
    return {wallet: weight for wallet, weight in weights.items() if weight}, staked_s


def _of_pool(log: dict[str, Any]) -> list[tuple[str, int]]:
    topic = log["topics"][0]
    if topic not in {DEPOSITED, WITHDRAWN}:
        return []
    amount, _ = decode(["uint256", "uint256"], bytes.fromhex(log["data"][2:]))
    return [(_wallet(log["topics"][1]), amount if topic == DEPOSITED else -amount)]


def _of_vault(log: dict[str, Any]) -> list[tuple[str, int]]:
    if log["topics"][0] != TRANSFER:
        return []
    (amount,) = decode(["uint256"], bytes.fromhex(log["data"][2:]))
    giver, taker = (_wallet(topic) for topic in log["topics"][1:])
    if giver == taker:
        return []  # nothing moves
    sides = [(giver, -amount), (taker, amount)]
    return [(wallet, change) for wallet, change in sides if wallet != ZERO]


def _wallet(topic: str) -> str:
    return str(to_checksum_address("0x" + topic[-40:]))


def _logs(node: Node, address: str) -> list[dict[str, Any]]:
    asked = {"address": address, "fromBlock": "0x0", "toBlock": "latest"}
    found: list[dict[str, Any]] = node.rpc("eth_getLogs", asked)
    return sorted(found, key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16)))


def _time(node: Node, log: dict[str, Any]) -> int:
    return int(node.block(int(log["blockNumber"], 16))["timestamp"], 16)
