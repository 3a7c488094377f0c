"""One EVM chain: its head, what waits, its time, and its reorganisations.

Everything here happens at once, without awaiting: between two calls the chain
is always whole, in memory and on disk.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec

from millpond.chains.devevm.errors import DevevmStorageError, invalid, refused
from millpond.chains.devevm.machine import (
    BlockBuilder,
    BuiltBlock,
    Machine,
    NotExecutableError,
    next_base_fee,
    read_header,
)
from millpond.chains.devevm.mempool import Candidates, Mempool
from millpond.chains.devevm.params import DevevmParams
from millpond.chains.devevm.storage import Storage
from millpond.chains.devevm.transactions import DevTx, read_transaction, reread
from millpond.clock import Clock, Entropy

_LAYOUT = "1"
_MAX_MINED = 10_000


class Snapshot(msgspec.Struct, frozen=True):
    """A state of the chain to go back to."""

    number: int
    hash: bytes
    ahead_s: int
    waiting: tuple[bytes, ...]


class Devevm:
    """The chain.

    Args:
        params: Its rules; what a data directory was made with must agree.
        clock: Times of blocks.
        entropy: `prevrandao` of blocks, so that no two are alike.
        storage: Where it is kept.
    """

    def __init__(
        self, params: DevevmParams, clock: Clock, entropy: Entropy, storage: Storage
    ) -> None:
        self.params = params
        self.storage = storage
        self.mempool = Mempool(params)
        self.machine = Machine(storage.state_db, params, self._hash_of)
        self.automine = params.block_time_s is None
        self._clock = clock
        self._entropy = entropy
        self._head: Any = None
        self._state: Any = None
        self._ahead_s = 0
        self._next_s: int | None = None
        self._snapshots: dict[int, Snapshot] = {}
        self._snapshot_ids = 0

    # -- reading -----------------------------------------------------------

    def load(self) -> None:
        """Read the chain back, or begin it.

        Raises:
            DevevmStorageError: The data belongs to another chain.
        """
        number = self.storage.head_number()
        if number is None:
            self._begin()
            return
        known = (self.storage.fact("layout"), self.storage.fact("chain_id"))
        if known != (_LAYOUT, str(self.params.chain_id)):
            raise DevevmStorageError(f"The data are of chain {known[1]} (layout {known[0]}).")
        self._read_back(number)

    @property
    def head(self) -> Any:
        """Header of the newest block."""
        return self._head

    @property
    def height(self) -> int:
        """Number of the newest block."""
        return int(self._head.block_number)

    @property
    def base_fee(self) -> int:
        """Base fee of the next block, wei."""
        return next_base_fee(self._head)

    def nonce(self, address: bytes) -> int:
        """Next nonce of an account at the head."""
        return int(self._state.get_nonce(address))

    def balance(self, address: bytes) -> int:
        """Wei of an account at the head."""
        return int(self._state.get_balance(address))

    # -- transactions --------------------------------------------------------

    def send(self, raw: bytes) -> bytes:
        """Take a signed transaction; with `automine` it is in a block when this returns.

        Raises:
            DevevmRpcError: It may not wait.
        """
        tx = read_transaction(raw, self.params.chain_id)
        replaced = self.mempool.check(tx, self, self.params.gas_limit)
        if self._state.get_code(tx.sender):
            raise refused("sender not an eoa")
        with self._change():
            if replaced is not None:
                self.storage.wait_no_more([replaced.tx.hash])
            self._wait(tx)
        if self.automine:
            self._mine_waiting()
        return tx.hash

    def drop(self, tx_hash: bytes) -> bool:
        """Forget a waiting transaction; False: it does not wait."""
        known = tx_hash in self.mempool
        with self._change():
            self._forget([tx_hash])
        return known

    # -- blocks --------------------------------------------------------------

    def mine(self, count: int = 1, interval_s: int = 1) -> None:
        """Make blocks of what waits, then empty ones, `interval_s` apart at least."""
        if not 0 <= count <= _MAX_MINED:
            raise invalid(f"invalid argument 0: 0 to {_MAX_MINED} blocks")
        for made in range(count):
            self._mine(interval_s if made else 1)

    def set_automine(self, on: bool) -> None:  # noqa: FBT001 - as the RPC has it
        """A block for every transaction from now on, or only when told to."""
        self.automine = on
        if on:
            self._mine_waiting()

    def set_balance(self, address: bytes, wei: int) -> None:
        """Give an account a balance, in a block of its own."""
        with self._change():
            builder = self._draft_block(1)
            builder.state.set_balance(address, wei)
            self._keep(builder.finish())

    def reorg(self, depth: int, *, keep_txs: bool = True) -> None:
        """Replace the last `depth` blocks by as many other, empty ones.

        Args:
            depth: How many.
            keep_txs: Their transactions wait again (and with `automine` are
                mined at once, in a further block); False: they are forgotten.

        Raises:
            DevevmRpcError: There are not so many.
        """
        if not 0 < depth <= self.height:
            raise invalid(f"invalid argument 0: 1 to {self.height} blocks")
        common = self.height - depth
        removed = self._removed_after(common)
        with self._change():
            self._truncate(common)
            for _ in range(depth):
                self._keep(self._draft_block(1).finish())
            self._wait_again(removed if keep_txs else [])
        self._snapshots = {k: s for k, s in self._snapshots.items() if s.number <= common}
        if self.automine:
            self._mine_waiting()

    # -- going back ------------------------------------------------------------

    def snapshot(self) -> int:
        """Remember the state of the chain; returns its number."""
        self._snapshot_ids += 1
        waiting = tuple(one.tx.raw for one in self.mempool.all())
        self._snapshots[self._snapshot_ids] = Snapshot(
            self.height, bytes(self._head.hash), self._ahead_s, waiting
        )
        if len(self._snapshots) > self.params.max_snapshots:
            del self._snapshots[next(iter(self._snapshots))]
        return self._snapshot_ids

    def revert(self, number: int) -> bool:
        """Go back to a snapshot, which is then forgotten; False: there is none."""
        snapshot = self._snapshots.get(number)
        if snapshot is None:
            return False
        assert self._hash_of(snapshot.number) == snapshot.hash, "reorg forgets what it undoes"
        with self._change():
            self._truncate(snapshot.number)
            self._forget([one.tx.hash for one in self.mempool.all()])
            for raw in snapshot.waiting:
                self._wait(reread(raw, self.params.chain_id))
            self._set_ahead(snapshot.ahead_s)
        self._next_s = None
        self._snapshots = {k: s for k, s in self._snapshots.items() if k < number}
        return True

    # -- time --------------------------------------------------------------------

    def increase_time(self, seconds: int) -> int:
        """Move the chain's time; returns by how much it is ahead of the clock."""
        if seconds < 0:
            raise invalid("invalid argument 0: time does not go back")
        with self._change():
            self._set_ahead(self._ahead_s + seconds)
        return self._ahead_s

    def set_next_timestamp(self, unix_s: int) -> None:
        """Time of the next block; later ones go on from there."""
        if unix_s <= self._head.timestamp:
            raise invalid(
                f"invalid argument 0: {unix_s} is not after the head's {self._head.timestamp}"
            )
        self._next_s = unix_s

    # -- the inside ------------------------------------------------------------------

    @contextlib.contextmanager
    def _change(self) -> Iterator[None]:
        """All or nothing, on disk and in memory."""
        try:
            with self.storage.transaction():
                yield
        except BaseException:
            number = self.storage.head_number()
            if number is not None:
                self._read_back(number)
            raise

    def _read_back(self, number: int) -> None:
        self._ahead_s = int(self.storage.fact("ahead_s") or 0)
        self._set_head(number)
        self.mempool = Mempool(self.params)
        for sequence, raw in self.storage.waiting():
            self.mempool.add(reread(raw, self.params.chain_id), sequence)

    def _begin(self) -> None:
        with self._change():
            self.storage.set_fact("layout", _LAYOUT)
            self.storage.set_fact("chain_id", str(self.params.chain_id))
            self._keep(self.machine.genesis(self._clock.now_ms() // 1000))

    def _hash_of(self, number: int) -> bytes:
        block = self.storage.block(number)
        assert block is not None, "blocks below the head are kept"
        return block.hash

    def _set_head(self, number: int) -> None:
        block = self.storage.block(number)
        assert block is not None, "the head is kept"
        self._head = read_header(block.header)
        self._state = self.machine.state(self._head)

    def _set_ahead(self, seconds: int) -> None:
        self._ahead_s = seconds
        self.storage.set_fact("ahead_s", str(seconds))

    def _timestamp(self, interval_s: int) -> int:
        now = self._clock.now_ms() // 1000
        if self._next_s is not None:
            chosen, self._next_s = self._next_s, None
            self._set_ahead(chosen - now)
            return chosen
        return int(max(self._head.timestamp + interval_s, now + self._ahead_s))

    def _draft_block(self, interval_s: int) -> BlockBuilder:
        draft = self.machine.draft(self._head, self._timestamp(interval_s), self._entropy.token(32))
        return self.machine.builder(draft)

    def _mine(self, interval_s: int = 1) -> None:
        with self._change():
            builder = self._draft_block(interval_s)
            impossible = self._fill(builder)
            self._keep(builder.finish())
            self._forget([*impossible, *self.mempool.overtaken(self)])

    def _mine_waiting(self) -> None:
        """Mine until nothing that waits can be mined; each block takes one at least."""
        while self.mempool.candidates(self, self.base_fee).pop() is not None:
            before = len(self.mempool)
            self._mine()
            if len(self.mempool) == before:
                return

    def _fill(self, builder: BlockBuilder) -> list[bytes]:
        """Take what fits; returns what can never be taken."""
        impossible = []
        candidates: Candidates = self.mempool.candidates(self, self.base_fee)
        while (tx := candidates.pop()) is not None:
            if tx.gas > builder.gas_left or builder.state.get_balance(tx.sender) < tx.cost:
                continue
            try:
                builder.add(tx)
            except NotExecutableError:
                impossible.append(tx.hash)
                continue
            candidates.follow(tx)
        return impossible

    def _keep(self, built: BuiltBlock) -> None:
        self.storage.append(built.block, built.txs, built.logs)
        self._head = built.header
        self._state = self.machine.state(built.header)

    def _truncate(self, number: int) -> None:
        self.storage.truncate(number)
        self._set_head(number)

    def _removed_after(self, number: int) -> list[DevTx]:
        return [
            reread(tx.raw, self.params.chain_id)
            for above in range(number + 1, self.height + 1)
            for tx in self.storage.txs(above)
        ]

    def _wait(self, tx: DevTx) -> None:
        added = self.mempool.add(tx)
        self.storage.wait(tx.hash, added.sequence, tx.raw)

    def _wait_again(self, txs: list[DevTx]) -> None:
        """What a reorganisation took out waits again, with what waited before."""
        for tx in txs:
            if self.mempool.pending_nonce(tx.sender, tx.nonce) == tx.nonce:
                self._wait(tx)

    def _forget(self, hashes: list[bytes]) -> None:
        self.mempool.remove(hashes)
        self.storage.wait_no_more(hashes)
