"""What needs a proof of who asks in mining: payout requests, payout settings, one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, cast

import msgspec
from litestar import Request, Response, get, post, put
from litestar.params import HeaderParameter, JSONBody
from msgspec import Meta

from millpond.api.core import Core, CoreDep
from millpond.api.idempotency import Answer, once
from millpond.api.idempotency import Request as IdempotentRequest
from millpond.api.models import Payout, PayoutSettings, Worker
from millpond.api.pagination import CursorText, Limit, Page
from millpond.api.ports import SettingsChange
from millpond.api.routes.miners import Wallet, choose_pool
from millpond.chains.bitcoin.address import canonical_address
from millpond.errors import InvalidInputError
from millpond.identity import ActionProof, Session
from millpond.identity.errors import AuthenticationError, PermissionDeniedError
from millpond.mining.payouts.model import FeePolicy, Schedule
from millpond.store import Tx

SIGNED: list[dict[str, list[str]]] = [{"operator": []}, {"signature": []}]
SIGNED_IN: list[dict[str, list[str]]] = [{"session": []}]
NO_STORE = {"Cache-Control": "no-store"}
Decimal = Annotated[str, Meta(pattern=r"^[0-9]{1,40}(\.[0-9]{1,36})?$", max_length=78)]
Text128 = Annotated[str, Meta(min_length=1, max_length=128)]
Header = Annotated[str | None, HeaderParameter(name="Authorization", max_length=300)]
Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        max_length=128,
        description="Same key and body: the same answer, and the thing done once.",
    ),
]


class PayoutRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Ask for a payout.

    Attributes:
        pool: The pool; by default the first that fits the address.
        amount: Decimal amount; by default the whole available balance.
    """

    pool: Text128 | None = None
    amount: Decimal | None = None


class SettingsRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Change how an address is paid; what is left out stays."""

    pool: Text128 | None = None
    threshold: Decimal | None = None
    automatic: bool | None = None
    schedule: Schedule | None = None
    fee_policy: FeePolicy | None = None
    address: Text128 | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a write speaks for.

    Attributes:
        role: `wallet`, `session` or `operator`; keeps their idempotency keys apart.
        wallet: The address that it is about.
        pool_id: The pool that it is about.
        proof: The signed statement whose nonce is to be used up, if it was one.
    """

    role: str
    wallet: str
    pool_id: str
    proof: ActionProof | None = None

    @property
    def principal(self) -> str:
        """Whose idempotency keys these are."""
        return f"{self.role}:{self.pool_id}:{self.wallet}"


def bearer(header: str | None) -> str:
    """The token of an Authorization header.

    Raises:
        AuthenticationError: There is none.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise AuthenticationError("this needs a token: Authorization: Bearer …")
    return token.strip()


def authorize_write(
    core: Core, request: Request[Any, Any, Any], wallet: str, pool_id: str, body: bytes
) -> Caller:
    """Establish who asks for a write on behalf of `wallet`.

    Raises:
        AuthenticationError: Neither the operator's key nor a good signature.
    """
    # A wallet is asked about in any writing of its address and kept in one.
    kept = canonical_address(wallet, core.deps.coins[pool_id])
    header = request.headers.get("authorization")
    if header is not None:
        if not core.identity.is_operator(bearer(header)):
            raise AuthenticationError("this is not the operator's key; or sign the request")
        return Caller("operator", kept, pool_id)
    proof = _proof_of(request)
    core.identity.check_signature(
        core.verifier(core.deps.coins[pool_id]),
        proof,
        pool_id=pool_id,
        wallet=wallet,
        action=f"{request.method} {request.scope['path'].rsplit('/', 1)[-1]}",
        body=body,
    )
    return Caller("wallet", kept, pool_id, proof)


def _proof_of(request: Request[Any, Any, Any]) -> ActionProof:
    timestamp = request.headers.get("millpond-timestamp", "")
    nonce = request.headers.get("millpond-nonce", "")
    signature = request.headers.get("millpond-signature", "")
    if not (timestamp and nonce and signature):
        raise AuthenticationError(
            "sign the request with the address (Millpond-Timestamp, Millpond-Nonce, "
            "Millpond-Signature), or send the operator's key"
        )
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        raise InvalidInputError("Millpond-Timestamp is unix milliseconds")
    return ActionProof(int(timestamp), nonce, signature)


def _units(core: Core, pool_id: str, text: str | None) -> int | None:
    return None if text is None else core.deps.coins[pool_id].asset.parse(text).units


async def _payout(
    core: Core, request: IdempotentRequest, caller: Caller, amount: str | None
) -> Response[Payout]:
    units = _units(core, caller.pool_id, amount)

    async def act(tx: Tx) -> Answer:
        if caller.proof is not None:
            await core.identity.spend(tx, caller.proof, wallet=caller.wallet)
        payout = await core.deps.writes.request_payout(
            tx, pool_id=caller.pool_id, wallet=caller.wallet, amount_units=units
        )
        return Answer(201, msgspec.json.encode(payout))

    answer = await once(core.store, request, core.deps.clock.now_ms(), act)
    headers = dict(NO_STORE)
    if answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(
        # The stored bytes themselves: a repeat is the same answer, byte for byte.
        content=cast("Payout", answer.body),
        status_code=answer.status,
        media_type="application/json",
        headers=headers,
    )


@post("/api/v1/miners/{wallet:str}/payout", tags=["account"], security=SIGNED)
async def request_payout(
    core: CoreDep,
    request: Request[Any, Any, Any],
    wallet: Wallet,
    data: JSONBody[PayoutRequest],
    idempotency_key: Key = None,
) -> Response[Payout]:
    """Ask for a payout; signed by the address or with the operator's key."""
    pool_id = choose_pool(core, wallet, data.pool)
    body = await request.body()
    caller = authorize_write(core, request, wallet, pool_id, body)
    idempotent = IdempotentRequest(
        caller.principal, f"POST /miners/{wallet}/payout", idempotency_key, body
    )
    return await _payout(core, idempotent, caller, data.amount)


