"""The hash in C is the library's, for every length around a block's edge and at random."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.chains.evm import _keccak
from millpond.chains.evm.keccak import keccak, library_keccak


def test_known_answers():
    assert keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak(b"abc").hex() == (
        "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    )


@pytest.mark.parametrize("length", [*range(131, 141), *range(267, 277), 1_000_000])
def test_lengths_around_the_edge_of_a_block(length: int):
    data = bytes(n % 251 for n in range(length))
    assert _keccak.keccak256(data) == library_keccak(data)


@given(st.binary(max_size=600))
def test_any_bytes(data: bytes):
    assert _keccak.keccak256(data) == library_keccak(data)


def test_what_is_no_bytes_is_refused():
    with pytest.raises(TypeError):
        _keccak.keccak256("text")  # type: ignore[arg-type]
