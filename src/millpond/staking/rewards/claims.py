"""Claims of a direct pool's rewards: asked for, reserved, paid once.

A claim is a row and a reservation of what the wallet is owed, made in one
transaction. It is paid out of `BatchPayout`; the indexer books what the chain shows
(`ClaimBooks`), as it does for withdrawals. A vault's rewards are claimed on chain
with a proof instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import RowMapping, select, text, update

from millpond.chains.evm.address import checksum
from millpond.clock import Clock, Ids
from millpond.money.errors import InsufficientFundsError
from millpond.money.ledger import Ledger
from millpond.money.model import Resolution, Transfer
from millpond.risk import Function, Request, RiskEngine
from millpond.staking import accounts
from millpond.staking.accounts import derived_id
from millpond.staking.model import Event, EventKind
from millpond.staking.pools import PRODUCT, PoolKind, StakingPool, get_pool
from millpond.staking.rewards.errors import ClaimRefusedError
from millpond.staking.rewards.tables import PENDING_CLAIM, claim_table
from millpond.store import Tx
from millpond.store.events import publish
from millpond.store.sql import any_of, insert_or_ignore

_C = claim_table.c

KEPT = "the token refused this address; the contract keeps it for the wallet to take"
PAID_OTHERWISE = "it was paid by another transaction"
PAYMENT_UNDONE = "the payment was taken back by the chain and may come again"
LESS_OWED = "the payment was taken back by the chain and may come again, but less is owed now"

MAX_PAGE = 1_000


class ClaimState(StrEnum):
    """Where a claim is.

    `PENDING`: asked for and reserved, in no transaction yet. `PROCESSING`: in a
    batch whose transaction may have been sent. `PAID`: the chain has paid it, or
    keeps it for the wallet. `FAILED`: what was reserved is back.
    """

    PENDING = "pending"
    PROCESSING = "processing"
    PAID = "paid"
    FAILED = "failed"


_FINAL = frozenset({ClaimState.PAID, ClaimState.FAILED})


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet takes its rewards; base units.

    Attributes:
        id: Identifier that sorts by time.
        pool_id: Out of which pool.
        wallet: Whose, and who is paid.
        amount: How much.
        state: Where it is.
        reason: Why it is where it is, for people; may be empty.
        chain_key: Name on chain of the batch that pays it, once there is one.
        reserved: True while its amount is reserved in the ledger.
        hold: How often it was reserved; names the reservation that is open.
        tx_hash: The transaction that paid it, once the chain showed it.
        requested_ms: When it was asked for.
        updated_ms: When it changed last.
        finished_ms: When it was paid or failed.
    """

    id: str
    pool_id: str
    wallet: str
    amount: int
    state: ClaimState
    reason: str
    chain_key: str | None
    reserved: bool
    hold: int
    tx_hash: str | None
    requested_ms: int
    updated_ms: int
    finished_ms: int | None

    @property
    def final(self) -> bool:
        """Tell whether nothing more happens to it, short of a reorg."""
        return self.state in _FINAL

    @property
    def hold_id(self) -> str:
        """Identity of the pending transfer that reserves it."""
        return derived_id("claim", self.id, self.hold)

    @property
    def reference(self) -> str:
        """What the ledger and the risk engine know it by."""
        return f"claim:{self.id}"


