"""What the keeper sees of a signer in one round, and what it has done about it."""

from __future__ import annotations

import msgspec

from millpond.chains.evm.tx import rows
from millpond.chains.evm.tx.fees import Market
from millpond.chains.evm.tx.model import Attempt, Nonce, NonceState
from millpond.chains.evm.tx.transactions import Transactions
from millpond.intents import Intent
from millpond.intents.rows import fetch

_N = NonceState
_OPEN = frozenset({_N.FREE, _N.RESERVED, _N.USED, _N.FILLING})


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one round did for one signer.

    Attributes:
        signer: Whose nonces.
        pending: Nonces that were sent and are in no block.
        gaps: Nonces without a transaction that held up later ones.
        replaced: Nonces that got a transaction with higher fees.
        filled: Nonces that got an empty transaction.
        sent_again: Nonces whose newest transaction was sent again as it is.
    """

    signer: str
    pending: int = 0
    gaps: tuple[int, ...] = ()
    replaced: tuple[int, ...] = ()
    filled: tuple[int, ...] = ()
    sent_again: tuple[int, ...] = ()


class Round(msgspec.Struct, kw_only=True):
    """What a round knows of a signer, and what it has done so far.

    Attributes:
        signer: Whose nonces.
        count: Transactions of the signer on the chain.
        deep_count: The same, as deep as the confirmations.
        still_ms: How long `count` has been the same, as far as this process has seen.
        market: What gas costs now.
        now_ms: When the round began.
        nonces: The open nonces, and those that the chain has forgotten, lowest first.
        attempts: The newest attempt of each nonce from `count` on.
        intents: The intents of the nonces.
        capped: Whether something waits because of the cap on fees.
    """

    signer: str
    count: int
    deep_count: int
    still_ms: int
    market: Market
    now_ms: int
    nonces: list[Nonce]
    attempts: dict[int, Attempt]
    intents: dict[str, Intent]
    capped: bool = False
    gaps: list[int] = []
    replaced: list[int] = []
    filled: list[int] = []
    sent_again: list[int] = []

    def intent(self, nonce: Nonce) -> Intent | None:
        """The intent that a nonce belongs to."""
        return None if nonce.intent_id is None else self.intents[nonce.intent_id]

    @property
    def pending(self) -> list[Attempt]:
        """What was sent and is in no block, lowest nonce first."""
        return [a for n, a in self.attempts.items() if n >= self.count and a.sends]

    def report(self) -> Report:
        """What was done."""
        return Report(
            signer=self.signer,
            pending=len(self.pending),
            gaps=tuple(self.gaps),
            replaced=tuple(self.replaced),
            filled=tuple(self.filled),
            sent_again=tuple(self.sent_again),
        )

    def holds_up(self, nonce: Nonce) -> bool:
        """Tell whether a later nonce of the signer was signed with."""
        return any(later > nonce.nonce for later in self.attempts)


class Rounds:
    """Looks at signers for the keeper.

    Args:
        transactions: The transactions of a chain.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._access = transactions.access
        self._settings = transactions.settings
        self._chain_id = transactions.chain_id
        # Since when the chain's count of a signer has stood still, as seen here.
        self._still: dict[str, tuple[int, int]] = {}

    async def see(self, signer: str) -> Round:
        """Look at the chain and at the open nonces of a signer.

        Raises:
            UnavailableError: The chain cannot be asked.
        """
        head = await self._access.head()
        count = await self._access.count(signer)
        deep = head.number - self._settings.confirmations + 1
        deep_count = await self._access.count(signer, deep) if deep >= 0 else 0
        market = await self._access.market()
        now_ms = self._transactions.clock.now_ms()
        if self._still.get(signer, (None, 0))[0] != count:
            self._still[signer] = (count, now_ms)
        await self._find_holes(signer, count, now_ms)
        nonces, attempts, intents = await self._read(signer, count)
        return Round(
            signer=signer,
            count=count,
            deep_count=deep_count,
            still_ms=now_ms - self._still[signer][1],
            market=market,
            now_ms=now_ms,
            nonces=nonces,
            attempts=attempts,
            intents=intents,
        )

    async def _find_holes(self, signer: str, count: int, now_ms: int) -> None:
        """A nonce of which there is no row, below one that is in use, is free."""
        async with self._transactions.store.begin() as tx:
            await rows.lock_signer(tx, self._chain_id, signer, now_ms=now_ms)
            last = await rows.highest(tx, self._chain_id, signer)
            if last is None or last < count:
                return
            limit = self._settings.keep_depth
            known = await rows.nonces(tx, self._chain_id, signer, since=count, limit=limit)
            values = {nonce.nonce for nonce in known}
            for value in range(count, min(last, count + limit)):
                if value not in values:
                    await rows.add(tx, self._chain_id, signer, value, now_ms=now_ms, intent_id=None)

    async def _read(
        self, signer: str, count: int
    ) -> tuple[list[Nonce], dict[int, Attempt], dict[str, Intent]]:
        depth, chain_id = self._settings.keep_depth, self._chain_id
        async with self._transactions.store.read() as tx:
            nonces = await rows.nonces(tx, chain_id, signer, states=_OPEN, limit=depth)
            # What the chain has forgotten although it was final.
            undone = await rows.nonces(
                tx, chain_id, signer, states={_N.DONE, _N.FOREIGN}, since=count, limit=depth
            )
            nonces = sorted((*nonces, *undone), key=lambda nonce: nonce.nonce)
            attempts = await rows.newest_attempts(tx, chain_id, signer, since=count)
            ids = {nonce.intent_id for nonce in nonces if nonce.intent_id is not None}
            intents = {found: await fetch(tx, found) for found in sorted(ids)}
        return nonces, attempts, intents
