"""Transactions that wait for a block: what is taken, what replaces what, who goes first.

The rules and the words are those of go-ethereum's pool; the bounds are those of
`DevevmParams`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Protocol

import msgspec

from millpond.chains.devevm.errors import DevevmRpcError, refused
from millpond.chains.devevm.machine import intrinsic_gas
from millpond.chains.devevm.params import DevevmParams
from millpond.chains.devevm.transactions import DevTx

_MAX_INIT_CODE = 49_152  # EIP-3860
_TX_GAS = 21_000
_FLOOR_GAS_PER_TOKEN = 10  # EIP-7623


class Accounts(Protocol):
    """What the pool must know about senders."""

    def nonce(self, address: bytes) -> int:
        """Next nonce on the chain."""

    def balance(self, address: bytes) -> int:
        """Wei."""


class Waiting(msgspec.Struct, frozen=True):
    """A transaction with its place in the order of arrival."""

    tx: DevTx
    sequence: int


class Mempool:
    """All that waits, by sender and nonce."""

    def __init__(self, params: DevevmParams) -> None:
        self._params = params
        self._by_hash: dict[bytes, Waiting] = {}
        self._by_sender: dict[bytes, dict[int, Waiting]] = {}
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._by_hash)

    def __contains__(self, tx_hash: bytes) -> bool:
        return tx_hash in self._by_hash

    def get(self, tx_hash: bytes) -> DevTx | None:
        """A waiting transaction."""
        found = self._by_hash.get(tx_hash)
        return None if found is None else found.tx

    def all(self) -> list[Waiting]:
        """All that wait, oldest first."""
        return sorted(self._by_hash.values(), key=lambda one: one.sequence)

    def pending_nonce(self, sender: bytes, nonce: int) -> int:
        """Next nonce of a sender after all that wait without a gap."""
        waiting = self._by_sender.get(sender, {})
        while nonce in waiting:
            nonce += 1
        return nonce

    def check(self, tx: DevTx, accounts: Accounts, gas_limit: int) -> Waiting | None:
        """May it wait? Returns the one that it replaces.

        Raises:
            DevevmRpcError: With go-ethereum's words for the reason.
        """
        if tx.hash in self._by_hash:
            raise refused("already known")
        _check_alone(tx, gas_limit)
        self._check_sender(tx, accounts)
        waiting = self._by_sender.get(tx.sender, {})
        replaced = waiting.get(tx.nonce)
        if replaced is not None:
            self._check_replacement(tx, replaced.tx)
        elif len(self) >= self._params.mempool_size:
            raise refused("txpool is full")
        elif len(waiting) >= self._params.mempool_per_sender:
            raise refused("account limit exceeded")
        return replaced

    def add(self, tx: DevTx, sequence: int | None = None) -> Waiting:
        """Let it wait, in the place of any with the same nonce; `sequence` if it had one."""
        waiting = self._by_sender.setdefault(tx.sender, {})
        replaced = waiting.get(tx.nonce)
        if replaced is not None:
            del self._by_hash[replaced.tx.hash]
        self._sequence = self._sequence + 1 if sequence is None else sequence
        added = Waiting(tx, self._sequence)
        waiting[tx.nonce] = added
        self._by_hash[tx.hash] = added
        return added

    def remove(self, hashes: Iterable[bytes]) -> None:
        """Forget some; unknown ones are passed over."""
        for tx_hash in hashes:
            found = self._by_hash.pop(tx_hash, None)
            if found is None:
                continue
            waiting = self._by_sender[found.tx.sender]
            del waiting[found.tx.nonce]
            if not waiting:
                del self._by_sender[found.tx.sender]

    def overtaken(self, accounts: Accounts) -> list[bytes]:
        """Those whose nonce was used by another."""
        return [
            one.tx.hash
            for sender, waiting in self._by_sender.items()
            for nonce, one in waiting.items()
            if nonce < accounts.nonce(sender)
        ]

    def candidates(self, accounts: Accounts, base_fee: int) -> Candidates:
        """What a block may take, best tip first, each sender's in the order of nonces."""
        heads = []
        for sender, waiting in self._by_sender.items():
            first = waiting.get(accounts.nonce(sender))
            if first is not None:
                heads.append(first)
        return Candidates(self._by_sender, heads, base_fee)

    def _check_sender(self, tx: DevTx, accounts: Accounts) -> None:
        nonce = accounts.nonce(tx.sender)
        if tx.nonce < nonce:
            raise refused(f"nonce too low: next nonce {nonce}, tx nonce {tx.nonce}")
        balance = accounts.balance(tx.sender)
        if balance < tx.cost:
            raise _unfunded(f"balance {balance}, tx cost {tx.cost}, overshot {tx.cost - balance}")
        queued = sum(
            one.tx.cost
            for nonce, one in self._by_sender.get(tx.sender, {}).items()
            if nonce != tx.nonce
        )
        if balance < queued + tx.cost:
            overshot = queued + tx.cost - balance
            raise _unfunded(
                f"balance {balance}, queued cost {queued}, tx cost {tx.cost}, overshot {overshot}"
            )

    def _check_replacement(self, tx: DevTx, old: DevTx) -> None:
        percent = 100 + self._params.replacement_percent
        if (
            tx.max_fee * 100 < old.max_fee * percent
            or tx.max_tip * 100 < old.max_tip * percent
            or tx.max_fee <= old.max_fee
            or tx.max_tip <= old.max_tip
        ):
            raise refused("replacement transaction underpriced")


