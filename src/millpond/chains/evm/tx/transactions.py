"""Signing, storing and sending the transactions of one chain.

What the handler (a transaction's first life) and the keeper (replacements and
fillers) have in common. The order never varies: the nonce is reserved in the
database, the transaction is signed, the bytes are stored, that they may leave
is written, and only then they leave.
"""

from __future__ import annotations

from collections.abc import Iterable

from millpond.alerts import Alerts
from millpond.chains.evm.signers import SignedTx, Signer, Unsigned
from millpond.chains.evm.tx import metrics, rows
from millpond.chains.evm.tx.access import Call, ChainAccess, SendAnswer, Verdict
from millpond.chains.evm.tx.fees import Fees
from millpond.chains.evm.tx.model import (
    Attempt,
    AttemptState,
    Nonce,
    NonceState,
    signer_of,
)
from millpond.chains.evm.tx.rows import NonceLostError
from millpond.chains.evm.tx.settings import TxSettings
from millpond.errors import UnavailableError
from millpond.intents import Intent, Intents, IntentState
from millpond.intents.faults import Faults, NoFaults
from millpond.intents.rows import fetch
from millpond.store import Tx

FAULT_POINTS = (
    "evm_reserving",
    "evm_reserved",
    "evm_signed",
    "evm_storing",
    "evm_stored",
    "evm_marking",
    "evm_marked",
    "evm_delivered",
    "evm_replacing",
    "evm_replaced",
    "evm_filling",
    "evm_filled",
    "evm_freeing",
)
"""Where a test may stop a worker or the keeper; those in -ing are inside a transaction."""


