"""The API's dependencies, put together from the rooms that it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from millpond.api.deps import ApiDeps
from millpond.api.ports import Check
from millpond.api.reads.payouts import PoolPayouts
from millpond.api.reads.pool_reads import PoolReads
from millpond.api.settings import ApiSettings
from millpond.api.staking.deps import StakingDeps
from millpond.api.terms import PoolTerms
from millpond.chains.bitcoin.address import parse_address
from millpond.chains.bitcoin.message import verify_message
from millpond.chains.coins import Coin
from millpond.clock import Clock, Entropy, Ids
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.money.ledger import Ledger
from millpond.store import Store


def mining_deps(
    *,
    store: Store,
    share_log: ShareLogReader,
    terms: Sequence[PoolTerms],
    clock: Clock,
    entropy: Entropy,
    settings: ApiSettings | None = None,
    operator_key: str | None = None,
    checks: Mapping[str, Check] | None = None,
    metrics: Callable[[], bytes] | None = None,
    staking: StakingDeps | None = None,
) -> ApiDeps:
    """Dependencies of an API over mining pools.

    Args:
        store: The database.
        share_log: Reader of the share log.
        terms: The pools, in the order shown; at least one.
        clock: Source of time.
        entropy: Source of nonces, tokens and ids.
        settings: How the API behaves.
        operator_key: The operator's key; None closes that door.
        checks: What `/readyz` asks, by name.
        metrics: Renders `/metrics`; None: this process's registry.
        staking: The rooms of staking; None: those of the database, without a chain.
    """
    ledger = Ledger(clock)
    payouts = PoolPayouts(terms, ledger, clock, Ids(clock, entropy))
    return ApiDeps(
        store=store,
        clock=clock,
        entropy=entropy,
        reads=PoolReads(terms, ledger, share_log, payouts, clock),
        writes=payouts,
        coins={each.pool_id: each.coin for each in terms},
        verify=verify_message,
        check_address=_check_address,
        settings=settings or ApiSettings(),
        operator_key=operator_key or None,
        checks=dict(checks or {}),
        metrics=metrics,
        staking=staking,
    )


def _check_address(coin: Coin, text: str) -> None:
    parse_address(text, coin)
