"""The Merkle tree of an epoch: one leaf a wallet, of what it earned in all epochs.

Laid out as OpenZeppelin's StandardMerkleTree does: a leaf is
`keccak256(keccak256(abi.encode(address, uint256)))`, leaves are sorted, pairs
are hashed in the order of their bytes, and the tree is an array whose root is
the first entry. So the published tools and `RewardDistributor` check the same
proofs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from millpond.chains.evm.keccak import keccak

EMPTY_ROOT = bytes(32)
"""The root when nobody has earned anything."""


def leaf(wallet: str, cumulative: int) -> bytes:
    """The leaf of one wallet (its 20 bytes and the amount, padded to 32 each)."""
    address = bytes.fromhex(wallet.removeprefix("0x"))
    assert len(address) == 20, "a wallet is an address"
    assert 0 < cumulative < 1 << 256, "a leaf tells an amount"
    return keccak(keccak(bytes(12) + address + cumulative.to_bytes(32, "big")))


def _pair(one: bytes, other: bytes) -> bytes:
    return keccak(one + other if one < other else other + one)


class MerkleTree:
    """The tree over `amounts`; wallets without any amount have no leaf.

    Args:
        amounts: Cumulative base units by wallet.
    """

    def __init__(self, amounts: Mapping[str, int]) -> None:
        leaves = sorted((leaf(wallet, units), wallet) for wallet, units in amounts.items() if units)
        size = len(leaves)
        self._tree: list[bytes] = [b""] * max(0, 2 * size - 1)
        self._places: dict[str, int] = {}
        for number, (hashed, wallet) in enumerate(leaves):
            place = len(self._tree) - 1 - number
            self._tree[place] = hashed
            self._places[wallet] = place
        for place in range(size - 2, -1, -1):
            self._tree[place] = _pair(self._tree[2 * place + 1], self._tree[2 * place + 2])

    @property
    def root(self) -> bytes:
        """The root; `EMPTY_ROOT` without leaves."""
        return self._tree[0] if self._tree else EMPTY_ROOT

    def proof(self, wallet: str) -> list[bytes]:
        """The siblings from the wallet's leaf up to the root.

        Raises:
            KeyError: The wallet has no leaf.
        """
        place = self._places[wallet]
        siblings = []
        while place:
            siblings.append(self._tree[place + 1 if place % 2 else place - 1])
            place = (place - 1) // 2
        return siblings


def proves(root: bytes, wallet: str, cumulative: int, proof: Sequence[bytes]) -> bool:
    """True if `proof` leads from the wallet's leaf to `root`."""
    return _climb(leaf(wallet, cumulative), proof) == root


def _climb(node: bytes, proof: Iterable[bytes]) -> bytes:
    for sibling in proof:
        node = _pair(node, sibling)
    return node
