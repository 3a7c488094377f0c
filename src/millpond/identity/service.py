"""Challenges, sessions and action proofs, kept in the database."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from millpond.clock import Clock, Entropy
from millpond.identity.errors import (
    AuthenticationError,
    ReplayError,
    SignatureError,
    StaleProofError,
)
from millpond.identity.proofs import ActionProof, action_message, challenge_message
from millpond.identity.tables import nonces, sessions
from millpond.store import Tx

Verifier = Callable[[str, str, str], bool]
"""`(wallet, message, signature in base64) -> is it the wallet's signature?`"""

Wording = Callable[[str, int], str]
"""`(nonce, expires_ms) -> the text to sign`, where it is not that of a miner's address."""

CHALLENGE_MS = 5 * 60_000
SESSION_MS = 30 * 60_000
CLOCK_SKEW_MS = 5 * 60_000
_PRUNE_ROWS = 500


@dataclass(frozen=True, slots=True)
class Challenge:
    """A text to sign, good once and until `expires_ms`."""

    nonce: str
    message: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in address. `token` is known only when the session is made."""

    wallet: str
    pool_id: str
    expires_ms: int
    token: str = ""


class Identity:
    """Decides whom a request speaks for.

    Args:
        clock: Source of time.
        entropy: Source of nonces and tokens.
        operator_key_sha256: Hash of the operator's key; None if there is none.
    """

    def __init__(
        self, clock: Clock, entropy: Entropy, *, operator_key_sha256: bytes | None
    ) -> None:
        self._clock = clock
        self._entropy = entropy
        self._operator = operator_key_sha256

    def is_operator(self, key: str) -> bool:
        """Whether `key` is the operator's; takes the same time for any key."""
        given = hashlib.sha256(key.encode()).digest()
        return self._operator is not None and hmac.compare_digest(given, self._operator)

    async def challenge(
        self, tx: Tx, *, pool_id: str, wallet: str, wording: Wording | None = None
    ) -> Challenge:
        """Make a text that `wallet` can sign to open a session."""
        now = self._clock.now_ms()
        await self._prune(tx, now)
        nonce = self._entropy.token(18).hex()
        expires = now + CHALLENGE_MS
        await tx.execute(
            insert(nonces).values(
                id=_nonce_id("session", wallet, nonce),
                purpose="session",
                wallet=wallet,
                expires_ms=expires,
                used_ms=None,
            )
        )
        return Challenge(nonce, _challenge_text(pool_id, wallet, nonce, expires, wording), expires)

    async def challenge_text(
        self, tx: Tx, *, pool_id: str, wallet: str, nonce: str, wording: Wording | None = None
    ) -> str:
        """The text of a challenge that was made, for who checks its signature elsewhere.

        Raises:
            StaleProofError: No such challenge, or it expired.
        """
        expires = await self._open_challenge(tx, wallet, nonce)
        return _challenge_text(pool_id, wallet, nonce, expires, wording)

    async def sign_in(
        self,
        tx: Tx,
        verify: Verifier,
        *,
        pool_id: str,
        wallet: str,
        nonce: str,
        signature: str,
        wording: Wording | None = None,
    ) -> Session:
        """Exchange a signed challenge for a short-lived token.

        Raises:
            StaleProofError: No such challenge, or it expired.
            ReplayError: The challenge was answered before.
            SignatureError: The signature is not the wallet's.
        """
        now = self._clock.now_ms()
        identity = _nonce_id("session", wallet, nonce)
        expires = await self._open_challenge(tx, wallet, nonce)
        message = _challenge_text(pool_id, wallet, nonce, expires, wording)
        if not verify(wallet, message, signature):
            raise SignatureError("the signature is not this wallet's over the challenge")
        used = await tx.execute(
            update(nonces)
            .where(nonces.c.id == identity, nonces.c.used_ms.is_(None))
            .values(used_ms=now)
        )
        if used.rowcount != 1:
            raise ReplayError("this challenge was answered before")
        session = Session(wallet, pool_id, now + SESSION_MS, _text(self._entropy.token(32)))
        await tx.execute(
            insert(sessions).values(
                id=_hash(session.token),
                wallet=wallet,
                pool_id=pool_id,
                created_ms=now,
                expires_ms=session.expires_ms,
            )
        )
        return session

    async def session(self, tx: Tx, token: str) -> Session:
        """The session that `token` opened.

        Raises:
            AuthenticationError: Unknown, expired or closed.
        """
        query = select(sessions).where(sessions.c.id == _hash(token))
        row = (await tx.execute(query)).first()
        if row is None or row.expires_ms <= self._clock.now_ms():
            raise AuthenticationError("sign in: the token is unknown or expired")
        return Session(row.wallet, row.pool_id, row.expires_ms)

    async def sign_out(self, tx: Tx, token: str) -> None:
        """Close a session; closing it twice is the same as once."""
        await tx.execute(delete(sessions).where(sessions.c.id == _hash(token)))

    def check_signature(
        self,
        verify: Verifier,
        proof: ActionProof,
        *,
        pool_id: str,
        wallet: str,
        action: str,
        body: bytes,
    ) -> None:
        """Check time and signature of a proof; whether it was used is `spend`'s.

        Raises:
            StaleProofError: Signed too long ago, or in the future.
            SignatureError: The signature is not the wallet's over this request.
        """
        message = self.action_text(proof, pool_id=pool_id, wallet=wallet, action=action, body=body)
        if not verify(wallet, message, proof.signature):
            raise SignatureError("the signature is not this wallet's over this request")

    def action_text(
        self,
        proof: ActionProof,
        *,
        pool_id: str,
        wallet: str,
        action: str,
        body: bytes,
        contract: str = "",
    ) -> str:
        """The text that a proof must be signed over; its time is checked here.

        Raises:
            StaleProofError: Signed too long ago, or in the future.
        """
        if abs(self._clock.now_ms() - proof.timestamp_ms) > CLOCK_SKEW_MS:
            raise StaleProofError("sign again: the timestamp is more than five minutes off")
        return action_message(
            pool_id=pool_id,
            wallet=wallet,
            action=action,
            body=body,
            timestamp_ms=proof.timestamp_ms,
            nonce=proof.nonce,
            contract=contract,
        )

    async def spend(self, tx: Tx, proof: ActionProof, *, wallet: str) -> None:
        """Use the proof's nonce up, in the transaction of the action itself.

        Raises:
            ReplayError: It was used before.
        """
        now = self._clock.now_ms()
        await self._prune(tx, now)
        try:
            async with tx.begin_nested():
                await tx.execute(
                    insert(nonces).values(
                        id=_nonce_id("action", wallet, proof.nonce),
                        purpose="action",
                        wallet=wallet,
                        # Past this the timestamp alone refuses the proof.
                        expires_ms=proof.timestamp_ms + 2 * CLOCK_SKEW_MS,
                        used_ms=now,
                    )
                )
        except IntegrityError as error:
            raise ReplayError("this nonce was used before; sign again with a new one") from error

    async def _open_challenge(self, tx: Tx, wallet: str, nonce: str) -> int:
        identity = _nonce_id("session", wallet, nonce)
        found = (await tx.execute(select(nonces).where(nonces.c.id == identity))).first()
        if found is None or found.expires_ms <= self._clock.now_ms():
            raise StaleProofError("ask for a new challenge; this one is unknown or expired")
        return int(found.expires_ms)

    async def _prune(self, tx: Tx, now_ms: int) -> None:
        for table in (nonces, sessions):
            old = select(table.c.id).where(table.c.expires_ms < now_ms).limit(_PRUNE_ROWS)
            await tx.execute(delete(table).where(table.c.id.in_(old)))


def operator_key_hash(key: str) -> bytes:
    """What `Identity` keeps of the operator's key."""
    return hashlib.sha256(key.encode()).digest()


def _challenge_text(
    pool_id: str, wallet: str, nonce: str, expires_ms: int, wording: Wording | None
) -> str:
    if wording is not None:
        return wording(nonce, expires_ms)
    return challenge_message(pool_id=pool_id, wallet=wallet, nonce=nonce, expires_ms=expires_ms)


def _text(token: bytes) -> str:
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _nonce_id(purpose: str, wallet: str, nonce: str) -> str:
    return _hash(f"{purpose}\x00{wallet}\x00{nonce}")
