"""A chain on paper: the events of the pools' contracts, blocks, reorgs; in memory, deterministic.

It knows of the contracts only what their events say and what balances follow
from them; `test_real_chain.py` runs the same stories on real nodes with the
real contracts.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_abi.abi import encode

from millpond.chains.evm.contracts import Contract, artifact
from millpond.chains.evm.logs import LogRange, Topics
from millpond.chains.evm.types import Block, Log
from millpond.staking.pools import PoolKind, StakingPool

ZERO = "0x" + "0" * 40


def wallet(number: int) -> str:
    """An address; digits only, so that it is its own checksum."""
    return f"0x{number:040d}"


@dataclass
class Books:
    """What one pool's contracts hold."""

    balances: dict[str, int] = field(default_factory=dict)
    batches: set[str] = field(default_factory=set)
    funds: int = 0


@dataclass
class Minted:
    """One block: its header, its logs, and the state after it."""

    block: Block
    logs: list[Log]
    txs: list[Transaction]
    state: dict[str, Books]


@dataclass
class Transaction:
    """Something that somebody signed; does what it can when its block is made."""

    hash: str
    run: Callable[[PaperChain, list[tuple[str, str, dict[str, Any]]]], None]


class PaperChain:
    """A chain with its reader's side (`ChainReader`)."""

    def __init__(self, pools: Sequence[StakingPool], *, seed: str = "") -> None:
        self.pools = {pool.pool_id: pool for pool in pools}
        self.state = {pool.pool_id: Books() for pool in pools}
        self.minted: list[Minted] = []
        self.pending: list[Transaction] = []
        self.dropped: list[Transaction] = []
        self.calls: list[str] = []
        self.hide: Callable[[Log], bool] | None = None
        self.range_blocks = 1_000
        self.tokens = 10**30
        self._seed = seed
        self._made = 0
        self.mine()

    # -- what people do --------------------------------------------------------

    def deposit(self, pool_id: str, user: str, amount: int) -> Transaction:
        """Stake."""

        def run(chain: PaperChain, out: list[tuple[str, str, dict[str, Any]]]) -> None:
            books = chain.state[pool_id]
            books.balances[user] = books.balances.get(user, 0) + amount
            args = {"user": user, "amount": amount, "balance": books.balances[user]}
            if chain.pools[pool_id].kind is PoolKind.DIRECT:
                out.append((pool_id, "Deposited", args))
            else:
                shares = {"sender": ZERO, "receiver": user, "amount": amount}
                out.append((pool_id, "Transfer", shares))
                flow = {"sender": user, "owner": user, "assets": amount, "shares": amount}
                out.append((pool_id, "Deposit", flow))

        return self._sign(run)

    def withdraw(self, pool_id: str, user: str, amount: int) -> Transaction:
        """Take back by oneself; nothing happens where the balance is short."""

        def run(chain: PaperChain, out: list[tuple[str, str, dict[str, Any]]]) -> None:
            books = chain.state[pool_id]
            left = books.balances.get(user, 0) - amount
            if left < 0:
                return
            books.balances[user] = left
            if chain.pools[pool_id].kind is PoolKind.DIRECT:
                args = {"user": user, "amount": amount, "balance": left, "batch_id": bytes(32)}
                out.append((pool_id, "Withdrawn", args))
            else:
                shares = {"sender": user, "receiver": ZERO, "amount": amount}
                out.append((pool_id, "Transfer", shares))
                flow = {
                    "sender": user,
                    "receiver": user,
                    "owner": user,
                    "assets": amount,
                    "shares": amount,
                }
                out.append((pool_id, "Withdraw", flow))

        return self._sign(run)

    def transfer(self, pool_id: str, source: str, target: str, amount: int) -> Transaction:
        """Give shares to somebody else."""

        def run(chain: PaperChain, out: list[tuple[str, str, dict[str, Any]]]) -> None:
            balances = chain.state[pool_id].balances
            if balances.get(source, 0) < amount:
                return
            balances[source] -= amount
            balances[target] = balances.get(target, 0) + amount
            args = {"sender": source, "receiver": target, "amount": amount}
            out.append((pool_id, "Transfer", args))

        return self._sign(run)

    def pay(self, pool_id: str, batch_id: str, payees: Sequence[tuple[str, int]]) -> Transaction:
        """`pay_withdrawals` of the operator; each batch id works once."""

        def run(chain: PaperChain, out: list[tuple[str, str, dict[str, Any]]]) -> None:
            books = chain.state[pool_id]
            if batch_id in books.batches:
                return
            books.batches.add(batch_id)
            for user, amount in payees:
                left = books.balances.get(user, 0) - amount
                args = {
                    "user": user,
                    "amount": amount,
                    "batch_id": bytes.fromhex(batch_id[2:]),
                }
                if left < 0:
                    out.append((pool_id, "WithdrawalSkipped", args | {"reason": 1}))
                    continue
                books.balances[user] = left
                out.append((pool_id, "Withdrawn", args | {"balance": left}))

        return self._sign(run)

    def emit(self, pool_id: str, event: str, **args: Any) -> Transaction:
        """An event that changes no position."""

        def run(chain: PaperChain, out: list[tuple[str, str, dict[str, Any]]]) -> None:
            chain.state[pool_id].funds += _FUNDS.get(event, 0) * args.get("amount", 0)
            out.append((pool_id, event, args))

        return self._sign(run)

    # -- blocks ----------------------------------------------------------------

    @property
    def head(self) -> Block:
        """The newest block."""
        return self.minted[-1].block

    def mine(self, blocks: int = 1) -> None:
        """Put what is pending into the next block, and make some more."""
        for _ in range(blocks):
            number = len(self.minted)
            parent = self.minted[-1].block.hash if self.minted else "0x" + "0" * 64
            self._made += 1
            name = f"{self._seed}:{number}:{parent}:{self._made}"
            block = Block(
                number=number,
                hash=_hash(name),
                parent_hash=parent,
                timestamp_s=1_700_000_000 + 12 * number,
                base_fee=0,
                gas_limit=0,
                gas_used=0,
                logs_bloom=b"",
                transactions=(),
            )
            txs, self.pending = self.pending, []
            logs: list[Log] = []
            for index, tx in enumerate(txs):
                out: list[tuple[str, str, dict[str, Any]]] = []
                tx.run(self, out)
                for pool_id, event, args in out:
                    place = (tx.hash, index, len(logs))
                    logs.append(self._log(self.pools[pool_id], event, args, block, place))
            self.minted.append(Minted(block, logs, txs, copy.deepcopy(self.state)))

    def reorg(self, depth: int, *, keep: bool, blocks: int | None = None) -> None:
        """Replace the newest blocks by others; their transactions come again, or are dropped."""
        gone, self.minted = self.minted[-depth:], self.minted[:-depth]
        self.state = copy.deepcopy(self.minted[-1].state)
        txs = [tx for each in gone for tx in each.txs]
        if keep:
            self.pending = txs + self.pending
        else:
            self.dropped += txs
        self.mine(depth + 1 if blocks is None else blocks)

    def _sign(
        self, run: Callable[[PaperChain, list[tuple[str, str, dict[str, Any]]]], None]
    ) -> Transaction:
        self._made += 1
        tx = Transaction(_hash(f"tx{self._seed}{self._made}"), run)
        self.pending.append(tx)
        return tx

    def _log(
        self,
        pool: StakingPool,
        event: str,
        args: dict[str, Any],
        block: Block,
        place: tuple[str, int, int],
    ) -> Log:
        main, side = _NAMES[pool.kind]
        name, address = main, pool.contract
        entry = _entry(main, event)
        if entry is None:
            assert pool.rewards_contract is not None
            name, address = side, pool.rewards_contract
            entry = _entry(side, event)
        assert entry is not None, f"no contract has an event {event}"
        topics = [Contract.named(name).topic(event)]
        plain: list[tuple[str, Any]] = []
        for part in entry["inputs"]:
            value = args[part["name"]]
            if part["indexed"]:
                topics.append("0x" + encode([part["type"]], [value]).hex())
            else:
                plain.append((part["type"], value))
        data = encode([kind for kind, _ in plain], [value for _, value in plain])
        tx_hash, tx_index, log_index = place
        return Log(
            address, tuple(topics), data, block.number, block.hash, tx_hash, tx_index, log_index
        )

    # -- what nodes answer -----------------------------------------------------

    async def pin(self, depth: int = 0) -> Block:
        """The head."""
        self.calls.append("pin")
        return self.minted[-1 - depth].block

    async def blocks(self, numbers: Sequence[int], *, agreed: bool = False) -> list[Block | None]:
        """Headers."""
        assert agreed, "money depends on it"
        self.calls.append("blocks")
        return [self.minted[n].block if n < len(self.minted) else None for n in numbers]

    async def scan(
        self,
        first: int,
        last: int,
        *,
        address: str | Sequence[str] = (),
        topics: Topics = (),
        agreed: bool = False,
    ) -> AsyncIterator[LogRange]:
        """Logs by the range."""
        assert agreed, "money depends on it"
        while first <= last:
            end = min(last, first + self.range_blocks - 1)
            self.calls.append("logs")
            logs = [
                log
                for each in self.minted[first : end + 1]
                for log in each.logs
                if log.address in address and log.topics[0] in (topics[0] or ())
            ]
            if self.hide is not None:
                logs = [log for log in logs if not self.hide(log)]
            yield LogRange(first, end, self.minted[end].block.hash, tuple(logs))
            first = end + 1

    async def call(
        self,
        to: str,
        calldata: bytes,
        block: int | str = "latest",
        *,
        sender: str | None = None,
        value: int = 0,
        agreed: bool = False,
    ) -> bytes:
        """Totals and balances of the pools at a block; any token balance is enough."""
        del sender, value
        assert agreed, "money depends on it"
        self.calls.append("call")
        at = next(each for each in self.minted if each.block.hash == block)
        for pool in self.pools.values():
            if pool.contract == to:
                return encode(["uint256"], [self._answer(pool, at.state[pool.pool_id], calldata)])
            if pool.rewards_contract == to:
                function, _ = Contract.named(_NAMES[pool.kind][1]).decode_input(calldata)
                funds = at.state[pool.pool_id].funds
                return encode(["uint256"], [funds if function in {"available", "funded"} else 0])
        return encode(["uint256"], [self.tokens])

    @staticmethod
    def _answer(pool: StakingPool, books: Books, calldata: bytes) -> int:
        function, arguments = Contract.named(_NAMES[pool.kind][0]).decode_input(calldata)
        if function in {"balance_of", "balanceOf"}:
            return books.balances.get(arguments[0], 0)
        if function in {"queued_assets", "unclaimed_assets", "deployed_assets"}:
            return 0
        return sum(books.balances.values())


_FUNDS = {"Funded": 1, "Defunded": -1, "Paid": -1, "Claimed": -1}
"""What events do to the tokens that a contract counts on for rewards."""

_NAMES = {
    PoolKind.DIRECT: ("StakingPool", "BatchPayout"),
    PoolKind.VAULT: ("Vault", "RewardDistributor"),
}


def _entry(name: str, event: str) -> dict[str, Any] | None:
    for entry in artifact(name).abi:
        if entry["type"] == "event" and entry["name"] == event:
            return entry
    return None


def _hash(text: str) -> str:
    return "0x" + hashlib.sha256(text.encode()).hexdigest()
