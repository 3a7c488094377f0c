"""Our own reading and writing of words, held against eth-abi."""

from __future__ import annotations

from contextlib import suppress

import eth_abi.abi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.chains.evm import abi
from millpond.chains.evm.address import from_bytes
from millpond.chains.evm.errors import AbiError

ADDRESSES = st.binary(min_size=20, max_size=20).map(from_bytes)
WORDS = st.one_of(
    st.tuples(st.just("address"), ADDRESSES),
    st.tuples(st.just("bool"), st.booleans()),
    *[st.tuples(st.just(f"uint{bits}"), st.integers(0, 2**bits - 1)) for bits in (8, 64, 128, 256)],
    *[
        st.tuples(st.just(f"int{bits}"), st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
        for bits in (8, 128, 256)
    ],
    *[
        st.tuples(st.just(f"bytes{size}"), st.binary(min_size=size, max_size=size))
        for size in (1, 4, 31, 32)
    ],
)
DYNAMIC = st.one_of(
    st.tuples(st.just("string"), st.text(max_size=70)),
    st.tuples(st.just("bytes"), st.binary(max_size=70)),
    st.tuples(st.just("address[]"), st.lists(ADDRESSES, max_size=3).map(tuple)),
    st.tuples(
        st.just("(address,(uint8,address[2]))[]"),
        st.lists(
            st.tuples(ADDRESSES, st.tuples(st.integers(0, 255), st.tuples(ADDRESSES, ADDRESSES))),
            max_size=2,
        ).map(tuple),
    ),
)


@given(st.lists(WORDS, max_size=5))
def test_words_are_written_and_read_as_the_library_does(pairs):
    kinds = [kind for kind, _ in pairs]
    values = tuple(value for _, value in pairs)
    written = abi.encode(kinds, values)
    assert written == eth_abi.abi.encode(kinds, values)
    assert abi.decode(kinds, written) == values


@given(st.lists(st.one_of(WORDS, DYNAMIC), max_size=4))
def test_what_is_written_is_read_back_with_checksummed_addresses(pairs):
    kinds = [kind for kind, _ in pairs]
    values = tuple(value for _, value in pairs)
    assert abi.decode(kinds, abi.encode(kinds, values)) == values


@given(st.binary(max_size=100), st.lists(st.sampled_from(["uint8", "bool", "address", "string"])))
def test_any_bytes_are_values_or_a_typed_error(noise, kinds):
    with suppress(AbiError):
        assert len(abi.decode(kinds, noise)) == len(kinds)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint256", 1.0),
        ("uint256", True),
        ("uint256", -1),
        ("uint256", 2**256),
        ("uint8", 256),
        ("int8", 128),
        ("int8", -129),
        ("uint256", "1"),
        ("uint256[]", [1.5]),
        ("bool", 1),
        ("address", "0x12"),
        ("address", 5),
        ("address", "0x52908400098527886E0F7030069857D2E4169Ee7"),
        ("bytes32", b"short"),
        ("bytes4", "0x00000000"),
        ("string", 5),
    ],
)
def test_a_value_of_another_type_is_refused(kind, value):
    with pytest.raises(AbiError):
        abi.encode([kind], [value])


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("bool", 2),
        ("uint8", 256),
        ("int8", 128),
        ("address", 1 << 160),
        ("bytes4", 1),
    ],
)
def test_a_word_with_more_than_its_type_holds_is_refused(kind, word):
    with pytest.raises(AbiError):
        abi.decode([kind], word.to_bytes(32, "big"))


def test_too_few_bytes_or_arguments_are_refused():
    with pytest.raises(AbiError):
        abi.decode(["uint256", "uint256"], bytes(63))
    with pytest.raises(AbiError):
        abi.encode(["uint256"], [])


@pytest.mark.parametrize("kind", ["uint7", "uint264", "bytes0", "bytes33", "string", "uint8[]"])
def test_only_single_words_have_the_fast_way(kind):
    assert abi.word_decoder(kind) is None
