"""A wallet that lies, refuses or is beside itself costs nobody anything."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from millpond.chains.bitcoin.errors import (
    InvalidAddressError,
    PaymentRefusedError,
    RpcNotFoundError,
    RpcRejectedError,
    RpcUnavailableError,
    RpcVerifyRejectedError,
)
from millpond.chains.bitcoin.payment import (
    SendOutcome,
    SendVerdict,
    SignedTransaction,
    TxState,
    TxStatus,
)
from millpond.chains.coins import coin_named
from millpond.intents import IntentState
from millpond.mining.accounts import network_fees, pool_wallet
from millpond.mining.payouts import PayoutState
from millpond.store import Store
from tests.mining.payouts.scene import LTC, PayoutScene, address

COIN = coin_named("devcoin")
ANN, BOB, EVE = (address(COIN, number) for number in (1, 2, 3))


class StubWallet:
    """An honest wallet until a test says otherwise."""

    def __init__(self) -> None:
        self.refuses: set[str] = set()
        self.bend: Any = None
        self.raises: Exception | None = None
        self.sent: list[str] = []
        self.verdict = SendOutcome(SendVerdict.ACCEPTED, "")
        self.status: TxStatus | None = None
        self.prepared: list[dict[str, int]] = []

    async def prepare(
        self, outputs: dict[str, int], *, subtract_fee_from: Any = None, **_: Any
    ) -> SignedTransaction:
        self.prepared.append(outputs)
        if self.raises is not None:
            raise self.raises
        if self.refuses & outputs.keys():
            raise RpcNotFoundError("Invalid address", rpc_code=-5, method="createrawtransaction")
        less = 100 if subtract_fee_from is not None else 0
        signed = SignedTransaction(
            raw_hex=f"{len(self.prepared):04x}",
            txid=f"{len(self.prepared):064x}",
            fee_sat=100 * len(outputs),
            deducted_sat=less * len(outputs),
            inputs=("aa:0",),
            outputs=(*((a, sat - less) for a, sat in outputs.items()), ("change", 5)),
            change_index=len(outputs),
        )
        return self.bend(signed) if self.bend else signed

    async def send(self, raw_hex: str) -> SendOutcome:
        self.sent.append(raw_hex)
        return self.verdict

    async def look_up(self, txid: str, *, inputs: Any = ()) -> TxStatus:
        if self.status is not None:
            return msgspec.structs.replace(self.status, txid=txid)
        return TxStatus(txid, TxState.IN_MEMPOOL if self.sent else TxState.NOT_FOUND)


@pytest.fixture
def wallet() -> StubWallet:
    return StubWallet()


@pytest.fixture
async def scene(store: Store, wallet: StubWallet) -> PayoutScene:
    made = PayoutScene(store, COIN, wallet)
    await made.top_up(100 * LTC)
    for miner in (ANN, BOB, EVE):
        await made.credit(miner, LTC)
    return made


async def states(scene: PayoutScene) -> dict[str, PayoutState]:
    from millpond.mining.payouts import queries

    async with scene.store.read() as tx:
        return {payout.wallet: payout.state for payout in await queries.listed(tx)}


def shifted(signed: SignedTransaction) -> SignedTransaction:
    """One unit of the first payee goes to the second."""
    (a, more), (b, less), *rest = signed.outputs
    return msgspec.structs.replace(signed, outputs=((a, more - 1), (b, less + 1), *rest))


def to_another(signed: SignedTransaction) -> SignedTransaction:
    """The first payee is somebody else."""
    (_, sat), *rest = signed.outputs
    return msgspec.structs.replace(signed, outputs=((address(COIN, 666), sat), *rest))


@pytest.mark.parametrize("lie", [shifted, to_another])
async def test_a_transaction_with_other_outputs_is_neither_stored_nor_sent(
    scene: PayoutScene, wallet: StubWallet, lie: Any
):
    wallet.bend = lie
    await scene.run.run_once()
    await scene.drain()
    (intent,) = await scene.intents_listed()
    assert (intent.state, intent.body, wallet.sent) == (IntentState.FROZEN, None, [])
    assert set((await states(scene)).values()) == {PayoutState.FROZEN}
    assert [e["type"] for e in await scene.events("alerts")] == ["payout_frozen"]


async def test_what_the_wallet_itself_refuses_to_believe_is_frozen(
    scene: PayoutScene, wallet: StubWallet
):
    wallet.raises = PaymentRefusedError("the fee of 9999999 is too high")
    await scene.run.run_once()
    await scene.drain()
    (intent,) = await scene.intents_listed()
    assert intent.state is IntentState.FROZEN
    assert "9999999" in intent.reason
    wallet.raises = None
    await scene.operator.retry(intent.id, actor="anna", reason="fee rate mended")
    await scene.drain()
    assert set((await states(scene)).values()) == {PayoutState.BROADCAST}


async def test_one_that_the_daemon_refuses_fails_alone_and_the_others_are_paid(
    scene: PayoutScene, wallet: StubWallet
):
    wallet.refuses = {EVE}
    await scene.run.run_once()
    await scene.drain()
    assert (await states(scene))[EVE] is PayoutState.FAILED
    assert await scene.owed(EVE) == LTC
    assert wallet.sent == []
    await scene.run.run_once(automatic=False)
    await scene.drain()
    found = await states(scene)
    assert {found[ANN], found[BOB]} == {PayoutState.BROADCAST}
    assert len(wallet.sent) == 1
    await scene.assert_books_hold()


async def test_a_batch_that_is_refused_only_as_a_whole_waits_for_a_person(
    scene: PayoutScene, wallet: StubWallet
):
    honest = wallet.prepare

    async def too_large(outputs: dict[str, int], **options: Any) -> SignedTransaction:
        if len(outputs) > 2:
            raise InvalidAddressError("Transaction too large")
        return await honest(outputs, **options)

    wallet.prepare = too_large  # type: ignore[method-assign]
    await scene.run.run_once()
    await scene.drain()
    assert set((await states(scene)).values()) == {PayoutState.FROZEN}
    (intent,) = await scene.intents_listed()
    await scene.operator.abandon(intent.id, actor="anna", reason="smaller batches")
    assert [await scene.owed(m) for m in (ANN, BOB, EVE)] == [LTC] * 3
    await scene.assert_books_hold()


def mempool_refuses(wallet: StubWallet, addresses: set[str]) -> None:
    honest = wallet.prepare

    async def prepare(outputs: dict[str, int], **options: Any) -> SignedTransaction:
        if addresses & outputs.keys():
            raise RpcVerifyRejectedError("no-good", rpc_code=-26, method="testmempoolaccept")
        return await honest(outputs, **options)

    wallet.prepare = prepare  # type: ignore[method-assign]


async def test_one_because_of_whom_the_mempool_would_refuse_all_fails_alone(
    scene: PayoutScene, wallet: StubWallet
):
    mempool_refuses(wallet, {EVE})
    await scene.run.run_once()
    await scene.drain()
    assert (await states(scene))[EVE] is PayoutState.FAILED
    await scene.run.run_once(automatic=False)
    await scene.drain()
    found = await states(scene)
    assert {found[ANN], found[BOB]} == {PayoutState.BROADCAST}
    assert await scene.owed(EVE) == LTC


async def test_a_mempool_that_takes_nothing_is_waited_for(scene: PayoutScene, wallet: StubWallet):
    honest = wallet.prepare
    mempool_refuses(wallet, {ANN, BOB, EVE})
    await scene.run.run_once()
    await scene.drain()
    assert set((await states(scene)).values()) == {PayoutState.RESERVED}
    wallet.prepare = honest  # type: ignore[method-assign]
    await scene.drain(1)
    assert set((await states(scene)).values()) == {PayoutState.BROADCAST}


async def test_a_refused_broadcast_returns_nothing_before_a_person_has_decided(
    scene: PayoutScene, wallet: StubWallet
):
    wallet.verdict = SendOutcome(SendVerdict.REJECTED, "min relay fee not met")
    wallet.status = TxStatus("", TxState.NOT_FOUND)
    await scene.run.run_once()
    await scene.drain()
    assert set((await states(scene)).values()) == {PayoutState.SIGNED}
    await scene.drain(5)
    assert set((await states(scene)).values()) == {PayoutState.FROZEN}
    assert [e["type"] for e in await scene.events("alerts")] == ["payout_frozen"]
    assert await scene.owed(ANN) == 0
    await scene.run.run_once()
    await scene.drain(60)
    assert wallet.sent == ["0001"]
    # Another node had relayed it: it was paid once, and is booked once.
    (intent,) = await scene.intents_listed()
    wallet.status = TxStatus("", TxState.CONFIRMED, 2, "hash")
    await scene.operator.release(intent.id, actor="anna", reason="it is in the chain")
    await scene.drain()
    assert set((await states(scene)).values()) == {PayoutState.SETTLED}
    assert wallet.sent == ["0001"]
    assert await scene.owed(ANN) == 0
    assert await scene.held() == 97 * LTC
    await scene.assert_books_hold()


async def test_a_fee_of_the_pool_never_comes_out_of_what_is_reserved_for_miners(store: Store):
    """All that the wallet holds is owed; the pool's part of the fee needs money of its own."""
    wallet = StubWallet()
    wallet.bend = lambda signed: msgspec.structs.replace(signed, fee_sat=signed.fee_sat + 7)
    scene = PayoutScene(store, COIN, wallet)
    await scene.top_up(2 * LTC)
    for miner in (ANN, BOB):
        await scene.credit(miner, LTC)
    await scene.run.run_once()
    await scene.drain()
    assert set((await states(scene)).values()) == {PayoutState.RESERVED}
    assert wallet.sent == []
    await scene.top_up(7)
    await scene.drain(1)
    assert len(wallet.sent) == 1
    assert (await scene.balance(pool_wallet(COIN))).available.units == 0
    wallet.status = TxStatus("", TxState.CONFIRMED, 2, "hash")
    await scene.drain(1)
    assert set((await states(scene)).values()) == {PayoutState.SETTLED}
    assert await scene.held() == 0
    assert (await scene.balance(network_fees(COIN))).posted.units == 7
    await scene.assert_books_hold()