class Claims:
    """Claims of direct pools.

    Args:
        ledger: Where the money is.
        risk: Limits, pauses and breakers.
        clock: Time.
        ids: Makes the claims' identifiers.
    """

    def __init__(self, ledger: Ledger, risk: RiskEngine, clock: Clock, ids: Ids) -> None:
        self.ledger = ledger
        self.risk = risk
        self.clock = clock
        self._ids = ids

    async def request(
        self, tx: Tx, *, pool_id: str, wallet: str, amount: int | None = None
    ) -> Claim:
        """Take what the wallet is owed, or a part of it.

        Asking again while one is under way is answered with that one.

        Raises:
            PoolNotFoundError: There is no such pool.
            InvalidAddressError: The wallet is no address.
            ClaimRefusedError: The pool is a vault, or less is owed than asked for.
            RiskRefusedError: A limit, a pause or a breaker; only that is written.
        """
        pool = await get_pool(tx, pool_id)
        if pool.kind is not PoolKind.DIRECT:
            raise ClaimRefusedError("a vault's rewards are claimed on chain, with a proof")
        wallet = checksum(wallet)
        earlier = await _open_of(tx, pool_id, wallet)
        if earlier:
            return _same(earlier[0], amount)
        claim = self._new(pool, wallet, await self._checked(tx, pool, wallet, amount))
        await self.risk.enforce(tx, _asked(pool, claim))
        try:
            await self.ledger.reserve(tx, [_hold(pool, claim)])
        except InsufficientFundsError:
            raise ClaimRefusedError("less is owed than was asked for") from None
        written = await tx.execute(insert_or_ignore(tx, claim_table).values(_values(claim)))
        if written.rowcount != 1:
            # Two requests at once; the whole transaction goes back, this one's hold with it.
            raise ClaimRefusedError("another claim of these rewards is under way")
        await self._tell(tx, [claim])
        return claim

    async def fail(self, tx: Tx, claims: Sequence[Claim], reason: str) -> list[Claim]:
        """End claims that will not be paid and return what was reserved."""
        for claim in claims:
            await self.risk.returned(tx, claim.reference)
        await self.give_back(tx, claims)
        now_ms = self.clock.now_ms()
        return await self.change(
            tx,
            claims,
            state=ClaimState.FAILED,
            reason=reason[:300],
            reserved=False,
            finished_ms=now_ms,
        )

    async def put_back(self, tx: Tx, claims: Sequence[Claim], reason: str) -> list[Claim]:
        """Let claims whose transaction came to nothing wait for another one."""
        again = [c for c in claims if c.reserved and not await self._asked_again(tx, c)]
        await self.fail(tx, [c for c in claims if c not in again], reason)
        return await self.change(
            tx, again, state=ClaimState.PENDING, reason=reason[:300], chain_key=None
        )

    async def under_way(self, tx: Tx, chain_key: str) -> list[Claim]:
        """Claims of a batch, by its name on chain, whose end is open; locked."""
        found = await _of_batch(tx, chain_key)
        return [claim for claim in found if claim.state is ClaimState.PROCESSING]

    async def explain(self, tx: Tx, claims: Sequence[Claim], reason: str) -> None:
        """Say why claims are where they are."""
        await self.change(tx, claims, reason=reason)

    async def give_back(self, tx: Tx, claims: Sequence[Claim]) -> None:
        """Void the open reservations of these claims."""
        await self.ledger.void_pending(
            tx, [Resolution(derived_id("void", c.hold_id), c.hold_id) for c in claims if c.reserved]
        )

    async def change(self, tx: Tx, claims: Sequence[Claim], **values: Any) -> list[Claim]:
        """Write the same columns of several claims and tell about them."""
        if not claims:
            return []
        values["updated_ms"] = self.clock.now_ms()
        ids = [claim.id for claim in claims]
        await tx.execute(update(claim_table).where(any_of(tx, _C.id, ids)).values(**values))
        changed = [msgspec.structs.replace(claim, **values) for claim in claims]
        await self._tell(tx, changed)
        return changed

    async def _asked_again(self, tx: Tx, claim: Claim) -> bool:
        found = await _open_of(tx, claim.pool_id, claim.wallet)
        return any(other.state is ClaimState.PENDING for other in found)

    async def _checked(self, tx: Tx, pool: StakingPool, wallet: str, amount: int | None) -> int:
        account = accounts.rewards(pool.pool_id, wallet, pool.asset)
        available = (await self.ledger.balance(tx, account)).available.units
        wanted = available if amount is None else amount
        if wanted <= 0 or wanted > available:
            raise ClaimRefusedError(
                f"{pool.asset.amount(available)} of rewards can be claimed",
                available=str(available),
            )
        return wanted

    def _new(self, pool: StakingPool, wallet: str, amount: int) -> Claim:
        now_ms = self.clock.now_ms()
        return Claim(
            id=self._ids.new(),
            pool_id=pool.pool_id,
            wallet=wallet,
            amount=amount,
            state=ClaimState.PENDING,
            reason="",
            chain_key=None,
            reserved=True,
            hold=1,
            tx_hash=None,
            requested_ms=now_ms,
            updated_ms=now_ms,
            finished_ms=None,
        )

    async def _tell(self, tx: Tx, claims: Sequence[Claim]) -> None:
        for claim in claims:
            payload = {
                "type": "claim",
                "id": claim.id,
                "pool_id": claim.pool_id,
                "wallet": claim.wallet,
                "amount": str(claim.amount),
                "state": claim.state.value,
            }
            await publish(tx, "staking", payload, now_ms=self.clock.now_ms())


