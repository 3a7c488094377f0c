"""Intents whose effect is a transaction of an EVM chain.

The effect is named by its nonce, not by a transaction's hash: of all the
transactions that are ever signed with one nonce the chain takes one. What is
looked up is therefore the nonce, and whichever of our transactions has it.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from millpond.alerts import Severity
from millpond.chains.evm.tx import rows
from millpond.chains.evm.tx.access import (
    Call,
    CallRevertedError,
    EstimateError,
    NoMoneyError,
    Verdict,
)
from millpond.chains.evm.tx.fees import Fees, first_offer
from millpond.chains.evm.tx.model import Attempt, NonceState, identity_of
from millpond.chains.evm.tx.transactions import Transactions
from millpond.chains.evm.types import Receipt
from millpond.errors import UnavailableError
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
from millpond.store import Tx

NO_GAS_MONEY = "the signer has not enough to pay for gas"
FEE_CAP = "gas costs more than the cap"
FEE_TOO_LOW = "its fee is below what blocks ask now; it is to be replaced"
NO_KEY = "this process has not the signer's key"
AFTER_OTHERS = "the contract refuses it now; asked again when what went before is in a block"
TAKEN_NOT_DEEP = "its nonce is used by a transaction that is not ours, not yet for good"
TOO_MANY = "as many transactions of the signer as are allowed are under way"
NO_ESTIMATE = "the gas that it needs cannot be told"
NOBODY = "the chain cannot be asked now"
WAITS = (
    NO_GAS_MONEY,
    FEE_CAP,
    FEE_TOO_LOW,
    NO_KEY,
    AFTER_OTHERS,
    TAKEN_NOT_DEEP,
    TOO_MANY,
    NO_ESTIMATE,
    NOBODY,
)
"""Beginnings of reasons to wait that a person is told of."""

_MAX_SENDS = 1_000


class EvmEffect(Protocol):
    """What one kind of transaction is for."""

    @property
    def kind(self) -> str:
        """Kind of the intents."""

    async def call(self, intent: Intent) -> Call:
        """What the transaction is to do; the same for the same intent.

        Raises:
            RefusedError: Never possible.
            NotReadyError: Not possible now.
            FreezeError: A person has to look.
        """

    async def changed(self, tx: Tx, before: Intent, after: Intent) -> None:
        """Follow a change of state, depth or reason in the same transaction."""

    async def settle(self, tx: Tx, intent: Intent, receipt: Receipt) -> None:
        """Book what happened, for good; with `status` 0 it was reverted: nothing but gas went."""

    async def release(self, tx: Tx, intent: Intent, reason: str) -> None:
        """Return what was reserved: it did not happen and will not."""


class EvmTransactionHandler:
    """Makes, signs, sends and follows the transaction of an intent.

    The intent's lane (`lane_of`) says which chain and which signer.

    Args:
        transactions: The transactions of the chain.
        effect: What they are for.
    """

    def __init__(self, transactions: Transactions, effect: EvmEffect) -> None:
        self._transactions = transactions
        self._access = transactions.access
        self._chain_id = transactions.chain_id
        self._effect = effect
        settings = transactions.settings
        self._settings = settings
        self._policy = Policy(
            settle_depth=settings.confirmations,
            poll_ms=round(settings.poll_s * 1000),
            patience_ms=round(settings.patience_s * 1000),
            lease_ms=round(settings.lease_s * 1000),
            step_timeout_s=settings.lease_s / 4,
            max_tries=settings.max_tries,
            max_sends=_MAX_SENDS,
        )

    @property
    def kind(self) -> str:
        """Kind of the intents."""
        return self._effect.kind

    @property
    def policy(self) -> Policy:
        """Depth and patience as the operator set them."""
        return self._policy

    # -- outside ----------------------------------------------------------------

    async def prepare(self, intent: Intent) -> Prepared:
        """Try the call on the newest state, reserve the nonce, sign and store; nothing is sent.

        Raises:
            RefusedError: The contract refuses the call.
            NotReadyError: No gas money, gas above the cap, or nobody to ask.
            FreezeError: It needs more gas than allowed.
        """
        if not self._transactions.has_key(self._transactions.signer_of(intent)):
            raise NotReadyError(NO_KEY)
        try:
            attempt = await self._prepare(intent)
        except NotReadyError:
            raise
        except NoMoneyError:
            raise NotReadyError(NO_GAS_MONEY) from None
        except EstimateError as error:
            raise NotReadyError(f"{NO_ESTIMATE}: {error.message}") from None
        except UnavailableError as error:
            raise NotReadyError(f"{NOBODY}: {error.message}") from None
        return Prepared(
            attempt.raw,
            identity_of(self._chain_id, attempt.signer, attempt.nonce),
            {"nonce": attempt.nonce, "tx_hash": attempt.tx_hash},
        )

    async def _prepare(self, intent: Intent) -> Attempt:
        signer = self._transactions.signer_of(intent)
        call = await self._effect.call(intent)
        count = await self._access.count(signer)
        under_way = await self._transactions.under_way(signer, count)
        own = [attempt for attempt in under_way if attempt.intent_id == intent.id]
        gas = await self._gas(signer, call, alone=len(under_way) == len(own))
        # One that was stored by a worker that died before the intent knew of it.
        stored = await self._transactions.attempts_of(intent)
        if stored:
            return stored[0]
        if len(under_way) >= self._settings.max_pending:
            raise NotReadyError(TOO_MANY)
        fees = await self._fees()
        committed = sum(attempt.cost for attempt in under_way)
        needed = gas * fees.max_fee + call.value
        if await self._access.balance(signer) < committed + needed:
            raise NotReadyError(NO_GAS_MONEY)
        nonce = await self._transactions.reserve(intent, count)
        return await self._transactions.sign_first(nonce, call, gas, fees)

    async def send(self, intent: Intent) -> SendResult:
        """Hand the newest stored transaction of the nonce to the nodes."""
        attempts = await self._transactions.attempts_of(intent)
        assert attempts, "what is sent was stored"
        answer = await self._transactions.deliver(attempts[0])
        match answer.verdict:
            case Verdict.ACCEPTED | Verdict.KNOWN:
                return Accepted()
            case Verdict.REFUSED:
                return Rejected(answer.reason)
            case _:
                # Too low a nonce may mean that it is mined: the look-up tells.
                return Unknown(f"{answer.verdict}: {answer.reason}")

    async def look_up(self, intent: Intent) -> LookUpResult:
        """Find what has the nonce: a transaction of ours in a block or waiting, or another's.

        Raises:
            NotReadyError: Nobody to ask, or it is known why it has to wait.
        """
        try:
            return await self._look_up(intent)
        except NotReadyError:
            raise
        except UnavailableError as error:
            raise NotReadyError(f"{NOBODY}: {error.message}") from None

    async def _look_up(self, intent: Intent) -> LookUpResult:
        attempts = await self._transactions.attempts_of(intent)
        assert attempts, "only what was stored is looked up"
        newest = attempts[0]
        if await self._access.count(newest.signer) > newest.nonce:
            return await self._mined(attempts)
        for attempt in attempts:
            if attempt.sends and await self._access.in_pool(attempt.tx_hash):
                return Pending()
        await self._explain(newest)
        return NotFound()

    async def _mined(self, attempts: list[Attempt]) -> LookUpResult:
        """The nonce is used up: by which transaction, and how deep."""
        head = await self._access.head()
        for attempt in attempts:
            receipt = await self._access.receipt(attempt.tx_hash)
            if receipt is None:
                continue
            if await self._access.block_hash(receipt.block_number) != receipt.block_hash:
                raise NotReadyError("its block is being replaced")
            depth = max(1, head.number - receipt.block_number + 1)
            return Confirmed(depth, msgspec.to_builtins(receipt))
        reason = await self._foreign(attempts, head.number)
        if reason is None:
            raise NotReadyError(TAKEN_NOT_DEEP)
        return Conflicted(reason)

    async def dead_because(self, intent: Intent) -> str | None:
        """Proof that another transaction used the nonce, as deep as a settlement."""
        attempts = await self._transactions.attempts_of(intent)
        for attempt in attempts:
            if await self._access.receipt(attempt.tx_hash) is not None:
                return None
        head = await self._access.head()
        return await self._foreign(attempts, head.number) if attempts else None

    async def _foreign(self, attempts: list[Attempt], head: int) -> str | None:
        """Say that others used the nonce up, if that is as deep as a settlement.

        A node that still knows one of ours has only lost its receipt.
        """
        signer, nonce = attempts[0].signer, attempts[0].nonce
        deep = head - self._settings.confirmations + 1
        if deep < 0 or await self._access.count(signer, deep) <= nonce:
            return None
        for attempt in attempts:
            if await self._access.in_pool(attempt.tx_hash):
                return None
        return f"its nonce {nonce} was used by a transaction that is not ours"

    async def _explain(self, newest: Attempt) -> None:
        """Wait with a reason when there is one why nodes do not hold a transaction."""
        if await self._access.balance(newest.signer) < newest.cost:
            raise NotReadyError(NO_GAS_MONEY)
        market = await self._access.market()
        if newest.max_fee < market.base_fee:
            raise NotReadyError(FEE_TOO_LOW)

    # -- the parts of preparing ---------------------------------------------------

    async def _gas(self, signer: str, call: Call, *, alone: bool) -> int:
        """Limit of gas, from doing the call on the newest state.

        Raises:
            RefusedError: The contract refuses it, and nothing is under way that may change that.
            FreezeError: It needs more than the operator allows.
        """
        # What reads the state may be refused only because of what is still under way.
        try:
            await self._access.simulate(signer, call)
            if call.gas_limit is not None:
                return call.gas_limit
            estimate = await self._access.estimate_gas(signer, call)
        except CallRevertedError as error:
            if not alone:
                raise NotReadyError(AFTER_OTHERS) from None
            raise RefusedError(f"the contract refuses it: {error.message}") from None
        limit = -(-estimate * self._settings.gas_percent // 100)
        if estimate > self._settings.max_gas:
            raise FreezeError(f"it needs {estimate} gas; {self._settings.max_gas} is allowed")
        return min(limit, self._settings.max_gas)

    async def _fees(self) -> Fees:
        offer = first_offer(await self._access.market(), self._settings)
        if offer is None:
            raise NotReadyError(FEE_CAP)
        return offer

    # -- inside -----------------------------------------------------------------

    async def changed(self, tx: Tx, before: Intent, after: Intent) -> None:
        """Tell a person of what waits or is frozen; let a dead nonce go."""
        await self._alert(tx, before, after)
        if before.identity is not None and after.identity is None and before.was_sent:
            nonce = await rows.nonce_of_intent(tx, after.id)
            assert nonce is not None, "what was sent had a nonce"
            await self._transactions.end(tx, nonce, None)
            ended = msgspec.structs.replace(nonce, state=NonceState.FOREIGN)
            now_ms = self._transactions.clock.now_ms()
            await rows.change(
                tx, ended, now_ms=now_ms, intent_id=None, note=f"was of intent {after.id}"
            )
        await self._effect.changed(tx, before, after)

    async def settle(self, tx: Tx, intent: Intent, outcome: Confirmed) -> None:
        """Note which transaction it was, and book."""
        receipt = msgspec.convert(outcome.details, Receipt)
        nonce = await rows.nonce_of_intent(tx, intent.id)
        assert nonce is not None, "what happened had a nonce"
        await self._transactions.end(tx, nonce, receipt.tx_hash)
        await self._effect.settle(tx, intent, receipt)

    async def release(self, tx: Tx, intent: Intent, reason: str) -> None:
        """Give the nonce back, or leave it to the keeper to use it up."""
        nonce = await rows.nonce_of_intent(tx, intent.id)
        now_ms = self._transactions.clock.now_ms()
        if nonce is not None and nonce.state is NonceState.RESERVED:
            await rows.change(tx, nonce, now_ms=now_ms, state=NonceState.FREE, intent_id=None)
        elif nonce is not None and nonce.state is NonceState.USED:
            await rows.change(tx, nonce, now_ms=now_ms, state=NonceState.FILLING, note=reason[:200])
        await self._effect.release(tx, intent, reason)

    async def _alert(self, tx: Tx, before: Intent, after: Intent) -> None:
        alerts, subject = self._transactions.alerts, f"intent:{after.id}"
        details: dict[str, Any] = {"kind": after.kind, "identity": after.identity}
        if after.state is IntentState.FROZEN:
            await alerts.raise_(tx, "evm_frozen", subject, Severity.CRITICAL, after.reason, details)
        elif before.state is IntentState.FROZEN:
            await alerts.clear(tx, "evm_frozen", subject)
        if after.reason.startswith(WAITS):
            await alerts.raise_(tx, "evm_waits", subject, Severity.WARNING, after.reason, details)
        elif before.reason.startswith(WAITS):
            await alerts.clear(tx, "evm_waits", subject)
