"""Who may ask for what; a balance is paid once, and to the address that was chosen in time."""

from typing import Any

import pytest

from millpond.chains.bitcoin.errors import InvalidAddressError
from millpond.chains.coins import coin_named
from millpond.mining.payouts import (
    FeePolicy,
    PayoutSettings,
    PayoutState,
    Schedule,
    SettingsChange,
    queries,
)
from millpond.mining.payouts.errors import (
    PayoutBalanceError,
    PayoutNotFoundError,
    PayoutOpenError,
    PayoutSettingsError,
    PayoutTooSmallError,
)
from millpond.store import Store
from tests.mining.payouts.scene import LTC, PayoutScene, address

COIN = coin_named("devcoin")
ANN, BOB = address(COIN, 1), address(COIN, 2)


@pytest.fixture
async def scene(store: Store) -> PayoutScene:
    made = PayoutScene(store, COIN, wallet=None)
    await made.top_up(100 * LTC)
    await made.credit(ANN, 3 * LTC)
    return made


async def change(scene: PayoutScene, wallet: str, **what: Any) -> None:
    async with scene.store.begin() as tx:
        await scene.payouts.miners.change(tx, wallet, SettingsChange(**what))


async def test_a_request_takes_the_amount_out_of_the_balance_at_once(scene: PayoutScene):
    payout = await scene.request(ANN, amount=LTC)
    assert (payout.state, payout.amount, payout.address) == (PayoutState.RESERVED, LTC, ANN)
    assert await scene.owed(ANN) == 2 * LTC
    assert [e["state"] for e in await scene.events("payouts")] == ["requested", "reserved"]


async def test_asking_twice_is_answered_with_the_open_one(scene: PayoutScene):
    first = await scene.request(ANN)
    assert (await scene.request(ANN)).id == first.id
    assert (await scene.request(ANN, amount=3 * LTC)).id == first.id
    with pytest.raises(PayoutOpenError):
        await scene.request(ANN, amount=LTC)
    assert await scene.owed(ANN) == 0


async def test_too_little_too_much_and_no_address_are_typed_errors(scene: PayoutScene):
    with pytest.raises(PayoutTooSmallError):
        await scene.request(ANN, amount=scene.settings.minimum - 1)
    with pytest.raises(PayoutTooSmallError):
        await scene.request(BOB)
    with pytest.raises(PayoutBalanceError):
        await scene.request(ANN, amount=3 * LTC + 1)
    with pytest.raises(InvalidAddressError):
        await scene.request("nobody")
    assert await scene.owed(ANN) == 3 * LTC


async def test_a_payout_that_the_pool_s_wallet_cannot_bear_waits_as_requested(store: Store):
    scene = PayoutScene(store, COIN, wallet=None)
    await scene.credit(ANN, 3 * LTC)
    waiting = await scene.request(ANN)
    assert waiting.state is PayoutState.REQUESTED
    await scene.run.run_once()
    await scene.run.run_once()
    assert [e["type"] for e in await scene.events("alerts")] == ["wallet_shortage"]
    await scene.top_up(5 * LTC)
    result = await scene.run.run_once()
    assert [p.id for p in result.reserved] == [waiting.id]
    assert len(result.batches) == 1
    await scene.assert_books_hold()


async def test_a_changed_address_is_used_after_the_safety_period(scene: PayoutScene):
    await change(scene, ANN, address=BOB)
    (told,) = [e for e in await scene.events("payouts") if e["type"] == "address_change"]
    assert (told["from"], told["to"]) == (ANN, BOB)
    first = await scene.request(ANN, amount=LTC)
    assert first.address == ANN
    scene.clock.advance(scene.settings.address_delay_s)
    async with scene.store.begin() as tx:
        await scene.payouts.fail(tx, [first], "test")
    assert (await scene.request(ANN, amount=LTC)).address == BOB


async def test_a_change_can_be_taken_back_within_the_safety_period(scene: PayoutScene):
    await change(scene, ANN, address=BOB)
    await change(scene, ANN, address=None)
    scene.clock.advance(scene.settings.address_delay_s * 2)
    assert (await scene.request(ANN)).address == ANN


