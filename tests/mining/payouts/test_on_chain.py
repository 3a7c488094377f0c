"""Payouts on real daemons: what leaves the books is what the chain shows, to the unit."""

from decimal import Decimal

import pytest

from millpond.chains.bitcoin import base58
from millpond.chains.bitcoin.address import encode_p2sh
from millpond.chains.bitcoin.wallet import Wallet
from millpond.intents import IntentState
from millpond.intents.errors import IntentMayBeEffectiveError
from millpond.mining.accounts import network_fees
from millpond.mining.payouts import FeePolicy, PayoutSettings, PayoutState, SettingsChange, queries
from millpond.store import Store
from tests.chains.daemons import LiveDaemon
from tests.mining.payouts.scene import LTC, PayoutScene, address


@pytest.fixture
async def scene(store: Store, daemon: LiveDaemon, pool_wallet_of: Wallet) -> PayoutScene:
    daemon.mine(1)
    made = PayoutScene(store, daemon.coin, pool_wallet_of)
    await made.top_up(50 * LTC)
    return made


def received(daemon: LiveDaemon, txid: str) -> dict[str, int]:
    """Base units by address of a transaction, as the daemon reads it."""
    shown = daemon.rpc("gettransaction", txid, wallet="miner")
    decoded = daemon.rpc("decoderawtransaction", shown["hex"])
    found: dict[str, int] = {}
    for output in decoded["vout"]:
        key = output["scriptPubKey"]
        name = key.get("address") or (key.get("addresses") or [""])[0]
        found[name] = found.get(name, 0) + int(Decimal(str(output["value"])) * LTC)
    return found


async def test_many_payees_are_paid_by_one_transaction_and_the_books_follow_it(
    scene: PayoutScene, daemon: LiveDaemon
):
    wallets = [address(daemon.coin, 1000 + i) for i in range(7)]
    amounts = [LTC + 12_345 * i + 1 for i in range(7)]
    for wallet, amount in zip(wallets, amounts, strict=True):
        await scene.credit(wallet, amount)
    result = await scene.run.run_once()
    assert len(result.requested) == 7
    assert len(result.batches) == 1
    await scene.drain()
    paid = [await scene.get(payout) for payout in result.requested]
    assert {payout.state for payout in paid} == {PayoutState.BROADCAST}
    (txid,) = {payout.txid for payout in paid}
    assert txid is not None
    on_chain = received(daemon, txid)
    assert [on_chain[p.address] for p in paid] == [p.amount - p.fee for p in paid]
    shown = daemon.rpc("gettransaction", txid, wallet="miner")
    fee = int(-Decimal(str(shown["fee"])) * LTC)
    spent_by_the_pool = (await scene.intents_listed())[0].details["pool_fee"]
    assert sum(payout.fee for payout in paid) + spent_by_the_pool == fee
    for confirmations, state in ((1, PayoutState.CONFIRMED), (2, PayoutState.SETTLED)):
        daemon.mine(1)
        await scene.drain(1)
        paid = [await scene.get(payout) for payout in result.requested]
        assert {(p.state, p.confirmations) for p in paid} == {(state, confirmations)}
    assert await scene.held() == 50 * LTC - sum(amounts) - spent_by_the_pool
    assert [await scene.owed(wallet) for wallet in wallets] == [0] * 7
    await scene.assert_books_hold()
    async with scene.store.read() as tx:
        assert len(await queries.by_txid(tx, txid)) == 7
        assert await queries.counts(tx, pool_id="main") == {PayoutState.SETTLED: 7}
        assert await queries.paid(tx, coin=daemon.coin.name, wallet=wallets[0]) == amounts[0]


