"""What nodes and services say, and what it means: one row a sentence seen in the wild."""

from __future__ import annotations

import pytest

from millpond.chains.evm.errors import (
    AlreadyKnownError,
    FeeBelowBaseError,
    FeeCapError,
    GasLimitError,
    InsufficientFundsError,
    NonceTooHighError,
    NonceTooLowError,
    PoolFullError,
    ReplacementUnderpricedError,
    RevertedError,
    RpcInvalidParameterError,
    RpcMethodNotFoundError,
    RpcOutcomeUnknownError,
    RpcRangeError,
    RpcRateLimitedError,
    RpcRejectedError,
    RpcUnknownBlockError,
    SendRejectedError,
    UnderpricedError,
)
from millpond.chains.evm.rejections import error_for
from millpond.chains.evm.reverts import revert_reason
from millpond.chains.evm.rpc import RpcEndpoint
from tests.support.evm_nodes import ACCOUNTS, GWEI, Node

SEND = "eth_sendRawTransaction"
ERROR_PAUSED = (
    "0x08c379a0" + f"{32:064x}" + f"{6:064x}" + b"paused".hex().ljust(64, "0")
)  # Error("paused")


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("already known", AlreadyKnownError),
        ("ALREADY_EXISTS: already known", AlreadyKnownError),
        ("AlreadyKnown", AlreadyKnownError),
        ("Known transaction", AlreadyKnownError),
        ("known transaction: 0x12", AlreadyKnownError),
        ("transaction already imported", AlreadyKnownError),
        ("Transaction with the same hash was already imported.", AlreadyKnownError),
        ("nonce too low", NonceTooLowError),
        ("nonce too low: next nonce 5, tx nonce 4", NonceTooLowError),
        ("OldNonce", NonceTooLowError),
        ("OldNonce, Current nonce: 8, nonce of rejected tx: 7", NonceTooLowError),
        ("Nonce too low. Expected nonce to be 1 but got 0.", NonceTooLowError),
        ("Nonce too high. Expected nonce to be 1 but got 3.", NonceTooHighError),
        ("NonceGap", NonceTooHighError),
        ("Transaction nonce is too distant from current sender nonce", NonceTooHighError),
        ("replacement transaction underpriced", ReplacementUnderpricedError),
        ("INTERNAL_ERROR: could not replace existing tx", ReplacementUnderpricedError),
        ("ReplacementNotAllowed", ReplacementUnderpricedError),
        (
            (
                "Replacement transaction underpriced. A gasPrice/maxFeePerGas of at least 22 is "
                "necessary to replace the existing transaction with nonce 1."
            ),
            ReplacementUnderpricedError,
        ),
        (
            (
                "Transaction gas price supplied is too low. There is another transaction with same "
                "nonce in the queue. Try increasing the gas price or incrementing the nonce."
            ),
            ReplacementUnderpricedError,
        ),
        ("transaction underpriced", UnderpricedError),
        ("transaction underpriced: gas tip cap 1, minimum needed 25000000000", UnderpricedError),
        ("FeeTooLow", UnderpricedError),
        ("FeeTooLowToCompete", UnderpricedError),
        ("Gas price below configured minimum gas price", UnderpricedError),
        (
            "max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1, baseFee: 7",
            FeeBelowBaseError,
        ),
        (
            (
                "Transaction maxFeePerGas (1) is too low for the next block, which has a "
                "baseFeePerGas of 875000000"
            ),
            FeeBelowBaseError,
        ),
        (
            "insufficient funds for gas * price + value: balance 0, tx cost 9, overshot 9",
            InsufficientFundsError,
        ),
        ("Insufficient funds for gas * price + value", InsufficientFundsError),
        ("InsufficientFunds, Account balance: 0", InsufficientFundsError),
        (
            "Sender doesn't have enough funds to send tx. The max upfront cost is: 9",
            InsufficientFundsError,
        ),
        ("Upfront cost exceeds account balance", InsufficientFundsError),
        ("tx fee (1.20 ether) exceeds the configured cap (1.00 ether)", FeeCapError),
        ("intrinsic gas too low: have 20000, want 21000", GasLimitError),
        ("exceeds block gas limit", GasLimitError),
        ("GasLimitExceeded, Gas limit: 30000000", GasLimitError),
        ("Transaction requires at least 21000 gas but got 1", GasLimitError),
        ("txpool is full", PoolFullError),
        ("account limit exceeded: pooled 16 txs", PoolFullError),
        ("in-flight transaction limit reached for delegated accounts", PoolFullError),
        ("invalid sender", SendRejectedError),
        ("transaction type not supported", SendRejectedError),
    ],
)
def test_a_refused_transaction_is_refused_for_a_reason(message, kind):
    found = error_for(-32000, message, None, SEND)
    assert type(found) is kind
    assert found.message == message


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (-32601, "the method eth_x does not exist/is not available", RpcMethodNotFoundError),
        (-32004, "method not supported", RpcMethodNotFoundError),
        (-32602, "invalid argument 0: hex string without 0x prefix", RpcInvalidParameterError),
        (-32000, "header not found", RpcUnknownBlockError),
        (-32000, "header for hash not found", RpcUnknownBlockError),
        (-32001, "Unable to find block hash 0x12", RpcUnknownBlockError),
        (-32602, "block not found: 0x10", RpcUnknownBlockError),
        (-32000, "BlockOutOfRangeError: block height is 3 but requested was 9", None),
        (-32000, "missing trie node 0x12 (path ) state 0x34 is not available", None),
        (-32000, "hash 0x12 is not currently canonical", None),
        (-32005, "daily request count exceeded, request rate limited", RpcRateLimitedError),
        (429, "Your app has exceeded its compute units per second capacity", RpcRateLimitedError),
        (-32000, "Too Many Requests", RpcRateLimitedError),
        (-32603, "Internal error", RpcRejectedError),
    ],
)
def test_what_a_read_meets(code, message, kind):
    found = error_for(code, message, None, "eth_getBalance")
    assert type(found) is (kind or RpcUnknownBlockError)


