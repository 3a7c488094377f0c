"""Whom a request about staking speaks for: a wallet, or the operator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from millpond.api.staking.deps import StakingDeps
from millpond.chains.evm.address import checksum
from millpond.chains.evm.messages import signed_by
from millpond.errors import InvalidInputError
from millpond.identity import ActionProof, Challenge, Identity, Session
from millpond.identity.errors import AuthenticationError, PermissionDeniedError, SignatureError
from millpond.identity.ethereum import Site, chain_of_scope, session_scope, sign_in_text
from millpond.identity.service import Wording
from millpond.staking.pools import StakingPool
from millpond.store import Store, Tx

_ACTOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_NOT_YOURS = "this is another wallet's; a user reads and moves only their own position"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request speaks for.

    Attributes:
        role: `wallet` (a signed request), `session` or `operator`.
        wallet: Whose position it is about; EIP-55 checksummed.
        actor: What the trail calls them.
        proof: The signed statement whose nonce is to be used up, if it was one.
    """

    role: str
    wallet: str
    actor: str
    proof: ActionProof | None = None

    @property
    def is_operator(self) -> bool:
        """Whether somebody with power acts for a wallet."""
        return self.role == "operator"

    def principal(self, pool_id: str) -> str:
        """Whose idempotency keys these are."""
        return f"{self.role}:{pool_id}:{self.wallet}"


class Callers:
    """Decides it.

    Args:
        store: The database.
        identity: Sessions, nonces and the operator's key.
        deps: For contract wallets, which are asked on their chain.
    """

    def __init__(self, store: Store, identity: Identity, deps: StakingDeps) -> None:
        self._store = store
        self._identity = identity
        self._deps = deps

    # -- signing in ------------------------------------------------------------------

    async def challenge(self, site: Site, wallet: str, chain_id: int) -> Challenge:
        """A text that an Ethereum account signs to open a session (EIP-4361).

        Raises:
            InvalidAddressError: The wallet is no address.
        """
        wallet = checksum(wallet)
        async with self._store.begin() as tx:
            return await self._identity.challenge(
                tx,
                pool_id=session_scope(chain_id),
                wallet=wallet,
                wording=_wording(site, wallet, chain_id),
            )

    async def sign_in(
        self, site: Site, wallet: str, chain_id: int, *, nonce: str, signature: str
    ) -> Session:
        """Exchange the signed text for a token.

        Raises:
            InvalidAddressError: The wallet is no address.
            StaleProofError, ReplayError, SignatureError: See `Identity.sign_in`.
            RpcError: A contract wallet's chain does not answer.
        """
        wallet, scope = checksum(wallet), session_scope(chain_id)
        wording = _wording(site, wallet, chain_id)
        async with self._store.read() as tx:
            text = await self._identity.challenge_text(
                tx, pool_id=scope, wallet=wallet, nonce=nonce, wording=wording
            )
        # Asked before the transaction, which no node may keep open.
        genuine = await self._signed(chain_id, wallet, text, signature)
        async with self._store.begin() as tx:
            return await self._identity.sign_in(
                tx,
                lambda *_: genuine,
                pool_id=scope,
                wallet=wallet,
                nonce=nonce,
                signature=signature,
                wording=wording,
            )

    # -- asking and acting -----------------------------------------------------------

    async def operator(self, headers: Mapping[str, str]) -> str:
        """What the trail calls the operator who asks.

        Raises:
            AuthenticationError: Nobody is signed in.
            PermissionDeniedError: Somebody else is.
        """
        token = _bearer(headers)
        if token is None:
            raise AuthenticationError("this needs the operator's key: Authorization: Bearer …")
        if self._identity.is_operator(token):
            return _actor(headers)
        async with self._store.read() as tx:
            await self._identity.session(tx, token)
        raise PermissionDeniedError("this is the operator's")

    async def reader(self, headers: Mapping[str, str], pool: StakingPool, wallet: str) -> Caller:
        """Who asks about a wallet's position.

        Raises:
            InvalidAddressError: The wallet is no address.
            AuthenticationError: Nobody is signed in.
            PermissionDeniedError: Another wallet is.
        """
        wallet = checksum(wallet)
        token = _bearer(headers)
        if token is None:
            raise AuthenticationError("sign in with the wallet, or send the operator's key")
        return await self._by_token(headers, token, pool, wallet)

    async def writer(
        self,
        headers: Mapping[str, str],
        pool: StakingPool,
        wallet: str | None,
        *,
        action: str,
        body: bytes,
    ) -> Caller:
        """Who wants to move a wallet's position; None is the one that is signed in.

        Args:
            headers: Of the request.
            pool: In which pool.
            wallet: Whose position.
            action: Method and what is done, as a signed request says it.
            body: The body as sent.

        Raises:
            InvalidAddressError: The wallet is no address.
            InvalidInputError: No wallet is named and none is signed in.
            AuthenticationError: Neither a token nor a good signature.
            PermissionDeniedError: Another wallet is signed in.
            RpcError: A contract wallet's chain does not answer.
        """
        named = None if wallet is None else checksum(wallet)
        token = _bearer(headers)
        if token is not None:
            return await self._by_token(headers, token, pool, named)
        if named is None:
            raise AuthenticationError("sign in with the wallet, or name it and sign the request")
        proof = _proof(headers)
        text = self._identity.action_text(
            proof,
            pool_id=pool.pool_id,
            wallet=named,
            action=action,
            body=body,
            contract=f"eip155:{pool.chain_id}:{pool.contract}",
        )
        if not await self._signed(pool.chain_id, named, text, proof.signature):
            raise SignatureError("the signature is not this wallet's over this request")
        return Caller("wallet", named, named, proof)

    async def spend(self, tx: Tx, caller: Caller) -> None:
        """Use up the nonce of a signed request, in the transaction of what it asks for.

        Raises:
            ReplayError: It was used before.
        """
        if caller.proof is not None:
            await self._identity.spend(tx, caller.proof, wallet=caller.wallet)

    async def _by_token(
        self, headers: Mapping[str, str], token: str, pool: StakingPool, wallet: str | None
    ) -> Caller:
        if self._identity.is_operator(token):
            if wallet is None:
                raise InvalidInputError("whose? name a wallet")
            return Caller("operator", wallet, _actor(headers))
        async with self._store.read() as tx:
            session = await self._identity.session(tx, token)
        if chain_of_scope(session.pool_id) != pool.chain_id:
            raise PermissionDeniedError("this session is not of a wallet on the pool's chain")
        if wallet is not None and wallet != session.wallet:
            raise PermissionDeniedError(_NOT_YOURS)
        return Caller("session", session.wallet, session.wallet)

    async def _signed(self, chain_id: int, wallet: str, text: str, signature: str) -> bool:
        return await signed_by(wallet, text, signature, self._deps.chains.get(chain_id))


