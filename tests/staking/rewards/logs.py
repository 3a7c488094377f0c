"""The logs that contracts would write, for the same history that the books saw."""

from __future__ import annotations

from typing import Any

from eth_abi.abi import encode

from millpond.chains.evm.address import ZERO_ADDRESS
from millpond.chains.evm.contracts import artifact
from millpond.chains.evm.events import EventTable
from millpond.chains.evm.types import Log
from millpond.staking.pools import PoolKind
from millpond.staking.rewards.chainlog import ChainLog
from tests.staking.rewards.chain import ZERO_S, World

E18 = 10**18


def log_of(contract: str, address: str, event: str, seq: int, *values: Any) -> Log:
    """A log of one of our contracts, alone in its block."""
    (entry,) = [
        e for e in artifact(contract).abi if e.get("name") == event and e["type"] == "event"
    ]
    inputs = list(zip(entry["inputs"], values, strict=True))
    indexed = [encode([part["type"]], [value]) for part, value in inputs if part["indexed"]]
    rest = [(part["type"], value) for part, value in inputs if not part["indexed"]]
    topic = EventTable(artifact(contract).abi).topic(event)
    return Log(
        address,
        (topic, *("0x" + one.hex() for one in indexed)),
        encode([kind for kind, _ in rest], [value for _, value in rest]),
        seq,
        f"0x{seq:064x}",
        f"0x{seq:064x}",
        0,
        0,
    )


class Recorded:
    """Writes what happens into a world's books and into a log of its chain."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.logs: list[Log] = []
        self.times: dict[int, int] = {}
        self.head_s = 0

    def _add(self, at_s: int, address: str, contract: str, event: str, *values: Any) -> None:
        seq = self.world.seq
        self.logs.append(log_of(contract, address, event, seq, *values))
        self.times[seq] = ZERO_S + at_s

    async def hold(self, at_s: int, who: str, balance: int) -> None:
        before = self.world.balances.get(who, 0)
        if balance == before:
            return
        await self.world.hold(at_s, who, balance)
        pool, more = self.world.pool, balance - before
        if pool.kind is PoolKind.VAULT:
            sides = (ZERO_ADDRESS, who) if more > 0 else (who, ZERO_ADDRESS)
            self._add(at_s, pool.contract, "Vault", "Transfer", *sides, abs(more))
        elif more > 0:
            self._add(at_s, pool.contract, "StakingPool", "Deposited", who, more, balance)
        else:
            values = (who, -more, balance, bytes(32))
            self._add(at_s, pool.contract, "StakingPool", "Withdrawn", *values)

    async def fund(self, at_s: int, amount: int) -> None:
        await self.world.fund(at_s, amount)
        pool = self.world.pool
        assert pool.rewards_contract is not None
        contract = "BatchPayout" if pool.kind is PoolKind.DIRECT else "RewardDistributor"
        funder = "0x" + "99" * 20
        self._add(at_s, pool.rewards_contract, contract, "Funded", funder, amount)

    def post(self, at_s: int, number: int, root: str, total: int, name: str) -> None:
        self.world.seq += 1
        assert self.world.pool.rewards_contract is not None
        self._add(
            at_s,
            self.world.pool.rewards_contract,
            "RewardDistributor",
            "EpochPosted",
            number,
            bytes.fromhex(root[2:]),
            total,
            bytes.fromhex(name[2:]),
        )

    async def mark(self, at_s: int) -> None:
        self.head_s = at_s
        await self.world.mark(at_s)

    def log(self) -> ChainLog:
        return ChainLog(
            chain_id=self.world.pool.chain_id,
            head_number=self.world.seq,
            head_time_s=ZERO_S + self.head_s,
            times=dict(self.times),
            logs=list(self.logs),
        )
