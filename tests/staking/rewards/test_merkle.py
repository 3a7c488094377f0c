"""The tree is the one that OpenZeppelin's tools make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.staking.rewards.merkle import EMPTY_ROOT, MerkleTree, proves

ONE = "0x" + "11" * 20
TWO = "0x" + "22" * 20


def test_the_root_is_that_of_the_published_example():
    # The example of @openzeppelin/merkle-tree's README.
    tree = MerkleTree({ONE: 5_000_000_000_000_000_000, TWO: 2_500_000_000_000_000_000})
    expected = "d4dee0beab2d53f2cc83e567171bd2820e49898130a22622b10ead383e90bd77"
    assert tree.root.hex() == expected


def _wallet(number: int) -> str:
    return f"0x{number:040x}"


@given(st.dictionaries(st.integers(1, 10**9).map(_wallet), st.integers(1, 1 << 100), max_size=40))
def test_every_leaf_is_proven_and_nothing_else_is(amounts):
    tree = MerkleTree(amounts)
    for wallet, units in amounts.items():
        proof = tree.proof(wallet)
        assert proves(tree.root, wallet, units, proof)
        assert not proves(tree.root, wallet, units + 1, proof)
        assert not proves(tree.root, TWO, units, proof)
    assert MerkleTree(dict(reversed(list(amounts.items())))).root == tree.root


def test_who_earned_nothing_has_no_leaf():
    assert MerkleTree({}).root == EMPTY_ROOT
    tree = MerkleTree({ONE: 0, TWO: 5})
    assert tree.proof(TWO) == []
    with pytest.raises(KeyError):
        tree.proof(ONE)