def _wording(site: Site, wallet: str, chain_id: int) -> Wording:
    def text(nonce: str, expires_ms: int) -> str:
        return sign_in_text(
            site, wallet=wallet, chain_id=chain_id, nonce=nonce, expires_ms=expires_ms
        )

    return text


def _bearer(headers: Mapping[str, str]) -> str | None:
    """The token of an Authorization header; None if there is no header.

    Raises:
        AuthenticationError: There is a header of another kind.
    """
    header = headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise AuthenticationError("this needs a token: Authorization: Bearer …")
    return token.strip()


def _actor(headers: Mapping[str, str]) -> str:
    """The operator's name for the trail; what is claimed is marked as said with the key."""
    name = headers.get("millpond-actor", "")
    if not name:
        return "operator"
    if not _ACTOR.fullmatch(name):
        raise InvalidInputError("Millpond-Actor is 1 to 64 letters, digits and . _ @ -")
    return f"operator:{name}"


def _proof(headers: Mapping[str, str]) -> ActionProof:
    timestamp = headers.get("millpond-timestamp", "")
    nonce = headers.get("millpond-nonce", "")
    signature = headers.get("millpond-signature", "")
    if not (timestamp and nonce and signature):
        raise AuthenticationError(
            "sign in with the wallet, sign the request with it (Millpond-Timestamp, "
            "Millpond-Nonce, Millpond-Signature), or send the operator's key"
        )
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        raise InvalidInputError("Millpond-Timestamp is unix milliseconds")
    return ActionProof(int(timestamp), nonce, signature)
