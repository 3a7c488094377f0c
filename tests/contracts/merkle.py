"""The tree of rewards as OpenZeppelin's StandardMerkleTree lays it out, written plainly."""

from __future__ import annotations

from eth_abi.abi import encode
from eth_utils.crypto import keccak


def leaf(account: str, cumulative: int) -> bytes:
    """The doubly hashed leaf."""
    return keccak(keccak(encode(["address", "uint256"], [account, cumulative])))


def tree(entries: dict[str, int]) -> tuple[bytes, dict[str, list[bytes]]]:
    """Root and proof of each account: a heap with the sorted leaves at its end, last first."""
    leaves = sorted((leaf(account, amount), account) for account, amount in entries.items())
    count = len(leaves)
    nodes = [b""] * (2 * count - 1)
    places = {}
    for index, (digest, account) in enumerate(leaves):
        places[account] = len(nodes) - 1 - index
        nodes[places[account]] = digest
    for index in range(count - 2, -1, -1):
        nodes[index] = keccak(b"".join(sorted((nodes[2 * index + 1], nodes[2 * index + 2]))))
    proofs = {}
    for account, place in places.items():
        proof, at = [], place
        while at > 0:
            proof.append(nodes[at + 1 if at % 2 else at - 1])
            at = (at - 1) // 2
        proofs[account] = proof
    return nodes[0], proofs