class Candidates:
    """The queue of one block."""

    def __init__(
        self,
        by_sender: dict[bytes, dict[int, Waiting]],
        heads: Iterable[Waiting],
        base_fee: int,
    ) -> None:
        self._by_sender = by_sender
        self._base_fee = base_fee
        self._heap: list[tuple[int, int, DevTx]] = []
        for head in heads:
            self._push(head)

    def pop(self) -> DevTx | None:
        """The best one left; None at the end."""
        return heapq.heappop(self._heap)[2] if self._heap else None

    def follow(self, taken: DevTx) -> None:
        """The sender's next one may come, since this one was taken."""
        following = self._by_sender[taken.sender].get(taken.nonce + 1)
        if following is not None:
            self._push(following)

    def _push(self, one: Waiting) -> None:
        if one.tx.max_fee >= self._base_fee:
            heapq.heappush(self._heap, (-one.tx.tip(self._base_fee), one.sequence, one.tx))


def _unfunded(facts: str) -> DevevmRpcError:
    return refused(f"insufficient funds for gas * price + value: {facts}")


def _check_alone(tx: DevTx, gas_limit: int) -> None:
    """What can be said without knowing the chain."""
    if tx.to is None and len(tx.data) > _MAX_INIT_CODE:
        raise refused(
            f"max initcode size exceeded: code size {len(tx.data)}, limit {_MAX_INIT_CODE}"
        )
    if tx.gas > gas_limit:
        raise refused("exceeds block gas limit")
    if tx.max_tip > tx.max_fee:
        raise refused(
            "max priority fee per gas higher than max fee per gas: "
            f"maxPriorityFeePerGas: {tx.max_tip}, maxFeePerGas: {tx.max_fee}"
        )
    needed = intrinsic_gas(tx)
    if tx.gas < needed:
        raise refused(f"intrinsic gas too low: gas {tx.gas}, minimum needed {needed}")
    zeros = tx.data.count(0)
    floor = _TX_GAS + _FLOOR_GAS_PER_TOKEN * (zeros + 4 * (len(tx.data) - zeros))
    if tx.gas < floor:
        raise refused(
            f"insufficient gas for floor data gas cost: gas {tx.gas}, minimum needed {floor}"
        )
