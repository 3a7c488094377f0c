"""What Millpond relies on in an EVM node, held against every node alike.

The same tests run on the devevm, on anvil and on hardhat's node: the embedded
chain is proven to be an honest double by what two others do. Where one of them
is known to differ, the test says so.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from tests.chains.evm.calls import TRANSFER, Token, calldata, word
from tests.support.evm_nodes import ACCOUNTS, CHAIN_ID, ETHER, GWEI, Node, NodeError

ALICE, CAROL = ACCOUNTS[0], ACCOUNTS[2]
BOB = ACCOUNTS[1].address
NOBODY = to_checksum_address("0x" + "a1" * 20)


@pytest.fixture
def token(evm_node: Node) -> Token:
    return Token(evm_node)


# -- the chain ---------------------------------------------------------------


def test_every_node_starts_with_the_same_chain_id_and_funded_accounts(evm_node: Node) -> None:
    assert int(evm_node.rpc("eth_chainId"), 16) == CHAIN_ID
    assert evm_node.rpc("net_version") == str(CHAIN_ID)
    assert [evm_node.balance(account.address) for account in ACCOUNTS] == [10_000 * ETHER] * 10


def test_blocks_are_linked_by_hash_and_their_times_rise(evm_node: Node) -> None:
    evm_node.mine(5)
    blocks = [evm_node.block(number) for number in range(6)]

    for parent, block in itertools.pairwise(blocks):
        assert block["parentHash"] == parent["hash"]
        # anvil gives the blocks of one second the same time, against the protocol.
        least = int(parent["timestamp"], 16) + (evm_node.name != "anvil")
        assert int(block["timestamp"], 16) >= least
        assert evm_node.block(block["hash"]) == block
    assert evm_node.block()["hash"] == blocks[5]["hash"]


def test_the_base_fee_follows_eip_1559(evm_node: Node) -> None:
    evm_node.mine(3)
    evm_node.mined(evm_node.send(ALICE, to=BOB, value=1))
    evm_node.mine(1)
    blocks = [evm_node.block(number) for number in range(1, evm_node.height() + 1)]

    for parent, block in itertools.pairwise(blocks):
        fee, used, limit = (
            int(parent[key], 16) for key in ("baseFeePerGas", "gasUsed", "gasLimit")
        )
        target = limit // 2
        assert int(block["baseFeePerGas"], 16) == fee - fee * (target - used) // target // 8


def test_time_moves_on_request(evm_node: Node) -> None:
    start = evm_node.now_s()

    evm_node.set_next_timestamp(start + 1_000)
    evm_node.mine()
    assert evm_node.now_s() == start + 1_000
    evm_node.increase_time(86_400)
    evm_node.mine()
    assert start + 87_400 <= evm_node.now_s() < start + 87_500


def test_a_snapshot_is_gone_back_to(evm_node: Node) -> None:
    snapshot = evm_node.snapshot()
    height = evm_node.height()
    sent = evm_node.send(ALICE, to=NOBODY, value=5)
    evm_node.mined(sent)

    evm_node.revert(snapshot)

    assert evm_node.height() == height
    assert evm_node.balance(NOBODY) == 0
    assert evm_node.receipt(sent) is None


def test_several_calls_in_one_request_are_answered_in_one(evm_node: Node) -> None:
    answers = evm_node.batch(
        ("eth_chainId", []), ("eth_getBalance", [BOB, "latest"]), ("eth_blockNumber", [])
    )

    assert answers == [hex(CHAIN_ID), hex(10_000 * ETHER), hex(evm_node.height())]


# -- transactions ------------------------------------------------------------


def test_a_payment_is_mined_at_once_and_costs_what_its_receipt_says(evm_node: Node) -> None:
    sent = evm_node.send(ALICE, to=BOB, value=5)
    receipt = evm_node.mined(sent)

    cost = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert receipt["status"] == "0x1"
    assert int(receipt["gasUsed"], 16) == 21_000
    assert evm_node.balance(BOB) == 10_000 * ETHER + 5
    assert evm_node.balance(ALICE.address) == 10_000 * ETHER - 5 - cost
    assert evm_node.height() == int(receipt["blockNumber"], 16)
    block = evm_node.block(receipt["blockHash"], full=True)
    assert [tx["hash"] for tx in block["transactions"]] == [sent]
    price = int(block["baseFeePerGas"], 16) + GWEI
    assert int(receipt["effectiveGasPrice"], 16) == price


def test_a_transaction_is_known_while_it_waits_and_after(evm_node: Node) -> None:
    evm_node.automine(False)
    sent = evm_node.send(ALICE, to=BOB, value=5)

    waiting = evm_node.rpc("eth_getTransactionByHash", sent)
    assert waiting["blockHash"] is None
    assert waiting["nonce"] == "0x0"
    assert evm_node.receipt(sent) is None
    assert (evm_node.nonce(ALICE.address), evm_node.nonce(ALICE.address, "pending")) == (0, 1)

    evm_node.mine()
    mined = evm_node.rpc("eth_getTransactionByHash", sent)
    assert mined["blockHash"] == evm_node.block()["hash"]
    same = ("from", "to", "value", "input", "nonce", "maxFeePerGas", "maxPriorityFeePerGas", "r")
    assert {key: mined[key] for key in same} == {key: waiting[key] for key in same}


def test_a_nonce_gap_waits_until_it_is_filled(evm_node: Node) -> None:
    evm_node.automine(False)
    later = evm_node.send(ALICE, to=BOB, nonce=1)
    evm_node.mine()
    assert evm_node.receipt(later) is None
    assert evm_node.rpc("eth_getTransactionByHash", later) is not None

    first = evm_node.send(ALICE, to=BOB, nonce=0)
    evm_node.mine()

    places = [evm_node.mined(one)["transactionIndex"] for one in (first, later)]
    assert places == ["0x0", "0x1"]


def test_a_dearer_transaction_replaces_one_of_the_same_nonce(evm_node: Node) -> None:
    evm_node.automine(False)
    old = evm_node.send(ALICE, to=BOB, value=1, nonce=0)
    new = evm_node.send(
        ALICE, to=BOB, value=2, nonce=0, max_fee=22 * GWEI, max_priority_fee=11 * GWEI // 10
    )
    evm_node.mine()

    assert evm_node.mined(new)["status"] == "0x1"
    assert evm_node.rpc("eth_getTransactionByHash", old) is None


@pytest.mark.parametrize("percent", [0, 5, 9])
def test_a_replacement_must_be_a_tenth_dearer_on_both_fees(evm_node: Node, percent: int) -> None:
    if evm_node.name == "anvil" and percent:  # anvil takes any that is dearer at all
        percent = 0
    evm_node.automine(False)
    evm_node.send(ALICE, to=BOB, value=1, nonce=0)

    with pytest.raises(NodeError, match=r"(?i)replacement transaction underpriced"):
        evm_node.send(
            ALICE,
            to=BOB,
            value=2,
            nonce=0,
            max_fee=20 * GWEI * (100 + percent) // 100,
            max_priority_fee=GWEI * (100 + percent) // 100,
        )


def test_a_transaction_that_fails_is_mined_and_paid(token: Token) -> None:
    node = token.node
    nonce, before = node.nonce(CAROL.address), node.balance(CAROL.address)

    receipt = node.mined(token.transfer(CAROL, BOB, 1))

    assert receipt["status"] == "0x0"
    assert receipt["logs"] == []
    assert node.nonce(CAROL.address) == nonce + 1
    cost = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert before - node.balance(CAROL.address) == cost > 0


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("nonce used", {"nonce": 0}, r"nonce too low"),
    ("too poor", {"value": 10**30}, r"insufficient funds|doesn't have enough funds"),
    ("gas above a block's", {"gas": 31_000_000}, r"exceeds block gas limit|> env.block.gas_limit"),
    ("gas too low", {"gas": 20_000}, r"intrinsic gas too low|requires at least 21000 gas"),
    (
        "tip above fee",
        {"max_fee": GWEI, "max_priority_fee": 2 * GWEI},
        r"higher than max fee|bigger than maxFeePerGas",
    ),
    ("another chain", {"chain_id": 1}, r"invalid chain ?id"),
]


@pytest.mark.parametrize(("fields", "words"), [row[1:] for row in REFUSALS], ids=lambda one: None)
def test_a_wrong_transaction_is_refused_with_the_reason(
    evm_node: Node, fields: dict[str, Any], words: str
) -> None:
    evm_node.mined(evm_node.send(ALICE, to=BOB, value=1))
    height = evm_node.height()

    with pytest.raises(NodeError, match=f"(?i){words}"):
        evm_node.send(ALICE, **({"to": BOB} | fields))

    assert evm_node.height() == height


def test_a_transaction_sent_twice_is_known(evm_node: Node) -> None:
    evm_node.automine(False)
    raw, tx_hash = evm_node.sign(ALICE, to=BOB)
    assert evm_node.rpc("eth_sendRawTransaction", raw) == tx_hash

    with pytest.raises(NodeError, match=r"(?i)already known|already imported|known transaction"):
        evm_node.rpc("eth_sendRawTransaction", raw)
    evm_node.mine()
    with pytest.raises(NodeError, match=r"(?i)nonce too low"):
        evm_node.rpc("eth_sendRawTransaction", raw)


def test_a_dropped_transaction_is_forgotten(evm_node: Node) -> None:
    evm_node.automine(False)
    sent = evm_node.send(ALICE, to=BOB)

    evm_node.drop(sent)
    evm_node.mine()

    assert evm_node.rpc("eth_getTransactionByHash", sent) is None
    assert evm_node.nonce(ALICE.address, "pending") == 0


# -- contracts ---------------------------------------------------------------


def test_a_contract_has_code_storage_and_an_address_known_before(evm_node: Node) -> None:
    token = Token(evm_node)

    assert token.address == "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    assert len(evm_node.rpc("eth_getCode", token.address, "latest")) > 1_000
    assert evm_node.rpc("eth_getCode", token.address, "0x0") == "0x"
    assert len(evm_node.rpc("eth_getStorageAt", token.address, "0x0", "latest")) == 66


def test_logs_are_the_same_in_receipts_and_questions(token: Token) -> None:
    node = token.node
    minted = node.mined(token.mint(ALICE.address, 1_000))
    moved = node.mined(token.transfer(ALICE, BOB, 300))

    assert len(minted["logs"]) == len(moved["logs"]) == 1
    log = moved["logs"][0]
    assert log["topics"] == [TRANSFER, word(ALICE.address), word(BOB)]
    assert int(log["data"], 16) == 300
    keys = ("address", "topics", "data", "blockNumber", "blockHash", "transactionHash", "logIndex")
    found = [{key: one[key] for key in keys} for one in token.logs()]
    assert found == [{key: one["logs"][0][key] for key in keys} for one in (minted, moved)]


def test_logs_are_found_by_topic_range_and_block(token: Token) -> None:
    node = token.node
    minted = node.mined(token.mint(ALICE.address, 1_000))
    moved = node.mined(token.transfer(ALICE, BOB, 300))
    first, last = (int(one["blockNumber"], 16) for one in (minted, moved))

    def amounts(**question: Any) -> list[int]:
        return [int(log["data"], 16) for log in node.rpc("eth_getLogs", question)]

    everything = {"fromBlock": "0x0", "toBlock": "latest"}
    assert amounts(**everything, topics=[None, word(ALICE.address)]) == [300]
    assert amounts(**everything, topics=[TRANSFER, None, word(BOB)]) == [300]
    assert amounts(**everything, topics=[[TRANSFER, "0x" + "11" * 32]]) == [1_000, 300]
    assert amounts(**everything, address=[token.address, NOBODY]) == [1_000, 300]
    assert amounts(**everything, address=NOBODY) == []
    assert amounts(fromBlock=hex(first), toBlock=hex(first)) == [1_000]
    assert amounts(fromBlock=hex(last), toBlock=hex(last)) == [300]
    assert amounts(blockHash=minted["blockHash"]) == [1_000]
    # A filter of four places wants logs with four topics; anvil does not mind.
    if node.name != "anvil":
        assert amounts(**everything, topics=[TRANSFER, None, None, None]) == []


def test_logs_of_an_unknown_block_are_an_error(evm_node: Node) -> None:
    with pytest.raises(NodeError, match=r"unknown block|cannot be found"):
        evm_node.rpc("eth_getLogs", {"blockHash": "0x" + "11" * 32})


def test_the_past_can_be_asked_by_number_and_by_hash(token: Token) -> None:
    node = token.node
    node.mined(token.mint(ALICE.address, 1_000))
    then = node.block()
    node.mined(token.transfer(ALICE, BOB, 300))

    assert token.balance(BOB) == 300
    assert token.balance(BOB, then["number"]) == 0
    assert token.balance(ALICE.address, {"blockHash": then["hash"]}) == 1_000


def test_the_state_of_a_block_that_is_not_there_is_an_error(token: Token) -> None:
    future = hex(token.node.height() + 1_000)

    with pytest.raises(NodeError):
        token.balance(BOB, future)
    assert token.node.rpc("eth_getBlockByNumber", future, False) is None
    assert token.node.rpc("eth_getBlockByHash", "0x" + "11" * 32, False) is None


def test_a_call_that_reverts_tells_its_reason_and_its_data(token: Token) -> None:
    data = calldata("mint(address,uint256)", BOB, 1)

    with pytest.raises(NodeError, match=r"revert.*not owner") as caught:
        token.call(data, sender=BOB)

    # hardhat wraps what was returned once more, and has another number.
    returned = caught.value.data
    returned = returned if isinstance(returned, str) else returned["data"]
    assert bytes.fromhex(returned[2:10]) == keccak(text="Error(string)")[:4]
    assert caught.value.code == (-32_603 if token.node.name == "hardhat" else 3)


def test_an_estimate_is_enough_and_not_much_more(token: Token) -> None:
    node = token.node
    node.mined(token.mint(ALICE.address, 1_000))
    data = calldata("transfer(address,uint256)", BOB, 300)
    question = {"from": ALICE.address, "to": token.address, "data": "0x" + data.hex()}

    estimate = int(node.rpc("eth_estimateGas", question), 16)
    receipt = node.mined(token.transfer(ALICE, BOB, 300, gas=estimate))

    assert receipt["status"] == "0x1"
    assert int(receipt["gasUsed"], 16) <= estimate < int(receipt["gasUsed"], 16) * 105 // 100
    with pytest.raises(NodeError, match="not owner"):
        node.rpc(
            "eth_estimateGas",
            {
                "from": BOB,
                "to": token.address,
                "data": "0x" + calldata("mint(address,uint256)", BOB, 1).hex(),
            },
        )


def test_all_nodes_use_the_same_gas_and_come_to_the_same_state(
    anvil_node: Node, hardhat_node: Node, devevm_node: Node
) -> None:
    figures = []
    for node in (anvil_node, hardhat_node, devevm_node):
        token = Token(node)
        minted = node.mined(token.mint(ALICE.address, 1_000))
        moved = node.mined(token.transfer(ALICE, BOB, 300))
        failed = node.mined(token.transfer(CAROL, BOB, 300))
        slots = [node.rpc("eth_getStorageAt", token.address, hex(n), "latest") for n in range(8)]
        figures.append(([one["gasUsed"] for one in (minted, moved, failed)], slots))

    assert figures[0] == figures[1] == figures[2]


def test_fees_can_be_read(evm_node: Node) -> None:
    evm_node.mine(2)
    evm_node.mined(evm_node.send(ALICE, to=BOB))
    history = evm_node.rpc("eth_feeHistory", "0x3", "latest", [50])

    height = evm_node.height()
    fees = [evm_node.block(number)["baseFeePerGas"] for number in range(height - 2, height + 1)]
    assert int(history["oldestBlock"], 16) == height - 2
    assert history["baseFeePerGas"][:3] == fees
    assert len(history["baseFeePerGas"]) == 4
    assert [row[0] for row in history["reward"]] == ["0x0", "0x0", hex(GWEI)]
    assert int(evm_node.rpc("eth_maxPriorityFeePerGas"), 16) > 0
    assert int(evm_node.rpc("eth_gasPrice"), 16) > int(history["baseFeePerGas"][3], 16)


# -- reorganisations -----------------------------------------------------------


def test_a_reorganisation_puts_transactions_back_among_those_that_wait(evm_node: Node) -> None:
    evm_node.automine(False)
    evm_node.mine(2)
    sent = evm_node.send(ALICE, to=BOB, value=5)
    evm_node.mine(2)
    height, before = evm_node.height(), evm_node.block()["hash"]

    evm_node.reorg(2)

    assert evm_node.height() == height
    assert evm_node.block()["hash"] != before
    assert evm_node.rpc("eth_getBlockByHash", before, False) is None
    assert evm_node.receipt(sent) is None
    assert evm_node.nonce(ALICE.address) == 0
    assert evm_node.balance(BOB) == 10_000 * ETHER
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


def test_what_waits_outlives_a_reorganisation(evm_node: Node) -> None:
    evm_node.automine(False)
    evm_node.mine(3)
    sent = evm_node.send(ALICE, to=BOB, value=5)

    evm_node.reorg(2)
    assert evm_node.receipt(sent) is None
    evm_node.mine()

    assert evm_node.mined(sent)["status"] == "0x1"


def test_logs_and_state_follow_a_reorganisation(token: Token) -> None:
    node = token.node
    node.mined(token.mint(ALICE.address, 1_000))
    node.automine(False)
    token.transfer(ALICE, BOB, 300)
    node.mine()
    gone = node.block()["hash"]

    node.reorg(1)
    assert len(token.logs()) == 1
    assert token.balance(BOB) == 0
    with pytest.raises(NodeError):
        node.rpc("eth_getLogs", {"blockHash": gone})

    node.mine()
    log = token.logs()[1]
    assert token.balance(BOB) == 300
    assert log["blockHash"] == node.block()["hash"] != gone
    assert log["transactionHash"] == node.block()["transactions"][0]


def test_a_contract_may_disappear_in_a_reorganisation(evm_node: Node) -> None:
    evm_node.mine(1)
    token = Token(evm_node)

    evm_node.reorg(1, keep_txs=False)

    assert evm_node.rpc("eth_getCode", token.address, "latest") == "0x"
    assert token.call(calldata("totalSupply()")) == "0x"
