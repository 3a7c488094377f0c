"""What the devchain does beyond what every daemon does: memory, retarget, faults, accidents."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from coincurve import PrivateKey

from millpond.chains.bitcoin.errors import (
    RpcOutcomeUnknownError,
    RpcRejectedError,
    RpcUnavailableError,
)
from millpond.chains.bitcoin.hashes import hash160
from millpond.chains.bitcoin.payment import SendVerdict, TxState
from millpond.chains.bitcoin.rpc import RpcEndpoint
from millpond.chains.bitcoin.wallet import Wallet
from millpond.chains.bitcoin.wire import (
    Outpoint,
    Transaction,
    TxIn,
    TxOut,
    bits_of_target,
    target_of_bits,
)
from millpond.chains.coins import coin_named
from millpond.chains.devchain.chain import Devchain
from millpond.chains.devchain.mining import mine_block
from millpond.chains.devchain.params import DevParams, demo_params
from millpond.chains.devchain.params import test_params as easy_params
from millpond.chains.devchain.server import DevchainServer
from millpond.chains.devchain.signing import p2wpkh_script
from millpond.chains.devchain.storage import DevchainStorageError, Storage
from millpond.clock import ManualClock, SeededEntropy
from millpond.ops.system import SystemClock
from tests.chains.daemons import DevchainDaemon

COIN = coin_named("devcoin")
BURN = b"\x00\x14" + bytes(20)


@pytest.fixture
async def server():
    async with DevchainServer(easy_params(COIN), SystemClock(), SeededEntropy()) as running:
        yield running


@pytest.fixture
async def rpc(server):
    async with RpcEndpoint(server.url, server.user, server.password) as endpoint:
        yield endpoint


@pytest.fixture
async def wallet(rpc):
    made = Wallet(rpc, COIN, name="pool")
    await made.open()
    await rpc.call("generatetoaddress", 20, await made.new_address())
    yield made
    await made.close()


async def sent_payment(wallet: Wallet, rpc: RpcEndpoint):
    await rpc.call("createwallet", f"payee{await rpc.call('getblockcount')}")
    name = (await rpc.call("listwallets"))[-1]
    async with rpc.for_wallet(name) as payee:
        to = await payee.call("getnewaddress")
    payment = await wallet.prepare({to: 123_456_789}, fee_rate=2000)
    assert (await wallet.send(payment.raw_hex)).accepted
    return payment


# --- memory


async def test_nothing_that_was_answered_is_lost_when_the_process_is_killed():
    with DevchainDaemon() as daemon:
        daemon.fund()
        async with daemon.endpoint() as rpc:
            pool = Wallet(rpc, daemon.coin, name="pool")
            await pool.open()
            address = await pool.new_address()
            waiting = daemon.pay(address, 77_000_000)
            for _ in range(5):
                (mined,) = daemon.mine(1, address)
                daemon.kill()
                daemon.start()
                assert daemon.rpc("getbestblockhash") == mined
                assert (await pool.look_up(waiting)).state is TxState.CONFIRMED
            before = await pool.balance()
            waiting = daemon.pay(address, 5_000_000)
            daemon.kill()
            daemon.start()
            assert (await pool.look_up(waiting)).state is TxState.IN_MEMPOOL
            assert (await pool.balance()).untrusted_pending == 5_000_000
            assert (await pool.balance()).trusted == before.trusted
            assert await pool.new_address() != address
            await pool.close()


async def test_an_unfinished_record_is_cut_off(tmp_path):
    chain = Devchain(easy_params(COIN), SystemClock(), Storage(tmp_path))
    chain.load()
    for _ in range(3):
        block = await mine_block(chain, BURN)
        assert block is not None
        assert chain.submit(block) is None
    tips = [node.hash for node in chain.active]
    chain.storage.close()
    log = tmp_path / "devchain.log"
    whole = log.read_bytes()
    for cut in (1, 5, 50, 200):
        log.write_bytes(whole[:-cut])
        again = Devchain(easy_params(COIN), SystemClock(), Storage(tmp_path))
        again.load()
        assert [node.hash for node in again.active] == tips[:-1]
        block = await mine_block(again, BURN, extra=cut)
        assert block is not None
        assert again.submit(block) is None
        again.storage.close()


async def test_a_directory_of_other_rules_is_refused(tmp_path):
    first = Devchain(easy_params(COIN), SystemClock(), Storage(tmp_path))
    first.load()
    first.storage.close()
    other = Devchain(demo_params(COIN), SystemClock(), Storage(tmp_path))
    with pytest.raises(DevchainStorageError):
        other.load()
    other.storage.close()


async def test_a_directory_outlives_changes_of_the_coins_row_that_change_no_block(tmp_path):
    first = Devchain(easy_params(COIN), SystemClock(), Storage(tmp_path))
    first.load()
    first.storage.close()
    coin = msgspec.structs.replace(COIN, chain="dev", template_rules=("segwit", "more"))
    again = Devchain(easy_params(coin), SystemClock(), Storage(tmp_path))
    again.load()
    again.storage.close()
    harder = msgspec.structs.replace(COIN, maturity=COIN.maturity + 1)
    other = Devchain(easy_params(harder), SystemClock(), Storage(tmp_path))
    with pytest.raises(DevchainStorageError):
        other.load()
    other.storage.close()


async def test_a_branch_with_a_forged_signature_loses_before_and_after_a_restart(tmp_path):
    chain = Devchain(easy_params(COIN), SystemClock(), Storage(tmp_path))
    chain.load()
    key = PrivateKey(b"\x05" * 32)
    script = p2wpkh_script(hash160(key.public_key.format()))
    for _ in range(COIN.maturity + 1):
        block = await mine_block(chain, script)
        assert block is not None
        assert chain.submit(block) is None
    honest = chain.tip
    coin = chain.block(chain.active[1]).transactions[0]
    theft = Transaction(
        2,
        (TxIn(Outpoint(coin.txid_le, 0), b"", 0xFFFFFFFE, (b"\x30" * 70 + b"\x01", bytes(33))),),
        (TxOut(coin.outputs[0].value, BURN),),
    )
    fork = chain.active[-2]
    first = await mine_block(chain, BURN, parent=fork, transactions=[theft])
    assert first is not None
    assert chain.submit(first) == "inconclusive"
    parent = chain.nodes[first.header.hash_le]
    second = await mine_block(chain, BURN, parent=parent, transactions=[])
    assert second is not None
    assert chain.submit(second) is not None
    assert chain.tip is honest
    chain.storage.close()
    again = Devchain(easy_params(COIN), SystemClock(), Storage(tmp_path))
    again.load()
    assert again.tip.hash == honest.hash
    again.storage.close()


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("createrawtransaction", [[], {"data": "zz"}]),
        ("createrawtransaction", [[{"txid": "00" * 32, "vout": 2**70}], {}]),
        ("createrawtransaction", [[{"txid": "00" * 32, "vout": 0, "sequence": "x"}], {}]),
        ("createrawtransaction", [["x"], 7]),
        ("fundrawtransaction", ["02000000000000000000", {"feeRate": "x"}]),
        ("fundrawtransaction", ["02000000000000000000", {"subtractFeeFromOutputs": ["a"]}]),
        ("fundrawtransaction", ["02000000000000000000", {"changeAddress": "x"}]),
        ("getnetworkhashps", [10, 10**9]),
        ("gettxout", ["00" * 32, "0"]),
        ("getblocktemplate", [{"rules": 7}]),
        ("testmempoolaccept", [[7]]),
        ("submitblock", ["00" * 81]),
        ("dev_set_fault", [{"method": "x", "mode": "y"}]),
        ("getblock", [["x"]]),
    ],
)
async def test_parameters_of_a_wrong_shape_are_refused_and_change_nothing(
    rpc, wallet, method, params
):
    before = [await rpc.call("getblockchaininfo"), await wallet.balance()]
    async with rpc.for_wallet("pool") as own:
        with pytest.raises(RpcRejectedError):
            await own.call(method, *params)
    assert [await rpc.call("getblockchaininfo"), await wallet.balance()] == before


async def test_branches_and_marks_come_back_as_they_were(tmp_path):
    async with (
        DevchainServer(
            easy_params(COIN), SystemClock(), SeededEntropy(), datadir=tmp_path
        ) as server,
        RpcEndpoint(server.url, "devchain", "devchain") as rpc,
    ):
        await rpc.call("createwallet", "w")
        hashes = await rpc.call("generatetoaddress", 6, await rpc.call("getnewaddress"))
        await rpc.call("dev_reorg", 3)
        await rpc.call("invalidateblock", await rpc.call("getbestblockhash"))
        await rpc.call("dev_sibling", hashes[0])
        told = [await rpc.call("getchaintips"), await rpc.call("getbestblockhash")]
    async with (
        DevchainServer(
            easy_params(COIN), SystemClock(), SeededEntropy(), datadir=tmp_path
        ) as server,
        RpcEndpoint(server.url, "devchain", "devchain") as rpc,
    ):
        assert [await rpc.call("getchaintips"), await rpc.call("getbestblockhash")] == told


# --- difficulty


async def mine_with(clock: ManualClock, params: DevParams, seconds: int, blocks: int) -> list[int]:
    chain = Devchain(params, clock)
    bits = []
    for _ in range(blocks):
        clock.advance(seconds)
        block = await mine_block(chain, BURN, max_tries=1 << 24)
        assert block is not None
        assert chain.submit(block) is None
        bits.append(block.header.bits)
    return bits


@pytest.mark.parametrize(
    ("seconds", "factor"), [(10, 1.0), (5, 0.5), (20, 2.0), (1, 0.25), (300, 4.0)]
)
async def test_the_target_follows_the_time_that_blocks_took(seconds, factor):
    params = DevParams(coin=COIN, block_time_s=10, initial_hashes=64)
    bits = await mine_with(ManualClock(1_800_000_000_000), params, seconds, 21)
    assert len(set(bits[:19])) == 1
    ratio = target_of_bits(bits[19]) / target_of_bits(bits[0])
    assert ratio == pytest.approx(factor, rel=0.01)


async def test_the_difficulty_never_falls_below_its_floor():
    params = DevParams(coin=COIN, block_time_s=10, initial_hashes=64)
    bits = await mine_with(ManualClock(1_800_000_000_000), params, 6000, 130)
    assert max(map(target_of_bits, bits)) == target_of_bits(bits_of_target(params.limit_target))


def test_the_demo_starts_where_a_gentle_miner_finds_a_block_in_block_time():
    params = demo_params(COIN, block_time_s=5)
    expected = (1 << 256) / target_of_bits(params.initial_bits)
    assert expected == pytest.approx(500_000, rel=0.01)


# --- accidents


async def test_a_reorganisation_of_any_depth_gives_payments_back_to_the_mempool(rpc, wallet):
    payment = await sent_payment(wallet, rpc)
    await rpc.call("generatetoaddress", 3, await wallet.new_address())
    assert (await wallet.look_up(payment.txid)).confirmations == 3
    new = await rpc.call("dev_reorg", 5, 2)
    assert len(new) == 7
    assert (await wallet.look_up(payment.txid)).state is TxState.IN_MEMPOOL
    await rpc.call("generatetoaddress", 1, await wallet.new_address())
    assert (await wallet.look_up(payment.txid)).state is TxState.CONFIRMED


async def test_an_evicted_payment_is_seen_as_dropped_and_can_be_sent_again(rpc, wallet):
    payment = await sent_payment(wallet, rpc)
    assert await rpc.call("dev_evict", payment.txid) is True
    status = await wallet.look_up(payment.txid, inputs=payment.inputs)
    assert status.state is TxState.DROPPED
    assert (await wallet.send(payment.raw_hex)).accepted
    assert (await wallet.look_up(payment.txid)).state is TxState.IN_MEMPOOL


@pytest.mark.parametrize("depth", [0, 2])
async def test_a_double_spend_is_seen_as_a_conflict_and_never_repeated(rpc, wallet, depth):
    payment = await sent_payment(wallet, rpc)
    if depth:
        await rpc.call("generatetoaddress", depth, await wallet.new_address())
    rival = await rpc.call("dev_double_spend", payment.txid, depth)
    status = await wallet.look_up(payment.txid, inputs=payment.inputs)
    assert status.state is TxState.CONFLICTED
    assert status.confirmations < 0
    assert status.conflicts == (rival,)
    assert (await wallet.send(payment.raw_hex)).verdict is SendVerdict.REJECTED
    assert (await wallet.look_up(rival)).state is TxState.CONFIRMED


async def test_a_payment_whose_answer_is_lost_is_found_by_its_name(rpc, wallet):
    payment = await wallet.prepare({await wallet.new_address(): 10**8}, fee_rate=2000)
    await rpc.call("dev_set_fault", {"method": "sendrawtransaction", "mode": "drop_after"})
    assert (await wallet.send(payment.raw_hex)).verdict is SendVerdict.UNKNOWN
    assert (await wallet.look_up(payment.txid)).state is TxState.IN_MEMPOOL
    assert (await wallet.send(payment.raw_hex)).accepted


async def test_a_payment_that_was_lost_on_the_way_is_not_there(rpc, wallet):
    payment = await wallet.prepare({await wallet.new_address(): 10**8}, fee_rate=2000)
    await rpc.call("dev_set_fault", {"method": "sendrawtransaction", "mode": "drop_before"})
    assert (await wallet.send(payment.raw_hex)).verdict is SendVerdict.UNKNOWN
    state = (await wallet.look_up(payment.txid, inputs=payment.inputs)).state
    assert state is TxState.NOT_FOUND


async def test_a_warming_up_daemon_takes_no_payment(rpc, wallet):
    payment = await wallet.prepare({await wallet.new_address(): 10**8}, fee_rate=2000)
    await rpc.call("dev_set_fault", {"method": "*", "mode": "error", "rpc_code": -28})
    assert (await wallet.send(payment.raw_hex)).verdict is SendVerdict.NOT_SENT


async def test_a_daemon_that_names_another_transaction_is_not_believed(rpc, wallet):
    payment = await wallet.prepare({await wallet.new_address(): 10**8}, fee_rate=2000)
    fault = {"method": "sendrawtransaction", "mode": "answer", "result": "00" * 32}
    await rpc.call("dev_set_fault", fault)
    assert (await wallet.send(payment.raw_hex)).verdict is SendVerdict.UNKNOWN


async def test_a_closed_port_opens_again(server, rpc):
    await rpc.call("dev_refuse_connections", 0.2)
    async with RpcEndpoint(server.url, server.user, server.password) as fresh:
        with pytest.raises(RpcUnavailableError):
            await fresh.call("getblockcount")
        async with asyncio.timeout(20):
            while True:
                try:
                    assert await fresh.call("getblockcount") == 0
                except (RpcUnavailableError, RpcOutcomeUnknownError):
                    await asyncio.sleep(0.02)
                else:
                    break


async def test_a_delayed_answer_comes_late_and_the_effect_at_once(rpc):
    await rpc.call("dev_set_fault", {"method": "createwallet", "mode": "delay", "delay_s": 0.3})
    late = asyncio.ensure_future(rpc.call("createwallet", "slow"))
    async with asyncio.timeout(20):
        while "slow" not in await rpc.call("listwallets"):
            await asyncio.sleep(0)
    assert not late.done()
    assert (await late)["name"] == "slow"


async def test_a_premature_reward_cannot_be_spent(rpc, wallet):
    (young,) = await rpc.call("generatetoaddress", 1, await wallet.new_address())
    coinbase = (await rpc.call("getblock", young))["tx"][0]
    inputs = [{"txid": coinbase, "vout": 0}]
    raw = await rpc.call("createrawtransaction", inputs, {await wallet.new_address(): 1})
    async with rpc.for_wallet("pool") as own:
        signed = await own.call("signrawtransactionwithwallet", raw)
    assert signed["complete"] is True
    sent = await wallet.send(signed["hex"])
    assert sent.verdict is SendVerdict.REJECTED
