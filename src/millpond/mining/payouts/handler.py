"""The intent of a batch: one transaction of a Bitcoin-like daemon's wallet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy import select, update

from millpond.chains.bitcoin.errors import (
    InvalidAddressError,
    PaymentRefusedError,
    RpcInsufficientFundsError,
    RpcInvalidParameterError,
    RpcNotFoundError,
    RpcRejectedError,
    RpcTimeoutError,
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
from millpond.chains.coins import Coin
from millpond.errors import MillpondError
from millpond.intents import (
    Accepted,
    Confirmed,
    Conflicted,
    FreezeError,
    Intent,
    IntentState,
    NotFound,
    NotReadyError,
    Pending,
    Policy,
    Prepared,
    RefusedError,
    Rejected,
    Unknown,
)
from millpond.intents.handler import LookUpResult, SendResult
from millpond.mining.accounts import network_fees, pool_wallet
from millpond.mining.payouts import rows
from millpond.mining.payouts.model import STATE_OF_INTENT, FeePolicy, Payout, PayoutState
from millpond.mining.payouts.plan import Payable, merge_outputs, payee_fees
from millpond.mining.payouts.service import Payouts, pending_id, settle_id
from millpond.mining.payouts.tables import payout_batch_table, payout_table
from millpond.money.errors import InsufficientFundsError
from millpond.money.ids import derived_id
from millpond.money.model import Resolution, Transfer
from millpond.store import Tx
from millpond.store.events import publish

SHORTAGE = "the daemon's wallet has not enough to spend; the batch waits"

_BLAMES_PAYEES = (
    RpcInvalidParameterError,
    RpcNotFoundError,
    RpcVerifyRejectedError,
    InvalidAddressError,
)
"""Refusals that are about an output; any other is about the wallet."""


class PayingWallet(Protocol):
    """What a payout needs of `millpond.chains.bitcoin.wallet.Wallet`."""

    async def prepare(
        self,
        outputs: dict[str, int],
        *,
        fee_rate: int | None = None,
        subtract_fee_from: Sequence[int] | None = None,
        max_fee_sat: int | None = None,
    ) -> SignedTransaction:
        """Make and sign; send nothing."""

    async def send(self, raw_hex: str) -> SendOutcome:
        """Hand the bytes over."""

    async def look_up(self, txid: str, *, inputs: Sequence[str] = ()) -> TxStatus:
        """Where the transaction is."""


class BatchPayload(msgspec.Struct, frozen=True):
    """What the intent of a batch says; never changes."""

    batch_id: str
    fee_policy: FeePolicy
    payables: tuple[Payable, ...]


def intent_kind(coin: Coin) -> str:
    """Kind of the intents that pay this coin out."""
    return f"payout:{coin.name}"


class BitcoinPayoutHandler:
    """Makes, signs, sends, follows and books the transaction of a batch.

    Args:
        payouts: The payouts of the coin.
        wallet: The daemon's wallet.
    """

    def __init__(self, payouts: Payouts, wallet: PayingWallet) -> None:
        self._payouts = payouts
        self._settings = payouts.settings
        self._coin = payouts.coin
        self._wallet = wallet
        self._unpayable: dict[str, dict[str, str]] = {}
        settings = payouts.settings
        self._policy = Policy(
            settle_depth=settings.confirmations,
            poll_ms=round(settings.poll_s * 1000),
            patience_ms=round(settings.patience_s * 1000),
            lease_ms=round(settings.lease_s * 1000),
            step_timeout_s=settings.lease_s / 4,
        )

    @property
    def kind(self) -> str:
        """`payout:<coin>`."""
        return intent_kind(self._coin)

    @property
    def policy(self) -> Policy:
        """Depth and patience as the operator set them."""
        return self._policy

    # -- outside ---------------------------------------------------------------

    async def prepare(self, intent: Intent) -> Prepared:
        """Make and sign the transaction and hold it against the payouts; nothing is sent.

        Raises:
            NotReadyError: The wallet has not enough.
            RefusedError: Some payees cannot be paid; the others go into a new batch.
            FreezeError: The daemon made something else than was asked.
        """
        payload = _payload(intent)
        outputs = merge_outputs(payload.payables)
        try:
            signed = await self._sign(outputs, payload.fee_policy)
        except RpcInsufficientFundsError:
            raise NotReadyError(SHORTAGE) from None
        except PaymentRefusedError as error:
            raise FreezeError(f"the daemon's transaction was refused: {error.message}") from None
        except _BLAMES_PAYEES as error:
            unpayable = await self._isolate(outputs, payload.fee_policy, error)
            if not unpayable or 1 < len(outputs) == len(unpayable):
                # Nobody or everybody is to blame: it is not the payees.
                if isinstance(error, RpcVerifyRejectedError):
                    raise NotReadyError(f"not taken by the mempool: {error.message}") from None
                raise FreezeError(f"the daemon refuses only the whole: {error.message}") from None
            self._unpayable[intent.id] = unpayable
            text = "; ".join(f"{address}: {why}" for address, why in sorted(unpayable.items()))
            raise RefusedError(f"cannot be paid: {text}"[:500]) from None
        return Prepared(bytes.fromhex(signed.raw_hex), signed.txid, _details(payload, signed))

    async def send(self, intent: Intent) -> SendResult:
        """`sendrawtransaction` of the stored bytes."""
        assert intent.body is not None, "what is sent was stored"
        outcome = await self._wallet.send(intent.body.hex())
        match outcome.verdict:
            case SendVerdict.ACCEPTED:
                return Accepted()
            case SendVerdict.REJECTED:
                return Rejected(outcome.reason)
            case _:
                return Unknown(outcome.reason)

    async def look_up(self, intent: Intent) -> LookUpResult:
        """Ask wallet, mempool and chain by the stored txid."""
        status = await self._status(intent)
        match status.state:
            case TxState.CONFIRMED:
                return Confirmed(status.confirmations, {"block_hash": status.block_hash})
            case TxState.IN_MEMPOOL:
                return Pending()
            case TxState.CONFLICTED:
                return Conflicted(
                    "its money was spent by another transaction: " + ", ".join(status.conflicts)
                )
            case TxState.NOT_FOUND | TxState.DROPPED:
                return NotFound()

    async def dead_because(self, intent: Intent) -> str | None:
        """Proof that an input was spent by another transaction as deep as a settlement."""
        status = await self._status(intent)
        depth = self._policy.settle_depth
        if status.state is not TxState.CONFLICTED:
            return None
        if -status.confirmations >= depth:
            return f"an input was spent by another transaction {-status.confirmations} deep"
        return None

    # -- inside ----------------------------------------------------------------

    async def changed(self, tx: Tx, before: Intent, after: Intent) -> None:
        """Let the payouts of the batch follow their intent."""
        payload = _payload(after)
        if before.state is after.state:
            await self._changed_in_place(tx, before, after, payload)
            return
        state = STATE_OF_INTENT.get(after.state)
        if state is None:
            return
        payouts = await rows.of_batch(tx, payload.batch_id)
        now_ms = self._payouts.clock.now_ms()
        if after.state is IntentState.SIGNED:
            await self._reserve_fee(tx, after, payload)
        elif before.identity is not None and after.identity is None:
            await self._void_fee(tx, before, payload)
        if after.state is IntentState.SIGNED or after.identity is None:
            payouts = await self._note_transaction(tx, after, payload, payouts)
        reason = after.reason if after.state is IntentState.FROZEN else ""
        await rows.change(
            tx, payouts, now_ms=now_ms, state=state, reason=reason, confirmations=after.depth
        )
        if after.state is IntentState.FROZEN:
            await self._alert(tx, after, "payout_frozen")

    async def settle(self, tx: Tx, intent: Intent, outcome: Confirmed) -> None:
        """Post what was reserved, with the part of the network fee that the pool bears."""
        payload = _payload(intent)
        payouts = await rows.of_batch(tx, payload.batch_id)
        assert {p.id for p in payouts} == {p.id for p in payload.payables}, "a batch is whole"
        ledger = self._payouts.ledger
        await ledger.post_pending(
            tx, [Resolution(settle_id(payout.id), pending_id(payout.id)) for payout in payouts]
        )
        if intent.details["pool_fee"]:
            fee_id = _fee_id(intent, payload)
            await ledger.post_pending(tx, [Resolution(derived_id("settle", fee_id), fee_id)])
        now_ms = self._payouts.clock.now_ms()
        await rows.change(
            tx,
            payouts,
            now_ms=now_ms,
            state=PayoutState.SETTLED,
            reason="",
            confirmations=outcome.depth,
            settled_ms=now_ms,
        )

    async def release(self, tx: Tx, intent: Intent, reason: str) -> None:
        """End the batch: who cannot be paid gets the money back, the others a new batch.

        When nobody in particular is to blame all of them get it back.
        """
        payload = _payload(intent)
        await self._void_fee(tx, intent, payload)
        payouts = await rows.of_batch(tx, payload.batch_id)
        refused = self._unpayable.pop(intent.id, {})
        unpayable = {p.id: refused[p.address] for p in payload.payables if p.address in refused}
        if not unpayable:
            await self._payouts.fail(tx, payouts, reason)
            return
        bad = [payout for payout in payouts if payout.id in unpayable]
        for payout in bad:
            await self._payouts.fail(tx, [payout], unpayable[payout.id])
        await rows.change(
            tx,
            [payout for payout in payouts if payout.id not in unpayable],
            now_ms=self._payouts.clock.now_ms(),
            state=PayoutState.RESERVED,
            batch_id=None,
            reason="",
        )

    async def _sign(self, outputs: dict[str, int], policy: FeePolicy) -> SignedTransaction:
        """Have it signed; a daemon that is away or a wallet that is locked is waited for."""
        try:
            return await self._wallet.prepare(
                outputs,
                fee_rate=self._settings.fee_rate,
                subtract_fee_from=range(len(outputs)) if policy is FeePolicy.PAYEE else None,
                max_fee_sat=self._settings.max_fee,
            )
        except (RpcInsufficientFundsError, *_BLAMES_PAYEES):
            raise
        except (RpcUnavailableError, RpcTimeoutError, RpcRejectedError) as error:
            raise NotReadyError(f"the wallet cannot sign now: {error.message}") from None

    async def _isolate(
        self, outputs: dict[str, int], policy: FeePolicy, error: MillpondError
    ) -> dict[str, str]:
        """Find by halving whom the daemon refuses; nothing of it is sent.

        Returns:
            The daemon's words by address; empty if both halves pass alone.
        """
        if len(outputs) == 1:
            return dict.fromkeys(outputs, error.message)
        unpayable: dict[str, str] = {}
        items = list(outputs.items())
        for half in (items[: len(items) // 2], items[len(items) // 2 :]):
            try:
                await self._sign(dict(half), policy)
            except RpcInsufficientFundsError:
                raise NotReadyError(SHORTAGE) from None
            except _BLAMES_PAYEES as worse:
                unpayable |= await self._isolate(dict(half), policy, worse)
        return unpayable

    async def _status(self, intent: Intent) -> TxStatus:
        assert intent.identity is not None, "only what has a name is looked up"
        try:
            return await self._wallet.look_up(intent.identity, inputs=intent.details["inputs"])
        except (RpcUnavailableError, RpcTimeoutError) as error:
            raise NotReadyError(f"the daemon cannot be asked now: {error.message}") from None

    async def _changed_in_place(
        self, tx: Tx, before: Intent, after: Intent, payload: BatchPayload
    ) -> None:
        payouts = await rows.of_batch(tx, payload.batch_id)
        waits = after.state is IntentState.CREATED and after.reason != before.reason
        await rows.change(
            tx,
            payouts,
            now_ms=self._payouts.clock.now_ms(),
            quiet=True,
            confirmations=after.depth,
            reason=after.reason if waits else payouts[0].reason,
        )
        if waits:
            kind = "wallet_shortage" if after.reason == SHORTAGE else "payout_waiting"
            await self._alert(tx, after, kind)

    async def _note_transaction(
        self, tx: Tx, intent: Intent, payload: BatchPayload, payouts: list[Payout]
    ) -> list[Payout]:
        """Write txid and fees of what was signed, or take them away with it."""
        fees: dict[str, int] = intent.details.get("fees", {})
        await tx.execute(
            update(payout_batch_table)
            .where(payout_batch_table.c.id == payload.batch_id)
            .values(txid=intent.identity, fee=intent.details.get("fee", 0))
        )
        for payout in payouts:
            await tx.execute(
                update(payout_table)
                .where(payout_table.c.id == payout.id)
                .values(txid=intent.identity, fee=fees.get(payout.id, 0))
            )
        query = select(payout_table).where(payout_table.c.batch_id == payload.batch_id)
        return [rows.to_payout(row) for row in (await tx.execute(query)).mappings()]

    async def _alert(self, tx: Tx, intent: Intent, kind: str) -> None:
        await publish(
            tx,
            "alerts",
            {
                "type": kind,
                "coin": self._coin.name,
                "intent": intent.id,
                "txid": intent.identity,
                "reason": intent.reason,
            },
            now_ms=self._payouts.clock.now_ms(),
        )

    async def _reserve_fee(self, tx: Tx, intent: Intent, payload: BatchPayload) -> None:
        """Set the pool's part of the fee aside before anything is sent.

        What the wallet holds may all be reserved for payouts; then the fee
        would come out of somebody's money, and could not be booked later.

        Raises:
            NotReadyError: The books have not enough for it.
        """
        fee = intent.details["pool_fee"]
        if not fee:
            return
        transfer = Transfer(
            id=_fee_id(intent, payload),
            debit=network_fees(self._coin),
            credit=pool_wallet(self._coin),
            amount=self._coin.asset.amount(fee),
            code="network_fee",
            reference=f"tx:{intent.identity}",
        )
        try:
            await self._payouts.ledger.reserve(tx, [transfer])
        except InsufficientFundsError:
            raise NotReadyError(SHORTAGE) from None

    async def _void_fee(self, tx: Tx, intent: Intent, payload: BatchPayload) -> None:
        """Return what was set aside for a transaction that will never be."""
        if intent.identity is not None and intent.details["pool_fee"]:
            fee_id = _fee_id(intent, payload)
            void = Resolution(derived_id("void", fee_id), fee_id)
            await self._payouts.ledger.void_pending(tx, [void])


def _fee_id(intent: Intent, payload: BatchPayload) -> str:
    """Identity of the pending transfer of one signed transaction's fee."""
    return derived_id("payout-fee", payload.batch_id, str(intent.round))


def _payload(intent: Intent) -> BatchPayload:
    return msgspec.convert(intent.payload, BatchPayload)


def _details(payload: BatchPayload, signed: SignedTransaction) -> dict[str, Any]:
    """Hold the signed transaction against the payouts and note who bears what.

    Raises:
        FreezeError: It is not the transaction that was asked for.
    """
    try:
        fees = payee_fees(payload.payables, signed.payments, signed.deducted_sat)
    except ValueError as error:
        raise FreezeError(f"the daemon's transaction was refused: {error}") from None
    if payload.fee_policy is FeePolicy.POOL and signed.deducted_sat:
        raise FreezeError("payees are charged although the pool pays the network")
    pool_fee = signed.fee_sat - signed.deducted_sat
    asked = sum(payable.amount for payable in payload.payables)
    paid = sum(sat for _, sat in signed.payments)
    assert pool_fee >= 0, "nobody is charged more than the fee"
    assert paid + signed.fee_sat == asked + pool_fee, "outputs and fee are what was reserved"
    return {
        "fee": signed.fee_sat,
        "pool_fee": pool_fee,
        "fees": fees,
        "inputs": list(signed.inputs),
    }