@put("/api/v1/miners/{wallet:str}/payout-settings", tags=["account"], security=SIGNED)
async def change_settings(
    core: CoreDep, request: Request[Any, Any, Any], wallet: Wallet, data: JSONBody[SettingsRequest]
) -> PayoutSettings:
    """Change threshold, automatic payout or address; signed, or the operator's key."""
    pool_id = choose_pool(core, wallet, data.pool)
    caller = authorize_write(core, request, wallet, pool_id, await request.body())
    if data.address is not None:
        core.deps.check_address(core.deps.coins[pool_id], data.address)
    change = SettingsChange(
        threshold_units=_units(core, pool_id, data.threshold),
        automatic=data.automatic,
        schedule=data.schedule,
        fee_policy=data.fee_policy,
        address=data.address,
    )
    async with core.store.begin() as tx:
        if caller.proof is not None:
            await core.identity.spend(tx, caller.proof, wallet=caller.wallet)
        return await core.deps.writes.change_settings(
            tx, pool_id=pool_id, wallet=caller.wallet, change=change
        )


async def _session(core: Core, tx: Tx, header: str | None) -> Session:
    session = await core.identity.session(tx, bearer(header))
    if session.pool_id not in core.deps.coins:
        raise PermissionDeniedError("this session is not of a miner's address")
    return session


@get("/api/v1/workers", tags=["account"], security=SIGNED_IN, response_headers=NO_STORE)
async def my_workers(
    core: CoreDep, authorization: Header = None, limit: Limit = 50, cursor: CursorText = None
) -> Page[Worker]:
    """The signed-in address's workers."""
    async with core.store.read() as tx:
        session = await _session(core, tx, authorization)
        return await core.reads.workers(
            tx, pool_id=session.pool_id, wallet=session.wallet, limit=limit, cursor=cursor
        )


@get("/api/v1/payouts", tags=["account"], security=SIGNED_IN, response_headers=NO_STORE)
async def my_payouts(
    core: CoreDep, authorization: Header = None, limit: Limit = 50, cursor: CursorText = None
) -> Page[Payout]:
    """The signed-in address's payouts."""
    async with core.store.read() as tx:
        session = await _session(core, tx, authorization)
        return await core.reads.payouts(
            tx, pool_id=session.pool_id, wallet=session.wallet, limit=limit, cursor=cursor
        )


@post("/api/v1/payouts", tags=["account"], security=SIGNED_IN)
async def request_my_payout(
    core: CoreDep,
    request: Request[Any, Any, Any],
    data: JSONBody[PayoutRequest],
    authorization: Header = None,
    idempotency_key: Key = None,
) -> Response[Payout]:
    """Ask for a payout to the signed-in address."""
    async with core.store.read() as tx:
        session = await _session(core, tx, authorization)
    if data.pool not in (None, session.pool_id):
        raise PermissionDeniedError("this session is for another pool")
    caller = Caller("session", session.wallet, session.pool_id)
    idempotent = IdempotentRequest(
        caller.principal, "POST /payouts", idempotency_key, await request.body()
    )
    return await _payout(core, idempotent, caller, data.amount)


HANDLERS = [
    request_payout,
    change_settings,
    my_workers,
    my_payouts,
    request_my_payout,
]