async def test_settings_that_the_pool_does_not_offer_are_refused(scene: PayoutScene):
    with pytest.raises(PayoutSettingsError):
        await change(scene, ANN, threshold=1)
    with pytest.raises(PayoutSettingsError):
        await change(scene, ANN, fee_policy=FeePolicy.POOL)
    with pytest.raises(InvalidAddressError):
        await change(scene, ANN, address="ltc1nonsense")


async def test_the_automatic_run_keeps_to_threshold_switch_and_schedule(scene: PayoutScene):
    await scene.credit(BOB, LTC)
    await change(scene, BOB, threshold=2 * LTC, schedule=Schedule.DAILY)
    result = await scene.run.run_once()
    assert [(p.wallet, p.origin) for p in result.requested] == [(ANN, "automatic")]
    await scene.credit(BOB, LTC)
    result = await scene.run.run_once()
    assert [p.wallet for p in result.requested] == [BOB]
    async with scene.store.begin() as tx:
        open_payout = await scene.payouts.open_payout(tx, BOB)
        assert open_payout is not None
        await scene.payouts.fail(tx, [open_payout], "test")
    assert (await scene.run.run_once()).requested == ()
    scene.clock.advance(24 * 3600)
    assert [p.wallet for p in (await scene.run.run_once()).requested] == [BOB]
    await change(scene, ANN, automatic=False)
    await scene.credit(ANN, 9 * LTC)
    assert (await scene.run.run_once()).requested == ()


async def test_a_dry_run_says_the_same_and_does_nothing(scene: PayoutScene):
    await scene.credit(BOB, LTC)
    dry = await scene.run.dry_run()
    assert sorted(dry.due) == sorted([(ANN, 3 * LTC), (BOB, LTC)])
    assert [batch.outputs for batch in dry.plan.batches] == [dict(dry.due)]
    assert await scene.owed(ANN) == 3 * LTC
    assert await scene.intents_listed() == []
    assert await scene.events("payouts") == []


async def test_an_address_that_the_daemon_does_not_know_fails_alone(scene: PayoutScene):
    async def check(text: str) -> bool:
        return text != BOB

    await scene.credit(BOB, LTC)
    scene.run._check_address = check
    result = await scene.run.run_once()
    assert [p.wallet for p in result.failed] == [BOB]
    assert await scene.owed(BOB) == LTC
    assert len(result.batches) == 1
    async with scene.store.read() as tx:
        assert await queries.counts(tx) == {PayoutState.FAILED: 1, PayoutState.RESERVED: 1}


async def test_a_batch_is_written_once_however_often_the_run_is_repeated(scene: PayoutScene):
    await scene.run.run_once()
    await scene.run.run_once()
    assert len(await scene.intents_listed()) == 1


async def test_the_next_payout_can_be_estimated(scene: PayoutScene):
    await change(scene, ANN, threshold=5 * LTC)
    async with scene.store.read() as tx:
        found = await queries.next_payout(tx, scene.payouts, ANN)
        with pytest.raises(PayoutNotFoundError):
            await queries.payout(tx, "none")
    assert (found.available, found.missing, found.open_payout) == (3 * LTC, 2 * LTC, None)
    assert found.at_ms == scene.clock.now_ms()


async def test_pages_of_payouts_go_from_new_to_old(scene: PayoutScene):
    await scene.credit(BOB, LTC)
    first, second = await scene.request(ANN), await scene.request(BOB)
    async with scene.store.read() as tx:
        page = await queries.listed(tx, pool_id="main", limit=1)
        rest = await queries.listed(tx, coin=COIN.name, before=page[0].id)
        mine = await queries.listed(tx, wallet=ANN)
    assert [p.id for p in page + rest] == [second.id, first.id]
    assert [p.id for p in mine] == [first.id]


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(AssertionError):
        PayoutSettings(minimum=10, dust=100)
