"""Holding a statement against the chain: every figure computed again from events alone.

Of the statement only what was declared is believed: which pool, and which terms
were in force. Everything else is recomputed by the functions that closed the epoch,
from the first epoch on or from a statement that is trusted, and compared to the last
unit. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import msgspec

from millpond.chains.evm.address import checksum
from millpond.staking.rewards.chainlog import ChainLog, Told, told
from millpond.staking.rewards.closing import (
    Closing,
    Prior,
    Seen,
    bounds_of,
    decide,
    epoch_of,
    prior_after,
)
from millpond.staking.rewards.engine import Change
from millpond.staking.rewards.errors import NoRewardsError
from millpond.staking.rewards.merkle import proves
from millpond.staking.rewards.model import Proof
from millpond.staking.rewards.statement import (
    InvalidStatementError,
    Statement,
    decode,
    statement_hash,
)

MAX_MISMATCHES = 100
"""Most differences that a report names."""

MAX_EPOCHS = 1_000_000
"""Most epochs that are recomputed; beyond, give a statement to start from."""


class Mismatch(msgspec.Struct, frozen=True):
    """A figure that is not what it must be.

    Attributes:
        name: Which, such as `accounts[0xAb…].cumulative` or `root`.
        expected: What the chain's events make it.
        found: What the statement (or the chain's root) says.
    """

    name: str
    expected: str
    found: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came out.

    Attributes:
        pool_id: The pool.
        epoch: The epoch.
        statement_hash: Name of the statement that was held against the chain.
        epochs: How many epochs were recomputed.
        posted: True if the chain has a root for it; direct pools post none.
        mismatches: Every difference, up to `MAX_MISMATCHES`; none: the statement is right.
    """

    pool_id: str
    epoch: int
    statement_hash: str
    epochs: int
    posted: bool
    mismatches: list[Mismatch]

    @property
    def matches(self) -> bool:
        """True if every figure is what the chain's events make it."""
        return not self.mismatches


def verify(document: bytes, log: ChainLog, *, previous: bytes | None = None) -> Report:
    """Recompute a statement.

    Args:
        document: The statement's bytes, as exported.
        log: The chain's events, from the pool's first block to behind the epoch's end.
        previous: The statement of the epoch before, if that is trusted; without it
            every epoch is recomputed from the first.

    Raises:
        InvalidStatementError: One of the two is no statement.
        InvalidLogError: The log does not hang together.
    """
    statement = decode(document)
    name = statement_hash(document)
    early = list(_beforehand(statement, log, previous))
    if early:
        return _report(statement, name, 0, early, posted=False)
    events = told(statement.pool, log)
    closing, epochs = _recompute(statement, events, previous)
    found = [*_differences(closing, statement), *_on_chain(closing, name, events)]
    posted = statement.number in events.posted
    return _report(statement, name, epochs, found, posted=posted)


def _report(
    statement: Statement, name: str, epochs: int, found: list[Mismatch], *, posted: bool
) -> Report:
    return Report(
        pool_id=statement.pool.pool_id,
        epoch=statement.epoch,
        statement_hash=name,
        epochs=epochs,
        posted=posted,
        mismatches=found[:MAX_MISMATCHES],
    )


def _beforehand(statement: Statement, log: ChainLog, previous: bytes | None) -> Iterator[Mismatch]:
    """What makes recomputing pointless."""
    pool, epoch = statement.pool, statement.epoch
    end_s = bounds_of(pool, epoch)[1]
    if pool.chain_id != log.chain_id:
        yield Mismatch("pool.chain_id", str(log.chain_id), str(pool.chain_id))
    if pool.kind not in {"direct", "vault"}:
        yield Mismatch("pool.kind", "direct or vault", pool.kind)
    if log.head_time_s < end_s:
        yield Mismatch("log", f"events up to {end_s}", f"events up to {log.head_time_s}")
    start = pool.first_epoch
    if previous is not None:
        before = decode(previous)
        if before.pool != pool or before.epoch != epoch - 1:
            yield Mismatch("previous", f"{pool.pool_id} epoch {epoch - 1}", _title(before))
        start = epoch
    if not 0 <= epoch - start < MAX_EPOCHS:
        yield Mismatch("epoch", f"from {start}, at most {MAX_EPOCHS} on", str(epoch))
    if not any(part.from_epoch <= start for part in statement.terms):
        yield Mismatch("terms", f"terms of epoch {start}", "none")


def _title(statement: Statement) -> str:
    return f"{statement.pool.pool_id} epoch {statement.epoch}"


def _recompute(statement: Statement, events: Told, previous: bytes | None) -> tuple[Closing, int]:
    """Decide the epochs up to the statement's anew."""
    first, prior = _first_of(statement, events), Prior()
    if previous is not None:
        prior = _trusted(previous, bounds_of(statement.pool, statement.epoch)[0], events)
    pool = msgspec.structs.replace(statement.pool, first_epoch=first)
    start = statement.epoch if previous is not None else min(first, statement.epoch)
    walk = _Walk(events, None if previous is None else bounds_of(pool, start)[0])
    closing = None
    for epoch in range(start, statement.epoch + 1):
        seen = walk.next(*bounds_of(pool, epoch))
        closing = decide(pool, epoch, statement.terms, seen, prior)
        prior = closing.prior
    assert closing is not None, "at least the statement's own epoch is decided"
    return closing, statement.epoch - start + 1


def _trusted(previous: bytes, start_s: int, events: Told) -> Prior:
    """Where a trusted statement left off; what was funded by then, the chain says."""
    funded = sum(int(f.amount) for f in events.fundings if f.at_s < start_s)
    return dataclasses.replace(prior_after(decode(previous), previous), funded=funded)


def _first_of(statement: Statement, events: Told) -> int:
    if not events.changes:
        return statement.pool.first_epoch
    return max(0, epoch_of(statement.pool, events.changes[0].at_s))


class _Walk:
    """Hands out the events of one epoch after the other."""

    def __init__(self, events: Told, start_s: int | None) -> None:
        """Fundings before `start_s` are left out; None leaves out none."""
        self._changes = events.changes
        self._fundings = events.fundings
        self._at_change = self._at_funding = 0
        self._balances: dict[str, int] = {}
        if start_s is not None:
            self._fundings = [f for f in events.fundings if f.at_s >= start_s]

    def next(self, start_s: int, end_s: int) -> Seen:
        """What is between; called with epochs in order."""
        self._hold(self._changes_before(start_s))
        opening = {wallet: units for wallet, units in self._balances.items() if units}
        changes = self._changes_before(end_s)
        self._hold(changes)
        first = self._at_funding
        while (
            self._at_funding < len(self._fundings) and self._fundings[self._at_funding].at_s < end_s
        ):
            self._at_funding += 1
        return Seen(opening, changes, self._fundings[first : self._at_funding])

    def _changes_before(self, at_s: int) -> list[Change]:
        first = self._at_change
        while self._at_change < len(self._changes) and self._changes[self._at_change].at_s < at_s:
            self._at_change += 1
        return self._changes[first : self._at_change]

    def _hold(self, changes: list[Change]) -> None:
        for change in changes:
            self._balances[change.wallet] = change.balance


def _differences(closing: Closing, statement: Statement) -> Iterator[Mismatch]:
    expected = msgspec.to_builtins(closing.statement)
    found = msgspec.to_builtins(statement)
    yield from _compare("", _by_wallet(expected), _by_wallet(found))


def _by_wallet(statement: dict[str, Any]) -> dict[str, Any]:
    """The accounts by wallet instead of by place, so that a difference names whom it is about."""
    accounts = statement["accounts"]
    named = {account["wallet"]: account for account in accounts}
    if len(named) != len(accounts):
        raise InvalidStatementError("the statement names a wallet twice")
    return statement | {"accounts": named, "wallets": [account["wallet"] for account in accounts]}


def _compare(name: str, expected: Any, found: Any) -> Iterator[Mismatch]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected.keys() | found.keys()):
            inner = f"{name}[{key}]" if name == "accounts" else f"{name}.{key}".lstrip(".")
            yield from _compare(inner, expected.get(key), found.get(key))
    elif expected != found:
        yield Mismatch(name, _told(expected), _told(found))


