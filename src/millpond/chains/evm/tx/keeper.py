"""What has to be done about transactions besides the intents' own steps.

Each round looks at the open nonces of every signer: what is stuck is signed
again with higher fees; what was given up, or was reserved by somebody who
went away, is used up by an empty transaction to oneself; what an unexpectedly
deep reorganisation took back is sent again. Rounds of several processes do
not harm each other: whatever is written is written once, under row locks, and
bytes that leave twice are the same bytes.
"""

from __future__ import annotations

import structlog
from sqlalchemy.exc import IntegrityError

from millpond.alerts import Severity
from millpond.chains.evm.signers import Unsigned
from millpond.chains.evm.tx import metrics, rows
from millpond.chains.evm.tx.access import Call
from millpond.chains.evm.tx.fees import Fees, first_offer, replacement
from millpond.chains.evm.tx.model import Attempt, AttemptState, Nonce, NonceState
from millpond.chains.evm.tx.rounds import Report, Round, Rounds
from millpond.chains.evm.tx.rows import NonceLostError
from millpond.chains.evm.tx.transactions import Transactions
from millpond.errors import UnavailableError
from millpond.intents import IntentState
from millpond.intents.model import FINAL
from millpond.intents.rows import fetch
from millpond.store import Tx

_log = structlog.get_logger(__name__)
_N = NonceState

_SENT = frozenset({IntentState.SENDING, IntentState.SENT, IntentState.CONFIRMED})


