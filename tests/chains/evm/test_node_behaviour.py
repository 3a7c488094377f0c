"""What Millpond relies on in an EVM node, held against every node alike."""

from __future__ import annotations

from tests.support.evm_nodes import ACCOUNTS, CHAIN_ID, Node

ALICE, BOB = ACCOUNTS[0], ACCOUNTS[1].address


def test_every_node_starts_with_the_same_chain_id_and_funded_accounts(evm_node: Node) -> None:
    assert int(evm_node.rpc("eth_chainId"), 16) == CHAIN_ID
    assert [evm_node.balance(account.address) for account in ACCOUNTS] == [10_000 * 10**18] * 10


def test_a_payment_is_mined_at_once_and_has_a_receipt(evm_node: Node) -> None:
    receipt = evm_node.mined(evm_node.send(ALICE, to=BOB, value=5))

    assert receipt["status"] == "0x1"
    assert evm_node.balance(BOB) == 10_000 * 10**18 + 5
    assert evm_node.height() == int(receipt["blockNumber"], 16)


def test_a_reorganisation_puts_transactions_back_among_those_that_wait(evm_node: Node) -> None:
    evm_node.automine(False)
    evm_node.mine(2)
    sent = evm_node.send(ALICE, to=BOB, value=5)
    evm_node.mine(2)
    height, before = evm_node.height(), evm_node.block()["hash"]

    evm_node.reorg(2)

    assert evm_node.height() == height
    assert evm_node.block()["hash"] != before
    assert evm_node.receipt(sent) is None
    assert evm_node.nonce(ALICE.address) == 0
    evm_node.mine()
    assert evm_node.mined(sent)["blockNumber"] == hex(height + 1)


def test_a_reorganisation_may_forget_transactions(evm_node: Node) -> None:
    evm_node.automine(False)
    evm_node.mine(2)
    sent = evm_node.send(ALICE, to=BOB, value=5)
    evm_node.mine()

    evm_node.reorg(1, keep_txs=False)
    evm_node.mine()

    assert evm_node.rpc("eth_getTransactionByHash", sent) is None
    assert evm_node.nonce(ALICE.address) == 0