async def test_where_the_pool_pays_the_network_payees_get_all_of_it(
    store: Store, daemon: LiveDaemon, pool_wallet_of: Wallet
):
    daemon.mine(1)
    settings = PayoutSettings(
        confirmations=1, poll_s=1, patience_s=5, fee_policy=FeePolicy.POOL, fee_rate=20_000
    )
    scene = PayoutScene(store, daemon.coin, pool_wallet_of, settings)
    await scene.top_up(10 * LTC)
    wallet = address(daemon.coin, 77)
    await scene.credit(wallet, LTC + 7)
    payout = await scene.request(wallet)
    await scene.run.run_once()
    await scene.drain()
    daemon.mine(1)
    await scene.drain(1)
    done = await scene.get(payout)
    assert (done.state, done.fee) == (PayoutState.SETTLED, 0)
    assert done.txid is not None
    assert received(daemon, done.txid)[wallet] == LTC + 7
    fee = (await scene.balance(network_fees(daemon.coin))).posted.units
    shown = daemon.rpc("gettransaction", done.txid, wallet="miner")
    assert fee == int(-Decimal(str(shown["fee"])) * LTC) > 0
    assert await scene.held() == 10 * LTC - (LTC + 7) - fee
    await scene.assert_books_hold()


async def test_one_script_under_two_names_does_not_stop_the_payouts(
    scene: PayoutScene, daemon: LiveDaemon
):
    lower = address(daemon.coin, 600)
    scripts = [encode_p2sh(bytes(20), daemon.coin)]
    for version in daemon.coin.addresses.p2sh[1:]:
        scripts.append(base58.encode_check(bytes((version,)) + bytes(20)))
    wallets = [lower, lower.upper(), address(daemon.coin, 601), *scripts]
    for wallet in wallets:
        await scene.credit(wallet, LTC)
    result = await scene.run.run_once()
    await scene.drain()
    assert len(result.requested) == len(wallets)
    sent = [await scene.get(payout) for payout in result.requested]
    assert {payout.state for payout in sent} == {PayoutState.BROADCAST}
    (txid,) = {payout.txid for payout in sent}
    assert txid is not None
    on_chain = received(daemon, txid)
    assert on_chain[lower] == sum(p.amount - p.fee for p in sent if p.wallet.lower() == lower)
    daemon.mine(2)
    await scene.drain(1)
    assert [await scene.owed(wallet) for wallet in wallets] == [0] * len(wallets)
    await scene.assert_books_hold()


async def test_two_miners_with_one_address_share_one_output(scene: PayoutScene, daemon: LiveDaemon):
    shared = address(daemon.coin, 500)
    wallets = [address(daemon.coin, 501), address(daemon.coin, 502)]
    for wallet in wallets:
        await scene.credit(wallet, LTC)
        async with scene.store.begin() as tx:
            await scene.payouts.miners.change(tx, wallet, SettingsChange(address=shared))
    scene.clock.advance(scene.settings.address_delay_s)
    payouts = [await scene.request(wallet) for wallet in wallets]
    await scene.run.run_once()
    await scene.drain()
    sent = [await scene.get(payout) for payout in payouts]
    assert sent[0].txid is not None
    assert received(daemon, sent[0].txid)[shared] == sum(p.amount - p.fee for p in sent)


async def test_other_writings_of_an_address_hold_nobody_up(scene: PayoutScene, daemon: LiveDaemon):
    """The daemon refuses a transaction that names one payee twice."""
    coin, program = daemon.coin, bytes(range(20))
    twins = [base58.encode_check(bytes((v,)) + program) for v in coin.addresses.p2sh]
    shouted = address(coin, 600).upper()
    honest = address(coin, 601)
    for wallet in (*twins, shouted, shouted.lower(), honest):
        await scene.credit(wallet, LTC)
    result = await scene.run.run_once()
    await scene.drain()
    sent = [await scene.get(payout) for payout in result.requested]
    assert {payout.state for payout in sent} == {PayoutState.BROADCAST}
    (txid,) = {payout.txid for payout in sent}
    assert txid is not None
    on_chain = received(daemon, txid)
    for name, wallets in (
        (honest, [honest]),
        (shouted.lower(), [shouted, shouted.lower()]),
        (encode_p2sh(program, coin), twins),
    ):
        mine = [payout for payout in sent if payout.wallet in wallets]
        assert len(mine) == len(wallets)
        assert on_chain[name] == sum(payout.amount - payout.fee for payout in mine)