@pytest.mark.parametrize(
    ("code", "message", "suggested", "most"),
    [
        (
            -32602,
            (
                "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block "
                "range and no limit on the response size, or you can request any block range with a "
                "cap of 10K logs in the response. Based on your parameters and the response size "
                "limit, this block range should work: [0x64, 0xc7]"
            ),
            (100, 199),
            None,
        ),
        (
            -32005,
            "query returned more than 10000 results. Try with this block range [0x1, 0x2f].",
            (1, 47),
            None,
        ),
        (-32005, "query returned more than 10000 results", None, None),
        (-32614, "eth_getLogs is limited to a 10,000 range", None, 10_000),
        (-32000, "exceed maximum block range: 5000", None, 5_000),
        (-32600, "block range is too wide", None, None),
        (-32000, "block range is too wide (maximum 1024)", None, 1_024),
        (-32000, "range is too large, max is 1k blocks", None, 1_000),
        (35, "ranges over 10000 blocks are not supported on freetier", None, 10_000),
        (
            -32047,
            "Invalid eth_getLogs request. 'fromBlock'-'toBlock' range too large. Max range: 800",
            None,
            800,
        ),
        (-32005, "Requested range exceeds maximum RPC range limit", None, None),
        (-32000, "query exceeds max block range 100000", None, 100_000),
        (-32000, "query exceeds max results 20000, retry with the range 1-2", None, None),
        (-32603, "please limit the query to at most 1000 blocks", None, 1_000),
        (-32000, "query timeout exceeded", None, None),
        (-32020, "backend response too large", None, None),
        (-32602, "Block range limit exceeded. See more details.", None, None),
        (-32000, "Too many logs requested. Max logs per response is 20000.", None, None),
    ],
)
def test_every_service_has_its_own_words_for_a_range_that_is_too_long(
    code, message, suggested, most
):
    found = error_for(code, message, None, "eth_getLogs")
    assert isinstance(found, RpcRangeError)
    assert (found.suggested, found.max_blocks) == (suggested, most)


@pytest.mark.parametrize(
    ("code", "message", "data", "reason"),
    [
        (3, "execution reverted: paused", ERROR_PAUSED, "paused"),
        (3, "execution reverted", ERROR_PAUSED, "paused"),
        (-32000, "execution reverted", None, ""),
        (-32000, "execution reverted: cap", None, "cap"),
        (-32015, "VM execution error.", f"Reverted {ERROR_PAUSED}", "paused"),
        (
            -32603,
            "Error: VM Exception while processing transaction: reverted with reason string 'cap'",
            {"message": "…", "data": ERROR_PAUSED},
            "paused",
        ),
        (
            -32603,
            "Error: VM Exception while processing transaction: reverted with reason string 'cap'",
            None,
            "cap",
        ),
        (3, "execution reverted", "0x4e487b71" + f"{0x11:064x}", "arithmetic overflow"),
        (3, "execution reverted", "0x4e487b71" + f"{0x99:064x}", "panic 0x99"),
        (3, "execution reverted", "0xdeadbeef" + "00" * 32, "0xdeadbeef"),
        (3, "execution reverted", "0x08c379a0" + "ff" * 64, "0x08c379a0"),
        (3, "execution reverted", "0x08", ""),
        (3, "execution reverted", "nonsense", ""),
        (3, "execution reverted", 7, ""),
    ],
)
def test_a_revert_keeps_its_reason(code, message, data, reason):
    found = error_for(code, message, data, "eth_call")
    assert isinstance(found, RevertedError)
    assert found.reason == reason


def test_a_node_that_breaks_inside_while_it_takes_a_transaction_leaves_doubt():
    assert isinstance(error_for(-32603, "Internal error", None, SEND), RpcOutcomeUnknownError)


def test_a_contracts_reason_may_not_pass_for_a_nodes_word():
    found = error_for(3, "execution reverted: nonce too low", None, "eth_call")
    assert isinstance(found, RevertedError)
    found = error_for(3, "execution reverted: header not found", None, "eth_estimateGas")
    assert isinstance(found, RevertedError)


def test_a_reason_is_cut_and_any_bytes_are_read():
    long = bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + (5000).to_bytes(32, "big")
    assert revert_reason(long + b"x" * 5000) == "x" * 200
    assert revert_reason(long + b"\xff" * 100) == "0x08c379a0"
    assert revert_reason(b"") == ""


async def test_real_nodes_refuse_in_words_that_are_understood(evm_node: Node):
    alice, bob = ACCOUNTS[:2]
    async with RpcEndpoint(evm_node.url) as endpoint:

        async def refusal(**fields):
            raw, _ = evm_node.sign(alice, **({"to": bob.address} | fields))
            with pytest.raises(SendRejectedError) as caught:
                await endpoint.call(SEND, [raw])
            return type(caught.value)

        evm_node.mined(evm_node.send(alice, to=bob.address))
        assert await refusal(nonce=0) is NonceTooLowError
        assert await refusal(value=10**30) is InsufficientFundsError
        assert await refusal(gas=20_000) is GasLimitError
        evm_node.automine(False)
        raw, _ = evm_node.sign(alice, to=bob.address, nonce=1, max_fee=20 * GWEI)
        await endpoint.call(SEND, [raw])
        with pytest.raises(AlreadyKnownError):
            await endpoint.call(SEND, [raw])
        kind = await refusal(nonce=1, max_fee=19 * GWEI, value=1)
        assert kind is ReplacementUnderpricedError
