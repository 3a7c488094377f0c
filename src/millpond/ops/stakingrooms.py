"""What works for staking pools, put together from the rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millpond.alerts import Alerts
from millpond.chains.evm.operations import OperationEffect
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
from millpond.staking.exposure import StakingExposure
from millpond.staking.indexer import Indexer
from millpond.staking.rewards.cycle import RewardCycle
from millpond.staking.rewards.epochs import Epochs
from millpond.staking.withdrawals.effect import WithdrawalEffect
from millpond.staking.withdrawals.model import PRODUCT
from millpond.staking.withdrawals.run import HotWallet, WithdrawalRun
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
        rewards: Epochs.
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
    rewards: RewardCycle
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
    chains = {room.chain_id: room for room in rooms}
    nodes = {chain_id: room.nodes for chain_id, room in chains.items()}
    withdrawals = Withdrawals(ledger, risk, clock, ids)
    epochs = Epochs(ledger, clock, alerts, trail)
    feeds = build_feeds(config.oracle, clock, nodes)
    effects: list[EvmEffect] = [WithdrawalEffect(withdrawals, alerts), OperationEffect(clock)]
    return StakingRooms(
        store=store,
        ledger=ledger,
        intents=intents,
        alerts=alerts,
        trail=trail,
        risk=risk,
        chains=chains,
        indexer=Indexer(
            store, nodes, ledger=ledger, alerts=alerts, clock=clock, settings=config.staking
        ),
        withdrawals=withdrawals,
        withdrawal_run=WithdrawalRun(
            store,
            intents,
            risk,
            _hot_wallets(rooms),
            alerts=alerts,
            clock=clock,
            ids=ids,
            settings=config.staking,
        ),
        rewards=RewardCycle(store, epochs, clock, entropy, alerts),
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
        runners={
            room.chain_id: Runner(
                intents,
                [EvmTransactionHandler(room.transactions, effect) for effect in effects],
                f"{name}-{room.chain_id}",
                lanes=lanes_of_chain(room.chain_id),
                faults=faults,
            )
            for room in rooms
        },
    )


def _hot_wallets(rooms: Sequence[EvmRoom]) -> dict[int, HotWallet]:
    return {
        room.chain_id: HotWallet(room.transactions.access, room.first_signer)
        for room in rooms
        if room.signers
    }