class Transactions:
    """The transactions of one chain, in one database.

    Args:
        intents: The intents that transactions serve; brings store, clock and ids.
        access: The chain.
        signers: Keys that this process has.
        settings: What the operator set.
        alerts: Where a person is told.
        faults: Only tests pass something.
    """

    def __init__(
        self,
        intents: Intents,
        access: ChainAccess,
        signers: Iterable[Signer],
        settings: TxSettings,
        alerts: Alerts,
        *,
        faults: Faults | None = None,
    ) -> None:
        self.intents = intents
        self.store = intents.store
        self.clock = intents.clock
        self.access = access
        self.chain_id = access.chain_id
        self.settings = settings
        self.alerts = alerts
        self.faults: Faults = faults or NoFaults()
        self._signers = {signer.address: signer for signer in signers}

    def has_key(self, address: str) -> bool:
        """Tell whether this process can sign for an address."""
        return address in self._signers

    def signer_of(self, intent: Intent) -> str:
        """The address that signs for an intent: its lane says it."""
        return signer_of(intent.lane, self.chain_id)

    async def attempts_of(self, intent: Intent) -> list[Attempt]:
        """Every transaction that was ever signed with the intent's nonce, newest first."""
        async with self.store.read() as tx:
            nonce = await rows.nonce_of_intent(tx, intent.id)
            if nonce is None:
                return []
            return await rows.attempts(tx, self.chain_id, nonce.signer, nonce.nonce)

    async def under_way(self, signer: str, count: int) -> list[Attempt]:
        """The newest transaction of every nonce that is in no block yet, lowest nonce first."""
        async with self.store.read() as tx:
            newest = await rows.newest_attempts(tx, self.chain_id, signer, since=count)
        return list(newest.values())

    # -- the first transaction of a nonce ---------------------------------------

    async def reserve(self, intent: Intent, count: int) -> Nonce:
        """Give the intent a nonce in a transaction of its own; the same one if it has one.

        Raises:
            NonceLostError: The intent is no longer this worker's.
        """
        signer, now_ms = self.signer_of(intent), self.clock.now_ms()
        async with self.store.begin() as tx:
            # The intent first, then its signer: everybody locks in this order.
            now = await fetch(tx, intent.id, lock=True)
            if (now.fence, now.state) != (intent.fence, IntentState.CREATED):
                raise NonceLostError("the intent has another worker by now", intent_id=intent.id)
            nonce = await rows.reserve(
                tx, self.chain_id, signer, intent.id, count=count, now_ms=now_ms
            )
            self.faults.reach("evm_reserving")
        self.faults.reach("evm_reserved")
        return nonce

    async def sign_first(self, nonce: Nonce, call: Call, gas: int, fees: Fees) -> Attempt:
        """Sign the first transaction of a reserved nonce and store it.

        Raises:
            UnavailableError: Whoever holds the key does not answer; the nonce is free again.
            NonceLostError: The nonce went to somebody else meanwhile.
        """
        unsigned = Unsigned(
            chain_id=self.chain_id,
            nonce=nonce.nonce,
            to=call.to,
            value=call.value,
            data=call.data,
            gas=gas,
            max_fee=fees.max_fee,
            max_priority_fee=fees.max_priority_fee,
        )
        try:
            signed = await self._signers[nonce.signer].sign_transaction(unsigned)
        except UnavailableError:
            await self._give_back(nonce)
            raise
        self.faults.reach("evm_signed")
        attempt = self.attempt(unsigned, signed, nonce.signer, 1, nonce.intent_id)
        async with self.store.begin() as tx:
            await rows.change(tx, nonce, now_ms=attempt.created_ms, state=NonceState.USED)
            await rows.add_attempt(tx, attempt)
            self.faults.reach("evm_storing")
        self.faults.reach("evm_stored")
        return attempt

    async def _give_back(self, nonce: Nonce) -> None:
        """Let the next intent have a nonce with which nothing was signed."""
        async with self.store.begin() as tx:
            await rows.change(
                tx, nonce, now_ms=self.clock.now_ms(), state=NonceState.FREE, intent_id=None
            )
            self.faults.reach("evm_freeing")

    # -- later ones -------------------------------------------------------------

    async def sign(self, unsigned: Unsigned, signer: str) -> SignedTx:
        """Sign with a key that this process has.

        Raises:
            UnavailableError: Whoever holds the key does not answer.
        """
        return await self._signers[signer].sign_transaction(unsigned)

    def attempt(
        self,
        unsigned: Unsigned,
        signed: SignedTx,
        signer: str,
        number: int,
        intent_id: str | None,
    ) -> Attempt:
        """The row of a signed transaction that was not sent yet."""
        return Attempt(
            id=self.intents.ids.new(),
            chain_id=self.chain_id,
            signer=signer,
            nonce=unsigned.nonce,
            attempt=number,
            intent_id=intent_id,
            tx_hash=signed.tx_hash,
            raw=signed.raw,
            to_address=unsigned.to,
            value=unsigned.value,
            data=unsigned.data,
            gas=unsigned.gas,
            max_fee=unsigned.max_fee,
            max_priority_fee=unsigned.max_priority_fee,
            state=AttemptState.STORED,
            sends=0,
            answer="",
            created_ms=self.clock.now_ms(),
            sent_ms=None,
        )

    async def deliver(self, attempt: Attempt) -> SendAnswer:
        """Write that the stored bytes may leave, hand them to the nodes, keep the answer."""
        async with self.store.begin() as tx:
            marked = await rows.mark_sending(tx, attempt, now_ms=self.clock.now_ms())
            self.faults.reach("evm_marking")
        self.faults.reach("evm_marked")
        try:
            answer = await self.access.send(marked.raw)
        except UnavailableError as error:
            answer = SendAnswer(Verdict.UNKNOWN, error.message)
        self.faults.reach("evm_delivered")
        metrics.SENDS.labels(str(self.chain_id), answer.verdict).inc()
        async with self.store.begin() as tx:
            await rows.note_answer(tx, marked, f"{answer.verdict}: {answer.reason}")
        return answer

    async def end(self, tx: Tx, nonce: Nonce, mined: str | None) -> None:
        """Write that a nonce is used up for good, by our transaction `mined` or by none of ours."""
        state = NonceState.FOREIGN if mined is None else NonceState.DONE
        await rows.change(tx, nonce, now_ms=self.clock.now_ms(), state=state)
        await rows.settle_attempts(tx, nonce.chain_id, nonce.signer, nonce.nonce, mined)
