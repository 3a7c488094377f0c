"""What the API answers with. Amounts are text, never JSON numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from millpond.money.amount import Amount


def iso(at_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(at_ms / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all answers."""


class Money(Model, frozen=True, kw_only=True):
    """An amount of one asset.

    Attributes:
        asset: Code of the asset.
        amount: Exact decimal text, all places written.
        units: The same in base units, decimal digits as text.
    """

    asset: str
    amount: str
    units: str

    @classmethod
    def of(cls, amount: Amount) -> Money:
        """Write an amount."""
        return cls(asset=amount.asset.code, amount=amount.decimal, units=str(amount.units))


class PoolStats(Model, frozen=True, kw_only=True):
    """One pool's figures now.

    Attributes:
        pool_hashrate: Hashes a second over the last 10 minutes.
        current_target: Network target of the current job, 64 hex digits.
        network_difficulty: Difficulty that a block must meet now.
        round_effort: Work of this round so far over the work expected (1.0 = 100 %).
    """

    pool_id: str
    total_miners: int
    active_miners: int
    total_workers: int
    active_workers: int
    total_shares_24h: int
    rejected_shares_24h: int
    pool_hashrate: float
    current_target: str
    network_difficulty: float
    height: int
    round_effort: float
    blocks_found: int
    blocks_pending: int
    luck: float | None
    last_share_at: str | None
    last_block_at: str | None
    paid_total: Money
    payouts_under_way: int = 0


class Stats(Model, frozen=True, kw_only=True):
    """The platform's mining figures: the first pool's algorithm summed, and each pool."""

    total_miners: int
    active_miners: int
    total_workers: int
    active_workers: int
    total_shares_24h: int
    pool_hashrate: float
    current_target: str
    at: str
    pools: list[PoolStats]


class Endpoint(Model, frozen=True, kw_only=True):
    """Where miners connect.

    Attributes:
        url: Stratum URL.
        difficulty: Starting difficulty.
        tls: Whether the port speaks TLS.
    """

    url: str
    difficulty: float
    tls: bool = False


class Pool(Model, frozen=True, kw_only=True):
    """A mining pool's terms and its figures."""

    id: str
    name: str
    coin: str
    ticker: str
    decimals: int
    proof_of_work: str
    scheme: str
    scheme_parameters: dict[str, Any]
    fee_bps: int
    maturity: int
    payout_threshold: Money
    endpoints: list[Endpoint]
    stats: PoolStats
    product: Literal["mining"] = "mining"


class Block(Model, frozen=True, kw_only=True):
    """A block that the pool found.

    Attributes:
        state: submitted, accepted, rejected, confirming, mature or orphaned.
        effort: Work spent for it over work expected (0.5: twice as lucky).
    """

    pool_id: str
    coin: str
    block_hash: str
    height: int
    state: str
    confirmations: int
    confirmations_needed: int
    reward: Money
    wallet: str
    worker: str
    network_difficulty: float
    effort: float | None
    found_at: str
    reason: str = ""


class Worker(Model, frozen=True, kw_only=True):
    """One worker's figures.

    Attributes:
        worker: `wallet.worker_name`, as it is authorized.
        hashrate: Hashes a second over the last 10 minutes.
        hashrate_24h: The same over 24 hours.
    """

    pool_id: str
    worker: str
    wallet: str
    worker_name: str
    active: bool
    hashrate: float
    hashrate_24h: float
    shares_24h: int
    rejected_24h: int
    last_share_at: str | None


class Miner(Model, frozen=True, kw_only=True):
    """One address's figures in one pool."""

    pool_id: str
    wallet: str
    active: bool
    workers: int
    active_workers: int
    hashrate: float
    hashrate_24h: float
    shares_24h: int
    rejected_24h: int
    last_share_at: str | None


class Point(Model, frozen=True, kw_only=True):
    """One slice of a series: the time it starts, and averages over it."""

    at: str
    hashrate: float
    shares: int
    rejected: int


class Performance(Model, frozen=True, kw_only=True):
    """A series of equal slices, oldest first.

    Attributes:
        step_s: Length of a slice in seconds.
    """

    window: str
    step_s: int
    points: list[Point]


class Reject(Model, frozen=True, kw_only=True):
    """Shares refused for one reason in the last 24 hours."""

    reason: str
    count: int
    fraction: float