class ClaimBooks:
    """What the indexer asks and tells when a batch has paid rewards (`books.RewardClaims`)."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims

    async def ready(self, tx: Tx, pool: StakingPool) -> None:
        """Make reservations anew that were made against the funds, as all once were.

        They make the funds less than the contract has, so that what the contract
        does could not be booked.
        """
        funds = accounts.reward_funds(pool.pool_id, pool.asset)
        if not (await self._claims.ledger.balance(tx, funds)).outgoing.units:
            return
        reserved = await reserved_of(tx, pool.pool_id, lock=True)
        await self._claims.give_back(tx, reserved)
        for claim in reserved:
            again = msgspec.structs.replace(claim, hold=claim.hold + 1)
            await self._claims.ledger.reserve(tx, [_hold(pool, again)])
            await self._claims.change(tx, [claim], hold=again.hold)

    async def make_room(self, tx: Tx, pool: StakingPool, event: Event) -> None:
        """Give back what was reserved for a payment; claims that wait yield to one without."""
        claim = await _answered(tx, pool, event)
        freed = 0
        if claim is not None and claim.reserved:
            await self._claims.give_back(tx, [claim])
            freed = claim.amount
        if freed < event.amount:
            await self._fail_waiting(tx, pool, event)

    async def booked(self, tx: Tx, pool: StakingPool, event: Event) -> None:
        """The claim is paid, or kept for the wallet."""
        claim = await _answered(tx, pool, event)
        if claim is not None:
            await self._claims.change(
                tx,
                [claim],
                state=ClaimState.PAID,
                reason=KEPT if event.kind is EventKind.REWARD_KEPT else "",
                reserved=False,
                tx_hash=event.tx_hash,
                finished_ms=self._claims.clock.now_ms(),
            )

    async def undone(self, tx: Tx, pool: StakingPool, event: Event) -> None:
        """The chain took the payment back; its transaction may come again."""
        claim = await _answered(tx, pool, event)
        if claim is None or claim.state is not ClaimState.PAID:
            return
        again = msgspec.structs.replace(
            claim, hold=claim.hold + 1, reserved=True, reason=PAYMENT_UNDONE
        )
        try:
            await self._claims.ledger.reserve(tx, [_hold(pool, again)])
        except InsufficientFundsError:
            again = msgspec.structs.replace(claim, reserved=False, reason=LESS_OWED)
        await self._claims.change(
            tx,
            [claim],
            state=ClaimState.PROCESSING,
            reason=again.reason,
            reserved=again.reserved,
            hold=again.hold,
            tx_hash=None,
            finished_ms=None,
        )

    async def _fail_waiting(self, tx: Tx, pool: StakingPool, event: Event) -> None:
        """Fail claims that wait, if the payment needs what they reserve."""
        account = accounts.rewards(pool.pool_id, event.wallet, pool.asset)
        balance = await self._claims.ledger.balance(tx, account)
        if balance.available.units >= event.amount:
            return
        waiting = await _open_of(tx, pool.pool_id, event.wallet)
        pending = [claim for claim in waiting if claim.state is ClaimState.PENDING]
        await self._claims.fail(tx, pending, PAID_OTHERWISE)


async def pending(tx: Tx, pool_id: str, *, limit: int, lock: bool = True) -> list[Claim]:
    """Claims in no transaction, the oldest first; locked, those of others passed over."""
    query = select(claim_table).where(_C.pool_id == pool_id, text(PENDING_CLAIM))
    query = query.order_by(_C.id).limit(limit)
    return await _read(tx, query.with_for_update(skip_locked=True) if lock else query)


async def _of_batch(tx: Tx, chain_key: str) -> list[Claim]:
    """Claims of a batch, oldest first; locked."""
    query = select(claim_table).where(_C.chain_key == chain_key).order_by(_C.id)
    return await _read(tx, query.with_for_update())


async def listed(
    tx: Tx,
    *,
    pool_id: str | None = None,
    wallet: str | None = None,
    before: str | None = None,
    limit: int = 100,
) -> list[Claim]:
    """Claims, newest first; `before` is the last identifier of the page before."""
    assert 0 < limit <= MAX_PAGE, f"a page has 1 to {MAX_PAGE} claims"
    query = select(claim_table).order_by(_C.id.desc()).limit(limit)
    for column, value in ((_C.pool_id, pool_id), (_C.wallet, wallet)):
        if value is not None:
            query = query.where(column == value)
    return await _read(tx, query if before is None else query.where(_C.id < before))


async def _open_of(tx: Tx, pool_id: str, wallet: str) -> list[Claim]:
    open_states = [state.value for state in ClaimState if state not in _FINAL]
    where = _C.pool_id == pool_id, _C.wallet == wallet, _C.state.in_(open_states)
    query = select(claim_table).where(*where).order_by(_C.id)
    return await _read(tx, query)


async def reserved_of(tx: Tx, pool_id: str, *, lock: bool = False) -> list[Claim]:
    """All claims of a pool for which something is reserved, oldest first."""
    query = select(claim_table).where(_C.pool_id == pool_id, _C.reserved.is_(True)).order_by(_C.id)
    return await _read(tx, query.with_for_update() if lock else query)


async def _answered(tx: Tx, pool: StakingPool, event: Event) -> Claim | None:
    if event.batch_id is None:
        return None
    where = _C.pool_id == pool.pool_id, _C.wallet == event.wallet, _C.chain_key == event.batch_id
    found = await _read(tx, select(claim_table).where(*where).with_for_update())
    return found[0] if found else None


async def _read(tx: Tx, query: Any) -> list[Claim]:
    return [_claim(row) for row in (await tx.execute(query)).mappings()]


def _same(earlier: Claim, amount: int | None) -> Claim:
    if amount is not None and amount != earlier.amount:
        raise ClaimRefusedError("another claim of these rewards is under way", claim=earlier.id)
    return earlier


def _claim(row: RowMapping) -> Claim:
    return Claim(**dict(row) | {"state": ClaimState(row["state"])})


def _values(claim: Claim) -> dict[str, Any]:
    return msgspec.structs.asdict(claim) | {"state": claim.state.value}


def _hold(pool: StakingPool, claim: Claim) -> Transfer:
    return Transfer(
        claim.hold_id,
        debit=accounts.rewards(pool.pool_id, claim.wallet, pool.asset),
        credit=accounts.claiming(pool.pool_id, claim.wallet, pool.asset),
        amount=pool.asset.amount(claim.amount),
        code="claim",
        reference=claim.reference,
    )


def _asked(pool: StakingPool, claim: Claim) -> Request:
    return Request(
        function=Function.CLAIM,
        product=PRODUCT,
        pool_id=pool.pool_id,
        user=claim.wallet,
        asset=pool.asset,
        amount=claim.amount,
        reference=claim.reference,
    )