class Keeper:
    """Replaces, fills and sends again, for every signer whose key this process has.

    Args:
        transactions: The transactions of a chain.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._access = transactions.access
        self._settings = transactions.settings
        self._faults = transactions.faults
        self._chain_id = transactions.chain_id
        self._rounds = Rounds(transactions)

    async def run_once(self) -> list[Report]:
        """Look after every signer once.

        Raises:
            UnavailableError: The chain cannot be asked.
        """
        async with self._transactions.store.read() as tx:
            signers = await rows.signers(tx, self._chain_id)
        return [await self._look_after(signer) for signer in signers]

    async def _look_after(self, signer: str) -> Report:
        seen = await self._rounds.see(signer)
        if self._transactions.has_key(signer):
            for nonce in seen.nonces:
                try:
                    await self._tend(seen, nonce)
                except (NonceLostError, IntegrityError):
                    # A worker or another keeper was faster; the next round sees what it did.
                    continue
                except UnavailableError as error:
                    _log.warning("evm_nonce_waits", nonce=nonce.nonce, error=error.message)
        await self._tell(seen)
        return seen.report()

    # -- acting -----------------------------------------------------------------

    async def _tend(self, seen: Round, nonce: Nonce) -> None:
        if nonce.nonce < seen.count:
            await self._passed(seen, nonce)
        elif nonce.state is _N.DONE:
            await self._undone(seen, nonce)
        elif nonce.state in {_N.FREE, _N.RESERVED, _N.FOREIGN}:
            await self._gap(seen, nonce)
        elif nonce.state is _N.FILLING:
            await self._fill(seen, nonce)
        else:
            await self._push(seen, nonce)

    async def _passed(self, seen: Round, nonce: Nonce) -> None:
        """The chain is past it: end what nobody else will end, when that is for good."""
        if nonce.nonce >= seen.deep_count or nonce.state is _N.USED:
            return
        if nonce.state in {_N.FREE, _N.RESERVED}:
            # Its intent has signed nothing with it, and gets another.
            async with self._transactions.store.begin() as tx:
                await rows.change(tx, nonce, now_ms=seen.now_ms, state=_N.FOREIGN, intent_id=None)
            return
        mined = None
        for attempt in await self._attempts(nonce):
            if await self._access.receipt(attempt.tx_hash) is not None:
                mined = attempt
                break
        async with self._transactions.store.begin() as tx:
            await self._transactions.end(tx, nonce, None if mined is None else mined.tx_hash)
            if mined is not None and mined.intent_id is not None:
                await self._transactions.alerts.raise_(
                    tx,
                    "evm_abandoned_happened",
                    f"intent:{mined.intent_id}",
                    Severity.CRITICAL,
                    "an intent that was given up has happened all the same",
                    {"tx_hash": mined.tx_hash, "nonce": nonce.nonce},
                )

    async def _undone(self, seen: Round, nonce: Nonce) -> None:
        """A reorganisation deeper than the confirmations: send again what had been final."""
        attempts = await self._attempts(nonce)
        mined = next((a for a in attempts if a.state is AttemptState.MINED), attempts[0])
        if await self._access.receipt(mined.tx_hash) is not None:
            # Only the count was old.
            return
        if self._old(seen, mined):
            await self._again(seen, mined)
        async with self._transactions.store.begin() as tx:
            await self._transactions.alerts.raise_(
                tx,
                "evm_deep_reorg",
                self._subject(seen.signer),
                Severity.CRITICAL,
                "the chain took back a transaction that was final; it is sent again",
                {"nonce": nonce.nonce},
            )

    async def _gap(self, seen: Round, nonce: Nonce) -> None:
        """Nothing of anybody's has it; if later ones wait for it, use it up.

        Also one that a stranger had until the chain was reorganised, deeper
        than the confirmations: what we once signed with it must stay dead.
        """
        if not seen.holds_up(nonce) and nonce.nonce not in seen.attempts:
            return
        intent = seen.intent(nonce)
        if intent is not None and intent.leased(seen.now_ms):
            return
        seen.gaps.append(nonce.nonce)
        async with self._transactions.store.begin() as tx:
            if intent is not None:
                now = await fetch(tx, intent.id, lock=True)
                if now.fence != intent.fence:
                    raise NonceLostError("a worker is at it", nonce=nonce.nonce)
            filling = await rows.change(
                tx, nonce, now_ms=seen.now_ms, state=_N.FILLING, intent_id=None, note="a gap"
            )
            self._faults.reach("evm_freeing")
        await self._fill(seen, filling)

    async def _fill(self, seen: Round, nonce: Nonce) -> None:
        """See that an empty transaction uses the nonce up."""
        attempts = await self._attempts(nonce)
        newest = attempts[0] if attempts else None
        if newest is not None and newest.intent_id is None:
            await self._push_filler(seen, nonce, newest)
            return
        if newest is not None and newest.sends:
            fees = replacement(newest.fees, seen.market, self._settings)
        else:
            fees = first_offer(seen.market, self._settings)
        if fees is None:
            seen.capped = True
            return
        number = newest.attempt + 1 if newest is not None else 1
        filler = await self._sign_filler(nonce, number, fees)
        async with self._transactions.store.begin() as tx:
            await self._still_newest(tx, nonce, newest)
            await rows.add_attempt(tx, filler)
            self._faults.reach("evm_filling")
        self._faults.reach("evm_filled")
        metrics.FILLERS.labels(str(self._chain_id), seen.signer).inc()
        seen.filled.append(nonce.nonce)
        await self._transactions.deliver(filler)

    async def _sign_filler(self, nonce: Nonce, number: int, fees: Fees) -> Attempt:
        unsigned = Unsigned(
            chain_id=self._chain_id,
            nonce=nonce.nonce,
            to=nonce.signer,
            value=0,
            data=b"",
            gas=await self._access.estimate_gas(nonce.signer, Call(to=nonce.signer)),
            max_fee=fees.max_fee,
            max_priority_fee=fees.max_priority_fee,
        )
        signed = await self._transactions.sign(unsigned, nonce.signer)
        return self._transactions.attempt(unsigned, signed, nonce.signer, number, None)

    async def _push_filler(self, seen: Round, nonce: Nonce, newest: Attempt) -> None:
        if self._stuck(seen, newest):
            await self._replace(seen, nonce, newest)
        elif self._old(seen, newest) and not await self._access.in_pool(newest.tx_hash):
            await self._again(seen, newest)

    async def _push(self, seen: Round, nonce: Nonce) -> None:
        """Replace the transaction of a live intent that has waited too long."""
        newest, intent = seen.attempts.get(nonce.nonce), seen.intent(nonce)
        if newest is None or intent is None or intent.state not in _SENT:
            return
        if not newest.sends and newest.attempt > 1:
            # Stored by a keeper that died before it sent it.
            await self._again(seen, newest)
        elif self._stuck(seen, newest):
            await self._replace(seen, nonce, newest)

    async def _replace(self, seen: Round, nonce: Nonce, newest: Attempt) -> None:
        fees = None
        if newest.attempt < self._settings.max_attempts:
            fees = replacement(newest.fees, seen.market, self._settings)
        if fees is None:
            # Nothing higher may be offered: what there is, is kept in front of the nodes.
            seen.capped = True
            await self._again(seen, newest)
            return
        unsigned = newest.again(fees)
        signed = await self._transactions.sign(unsigned, nonce.signer)
        attempt = self._transactions.attempt(
            unsigned, signed, nonce.signer, newest.attempt + 1, newest.intent_id
        )
        async with self._transactions.store.begin() as tx:
            await self._still_newest(tx, nonce, newest)
            await rows.add_attempt(tx, attempt)
            self._faults.reach("evm_replacing")
        self._faults.reach("evm_replaced")
        metrics.REPLACEMENTS.labels(str(self._chain_id), seen.signer).inc()
        seen.replaced.append(nonce.nonce)
        _log.info("evm_replaced", nonce=nonce.nonce, attempt=attempt.attempt, fee=fees.max_fee)
        await self._transactions.deliver(attempt)

    async def _still_newest(self, tx: Tx, nonce: Nonce, newest: Attempt | None) -> None:
        """Hold everybody else off, and see that nothing has changed meanwhile.

        Raises:
            NonceLostError: Something has.
        """
        if nonce.intent_id is not None:
            intent = await fetch(tx, nonce.intent_id, lock=True)
            wanted = FINAL if nonce.state is _N.FILLING else _SENT
            if intent.state not in wanted:
                raise NonceLostError("the intent has moved on", nonce=nonce.nonce)
        now_ms = self._transactions.clock.now_ms()
        await rows.lock_signer(tx, self._chain_id, nonce.signer, now_ms=now_ms)
        found = await rows.nonce_at(tx, self._chain_id, nonce.signer, nonce.nonce)
        attempts = await rows.attempts(tx, self._chain_id, nonce.signer, nonce.nonce)
        if found is None or found.state is not nonce.state:
            raise NonceLostError("the nonce has moved on", nonce=nonce.nonce)
        if (attempts[0].id if attempts else None) != (None if newest is None else newest.id):
            raise NonceLostError("there is a newer attempt", nonce=nonce.nonce)

    async def _again(self, seen: Round, newest: Attempt) -> None:
        await self._transactions.deliver(newest)
        seen.sent_again.append(newest.nonce)

    def _stuck(self, seen: Round, newest: Attempt) -> bool:
        """Tell whether a transaction waits for its fee: too long at the front, or too cheap."""
        patience_ms = round(self._settings.bump_after_s * 1000)
        if newest.sent_ms is None or seen.now_ms - newest.sent_ms < patience_ms:
            return False
        if newest.max_fee < seen.market.base_fee:
            return True
        return newest.nonce == seen.count and seen.still_ms >= patience_ms

    def _old(self, seen: Round, newest: Attempt) -> bool:
        patience_ms = round(self._settings.patience_s * 1000)
        return newest.sent_ms is None or seen.now_ms - newest.sent_ms >= patience_ms

    async def _attempts(self, nonce: Nonce) -> list[Attempt]:
        async with self._transactions.store.read() as tx:
            return await rows.attempts(tx, self._chain_id, nonce.signer, nonce.nonce)

    # -- telling ------------------------------------------------------------------

    async def _tell(self, seen: Round) -> None:
        """Figures for the monitoring, and alerts for a person."""
        labels = (str(self._chain_id), seen.signer)
        oldest = min((attempt.created_ms for attempt in seen.pending), default=seen.now_ms)
        metrics.PENDING.labels(*labels).set(len(seen.pending))
        metrics.OLDEST.labels(*labels).set((seen.now_ms - oldest) / 1000)
        metrics.GAPS.labels(*labels).set(len(seen.gaps))
        committed = sum(attempt.cost for attempt in seen.attempts.values())
        short = await self._access.balance(seen.signer) < committed
        async with self._transactions.store.begin() as tx:
            capped = "a transaction waits: its fee is at the cap"
            await self._condition(tx, seen, "evm_fee_cap", capped, lasts=seen.capped)
            poor = "the signer cannot pay for what it has sent"
            await self._condition(tx, seen, "evm_gas_money", poor, lasts=short)

    async def _condition(
        self, tx: Tx, seen: Round, kind: str, message: str, *, lasts: bool
    ) -> None:
        alerts, subject = self._transactions.alerts, self._subject(seen.signer)
        if lasts:
            await alerts.raise_(tx, kind, subject, Severity.WARNING, message)
        else:
            await alerts.clear(tx, kind, subject)

    def _subject(self, signer: str) -> str:
        return f"evm:{self._chain_id}:{signer}"