async def test_a_shortage_waits_with_an_alert_and_goes_on_when_there_is_money(
    store: Store, daemon: LiveDaemon
):
    empty = Wallet(daemon.endpoint(), daemon.coin, name=f"short-{daemon.height()}")
    await empty.open()
    scene = PayoutScene(store, daemon.coin, empty)
    await scene.top_up(10 * LTC)
    wallet = address(daemon.coin, 900)
    await scene.credit(wallet, LTC)
    payout = await scene.request(wallet)
    await scene.run.run_once()
    for _ in range(3):
        await scene.drain(1)
    waiting = await scene.get(payout)
    assert waiting.state is PayoutState.RESERVED
    assert "waits" in waiting.reason
    assert [alert["type"] for alert in await scene.events("alerts")] == ["wallet_shortage"]
    daemon.pay(await empty.new_address(), 3 * LTC)
    daemon.mine(1)
    await scene.drain(1)
    assert (await scene.get(payout)).state is PayoutState.BROADCAST
    await empty.close()


async def test_a_reorganisation_that_unconfirms_a_payment_is_followed(
    scene: PayoutScene, daemon: LiveDaemon
):
    wallet = address(daemon.coin, 1200)
    await scene.credit(wallet, LTC)
    payout = await scene.request(wallet)
    await scene.run.run_once()
    await scene.drain()
    block = daemon.mine(1)[0]
    await scene.drain(1)
    assert (await scene.get(payout)).state is PayoutState.CONFIRMED
    daemon.rpc("invalidateblock", block)
    await scene.drain(1)
    assert (await scene.get(payout)).state is PayoutState.BROADCAST
    daemon.mine(2, daemon.rpc("getnewaddress", wallet="miner"))
    await scene.drain(1)
    assert (await scene.get(payout)).state is PayoutState.SETTLED
    await scene.assert_books_hold()


@pytest.mark.parametrize("daemon", ["litecoind"], indirect=True)
async def test_a_double_spent_payment_is_frozen_and_made_anew_only_with_proof(
    scene: PayoutScene, daemon: LiveDaemon
):
    wallet = address(daemon.coin, 1300)
    await scene.credit(wallet, LTC)
    payout = await scene.request(wallet)
    await scene.run.run_once()
    await scene.drain()
    first = await scene.get(payout)
    shown = daemon.rpc("gettransaction", first.txid, wallet="miner")
    rival = conflicting(daemon, shown["hex"])
    block = daemon.rpc("getbestblockhash")
    mine_transaction(daemon, rival)
    await scene.drain(1)
    frozen = await scene.get(payout)
    assert frozen.state is PayoutState.FROZEN, (frozen.reason, block)
    intent = (await scene.intents_listed())[0]
    with pytest.raises(IntentMayBeEffectiveError):
        await scene.operator.retry(intent.id, actor="anna", reason="too early")
    daemon.mine(1)
    await scene.operator.retry(intent.id, actor="anna", reason="double spent")
    await scene.drain()
    second = await scene.get(payout)
    assert second.state is PayoutState.BROADCAST
    assert second.txid != first.txid
    daemon.mine(2)
    await scene.drain(1)
    assert (await scene.get(payout)).state is PayoutState.SETTLED
    assert (await scene.intents_listed())[0].state is IntentState.SETTLED
    await scene.assert_books_hold()


def conflicting(daemon: LiveDaemon, raw: str) -> str:
    """A signed transaction of the same inputs that pays the pool itself."""
    decoded = daemon.rpc("decoderawtransaction", raw)
    inputs = [{"txid": i["txid"], "vout": i["vout"]} for i in decoded["vin"]]
    whole = sum(Decimal(str(o["value"])) for o in decoded["vout"])
    target = daemon.rpc("getnewaddress", wallet="miner")
    made = daemon.rpc("createrawtransaction", inputs, [{target: str(whole - Decimal("0.001"))}])
    return str(daemon.rpc("signrawtransactionwithwallet", made, wallet="miner")["hex"])


def mine_transaction(daemon: LiveDaemon, raw: str) -> None:
    """Put a transaction into a block without its going through the mempool."""
    daemon.rpc("generateblock", daemon.miner_address, [raw])