def _told(value: Any) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()[:300]


def _on_chain(closing: Closing, name: str, events: Told) -> Iterator[Mismatch]:
    """Hold the root that was posted against the one that the events make."""
    posted = events.posted.get(closing.statement.number)
    if posted is None:
        return
    for what, expected, found in (
        ("chain.root", closing.statement.root, posted.root),
        ("chain.total", closing.statement.emission.distributed, str(posted.total)),
        # The file's own bytes make its name: it is the file that is wrong, not the chain.
        ("chain.statement_hash", posted.statement_hash, name),
    ):
        if expected != found:
            yield Mismatch(what, expected, found)


def account_proof(document: bytes, wallet: str) -> Proof:
    """A wallet's proof out of a statement; needs nothing but the file.

    Raises:
        InvalidStatementError: It is no statement, or its root is not that of its accounts.
        InvalidAddressError: The wallet is no address.
        NoRewardsError: The wallet has nothing in it.
    """
    statement = decode(document)
    wallet = checksum(wallet)
    tree, amounts = statement.tree(), statement.amounts()
    if "0x" + tree.root.hex() != statement.root:
        raise InvalidStatementError("the statement's root is not that of its accounts")
    if not amounts.get(wallet):
        raise NoRewardsError("the wallet has earned nothing in this statement", wallet=wallet)
    return Proof(
        pool_id=statement.pool.pool_id,
        epoch=statement.epoch,
        number=statement.number,
        wallet=wallet,
        cumulative=amounts[wallet],
        root=statement.root,
        proof=["0x" + sibling.hex() for sibling in tree.proof(wallet)],
        statement_hash=statement_hash(document),
    )


def check_proof(proof: Proof, root: str) -> bool:
    """True if a proof leads to a root that is known from elsewhere, such as from the chain."""
    siblings = [bytes.fromhex(one.removeprefix("0x")) for one in proof.proof]
    return proves(bytes.fromhex(root.removeprefix("0x")), proof.wallet, proof.cumulative, siblings)
