"""What works for staking pools, put together from the rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from millpond.alerts import Alerts
from millpond.chains.evm.nodes import Nodes
from millpond.chains.evm.operations import OperationEffect
from millpond.chains.evm.proposals import SafeEffect, SafeProposals
from millpond.chains.evm.tx import EvmEffect, EvmTransactionHandler, lanes_of_chain
from millpond.clock import Clock, Ids
from millpond.intents import Intents, Runner
from millpond.intents.faults import Faults
from millpond.money.ledger import Ledger
from millpond.ops.config import Config
from millpond.ops.evm import EvmRoom
from millpond.oracle import Oracle
from millpond.oracle.build import BuiltFeeds, build_feeds
from millpond.risk import RiskEngine
from millpond.risk.chain import ChainCache
from millpond.staking.exposure import StakingExposure
from millpond.staking.indexer import Indexer
from millpond.staking.onchain import ContractLimits
from millpond.staking.paying import HotWallet
from millpond.staking.pools import PRODUCT
from millpond.staking.reconcile import Reconciliation
from millpond.staking.rewards.claims import ClaimBooks, Claims
from millpond.staking.rewards.cycle import RewardCycle, RiskGate
from millpond.staking.rewards.epochs import Epochs
from millpond.staking.rewards.paying import ClaimEffect, ClaimRun
from millpond.staking.rewards.posting import Posting, PostingEffect
from millpond.staking.withdrawals.effect import WithdrawalEffect
from millpond.staking.withdrawals.queue import QueueEffect, QueueRun
from millpond.staking.withdrawals.run import WithdrawalRun
from millpond.staking.withdrawals.service import Withdrawals
from millpond.store import Store
from millpond.trail import Trail


@dataclass(frozen=True, slots=True)
class StakingRooms:
    """Everything that works for staking in one process; see `staking_rooms`.

    Attributes:
        store, ledger, intents, alerts, trail, risk: What is shared.
        chains: The chains by id.
        indexer: From chains to books.
        withdrawals: Requests.
        withdrawal_run: From requests to batches.
        queue_run: Pays the queues of vaults.
        claim_run: From claims to batches.
        rewards: Epochs.
        posting: Roots of vaults' epochs.
        limits: What contracts allow.
        reconciliation: Books against contracts.
        oracle: Prices.
        feeds: Its feeds; close them after use.
        runners: One a chain, for the intents whose effect is there.
    """

    store: Store
    ledger: Ledger
    intents: Intents
    alerts: Alerts
    trail: Trail
    risk: RiskEngine
    chains: Mapping[int, EvmRoom]
    indexer: Indexer
    withdrawals: Withdrawals
    withdrawal_run: WithdrawalRun
    queue_run: QueueRun
    claim_run: ClaimRun
    rewards: RewardCycle
    posting: Posting
    limits: ChainCache
    reconciliation: Reconciliation
    oracle: Oracle
    feeds: BuiltFeeds
    runners: Mapping[int, Runner]


def risk_engine(config: Config, ledger: Ledger, clock: Clock, ids: Ids) -> RiskEngine:
    """The platform's one risk engine, as every process makes it."""
    return RiskEngine(
        ledger,
        clock,
        ids,
        Trail(clock),
        Alerts(clock, ids),
        config.risk,
        exposures={PRODUCT: StakingExposure(ledger)},
    )


def staking_rooms(
    config: Config,
    intents: Intents,
    rooms: Sequence[EvmRoom],
    *,
    name: str,
    faults: Faults | None = None,
) -> StakingRooms:
    """Put the rooms together.

    Args:
        config: The configuration.
        intents: Brings store, clock, ids and entropy.
        rooms: The chains, open.
        name: Of this worker among all.
        faults: Only tests pass something.
    """
    store, clock, ids, entropy = intents.store, intents.clock, intents.ids, intents.entropy
    ledger, alerts, trail = Ledger(clock), Alerts(clock, ids), Trail(clock)
    risk = risk_engine(config, ledger, clock, ids)
    nodes = {room.chain_id: room.nodes for room in rooms}
    wallets = _hot_wallets(rooms)
    withdrawals = Withdrawals(ledger, risk, clock, ids)
    claims = Claims(ledger, risk, clock, ids)
    operators = {chain_id: each.address for chain_id, each in wallets.items()}
    posting = Posting(intents, operators, alerts)
    epochs = Epochs(ledger, clock, alerts, trail, post=posting.post)
    feeds = build_feeds(config.oracle, clock, {key: _Agreed(each) for key, each in nodes.items()})
    return StakingRooms(
        store=store,
        ledger=ledger,
        intents=intents,
        alerts=alerts,
        trail=trail,
        risk=risk,
        chains={room.chain_id: room for room in rooms},
        indexer=Indexer(
            store,
            nodes,
            ledger=ledger,
            alerts=alerts,
            clock=clock,
            settings=config.staking,
            risk=risk,
            claims=ClaimBooks(claims),
        ),
        withdrawals=withdrawals,
        withdrawal_run=WithdrawalRun(
            store,
            intents,
            risk,
            wallets,
            alerts=alerts,
            clock=clock,
            ids=ids,
            settings=config.staking,
        ),
        queue_run=QueueRun(
            store,
            intents,
            risk,
            nodes,
            wallets,
            alerts=alerts,
            ids=ids,
            settings=config.staking,
        ),
        claim_run=ClaimRun(
            store, intents, claims, wallets, alerts=alerts, ids=ids, settings=config.staking
        ),
        rewards=RewardCycle(store, epochs, clock, entropy, alerts, gate=RiskGate(risk)),
        posting=posting,
        limits=ChainCache(store, clock, alerts, ContractLimits(store, nodes)),
        reconciliation=Reconciliation(store, ledger, nodes, alerts, risk),
        oracle=Oracle(
            store,
            clock,
            ids,
            alerts,
            feeds.feeds,
            breaker=risk,
            cache_s=config.oracle.cache_s,
            read_timeout_s=config.oracle.read_timeout_s,
            history_ms=config.oracle.history_days * 86_400_000,
        ),
        feeds=feeds,
        runners=_runners(
            intents,
            rooms,
            [
                WithdrawalEffect(withdrawals, alerts),
                ClaimEffect(claims, alerts),
                QueueEffect(),
                PostingEffect(store, intents, alerts),
                OperationEffect(clock, store),
            ],
            name=name,
            faults=faults,
        ),
    )


def _runners(
    intents: Intents,
    rooms: Sequence[EvmRoom],
    effects: Sequence[EvmEffect],
    *,
    name: str,
    faults: Faults | None,
) -> dict[int, Runner]:
    return {
        room.chain_id: Runner(
            intents,
            [
                EvmTransactionHandler(room.transactions, effect)
                for effect in (
                    *effects,
                    SafeEffect(SafeProposals(intents, room.chain_id, room.nodes), intents),
                )
            ],
            f"{name}-{room.chain_id}",
            lanes=lanes_of_chain(room.chain_id),
            faults=faults,
        )
        for room in rooms
    }


class _Agreed:
    """Calls of contracts as prices need them: what a quorum of the nodes says."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    async def call(self, to: str, data: bytes, block: Any, /) -> bytes:
        """What a contract returns as of a block."""
        return await self._nodes.call(to, data, block, agreed=True)


def _hot_wallets(rooms: Sequence[EvmRoom]) -> dict[int, HotWallet]:
    return {
        room.chain_id: HotWallet(room.transactions.access, room.first_signer)
        for room in rooms
        if room.signers
    }