async def test_a_fee_that_was_set_aside_returns_when_its_transaction_is_dead(
    scene: PayoutScene, wallet: StubWallet
):
    wallet.bend = lambda signed: msgspec.structs.replace(signed, fee_sat=signed.fee_sat + 7)
    await scene.run.run_once()
    await scene.drain()
    assert (await scene.balance(pool_wallet(COIN))).outgoing.units == 3 * LTC + 7
    wallet.status = TxStatus("", TxState.CONFLICTED, -2, conflicts=("bb",))
    await scene.drain(1)
    (intent,) = await scene.intents_listed()
    await scene.operator.retry(intent.id, actor="anna", reason="dead")
    assert (await scene.balance(pool_wallet(COIN))).outgoing.units == 3 * LTC
    wallet.status = None
    await scene.drain()
    assert (await scene.balance(pool_wallet(COIN))).outgoing.units == 3 * LTC + 7
    await scene.operator.freeze(intent.id, actor="anna", reason="stop")
    await scene.operator.abandon(intent.id, actor="anna", reason="given up", confirm=f"{2:064x}")
    assert (await scene.balance(pool_wallet(COIN))).outgoing.units == 0
    await scene.assert_books_hold()


async def test_a_dropped_transaction_is_broadcast_again_with_the_same_bytes(
    scene: PayoutScene, wallet: StubWallet
):
    await scene.run.run_once()
    await scene.drain()
    wallet.status = TxStatus("", TxState.DROPPED)
    await scene.drain(1)
    await scene.drain(5)
    assert wallet.sent == ["0001", "0001"]
    wallet.status = TxStatus("", TxState.CONFIRMED, 2, "hash")
    await scene.drain(1)
    assert set((await states(scene)).values()) == {PayoutState.SETTLED}
    assert await scene.held() == 97 * LTC