class Payout(Model, frozen=True, kw_only=True):
    """One payment to one address.

    Attributes:
        state: requested, reserved, signed, broadcast, confirmed, settled, failed or frozen.
        amount: What was taken from the balance.
        network_fee: The payee's part of the network fee.
    """

    id: str
    pool_id: str
    coin: str
    wallet: str
    address: str
    amount: Money
    network_fee: Money
    state: str
    txid: str | None
    confirmations: int
    reason: str
    requested_at: str
    updated_at: str


class Balance(Model, frozen=True, kw_only=True):
    """What an address is owed in one coin.

    Attributes:
        immature: Credited by blocks that may still be orphaned.
        available: Can be paid out now.
        pending: Reserved for payouts that are under way.
        paid: Paid out so far.
    """

    coin: str
    asset: str
    immature: Money
    available: Money
    pending: Money
    paid: Money


class PayoutSettings(Model, frozen=True, kw_only=True):
    """How an address wants to be paid.

    Attributes:
        threshold: Automatic payout at this balance.
        automatic: Whether payouts start by themselves.
        schedule: How often at most: any, hourly, daily or weekly.
        fee_policy: Who pays the network: payee or pool.
        address: Where payouts go now.
        new_address: Where they go from `address_change_at` on.
        missing: What the balance lacks to the threshold.
        next_at: When a payout may start by itself at the earliest.
    """

    pool_id: str
    wallet: str
    threshold: Money
    automatic: bool
    schedule: str
    fee_policy: str
    address: str
    missing: Money
    next_at: str | None = None
    address_change_at: str | None = None
    new_address: str | None = None


class MinerDetail(Model, frozen=True, kw_only=True):
    """An address: its figures in each pool, balances and settings."""

    wallet: str
    pools: list[Miner]
    balances: list[Balance]
    settings: list[PayoutSettings]


class RefusedShare(Model, frozen=True, kw_only=True):
    """A share that was not credited, with the proof of what it was.

    Attributes:
        reason: `stale`, `duplicate` or `low_difficulty`.
        difficulty: Asked of the connection then, exact, in units of 2**-32.
        header: The 80 bytes of the block header whose hash the miner found, as hex.
    """

    at: str
    worker: str
    reason: str
    difficulty: str
    header: str


class Receipt(Model, frozen=True, kw_only=True):
    """A group of the share log that holds shares of this address.

    Attributes:
        group_hash: Hash that chains this group to all before it.
        shares: How many of the group's shares are this address's.
        difficulty: Sum of their difficulties, exact, in units of 2**-32.
        refused: Shares of this address that were not credited, as far as the group
            keeps their evidence.
    """

    pool_id: str
    edge: str
    sequence: int
    group_hash: str
    previous_hash: str
    first_at: str
    last_at: str
    group_shares: int
    shares: int
    difficulty: str
    refused: list[RefusedShare] = msgspec.field(default_factory=list)


class Allocation(Model, frozen=True, kw_only=True):
    """One account's part of a block's reward.

    Attributes:
        kind: `share`, `fee` or `donation`.
        weight: What the scheme weighed this line with, exact; fees have lines of their own.
        fraction: That over the weights of all lines.
    """

    kind: str
    account: str
    wallet: str
    weight: str
    fraction: float
    amount: Money
    state: str


class Proof(Model, frozen=True, kw_only=True):
    """Why an address was paid what it was paid for one block."""

    block: Block
    scheme: str
    wallet: str
    window_weight: str
    allocations: list[Allocation]
    receipts: list[Receipt]


class ChallengeAnswer(Model, frozen=True, kw_only=True):
    """A text to sign with the wallet's key."""

    wallet: str
    pool_id: str
    nonce: str
    message: str
    expires_at: str


class SessionAnswer(Model, frozen=True, kw_only=True):
    """A token for `Authorization: Bearer`; shown once."""

    wallet: str
    pool_id: str
    token: str
    expires_at: str


class CheckAnswer(Model, frozen=True, kw_only=True):
    """One thing that must work."""

    name: str
    ok: bool
    detail: str = ""


class Health(Model, frozen=True, kw_only=True):
    """Whether the service is ready."""

    status: str
    checks: list[CheckAnswer] = msgspec.field(default_factory=list)
