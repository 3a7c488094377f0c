"""What Millpond relies on, held against every daemon alike.

The same tests run on the devchain (sha256d and scrypt) and on Debian's
litecoind before and after its extension block: the devchain is proven to be
an honest double by what the real daemon does.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from millpond.chains.bitcoin.address import parse_address
from millpond.chains.bitcoin.daemons import DaemonSet, SubmitVerdict
from millpond.chains.bitcoin.errors import (
    InvalidAddressError,
    PaymentRefusedError,
    RpcAuthError,
    RpcInsufficientFundsError,
    RpcInvalidParameterError,
    RpcMethodNotFoundError,
    RpcNotFoundError,
    RpcRejectedError,
    RpcUnavailableError,
    RpcVerifyRejectedError,
    RpcWalletError,
    RpcWalletNotFoundError,
)
from millpond.chains.bitcoin.message import verify_message
from millpond.chains.bitcoin.payment import SendVerdict, TxState
from millpond.chains.bitcoin.rpc import RpcEndpoint
from millpond.chains.bitcoin.wallet import Wallet
from millpond.chains.bitcoin.wire import parse_transaction, target_of_bits
from millpond.chains.devchain.checks import COMMITMENT_MARK, witness_commitment
from millpond.ops.system import SystemClock
from tests.chains.blocks import BlockPlan
from tests.chains.daemons import LiveDaemon

_names = itertools.count()
BURN = b"\x00\x14" + bytes(20)
NOWHERE = "00" * 32


@pytest.fixture
async def rpc(daemon: LiveDaemon) -> AsyncIterator[RpcEndpoint]:
    async with daemon.endpoint() as endpoint:
        yield endpoint


@pytest.fixture
async def wallet(daemon: LiveDaemon, rpc: RpcEndpoint) -> AsyncIterator[Wallet]:
    """A new wallet with three confirmed coins of 1.0."""
    made = Wallet(rpc, daemon.coin, name=f"w{next(_names)}")
    await made.open()
    for _ in range(3):
        daemon.pay(await made.new_address(), 10**8)
    daemon.mine(1)
    yield made
    await made.close()


def daemon_set(daemon: LiveDaemon, rpc: RpcEndpoint) -> DaemonSet:
    return DaemonSet([rpc], daemon.coin, SystemClock())


async def plan(daemon: LiveDaemon, rpc: RpcEndpoint) -> BlockPlan:
    template = await daemon_set(daemon, rpc).get_block_template()
    return BlockPlan(daemon.coin, template, BURN)


async def submit(daemon: LiveDaemon, rpc: RpcEndpoint, block_hex: str):
    (result,) = await daemon_set(daemon, rpc).submit_block(block_hex)
    return result


# --- the chain


async def test_the_tip_is_told_alike_by_every_question(daemon, rpc):
    tip = await daemon_set(daemon, rpc).tip()
    header = await rpc.call("getblockheader", tip.block_hash)
    assert tip.height == await rpc.call("getblockcount") == header["height"]
    assert tip.block_hash == await rpc.call("getbestblockhash")
    assert tip.block_hash == await rpc.call("getblockhash", tip.height)
    assert header["confirmations"] == 1
    assert tip.work > 0
    assert tip.initial_download is False


async def test_a_template_extends_the_tip_and_pays_the_subsidy(daemon, rpc):
    daemons = daemon_set(daemon, rpc)
    template = await daemons.get_block_template()
    tip = await daemons.tip()
    assert template["height"] == tip.height + 1
    assert template["previousblockhash"] == tip.block_hash
    assert int(template["target"], 16) == target_of_bits(int(template["bits"], 16))
    assert template["mintime"] <= template["curtime"]
    assert type(template["coinbasevalue"]) is int
    assert template["default_witness_commitment"].startswith("6a24aa21a9ed")
    assert template["longpollid"].startswith(tip.block_hash)


async def test_a_template_without_the_rules_is_refused(rpc):
    with pytest.raises(RpcInvalidParameterError) as caught:
        await rpc.call("getblocktemplate", {"rules": []})
    assert caught.value.rpc_code == -8


async def test_a_block_from_a_template_is_accepted_once_and_then_a_duplicate(daemon, rpc):
    block = await plan(daemon, rpc)
    first = await submit(daemon, rpc, block.build())
    assert (first.verdict, first.accepted) == (SubmitVerdict.ACCEPTED, True)
    assert await rpc.call("getbestblockhash") == block.hash
    again = await submit(daemon, rpc, block.build())
    assert (again.verdict, again.accepted) == (SubmitVerdict.DUPLICATE, True)


async def test_a_waiting_payment_is_mined_through_a_template(daemon, rpc, wallet):
    payment = await wallet.prepare({await wallet.new_address(): 10**7}, fee_rate=5000)
    assert (await wallet.send(payment.raw_hex)).accepted
    # litecoind keeps a template for some seconds; a new block makes a new one.
    empty = await plan(daemon, rpc)
    await submit(daemon, rpc, empty.build())
    if (await wallet.look_up(payment.txid)).state is TxState.IN_MEMPOOL:
        block = await plan(daemon, rpc)
        assert payment.txid in [tx["txid"] for tx in block.template["transactions"]]
        assert block.template["coinbasevalue"] > 0
        assert (await submit(daemon, rpc, block.build())).accepted
    status = await wallet.look_up(payment.txid)
    assert status.state is TxState.CONFIRMED


async def test_a_sibling_that_comes_second_is_inconclusive_and_not_in_the_chain(daemon, rpc):
    winner = await plan(daemon, rpc)
    loser = await plan(daemon, rpc)
    loser.tag = b"/late/"
    assert (await submit(daemon, rpc, winner.build())).accepted
    verdict = await submit(daemon, rpc, loser.build())
    assert (verdict.verdict, verdict.accepted) == (SubmitVerdict.INCONCLUSIVE, None)
    assert await rpc.call("getbestblockhash") == winner.hash
    assert (await rpc.call("getblockheader", loser.hash))["confirmations"] == -1


SPOILED = {
    "high-hash": lambda b: setattr(b, "solved", False),
    "bad-txnmrklroot": lambda b: setattr(b, "merkle", bytes(32)),
    "bad-cb-amount": lambda b: setattr(b, "value", b.value + 1),
    "bad-witness-merkle-match": lambda b: setattr(b, "commitment", b.commitment[:-1] + b"\x5a"),
    "time-too-old": lambda b: setattr(b, "time", b.template["mintime"] - 1),
    "time-too-new": lambda b: setattr(b, "time", b.template["curtime"] + 8000),
    "bad-diffbits": lambda b: setattr(b, "bits", b.bits - 1),
    "prev-blk-not-found": lambda b: setattr(b, "previous", b"\x01" * 32),
    "bad-txns-duplicate": lambda b: setattr(b, "coinbases", 3),
}


@pytest.mark.parametrize("reason", SPOILED)
async def test_a_spoiled_block_is_rejected_with_the_usual_word(daemon, rpc, reason):
    block = await plan(daemon, rpc)
    SPOILED[reason](block)
    before = await rpc.call("getbestblockhash")
    result = await submit(daemon, rpc, block.build())
    assert (result.verdict, result.accepted) == (SubmitVerdict.REJECTED, False)
    assert result.reason == reason
    assert await rpc.call("getbestblockhash") == before


@pytest.mark.parametrize("name", ["devchain", "litecoind_bip34"])
async def test_a_coinbase_with_another_height_is_rejected(request, name):
    daemon = request.getfixturevalue(name)
    async with daemon.endpoint() as rpc:
        block = await plan(daemon, rpc)
        block.height += 1
        result = await submit(daemon, rpc, block.build())
    assert (result.accepted, result.reason) == (False, "bad-cb-height")


async def test_a_block_without_its_extension_block_is_rejected(litecoind_mweb):
    async with litecoind_mweb.endpoint() as rpc:
        block = await plan(litecoind_mweb, rpc)
        assert block.template["mweb"]
        block.with_mweb = False
        result = await submit(litecoind_mweb, rpc, block.build())
    assert (result.accepted, result.reason) == (False, "Block decode failed")


async def test_what_is_no_block_is_rejected_as_undecodable(daemon, rpc):
    block = (await plan(daemon, rpc)).build()
    for nonsense in ("00", block[:-2], "zz"):
        result = await submit(daemon, rpc, nonsense)
        assert (result.accepted, result.reason) == (False, "Block decode failed")


async def test_a_reorganisation_takes_the_old_block_out_of_the_chain(daemon, rpc):
    (old,) = daemon.mine(1)
    new = daemon.reorg(1)
    assert await rpc.call("getbestblockhash") == new[-1]
    assert (await rpc.call("getblockheader", old))["confirmations"] == -1
    assert (await rpc.call("getblockheader", new[0]))["confirmations"] == 2


async def test_reconsidering_a_longer_branch_brings_it_back(daemon, rpc):
    old = daemon.mine(3)
    await rpc.call("invalidateblock", old[0])
    assert (
        await rpc.call("getblockcount") == (await rpc.call("getblockheader", old[0]))["height"] - 1
    )
    await rpc.call("reconsiderblock", old[0])
    assert await rpc.call("getbestblockhash") == old[-1]


# --- the wallet


async def test_a_payment_has_its_name_before_it_is_sent_and_keeps_it(daemon, rpc, wallet):
    to = daemon.miner_address
    payment = await wallet.prepare({to: 25_000_000}, fee_rate=3000)
    assert (await wallet.look_up(payment.txid, inputs=payment.inputs)).state is TxState.NOT_FOUND
    sent = await wallet.send(payment.raw_hex)
    assert sent.verdict is SendVerdict.ACCEPTED
    assert (await wallet.look_up(payment.txid)).state is TxState.IN_MEMPOOL
    again = await wallet.send(payment.raw_hex)
    assert again.accepted
    (block,) = daemon.mine(1)
    status = await wallet.look_up(payment.txid)
    assert (status.state, status.confirmations, status.block_hash) == (
        TxState.CONFIRMED,
        1,
        block,
    )
    assert (await wallet.send(payment.raw_hex)).accepted
    assert (await wallet.look_up(payment.txid)).confirmations == 1
    daemon.mine(2)
    assert (await wallet.look_up(payment.txid)).confirmations == 3


async def test_the_wallet_bears_the_fee_when_no_payee_does(daemon, wallet):
    before = await wallet.balance()
    payment = await wallet.prepare({daemon.miner_address: 30_000_000}, fee_rate=3000)
    assert payment.payments == ((daemon.miner_address, 30_000_000),)
    assert payment.deducted_sat == 0
    assert payment.fee_sat > 0
    assert (await wallet.send(payment.raw_hex)).accepted
    daemon.mine(1)
    after = await wallet.balance()
    assert before.trusted - after.trusted == 30_000_000 + payment.fee_sat


async def test_payees_bear_the_fee_to_the_unit(daemon, wallet):
    before = await wallet.balance()
    fresh = [str(daemon.rpc("getnewaddress", wallet="miner")) for _ in range(3)]
    asked = dict(zip(fresh, (40_000_001, 50_000_003, 60_000_007), strict=True))
    payment = await wallet.prepare(asked, fee_rate=7777, subtract_fee_from=[0, 1, 2])
    got = dict(payment.payments)
    assert list(got) == fresh
    assert sum(asked.values()) - sum(got.values()) == payment.deducted_sat == payment.fee_sat
    assert max(asked[a] - got[a] for a in fresh) - min(asked[a] - got[a] for a in fresh) <= 2
    assert (await wallet.send(payment.raw_hex)).accepted
    daemon.mine(1)
    after = await wallet.balance()
    assert before.trusted - after.trusted == sum(asked.values())


async def test_only_the_named_payees_bear_the_fee(daemon, wallet):
    first, second = (str(daemon.rpc("getnewaddress", wallet="miner")) for _ in range(2))
    payment = await wallet.prepare(
        {first: 10_000_000, second: 20_000_000}, fee_rate=3000, subtract_fee_from=[1]
    )
    got = dict(payment.payments)
    assert got[first] == 10_000_000
    assert got[second] == 20_000_000 - payment.fee_sat


async def test_preparing_locks_and_changes_nothing(wallet):
    before = (await wallet.balance(), sorted(await wallet.unspent(), key=str))
    for _ in range(3):
        await wallet.prepare({await wallet.new_address(): 250_000_000}, fee_rate=1000)
    assert (await wallet.balance(), sorted(await wallet.unspent(), key=str)) == before


async def test_a_payment_with_too_high_a_fee_is_refused_before_it_exists(daemon, wallet):
    with pytest.raises(PaymentRefusedError):
        await wallet.prepare({daemon.miner_address: 10**7}, fee_rate=100_000, max_fee_sat=1000)
    async with daemon.endpoint(wallet.name) as own:
        careful = Wallet(own, daemon.coin, max_fee_rate=5_000)
        with pytest.raises(PaymentRefusedError):
            await careful.prepare({daemon.miner_address: 10**7}, fee_rate=100_000)


async def test_a_payment_beyond_the_balance_is_refused_as_such(daemon, wallet):
    with pytest.raises(RpcInsufficientFundsError):
        await wallet.prepare({daemon.miner_address: 400_000_000}, fee_rate=1000)


async def test_an_address_of_another_network_never_reaches_the_daemon(wallet):
    with pytest.raises(InvalidAddressError):
        await wallet.prepare({"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4": 10**7})


async def test_what_is_no_transaction_is_rejected_for_good(wallet):
    assert (await wallet.send("00")).verdict is SendVerdict.REJECTED


async def test_of_two_payments_with_the_same_money_one_happens(daemon, rpc):
    lonely = Wallet(rpc, daemon.coin, name=f"w{next(_names)}")
    await lonely.open()
    daemon.pay(await lonely.new_address(), 10**8)
    daemon.mine(1)
    one = await lonely.prepare({daemon.miner_address: 60_000_000}, fee_rate=1000)
    two = await lonely.prepare({daemon.miner_address: 70_000_000}, fee_rate=1000)
    assert one.inputs == two.inputs
    assert (await lonely.send(one.raw_hex)).accepted
    assert (await lonely.send(two.raw_hex)).verdict is SendVerdict.REJECTED
    assert (await lonely.look_up(two.txid, inputs=two.inputs)).state is TxState.CONFLICTED
    daemon.mine(1)
    assert (await lonely.send(two.raw_hex)).verdict is SendVerdict.REJECTED
    assert (await lonely.look_up(two.txid, inputs=two.inputs)).state is TxState.CONFLICTED
    assert (await lonely.look_up(one.txid, inputs=one.inputs)).state is TxState.CONFIRMED
    await lonely.close()


@pytest.mark.parametrize("name", ["devchain", "devchain_scrypt", "litecoind"])
async def test_a_rival_in_the_chain_is_a_conflict_as_deep_as_the_rival(request, name):
    daemon = request.getfixturevalue(name)
    async with daemon.endpoint() as rpc:
        lonely = Wallet(rpc, daemon.coin, name=f"w{next(_names)}")
        await lonely.open()
        daemon.pay(await lonely.new_address(), 10**8)
        daemon.mine(1)
        ours = await lonely.prepare({daemon.miner_address: 60_000_000}, fee_rate=1000)
        rival = await lonely.prepare({daemon.miner_address: 70_000_000}, fee_rate=1000)
        assert (await lonely.send(ours.raw_hex)).accepted
        block = await plan(daemon, rpc)
        block.value -= sum(tx["fee"] for tx in block.template["transactions"])
        block.template["transactions"] = [{"txid": rival.txid, "data": rival.raw_hex}]
        wtxid = parse_transaction(bytes.fromhex(rival.raw_hex)).wtxid_le
        block.commitment = COMMITMENT_MARK + witness_commitment([wtxid])
        assert (await submit(daemon, rpc, block.build())).accepted
        for depth in (1, 2):
            status = await lonely.look_up(ours.txid, inputs=ours.inputs)
            assert (status.state, status.confirmations) == (TxState.CONFLICTED, -depth)
            assert status.conflicts == (rival.txid,)
            assert (await lonely.look_up(rival.txid)).confirmations == depth
            assert (await lonely.send(ours.raw_hex)).verdict is SendVerdict.REJECTED
            daemon.mine(1)
        await lonely.close()


async def test_a_payment_is_followed_through_a_reorganisation(daemon, wallet):
    payment = await wallet.prepare({daemon.miner_address: 10**7}, fee_rate=3000)
    assert (await wallet.send(payment.raw_hex)).accepted
    (old,) = daemon.mine(1)
    assert (await wallet.look_up(payment.txid)).block_hash == old
    daemon.rpc("invalidateblock", old)
    assert (await wallet.look_up(payment.txid)).state is TxState.IN_MEMPOOL
    new = daemon.mine(2, daemon.rpc("getnewaddress", wallet="miner"))
    status = await wallet.look_up(payment.txid)
    assert (status.state, status.confirmations, status.block_hash) == (
        TxState.CONFIRMED,
        2,
        new[0],
    )


async def test_a_wallet_is_opened_by_several_at_once(rpc, wallet):
    await rpc.call("unloadwallet", wallet.name)
    others = [Wallet(rpc, wallet.coin, name=wallet.name) for _ in range(4)]
    await asyncio.gather(*(other.open() for other in others))
    assert wallet.name in await rpc.call("listwallets")
    for other in others:
        await other.close()


async def test_a_block_in_the_middle_of_a_look_up_is_no_conflict(daemon, rpc, monkeypatch):
    wallet = Wallet(rpc, daemon.coin, name=f"w{next(_names)}")
    await wallet.open()
    daemon.pay(await wallet.new_address(), 10**8)
    daemon.mine(1)
    payment = await wallet.prepare({daemon.miner_address: 10**7}, fee_rate=3000)
    assert (await wallet.send(payment.raw_hex)).accepted
    honest, asked = wallet._rpc.call, []

    async def call(method, *params, **options):
        if method == "getmempoolentry" and method not in asked:
            daemon.mine(1)
        asked.append(method)
        return await honest(method, *params, **options)

    monkeypatch.setattr(wallet._rpc, "call", call)
    status = await wallet.look_up(payment.txid, inputs=payment.inputs)
    assert (status.state, status.confirmations) == (TxState.CONFIRMED, 1)
    assert asked.count("gettransaction") == 2
    await wallet.close()


@pytest.mark.parametrize("name", ["litecoind"])
async def test_what_the_mempool_would_not_take_is_not_prepared(request, name):
    daemon = request.getfixturevalue(name)
    async with daemon.endpoint() as rpc:
        wallet = Wallet(rpc, daemon.coin, name=f"w{next(_names)}")
        await wallet.open()
        daemon.pay(await wallet.new_address(), 10**8)
        daemon.mine(1)
        with pytest.raises(RpcVerifyRejectedError, match="too-long-mempool-chain"):
            for _ in range(30):
                payment = await wallet.prepare({daemon.miner_address: 10**6}, fee_rate=1000)
                assert (await wallet.send(payment.raw_hex)).accepted
        daemon.mine(1)
        await wallet.prepare({daemon.miner_address: 10**6}, fee_rate=1000)
        await wallet.close()


async def test_receipts_name_every_unit_that_came_and_no_change(daemon, rpc, wallet):
    since = await rpc.call("getbestblockhash")
    address = await wallet.new_address()
    txid = daemon.pay(address, 12_345_678)
    # A real daemon's wallet hears of the payment a moment after the network does.
    async with asyncio.timeout(30):
        while not (waiting := await wallet.received_since(since)).receipts:
            await asyncio.sleep(0.02)
    assert [(r.txid, r.sat, r.confirmations) for r in waiting.receipts] == [(txid, 12_345_678, 0)]
    payment = await wallet.prepare({daemon.miner_address: 10**7}, fee_rate=3000)
    assert (await wallet.send(payment.raw_hex)).accepted
    (block,) = daemon.mine(1)
    found = await wallet.received_since(since)
    assert [(r.txid, r.sat, r.category, r.block_hash, r.address) for r in found.receipts] == [
        (txid, 12_345_678, "receive", block, address)
    ]
    assert found.last_block == block
    assert (await wallet.received_since(found.last_block)).receipts == ()


async def test_receipts_tell_what_a_reorganisation_took_out(daemon, wallet):
    txid = daemon.pay(await wallet.new_address(), 11_000_000)
    (old,) = daemon.mine(1)
    seen = await wallet.received_since(old)
    daemon.reorg(1)
    found = await wallet.received_since(seen.last_block)
    assert txid in found.removed
    assert [r.txid for r in found.receipts] == [txid]


async def test_a_mined_reward_is_immature_then_spendable_or_orphaned(daemon, rpc):
    mine = Wallet(rpc, daemon.coin, name=f"w{next(_names)}")
    await mine.open()
    start = await rpc.call("getbestblockhash")
    address = await mine.new_address()
    daemon.mine(1, address)
    (kept,) = (await mine.received_since(start)).receipts
    assert (kept.category, (await mine.balance()).immature) == ("immature", kept.sat)
    daemon.mine(daemon.maturity - 1)
    assert (await mine.balance()).trusted == 0
    daemon.mine(1)
    assert ((await mine.balance()).trusted, (await mine.balance()).immature) == (kept.sat, 0)
    daemon.mine(1, address)
    daemon.reorg(1)
    categories = {r.txid: r.category for r in (await mine.received_since(start)).receipts}
    assert sorted(categories.values()) == ["generate", "orphan"]
    await mine.close()


async def test_the_balance_is_the_sum_of_the_coins(wallet):
    coins = await wallet.unspent()
    assert sum(coin.sat for coin in coins) == (await wallet.balance()).trusted == 3 * 10**8


async def test_a_wallet_that_was_put_away_is_loaded_again_by_itself(rpc, wallet):
    await rpc.call("unloadwallet", wallet.name)
    async with rpc.for_wallet(wallet.name) as own:
        with pytest.raises(RpcWalletNotFoundError):
            await own.call("getbalances")
    assert (await wallet.balance()).trusted == 3 * 10**8


async def test_the_wallets_addresses_are_read_as_the_daemon_reads_them(daemon, rpc, wallet):
    kinds = ["bech32", "legacy"]
    for kind in kinds:
        address = await wallet.new_address(kind)
        told = await rpc.call("validateaddress", address)
        assert told["isvalid"] is True
        assert parse_address(address, daemon.coin).script_pubkey.hex() == told["scriptPubKey"]
    assert (await rpc.call("validateaddress", "x" * 30))["isvalid"] is False


# --- messages


async def test_a_message_signed_by_the_daemon_is_verified_here_and_there(daemon, rpc, wallet):
    address = await wallet.new_address("legacy")
    other = await wallet.new_address("legacy")
    text = "pay me — €\n"
    async with rpc.for_wallet(wallet.name) as own:
        signature = await own.call("signmessage", address, text)
    assert verify_message(daemon.coin, address, text, signature)
    assert await rpc.call("verifymessage", address, signature, text) is True
    assert not verify_message(daemon.coin, other, text, signature)
    assert not verify_message(daemon.coin, address, text + " ", signature)
    assert await rpc.call("verifymessage", other, signature, text) is False


async def test_messages_for_segwit_addresses_are_refused_by_the_daemon(rpc, wallet):
    address = await wallet.new_address()
    async with rpc.for_wallet(wallet.name) as own:
        with pytest.raises(RpcRejectedError) as caught:
            await own.call("signmessage", address, "x")
    assert caught.value.rpc_code == -3


# --- errors


@pytest.mark.parametrize(
    ("method", "params", "kind", "number"),
    [
        ("nosuchmethod", [], RpcMethodNotFoundError, -32601),
        ("getblockhash", [10**8], RpcInvalidParameterError, -8),
        ("getblockhash", ["x"], RpcInvalidParameterError, -1),
        ("getblockhash", [], RpcInvalidParameterError, -1),
        ("getblock", [NOWHERE], RpcNotFoundError, -5),
        ("getblock", ["00"], RpcInvalidParameterError, -8),
        ("getblockheader", [NOWHERE], RpcNotFoundError, -5),
        ("getrawtransaction", [NOWHERE], RpcNotFoundError, -5),
        ("getmempoolentry", [NOWHERE], RpcNotFoundError, -5),
        ("submitblock", ["00"], RpcInvalidParameterError, -22),
        ("sendrawtransaction", ["00"], RpcInvalidParameterError, -22),
        ("decoderawtransaction", ["00"], RpcInvalidParameterError, -22),
        ("createrawtransaction", [[], {"nobody": 1}], RpcNotFoundError, -5),
        ("loadwallet", ["no-such-wallet"], RpcWalletNotFoundError, -18),
        ("createwallet", ["miner"], RpcWalletError, -4),
        ("loadwallet", ["miner"], RpcWalletError, -4),
    ],
)
async def test_errors_have_their_number_and_their_type(rpc, method, params, kind, number):
    with pytest.raises(kind) as caught:
        await rpc.call(method, *params)
    assert caught.value.rpc_code == number


async def test_an_unknown_transaction_is_not_found_in_the_wallet(rpc, wallet):
    async with rpc.for_wallet(wallet.name) as own:
        with pytest.raises(RpcNotFoundError):
            await own.call("gettransaction", NOWHERE)
    assert (await wallet.look_up(NOWHERE)).state is TxState.NOT_FOUND


async def test_a_transaction_that_spends_nothing_real_is_rejected(daemon, rpc):
    raw = await rpc.call(
        "createrawtransaction", [{"txid": "11" * 32, "vout": 0}], {daemon.miner_address: 1}
    )
    with pytest.raises(RpcVerifyRejectedError) as caught:
        await rpc.call("sendrawtransaction", raw)
    assert caught.value.rpc_code == -25


async def test_an_unsigned_transaction_is_rejected(daemon, rpc, wallet):
    coin = (await wallet.unspent())[0]
    raw = await rpc.call(
        "createrawtransaction",
        [{"txid": coin.txid, "vout": coin.vout}],
        {daemon.miner_address: Decimal("0.9999")},
    )
    with pytest.raises(RpcVerifyRejectedError) as caught:
        await rpc.call("sendrawtransaction", raw)
    assert caught.value.rpc_code == -26
    assert "script-verify-flag" in caught.value.message


async def test_a_wrong_password_is_told_apart(daemon):
    async with RpcEndpoint(daemon.url, daemon.user, "wrong") as stranger:
        with pytest.raises(RpcAuthError) as caught:
            await stranger.call("getblockcount")
    assert isinstance(caught.value, RpcUnavailableError)