async def test_a_conflict_is_made_anew_only_when_it_is_as_deep_as_a_settlement(
    scene: PayoutScene, wallet: StubWallet
):
    from millpond.intents.errors import IntentMayBeEffectiveError

    await scene.run.run_once()
    await scene.drain()
    wallet.status = TxStatus("", TxState.CONFLICTED, -1, conflicts=("bb",))
    await scene.drain(1)
    (intent,) = await scene.intents_listed()
    with pytest.raises(IntentMayBeEffectiveError):
        await scene.operator.retry(intent.id, actor="anna", reason="now")
    wallet.status = TxStatus("", TxState.CONFLICTED, -2, conflicts=("bb",))
    await scene.operator.retry(intent.id, actor="anna", reason="now")
    assert set((await states(scene)).values()) == {PayoutState.RESERVED}
    wallet.status = None
    await scene.drain()
    assert wallet.sent == ["0001", "0002"]


@pytest.mark.parametrize(
    "away",
    [
        RpcUnavailableError("connection refused"),
        RpcRejectedError("wallet is locked", rpc_code=-13, method="signrawtransactionwithwallet"),
    ],
)
async def test_a_daemon_that_is_away_or_a_locked_wallet_is_waited_for(
    scene: PayoutScene, wallet: StubWallet, away: Exception
):
    wallet.raises = away
    await scene.run.run_once()
    for _ in range(20):
        await scene.drain(1)
    assert set((await states(scene)).values()) == {PayoutState.RESERVED}
    assert [e["type"] for e in await scene.events("alerts")] == ["payout_waiting"]
    wallet.raises = None
    await scene.drain(1)
    assert set((await states(scene)).values()) == {PayoutState.BROADCAST}


async def test_a_daemon_that_refuses_every_payee_is_suspected_itself(
    scene: PayoutScene, wallet: StubWallet
):
    wallet.refuses = {ANN, BOB, EVE}
    await scene.run.run_once()
    await scene.drain()
    assert set((await states(scene)).values()) == {PayoutState.FROZEN}
