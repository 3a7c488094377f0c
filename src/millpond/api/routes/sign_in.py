"""Signing in: a text to sign, and a token for the signature."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, delete, post
from litestar.params import JSONBody
from msgspec import Meta

from millpond.api.core import Core, CoreDep
from millpond.api.models import ChallengeAnswer, SessionAnswer, iso
from millpond.api.routes.account import NO_STORE, SIGNED_IN, Header, Text128, bearer
from millpond.api.routes.miners import choose_pool
from millpond.identity import Challenge, Session
from millpond.identity.ethereum import Site, session_scope
from millpond.identity.proofs import MAX_SIGNATURE

ChainId = Annotated[int, Meta(ge=1, le=2**53)]


class ChallengeRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Ask for a text to sign.

    Attributes:
        wallet: A miner's address, or an EVM address.
        pool: The pool that it is about; by default the first that fits.
        chain_id: Of an EVM address; by default that of the pool.
    """

    wallet: Text128
    pool: Text128 | None = None
    chain_id: ChainId | None = None


class SessionRequest(ChallengeRequest, kw_only=True, forbid_unknown_fields=True):
    """Answer a challenge; the rest as it was asked for."""

    nonce: Text128
    signature: Annotated[str, Meta(min_length=1, max_length=MAX_SIGNATURE)]


@post("/api/v1/auth/challenge", tags=["account"], response_headers=NO_STORE)
async def challenge(
    core: CoreDep, request: Request[Any, Any, Any], data: JSONBody[ChallengeRequest]
) -> ChallengeAnswer:
    """A text that the address signs to open a session; good once, for 5 minutes."""
    if _is_evm(data.wallet):
        chain_id = await core.positions.chain_for(data.pool, data.chain_id)
        made = await core.callers.challenge(_site(core, request), data.wallet, chain_id)
        return _challenge(data.wallet, session_scope(chain_id), made)
    pool_id = choose_pool(core, data.wallet, data.pool)
    async with core.store.begin() as tx:
        made = await core.identity.challenge(tx, pool_id=pool_id, wallet=data.wallet)
    return _challenge(data.wallet, pool_id, made)


@post("/api/v1/auth/session", tags=["account"], response_headers=NO_STORE)
async def open_session(
    core: CoreDep, request: Request[Any, Any, Any], data: JSONBody[SessionRequest]
) -> SessionAnswer:
    """Exchange a signed challenge for a token of 30 minutes."""
    if _is_evm(data.wallet):
        chain_id = await core.positions.chain_for(data.pool, data.chain_id)
        return _answer(
            await core.callers.sign_in(
                _site(core, request),
                data.wallet,
                chain_id,
                nonce=data.nonce,
                signature=data.signature,
            )
        )
    pool_id = choose_pool(core, data.wallet, data.pool)
    verify = core.verifier(core.deps.coins[pool_id])
    async with core.store.begin() as tx:
        made = await core.identity.sign_in(
            tx,
            verify,
            pool_id=pool_id,
            wallet=data.wallet,
            nonce=data.nonce,
            signature=data.signature,
        )
    return _answer(made)


@delete("/api/v1/auth/session", tags=["account"], security=SIGNED_IN)
async def close_session(core: CoreDep, authorization: Header = None) -> None:
    """Close the session of the token sent."""
    token = bearer(authorization)
    async with core.store.begin() as tx:
        await core.identity.sign_out(tx, token)


def _is_evm(wallet: str) -> bool:
    """No coin's addresses begin like this."""
    return wallet[:2].lower() == "0x"


def _site(core: Core, request: Request[Any, Any, Any]) -> Site:
    return Site.of(core.deps.settings.public_url, request.headers.get("host", ""))


def _challenge(wallet: str, scope: str, made: Challenge) -> ChallengeAnswer:
    return ChallengeAnswer(
        wallet=wallet,
        pool_id=scope,
        nonce=made.nonce,
        message=made.message,
        expires_at=iso(made.expires_ms),
    )


def _answer(made: Session) -> SessionAnswer:
    return SessionAnswer(
        wallet=made.wallet,
        pool_id=made.pool_id,
        token=made.token,
        expires_at=iso(made.expires_ms),
    )


HANDLERS = [challenge, open_session, close_session]
